"""Convolutions large enough for a matrix unit, where the processor has one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tolerances import assert_within, sum_bound

import fastconv
from fastconv import runtime

pytestmark = pytest.mark.skipif(
    "amx" not in runtime.available_isas(), reason="needs a processor with AMX"
)

#: Input shape, filters, kernel, options: whole vectors of channels and parts of them, taps by
#: pointers and by offsets, tails of every kind on either side, phases of the input gradient.
CASES: dict[str, tuple[tuple[int, ...], int, int, dict[str, Any]]] = {
    "1x1": ((2, 17, 16, 192), 96, 1, {}),
    "1x1-odd": ((3, 13, 17, 157), 249, 1, {}),
    "1x1-many-weights": ((4, 14, 15, 512), 544, 1, {}),
    "1x1-one-column-more": ((2, 20, 20, 160), 129, 1, {}),
    "1x1-groups": ((2, 20, 20, 256), 192, 1, {"groups": 2}),
    "3x3": ((2, 18, 19, 64), 80, 3, {"padding": "same"}),
    "3x3-stride-2": ((4, 25, 24, 64), 96, 3, {"padding": "same", "strides": 2}),
    "3x3-dilated": ((2, 24, 24, 48), 88, 3, {"padding": "same", "dilation_rate": 3}),
    "3x3-few-channels": ((2, 40, 41, 13), 320, 3, {"padding": "same"}),
    "5x5-odd": ((8, 20, 20, 37), 160, 5, {}),
    "7x7-of-3": ((4, 40, 40, 3), 256, 7, {"padding": "same"}),
    "phases-that-end-unevenly": ((40, 9, 10, 64), 96, 3, {"strides": (2, 3), "padding": "same"}),
    "2x9": ((4, 20, 22, 33), 240, 2, {"strides": (1, 2)}),
}


def arrays(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    shape, filters, size, options = CASES[name]
    rng = np.random.default_rng(7)
    x = rng.standard_normal(shape, np.float32)
    width = 9 if name == "2x9" else size
    channels = shape[3] // options.get("groups", 1)
    kernel = rng.standard_normal((size, width, channels, filters), np.float32)
    bias = rng.standard_normal(filters, np.float32)
    return x, kernel, bias, {**options, "algorithm": "direct"}


def on_both(compute: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what the matrix unit computes, and vectors."""
    runtime.set_isa("amx")
    matrix = compute()
    runtime.set_isa("avx512")
    return matrix, compute()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_forward(name: str, threads: int) -> None:
    x, kernel, bias, options = arrays(name)
    with fastconv.threads(threads):
        matrix, vectors = on_both(lambda: fastconv.conv2d(x, kernel, bias, **options))
    exact = fastconv.conv2d(*(a.astype(np.float64) for a in (x, kernel, bias)), **options)
    magnitude = fastconv.conv2d(*(abs(a.astype(np.float64)) for a in (x, kernel, bias)), **options)
    assert_within(matrix, exact, sum_bound(magnitude, kernel[..., 0].size, "float32"), name)
    # It took part, and its sums, which are rounded less often, are no worse.
    assert (matrix != vectors).any()
    assert np.square(matrix - exact).mean() <= np.square(vectors - exact).mean()


@pytest.mark.parametrize("name", CASES)
def test_input_gradient(name: str) -> None:
    x, kernel, _, options = arrays(name)
    y = fastconv.conv2d(x, kernel, **options)
    dy = np.random.default_rng(8).standard_normal(y.shape, np.float32)

    def gradient(dy: np.ndarray, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return fastconv.conv2d_backward(dy, x, kernel, needs=("dx",), **options)[0]

    matrix, vectors = on_both(lambda: gradient(dy, x, kernel))
    exact = gradient(*(a.astype(np.float64) for a in (dy, x, kernel)))
    magnitude = gradient(*(abs(a.astype(np.float64)) for a in (dy, x, kernel)))
    length = kernel.shape[0] * kernel.shape[1] * kernel.shape[3]
    assert_within(matrix, exact, sum_bound(magnitude, length, "float32"), name)
    assert np.square(matrix - exact).mean() <= 1.01 * np.square(vectors - exact).mean()


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@pytest.mark.parametrize("name", ["1x1-odd", "3x3-stride-2", "1x1-many-weights"])
def test_packed_kernels_and_activations(name: str, activation: str) -> None:
    x, kernel, bias, options = arrays(name)
    options["activation"] = activation
    runtime.set_isa("amx")
    whole = fastconv.conv2d(x, kernel, bias, **options)
    del options["activation"]
    packed = fastconv.pack_conv2d(x.shape, kernel, **options)
    again = fastconv.conv2d(x, kernel, bias, packed=packed, activation=activation, **options)
    np.testing.assert_array_equal(again, whole)
    exact = fastconv.conv2d(
        *(a.astype(np.float64) for a in (x, kernel, bias)), activation=activation, **options
    )
    np.testing.assert_allclose(whole, exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["1x1-odd", "5x5-odd", "7x7-of-3"])
def test_threads_do_not_change_a_bit(name: str) -> None:
    x, kernel, bias, options = arrays(name)
    runtime.set_isa("amx")
    with fastconv.threads(1):
        one = fastconv.conv2d(x, kernel, bias, **options)
    with fastconv.threads(2):
        np.testing.assert_array_equal(fastconv.conv2d(x, kernel, bias, **options), one)


@pytest.mark.parametrize("scale", [1e-20, 1e-12, 1e12, 1e20])
def test_magnitudes_do_not_matter(scale: float) -> None:
    x, kernel, _, options = arrays("1x1-odd")
    runtime.set_isa("amx")
    plain = fastconv.conv2d(x, kernel, **options)
    power = np.float32(2.0 ** np.round(np.log2(scale)))
    np.testing.assert_array_equal(fastconv.conv2d(x * power, kernel, **options), plain * power)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.finfo(np.float32).max])
def test_what_is_not_finite_stays_where_it_is_read(value: float) -> None:
    x, kernel, bias, options = arrays("1x1-odd")
    runtime.set_isa("amx")
    plain = fastconv.conv2d(x, kernel, bias, **options)
    x[1, 5, 6, 70] = value
    y = fastconv.conv2d(x, kernel, bias, **options)
    assert np.isnan(y[1, 5, 6]).all()
    y[1, 5, 6] = plain[1, 5, 6]
    np.testing.assert_array_equal(y, plain)


#: Image, filters, kernel, options of convolutions by Winograd: tiles that end with the image and
#: that do not, channels that fill steps and that do not, one panel's width and parts of it.
WINOGRAD: dict[str, tuple[tuple[int, ...], int, int, dict[str, Any]]] = {
    "64": ((4, 28, 28, 64), 64, 3, {"padding": "same"}),
    "odd": ((9, 37, 40, 107), 121, 3, {"padding": "same"}),
    "one-step": ((9, 29, 40, 32), 96, 3, {"padding": "same"}),
    "valid": ((9, 41, 43, 80), 128, 3, {}),
    "many-weights": ((9, 28, 27, 128), 128, 3, {"padding": "same"}),
    "4x4": ((8, 36, 35, 64), 96, 4, {"padding": "same"}),
    "dilated": ((4, 28, 28, 64), 64, 3, {"padding": "same", "dilation_rate": 2}),
    "groups": ((4, 28, 28, 128), 128, 3, {"padding": "same", "groups": 2}),
    "narrow": ((400, 11, 3, 64), 96, 3, {"padding": "same"}),
    "low": ((400, 3, 11, 64), 96, 3, {"padding": "same"}),
    "wide": ((2, 7, 333, 64), 64, 3, {"padding": "same"}),
    "short-tiles": ((40, 9, 9, 64), 64, 3, {"padding": "same"}),
    "4x4-stride-2": ((32, 32, 32, 32), 64, 4, {"padding": "same", "strides": 2}),
    "pieces-that-lack-taps": ((8, 28, 28, 32), 64, 5, {"padding": "same"}),
    "5x5-odd": ((12, 27, 31, 40), 96, 5, {}),
    "5x5-one-channel-less": ((12, 27, 31, 31), 90, 5, {}),
    "5x5-stride-2": ((12, 31, 33, 32), 96, 5, {"padding": "same", "strides": 2}),
    "3x3-stride-2": ((12, 31, 33, 32), 128, 3, {"padding": "same", "strides": 2}),
    "7x7": ((6, 30, 29, 32), 64, 7, {"padding": "same"}),
    "gradient-of-pieces-that-lack-taps": ((9, 27, 28, 64), 32, 5, {"padding": "same"}),
    "gradient-of-7x7": ((6, 30, 29, 64), 32, 7, {}),
}


#: Those of which vectors are faster at the input gradient, or forward.
FORWARD_ONLY = {
    "one-step",
    "pieces-that-lack-taps",
    "5x5-odd",
    "5x5-one-channel-less",
    "5x5-stride-2",
    "7x7",
    "3x3-stride-2",
}
BACKWARD_ONLY = {"gradient-of-pieces-that-lack-taps", "gradient-of-7x7"}


@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd(name: str) -> None:
    shape, filters, size, options = WINOGRAD[name]
    options = {**options, "algorithm": "winograd"}
    rng = np.random.default_rng(9)
    x = rng.standard_normal(shape, np.float32)
    kernel = rng.standard_normal(
        (size, size, shape[3] // options.get("groups", 1), filters), np.float32
    )
    bias = rng.standard_normal(filters, np.float32)

    def forward(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, **options: Any) -> np.ndarray:
        return fastconv.conv2d(x, kernel, bias, activation="relu", **options)

    matrix, vectors = on_both(lambda: forward(x, kernel, bias, **options))
    direct = {**options, "algorithm": "direct"}
    exact = forward(*(a.astype(np.float64) for a in (x, kernel, bias)), **direct)
    assert (matrix != vectors).any() == (name not in BACKWARD_ONLY)
    # Both have the errors of the transforms; those of the products are less on the unit.
    assert np.square(matrix - exact).mean() <= np.square(vectors - exact).mean()
    np.testing.assert_allclose(matrix, exact, rtol=0, atol=1e-5 * np.abs(exact).max())
    runtime.set_isa("amx")
    with fastconv.threads(1):
        np.testing.assert_array_equal(forward(x, kernel, bias, **options), matrix)
    packed = fastconv.pack_conv2d(shape, kernel, **options)
    again = forward(x, kernel, bias, packed=packed, **options)
    np.testing.assert_allclose(again, exact, rtol=0, atol=1e-5 * np.abs(exact).max())

    dy = rng.standard_normal(exact.shape, np.float32)

    def gradient(dy: np.ndarray, kernel: np.ndarray, **options: Any) -> np.ndarray:
        return fastconv.conv2d_backward(dy, x.astype(dy.dtype), kernel, needs=("dx",), **options)[0]

    matrix, vectors = on_both(lambda: gradient(dy, kernel, **options))
    exact = gradient(dy.astype(np.float64), kernel.astype(np.float64), **direct)
    assert (matrix != vectors).any() == (name not in FORWARD_ONLY)
    np.testing.assert_allclose(matrix, exact, rtol=0, atol=1e-5 * np.abs(exact).max())


#: Weight gradients: many taps and one, rows and columns that do not fill a block or a tile, pixels
#: that do not fill a step, sums that are added up in parts.
WEIGHTS: dict[str, tuple[tuple[int, ...], int, int, dict[str, Any]]] = {
    "1x1": ((4, 20, 21, 256), 300, 1, {}),
    "1x1-one-column-more": ((5, 15, 14, 528), 129, 1, {}),
    "1x1-stride-2": ((8, 29, 30, 144), 256, 1, {"strides": 2}),
    "3x3": ((3, 15, 17, 80), 144, 3, {"padding": "same"}),
    "3x3-stride-2": ((4, 31, 29, 112), 136, 3, {"padding": "same", "strides": 2}),
    "4x4-dilated": ((3, 20, 22, 48), 200, 4, {"dilation_rate": 2}),
    "dense": ((300, 1, 1, 416), 170, 1, {}),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_gradient(name: str) -> None:
    shape, filters, size, options = WEIGHTS[name]
    options = {**options, "algorithm": "direct"}
    rng = np.random.default_rng(11)
    x = rng.standard_normal(shape, np.float32)
    kernel = np.zeros((size, size, shape[3], filters), np.float32)
    dy = rng.standard_normal(fastconv.conv2d(x, kernel, **options).shape, np.float32)

    def gradients(
        dy: np.ndarray, x: np.ndarray, kernel: np.ndarray, needs: tuple[str, ...] = ("dw", "db")
    ) -> tuple[np.ndarray, np.ndarray]:
        return fastconv.conv2d_backward(dy, x, kernel, needs=needs, **options)[1:]

    with fastconv.threads(2):
        (dw, db), (dw_vectors, _) = on_both(lambda: gradients(dy, x, kernel))
    assert (dw != dw_vectors).any()
    dw_exact, db_exact = gradients(*(a.astype(np.float64) for a in (dy, x, kernel)))
    dw_size, db_size = gradients(*(abs(a.astype(np.float64)) for a in (dy, x, kernel)))
    pixels = dy[..., 0].size
    assert_within(dw, dw_exact, sum_bound(dw_size, pixels, "float32"), name)
    assert_within(db, db_exact, sum_bound(db_size, pixels, "float32"), name)
    runtime.set_isa("amx")
    with fastconv.threads(1):
        dw_one, db_one = gradients(dy, x, kernel)
    np.testing.assert_array_equal(dw_one, dw)
    np.testing.assert_array_equal(db_one, db)
    np.testing.assert_array_equal(gradients(dy, x, kernel, ("db",))[1], db)
