"""Shared by the tests of this folder: where the real sets are, and the quickest way to load something."""

import os
from pathlib import Path

import numpy as np
import pytest

from hpo.data import load
from hpo.studyfile.spec import DataSpec

ADULT = {
    "source": "data-dir:adult/adult-train.csv",
    "test_source": "data-dir:adult/adult-test.csv",
    "header": False,
    "target": -1,
}
CALIFORNIA = {"source": "data-dir:california_housing/housing.csv", "target": "median_house_value"}
CHURN = {"source": "data-dir:pmlb_churn/churn.tsv.gz", "target": "target"}
WINE = {"source": "data-dir:wine_quality_white/winequality-white.csv", "header": False, "target": -1}
LETTER = {"source": "data-dir:pmlb_letter/letter.tsv.gz", "target": "target"}
FASHION = {"source": "data-dir:fashion_mnist/fashion_mnist.npz", "rows": 2000}


def data_folder():
    """The folder of real sets; skips the test where there is none."""
    folder = Path(os.environ.get("HPO_DATA_DIR") or Path(__file__).parents[2].parent / "shared" / "data")
    if not (folder / "adult").is_dir():
        pytest.skip(f"no real data sets at {folder}; name their folder with HPO_DATA_DIR")
    return str(folder)


def real(seed=0, metric=None, **spec):
    """One of the real sets, loaded."""
    return load(DataSpec(**spec), seed=seed, metric=metric, base=".", data_dir=data_folder())


def local(source, base=".", seed=0, metric=None, **spec):
    """A source that needs no data folder, loaded."""
    return load(DataSpec(str(source), **spec), seed=seed, metric=metric, base=str(base), data_dir=None)


def write_csv(path, columns, header=True, separator=","):
    """A csv file from a mapping of name to values."""
    rows = [separator.join(str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join(([separator.join(columns)] if header else []) + rows) + "\n", encoding="utf-8")
    return path


def table(rows=120, seed=0):
    """Columns of a small table that nothing is wrong with: two numbers, one text, a target of two classes."""
    rng = np.random.default_rng(seed)
    size, weight = rng.normal(size=rows).round(3), rng.normal(size=rows).round(3)
    colour = rng.choice(["red", "green", "blue"], rows)
    kind = np.where(size + weight + rng.normal(size=rows) > 0, "yes", "no")
    return {"size": size, "weight": weight, "colour": colour, "kind": kind}
