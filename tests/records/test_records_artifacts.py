"""The artifact store: whole or not at all, verified, and never overwritten."""

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hpo.errors import Fault, InputError
from hpo.records.artifacts import ArtifactStore, default_store, pack, unpack
from hpo.records.database import connect
from hpo.records.rows import ArtifactRef


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    made = ArtifactStore(str(tmp_path / "a") if request.param == "folder" else f"memory://{tmp_path.name}")
    made.prepare()
    return made


def test_what_was_put_is_got(store: ArtifactStore) -> None:
    ref = store.put("s/run-1.npz", b"one")
    assert store.get(ref) == b"one"
    assert store.holds(ref)
    assert store.put("s/run-1.npz", b"one") == ref
    other = store.put("s/run-1.npz", b"two")
    assert (store.get(ref), store.get(other)) == (b"one", b"two"), "a late worker overwrote another's artifact"
    store.delete([ref.uri, ref.uri])
    assert not store.holds(ref)
    with pytest.raises(Fault, match="missing"):
        store.get(ref)


def test_damage_is_noticed(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path))
    ref = store.put("x.npz", b"precious")
    for damaged in (b"previous", b"pre"):
        (tmp_path / ref.uri).write_bytes(damaged)
        with pytest.raises(Fault, match="damaged"):
            store.get(ref)


def test_a_failed_put_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    with pytest.raises(Fault, match="could not be written"):
        ArtifactStore(str(tmp_path)).put("s/x.npz", b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    with pytest.raises(ValueError, match="leads out"):
        ArtifactStore(str(tmp_path)).put("../x.npz", b"1")


def test_a_record_that_leads_out_of_the_store_reads_and_deletes_nothing(tmp_path: Path) -> None:
    """Others may write to the database."""
    (tmp_path / "mine.txt").write_bytes(b"1")
    store = ArtifactStore(str(tmp_path / "store"))
    inside = store.put("x.npz", b"1")
    for uri in ("../mine.txt", "x/../../mine.txt"):
        with pytest.raises(Fault, match="leads out of the store"):
            store.get(replace(inside, uri=uri))
        with pytest.raises(Fault, match="leads out of the store"):
            store.delete([uri])
    assert (tmp_path / "mine.txt").exists()


def test_a_store_that_cannot_be_is_the_users_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--artifacts"):
        ArtifactStore("nosuch://bucket")
    with pytest.raises(InputError, match="can be written"):
        ArtifactStore(str(tmp_path / "file" / "below")).prepare()


def test_weights_and_predictions_come_back_bit_for_bit() -> None:
    random = np.random.default_rng(0)
    weights = tuple(random.normal(size=(i + 1, 2)).astype(np.float32) for i in range(12))
    predictions = random.normal(size=(5, 3)).astype(np.float32)
    data = pack(weights, predictions)
    assert data == pack(weights, predictions)
    back, rows = unpack(data)
    assert len(back) == 12
    for a, b in zip((*weights, predictions), (*back, rows), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_the_store_lies_beside_the_database(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path}/study.db") as db:
        assert default_store(db) == str(tmp_path / "study-artifacts")


def test_a_store_can_be_moved_with_its_database(tmp_path: Path) -> None:
    ref = ArtifactStore(str(tmp_path / "a")).put("s/x.npz", b"1")
    (tmp_path / "a").rename(tmp_path / "b")
    assert ArtifactStore(str(tmp_path / "b")).get(ArtifactRef(ref.uri, ref.sha256, ref.size)) == b"1"
    assert fsspec.filesystem("file").exists(str(tmp_path / "b" / ref.uri))
