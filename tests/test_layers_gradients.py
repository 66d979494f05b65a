"""Gradients of every layer by central differences, in float64."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fastconv import config, layers, utils
from fastconv.layers.layer import Layer
from fastconv.models import Sequential
from fastconv.models._plan import Plan

#: Central differences of step h are off by O(h**2) from truncation and O(eps / h) from rounding:
#: with h = 1e-5 and values of order 1 that is 1e-10 and 1e-11; 1e-6 leaves room for curvature.
STEP, TOLERANCE = 1e-5, 1e-6

LAST: dict[str, Callable[[], Layer]] = {
    "conv": lambda: layers.Conv2D(4, 3),
    "conv relu same": lambda: layers.Conv2D(3, (2, 3), padding="same", activation="relu"),
    "conv strided": lambda: layers.Conv2D(3, 3, strides=2, padding="same", activation="tanh"),
    "conv grouped": lambda: layers.Conv2D(4, 2, groups=2, activation="sigmoid"),
    "conv dilated": lambda: layers.Conv2D(2, 2, dilation_rate=2, use_bias=False),
    "conv softmax": lambda: layers.Conv2D(3, 2, activation="softmax"),
    "conv gelu": lambda: layers.Conv2D(3, 2, activation="gelu"),
    "conv first": lambda: layers.Conv2D(3, 2, data_format="channels_first", activation="elu"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="softplus"),
    "depthwise first": lambda: layers.DepthwiseConv2D(
        2, padding="same", data_format="channels_first"
    ),
    "separable": lambda: layers.SeparableConv2D(3, 2, depth_multiplier=2, activation="silu"),
    "separable first": lambda: layers.SeparableConv2D(3, 2, data_format="channels_first"),
    "max pool": lambda: layers.MaxPooling2D(2, padding="same"),
    "max pool overlapping": lambda: layers.MaxPooling2D(3, strides=1),
    "max pool first": lambda: layers.MaxPooling2D(2, data_format="channels_first"),
    "average pool": lambda: layers.AveragePooling2D((2, 3), strides=2, padding="same"),
    "global average": lambda: layers.GlobalAveragePooling2D(),
    "global average kept": lambda: layers.GlobalAveragePooling2D("channels_first", keepdims=True),
    "global max": lambda: layers.GlobalMaxPooling2D(),
    "global max first": lambda: layers.GlobalMaxPooling2D("channels_first", keepdims=True),
    "batch norm": lambda: layers.BatchNormalization(),
    "batch norm first": lambda: layers.BatchNormalization(axis=1, scale=False),
    "dense": lambda: layers.Dense(5, activation="selu"),
    "dense softmax": lambda: layers.Dense(5, activation="softmax"),
    "flatten": lambda: layers.Flatten(),
    "flatten first": lambda: layers.Flatten("channels_first"),
    "reshape": lambda: layers.Reshape((2, -1)),
    "zero padding": lambda: layers.ZeroPadding2D(((1, 0), (2, 1))),
    "zero padding first": lambda: layers.ZeroPadding2D(1, data_format="channels_first"),
    "dropout": lambda: layers.Dropout(0.4, seed=3),
    "dropout noise shape": lambda: layers.Dropout(0.4, noise_shape=(None, 1, 1, None), seed=3),
    "relu": lambda: layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2),
    "leaky relu": lambda: layers.LeakyReLU(0.2),
    "softmax": lambda: layers.Softmax(),
    "softmax axis": lambda: layers.Softmax(axis=1),
    "rescaling": lambda: layers.Rescaling([2.0, 0.5, 1.0, -1.0], offset=0.3),
}
for name in [
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "leaky_relu",
    "gelu",
    "silu",
    "exponential",
    "hard_sigmoid",
    "relu6",
    "softmax",
    "log_softmax",
]:
    LAST[f"activation {name}"] = lambda name=name: layers.Activation(name)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    config.set_floatx("float64")
    utils.set_random_seed(5)
    yield
    config.set_floatx("float32")


def prepared(layer: Layer) -> tuple[Sequential, Plan, np.ndarray, np.ndarray]:
    """Return a model that ends in ``layer``, its plan, an input and a gradient of the output."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 4, 5, 4))
    first = layers.Dense(4, name="first")
    model = Sequential([layers.Input(x.shape[1:]), first, layer])
    for variable in model.weights:
        variable.assign(rng.uniform(0.2, 1.0, variable.shape) * rng.choice([-1, 1], variable.shape))
    if isinstance(layer, layers.BatchNormalization):
        layer.moving_variance.assign(np.abs(layer.moving_variance))
    plan = Plan(model.leaves(), x.shape, True, "float64")
    return model, plan, x, rng.standard_normal(plan.output_shape)


def value(plan: Plan, x: np.ndarray, weights: np.ndarray, model: Sequential) -> float:
    """Return the weighted sum of the outputs, with the same dropout masks every time."""
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.seed_state[1] = 0
    return float(np.sum(plan.forward(x) * weights))


@pytest.mark.parametrize("name", LAST)
def test_gradients_agree_with_central_differences(name: str) -> None:
    model, plan, x, weights = prepared(LAST[name]())
    value(plan, x, weights, model)
    plan.dy[...] = weights
    plan.backward()
    rng = np.random.default_rng(9)
    for variable in model.trainable_weights:
        flat, grad = variable.memory.reshape(-1), variable.grad.reshape(-1)
        for i in rng.choice(flat.size, min(flat.size, 6), replace=False):
            kept = flat[i]
            flat[i] = kept + STEP
            above = value(plan, x, weights, model)
            flat[i] = kept - STEP
            below = value(plan, x, weights, model)
            flat[i] = kept
            estimate = (above - below) / (2 * STEP)
            scale = max(1.0, abs(estimate))
            assert abs(grad[i] - estimate) <= TOLERANCE * scale, (variable.path, int(i))


def test_frozen_layers_get_no_gradient_and_pass_it_on() -> None:
    frozen = layers.Conv2D(3, 2, trainable=False)
    model, plan, x, weights = prepared(frozen)
    plan.forward(x)
    plan.dy[...] = weights
    plan.backward()
    assert not frozen.kernel.grad.any()
    assert model.get_layer("first").kernel.grad.any()


def test_batch_normalization_that_is_frozen_uses_moving_averages() -> None:
    layer = layers.BatchNormalization(trainable=False)
    _, plan, x, _ = prepared(layer)
    before = layer.get_weights()
    plan.forward(x)
    assert all((a == b).all() for a, b in zip(before, layer.get_weights(), strict=True))
