"""The artifact store: weights, predictions and exports as files, in a folder or at any fsspec URL.

The records hold where an artifact lies, relative to the store, so that a database and its folder can be moved together.
Its name holds its content's hash: nobody ever overwrites another's artifact, and a repeated `put` changes nothing.
"""

import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hpo.errors import Fault, InputError, Problem
from hpo.hiding import hidden
from hpo.records import schema
from hpo.records.connection import Database, now
from hpo.records.rows import ArtifactRef
from hpo.values import Array


class ArtifactStore:
    """Artifacts under one root. Raises InputError for a URL that no installed file system serves."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, self._root = fsspec.core.url_to_fs(str(Path(url).expanduser()) if "://" not in url else url)
        except (ImportError, ValueError) as error:
            remedy = "Name a folder, or install what the URL's scheme needs."
            raise InputError(
                Problem("--artifacts", "", "a folder or an fsspec URL", f"{url} ({error})", remedy)
            ) from None
        self._local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))

    def prepare(self) -> None:
        """Make the root. Raises InputError where it cannot be made or written."""
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            if self._local and not os.access(self._root, os.W_OK):
                raise PermissionError("no right to write")
        except OSError as error:
            remedy = "Name another folder with --artifacts."
            raise InputError(Problem("--artifacts", "", "a folder that can be written", str(error), remedy)) from None

    def put(self, key: str, data: bytes) -> ArtifactRef:
        """Store bytes under a key such as `digits/run-3.npz`; whole or not at all. Raises Fault where that fails."""
        digest = hashlib.sha256(data).hexdigest()
        name = PurePosixPath(key)
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"the key {key!r} leads out of the store")
        uri = str(name.with_name(f"{name.stem}-{digest[:12]}{name.suffix}"))
        try:
            self._write(self._place(uri), data)
        except OSError as error:
            raise Fault(f"{self._shown(uri)}: the artifact could not be written: {error}") from error
        return ArtifactRef(uri, digest, len(data))

    def get(self, ref: ArtifactRef) -> bytes:
        """The bytes of an artifact. Raises Fault where it is missing or not what it was."""
        place, shown = self._place(ref.uri), self._shown(ref.uri)
        try:
            data: bytes = self._fs.cat_file(place)
        except FileNotFoundError:
            raise Fault(f"{shown}: the artifact is missing. Point --artifacts to where it is, or begin anew.") from None
        except OSError as error:
            raise Fault(f"{shown}: the artifact could not be read: {error}") from error
        if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise Fault(f"{shown}: the artifact is damaged: its content is not what was stored.")
        return data

    def holds(self, ref: ArtifactRef) -> bool:
        """Whether the artifact is there, by its size; `get` alone looks at its content."""
        with contextlib.suppress(OSError):
            return bool(self._fs.info(self._place(ref.uri))["size"] == ref.size)
        return False

    def delete(self, uris: Iterable[str]) -> None:
        """Delete artifacts; those that are gone already are no fault."""
        for uri in uris:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._place(uri))

    def tidy(self, folder: str) -> None:
        """Remove the local folders below one of the store's, and itself, that hold nothing any more.

        Only once nobody stores anything there: a folder may vanish between another's making it and writing into it.
        """
        if self._local:
            top = Path(self._place(folder))
            for place in (*sorted(top.rglob("*/"), reverse=True), top):
                with contextlib.suppress(OSError):  # it holds something, or is gone
                    place.rmdir()

    def _place(self, uri: str) -> str:
        if ".." in PurePosixPath(uri).parts:  # no artifact of ours: others may write to the database
            raise Fault(f"{hidden(self.url)}: the artifact {uri!r} leads out of the store.")
        return f"{self._root.rstrip('/')}/{uri}"

    def _shown(self, uri: str) -> str:
        """For messages: as the user named the store, since its root may hold a password that is no URL's any more."""
        return f"{hidden(self.url).rstrip('/')}/{uri}" if "://" in self.url else self._place(uri)

    def _write(self, place: str, data: bytes) -> None:
        if not self._local:  # object stores put an object whole or not at all
            self._fs.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(place, data)
            return
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def default_store(db: Database) -> str:
    """Where artifacts go unless told otherwise: `<name>-artifacts` beside a SQLite file, else `hpo-artifacts` here."""
    path = db.path
    return "hpo-artifacts" if path is None else str(path.absolute().with_name(f"{path.stem}-artifacts"))


def total(db: Database, study_id: int) -> tuple[int, int]:
    """(artifacts of a study, their bytes), as the records know them."""
    table = schema.artifact
    totals = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size), 0))
    query = totals.where(table.c.study_id == study_id)
    count, size = db.look(lambda c: c.execute(query).one())
    return count, int(size)


def put_only(db: Database, store: ArtifactStore, study_id: int, kind: str, key: str, data: bytes) -> ArtifactRef:
    """Store bytes as the one artifact of a kind that a study has; earlier ones are forgotten and deleted.

    Raises Fault where the bytes cannot be stored; the earlier ones stay then.
    """
    ref = store.put(key, data)
    table = schema.artifact
    earlier = (table.c.study_id == study_id) & (table.c.kind == kind)
    values = {"study_id": study_id, "kind": kind, "uri": ref.uri, "sha256": ref.sha256, "size": ref.size}

    def work(connection: Connection) -> list[str]:
        uris = connection.execute(sa.select(table.c.uri).where(earlier)).scalars().all()
        connection.execute(sa.delete(table).where(earlier))
        connection.execute(sa.insert(table).values(created_at=now(connection), **values))
        return list(uris)

    # Equal bytes have an equal name: the file that was written just now must stay.
    store.delete(set(db.transact(work)) - {ref.uri})
    return ref


def pack(weights: Sequence[Array], predictions: Array) -> bytes:
    """A run's kept weights, in their order, and its predictions, as npz. Equal arrays give equal bytes."""
    named: dict[str, Any] = {f"weight_{i:04d}": w for i, w in enumerate(weights)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, predictions=predictions, **named)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[tuple[Array, ...], Array]:
    """The inverse of `pack`: (weights, predictions)."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        weights = tuple(file[name] for name in sorted(file.files) if name != "predictions")
        return weights, file["predictions"]
