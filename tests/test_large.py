"""Arrays beyond the caches take other stores than small ones, and give the same results."""

import numpy as np
import pytest
from reference import THREADS

import fastconv
from fastconv import runtime

SHAPES = {"channels_last": (6, 112, 112, 64), "channels_first": (6, 64, 112, 112)}


def images(shape: tuple[int, ...]) -> np.ndarray:
    """Return small integers: sums are exact, ties are many."""
    return np.random.default_rng(7).integers(-9, 9, shape).astype("float32")


@pytest.mark.parametrize("data_format", SHAPES)
@pytest.mark.parametrize(("pool_size", "padding"), [(2, "valid"), (3, 1)])
def test_pooling(data_format: str, pool_size: int, padding: object, isa: str) -> None:
    x = images(SHAPES[data_format])
    arguments = {
        "pool_size": pool_size, "strides": 2, "padding": padding, "data_format": data_format,
    }  # fmt: skip
    singles = [
        fastconv.max_pool2d(x[i : i + 1], **arguments, return_indices=True) for i in range(6)
    ]
    y, indices = (np.concatenate(parts) for parts in zip(*singles, strict=True))
    mean = np.concatenate([fastconv.avg_pool2d(x[i : i + 1], **arguments) for i in range(6)])
    dx, dx_mean = (np.empty_like(x) for _ in range(2))
    for i in range(6):
        one = slice(i, i + 1)
        shape = x[one].shape
        dx[one] = fastconv.max_pool2d_backward(y[one], indices[one], shape, **arguments)
        dx_mean[one] = fastconv.avg_pool2d_backward(y[one], shape, **arguments)
    for threads in THREADS:
        with runtime.threads(threads):
            got = fastconv.max_pool2d(x, **arguments, return_indices=True)
            np.testing.assert_array_equal(got[0], y)
            np.testing.assert_array_equal(got[1], indices)
            np.testing.assert_array_equal(fastconv.avg_pool2d(x, **arguments), mean)
            back = fastconv.max_pool2d_backward(y, indices, x.shape, **arguments)
            np.testing.assert_array_equal(back, dx)
            back = fastconv.avg_pool2d_backward(y, x.shape, **arguments)
            np.testing.assert_array_equal(back, dx_mean)


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (5, 2)])
def test_depthwise(size: int, strides: int, isa: str) -> None:
    x = images((6, 112, 112, 64))
    kernel = images((size, size, 64, 1))
    arguments = {"strides": strides, "padding": "same"}
    y = np.concatenate(
        [fastconv.depthwise_conv2d(x[i : i + 1], kernel, **arguments) for i in range(6)]
    )
    backward = fastconv.depthwise_conv2d_backward
    dy = images(y.shape)  # 81 * 6 * 112 * 112 is below 2^24: sums are exact
    singles = [backward(dy[i : i + 1], x[i : i + 1], kernel, **arguments) for i in range(6)]
    dx = np.concatenate([single[0] for single in singles])
    for threads in THREADS:
        with runtime.threads(threads):
            np.testing.assert_array_equal(fastconv.depthwise_conv2d(x, kernel, **arguments), y)
            got = backward(dy, x, kernel, **arguments)
            np.testing.assert_array_equal(got[0], dx)
            np.testing.assert_array_equal(got[1], sum(single[1] for single in singles))
            np.testing.assert_array_equal(got[2], sum(single[2] for single in singles))


@pytest.mark.parametrize("data_format", SHAPES)
def test_global_pooling(data_format: str, isa: str) -> None:
    x = images(SHAPES[data_format])
    arguments = {"pool_size": 112, "data_format": data_format}
    axes = (1, 2) if data_format == "channels_last" else (2, 3)
    y, indices = fastconv.max_pool2d(x, **arguments, return_indices=True)
    np.testing.assert_array_equal(y, x.max(axes, keepdims=True))
    mean = x.mean(axes, keepdims=True, dtype=float)
    back = fastconv.avg_pool2d_backward(y, x.shape, **arguments)
    np.testing.assert_allclose(back, np.broadcast_to(y, x.shape) / 112**2, rtol=1e-6)
    dx = fastconv.max_pool2d_backward(y, indices, x.shape, **arguments)
    np.testing.assert_array_equal(np.sum(dx, axes, keepdims=True), y)
    np.testing.assert_array_equal(np.sum(dx != 0, axes, keepdims=True), y != 0)
    for threads in THREADS:
        with runtime.threads(threads):
            got = fastconv.max_pool2d(x, **arguments, return_indices=True)
            np.testing.assert_array_equal(got[0], y)
            np.testing.assert_array_equal(got[1], indices)
            # Sums of whole numbers below 2^24 are exact: only the division rounds.
            np.testing.assert_allclose(fastconv.avg_pool2d(x, **arguments), mean, rtol=1e-6)
            again = fastconv.avg_pool2d_backward(y, x.shape, **arguments)
            np.testing.assert_array_equal(again, back)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_first_layer(activation: str, isa: str) -> None:
    x, kernel = images((6, 113, 114, 3)), images((3, 3, 3, 64)) / 32
    arguments = {"padding": "same", "activation": activation, "algorithm": "winograd"}
    y = np.concatenate([fastconv.conv2d(x[i : i + 1], kernel, **arguments) for i in range(len(x))])
    for threads in THREADS:
        with runtime.threads(threads):
            np.testing.assert_array_equal(fastconv.conv2d(x, kernel, **arguments), y)


def test_weight_gradient(isa: str) -> None:
    x, dy = images((2, 9, 9, 384)), images((2, 9, 9, 512))
    kernel = np.zeros((3, 3, 384, 512), "float32")

    def dw(part: slice) -> np.ndarray:
        arguments = {"padding": "same", "algorithm": "winograd", "needs": ("dw",)}
        return fastconv.conv2d_backward(dy, x[..., part], kernel[:, :, part], **arguments)[1]

    # The sums of 384 channels fill over 16 MB, and dw goes past the caches; those of 64 do not.
    parts = [dw(slice(c, c + 64)) for c in range(0, 384, 64)]
    for threads in THREADS:
        with runtime.threads(threads):
            np.testing.assert_array_equal(dw(slice(0, 384)), np.concatenate(parts, 2))
