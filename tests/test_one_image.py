"""Convolutions of an image or two with packed kernels, which are chosen and split their own way."""

import itertools
from typing import Any

import numpy as np
import pytest
from tolerances import assert_within, winograd_bound

import fastconv
from fastconv import functional, layers

#: Height and width, input channels, filters: odd ones, and numbers about the lanes of vectors.
SHAPES = [
    ((8, 8), 64, 128),
    ((8, 8), 128, 128),
    ((12, 12), 64, 64),
    ((12, 12), 32, 64),
    ((14, 14), 64, 65),
    ((4, 4), 130, 130),
    ((16, 15), 33, 96),
    ((7, 9), 63, 31),
    ((9, 7), 17, 129),
    ((13, 3), 15, 47),
    ((6, 6), 16, 80),
    ((11, 10), 2, 32),
    ((9, 14), 3, 17),
    ((32, 31), 4, 15),
    ((20, 21), 1, 32),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "strided": {"padding": "same", "strides": 2},
    "dilated": {"padding": "same", "dilation_rate": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("size", [(3, 3), (5, 5), (1, 3), (3, 1)], ids=str)
def test_forward(name: str, size: tuple[int, int], isa: str) -> None:
    options = OPTIONS[name]
    for (image, channels, filters), n in itertools.product(SHAPES, (1, 2)):
        if name == "valid" and (image[0] < size[0] or image[1] < size[1]):
            continue
        rng = np.random.default_rng(21)
        x = rng.standard_normal((n, *image, channels), np.float32)
        kernel = rng.standard_normal((*size, channels, filters), np.float32)
        bias = rng.standard_normal(filters, np.float32)
        packed = functional.pack_conv2d(x.shape, kernel, **options)
        every = {**options, "packed": packed, "activation": "relu"}
        results = []
        for threads in (1, 2, 2):  # a worker that sleeps does not help the first time
            with fastconv.threads(threads):
                results.append(fastconv.conv2d(x, kernel, bias, **every))
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])
        wide = [a.astype(np.float64) for a in (x, kernel, bias)]
        exact = fastconv.conv2d(*wide, activation="relu", algorithm="direct", **options)
        magnitude = fastconv.conv2d(*map(abs, wide), algorithm="direct", **options)
        bound = winograd_bound(magnitude, size[0] * size[1] * channels, "float32")
        assert_within(results[0], exact, bound, f"{n} of {image}, {channels} to {filters}")


def test_weights_packed_for_another_way_are_refused(isa: str) -> None:
    x, kernel = np.ones((1, 8, 8, 64), "float32"), np.ones((3, 3, 64, 64), "float32")
    packed = functional.pack_conv2d(x.shape, kernel, padding="same")
    assert packed is not None
    for byte in (8, 16):
        changed = packed.copy()
        changed[byte] += 1
        with pytest.raises(ValueError, match="`packed` must be what a kernel was packed into"):
            fastconv.conv2d(x, kernel, padding="same", packed=changed)


def test_weights_that_convolutions_fetch_for_a_dense_layer(isa: str) -> None:
    """Those of a large layer, some of which the convolutions before it fetch beside their work."""
    convolutions = [layers.Conv2D(128, 3, padding="same", activation="relu") for _ in range(2)]
    rest = [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(512)]
    model = fastconv.Sequential([layers.Input((8, 8, 64)), *convolutions, *rest])
    x = np.random.default_rng(3).standard_normal((1, 8, 8, 64), np.float32)
    for threads in (1, 2):
        with fastconv.threads(threads):
            one_by_one = x
            for layer in model.layers:
                one_by_one = layer(one_by_one)
            np.testing.assert_allclose(model(x), one_by_one, rtol=1e-4, atol=1e-5)
