"""The README of an exported bundle."""

import json
from collections.abc import Mapping
from typing import Any

from hpo.values import TaskFacts

_README = """# {title}

A Keras network with its preprocessing. It needs NumPy and Keras (with TensorFlow or JAX), nothing else: copy
this folder wherever you like.

```
python predict.py {example_file}
```

prints {answer} a row. From Python:

```python
import sys; sys.path.insert(0, "path/to/this/folder")
import predict

model = predict.load("path/to/this/folder")
model.predict({example_rows})
{proba}```

{rows}

| file | content |
|---|---|
| `model.keras` | {network}; takes encoded, unscaled rows: scaling is part of it |
| `preprocessing.json` | how a raw row becomes an encoded one |
| `labels.json` | the task and the labels in the order of the outputs |
| `predict.py` | reads all of these |
| `about.json` | where it comes from |

{about}
"""


def readme(
    facts: TaskFacts, preprocessing: Mapping[str, Any], metric: str, members: int, extra: Mapping[str, Any]
) -> str:
    """Markdown that tells a stranger how to use the bundle."""
    classifies = facts.task.classifies
    target = preprocessing.get("target")
    title = f"Predicts {target}" if isinstance(target, str) and target else "Predicts"
    title += f": {len(facts.classes)} classes" if classifies else ": a number"
    return _README.format(
        title=title,
        answer="one label" if classifies else "one number",
        example_file="images.npz" if preprocessing["kind"] == "image" else "rows.csv",
        example_rows=_example(preprocessing),
        proba="model.predict_proba(rows)   # (rows, classes), columns as in model.classes\n" if classifies else "",
        rows=_rows(preprocessing),
        network="one network" if members == 1 else f"the mean of {members} networks",
        about=f"It was chosen by `{metric}`." + _details(extra),
    )


def _example(preprocessing: Mapping[str, Any]) -> str:
    if preprocessing["kind"] != "table":
        return "rows"
    row = {
        column["name"]: column["fill"] if column["kind"] == "number" else next(iter(column["categories"]), None)
        for column in preprocessing["columns"][:3]
    }
    dots = ", ..." if len(preprocessing["columns"]) > 3 else ""
    return f"[{repr(row)[:-1]}{dots}}}]"


def _rows(preprocessing: Mapping[str, Any]) -> str:
    if preprocessing["kind"] == "image":
        shape = ", ".join(map(str, preprocessing["shape"]))
        return f"Rows are images: an array of shape (rows, {shape}), in the units of the training data."
    if preprocessing["kind"] == "array":
        return f"Rows are {preprocessing['features']} numbers each, in the units of the training data."
    missing = ", ".join(f"`{text}`" for text in preprocessing["missing"] if text) or "empty"
    lines = [
        "A row is a dict of column name to value, or a list of values in the order of the table's columns: "
        + ", ".join(f"`{name}`" for name in preprocessing["all_columns"]) + ".",
        f"Missing values are None, NaN, empty or {missing}. These columns are used:",
        "", "| column | values |", "|---|---|",
    ]  # fmt: skip
    lines += [f"| `{column['name']}` | {_values(column)} |" for column in preprocessing["columns"]]
    return "\n".join(lines)


def _values(column: Mapping[str, Any]) -> str:
    if column["kind"] == "number":
        return f"a number; where missing, {column['fill']:g} is taken"
    shown = ", ".join(f"`{category}`" for category in column["categories"][:12])
    more = len(column["categories"]) - 12
    return f"{shown} and {more} more" if more > 0 else shown


def _details(extra: Mapping[str, Any]) -> str:
    if not extra:
        return ""
    return "\n\n```json\n" + json.dumps(extra, indent=1, ensure_ascii=False, default=str) + "\n```"
