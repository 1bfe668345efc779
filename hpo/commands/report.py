"""`hpo report` and `hpo export`: what a study leaves behind."""

from pathlib import Path

from hpo.errors import InputError, Problem


def report(study: str, *, storage: str, output: str | None = None, artifacts: str | None = None) -> Path:
    """Writes one self-contained HTML file about a study, `<study>-report.html` unless named."""
    from hpo.reports.page import write_report

    return write_report(storage, study, Path(output or f"{study}-report.html"), artifacts)


def export(study: str, *, storage: str, to: str, artifacts: str | None = None) -> Path:
    """Puts the bundle of a finished study into a folder, new or empty."""
    from hpo.run import export_bundle

    try:
        return Path(export_bundle(storage, study, to, artifacts))
    except OSError as error:
        raise InputError(Problem(to, "", "a folder that can be written", str(error.strerror or error),
                                 "Name another with --to.")) from error  # fmt: skip
