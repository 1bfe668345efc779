"""Slots and batches follow from counts: what is queued together, and what a structure was given before."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from run_support import SPACE, Bench, bench

from hpo.run import cohorts
from hpo.run.batches import batch_size, edge_check, next_batch, open_structures, structures
from hpo.run.closing import at_rungs
from hpo.run.cohorts import new_runs, planned
from hpo.studyfile.spec import TrainingSpec
from hpo.values import RunRequest


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def context(here: Bench) -> Any:
    return SimpleNamespace(
        queue=here.queue, study=here.study, spec=SimpleNamespace(training=TrainingSpec()),
        dataset=SimpleNamespace(facts=None), folds=[SimpleNamespace(x_train=range(n)) for n in (50, 40)], slots={},
    )  # fmt: skip


def asked(*widths: int) -> list[RunRequest]:
    return [RunRequest({**SPACE.default(), "units": w}, 1000 + k, 0, 3) for k, w in enumerate(widths)]


def test_runs_that_are_queued_together_share_slots_by_structure() -> None:
    def wanted(configuration: Any, runs: int) -> int:
        return int(configuration["units"]) * runs

    found = planned(["a", "b", "a"], [{"units": 5}, {"units": 7}, {"units": 5}], wanted, lambda names: {})
    assert found == {"a": 10, "b": 7}


@pytest.mark.parametrize("wants", [1, 4, 16])
def test_a_structure_keeps_the_slots_it_was_given(wants: int) -> None:
    assert planned(["a"], [{}], lambda c, runs: wants, lambda names: dict.fromkeys(names, 6)) == {"a": 6}


def test_slots_stay_with_a_structure_over_stages_and_purposes(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    def wanted(*, rows: int, runs: int, **_: Any) -> int:
        told.append((rows, runs))
        return 2 * runs

    monkeypatch.setattr(cohorts, "slots_for", wanted)
    ctx, baseline, tune = context(here), here.stage("baseline"), here.stage("tune")
    assert [r.slots for r in new_runs(ctx, SPACE, asked(8, 8, 64))] == [6, 6, 6]
    assert told == [(40, 3), (40, 3)], "rows of the smallest fold; a search's lone runs count as a cohort"
    here.trial(baseline, 0, units=8, slots=4, purpose="noise")
    here.trial(tune, 0, units=64, slots=32)
    here.trial(tune, 1, units=128)
    proof = new_runs(ctx, SPACE, asked(8, 8, 8, 64, 128), "proof")
    assert [(r.slots, r.purpose) for r in proof] == [(4, "proof")] * 3 + [(32, "proof"), (2, "proof")]
    leased = [here.queue.lease(here.study.id, "w", 9, 60)[0].slots for _ in range(3)]
    assert leased == [4, 32, 1]


@pytest.mark.parametrize(("trials", "size"), [(None, 32), (3, 4), (32, 4), (33, 5), (200, 25), (256, 32), (5000, 32)])
def test_a_batch_is_an_eighth_of_the_plan_within_bounds(trials: int | None, size: int) -> None:
    assert batch_size(None, trials) == size
    assert batch_size(7, trials) == 7


def test_few_trials_open_fewer_structures() -> None:
    assert [structures(None, n) for n in (3, 63, 64, 127, 128, None)] == [2, 2, 3, 3, 4, 4]
    assert structures(9, 3) == 9


@pytest.mark.parametrize("starts", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [1, 4, 7, 32])
@pytest.mark.parametrize("trials", [5, 24, 61])
def test_batches_end_where_counts_say_wherever_one_begins(starts: int, size: int, trials: int) -> None:
    ends = [starts]
    while ends[-1] < trials:
        ends.append(ends[-1] + next_batch(ends[-1], starts, size, trials))
    assert ends[-1] == trials
    assert edge_check(trials) in ends or edge_check(trials) < starts
    assert max(np.diff(ends), default=0) <= size
    for new in range(starts, trials):
        assert new + next_batch(new, starts, size, trials) == min(end for end in ends if end > new)


def test_without_a_plan_batches_are_all_of_one_size() -> None:
    assert [next_batch(n, 2, 32, None) for n in (2, 34, 40)] == [32, 32, 26]


def test_open_structures_are_the_last_ones_used_and_bounded() -> None:
    def trial(number: int, structure: str) -> Any:
        return SimpleNamespace(number=number, structure=structure, configuration={"number": number})

    used = [trial(n, s) for n, s in enumerate("abacbb")]
    assert [c["number"] for c in open_structures(used)] == [5, 3, 2]
    assert len(open_structures([trial(n, str(n)) for n in range(30)])) == 8


def test_rungs_are_means_over_folds_of_epochs_that_all_reached() -> None:
    one, two = np.arange(1.0, 19.0), np.arange(1.0, 19.0) + 2
    assert at_rungs([one, two], (2, 6, 18)) == {2: 3.0, 6: 7.0, 18: 19.0}
    assert at_rungs([one, two[:7]], (2, 6, 18)) == {2: 3.0, 6: 7.0}
    two[5] = math.inf
    assert at_rungs([one, two], (2, 6, 18)) == {2: 3.0, 18: 19.0}
    assert at_rungs([one[:1]], (1,)) == {1: 1.0}
    assert at_rungs([], (3, 9)) == {}
