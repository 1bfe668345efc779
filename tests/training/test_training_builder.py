"""The networks: counts, order of layers, and the two forms of one network."""

import numpy as np
import pytest
from training_support import CLASSES, IMAGES, NUMBERS, configured, space_of

from hpo.errors import InputError
from hpo.training import backend, builder
from hpo.training.backend import keras
from hpo.training.layers import HashedDropout
from hpo.training.weights import exported_weights, set_exported_weights, trained_variables
from hpo.values import Task, TaskFacts

EVERYTHING = {"dropout": 0.3, "l1": 0.01, "l2": 0.02, "input_noise": 0.1}
SHAPES = [
    ("mlp", CLASSES, {}), ("mlp", CLASSES, {"hidden_layers": 0}), ("mlp", NUMBERS, {"hidden_layers": 3, "units": 5}),
    ("mlp", IMAGES, {}), ("cnn", IMAGES, {"filters": 3, "blocks": 2}),
    ("cnn", TaskFacts(Task.BINARY, (7, 5, 3), ("n", "y")), {"filters": 2, "blocks": 4, "kernel_size": 2}),
    ("cnn", IMAGES, {"filters": 3, "blocks": 1, "dense_units": 0, "pooling": "average"}),
]  # fmt: skip


@pytest.mark.parametrize("normalization", ["none", "before", "after"])
@pytest.mark.parametrize(("model", "facts", "values"), SHAPES)
def test_the_closed_count_is_the_built_one(model, facts, values, normalization):
    space = space_of(model)
    configuration = configured(space, batch_normalization=normalization, **EVERYTHING, **values)
    for runtime in (True, False):
        network = builder.build(space, configuration, facts, seed=0, runtime=runtime)
        built = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
        assert builder.count_parameters(space, configuration, facts) == built


def total(network):
    return float(backend.host(sum(network.losses)))


@pytest.mark.parametrize("normalization", ["none", "before", "after"])
@pytest.mark.parametrize(("model", "facts", "values"), SHAPES)
def test_both_forms_are_one_network(model, facts, values, normalization):
    space = space_of(model)
    configuration = configured(space, batch_normalization=normalization, **EVERYTHING, **values)
    ours = builder.build(space, configuration, facts, seed=4, runtime=True)
    stock = builder.build(space, configuration, facts, seed=5, runtime=False)
    x = np.random.default_rng(0).normal(size=(9, *facts.input_shape)).astype(np.float32)
    for variable in trained_variables(ours):
        if "moving" in variable.name:
            variable.assign(backend.host(variable) + 0.5)
    stock.set_weights(exported_weights(ours))
    np.testing.assert_array_equal(backend.host(stock(x)), backend.host(ours(x)))
    assert stock.output_shape == (None, facts.outputs)
    allowed = ("keras.layers", "keras.src.layers", "keras.src.models")
    assert all(type(layer).__module__.startswith(allowed) for layer in stock.layers)
    assert total(stock) == pytest.approx(total(ours), rel=1e-6)
    back = builder.build(space, configuration, facts, seed=6, runtime=True)
    set_exported_weights(back, [backend.host(w) for w in stock.weights])
    np.testing.assert_array_equal(backend.host(back(x)), backend.host(ours(x)))


@pytest.mark.parametrize("runtime", [True, False])
@pytest.mark.parametrize("normalization", ["before", "after"])
@pytest.mark.parametrize(("model", "facts", "values"), SHAPES)
def test_dropout_never_stands_before_a_batch_normalization(model, facts, values, normalization, runtime):
    space = space_of(model)
    configuration = configured(space, batch_normalization=normalization, dropout=0.3, **values)
    layers = builder.build(space, configuration, facts, seed=0, runtime=runtime).layers
    drops = [i for i, layer in enumerate(layers) if isinstance(layer, (HashedDropout, keras.layers.Dropout))]
    norms = [i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.BatchNormalization)]
    hidden = values.get("hidden_layers", 1) != 0
    assert len(drops) == (1 if hidden else 0)
    assert bool(norms) == hidden
    assert not drops or min(drops) > max(norms)


def test_without_normalization_every_hidden_layer_is_dropped():
    space = space_of()
    layers = builder.build(space, configured(space, hidden_layers=3, dropout=0.2), CLASSES, seed=0, runtime=True).layers
    assert sum(isinstance(layer, HashedDropout) for layer in layers) == 3


def test_absent_parts_are_not_built():
    space = space_of()
    network = builder.build(space, configured(space), CLASSES, seed=0, runtime=True)
    assert len(network.non_trainable_variables) == 0
    assert network.losses == []


def test_a_cnn_refuses_a_table():
    with pytest.raises(InputError, match="images of height"):
        builder.build(space_of("cnn"), configured(space_of("cnn")), CLASSES, seed=0, runtime=True)


def own_model(structure, input_shape, outputs):
    """A model of a user's own: its dropout rate is a variable, its weights are drawn without a seed."""
    assert set(structure) == {"batch_normalization", "weight_normalization", "batch_size", "loss"}
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(6, "relu")(inputs)
    x = HashedDropout("dropout", 0.0, 2, 0)(x)
    return keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Dropout(0.1)(x)))


def wrong_outputs(structure, input_shape, outputs):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Dense(outputs + 1)(inputs))


def no_model(structure, input_shape, outputs):
    return "a model"


def test_a_custom_model_takes_strengths_by_name_and_seeds():
    space = space_of("test_training_builder:own_model")
    configuration = configured(space, dropout=0.4)
    a, b, c = (builder.build(space, configuration, CLASSES, seed=s, runtime=True) for s in (1, 1, 2))
    values = {v.name: float(backend.host(v).ravel()[0]) for v in a.non_trainable_variables}
    assert values["dropout"] == pytest.approx(0.4)
    assert values["run_seed"] == 1
    same = [np.array_equal(backend.host(p), backend.host(q)) for p, q in zip(a.variables, b.variables, strict=True)]
    assert all(same)
    assert not np.array_equal(backend.host(a.weights[0]), backend.host(c.weights[0]))
    assert builder.count_parameters(space, configuration, CLASSES) == 5 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("test_training_builder:wrong_outputs", "outputs of shape"),
        ("test_training_builder:no_model", "str"),
        ("test_training_builder:missing", "no attribute|missing"),
        ("no_such_module:build", "No module"),
        ("test_training_builder:CLASSES", "cannot be called"),
    ],
)
def test_a_custom_model_that_cannot_be_used_is_an_input_error(path, message):
    space = space_of(path)
    with pytest.raises(InputError, match=message):
        builder.build(space, configured(space), CLASSES, seed=0, runtime=True)
