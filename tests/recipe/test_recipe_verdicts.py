"""Each verdict's decision, and that its sentence carries the numbers that it rests on."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from hpo.metrics import METRICS
from hpo.recipe.edges import Edge
from hpo.recipe.insight import Explained, Share, insight
from hpo.recipe.judging import Bar, Baseline, Proved, Tried
from hpo.recipe.noise import Comparison, Noise
from hpo.recipe.squeezing import TestScore, on_squeeze
from hpo.recipe.verdicts import (
    bar_from,
    on_baseline,
    on_data,
    on_overfit,
    on_regularize,
    on_tune,
    on_widening,
    with_insight,
)
from hpo.space import FloatRange
from hpo.values import Check, Status, Task, TaskFacts, Verdict

NOISE = Noise(metric_seeds=0.01, metric_rows=0.0, loss_seeds=0.02, loss_rows=0.0)
BASELINES = {"prior": Baseline(0.5, 0.7), "linear": Baseline(0.8, 0.5), "boosted_trees": Baseline(0.9, 0.4)}
BAR = Bar(METRICS["accuracy"], NOISE, prior_loss=0.7, floor=0.0, baselines=BASELINES)
RMSE = Bar(
    METRICS["rmse"], replace(NOISE, metric_seeds=1.0), 1.0, 0.0,
    {"prior": Baseline(77.0, 1.0), "linear": Baseline(55.0, 0.5)},
)  # fmt: skip


def trial(number: int = 0, value: float | None = 0.85, **more: Any) -> Tried:
    base = Tried(number, {"units": 8}, value, 0.1, 0.3, 0.95, 0.85, 100, "overfit")
    return replace(base, **more)


def proved(number: int, mean: float, losses: tuple[float, float], difference: Comparison | None = None) -> Proved:
    return Proved(trial(number), mean, *losses, difference)


GAIN = Comparison(0.05, 0.01, 0.02)
LUCK = Comparison(0.01, 0.01, 0.02)


def check(status: Status) -> Check:
    return Check("rows", status, "100", "9", "So few rows teach nothing.")


@pytest.mark.parametrize(
    ("status", "decision"), [(Status.PASSED, "go on"), (Status.WARNING, "go on"), (Status.FAILED, "stop")]
)
def test_failed_checks_stop_and_warnings_are_told(status: Status, decision: str) -> None:
    facts = TaskFacts(Task.BINARY, (4,), ("no", "yes"))
    data = on_data(facts, metric="accuracy", scale="standard", rows={"training": 9, "test": 3}, checks=[check(status)])
    baseline = on_baseline(BAR, [check(status)])
    assert (data.decision, baseline.decision) == (decision, decision)
    told = status is not Status.PASSED
    assert ("So few rows" in data.sentence) is told
    assert ("So few rows" in baseline.sentence) is told
    assert "9 training, 3 test" in data.sentence


def test_the_baseline_hands_on_its_bar() -> None:
    given = on_baseline(BAR, [])
    assert bar_from(given.hands_on, BAR.metric) == BAR
    assert given.hands_on["to_beat"] == "boosted_trees"
    assert "To beat: boosted trees at 0.9." in given.sentence
    assert on_baseline(RMSE, []).hands_on["to_beat"] == "linear"
    told = on_baseline(BAR, [], {"boosted_trees": "fitted on 9 of 10 rows, to save time"}).sentence
    assert "noise 0.01. Boosted trees: fitted on 9 of 10 rows, to save time. 0 of 0" in told


def test_overfit_takes_the_smallest_network_that_passes() -> None:
    tried = [
        trial(0, 0.004, training_loss=0.004, parameters=900),
        trial(1, 0.01, training_loss=0.01, parameters=200),
        trial(2, 0.009, training_loss=0.009, parameters=300),
        trial(3, 0.3, training_loss=0.3, parameters=5),
        trial(4, None, training_loss=nan, diagnosis="diverged"),
    ]
    given = on_overfit(tried, BAR, 0.02, "all 5 planned trials were used")
    assert given.decision == "go on"
    assert (given.hands_on["chosen"], given.hands_on["passed"]) == (1, True)
    assert given.sentence.startswith("5 trials (4 overfit, 1 diverged); all 5 planned trials were used.")
    for number in ("0.014", "3 of them pass", "Trial 1", "200", "0.01", "times the noise"):
        assert number in given.sentence, given.sentence


def test_overfit_asks_of_a_small_network_that_it_validates_as_well() -> None:
    tried = [
        trial(0, 0.004, training_loss=0.004, parameters=900, validation_metric=0.95),
        trial(1, 0.01, training_loss=0.01, parameters=200, validation_metric=0.95 - 2.1 * BAR.noise.metric),
        trial(2, 0.009, training_loss=0.009, parameters=300, validation_metric=0.95 - 1.9 * BAR.noise.metric),
    ]
    given = on_overfit(tried, BAR, 0.02, "")
    assert given.hands_on["chosen"] == 2
    assert "3 of them pass, 2 of which are not behind the best of these in accuracy" in given.sentence
    of_loss = replace(BAR, metric=METRICS["log_loss"])
    assert on_overfit(tried, of_loss, 0.02, "").hands_on["chosen"] == 1
    undefined = [replace(t, validation_metric=nan) for t in tried]
    assert on_overfit(undefined, BAR, 0.02, "").hands_on["chosen"] == 1


def test_overfit_says_why_none_passes() -> None:
    given = on_overfit([trial(0, 0.6, training_loss=0.6, validation_loss=0.6)], BAR, 0.02, "all were used")
    assert given.sentence.startswith("1 trial (1 overfit)")
    assert not given.hands_on["passed"]
    assert "None passes; trial 0 comes closest with 0.6" in given.sentence
    assert "even the training rows are not learned" in given.sentence
    assert "little to regularize" in given.sentence
    exploded = on_overfit([trial(0, 9.0, training_loss=9.0, validation_loss=9.0)], BAR, 0.02, "all were used")
    assert "worse than always predicting the prior" in exploded.sentence
    silent = replace(BAR, noise=Noise(0.0, 0.0, 0.0, 0.0))
    assert "inf" not in on_overfit([trial(0, 0.6, training_loss=0.6)], silent, 0.02, "").sentence


def regularize(*contenders: Proved, **more: Any) -> Verdict:
    settings: dict[str, Any] = {
        "earning": {}, "ended": "all were used", "gate_passed": True, "can_grow": ("units",), "sent_back": 0,
        "attempts": 2,
    }  # fmt: skip
    return on_regularize([trial(0), trial(1)], contenders, more.pop("bar", BAR), **settings | more)


@pytest.mark.parametrize(("after", "strength"), [(0.05, "strong"), (0.2, "mild"), (0.29, "no")])
def test_regularization_is_as_strong_as_the_share_of_the_gap_that_it_closes(after: float, strength: str) -> None:
    given = regularize(proved(0, 0.85, (0.1, 0.4)), proved(1, 0.9, (0.2, 0.2 + after), GAIN))
    assert given.hands_on["strength"] == strength
    assert (f"from 0.3 to {after:.3g}: {strength} regularization" in given.sentence) is (strength != "no")
    assert "a gain of 0.05, proved (more than 0.02)" in given.sentence
    assert given.figures["gain_proved"] == 1.0


def test_what_is_not_proved_is_not_called_a_gain() -> None:
    given = regularize(proved(0, 0.85, (0.1, 0.4)), proved(1, 0.86, (0.1, 0.4), LUCK))
    assert "no proved gain (that would take 0.02)" in given.sentence
    assert given.hands_on["chosen"] == 1
    assert given.figures["gain_proved"] == 0.0


def test_regularizers_earn_their_place_beyond_the_noise_of_the_seeds() -> None:
    given = regularize(proved(0, 0.85, (0.1, 0.4)), earning={"dropout": 0.03, "l2": 0.001})
    assert given.hands_on["earns"] == ["dropout"]
    assert "dropout (+0.03)" in given.sentence
    assert "nothing to hold against it" in given.sentence


LACKING = proved(0, 0.6, (0.5, 0.51))


def test_capacity_that_is_missing_sends_the_study_back() -> None:
    given = regularize(LACKING, gate_passed=False)
    assert given.decision == "more capacity"
    assert given.hands_on["grow"] == ["units"]
    assert "0.3 behind boosted trees" in given.sentence
    assert "more of units" in given.sentence


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"can_grow": ()}, "no range of it that can grow (units, "),
        ({"attempts": 0}, "recipe.attempts allows no going back"),
        ({"sent_back": 2}, "sent back 2 times already"),
        ({"sent_back": 1, "attempts": 1}, "sent back once already"),
        ({"used_up": True}, "too little of the budget is left"),
    ],
)
def test_why_it_is_not_sent_back_is_said(more: dict[str, Any], reason: str) -> None:
    given = regularize(LACKING, gate_passed=False, **more)
    assert given.decision == "go on"
    assert "lacks capacity" in given.sentence
    assert reason in given.sentence
    assert given.hands_on["grow"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"gate_passed": True},
        {"contender": proved(0, 0.89, (0.5, 0.51))},
        {"contender": proved(0, 0.6, (0.1, 0.5))},
        {"contender": proved(0, 0.5, (9.0, 9.0))},
    ],
    ids=["the gate was passed", "level with the best baseline", "a gap", "worse than the prior"],
)
def test_capacity_is_not_asked_for_without_need(more: dict[str, Any]) -> None:
    given = regularize(more.pop("contender", LACKING), **{"gate_passed": False} | more)
    assert given.decision == "go on"
    assert "lacks capacity" not in given.sentence


def test_smaller_is_better_for_errors() -> None:
    given = regularize(proved(0, 60.0, (0.5, 0.51)), proved(1, 70.0, (0.5, 0.51), LUCK), bar=RMSE, gate_passed=False)
    assert given.hands_on["chosen"] == 0
    assert "nothing beats the reference (trial 0), rmse 60" in given.sentence
    assert (given.decision, given.figures["behind"]) == ("more capacity", 5.0)


def test_a_reference_that_diverges_is_said_so() -> None:
    broken = proved(0, -inf, (nan, nan))
    beaten = regularize(broken, proved(1, 0.9, (0.1, 0.2)))
    alone = on_tune([trial(0)], [broken], BAR, ended="all were used")
    assert beaten.hands_on["chosen"] == 1
    assert "where the reference (trial 0) diverges" in beaten.sentence
    assert "handed on in doubt" in alone.sentence
    for sentence in (beaten.sentence, alone.sentence, regularize(broken, gate_passed=False).sentence):
        assert "nan" not in sentence
        assert "inf" not in sentence


@pytest.mark.parametrize(
    ("mean", "told"),
    [(0.7, "Still 0.2 behind boosted trees"), (0.97, "0.07 ahead of boosted trees"), (0.9, "Level with boosted trees")],
)
def test_tune_says_where_it_stands(mean: float, told: str) -> None:
    given = on_tune([trial(0)], [proved(0, mean, (0.1, 0.2))], BAR, ended="all were used")
    assert told in given.sentence
    assert given.hands_on == {"chosen": 0, "configuration": {"units": 8}}


def test_widening_names_range_and_trials() -> None:
    edge = Edge("learning_rate", "high", 3, 4, FloatRange(1e-4, 1e-2, True), FloatRange(1e-4, 1.0, True))
    given = on_widening([trial(0), trial(1, 0.9)], [edge], 1.0)
    assert given.decision == "widen"
    assert given.hands_on == {"ranges": {"learning_rate": {"float": [1e-4, 1.0], "log": True}}}
    assert "After 2 trials: 3 of the 4 best trials lie at the high end of learning_rate (0.01)" in given.sentence
    assert given.figures["best_trial"] == 1.0


def squeeze(**more: Any) -> Verdict:
    settings: dict[str, Any] = {
        "metric": METRICS["accuracy"], "seeds": [0.9, 0.92], "longer": LUCK, "epochs": 30, "members": ["seed 1"],
        "why": "the best seed, as asked", "single": 0.92, "together": 0.92,
        "scores": [TestScore("boosted_trees", 0.95, 0.9, 0.97), TestScore("final", 0.9, 0.85, 0.94)], "look": 2,
        "against": {"prior": (0.4, 0.01), "linear": (0.01, 0.02), "boosted_trees": (-0.05, 0.01)},
    }  # fmt: skip
    return on_squeeze(**settings | more)


def test_squeeze_tells_the_one_opening_and_who_wins() -> None:
    given = squeeze()
    wanted = (
        "between 0.9 and 0.92", "look number 2", "final 0.900 [0.850, 0.940]", "Boosted trees win by 0.05.",
        "Linear: level within the noise", "no proved gain (+0.01), used as not worse", "is one network",
    )  # fmt: skip
    for told in wanted:
        assert told in given.sentence, given.sentence
    assert given.figures["test_final"] == 0.9


def test_squeeze_counts_networks_and_seeds_truly() -> None:
    folded = squeeze(folds=3, diverged=1, longer=None)
    assert "the mean of 3 networks, one a fold (seed 1" in folded.sentence
    assert "1 more diverged. In 30 epochs a seed diverged." in folded.sentence
    assert "Training for 30 epochs was left out: the time was used up." in squeeze(longer=None, in_time=False).sentence
    several = squeeze(folds=3, members=["seed 1", "seed 2"])
    assert "the mean of 2 members, each the mean of 3 networks, one a fold" in several.sentence
    assert "the mean of 2 networks (seed 1, seed 2" in squeeze(members=["seed 1", "seed 2"]).sentence
    assert "is a proved gain of 0.05" in squeeze(longer=GAIN).sentence


def test_an_insight_stands_in_sentence_figures_and_what_is_handed_on() -> None:
    found = insight(Explained((Share("l2", 0.62, 0.48, 0.71, 0.7, 0.75),), (), 30))
    given = with_insight(Verdict("go on", "Done.", {"trials": 30.0}, {"chosen": 3}), found)
    assert given.sentence == "Done. l2 matters most (62 %, 48 to 71)."
    assert given.figures == {"trials": 30.0, "sensitivity_l2": 0.62}
    assert given.hands_on["chosen"] == 3
    assert given.hands_on["insight"]["shares"][0]["high"] == 0.71
