"""The laws of a session, on both engines."""

from functools import cache

import numpy as np
import pytest
from training_support import (
    CLASSES,
    NUMBERS,
    classes_fold,
    configured,
    numbers_fold,
    numbers_of,
    session_for,
    space_of,
    space_with,
    trained,
)

from hpo.errors import InputError
from hpo.metrics import METRICS
from hpo.training import builder
from hpo.training.compiled_engine import CompiledSession
from hpo.training.engine import engine_for, open_session
from hpo.training.fit_engine import FitSession
from hpo.training.session import OutOfMemory, Session
from hpo.values import Outcome, RunRequest

SPACE = space_with("optimizer")
BUSY_SPACE = space_with("activation", "optimizer", "dropout", "input_noise", "l2")
BUSY = configured(BUSY_SPACE, dropout=0.3, input_noise=0.2, l2=0.01, batch_normalization="after", schedule="cosine")


def run(session, slot, configuration, seed=1, epochs=4, fold=0):
    session.put(slot, RunRequest(configuration, seed, fold, epochs))


@pytest.fixture(params=["fit", "compiled"])
def engine(request):
    return request.param


def opened(configuration, **more):
    return session_for(configuration, **{"space": SPACE, **more})


@cache
def _two(engine):
    return [session_for(BUSY, slots=3, engine=engine, space=BUSY_SPACE) for _ in range(2)]


@pytest.fixture
def two(engine):
    """Two sessions for BUSY, which compiled once for all tests."""
    yield _two(engine)
    for session in _two(engine):
        for slot in range(3):
            session.free(slot)


def test_a_session_is_one(engine):
    session: Session = session_for(BUSY, slots=2, engine=engine)
    assert isinstance(session, FitSession if engine == "fit" else CompiledSession)
    assert session.slots == 2


def test_the_same_run_whatever_ran_before(engine, two):
    session = two[0]
    first = trained(session, BUSY, seed=1)
    other = trained(session, {**BUSY, "optimizer": "rmsprop", "dropout": 0.5, "learning_rate": 0.1}, seed=2)
    trained(session, {**BUSY, "activation": "tanh", "l2": 0.0, "learning_rate": 1e4, "optimizer": "sgd"}, seed=3)
    again = trained(session, BUSY, seed=1)
    assert numbers_of(first) == numbers_of(again)
    fresh = session_for(BUSY, engine=engine, space=BUSY_SPACE)
    assert numbers_of(first) == numbers_of(trained(fresh, BUSY, seed=1))
    assert numbers_of(first) != numbers_of(other)
    assert numbers_of(first) != numbers_of(trained(session, BUSY, seed=2))


def test_the_same_run_in_any_slot_beside_anyone(two):
    session, elsewhere = two
    alone = numbers_of(trained(elsewhere, BUSY, seed=1, epochs=4))
    run(session, 0, {**BUSY, "learning_rate": 0.3}, seed=7, epochs=9)
    run(session, 2, BUSY, seed=1)
    session.advance(1)
    run(session, 1, {**BUSY, "optimizer": "momentum"}, seed=8)
    session.advance(1)
    session.free(0)
    run(session, 0, BUSY, seed=1)
    session.advance(2)
    assert session.finished(2)
    assert not session.finished(0)
    session.advance(2)
    assert numbers_of(session.result(2)) == alone
    assert numbers_of(session.result(0)) == alone


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_snapshot_goes_on_bit_for_bit(two, at):
    session, elsewhere = two
    stopping = {**BUSY, "early_stopping": 2}
    whole = trained(elsewhere, stopping, epochs=5)
    trained(elsewhere, BUSY, seed=9)
    run(session, 0, stopping, epochs=5)
    session.advance(at)
    snapshot = session.snapshot(0)
    session.advance(5)
    request = RunRequest(stopping, 1, 0, 5)
    elsewhere.restore(0, request, snapshot)
    assert elsewhere.finished(0) is False
    elsewhere.advance(5)
    assert numbers_of(elsewhere.result(0)) == numbers_of(whole) == numbers_of(session.result(0))
    session.free(0)
    session.restore(1, request, snapshot)
    session.advance(5)
    assert numbers_of(session.result(1)) == numbers_of(whole)


def test_an_ended_run_survives_a_snapshot(two):
    session = two[0]
    run(session, 0, BUSY, epochs=2)
    session.advance(2)
    ended, snapshot = session.result(0), session.snapshot(0)
    session.free(0)
    session.restore(0, RunRequest(BUSY, 1, 0, 2), snapshot)
    assert session.finished(0)
    session.advance(3)
    assert numbers_of(session.result(0)) == numbers_of(ended)


def test_a_diverged_run_is_a_result_and_touches_no_other(engine):
    configuration = configured(SPACE, optimizer="sgd", learning_rate=0.01)
    wild = {**configuration, "learning_rate": 1e4}
    session = opened(configuration, facts=NUMBERS, slots=2, engine=engine)
    run(session, 0, wild, epochs=6)
    run(session, 1, configuration, epochs=6)
    session.advance(6)
    diverged, calm = session.result(0), session.result(1)
    assert diverged.outcome is Outcome.DIVERGED
    assert session.finished(0)
    assert len(diverged.curve) < 6
    assert not np.isfinite(diverged.validation_loss)
    assert calm.outcome is Outcome.DONE
    assert numbers_of(calm) == numbers_of(
        trained(opened(configuration, facts=NUMBERS, engine=engine), configuration, epochs=6)
    )


def test_nothing_but_structure_and_kind_of_network_is_traced_again(monkeypatch):
    calls = []
    monkeypatch.setattr("hpo.training.program.program_loss", lambda *a, **more: calls.append(1) or original(*a, **more))
    from hpo.training.losses import program_loss as original

    session = session_for(BUSY, slots=2, folds=[classes_fold(0), classes_fold(1)])
    trained(session, BUSY)
    first = len(calls)
    assert first > 0
    for i, change in enumerate(
        [
            {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-4}, {"l2": 0.5, "l1": 0.1},
            {"dropout": 0.7, "input_noise": 0.9}, {"schedule": "warm_restarts", "warmup_epochs": 1.0},
            {"initializer": "orthogonal", "early_stopping": 3}, {"optimizer": "nesterov", "clip_norm": 0.1},
        ]
    ):  # fmt: skip
        trained(session, {**BUSY, **change}, seed=i, fold=i % 2, slot=i % 2, epochs=3 + i)
    assert len(calls) == first
    trained(session, {**BUSY, "optimizer": "lion"})
    second = len(calls)
    assert second > first
    trained(session, {**BUSY, "optimizer": "lion", "learning_rate": 0.2})
    assert len(calls) == second


def test_early_stopping_keeps_the_best_weights_and_statistics(engine):
    space = space_with(activation="tanh")
    configuration = configured(space, batch_normalization="before", learning_rate=0.3, early_stopping=3, units=32)
    fold = classes_fold(rows=32)
    session = opened(configuration, folds=[fold], engine=engine, space=space)
    result = trained(session, configuration, epochs=60)
    losses = result.curve.validation_loss
    assert result.outcome is Outcome.STOPPED
    assert result.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == result.best_epoch + 3
    assert result.validation_loss == losses.min()
    assert result.training_loss == result.curve.training_loss[result.best_epoch - 1]
    upto = trained(session, {**configuration, "early_stopping": 0}, epochs=result.best_epoch)
    names = [v.name for v in builder.build(space, configuration, CLASSES, seed=0, runtime=False).weights]
    assert "moving_variance" in names
    for name, kept, expected in zip(names, result.weights, upto.weights, strict=True):
        np.testing.assert_array_equal(kept, expected, err_msg=name)
    np.testing.assert_array_equal(result.predictions, upto.predictions)


def test_without_early_stopping_the_last_weights_are_kept(engine):
    configuration = configured(SPACE, learning_rate=0.3)
    result = trained(opened(configuration, engine=engine), configuration, epochs=6)
    assert result.best_epoch == len(result.curve) == 6
    assert result.validation_loss == result.curve.validation_loss[-1]
    assert result.gap == result.validation_loss - result.training_loss


def test_regression_scores_are_in_the_targets_own_unit(engine):
    configuration = configured(SPACE)
    fold = numbers_fold()
    result = trained(opened(configuration, facts=NUMBERS, folds=[fold], engine=engine), configuration)
    y = fold.y_valid * fold.target_scale + fold.target_offset
    assert result.predictions.shape == (40, 1)
    assert result.validation_metric == pytest.approx(METRICS["rmse"](y, result.predictions), rel=1e-6)
    assert result.validation_metric == pytest.approx(20 * np.sqrt(result.validation_loss), rel=1e-4)


def test_each_epoch_has_its_own_rows_by_run_and_epoch():
    session = opened(configured(SPACE))
    run(session, 0, configured(SPACE), seed=3)
    held, program = session._slots[0], session._slots[0].program
    orders = []
    for epoch in (0, 1, 0):
        session.begin_epoch(held, epoch)
        orders.append(np.array(program.trainee.order.value.numpy()))
    assert orders[0].shape == (100 // 16, 16)
    assert len(np.unique(orders[0])) == 96
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], orders[2])


def test_a_batch_larger_than_the_data_is_clipped(engine):
    configuration = configured(SPACE, batch_size=5000)
    whole = trained(opened(configuration, engine=engine), configuration)
    fitting = configured(SPACE, batch_size=100)
    assert numbers_of(whole) == numbers_of(trained(opened(fitting, engine=engine), fitting))


def test_folds_of_two_sizes_train(engine):
    configuration = configured(SPACE)
    folds = [classes_fold(0, rows=100), classes_fold(1, rows=101)]
    session = opened(configuration, folds=folds, slots=2, engine=engine)
    run(session, 0, configuration, fold=0)
    run(session, 1, configuration, fold=1)
    session.advance(4)
    for i in (0, 1):
        expected = trained(opened(configuration, folds=folds, engine=engine), configuration, fold=i, epochs=4)
        assert numbers_of(session.result(i)) == numbers_of(expected)
    assert session.result(0).validation_loss != session.result(1).validation_loss


def test_the_limit_caps_epochs(engine):
    session = opened(configured(SPACE), limit_epochs=2, engine=engine)
    result = trained(session, configured(SPACE), epochs=50)
    assert len(result.curve) == 2
    assert result.outcome is Outcome.DONE


def test_a_run_that_has_not_begun_has_a_result(engine):
    session = opened(configured(SPACE), engine=engine)
    run(session, 0, configured(SPACE))
    result = session.result(0)
    assert len(result.curve) == result.best_epoch == 0
    assert np.isfinite(result.validation_loss)


def test_misuse_of_slots_is_refused(engine):
    session = opened(configured(SPACE), engine=engine)
    with pytest.raises(ValueError, match="empty"):
        session.result(0)
    run(session, 0, configured(SPACE))
    with pytest.raises(ValueError, match="taken"):
        run(session, 0, configured(SPACE))
    session.free(0)
    with pytest.raises(ValueError, match="another structure"):
        run(session, 0, configured(SPACE, units=17))
    run(session, 0, configured(SPACE, units=9))
    session.close()


def test_bad_settings_are_input_errors():
    one = configured(SPACE, batch_size=1, batch_normalization="before")
    with pytest.raises(InputError, match="at least two rows") as caught:
        session_for(one, precision="half")
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="auto or compiled or fit"):
        open_session(space=SPACE, structure=one, facts=CLASSES, folds=[classes_fold()], metric=METRICS["accuracy"],
                     engine="warp")  # fmt: skip
    session_for({**one, "batch_normalization": "none"})


def test_the_engine_is_chosen_with_a_reason():
    def chosen(model="mlp", slots=8, **more):
        return engine_for(space=space_of(model), slots=slots, **more)

    assert chosen()[0] == "compiled"
    assert chosen(slots=2) == ("fit", "fewer than 3 runs of this structure: a block of slots would be mostly empty")
    assert chosen(slots=2, engine="compiled") == ("compiled", "asked for")
    assert chosen(engine="fit") == ("fit", "asked for")
    assert chosen("cnn", engine="compiled")[0] == "fit"
    assert "convolutions" in chosen("cnn")[1]
    assert "user's own" in chosen("test_training_builder:own_model")[1]
    assert "mixed precision" in chosen(precision="mixed")[1]


def test_mixed_precision_keeps_32_bit_weights_and_learns():
    configuration = configured(SPACE, learning_rate=0.03, batch_normalization="after", dropout=0.1, l2=1e-4)
    session = opened(configuration, precision="mixed")
    assert trained(session, configuration, epochs=1).predictions.dtype == np.float32
    result = trained(session, configuration, epochs=15)
    exact = trained(opened(configuration), configuration, epochs=15)
    assert {w.dtype for w in result.weights} == {np.dtype(np.float32)}
    assert result.training_loss == pytest.approx(exact.training_loss, abs=0.15)
    assert result.training_loss < 0.7 * result.curve.training_loss[0]


def test_a_custom_model_trains_and_repeats():
    space = space_of("test_training_builder:own_model")
    configuration = configured(space, dropout=0.2, learning_rate=0.02)
    session = session_for(configuration, model=space.model)
    first = trained(session, configuration, epochs=5)
    trained(session, {**configuration, "dropout": 0.0}, seed=2)
    assert numbers_of(trained(session, configuration, epochs=5)) == numbers_of(first)
    assert first.training_loss < first.curve.training_loss[0]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating")])
def test_a_device_without_room_says_so(error, monkeypatch):
    session = session_for(BUSY, engine="compiled", slots=8, space=BUSY_SPACE)
    run(session, 0, BUSY)

    def full(*arguments):
        raise error

    monkeypatch.setattr(session._program, "epoch", full)
    with pytest.raises(OutOfMemory):
        session.advance(1)
