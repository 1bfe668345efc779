"""Tables in text files: separator, header, cells."""

import csv
import io

import pandas as pd

from hpo.data.columns import number
from hpo.data.problems import listed, refuse

_SEPARATORS = (",", "\t", ";", "|")


def read_text_table(content: bytes, form: str, header: bool, where: str) -> tuple[pd.DataFrame, str]:
    """The cells of a csv or tsv file as texts, and its separator. Leading blanks of cells are dropped.

    Raises InputError for an empty file, text that is not UTF-8, rows longer than the first, doubled column names.
    """
    separator = "\t" if form == "tsv" else sniff_separator(head(content, where))
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=None,
            dtype=str,
            na_filter=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except pd.errors.EmptyDataError:
        raise refuse(where, "", "a table with rows", "an empty file", "Name a file with data in it.") from None
    except pd.errors.ParserError as error:
        expected = f"a table with one number of columns, separated by {separator!r}"
        raise refuse(where, "", expected, str(error).strip(), "Mend that line of the file.") from error
    except UnicodeDecodeError as error:
        raise refuse(where, "", "text in UTF-8", str(error), "Save the file as UTF-8.") from error
    if not header:
        return frame.set_axis([f"column_{i}" for i in range(frame.shape[1])], axis=1), separator
    names = [str(name).strip() or f"column_{i}" for i, name in enumerate(frame.iloc[0])]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        remedy = "Rename the columns; or set header = false in [data] where the first line is a row of data."
        raise refuse(where, "first line", "column names that differ", listed(doubled) + " more than once", remedy)
    return frame.iloc[1:].set_axis(names, axis=1).reset_index(drop=True), separator


def head(content: bytes, where: str, lines: int = 50) -> list[str]:
    """The first lines that are not blank. Raises InputError where they are not UTF-8."""
    first = content[:65536]
    last = len(first) if len(content) <= len(first) else first.rfind(b"\n") + 1 or len(first)
    try:
        text = first[:last].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(where, "", "text in UTF-8", str(error), "Save the file as UTF-8.") from error
    return [line for line in text.splitlines() if line.strip()][:lines]


def sniff_separator(lines: list[str]) -> str:
    """The separator that cuts all lines into the same number of cells, the most cells first; else a comma."""
    best, cells = ",", 1
    for separator in _SEPARATORS:
        widths = {len(row) for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)}
        if len(widths) == 1 and max(widths) > cells:
            best, cells = separator, max(widths)
    return best


def sniff_header(lines: list[str], separator: str) -> bool:
    """Whether the first line holds names.

    It does if none of its cells is a number, and some column below is all numbers or no column repeats its first cell.
    """
    rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    if len(rows) < 2 or any(number(cell) is not None for cell in rows[0]):
        return False
    below = list(zip(*(row for row in rows[1:] if len(row) == len(rows[0])), strict=True))
    if any(all(number(cell) is not None or cell in ("", "?", "NA") for cell in column) for column in below):
        return True
    return len(set(rows[0])) == len(rows[0]) and not any(
        name in column for name, column in zip(rows[0], below, strict=False)
    )
