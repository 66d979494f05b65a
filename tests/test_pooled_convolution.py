"""A convolution and the max-pooling after it in one pass against one after the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import layers, models
from fastconv.functional import Program, conv2d, max_pool2d, pack_conv2d

UNTOUCHED = -7.5


@dataclass(frozen=True)
class Layer:
    """x (n, h, w, c), filters and a square kernel; whether the kernels pool while they compute."""

    shape: tuple[int, int, int, int]
    filters: int
    size: int
    at_once: bool
    padding: str = "same"
    algorithm: str = "auto"
    strides: int = 1


#: Few input channels by offsets, tiles of 4 x 4 and of 2 x 2 by Winograd: blocks of several tasks,
#: rows and images that end within one, filters one below, on and above vectors and panels. Then
#: what is pooled afterwards: odd outputs, tiles that lack outputs, the direct way with many
#: channels, and pixels that are channels.
LAYERS = {
    "first": Layer((5, 28, 28, 1), 32, 5, True, "valid"),
    "first-31": Layer((3, 12, 10, 1), 31, 5, True),
    "first-33": Layer((3, 12, 10, 1), 33, 5, True),
    "first-64": Layer((3, 12, 10, 1), 64, 5, True),
    "first-72": Layer((2, 14, 14, 3), 72, 5, True, "valid", algorithm="direct"),
    "first-pieces": Layer((2, 14, 14, 3), 72, 5, False, "valid"),
    "first-9": Layer((4, 14, 22, 1), 9, 5, True, "valid"),
    "first-8": Layer((4, 14, 22, 1), 8, 5, True, "valid"),
    "first-strided": Layer((2, 27, 35, 3), 40, 5, True, strides=2),
    "first-wide": Layer((1, 6, 500, 1), 16, 3, True, algorithm="direct"),
    "first-tall": Layer((1, 600, 4, 1), 16, 3, True, algorithm="direct"),
    "tiles": Layer((3, 12, 12, 32), 64, 3, True, algorithm="winograd"),
    "tiles-valid": Layer((2, 10, 14, 16), 24, 3, True, "valid", algorithm="winograd"),
    "tiles-40": Layer((9, 16, 20, 24), 40, 3, True, algorithm="winograd"),
    "tiles-65": Layer((2, 8, 8, 40), 65, 3, True, algorithm="winograd"),
    "tiles-many": Layer((4, 16, 16, 96), 100, 3, True, algorithm="winograd"),
    "tiles-few": Layer((1, 4, 4, 200), 200, 3, True, algorithm="winograd"),
    "small-tiles": Layer((3, 16, 12, 16), 24, 5, True, algorithm="winograd"),
    "pieces": Layer((2, 12, 12, 16), 16, 6, True, algorithm="winograd"),
    "odd": Layer((2, 13, 12, 16), 24, 3, False, algorithm="winograd"),
    "short-tiles": Layer((2, 14, 14, 16), 24, 3, False, algorithm="winograd"),
    "tiles-of-3": Layer((2, 12, 12, 16), 24, 4, False, algorithm="winograd"),
    "many": Layer((2, 12, 12, 64), 48, 3, False, algorithm="direct"),
    "images": Layer((64, 8, 8, 1), 2, 3, False),
}


def arrays(layer: Layer, dtype: str, bias: bool = True) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(layer.shape)
    kernel = rng.standard_normal((layer.size, layer.size, layer.shape[3], layer.filters))
    b = rng.standard_normal(layer.filters).astype(dtype) if bias else None
    return x.astype(dtype), kernel.astype(dtype), b


def options(layer: Layer, activation: str | None) -> dict[str, Any]:
    return {
        "padding": layer.padding,
        "algorithm": layer.algorithm,
        "strides": layer.strides,
        "activation": activation,
    }


def check(
    layer: Layer, x: Any, kernel: Any, bias: Any, indices: bool = True, **kwargs: Any
) -> bool:
    """Compare both ways, bit by bit; return whether the convolution's result was left out."""
    expected = max_pool2d(conv2d(x, kernel, bias, **kwargs), return_indices=True)
    y = np.full(conv2d(x, kernel, bias, **kwargs).shape, UNTOUCHED, x.dtype)
    with Program() as program:
        conv2d(x, kernel, bias, out=y, **kwargs)
        actual = max_pool2d(y, return_indices=indices)
    program.pool(0)
    actual = actual if indices else (actual,)
    for array in actual:
        array.fill(9)
    program.run()
    for a, b in zip(actual, expected, strict=False):
        np.testing.assert_array_equal(a, b)
    untouched = bool((y == UNTOUCHED).all())
    assert untouched or not (y == UNTOUCHED).any()
    return untouched


@pytest.mark.parametrize("name", LAYERS)
def test_results_are_the_same(name: str, isa: str, dtype: str) -> None:
    layer = LAYERS[name]
    if layer.algorithm == "winograd" and dtype == "float64":
        pytest.skip("Winograd's way is for float32")
    for activation, bias in (("relu", True), (None, False)):
        operands = arrays(layer, dtype, bias)
        kwargs = options(layer, activation)
        at_once = check(layer, *operands, **kwargs)
        # Plain C has no pieces: it is direct, by offsets. Products of several terms, of half a wide
        # vector of filters, are pooled afterwards.
        products = name == "first-8" and isa in ("avx512", "amx")
        direct = (layer.at_once and not products) or (name == "first-pieces" and isa == "scalar")
        assert at_once == (direct and dtype == "float32")
        check(layer, *operands, indices=False, **kwargs)


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.at_once])
def test_packed_weights(name: str, isa: str) -> None:
    layer = LAYERS[name]
    x, kernel, bias = arrays(layer, "float32")
    kwargs = options(layer, "relu")
    packed = pack_conv2d(x.shape, kernel, **{k: v for k, v in kwargs.items() if k != "activation"})
    check(layer, x, kernel, bias, packed=packed, **kwargs)


@pytest.mark.parametrize("name", ["first", "tiles", "tiles-many", "small-tiles"])
def test_threads_change_nothing(name: str) -> None:
    layer = LAYERS[name]
    for threads in (1, 2, 5):
        with fastconv.threads(threads):
            check(layer, *arrays(layer, "float32"), **options(layer, "relu"))


@pytest.mark.parametrize("name", ["first", "tiles", "small-tiles"])
def test_not_a_number_wins(name: str, isa: str) -> None:
    layer = LAYERS[name]
    x, kernel, bias = arrays(layer, "float32")
    x[0, 3, 4] = np.nan
    x[-1, 1, 1] = np.inf
    with np.errstate(invalid="ignore"):
        check(layer, x, kernel, bias, **options(layer, None))


@pytest.mark.parametrize(
    "pooling",
    [{"pool_size": 3}, {"pool_size": 2, "strides": 1}, {"pool_size": 3, "padding": "same"}],
    ids=str,
)
def test_other_windows_are_pooled_afterwards(pooling: dict[str, Any]) -> None:
    layer = LAYERS["tiles"]
    x, kernel, bias = arrays(layer, "float32")
    y = np.empty((*layer.shape[:3], layer.filters), np.float32)
    kwargs = options(layer, "relu")
    with Program() as program:
        conv2d(x, kernel, bias, out=y, **kwargs)
        actual = max_pool2d(y, **pooling)
    program.pool(0)
    program.run()
    np.testing.assert_array_equal(actual, max_pool2d(conv2d(x, kernel, bias, **kwargs), **pooling))


def test_other_records_stay_as_they_are() -> None:
    x = np.random.default_rng(0).random((2, 8, 8, 16), np.float32)
    with Program() as program:
        first = max_pool2d(x)
        second = max_pool2d(first)
    program.pool(0)
    program.run()
    np.testing.assert_array_equal(second, max_pool2d(max_pool2d(x)))
    with pytest.raises(ValueError, match="before the last of 2"):
        program.pool(1)


def test_prediction_does_not_write_what_is_pooled() -> None:
    """And its buffers take turns such that nothing is overwritten that is still read."""
    stack = [layers.Input((24, 24, 3))]
    for filters in (32, 40, 48):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu")]
        stack += [layers.MaxPooling2D()]
    model = models.Sequential([*stack, layers.Flatten(), layers.Dense(5)])
    x = np.random.default_rng(1).random((70, 24, 24, 3), np.float32)
    expected = x
    for layer in model.layers:
        expected = np.asarray(layer(expected))
    for batch_size in (1, 16, 70):
        actual = model.predict(x, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)  # float32, sums of 360


@pytest.mark.parametrize("activation", [lambda y: abs(y) - 1, "softmax", "tanh", None])
def test_activations_that_kernels_do_not_know(activation: Any) -> None:
    model = models.Sequential(
        [
            layers.Input((12, 12, 16)),
            layers.Conv2D(24, 3, padding="same", activation=activation),
            layers.MaxPooling2D(),
        ]
    )
    x = np.random.default_rng(1).standard_normal((3, 12, 12, 16), np.float32)
    expected = x
    for layer in model.layers:
        expected = np.asarray(layer(expected))
    for _ in range(2):
        np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=0, atol=1e-5)
