"""Channels first against channels last: bands of images, strips of tiles, runs of planes."""

from typing import Any

import numpy as np
import pytest

import fastconv

#: Image (h, w, c), filters, kernel, options. Every image has more bytes than a round on any
#: machine; bands begin and end inside of padding, between strides, where windows leave rows out.
BANDS: dict[str, tuple[tuple[int, int, int], int, int, dict[str, Any]]] = {
    "3x3": ((300, 200, 24), 20, 3, {"padding": "same"}),
    "1x1": ((299, 200, 17), 31, 1, {}),
    "stride-2": ((501, 200, 16), 40, 3, {"strides": 2, "padding": "same"}),
    "stride-3-of-2x2": ((700, 200, 16), 24, 2, {"strides": 3}),
    "1x1-stride-2": ((500, 201, 20), 24, 1, {"strides": 2}),
    "dilated": ((300, 200, 16), 16, 3, {"dilation_rate": 9, "padding": "same"}),
    "7x7-groups": ((300, 200, 16), 32, 7, {"padding": ((3, 3), (3, 3)), "groups": 2}),
    "padding-beyond-the-image": ((60, 900, 16), 16, 3, {"padding": ((70, 200), (0, 0))}),
    "one-channel": ((400, 300, 1), 24, 3, {"padding": "same"}),
    "one-filter": ((400, 300, 24), 1, 3, {"padding": "same"}),
}


def first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("name", BANDS)
def test_bands_are_the_rows_of_whole_images(name: str) -> None:
    shape, filters, size, options = BANDS[name]
    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, *shape), np.float32)
    channels = shape[2] // options.get("groups", 1)
    kernel = rng.standard_normal((size, size, channels, filters), np.float32)
    bias = rng.standard_normal(filters, np.float32)
    options = {**options, "algorithm": "direct"}
    y = fastconv.conv2d(x, kernel, bias, activation="relu", **options)
    dy = rng.standard_normal(y.shape, np.float32)
    dx, dw, db = fastconv.conv2d_backward(dy, x, kernel, **options)

    options["data_format"] = "channels_first"
    actual = fastconv.conv2d(first(x), kernel, bias, activation="relu", **options)
    dx_first, dw_first, db_first = fastconv.conv2d_backward(first(dy), first(x), kernel, **options)
    # Sums of up to 10^5 terms in another order, on a matrix unit or not: they differ by a few units
    # of their largest term.
    parts, wholes = (actual, dx_first, dw_first, db_first), (first(y), first(dx), dw, db)
    for part, whole in zip(parts, wholes, strict=True):
        np.testing.assert_allclose(part, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    with fastconv.threads(1):
        again = fastconv.conv2d(first(x), kernel, bias, activation="relu", **options)
        np.testing.assert_array_equal(again, actual)
        again = fastconv.conv2d_backward(first(dy), first(x), kernel, **options)
    for a, b in zip(again, (dx_first, dw_first, db_first), strict=True):
        np.testing.assert_array_equal(a, b)


#: Images (n, h, w, c), filters, kernel, options: strips of a part of a row of tiles, of whole rows
#: and of images, with all their channels or some; panels that begin and end inside of rows; copies
#: with padding and strides.
ALONG: dict[str, tuple[tuple[int, int, int, int], int, tuple[int, int], dict[str, Any]]] = {
    "wide": ((2, 9, 700, 40), 33, (3, 3), {"padding": "same"}),
    "whole-images": ((9, 8, 8, 64), 64, (3, 3), {"padding": "same"}),
    "short-tiles": ((3, 19, 23, 33), 40, (3, 3), {}),
    "pieces": ((2, 26, 30, 24), 16, (5, 5), {"padding": "same"}),
    "strided-pieces": ((2, 30, 46, 28), 45, (3, 5), {"strides": (2, 3), "padding": "same"}),
    "row-tiles": ((2, 17, 33, 32), 32, (1, 7), {"padding": "same"}),
    "first-layer": ((3, 27, 31, 3), 34, (3, 3), {"padding": "same"}),
    "first-layer-in-bands": ((2, 67, 70, 3), 33, (3, 3), {"padding": "same"}),
    "first-layer-wide": ((1, 9, 700, 4), 17, (3, 3), {"padding": ((0, 2), (2, 1))}),
    "first-layer-valid": ((3, 34, 37, 4), 40, (3, 3), {}),
    "first-layer-strided": ((2, 33, 31, 3), 32, (7, 7), {"strides": 2, "padding": "same"}),
    "short-rows": ((4, 40, 3, 20), 70, (2, 2), {}),
    "one-column": ((2, 70, 1, 24), 66, (3, 1), {"padding": "same"}),
    "1x1": ((2, 23, 29, 65), 129, (1, 1), {}),
    "1x1-strided": ((2, 23, 29, 17), 31, (1, 1), {"strides": 2}),
    "1x1-strided-apart": ((2, 31, 40, 40), 33, (1, 1), {"strides": (2, 3)}),
    "1x1-strided-padded": (
        (2, 30, 35, 40),
        48,
        (1, 1),
        {"strides": 2, "padding": ((1, 0), (0, 2))},
    ),
    "first-layer-folded": ((3, 34, 45, 3), 40, (5, 6), {"strides": (2, 3), "padding": "same"}),
    "dilated": ((2, 23, 21, 33), 40, (3, 3), {"dilation_rate": (2, 3), "padding": "same"}),
    "dilated-columns": ((3, 17, 45, 17), 24, (3, 3), {"dilation_rate": (1, 4)}),
    "dilated-rows": ((3, 45, 17, 40), 33, (2, 3), {"dilation_rate": (5, 1), "padding": "same"}),
}


@pytest.mark.parametrize("name", ALONG)
def test_all_ways_agree_with_float64_channels_last(name: str, isa: str) -> None:
    shape, filters, size, options = ALONG[name]
    rng = np.random.default_rng(5)
    x = rng.standard_normal(shape, np.float32)
    kernel = rng.standard_normal((*size, shape[3], filters), np.float32)
    bias = rng.standard_normal(filters, np.float32)
    exact = [fastconv.conv2d(*(a.astype("float64") for a in (x, kernel, bias)), **options)]
    dy = rng.standard_normal(exact[0].shape, np.float32)
    gradients = fastconv.conv2d_backward(*(a.astype("float64") for a in (dy, x, kernel)), **options)
    exact = [first(exact[0]), first(gradients[0]), *gradients[1:]]
    options = {**options, "data_format": "channels_first"}
    current = fastconv.runtime.isa()
    fastconv.runtime.set_isa(isa)
    try:
        results = []
        for threads in (1, 2):
            with fastconv.threads(threads):
                packed = [
                    fastconv.functional.pack_conv2d((n, *first(x).shape[1:]), kernel, **options)
                    for n in (1, 64)
                ]
                ys = [
                    fastconv.conv2d(first(x), kernel, bias, packed=p, **options)
                    for p in (None, *packed)
                ]
                rest = fastconv.conv2d_backward(first(dy), first(x), kernel, **options)
                db = fastconv.conv2d_backward(first(dy), first(x), kernel, needs=["db"], **options)
                results.append((*ys, *rest, db[2]))
    finally:
        fastconv.runtime.set_isa(current)
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)
    y, with_few, with_many, dx, dw, db, db_alone = results[0]
    # Winograd's errors are of the size of the largest results: a few units in 1e6.
    for part, whole in zip((y, dx, dw, db), exact, strict=True):
        np.testing.assert_allclose(part, whole, rtol=0, atol=2e-5 * np.abs(whole).max())
    for other, whole in ((with_few, exact[0]), (with_many, exact[0]), (db_alone, exact[3])):
        np.testing.assert_allclose(other, whole, rtol=0, atol=2e-5 * np.abs(whole).max())


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("channels", [3, 4])
def test_first_layers_apply_bias_and_activation(channels: int, activation: str, isa: str) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, channels, 61, 66), np.float32)
    kernel = rng.standard_normal((3, 3, channels, 19), np.float32)
    bias = 3 * rng.standard_normal(19, np.float32)
    options: dict[str, Any] = {"padding": "same", "data_format": "channels_first"}
    packed = fastconv.functional.pack_conv2d(x.shape, kernel, **options)
    wide = (a.astype("float64") for a in (x, kernel, bias))
    exact = fastconv.conv2d(*wide, activation=activation, **options)
    for given in ({}, {"packed": packed}):
        y = fastconv.conv2d(x, kernel, bias, activation=activation, **given, **options)
        # As above; what becomes of the sums is no steeper than they are.
        np.testing.assert_allclose(y, exact, rtol=0, atol=2e-5 * np.abs(exact).max())
    without = fastconv.conv2d(x, kernel, **options)
    exact = fastconv.conv2d(x.astype("float64"), kernel.astype("float64"), **options)
    np.testing.assert_allclose(without, exact, rtol=0, atol=2e-5 * np.abs(exact).max())
