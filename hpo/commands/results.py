"""`hpo results` and `hpo status`: what the database holds."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError, Problem
from hpo.numbers import present

if TYPE_CHECKING:
    import pandas as pd

    from hpo.reports.frames import Results

FORMATS = ("table", "csv", "json", "parquet")


def results(storage: str) -> "Results":
    """The results in a database that exists."""
    from hpo.reports.frames import open_results

    return open_results(storage)


def the_study(found: "Results", study: str | None) -> str | None:
    """The study asked for; without a name the only one there is, or None where there are several or none."""
    if study is not None:
        return study
    names = list(found.studies()["study"])
    return str(names[0]) if len(names) == 1 else None


def table(found: "Results", study: str | None, name: str) -> "pd.DataFrame":
    """A results table by name. Every table but `studies` is of one study."""
    if name == "studies":
        return found.studies()
    if study is None:
        names = ", ".join(map(str, found.studies()["study"])) or "none yet"
        raise InputError(Problem("command line", "STUDY", "the name of a study", "none", f"Studies here: {names}."))
    frame: pd.DataFrame = getattr(found, name)(study)
    return frame


def encode(frame: "pd.DataFrame", form: str) -> str:
    """A table as csv, or as json: a list with an object a row, moments in ISO form."""
    if form == "csv":
        return frame.to_csv(index=False, lineterminator="\n")
    # Not pandas's own writer, which cuts numbers at 15 digits.
    rows = [{str(k): _plain(v) for k, v in row.items()} for row in frame.to_dict("records")]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if not present(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def write(frame: "pd.DataFrame", form: str, output: str | None) -> Path:
    """Writes a table to a file as csv, json or parquet."""
    if output is None:
        raise InputError(Problem("command line", "--output", "a file to write", "none",
                                 f"{form} is written to a file: add --output FILE."))  # fmt: skip
    path = Path(output)
    if form == "parquet":
        buffer = io.BytesIO()
        # Parquet columns have one type: values that are numbers or texts become texts.
        mixed = [c for c in frame.columns if frame[c].dtype == object]
        frame.astype(dict.fromkeys(mixed, "string")).to_parquet(buffer, index=False)
        content = buffer.getvalue()
    else:
        content = encode(frame, form).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(Problem(output, "", "a file that can be written", str(error.strerror),
                                 "Name another with --output.")) from error  # fmt: skip
    return path
