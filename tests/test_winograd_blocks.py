"""Winograd's convolution of many channels: weights that do not stay in the second-level cache."""

from typing import Any

import numpy as np
import pytest
from tolerances import assert_within, winograd_bound

import fastconv

#: Image, filters, kernel, options: many input channels for few outputs, the other way round and
#: both, several pieces of a kernel, with and without all taps, and channels that fill no chunk.
CASES: dict[str, tuple[tuple[int, ...], int, int, dict[str, Any]]] = {
    "5x5-to-few": ((4, 27, 26, 192), 40, 5, {"padding": "same"}),
    "5x5-from-few": ((4, 27, 26, 40), 192, 5, {"padding": "same"}),
    "5x5-odd": ((3, 21, 33, 135), 67, 5, {}),
    "7x7": ((2, 24, 24, 70), 50, 7, {"padding": "same"}),
    "5x5-stride-2": ((4, 40, 41, 130), 60, 5, {"padding": "same", "strides": 2}),
    "3x3-many": ((3, 20, 19, 300), 260, 3, {"padding": "same"}),
    "5x5-groups": ((2, 27, 27, 192), 128, 5, {"padding": "same", "groups": 2}),
}


def truth(x: np.ndarray, kernel: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact result and the sums of absolute products."""
    x, kernel = x.astype(np.float64), kernel.astype(np.float64)
    return fastconv.conv2d(x, kernel, **options), fastconv.conv2d(abs(x), abs(kernel), **options)


@pytest.mark.parametrize("name", CASES)
def test_forward_and_input_gradient(name: str, isa: str) -> None:
    shape, filters, size, options = CASES[name]
    rng = np.random.default_rng(11)
    x = rng.standard_normal(shape, np.float32)
    channels = shape[3] // options.get("groups", 1)
    kernel = rng.standard_normal((size, size, channels, filters), np.float32)
    y = fastconv.conv2d(x, kernel, algorithm="winograd", **options)
    exact, magnitude = truth(x, kernel, algorithm="direct", **options)
    assert_within(y, exact, winograd_bound(magnitude, size * size * channels, "float32"), name)

    dy = rng.standard_normal(y.shape, np.float32)
    every = {**options, "needs": ("dx",)}
    dx = fastconv.conv2d_backward(dy, x, kernel, algorithm="winograd", **every)[0]
    arrays = [a.astype(np.float64) for a in (dy, x, kernel)]
    exact = fastconv.conv2d_backward(*arrays, algorithm="direct", **every)[0]
    magnitude = fastconv.conv2d_backward(*map(abs, arrays), algorithm="direct", **every)[0]
    assert_within(dx, exact, winograd_bound(magnitude, size * size * filters, "float32"), name)

    with fastconv.threads(1):
        again = fastconv.conv2d(x, kernel, algorithm="winograd", **options)
        np.testing.assert_array_equal(again, y)
        again = fastconv.conv2d_backward(dy, x, kernel, algorithm="winograd", **every)[0]
        np.testing.assert_array_equal(again, dx)


#: Image, filters, kernel: so many tiles that their sums are split into ranges, several chunks of
#: input channels or pieces of a kernel, and a last panel that is narrower than those beside it.
WEIGHTS: dict[str, tuple[tuple[int, ...], int, int]] = {
    f"{size}x{size}-{channels}-{filters}": ((30, 24, 23, channels), filters, size)
    for size, channels in ((3, 144), (5, 40))
    for filters in (9, 24, 40, 48, 56, 72, 112)
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_gradient(name: str, isa: str) -> None:
    shape, filters, size = WEIGHTS[name]
    rng = np.random.default_rng(12)
    x = rng.standard_normal(shape, np.float32)
    kernel = np.zeros((size, size, shape[3], filters), np.float32)
    dy = rng.standard_normal((*fastconv.conv2d(x, kernel).shape[:3], filters), np.float32)
    every: dict[str, Any] = {"needs": ("dw", "db")}
    dw, db = fastconv.conv2d_backward(dy, x, kernel, algorithm="winograd", **every)[1:]
    arrays = [a.astype(np.float64) for a in (dy, x, kernel)]
    exact = fastconv.conv2d_backward(*arrays, algorithm="direct", **every)
    magnitude = fastconv.conv2d_backward(*map(abs, arrays), algorithm="direct", **every)
    pixels = dy[..., 0].size
    assert_within(dw, exact[1], winograd_bound(magnitude[1], pixels, "float32"), name)
    assert_within(db, exact[2], winograd_bound(magnitude[2], pixels, "float32"), name)
    with fastconv.threads(1):
        again = fastconv.conv2d_backward(dy, x, kernel, algorithm="winograd", **every)[1:]
    np.testing.assert_array_equal(again[0], dw)
    np.testing.assert_array_equal(again[1], db)
