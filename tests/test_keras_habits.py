"""What programs written for Keras expect of models and layers beyond their values."""

import json

import numpy as np
import pytest

import fastconv as keras
from fastconv import callbacks, layers, losses, models, optimizers, saving

X = np.linspace(-1, 1, 40, dtype="float32").reshape(8, 5)
Y = X.sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)


class Twice(layers.Layer):
    """A layer of the program's own, with a part of its own."""

    def __init__(self, units: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)

    def call(self, x: object) -> object:
        return 2 * self.inner(x)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


def made(**kwargs: object) -> models.Sequential:
    model = models.Sequential([layers.Input((5,)), Twice(3), Twice(1)])
    model.compile("adam", "mse", metrics=["mae"], **kwargs)
    return model


def test_building_by_hand_is_noted() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    assert layer.built
    assert layer.count_params() == 8
    layer(np.zeros((1, 3)))
    assert len(layer.weights) == 2
    assert layer.get_build_config() == {"input_shape": [None, 3]}
    with pytest.raises(ValueError, match="expected ndim=4"):
        layers.Conv2D(1, 2).build((None, 3))


def test_weights_are_named_by_the_layers_they_are_in() -> None:
    model = made()
    assert [w.path for w in model.weights] == [
        "sequential/twice/dense/kernel",
        "sequential/twice/dense/bias",
        "sequential/twice_1/dense_1/kernel",
        "sequential/twice_1/dense_1/bias",
    ]


def test_parts_of_equal_names_do_not_share_an_entry_of_a_file(tmp_path) -> None:
    def model() -> models.Sequential:
        found = models.Sequential([layers.Input((5,)), Twice(5, name="a"), Twice(5, name="b")])
        for layer in found.layers:
            layer.inner.name = "inner"
        found.build((None, 5))
        return found

    first, second = model(), model()
    first.save_weights(tmp_path / "w.safetensors")
    second.load_weights(tmp_path / "w.safetensors")
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_clone_takes_the_programs_own_layers_and_is_compiled() -> None:
    model = made()
    copy = models.clone_model(model)
    assert isinstance(copy.layers[0], Twice)
    assert copy.optimizer is not model.optimizer
    before = model.get_weights()
    copy.fit(X, Y, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)

    def wider(layer: layers.Layer) -> layers.Layer:
        return Twice(4) if layer.units == 3 else Twice(1)

    assert models.clone_model(model, clone_function=wider).layers[0].units == 4
    with pytest.raises(ValueError, match="must be a Sequential"):
        models.clone_model(layers.Dense(1))


def test_the_text_of_a_model_says_how_it_is_compiled() -> None:
    model = models.Sequential([layers.Input((5,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.5), "mse", metrics=["mae"])
    text = model.to_json()
    assert json.loads(text)["compile_config"]["loss"] == "mse"
    again = models.model_from_json(text)
    assert again.compiled
    assert float(again.optimizer.learning_rate) == 0.5
    with pytest.raises(ValueError, match="JSON"):
        models.model_from_json("[")
    with pytest.raises(ValueError, match="Sequential"):
        models.model_from_json(json.dumps(saving.serialize_keras_object(layers.Dense(1))))


def test_inputs_and_outputs_have_shapes() -> None:
    model = models.Sequential([layers.Flatten(name="flat"), layers.Dense(2)])
    with pytest.raises(AttributeError, match="no defined input shape"):
        _ = model.input_shape
    with pytest.raises(AttributeError, match="no defined output"):
        _ = model.layers[0].output
    model.build((None, 3, 4))
    assert [layer.input.shape for layer in model.layers] == [(None, 3, 4), (None, 12)]
    assert [layer.output.shape for layer in model.layers] == [(None, 12), (None, 2)]
    assert model.inputs[0].shape == (None, 3, 4)
    assert model.outputs[0].shape == (None, 2)
    assert model.outputs[0].dtype == "float32"
    assert model.outputs[0].ndim == 2
    assert model.layers[1].compute_dtype == model.layers[1].variable_dtype == "float32"


def test_penalties_are_those_of_the_weights_in_training() -> None:
    model = models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones"),
            layers.Dense(1, kernel_regularizer="l1", kernel_initializer="ones"),
        ]
    )
    # 0.01 times 10 squares of 1, and times 2 values of 1
    assert model.losses == pytest.approx([0.1, 0.02])
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    assert model.losses == pytest.approx([0.02])
    errors = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(errors + 0.02, rel=1e-6)


def test_targets_broadcast_to_the_output() -> None:
    model = models.Sequential([layers.Input((5,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.1), "mse")
    targets = np.repeat(Y, 3, axis=1)
    other = models.clone_model(model)
    other.set_weights(model.get_weights())
    assert model.train_on_batch(X, targets) == pytest.approx(other.train_on_batch(X, Y))
    # The gradients of three columns are summed; here the output is the sum of X, so they vanish.
    assert losses.MeanSquaredError()(targets, model.predict(X, verbose=0)) == pytest.approx(0)


def test_hooks_get_a_dictionary(tmp_path) -> None:
    seen: dict[str, object] = {}

    class Look(callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen["train"] = dict(logs)

        def on_epoch_begin(self, epoch, logs=None):
            seen["epoch"] = dict(logs)

        def on_train_batch_begin(self, batch, logs=None):
            seen["batch"] = dict(logs)

        def on_test_begin(self, logs=None):
            seen["test"] = dict(logs)

    made().fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[Look()])
    assert seen == {"train": {}, "epoch": {}, "batch": {}, "test": {}}


def test_checkpoints_tell_when_they_are_done(tmp_path, capsys) -> None:
    name = str(tmp_path / "w.weights.h5")
    checkpoint = callbacks.ModelCheckpoint(name, save_weights_only=True, verbose=1)
    made().fit(X, Y, verbose=0, callbacks=[checkpoint])
    assert capsys.readouterr().out == (
        f"\nEpoch 1: saving model to {name}\n\nEpoch 1: finished saving model to {name}\n"
    )


@pytest.mark.parametrize("slope", [None, -0.1])
def test_a_leak_is_not_negative(slope: float | None) -> None:
    with pytest.raises(ValueError, match="negative_slope"):
        layers.LeakyReLU(slope)


def test_variables_show_their_values() -> None:
    assert repr(keras.Variable([1.0, 2.0], name="v")) == (
        "<Variable path=v, shape=(2,), dtype=float32, value=[1. 2.]>"
    )


def test_the_state_of_nadam_is_kept(tmp_path) -> None:
    model = models.Sequential([layers.Input((5,)), layers.Dense(1)])
    model.compile(optimizers.Nadam(0.1), "mse")
    model.fit(X, Y, epochs=3, verbose=0)
    # iteration, learning rate, two slots for each of two weights, the product of the warm-up
    assert len(model.optimizer.variables) == 7
    model.save(tmp_path / "m.keras")
    again = models.load_model(tmp_path / "m.keras")
    for _ in range(2):
        assert again.train_on_batch(X, Y) == model.train_on_batch(X, Y)


def test_a_figure_of_unknown_direction_needs_a_mode() -> None:
    for kind in (callbacks.EarlyStopping, callbacks.ReduceLROnPlateau):
        with pytest.raises(ValueError, match="Pass `mode='max'`"):
            made().fit(X, Y, verbose=0, callbacks=[kind(monitor="nothing")])


def test_layers_become_dictionaries_and_back() -> None:
    layer = layers.Dense(3, name="three")
    assert layers.deserialize(layers.serialize(layer)).get_config() == layer.get_config()
