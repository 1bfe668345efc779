"""Use an exported network: raw rows go in, labels come out.

    import predict                      # with this folder on the path
    model = predict.load("this/folder")
    model.predict([{"age": 39, "workclass": "Private"}])        # -> one label a row, or one number
    model.predict_proba(...)                                     # -> (rows, classes), columns as in `model.classes`

or `python predict.py rows.csv`, which prints one label a row. Needs NumPy and Keras, with any backend that Keras runs
on (`KERAS_BACKEND=tensorflow` or `jax`). The folder may be moved or renamed; it needs no other file.
"""

import csv
import gzip
import io
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

_BATCH = 1024
_DELIMITERS = (",", ";", "\t", "|")


class Model:
    """An exported network with its preprocessing and labels."""

    def __init__(self, network: Any, preprocessing: dict[str, Any], labels: dict[str, Any]) -> None:
        self.network = network
        self.preprocessing = preprocessing
        self.task: str = labels["task"]
        self.classes: list[str] = labels["classes"]
        """The labels, in the order of `predict_proba`'s columns; empty where a number is predicted."""

    def predict(self, rows: Any) -> Any:
        """The label of each row as an array of text (rows,), or of numbers in the target's own unit.

        rows: of a table, a list of rows or a pandas DataFrame; a row is a dict of column name to value (other columns
        in it are ignored) or a list of values in the order of the table's columns. None, NaN and the texts that
        the table used for missing values are missing values. Of images or plain numbers, an array (rows, ...).
        Raises ValueError, with the row and the column, where a row cannot be read.
        """
        output = self._output(rows)
        if not self.classes:
            return output[:, 0]
        return np.asarray(self.classes)[output.argmax(axis=1)]

    def predict_proba(self, rows: Any) -> Any:
        """The probability of each class, float32 (rows, classes). Raises ValueError where a number is predicted."""
        if not self.classes:
            raise ValueError("This model predicts a number, so there are no probabilities. Call predict instead.")
        return self._output(rows)

    def encode(self, rows: Any) -> Any:
        """Rows as the network takes them: float32 (rows, features) or (rows, height, width, channels)."""
        if self.preprocessing["kind"] == "table":
            return _encode_table(self.preprocessing, rows)
        return _encode_array(self.preprocessing, rows)

    def _output(self, rows: Any) -> Any:
        import keras

        x = self.encode(rows)
        parts = [self.network(x[i : i + _BATCH], training=False) for i in range(0, len(x), _BATCH)]
        if not parts:
            return np.empty((0, max(1, len(self.classes))), dtype=np.float32)
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def load(folder: str | Path | None = None) -> Model:
    """The model in a folder; left out, in the folder of this file. Raises ValueError where a file is missing."""
    place = Path(__file__).resolve().parent if folder is None else Path(folder)
    missing = [n for n in ("model.keras", "preprocessing.json", "labels.json") if not (place / n).is_file()]
    if missing:
        raise ValueError(f"{place} is not a whole bundle: {', '.join(missing)} is missing.")
    preprocessing = json.loads((place / "preprocessing.json").read_text(encoding="utf-8"))
    if preprocessing["version"] != 1:
        raise ValueError(f"{place} was made by a newer version; use the predict.py that lies in it.")
    labels = json.loads((place / "labels.json").read_text(encoding="utf-8"))

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Keras reads it when imported, so it is imported here.
    import keras

    return Model(keras.saving.load_model(place / "model.keras", compile=False), preprocessing, labels)


def _encode_table(preprocessing: dict[str, Any], rows: Any) -> Any:
    """One value for a number column; for a text column one for each category, then one for missing if it has that."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    if isinstance(rows, (dict, str)):
        raise ValueError("The rows must be a list of rows. Put a single row into a list.")
    rows = [_as_dict(preprocessing, row, number) for number, row in enumerate(rows, 1)]
    columns: list[Any] = []
    for column in preprocessing["columns"]:
        values = [_known(preprocessing, row[column["name"]]) for row in rows]
        if column["kind"] == "number":
            columns.append([_number(column, value, number) for number, value in enumerate(values, 1)])
            continue
        texts = [_text(value, column["categories"]) for value in values]
        columns.extend([text == category for text in texts] for category in column["categories"])
        if column["missing"]:
            columns.append([text is None for text in texts])
    return np.array(columns, dtype=np.float32).T.reshape(len(rows), len(columns))


def _as_dict(preprocessing: dict[str, Any], row: Any, number: int) -> dict[str, Any]:
    """A row with the columns it needs, by name."""
    needed = [column["name"] for column in preprocessing["columns"]]
    if isinstance(row, dict):
        named = row
    else:
        values, names = list(row), preprocessing["all_columns"]
        if len(values) != len(names):
            raise ValueError(
                f"Row {number} has {len(values)} values; the table has {len(names)} columns: {_list(names)}."
            )
        named = dict(zip(names, values, strict=True))
    lacking = [name for name in needed if name not in named]
    if lacking:
        word = "column" if len(lacking) == 1 else "columns"
        raise ValueError(f"Row {number} lacks the {word} {_list(lacking)}. Each row needs {_list(needed)}.")
    return named


def _known(preprocessing: dict[str, Any], value: Any) -> Any:
    """The value, text without blanks around it where the table was read so; None where it is missing."""
    if isinstance(value, str):
        value = value.strip() if preprocessing["strip"] else value
        return None if value in preprocessing["missing"] else value
    if value is None or value != value:  # NaN is the one value that differs from itself.
        return None
    return value


def _number(column: dict[str, Any], value: Any, row: int) -> float:
    if value is None:
        return float(column["fill"])
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"Row {row}, column {column['name']!r}: {value!r} is not a number.") from None
    if not math.isfinite(number):
        return float(column["fill"])  # Infinities were missing values in training too.
    return number


def _text(value: Any, categories: list[str]) -> str | None:
    """The category that a value stands for; a number may stand for a text, such as 3 or 3.0 for "3"."""
    if value is None or isinstance(value, str):
        return value
    text = str(value)
    if text not in categories and isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return text


def _encode_array(preprocessing: dict[str, Any], rows: Any) -> Any:
    """Images or plain numbers: checked, not changed; one channel may be left out."""
    image = preprocessing["kind"] == "image"
    shape = tuple(preprocessing["shape"]) if image else (preprocessing["features"],)
    try:
        x = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"The rows must be numbers, an array of shape (rows, {_list(shape)}).") from None
    if image and shape[-1] == 1 and x.shape[1:] == shape[:-1]:
        x = x[..., None]
    if x.size == 0:
        return x.reshape(0, *shape)
    if x.shape[1:] != shape:
        raise ValueError(f"The rows must be an array of shape (rows, {_list(shape)}), not {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError("The rows must be finite numbers; some are NaN or infinite.")
    return x


def _list(names: Any) -> str:
    return ", ".join(repr(name) if isinstance(name, str) else str(name) for name in names)


def read_rows(path: str | Path, preprocessing: dict[str, Any]) -> Any:
    """The rows of a file: npz or npy (of an npz, `x`, `x_test` or its only array), else text with one row a line.

    Of a table the file is laid out as the one that was trained on, a header if that had one; the target column may
    be left out, and is ignored. Raises ValueError where the file does not fit.
    """
    path = Path(path)
    if path.suffix in (".npz", ".npy"):
        return _read_array(path)
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    table = preprocessing["kind"] == "table"
    columns = len(preprocessing["all_columns"]) if table else preprocessing.get("features", 1)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = _delimiter(first, columns, preprocessing.get("separator"))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    values = [row for row in reader if row]
    if not values:
        raise ValueError(f"{path} has no rows.")
    if table:
        return _parse_table(path, values, preprocessing)
    return values if _is_number(values[0][0]) else values[1:]


def _parse_table(path: Path, values: list[list[str]], preprocessing: dict[str, Any]) -> list[dict[str, str]]:
    names, target = preprocessing["all_columns"], preprocessing["target"]
    if preprocessing["header"]:
        header = [name.strip() or f"column_{i}" for i, name in enumerate(values[0])]
        for number, row in enumerate(values[1:], 1):
            if len(row) != len(header):
                raise ValueError(f"{path}, row {number} has {len(row)} values; the header has {len(header)} columns.")
        return [dict(zip(header, row, strict=True)) for row in values[1:]]
    place = _target_place(preprocessing)
    with_target = [*names[:place], target, *names[place:]]
    rows = []
    for number, row in enumerate(values, 1):
        if len(row) not in (len(names), len(with_target)):
            raise ValueError(f"{path}, row {number} has {len(row)} values; the table has {len(names)} columns.")
        rows.append(dict(zip(names if len(row) == len(names) else with_target, row, strict=True)))
    return rows


def _target_place(preprocessing: dict[str, Any]) -> int:
    """Where the target stands in a file without a header, whose columns are called `column_0`, `column_1`, ..."""
    place = str(preprocessing["target"]).removeprefix("column_")
    return int(place) if place.isdecimal() else len(preprocessing["all_columns"])


def _delimiter(line: str, columns: int, known: str | None) -> str:
    """The one that gives the expected number of columns, with or without the target; else that which gives most."""
    tried = [known, *_DELIMITERS] if known else _DELIMITERS
    counts = {d: len(next(csv.reader([line], delimiter=d))) for d in tried}
    return next((d for d, n in counts.items() if n in (columns, columns + 1)), max(counts, key=lambda d: counts[d]))


def _read_array(path: Path) -> Any:
    loaded = np.load(path)
    if path.suffix == ".npy":
        return loaded
    with loaded:
        names = [n for n in ("x", "x_test") if n in loaded.files] or loaded.files
        if len(names) > 1 and names[0] not in ("x", "x_test"):
            raise ValueError(f"{path} holds {_list(names)}; name the rows x.")
        return loaded[names[0]]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """Print one label a row of the file named in `arguments`; the answer is the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python predict.py ROWS    (csv, tsv, npy or npz; gz too)\n")
        return 2
    try:
        model = load()
        labels = model.predict(read_rows(arguments[0], model.preprocessing))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.writelines(f"{label}\n" for label in labels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
