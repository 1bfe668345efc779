"""The laws of a cohort: its runs train in one program and know nothing of each other."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from training_support import (
    CLASSES,
    NUMBERS,
    classes_fold,
    configured,
    numbers_fold,
    numbers_of,
    rich_space,
    session_for,
    space_of,
    space_with,
    trained,
)

from hpo.space.catalogue import ACTIVATIONS, BATCH_NORMALIZATION, INITIALIZERS, OPTIMIZERS, SCHEDULES, Kind
from hpo.training import backend, builder, compiled_engine, schedules
from hpo.training.dense import Dense
from hpo.training.losses import measured
from hpo.training.weights import set_exported_weights
from hpo.values import Outcome, RunRequest

SPACE = rich_space()
FOLDS = [classes_fold(i, rows=64) for i in (0, 1)]
BUSY = configured(
    SPACE, units=11, dropout=0.3, input_noise=0.2, l1=0.001, l2=0.01, batch_normalization="after", schedule="cosine",
    optimizer="adamw", activation="gelu", early_stopping=4,
)  # fmt: skip
OTHERS = [
    {"optimizer": "sgd", "learning_rate": 0.5, "activation": "relu", "units": 16, "early_stopping": 0},
    {"optimizer": "rmsprop", "schedule": "constant", "units": 3, "dropout": 0.0},
    {"optimizer": "nesterov", "activation": "tanh", "input_noise": 0.0, "l1": 0.2},
]


def cohort(slots=8, folds=FOLDS, configuration=BUSY, **more):
    return session_for(configuration, folds=folds, slots=slots, engine="compiled", **more)


def begin(session, slot, configuration=BUSY, seed=1, epochs=6, fold=0):
    session.put(slot, RunRequest(configuration, seed, fold, epochs))


def beside(session, slots):
    for i in slots:
        begin(session, i, {**BUSY, **OTHERS[i % 3]}, seed=50 + i, epochs=3 + i % 5, fold=i % 2)


@pytest.fixture(scope="module")
def alone():
    """The numbers of a run in an otherwise empty cohort."""
    return numbers_of(trained(cohort(), BUSY, epochs=6))


@pytest.mark.parametrize(("slots", "slot"), [(1, 0), (8, 7), (16, 11), (24, 2), (24, 20)])
def test_a_run_has_the_same_bits_in_any_slot_beside_anyone_at_any_size(alone, slots, slot):
    session = cohort(slots)
    beside(session, set(range(slots)) - {slot})
    begin(session, slot)
    session.advance(6)
    assert numbers_of(session.result(slot)) == alone


def test_a_run_has_the_same_bits_on_one_thread(alone, monkeypatch):
    monkeypatch.setattr(compiled_engine, "ThreadPoolExecutor", lambda _, name: ThreadPoolExecutor(1, name))
    session = cohort(24)
    beside(session, range(3, 24))
    begin(session, 0)
    session.advance(6)
    assert numbers_of(session.result(0)) == alone


def test_a_run_that_diverges_changes_no_neighbour():
    plain = configured(SPACE, optimizer="sgd", learning_rate=0.01)
    settings = {"folds": [numbers_fold()], "configuration": plain, "facts": NUMBERS}
    calm = numbers_of(trained(cohort(**settings), plain, epochs=5))
    session = cohort(**settings)
    begin(session, 1, plain, epochs=5)
    begin(session, 0, {**plain, "learning_rate": 1e4}, seed=2)
    sound = session.snapshot(0)
    for slot, value in ((2, np.inf), (3, np.nan), (4, 1e30)):
        broken = [np.full_like(w, value) for w in sound["weights"]]
        session.restore(slot, RunRequest(plain, 2, 0, 5), {**sound, "weights": broken})
    session.advance(5)
    for slot in (0, 2, 3, 4):
        result = session.result(slot)
        assert session.finished(slot)
        assert result.outcome is Outcome.DIVERGED
        assert len(result.curve) < 5
    assert session.result(1).outcome is Outcome.DONE
    assert numbers_of(session.result(1)) == calm
    session.free(3)
    begin(session, 3, plain, epochs=5)
    session.advance(5)
    assert numbers_of(session.result(3)) == calm


def test_the_same_seeds_give_the_same_cohort():
    def whole(seed):
        session = cohort(16)
        beside(session, range(1, 12))
        begin(session, 0, seed=seed)
        session.advance(3)
        begin(session, 13, seed=seed + 1)
        session.advance(5)
        return [numbers_of(session.result(i)) for i in (*range(12), 13)]

    once, again, other = whole(1), whole(1), whole(4)
    assert once == again
    assert once[0] != other[0]
    assert once[1:12] == other[1:12]


def test_changing_anything_but_structure_compiles_nothing(monkeypatch):
    traces, original = [], Dense.outputs_of
    monkeypatch.setattr(Dense, "outputs_of", lambda *a, **k: traces.append(1) or original(*a, **k))
    base = configured(SPACE, hidden_layers=1, units=20)
    changes = {
        "units": (17, 32), "activation": ACTIVATIONS, "initializer": INITIALIZERS, "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES, "learning_rate": (1e-3, 3.0), "momentum": (0.0, 0.5), "rho": (0.5,), "beta_1": (0.5,),
        "beta_2": (0.9,), "epsilon": (1e-3,), "weight_decay": (0.0, 0.5), "decay_rate": (0.1,), "decay_epochs": (1.0,),
        "alpha": (0.5,), "first_cycle": (2.0,), "cycle_growth": (1.0,), "warmup_epochs": (1.0,), "l1": (0.1,),
        "l2": (0.1,), "dropout": (0.5,), "input_noise": (0.5,), "early_stopping": (1,),
        "clip_norm": (0.1,), "power": (2.0,), "label_smoothing": (0.1,), "activation_noise": (0.5,),
        "weight_noise": (0.1,), "gradient_noise": (0.1,), "max_norm": (0.5,), "focal_gamma": (1.0,),
        "huber_delta": (0.5,), "class_weight": (0.5,),
    }  # fmt: skip
    free = {h.name for h in SPACE.hyperparameters if h.kind is not Kind.STRUCTURE} | {"units"}
    assert set(changes) == free
    session = cohort(8, configuration=base)
    begin(session, 0, base)
    session.result(0)
    session.advance(2)
    session.free(0)
    first = len(traces)
    assert first > 0
    for name, values in changes.items():
        for i, value in enumerate(values):
            trained(session, {**base, name: value}, seed=i, epochs=1 + i % 2, fold=i % 2, slot=i % 8)
    again = cohort(16, configuration={**base, "units": 30}, folds=[classes_fold(i, rows=64) for i in (5, 6)])
    begin(again, 9, base)
    again.result(9)
    again.advance(1)
    assert len(traces) == first
    wider = {**base, "units": 33}
    another = cohort(8, configuration=wider)
    begin(another, 0, wider)
    another.result(0)
    assert len(traces) > first


def test_who_comes_and_goes_changes_no_neighbour_and_each_has_its_own_epoch(alone):
    session = cohort(16)
    begin(session, 3)
    session.advance(1)
    beside(session, (0, 5, 9))
    session.advance(1)
    session.free(5)
    begin(session, 5)
    session.advance(2)
    moved = session.snapshot(5)
    session.free(5)
    session.free(0)
    session.restore(12, RunRequest(BUSY, 1, 0, 6), moved)
    begin(session, 0)
    session.advance(1)
    beside(session, (5, 6))
    session.advance(6)
    for slot in (3, 12, 0):
        assert numbers_of(session.result(slot)) == alone
    rates = [schedules.rates(BUSY, epoch=e, epochs=6, steps=4)[-1] for e in range(6)]
    np.testing.assert_allclose(session.result(12).curve.learning_rate, rates, rtol=1e-12)


@pytest.mark.parametrize("facts", [CLASSES, NUMBERS], ids=["classes", "numbers"])
@pytest.mark.parametrize("normalization", BATCH_NORMALIZATION)
def test_the_exported_model_predicts_what_the_run_predicted(normalization, facts):
    fold = numbers_fold(rows=64) if facts is NUMBERS else FOLDS[0]
    space = space_with("dropout")
    configuration = configured(
        space, units=11, batch_normalization=normalization, learning_rate=0.2, early_stopping=2, dropout=0.2,
    )  # fmt: skip
    session = cohort(8, [fold], configuration, facts=facts, space=space)
    begin(session, 6, configuration, epochs=60)
    session.advance(60)
    result, last = session.result(6), session.snapshot(6)["weights"]
    assert result.outcome is Outcome.STOPPED
    model = builder.build(space, configuration, facts, seed=8, runtime=False)
    for kept, final in zip(result.weights, last, strict=True):
        assert not np.array_equal(kept, final)
    set_exported_weights(model, result.weights)
    _, expected = measured(facts.task, fold.y_valid, backend.host(model(fold.x_valid)), fold)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(result.predictions, expected, rtol=0, atol=1e-5 * scale)


def test_a_part_that_the_space_rules_out_is_refused():
    plain = configured(SPACE)
    session = cohort(8, space=space_of(), configuration=plain)
    begin(session, 0, plain)
    for part in ({"dropout": 0.3}, {"input_noise": 0.1}, {"l1": 0.1}, {"l2": 0.1}, {"activation": "tanh"}):
        with pytest.raises(ValueError, match="another structure"):
            begin(session, 1, {**plain, **part})


def test_tensorflow_stays_out_of_a_process_with_jax():
    if backend.keras.backend.backend() != "jax":
        pytest.skip("the backend is TensorFlow")
    assert "tensorflow" not in sys.modules
