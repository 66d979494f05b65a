"""Winograd of few tiles: weights that are transformed in registers, packed or used once."""

from typing import Any

import numpy as np
import pytest
from tolerances import assert_within, winograd_bound

import fastconv
from fastconv import functional, runtime

#: Image, input channels, filters, options: every number of tiles up to two groups of them, tiles
#: that end with the image and that do not, numbers about the lanes of a vector, of two, and of what
#: is summed apart.
CASES: dict[str, tuple[tuple[int, int, int], int, int, dict[str, Any]]] = {
    "one-tile": ((1, 4, 4), 64, 64, {"padding": "same"}),
    "one-short-tile": ((1, 3, 3), 65, 48, {"padding": "same"}),
    "two-tiles": ((2, 4, 3), 63, 80, {"padding": "same"}),
    "three-tiles": ((3, 4, 4), 96, 33, {"padding": "same"}),
    "four-tiles": ((1, 8, 8), 64, 128, {"padding": "same"}),
    "four-short-tiles": ((1, 6, 6), 130, 128, {"padding": "same"}),
    "odd": ((1, 7, 8), 79, 97, {"padding": "same"}),
    "valid": ((1, 9, 10), 48, 144, {}),
    "six-tiles": ((1, 8, 12), 95, 66, {"padding": "same"}),
    "two-images": ((2, 8, 7), 81, 95, {"padding": "same"}),
    "groups": ((1, 8, 8), 192, 160, {"padding": "same", "groups": 2}),
    "dilated": ((1, 9, 8), 64, 72, {"padding": "same", "dilation_rate": 2}),
    "channels-first": ((1, 8, 8), 96, 96, {"padding": "same", "data_format": "channels_first"}),
    "deep": ((1, 7, 7), 330, 290, {"padding": "same"}),
}


@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
@pytest.mark.parametrize("name", CASES)
def test_all_passes(name: str, algorithm: str, isa: str) -> None:
    (n, height, width), channels, filters, options = CASES[name]
    rng = np.random.default_rng(31)
    first = options.get("data_format") == "channels_first"
    x = rng.standard_normal(
        (n, channels, height, width) if first else (n, height, width, channels), np.float32
    )
    kernel = rng.standard_normal((3, 3, channels // options.get("groups", 1), filters), np.float32)
    bias = rng.standard_normal(filters, np.float32)
    packed = functional.pack_conv2d(x.shape, kernel, algorithm=algorithm, **options)

    def forward(**more: Any) -> np.ndarray:
        return fastconv.conv2d(x, kernel, bias, activation="relu", **options, **more)

    wide = [a.astype(np.float64) for a in (x, kernel, bias)]
    exact = fastconv.conv2d(*wide, activation="relu", algorithm="direct", **options)
    magnitude = fastconv.conv2d(*map(abs, wide), algorithm="direct", **options)
    bound = winograd_bound(magnitude, 9 * kernel.shape[2], "float32")
    for weights in ({}, {"packed": packed}):
        y = forward(algorithm=algorithm, **weights)
        assert_within(y, exact, bound, f"{name}, {list(weights)}")
        with fastconv.threads(1):
            np.testing.assert_array_equal(forward(algorithm=algorithm, **weights), y)

    dy = rng.standard_normal(exact.shape, np.float32)

    def gradient(dy: np.ndarray, kernel: np.ndarray, algorithm: str) -> np.ndarray:
        return fastconv.conv2d_backward(
            dy, x.astype(dy.dtype), kernel, needs=("dx",), algorithm=algorithm, **options
        )[0]

    dx = gradient(dy, kernel, algorithm)
    exact = gradient(dy.astype(np.float64), wide[1], "direct")
    magnitude = gradient(abs(dy).astype(np.float64), abs(wide[1]), "direct")
    bound = winograd_bound(magnitude, 9 * filters // options.get("groups", 1), "float32")
    assert_within(dx, exact, bound, name)
    with fastconv.threads(1):
        np.testing.assert_array_equal(gradient(dy, kernel, algorithm), dx)


def test_packed_weights_are_the_taps(isa: str) -> None:
    """Transformed ones, of tiles or of lines, take up four times or twice the memory."""
    if isa not in ("avx512", "amx"):
        pytest.skip("narrow vectors have too few registers")
    assert runtime.isa() == isa
    kernel = np.ones((3, 3, 128, 120), np.float32)
    packed = functional.pack_conv2d((1, 8, 8, 128), kernel, padding="same")
    assert packed is not None
    taps = 9 * 128 * 128 * 4  # filters of whole vectors
    assert taps <= packed.nbytes <= taps + 256
