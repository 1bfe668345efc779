"""Tunes Keras networks by the training recipe: data, baseline, overfit, regularize, tune, squeeze.

`hpo.open(storage_url)` gives the results in a database as pandas DataFrames. It is resolved when first used, so that
`import hpo` and `hpo --help` load neither pandas nor a framework.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.reports.frames import open_results as open  # noqa: A004

__version__ = "0.1.0"

__all__ = ["__version__", "open"]


def __getattr__(name: str) -> Any:
    if name == "open":
        from hpo.reports.frames import open_results

        return open_results
    raise AttributeError(f"module 'hpo' has no attribute {name!r}")
