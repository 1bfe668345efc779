"""Densities are Optuna's, held against its own estimator."""

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from hpo.search.density import Axis, Density, Points
from hpo.search.tpe import by_age

OVER: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "share": FloatDistribution(-0.5, 0.5),
    "units": IntDistribution(8, 4096, log=True),
    "layers": IntDistribution(0, 40),
    "place": CategoricalDistribution(("none", "before", "after")),
    "only": CategoricalDistribution((1,)),
}
AXES = [Axis.of(d) for d in OVER.values()]


def points(count: int, seed: int) -> np.ndarray:
    """Spread evenly; whole numbers without repetition, for Optuna's widths of equal ones follow an unstable sort."""
    draw = np.random.default_rng(seed)
    found = np.stack([axis.uniform(draw.random(count)) for axis in AXES], axis=1)
    found[:, 2] = draw.permutation(np.arange(8, 4097))[:count]
    found[:, 3] = draw.permutation(41)[:count] if count <= 41 else found[:, 3]
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 3, 24, 25, 26, 41])
def test_the_density_is_optunas(count: int) -> None:
    seen, at = points(count, count), points(40, 99)
    ours = Density(AXES, seen, by_age(count))
    parameters = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)
    theirs = _ParzenEstimator({name: seen[:, c] for c, name in enumerate(OVER)}, OVER, parameters)
    expected = theirs.log_pdf({name: at[:, c] for c, name in enumerate(OVER)})
    # Theirs is over a real number's own scale (its logarithm, where drawn so), ours over the share of the range.
    widths = np.log(np.log(1.0 / 1e-5)) + np.log(1.0)
    assert np.log(ours.pdf(Points(AXES, at)) / ours.weights.sum()) - widths == pytest.approx(expected, abs=1e-9)


def test_weights_are_optunas() -> None:
    for count in (1, 24, 25, 26, 40, 300):
        assert by_age(count) == pytest.approx(default_weights(count))


def test_samples_lie_in_the_ranges_and_follow_the_density() -> None:
    """The mean over the density's own samples of 1 / density is the volume: whole numbers and choices are counted."""
    axes = AXES[:2] + AXES[3:5]
    ours = Density(axes, points(5, 1)[:, [0, 1, 3, 4]], np.ones(5))
    shares = np.random.default_rng(0).random((100_000, 5))
    drawn = ours.sample(shares)
    for c, axis in enumerate(axes):
        assert drawn[:, c].min() >= axis.low
        assert drawn[:, c].max() <= axis.high
    volume = np.mean(ours.weights.sum() / ours.pdf(Points(axes, drawn)))
    assert volume == pytest.approx(41 * 3, rel=0.02)


def test_samples_reach_every_value_and_the_very_ends() -> None:
    ends = np.stack([np.zeros(7), np.full(7, np.nextafter(1, 0))])
    ours = Density(AXES, points(3, 2), np.ones(3))
    assert np.isfinite(ours.sample(ends)).all()
    drawn = ours.sample(np.random.default_rng(1).random((5000, 7)))
    assert set(drawn[:, 3]) == set(range(41))
    assert set(drawn[:, 4]) == {0, 1, 2}


def test_a_kernel_beside_is_the_one_that_fitting_it_along_would_give() -> None:
    seen, at = points(6, 3), points(20, 5)
    inner = np.median(seen, axis=0, keepdims=True)  # off the ends, where the outermost kernels' rule is another
    inner[:, 2:5] = np.round(inner[:, 2:5])
    along = Density(AXES, np.concatenate([seen, inner]), np.ones(7))
    both = Points(AXES, np.concatenate([inner, at]))
    found = Density(AXES, seen, np.ones(6)).beside(0, both, 1)
    expected = np.exp(along.log_kernels(Points(AXES, at), range(len(AXES)))[:, 6])
    assert found == pytest.approx(expected)


def test_scaling_is_undone() -> None:
    at = points(30, 4)
    for c, axis in enumerate(AXES):
        if not axis.choices:
            assert axis.values(axis.scaled(at[:, c])) == pytest.approx(at[:, c])
