"""`hpo run`, `hpo resume` and `hpo worker`: train."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from hpo.errors import InputError, Problem

if TYPE_CHECKING:
    from hpo.records.rows import StudyRow
    from hpo.run.events import Event
    from hpo.run.ray_pool import Placement
    from hpo.studyfile.spec import StudySpec


def load(study: str, overrides: Mapping[str, Any]) -> "StudySpec":
    """The study at a path or of a bundled name, with the command line's values in place of the file's."""
    from hpo.studyfile import load_study

    return load_study(study, overrides={key: value for key, value in overrides.items() if value is not None})


def recorded(study: str, *, storage: str, allow_code: bool) -> "StudySpec | None":
    """The study of that name as a database holds it; None where it is finished.

    Raises InputError for an unknown name, and where it names Python code that nobody allowed.
    """
    from hpo.records.database import connect
    from hpo.records.studies import Studies
    from hpo.studyfile.code import refuse_code
    from hpo.studyfile.spec import from_plain

    with connect(storage, create=False) as database:
        row = Studies(database).get(study)
    if row.state == "finished":
        return None
    spec = from_plain(dict(row.spec))
    refuse_code(spec, allowed=allow_code)
    return spec


def run(
    spec: "StudySpec",
    *,
    storage: str,
    listener: "Callable[[Event], None]",
    data_dir: str | None = None,
    artifacts: str | None = None,
    workers: int = 1,
    export: str | None = None,
    fresh: bool = False,
    warm_start: bool = False,
    on: str = "local",
    address: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
) -> "StudyRow":
    """Runs a study to its end, or goes on with it where it stopped. Raises Stopped on Ctrl-C.

    `address`, `cpus` and `gpus` (of each worker) are for `on` = `ray`.
    """
    _refuse_unwritable(Path(export or f"{spec.name}-bundle"))
    from hpo.run import launch

    asked = {"--address": address, "--cpus-per-worker": cpus, "--gpus-per-worker": gpus}
    with _placed(on, workers, storage, asked) as place:
        return launch(
            spec, storage=storage, data_dir=data_dir, artifacts=artifacts, workers=workers, export=export, fresh=fresh,
            warm_start=warm_start, place=place, listener=listener,
        )  # fmt: skip


def _placed(
    on: str, workers: int, storage: str, asked: Mapping[str, Any]
) -> "AbstractContextManager[Placement | None]":
    """The connection to the cluster that workers are placed on, before anything is made anywhere."""
    given = {flag: value for flag, value in asked.items() if value is not None}
    if on == "local":
        if given:
            flag, value = next(iter(given.items()))
            problem = Problem("command line", flag, "--on ray beside it", str(value), "Add --on ray, or leave it out.")
            raise InputError(problem)
        return nullcontext()
    from hpo.run.ray_pool import Placement, cluster

    place = Placement(workers, given.get("--cpus-per-worker", 1.0), given.get("--gpus-per-worker", 0.0))
    return cluster(given.get("--address", "auto"), place, storage)


def _refuse_unwritable(bundle: Path) -> None:
    """The bundle is written last: that its folder cannot hold it is said before hours of training, not after."""
    place = next(p for p in (bundle.absolute(), *bundle.absolute().parents) if p.exists())
    try:
        if bundle.exists() and not bundle.is_dir():
            raise NotADirectoryError(0, "a file of that name")
        with TemporaryDirectory(prefix=".hpo-", dir=place):
            pass
    except OSError as error:
        raise InputError(Problem(str(bundle), "", "a folder that can be written, for the finished bundle",
                                 str(error.strerror), "Name another with --export.")) from error  # fmt: skip


def worker(
    study: str, *, storage: str, data_dir: str | None, artifacts: str | None, allow_code: bool,
    listener: "Callable[[Event], None]", gpu_memory: float | None = None,
) -> bool:  # fmt: skip
    """Trains for a running study until it ends; True where the process must be replaced first (`replace`).

    `gpu_memory`: the share of its GPU's memory that it may take; None: what it needs.
    """
    from hpo.run import work
    from hpo.training.devices import GPU_MEMORY

    if gpu_memory is not None:
        os.environ[GPU_MEMORY] = str(gpu_memory)

    return work(
        study, storage=storage, data_dir=data_dir, artifacts=artifacts, allow_code=allow_code, listener=listener
    )


def replace() -> NoReturn:
    """Ends this process so that another goes on with the same command, in fresh memory."""
    from hpo.run.renewal import replace_process

    replace_process()
