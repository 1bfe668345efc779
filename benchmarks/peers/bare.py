"""Seconds an epoch of `model.fit` alone: one network, built once; nothing searched, validated or stored."""

from . import quiet  # isort: skip
import time

from . import network, outcome
from .cases import CASES
from .rows import load

if __name__ == "__main__":
    assert quiet
    options = outcome.parser(__doc__).parse_args()
    case, configuration = CASES[options.case], CASES[options.case].space.default()
    rows = load(case.data)
    began = time.perf_counter()
    first, later = network.seconds_an_epoch(case, configuration, rows, fit=options.fit)
    settings = f"{outcome.FIT[options.fit]}; the space's default configuration; no validation"
    figures = {"first_epoch": first, "epoch": later}
    taken = time.perf_counter() - began
    packages = outcome.versions("keras", "tensorflow")
    outcome.write(outcome.Outcome(1, taken, [], 2 * case.epochs + 1, settings, figures, packages), options.output)
