"""The NumPy reference against the definitions spelled out in loops, and golden values."""

from typing import Any

import numpy as np
import pytest
from conv_cases import BY_NAME, Conv
from depthwise_cases import DEPTHWISE, Depthwise
from reference import random

from fastconv import _shapes, config, reference

CONVS = [
    BY_NAME[name]
    for name in [
        "c3k4",
        "kernel2x2c4-same",
        "stride12k33-same",
        "stride52k32-valid",
        "dilation2-stride2",
        "dilation-wider-than-image",
        "groups3-odd",
        "padding-uneven-stride2",
        "padding-wider-than-kernel",
        "image1x1-kernel5x5",
    ]
]
DEPTHWISES = [c for c in DEPTHWISE if c.name in ("c3m3", "stride32", "padding-uneven")]


def looped_conv(x: np.ndarray, kernel: np.ndarray, conv: Conv | Depthwise) -> np.ndarray:
    """The definition of a convolution, one product at a time; depthwise for a Depthwise."""
    padding = _shapes.normalize_padding(conv.padding)
    (oh, top, _), (ow, left, _) = _shapes.conv_axes(
        (conv.h, conv.w), conv.kernel, conv.strides, conv.dilation, padding
    )
    depthwise = isinstance(conv, Depthwise)
    groups, filters = (conv.c, conv.c * conv.m) if depthwise else (conv.groups, conv.k)
    per_group = 1 if depthwise else conv.c // conv.groups
    weights = kernel.reshape(*conv.kernel, 1, filters) if depthwise else kernel
    y = np.zeros((conv.n, oh, ow, filters))
    for b, i, j, k in np.ndindex(y.shape):
        first = k // (filters // groups) * per_group
        for di, dj, c in np.ndindex(*conv.kernel, per_group):
            row = i * conv.strides[0] + di * conv.dilation[0] - top
            column = j * conv.strides[1] + dj * conv.dilation[1] - left
            if 0 <= row < conv.h and 0 <= column < conv.w:
                y[b, i, j, k] += x[b, row, column, first + c] * weights[di, dj, c, k]
    return y


@pytest.mark.parametrize("case", CONVS, ids=str)
def test_conv2d_is_its_definition(case: Conv) -> None:
    x, kernel = random(case.x_shape, "float64"), random(case.kernel_shape, "float64")
    y = reference.conv2d(x, kernel, **case.arguments)
    np.testing.assert_allclose(y, looped_conv(x, kernel, case), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", DEPTHWISES, ids=str)
def test_depthwise_conv2d_is_its_definition(case: Depthwise) -> None:
    x, kernel = random(case.x_shape, "float64"), random(case.kernel_shape, "float64")
    y = reference.depthwise_conv2d(x, kernel, **case.arguments)
    np.testing.assert_allclose(y, looped_conv(x, kernel, case), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [*CONVS, *DEPTHWISES], ids=str)
def test_gradients_are_the_adjoint(case: Conv | Depthwise) -> None:
    """A convolution is linear in x and in the kernel: <dy, conv(v, w)> = <dx, v>, and so on."""
    names = ("conv2d", "conv2d_backward")
    if isinstance(case, Depthwise):
        names = ("depthwise_conv2d", "depthwise_conv2d_backward")
    forward, backward = (getattr(reference, name) for name in names)
    x, v = (random(case.x_shape, "float64", i) for i in "xv")
    w, u = (random(case.kernel_shape, "float64", i) for i in "wu")
    dy = random(forward(x, w, **case.arguments).shape, "float64", "dy")
    dx, dw, db = backward(dy, x, w, **case.arguments)
    assert np.vdot(dx, v) == pytest.approx(np.vdot(dy, forward(v, w, **case.arguments)), rel=1e-10)
    assert np.vdot(dw, u) == pytest.approx(np.vdot(dy, forward(x, u, **case.arguments)), rel=1e-10)
    np.testing.assert_allclose(db, dy.sum((0, 1, 2)), rtol=1e-12)


def test_channels_first_is_a_transposition() -> None:
    x, kernel = random((2, 6, 5, 4), "float64"), random((3, 3, 4, 6), "float64")
    first = x.transpose(0, 3, 1, 2)
    y = reference.conv2d(x, kernel, padding="same")
    y_first = reference.conv2d(first, kernel, padding="same", data_format="channels_first")
    np.testing.assert_allclose(y_first, y.transpose(0, 3, 1, 2), rtol=1e-12)
    dx, dw, db = reference.conv2d_backward(y, x, kernel, padding="same")
    dx_first, dw_first, db_first = reference.conv2d_backward(
        y_first, first, kernel, padding="same", data_format="channels_first"
    )
    np.testing.assert_allclose(dx_first, dx.transpose(0, 3, 1, 2), rtol=1e-12)
    np.testing.assert_allclose(dw_first, dw, rtol=1e-12)
    np.testing.assert_allclose(db_first, db, rtol=1e-12)
    pooled, pooled_first = (
        reference.max_pool2d(a, 3, 2, "same", f, return_indices=True)
        for a, f in [(x, "channels_last"), (first, "channels_first")]
    )
    for a, b in zip(pooled, pooled_first, strict=True):
        np.testing.assert_array_equal(b, a.transpose(0, 3, 1, 2))


def test_default_data_format_is_the_configured_one() -> None:
    x, kernel = np.ones((1, 2, 4, 5)), np.ones((1, 1, 2, 3))
    config.set_image_data_format("channels_first")
    try:
        assert reference.conv2d(x, kernel).shape == (1, 3, 4, 5)
    finally:
        config.set_image_data_format("channels_last")


def test_examples_of_the_lecture() -> None:
    """A 3x3 image under one 2x2 filter: 2x2 results for 'valid', 3x3 for 'same'."""
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    valid = reference.conv2d(x, kernel)[0, :, :, 0]
    np.testing.assert_array_equal(valid, [[27, 37], [57, 67]])
    same = reference.conv2d(x, kernel, padding="same")[0, :, :, 0]
    np.testing.assert_array_equal(same, [[27, 37, 17], [57, 67, 29], [20, 23, 8]])


@pytest.mark.parametrize("activation", [None, "linear", "relu", "sigmoid", "tanh"])
def test_bias_and_activation(activation: str | None) -> None:
    x, kernel, bias = np.array([[1.0, -2.0]]), np.eye(2), np.array([0.5, 0.25])
    sums = np.array([[1.5, -1.75]])
    expected = {
        "relu": np.array([[1.5, 0.0]]),
        "sigmoid": 1 / (1 + np.exp(-sums)),
        "tanh": np.tanh(sums),
    }.get(str(activation), sums)
    np.testing.assert_allclose(
        reference.dense(x, kernel, bias, activation=activation), expected, rtol=1e-14
    )
    image = x.reshape(1, 1, 1, 2)
    y = reference.conv2d(image, kernel.reshape(1, 1, 2, 2), bias, activation=activation)
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-14)
    y = reference.depthwise_conv2d(image, np.ones((1, 1, 2, 1)), bias, activation=activation)
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-14)


def test_average_pool_leaves_padding_out() -> None:
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    y = reference.avg_pool2d(x, 2, 2, "same")
    np.testing.assert_array_equal(y[0, :, :, 0], [[2, 3.5], [6.5, 8]])
    dx = reference.avg_pool2d_backward(np.ones_like(y), x.shape, 2, 2, "same")
    quarter, half = 0.25, 0.5
    np.testing.assert_array_equal(
        dx[0, :, :, 0],
        [[quarter, quarter, half], [quarter, quarter, half], [half, half, 1]],
    )


@pytest.mark.parametrize(
    ("window", "winner"),
    [
        ([1, 2, 2, 1], 1),
        ([3, 3, 3, 3], 0),
        ([0, -0.0, 1, 1], 2),
        ([np.nan, 5, np.nan, 6], 0),
        ([7, 5, np.nan, np.inf], 2),
        ([1, 2, 3, np.nan], 3),
        ([-np.inf] * 4, 0),
        ([-np.inf, np.nan, -np.inf, np.nan], 1),
        ([-np.inf, -np.inf, -np.inf, -1e30], 3),
    ],
)
def test_winner_of_a_window(window: list[float], winner: int) -> None:
    x = np.array(window, float).reshape(1, 2, 2, 1)
    y, indices = reference.max_pool2d(x, return_indices=True)
    assert indices.dtype == np.uint8
    assert indices.item() == winner
    np.testing.assert_array_equal(y.item(), window[winner])
    dx = reference.max_pool2d_backward(np.full((1, 1, 1, 1), 2.0), indices, x.shape)
    assert np.flatnonzero(dx).tolist() == [winner]
    assert dx.sum() == 2


def test_padding_never_wins() -> None:
    x = np.full((1, 3, 3, 1), -np.inf)
    y, indices = reference.max_pool2d(x, 3, 2, ((1, 1), (2, 2)), return_indices=True)
    assert (y == -np.inf).all()
    # Row 0 of the first windows is padding, and so are columns 0 and 1.
    np.testing.assert_array_equal(indices[0, :, :, 0], [[5, 3, 3], [2, 0, 0]])


@pytest.mark.parametrize("padding", ["valid", "same", ((1, 0), (0, 1))])
@pytest.mark.parametrize(("pool", "strides"), [((2, 2), None), ((3, 3), 2), ((2, 3), (3, 1))])
def test_pooling_is_its_definition(padding: Any, pool: tuple[int, int], strides: Any) -> None:
    x = random((2, 6, 7, 3), "float64")
    steps = _shapes.normalize_pair(strides or pool, "strides")
    (oh, top, _), (ow, left, _) = _shapes.pool_axes(
        (6, 7), pool, steps, _shapes.normalize_padding(padding)
    )
    dy = random((2, oh, ow, 3), "float64", "dy")
    dx_max, dx_mean = np.zeros_like(x), np.zeros_like(x)
    y_max, y_mean = np.empty_like(dy), np.empty_like(dy)
    for b, i, j, c in np.ndindex(dy.shape):
        row, column = i * steps[0] - top, j * steps[1] - left
        inside = (
            b,
            slice(max(row, 0), row + pool[0]),
            slice(max(column, 0), column + pool[1]),
            c,
        )
        window = x[inside]
        y_max[b, i, j, c], y_mean[b, i, j, c] = window.max(), window.mean()
        dx_max[inside] += dy[b, i, j, c] * (window == window.max())
        dx_mean[inside] += dy[b, i, j, c] / window.size
    y, indices = reference.max_pool2d(x, pool, strides, padding, return_indices=True)
    np.testing.assert_array_equal(y, y_max)
    np.testing.assert_array_equal(reference.max_pool2d(x, pool, strides, padding), y_max)
    np.testing.assert_allclose(reference.avg_pool2d(x, pool, strides, padding), y_mean, atol=1e-14)
    shape = x.shape
    dx = reference.max_pool2d_backward(dy, indices, shape, pool, strides, padding)
    np.testing.assert_allclose(dx, dx_max, atol=1e-14)
    dx = reference.avg_pool2d_backward(dy, shape, pool, strides, padding)
    np.testing.assert_allclose(dx, dx_mean, atol=1e-14)


def test_dense_gradients() -> None:
    x, w, dy = random((3, 4), "float64"), random((4, 5), "float64"), random((3, 5), "float64")
    dx, dw, db = reference.dense_backward(dy, x, w)
    np.testing.assert_allclose(dx, dy @ w.T)
    np.testing.assert_allclose(dw, x.T @ dy)
    np.testing.assert_allclose(db, dy.sum(0))


def test_needs_chooses_the_gradients() -> None:
    x, w = np.ones((1, 3, 3, 2)), np.ones((2, 2, 2, 4))
    dy = np.ones((1, 2, 2, 4))
    assert [g is None for g in reference.conv2d_backward(dy, x, w, needs=("dw",))] == [1, 0, 1]
    assert [g is None for g in reference.conv2d_backward(dy, x, w, needs="dx")] == [0, 1, 1]
    with pytest.raises(ValueError, match="needs="):
        reference.conv2d_backward(dy, x, w, needs=("dx", "dk"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble"])
def test_computes_in_the_type_of_x(dtype: str) -> None:
    x, w = np.ones((1, 3, 3, 2), dtype), np.ones((2, 2, 2, 4))
    y = reference.conv2d(x, w)
    assert y.dtype == x.dtype
    assert all(g.dtype == x.dtype for g in reference.conv2d_backward(y, x, w))
    assert reference.avg_pool2d(x).dtype == reference.max_pool2d(x).dtype == x.dtype
    with pytest.raises(TypeError, match=r"`x` must have a floating dtype.*x\.dtype=int64"):
        reference.conv2d(np.ones((1, 3, 3, 2), np.int64), w)
