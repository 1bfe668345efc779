"""Cohorts of few structures: the bound holds for every sampler, and what it leaves open is still searched."""

import math

import pytest
from test_search_search import Records, dimension

from hpo.search import PastTrial, Proposal, Search
from hpo.search.distributions import Terms
from hpo.search.structures import Structures, grafted, wanted
from hpo.search.trials import Trials
from hpo.space import Choice, FloatRange, Hyperparameter, IntRange, Kind, SearchSpace
from hpo.values import Configuration, Scalar

SAMPLERS = ("tpe", "random", "qmc", "cmaes")


class Rungs(SearchSpace):
    """Units count by the next power of two."""

    def structure(self, configuration: Configuration) -> dict[str, Scalar]:
        return super().structure(configuration) | {"units": 2 ** math.ceil(math.log2(float(configuration["units"])))}


def structural(name: str, range_: IntRange | Choice, default: Scalar, **when: tuple[Scalar, ...]) -> Hyperparameter:
    return Hyperparameter(name, "any", Kind.STRUCTURE, range_, default, tuple(when.items()))


SPACE = Rungs(
    "a:model",
    (
        dimension("optimizer", Choice(("sgd", "momentum")), "sgd"),
        dimension("momentum", FloatRange(0.5, 0.99), 0.9, (("optimizer", ("momentum",)),)),
        structural("units", IntRange(8, 512, log=True), 64),
        structural("layers", IntRange(1, 4), 2),
        structural("bottleneck", IntRange(2, 9), 2, layers=(3, 4)),
        dimension("dropout", FloatRange(0.0, 0.5), 0.0, (("layers", (2, 3, 4)),)),
        dimension("learning_rate", FloatRange(1e-5, 1.0, log=True), 1e-3),
    ),
)


def objective(configuration: Configuration) -> float:
    return abs(math.log10(float(configuration["learning_rate"])) + 2) + abs(float(configuration["layers"]) - 3)


def search(sampler: str, history: tuple[PastTrial, ...] = (), seed: int = 0) -> Search:
    return Search(SPACE, direction="minimize", sampler=sampler, seed=(seed,), startup=6, history=history)


def structures(proposals: list[Proposal]) -> list[Configuration]:
    found: list[Configuration] = []
    for p in proposals:
        if SPACE.structure(p.configuration) not in found:
            found.append(SPACE.structure(p.configuration))
    return found


def drive(sampler: str, bound: int | None, *, rebuild: bool = False, cohorts: int = 5, seed: int = 0) -> list[Proposal]:
    """Cohorts of twelve, each told before the next but for its last trial."""
    records, found = Records(), []
    one = search(sampler, seed=seed)
    for first in range(0, 12 * cohorts, 12):
        if rebuild:
            one = search(sampler, tuple(records.history()), seed)
        batch = one.ask(range(first, first + 12), structures=bound, open_=[p.configuration for p in found])
        records.asked(batch)
        found += batch
        for p in batch[:-1]:
            told = one.tell(p.number, objective(p.configuration))
            row = records.rows[p.number]
            row.update(state=told.state, value=told.value, attrs=row["attrs"] | dict(told.attrs))
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("bound", [1, 3])
def test_a_cohort_has_no_more_structures_than_it_may(sampler: str, bound: int) -> None:
    found = drive(sampler, bound)
    for first in range(0, 60, 12):
        assert len(structures(found[first : first + 12])) <= bound
    assert len(structures(drive(sampler, None)[:12])) > 3
    for p in found:
        assert SPACE.holds(p.configuration)
        assert p.varied == {h.name for h in SPACE.varying if SPACE.active(h.name, p.configuration)}
    assert len({p.configuration["learning_rate"] for p in found}) == 60


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_bounded_search_rebuilt_from_its_records_goes_on_bit_for_bit(sampler: str) -> None:
    resumed, whole = drive(sampler, 2, rebuild=True), drive(sampler, 2)
    assert [p.configuration for p in resumed] == [p.configuration for p in whole]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_bound_that_does_not_bind_changes_nothing(sampler: str) -> None:
    free = search(sampler).ask(range(12))
    assert [p.params for p in search(sampler).ask(range(12), structures=12)] == [p.params for p in free]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_the_better_half_of_what_is_open_stays(sampler: str) -> None:
    found = drive(sampler, 4, cohorts=3)
    best = min(found[:23] + found[24:35], key=lambda p: objective(p.configuration))  # two were never told
    one = search(sampler, tuple(PastTrial(p.number, p.configuration, None, "running", p.attrs) for p in found))
    for p in found[:23] + found[24:35]:
        one.tell(p.number, objective(p.configuration))
    batch = one.ask(range(36, 60), structures=2, open_=[p.configuration for p in found])
    assert SPACE.structure(best.configuration) in structures(batch)


def test_units_still_vary_within_a_rung() -> None:
    found = drive("tpe", 1)
    assert len({p.configuration["units"] for p in found[12:]}) > 3


def test_proposals_of_a_cohort_stay_apart() -> None:
    """The liar: with everything known about one good place, a cohort still does not crowd into it."""
    history = tuple(
        PastTrial(n, SPACE.default() | {"learning_rate": 10 ** -(5 * n / 60)}, abs(5 * n / 60 - 2), "complete")
        for n in range(61)
    )
    together = search("tpe", history).ask(range(61, 93), structures=2)
    apart = [search("tpe", history).ask([n], structures=2)[0] for n in range(61, 93)]

    def spread(proposals: list[Proposal]) -> float:
        return max(places := [math.log10(float(p.configuration["learning_rate"])) for p in proposals]) - min(places)

    assert spread(together) > spread(apart)


def test_wanted_are_the_kept_and_then_the_most_asked_for() -> None:
    a, b, c, d = ((("units", n),) for n in range(4))
    assert wanted([a], [b, c, c, d, a], 3) == [a, c, b]
    assert wanted([a, b], [], 1) == [a]
    assert wanted([], [b, c], 4) == [b, c]


def test_open_structures_are_ranked_by_their_best_trial_in_either_direction() -> None:
    terms = Terms(SPACE)
    rows = {n: terms.row(terms.params_of(SPACE.default() | {"units": n})) for n in (8, 16, 32)}
    for direction, order in (("minimize", [8, 32]), ("maximize", [16, 8])):
        trials = Trials(len(terms.names))
        for number, (units, value) in enumerate([(8, 5.0), (8, 1.0), (16, 9.0), (32, 2.0)]):
            trials.add(number, rows[units], "complete", value)
        known = Structures(terms, trials, direction)
        assert known.better_half([known.of(row) for row in rows.values()], 5) == [known.of(rows[n]) for n in order]


def test_a_graft_takes_the_structure_and_keeps_the_rest() -> None:
    terms = Terms(SPACE)

    def row(**values: Scalar) -> list[float]:
        return terms.row(terms.params_of(SPACE.default() | values))

    small = row(layers=1, learning_rate=0.5, optimizer="momentum", momentum=0.7)
    large = row(layers=4, bottleneck=7, dropout=0.25, units=300)
    found = terms.active_values(grafted(terms, small, large))
    assert found == {
        "optimizer": "momentum", "momentum": 0.7, "units": 300, "layers": 4, "bottleneck": 7, "dropout": 0.25,
        "learning_rate": 0.5,
    }  # fmt: skip
    back = terms.active_values(grafted(terms, large, small))
    assert back == {"optimizer": "sgd", "units": 64, "layers": 1, "learning_rate": 1e-3}


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one structure"):
        search("tpe").ask([0], structures=0)
