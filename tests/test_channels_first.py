"""Images too large for a round: channels first is computed in bands of rows."""

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
