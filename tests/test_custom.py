"""Layers, losses, metrics and callbacks that users write, and the differentiation behind them."""

import numpy as np
import pytest

import fastconv
from fastconv import layers, losses, metrics, models, ops, optimizers, regularizers, saving, utils
from fastconv._autodiff import Tensor

rng = np.random.default_rng(0)
X = rng.standard_normal((12, 3)).astype("float32")
Y = rng.standard_normal((12, 2)).astype("float32")

#: Central differences in float64 with h = 1e-6: 1e-12 from truncation, 1e-10 from rounding.
STEP, TOLERANCE = 1e-6, 1e-7

A = rng.standard_normal((3, 4))
B = rng.standard_normal((3, 4))
POSITIVE = np.abs(A) + 0.5

EXPRESSIONS = {
    "arithmetic": (lambda x: (x * B + 2.0) / (1.0 + x * x) - x / 3.0 + 1.0 / POSITIVE * x, A),
    "broadcast": (lambda x: x * B[0] + np.ones((5, 1, 1)) * x, A),
    "power": (lambda x: x**3 + np.power(x, 2.5) + 2.0**x, POSITIVE),
    "logarithms": (lambda x: np.log(x) + np.log1p(x) + np.log2(x) + np.log10(x), POSITIVE),
    "exponentials": (lambda x: np.exp(x) + np.expm1(x) + np.tanh(x) + np.exp2(x), A),
    "roots": (lambda x: np.sqrt(x) + np.square(x) + np.reciprocal(x) + ops.rsqrt(x), POSITIVE),
    "waves": (lambda x: np.sin(x) + np.cos(x) + np.arctan(x) + np.sinh(x) + np.cosh(x), A),
    "absolute": (lambda x: np.abs(x) + np.maximum(x, 0.1) + np.minimum(x, B), A),
    "logaddexp": (lambda x: np.logaddexp(x, B), A),
    "sums": (lambda x: x.sum(axis=0) * np.sum(x, axis=1, keepdims=True) + x.mean(), A),
    "moments": (lambda x: np.var(x, axis=0) + np.std(x) + np.mean(x, axis=-1, keepdims=True), A),
    "extremes": (lambda x: np.max(x, axis=1) + np.min(x) + x.max(axis=1), A),
    "matmul": (lambda x: x @ A.T + A @ x.T + np.dot(x, B.T), A),
    "matrix by vector": (lambda x: x @ B[0], A),
    "vector by matrix": (lambda x: np.matmul(x[0], B.T) + x[1] @ B[2], A),
    "shapes": (lambda x: np.reshape(x, (2, 6)).T.ravel() * np.transpose(x).reshape(-1), A),
    "axes": (lambda x: np.expand_dims(x, 1) + np.swapaxes(x, 0, 1)[:, :, None], np.eye(4) + 1),
    "moveaxis": (lambda x: np.squeeze(np.moveaxis(x[None], 0, 2), 2), A),
    "index": (lambda x: x[1:, ::2] * x[0, 0] + x[[0, 0], [1, 1]], A),
    "choice": (lambda x: np.where(x > 0, x * 2.0, x * x) + np.clip(x, -0.5, 0.5), A),
    "joined": (lambda x: np.concatenate([x, x * 2.0]) + np.stack([x, B]).reshape(6, 4), A),
    "padded": (lambda x: np.pad(x, ((1, 0), (2, 1))) * 2.0, A),
    "repeated": (lambda x: np.broadcast_to(x[:1], (3, 4)) * B, A),
    "softmax": (lambda x: ops.softmax(x) * B + ops.log_softmax(x, axis=0), A),
    "logsumexp": (lambda x: ops.logsumexp(x, axis=1) + ops.norm(x, axis=1), A),
    "sigmoid": (lambda x: ops.sigmoid(x) * ops.gelu(x) + ops.silu(x) + ops.selu(x), A),
    "cast": (lambda x: ops.cast(x, "float64") * ops.stop_gradient(B), A),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_numpy_expressions_are_differentiated(name: str) -> None:
    function, point = EXPRESSIONS[name]
    tensor = Tensor(point)
    result = function(tensor)
    weights = rng.standard_normal(result.shape)
    result.backward(weights)
    for index in [(0, 0), (1, 2), (2, 1)]:
        moved = point.copy()
        moved[index] += STEP
        above = np.sum(function(moved) * weights)
        moved[index] -= 2 * STEP
        below = np.sum(function(moved) * weights)
        estimate = (above - below) / (2 * STEP)
        assert abs(tensor.grad[index] - estimate) <= TOLERANCE * max(1, abs(estimate))


def test_functions_without_a_rule_are_refused() -> None:
    with pytest.raises(TypeError, match="no automatic derivative"):
        np.sort(Tensor(A))
    with pytest.raises(TypeError, match="gradient would be lost"):
        np.asarray(Tensor(A))


class Affine(layers.Layer):
    """A Dense layer as users write it."""

    def __init__(self, units: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs: np.ndarray) -> np.ndarray:
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}


def trained(layer: layers.Layer, loss: object = "mse") -> tuple[models.Sequential, list[float]]:
    utils.set_random_seed(3)
    model = models.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layer])
    for i, variable in enumerate(model.weights):
        variable.assign(np.cos(np.arange(variable.size) + i).reshape(variable.shape))
    model.compile(optimizers.SGD(0.1), loss)
    return model, model.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"]


def test_a_custom_layer_trains_as_the_built_in_one() -> None:
    _, own = trained(Affine(2))
    _, built_in = trained(layers.Dense(2))
    np.testing.assert_allclose(own, built_in, rtol=1e-5)  # float32, another order of additions


def test_a_custom_layer_tells_its_output_shape() -> None:
    assert Affine(5).compute_output_shape is not None
    model = models.Sequential([layers.Input((3,)), Affine(5)])
    assert model.output_shape == (None, 5)
    assert model.count_params() == 20


class Block(layers.Layer):
    """A layer made of layers."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.first = layers.Dense(4, activation="relu")
        self.second = layers.Dense(2)

    def call(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        return self.second(self.first(x)) + (1.0 if training else 0.0)


def test_a_layer_made_of_layers_trains_all_their_weights() -> None:
    model = models.Sequential([layers.Input((3,)), Block()])
    assert [v.shape for v in model.weights] == [(3, 4), (4,), (4, 2), (2,)]
    before = model.get_weights()
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(model(X, training=True), model(X) + 1, rtol=1e-6)


def test_custom_layers_are_saved_and_loaded(tmp_path) -> None:
    model = models.Sequential([layers.Input((3,)), Affine(2), Block()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Unknown class 'Affine'"):
        models.load_model(tmp_path / "model.keras")
    known = {"Affine": Affine, "Block": Block}
    loaded = models.load_model(tmp_path / "model.keras", custom_objects=known)
    np.testing.assert_array_equal(model(X), loaded(X))
    with utils.custom_object_scope(known):
        np.testing.assert_array_equal(model(X), models.load_model(tmp_path / "model.keras")(X))


def test_registered_classes_need_no_custom_objects(tmp_path) -> None:
    @saving.register_keras_serializable(package="tests")
    class Twice(layers.Layer):
        def call(self, x: np.ndarray) -> np.ndarray:
            return x * 2

    model = models.Sequential([layers.Input((3,)), Twice()])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(models.load_model(tmp_path / "model.keras")(X), X * 2)


class HandWritten(layers.Layer):
    """A layer with its gradient written by hand."""

    def forward(self, x: np.ndarray, y: np.ndarray, state: object) -> None:
        np.multiply(x, 3, out=y)

    def backward(self, dy: np.ndarray, dx: np.ndarray | None, state: object) -> None:
        if dx is not None:
            np.multiply(dy, 3, out=dx)


def test_a_gradient_may_be_written_by_hand() -> None:
    class Automatic(layers.Layer):
        def call(self, x: np.ndarray) -> np.ndarray:
            return x * 3.0

    def curve(layer: layers.Layer) -> list[float]:
        utils.set_random_seed(1)
        model = models.Sequential([layers.Input((3,)), layers.Dense(2), layer])
        model.compile("sgd", "mse")
        return model.fit(X, Y, epochs=3, verbose=0).history["loss"]

    np.testing.assert_allclose(curve(HandWritten()), curve(Automatic()), rtol=1e-5)


def squared(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return fastconv.ops.mean(fastconv.ops.square(y_true - y_pred), axis=-1)


class Squared(losses.Loss):
    def call(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return squared(y_true, y_pred)


@pytest.mark.parametrize(
    "loss",
    [squared, Squared(), lambda t, p: np.mean((t - p) ** 2), losses.mean_squared_error],
    ids=["function", "class", "single number", "keras function"],
)
def test_custom_losses_train_as_the_built_in_one(loss) -> None:
    _, own = trained(layers.Dense(2), loss)
    _, built_in = trained(layers.Dense(2))
    np.testing.assert_allclose(own, built_in, rtol=1e-5)


def bias(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return y_pred - y_true


def test_functions_are_saved_by_name(tmp_path) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    wrapped = losses.LossFunctionWrapper(squared, name="wrapped")
    for loss in (squared, wrapped):
        model.compile("sgd", loss, metrics=[bias])
        model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="compile=False"):
            models.load_model(tmp_path / "model.keras")
        known = {"squared": squared, "bias": bias}
        loaded = models.load_model(tmp_path / "model.keras", custom_objects=known)
        assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_custom_metrics_functions_and_classes() -> None:
    class Largest(metrics.Metric):
        def __init__(self, name: str = "largest", **kwargs: object) -> None:
            super().__init__(name=name, **kwargs)
            self.value = self.add_weight(shape=(), initializer="zeros", name="value")

        def update_state(self, y_true, y_pred, sample_weight=None) -> None:
            self.value.assign(np.maximum(self.value, np.max(y_pred)))

        def result(self):
            return self.value

    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=[bias, Largest()])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    predictions = model.predict(X, verbose=0)
    assert set(logs) == {"loss", "bias", "largest"}
    np.testing.assert_allclose(logs["bias"], np.mean(predictions - Y), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["largest"], predictions.max(), rtol=1e-6)
    model.reset_metrics()
    assert float(model.metrics[1].result()) == 0


def test_custom_regularizers_constraints_and_initializers() -> None:
    def penalty(w: np.ndarray) -> np.ndarray:
        return 0.01 * np.sum(np.square(w))

    def curve(regularizer: object) -> list[float]:
        model = models.Sequential(
            [
                layers.Input((3,)),
                layers.Dense(
                    2,
                    kernel_initializer=lambda shape, dtype=None: np.full(shape, 0.5, dtype),
                    kernel_regularizer=regularizer,
                    kernel_constraint=lambda w: np.clip(w, -0.45, 0.45),
                ),
            ]
        )
        model.compile("sgd", "mse")
        history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"]
        assert np.abs(model.layers[0].kernel).max() <= np.float32(0.45)
        return history

    np.testing.assert_allclose(curve(penalty), curve(regularizers.L2(0.01)), rtol=1e-6)


def test_a_custom_optimizer_and_schedule() -> None:
    class Plain(optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate) -> None:
            variable.assign_sub(gradient * learning_rate)

    class Halving(optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 * 0.5**step

    def curve(optimizer: object) -> list[float]:
        utils.set_random_seed(1)
        model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
        model.compile(optimizer, "mse")
        return model.fit(X, Y, batch_size=4, verbose=0, shuffle=False).history["loss"]

    np.testing.assert_allclose(curve(Plain(Halving())), curve(optimizers.SGD(Halving())), rtol=1e-6)


def test_variables_take_part_in_numpy_expressions() -> None:
    variable = fastconv.Variable([1.0, 2.0])
    assert (variable + 1).tolist() == [2, 3]
    assert float(np.sum(variable)) == 3
    assert variable[1] == 2
    with pytest.raises(ValueError, match="must match"):
        variable.assign([1.0])
