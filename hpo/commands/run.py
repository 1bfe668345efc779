"""`hpo run` and `hpo worker`: train."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

from hpo.errors import InputError, Problem

if TYPE_CHECKING:
    from hpo.records.rows import StudyRow
    from hpo.run.events import Event
    from hpo.studyfile.spec import StudySpec


def load(study: str, overrides: Mapping[str, Any]) -> "StudySpec":
    """The study at a path or of a bundled name, with the command line's values in place of the file's."""
    from hpo.studyfile import load_study

    return load_study(study, overrides={key: value for key, value in overrides.items() if value is not None})


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
) -> "StudyRow":
    """Runs a study to its end, or goes on with it where it stopped. Raises Stopped on Ctrl-C."""
    _refuse_unwritable(Path(export or f"{spec.name}-bundle"))
    from hpo.run import launch

    return launch(
        spec, storage=storage, data_dir=data_dir, artifacts=artifacts, workers=workers, export=export, fresh=fresh,
        warm_start=warm_start, listener=listener,
    )  # fmt: skip


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
    study: str, *, storage: str, data_dir: str | None, artifacts: str | None, listener: "Callable[[Event], None]"
) -> bool:
    """Trains for a running study until it ends; True where the process must be replaced first (`replace`)."""
    from hpo.run import work

    return work(study, storage=storage, data_dir=data_dir, artifacts=artifacts, listener=listener)


def replace() -> NoReturn:
    """Ends this process so that another goes on with the same command, in fresh memory."""
    from hpo.run.renewal import replace_process

    replace_process()
