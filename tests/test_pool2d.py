"""Pooling against the reference: the maximum exactly, bit for bit, the mean within its bound."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from guards import Output, surrounded
from reference import DATA_FORMATS, THREADS, integers, random, same_bytes, to_format, truth
from tolerances import assert_within, sum_bound

import fastconv
from fastconv import reference, runtime

MATRIX_UNIT = False  # none of these kernels uses one


@dataclass(frozen=True)
class Pool:
    name: str
    n: int
    h: int
    w: int
    c: int
    pool_size: Any = (2, 2)
    strides: Any = None
    padding: Any = "valid"

    def __str__(self) -> str:
        return self.name

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.n, self.h, self.w, self.c

    @property
    def arguments(self) -> dict[str, Any]:
        return {"pool_size": self.pool_size, "strides": self.strides, "padding": self.padding}


CASES = [Pool(f"c{c}", 2, 6, 5, c) for c in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65)]
WINDOWS = [(2, 2, 2, 3), (3, 3, 2, 5), (3, 3, 1, 16), (2, 5, (3, 2), 4)]
WINDOWS += [(7, 1, None, 8), (1, 4, 1, 2), (1, 1, (2, 3), 6), (2, 2, 5, 9)]
CASES += [
    Pool(f"{ph}x{pw}-stride{stride}-{padding}-c{c}", 1, 11, 10, c, (ph, pw), stride, padding)
    for ph, pw, stride, c in WINDOWS
    for padding in ("valid", "same")
]
CASES += [
    Pool("padding-int", 1, 6, 7, 3, 3, 2, 1),
    Pool("padding-uneven", 2, 6, 7, 9, (3, 4), (2, 3), ((2, 0), (1, 3))),
    Pool("padding-one-side", 1, 5, 5, 8, 2, 2, ((0, 1), (1, 0))),
    Pool("pool-is-image", 2, 6, 5, 4, (6, 5)),
    Pool("pool-wider-than-image-same", 1, 2, 3, 5, (5, 5), 1, "same"),
    Pool("pool-256", 1, 17, 18, 3, (16, 16), 1),
    Pool("pool-long", 1, 260, 1, 2, (256, 1), 1),
    Pool("image1x1", 3, 1, 1, 7, 1),
    Pool("image1x1-same", 1, 1, 1, 7, 3, 2, "same"),
    Pool("one-row", 1, 1, 33, 1, (1, 2)),
    Pool("one-column", 1, 33, 1, 3, (2, 1)),
    Pool("rest-unused", 1, 7, 9, 4, 4),
    Pool("empty-batch", 0, 6, 5, 3),
    Pool("overlap-c1", 3, 9, 8, 1, 5, 1, "same"),
    Pool("overlap-c3", 2, 10, 9, 3, (4, 5), 1),
    Pool("overlap-c17", 1, 13, 11, 17, 7, 1, "same"),
    Pool("overlap-c96", 1, 13, 13, 96, 9, 1, ((4, 3), (2, 4))),
    Pool("overlap-stride", 2, 17, 16, 24, (8, 9), (2, 1), "same"),
    Pool("overlap-many", 40, 12, 12, 16, 5, 1, "same"),
    *(Pool(f"tiles-{w}-c{c}", 3, 7, w, c) for w in (12, 13) for c in (3, 5, 6, 7, 8)),
    *(Pool(f"tiles-rest-c{c}", 2, 11, 10, c, 3) for c in (2, 5, 16, 24)),
    Pool("tiles-1x4-c3", 2, 5, 19, 3, (1, 4)),
    Pool("tiles-4x1-c7", 2, 9, 6, 7, (4, 1)),
    Pool("large", 4, 28, 28, 32),
    Pool("large-odd", 2, 55, 53, 19, 3, 2, "same"),
    Pool("large-one-channel", 8, 40, 40, 1),
    Pool("many-images", 70, 4, 4, 3),
]
# Planes of NCHW: widths about one and two vectors, windows that overlap, many planes and few,
# whole planes and strips of them.
CASES += [
    Pool(f"planes-{h}x{w}-{pool}-{stride}-{padding}-c{c}", 2, h, w, c, pool, stride, padding)
    for h, w, c in (
        (9, 7, 17),
        (5, 8, 16),
        (6, 15, 18),
        (7, 16, 3),
        (6, 17, 17),
        (9, 33, 16),
        (70, 65, 2),
    )
    for pool, stride in ((3, 2), (3, 1), (2, 1), ((3, 5), (1, 2)), ((5, 4), (2, 1)))
    for padding in ("valid", "same", ((1, 0), (1, 1)))
    if padding != "valid" or h > 5
]
CASES += [
    Pool("planes-rest", 1, 10, 17, 49, 3, 2),
    Pool("planes-rest-narrow", 1, 9, 6, 79, 3, (2, 1)),
    Pool("planes-wide", 1, 7, 1300, 1, 3, 2, "same"),
    Pool("planes-3x3-stride3", 2, 12, 17, 16, (4, 5), 3, "same"),
    Pool("columns-whole-only-when-rounded", 2, 9, 32, 3, (3, 6), (1, 3)),
    Pool("one-window-of-a-row", 2, 1, 7, 33, (1, 5), (1, 3)),
]
# Windows whose gradients are taken along steps of the stride.
CASES += [
    Pool(f"steps-{pool}-{stride}-{padding}-c{c}", 2, h, w, c, pool, stride, padding)
    for h, w, c in ((9, 12, 9), (2, 20, 16), (14, 3, 40), (13, 2, 128))
    for pool, stride in ((2, 2), (3, 1), (3, 2))
    for padding in ("same", ((1, 0), (0, 1)), ((1, 1), (1, 1)))
]
# Short rows of several channels: the gradient is gathered from copies with a border.
CASES += [
    Pool(f"short-{h}x{w}-{pool}-{stride}-{padding}-c{c}", 2, h, w, c, pool, stride, padding)
    for h, w, c in ((13, 9, 16), (8, 7, 36), (40, 12, 12), (5, 6, 80))
    for pool, stride, padding in (
        (3, 1, 0),
        (3, 1, 1),
        (3, 2, 1),
        (2, 2, 1),
        ((2, 3), (3, 1), "same"),
    )
]
# Small planes, one or several of which are taken as one row: outputs of about one vector, and
# windows without overlap.
CASES += [
    Pool(f"small-planes-{h}x{w}-{pool}-{stride}-{padding}-c{c}", 4, h, w, c, pool, stride, padding)
    for h, w, c in ((6, 6, 16), (7, 7, 17), (12, 12, 8), (13, 13, 9), (8, 30, 8), (3, 3, 32))
    for pool, stride in ((2, 2), (3, 2), (3, 1), ((2, 3), 2))
    for padding in ("valid", "same")
]
BY_NAME = {case.name: case for case in CASES}
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0])


def special_values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return images full of NaN, infinities, signed zeros and ties."""
    return np.random.default_rng(7).choice(SPECIAL, shape).astype(dtype)


@cache
def images(case: Pool, dtype: str, kind: str) -> np.ndarray:
    make = {"random": random, "ties": integers, "special": special_values}[kind]
    return surrounded(make(case.shape, dtype))


@cache
def maxima(case: Pool, dtype: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The exact maxima of `images`, and where they are."""
    return reference.max_pool2d(images(case, dtype, kind), **case.arguments, return_indices=True)


@cache
def maxima_gradient(case: Pool, dtype: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A dy of whole numbers, whose sums are exact in any order, and its dx."""
    y, indices = maxima(case, dtype, kind)
    dy = integers(y.shape, dtype, "dy")
    return dy, reference.max_pool2d_backward(dy, indices, case.shape, **case.arguments)


@cache
def means(case: Pool, dtype: str) -> tuple[np.ndarray, ...]:
    """The true means and their bound; a dy, its dx and the bound of that."""
    x, length = images(case, dtype, "random"), int(np.broadcast_to(case.pool_size, 2).prod())
    exact, scale = (truth(reference.avg_pool2d, a, **case.arguments) for a in (x, np.abs(x)))
    dy = surrounded(random(exact.shape, dtype, "dy"))
    dx_exact, dx_scale = (
        truth(reference.avg_pool2d_backward, a, input_shape=x.shape, **case.arguments)
        for a in (dy, np.abs(dy))
    )
    bound, dx_bound = (sum_bound(a, length, dtype) for a in (scale, dx_scale))
    return exact, bound, dy, dx_exact, dx_bound


@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum_and_position_are_exact(case: Pool, isa: str, dtype: str) -> None:
    for kind in ("random", "ties", "special"):
        x = images(case, dtype, kind)
        exact, exact_indices = maxima(case, dtype, kind)
        for data_format in DATA_FORMATS:
            x_there = surrounded(to_format(x, data_format))
            y_expected, indices_expected = (
                to_format(a, data_format) for a in (exact, exact_indices)
            )
            for threads in THREADS:
                runtime.set_num_threads(threads)
                outs = Output(y_expected.shape, dtype), Output(y_expected.shape, "uint8")
                y, indices = fastconv.max_pool2d(
                    x_there,
                    **case.arguments,
                    data_format=data_format,
                    return_indices=True,
                    out=tuple(out.array for out in outs),
                )
                assert y is outs[0].array
                assert indices is outs[1].array
                for out in outs:
                    out.assert_surroundings_untouched()
                what = f"{kind}, {data_format}, {threads} threads"
                np.testing.assert_array_equal(y, y_expected, err_msg=what)
                np.testing.assert_array_equal(indices, indices_expected, err_msg=what)
            alone = fastconv.max_pool2d(x_there, **case.arguments, data_format=data_format)
            np.testing.assert_array_equal(alone, y_expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum_backward_is_exact(case: Pool, isa: str, dtype: str) -> None:
    x = images(case, dtype, "ties")
    _, indices = maxima(case, dtype, "ties")
    dy, exact = maxima_gradient(case, dtype, "ties")
    for data_format in DATA_FORMATS:
        dy_there = surrounded(to_format(dy, data_format))
        indices_there = to_format(indices, data_format)
        shape = to_format(x, data_format).shape
        for threads in THREADS:
            runtime.set_num_threads(threads)
            out = Output(shape, dtype)
            dx = fastconv.max_pool2d_backward(
                dy_there,
                indices_there,
                shape,
                **case.arguments,
                data_format=data_format,
                out=out.array,
            )
            assert dx is out.array
            out.assert_surroundings_untouched()
            np.testing.assert_array_equal(dx, to_format(exact, data_format))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum_backward_does_not_depend_on_threads(case: Pool, isa: str) -> None:
    x = images(case, "float32", "random")
    y, indices = maxima(case, "float32", "random")
    dy = random(y.shape, "float32", "dy")
    results = []
    for threads in THREADS:
        runtime.set_num_threads(threads)
        results.append(fastconv.max_pool2d_backward(dy, indices, x.shape, **case.arguments))
    assert all(same_bytes(result, results[0]) for result in results[1:])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_mean(case: Pool, isa: str, dtype: str) -> None:
    x = images(case, dtype, "random")
    exact, bound, dy, dx_exact, dx_bound = means(case, dtype)
    for data_format in DATA_FORMATS:
        x_there, dy_there = (surrounded(to_format(a, data_format)) for a in (x, dy))
        one_thread = None
        for threads in THREADS:
            runtime.set_num_threads(threads)
            outs = Output(dy_there.shape, dtype), Output(x_there.shape, dtype)
            y = fastconv.avg_pool2d(
                x_there, **case.arguments, data_format=data_format, out=outs[0].array
            )
            dx = fastconv.avg_pool2d_backward(
                dy_there,
                x_there.shape,
                **case.arguments,
                data_format=data_format,
                out=outs[1].array,
            )
            assert y is outs[0].array
            assert dx is outs[1].array
            for out in outs:
                out.assert_surroundings_untouched()
            if one_thread is None:
                one_thread = y, dx
                assert_within(y, *(to_format(a, data_format) for a in (exact, bound)))
                assert_within(dx, *(to_format(a, data_format) for a in (dx_exact, dx_bound)))
            assert same_bytes(y, one_thread[0])
            assert same_bytes(dx, one_thread[1])


WIDE = [
    Pool("whole-image", 2, 40, 60, 1, (40, 60)),
    Pool("whole-image-padded", 1, 40, 60, 3, 64, 64, "same"),
    Pool("two-wide-windows", 1, 30, 90, 1, (10, 45)),
    Pool("stride-beyond-image", 2, 6, 5, 3, 2, 2**40),
    Pool("stride-beyond-image-padded", 2, 6, 5, 1, (3, 4), (1, 2**57), ((1, 1), (3, 2))),
]


@pytest.mark.parametrize("case", WIDE, ids=str)
def test_wide_windows_and_strides(case: Pool, isa: str, dtype: str) -> None:
    x = images(case, dtype, "ties")
    for data_format in DATA_FORMATS:
        x_there = to_format(x, data_format)
        arguments = {**case.arguments, "data_format": data_format}
        np.testing.assert_array_equal(
            fastconv.max_pool2d(x_there, **arguments), reference.max_pool2d(x_there, **arguments)
        )
        exact = truth(reference.avg_pool2d, x_there, **arguments)
        length = int(np.prod(np.broadcast_to(case.pool_size, 2)))
        scale = truth(reference.avg_pool2d, np.abs(x_there), **arguments)
        y = fastconv.avg_pool2d(x_there, **arguments)
        assert_within(y, exact, sum_bound(scale, length, dtype))
        dx = fastconv.avg_pool2d_backward(y, x_there.shape, **arguments)
        dx_exact = truth(reference.avg_pool2d_backward, y, input_shape=x_there.shape, **arguments)
        assert_within(dx, dx_exact, sum_bound(np.abs(dx_exact), 4, dtype))


def test_workspace_does_not_grow_with_the_square_of_a_window() -> None:
    """Means over tens of megabytes, of one window and of a few."""
    x = np.ones((1, 3000, 3000, 1), "float32")
    for pool in (3000, 1000):
        y = fastconv.avg_pool2d(x, pool)
        assert y.shape == (1, 3000 // pool, 3000 // pool, 1)
        np.testing.assert_allclose(y, 1, rtol=1e-6)
        dx = fastconv.avg_pool2d_backward(y, x.shape, pool)
        np.testing.assert_allclose(dx, 1 / pool**2, rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 17])
def test_mean_of_a_long_window(channels: int, isa: str) -> None:
    """Positive numbers: one running sum over all of them errs 20 times as much."""
    x = np.abs(random((1, 500, 600, channels), "float32")) + np.float32(1)
    exact = x.astype(float).mean((1, 2))
    np.testing.assert_allclose(fastconv.avg_pool2d(x, (500, 600))[:, 0, 0], exact, rtol=2e-6)


@pytest.mark.parametrize("position", range(9))
@pytest.mark.parametrize("channels", [1, 5, 16, 33])
def test_nan_wins_from_every_position(position: int, channels: int, isa: str, dtype: str) -> None:
    for others in (0.0, np.inf, -np.inf):
        x = np.full((1, 3, 3, channels), others, dtype)
        x[0, position // 3, position % 3] = np.nan
        y, indices = fastconv.max_pool2d(x, 3, return_indices=True)
        assert np.isnan(y).all()
        assert (indices == position).all()
        assert np.isnan(fastconv.avg_pool2d(x, 3)).all()


def test_nan_in_the_gradient_stays_with_its_winner(isa: str) -> None:
    x = random((1, 6, 6, 5), "float32")
    y, indices = fastconv.max_pool2d(x, 3, 2, "same", return_indices=True)
    dy = np.ones_like(y)
    dy[0, 1, 1, 2] = np.nan
    dx = fastconv.max_pool2d_backward(dy, indices, x.shape, 3, 2, "same")
    expected = reference.max_pool2d_backward(dy, indices, x.shape, 3, 2, "same")
    assert np.isnan(expected).sum() == 1
    np.testing.assert_array_equal(dx, expected)


@pytest.mark.parametrize("name", ["c5", "padding-uneven", "3x3-stride2-same-c5"])
def test_positions_of_no_element_send_no_gradient(name: str, isa: str) -> None:
    """Indices that no forward pass returns are ignored, not followed out of the array."""
    case = BY_NAME[name]
    y = reference.max_pool2d(np.zeros(case.shape, "float32"), **case.arguments)
    indices = np.random.default_rng(1).integers(0, 256, y.shape).astype(np.uint8)
    dy = integers(y.shape, "float32")
    out = Output(case.shape, "float32")
    fastconv.max_pool2d_backward(dy, indices, case.shape, **case.arguments, out=out.array)
    out.assert_surroundings_untouched()
    expected = reference.max_pool2d_backward(dy, indices, case.shape, **case.arguments)
    np.testing.assert_array_equal(out.array, expected)


# Windows that are taken one by one: images that are one window, and indices that no byte holds.
SINGLE = [
    Pool(f"{h}x{w}-c{c}", 2, h, w, c, (h, w))
    for h, w, c in [
        (1, 1, 3),
        (2, 3, 1),
        (3, 5, 1),
        (7, 7, 1),
        (11, 13, 1),
        (16, 16, 1),
        (40, 33, 1),
    ]
    + [(5, 7, c) for c in (2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 128, 129, 300)]
]
SINGLE += [
    Pool("padded", 2, 5, 6, 5, 7, 1, ((1, 1), (0, 1))),
    Pool("padded-c1", 2, 9, 6, 1, (9, 7), 1, ((0, 0), (0, 1))),
    Pool("part-of-the-image", 3, 9, 8, 4, 6, 5),
    Pool("many-small", 90, 3, 3, 20, 3),
    Pool("large-c1", 3, 120, 90, 1, (120, 90)),
    Pool("large-c48", 2, 60, 50, 48, (60, 50)),
]
FAR = [
    Pool("17x20", 2, 20, 21, 5, (17, 20), 1),
    Pool("17x20-c1", 2, 20, 21, 1, (17, 20), 1),
    Pool("17x16-same", 1, 30, 25, 17, (17, 16), 7, "same"),
    Pool("257x1", 1, 300, 1, 3, (257, 1), 20),
    Pool("1x300-padded", 2, 2, 310, 2, (1, 300), 30, ((0, 0), (50, 50))),
]


@pytest.mark.parametrize("case", SINGLE + FAR, ids=str)
def test_windows_one_by_one(case: Pool, isa: str, dtype: str) -> None:
    kind = "uint8" if np.prod(np.broadcast_to(case.pool_size, 2)) <= 256 else "int64"
    for values in ("ties", "special"):
        x = images(case, dtype, values)
        exact, exact_indices = maxima(case, dtype, values)
        dy, dx_exact = maxima_gradient(case, dtype, values)
        for data_format in DATA_FORMATS:
            arguments = {**case.arguments, "data_format": data_format}
            x_there = surrounded(to_format(x, data_format))
            for threads in THREADS:
                runtime.set_num_threads(threads)
                shape = to_format(exact, data_format).shape
                outs = Output(shape, dtype), Output(shape, kind), Output(x_there.shape, dtype)
                y, indices = fastconv.max_pool2d(
                    x_there, **arguments, return_indices=True, out=(outs[0].array, outs[1].array)
                )
                dx = fastconv.max_pool2d_backward(
                    to_format(dy, data_format),
                    indices,
                    x_there.shape,
                    **arguments,
                    out=outs[2].array,
                )
                for out in outs:
                    out.assert_surroundings_untouched()
                np.testing.assert_array_equal(y, to_format(exact, data_format))
                np.testing.assert_array_equal(indices, to_format(exact_indices, data_format))
                np.testing.assert_array_equal(dx, to_format(dx_exact, data_format))
            alone = fastconv.max_pool2d(x_there, **arguments)
            np.testing.assert_array_equal(alone, to_format(exact, data_format))


@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_mean_of_single_windows(case: Pool, isa: str, dtype: str) -> None:
    test_mean(case, isa, dtype)


def test_far_positions_of_no_element_send_no_gradient(isa: str) -> None:
    case = FAR[2]
    y = reference.max_pool2d(np.zeros(case.shape, "float32"), **case.arguments)
    indices = np.random.default_rng(1).integers(-300, 600, y.shape)
    dy = integers(y.shape, "float32")
    out = Output(case.shape, "float32")
    fastconv.max_pool2d_backward(dy, indices, case.shape, **case.arguments, out=out.array)
    out.assert_surroundings_untouched()
    expected = reference.max_pool2d_backward(dy, indices, case.shape, **case.arguments)
    np.testing.assert_array_equal(out.array, expected)


def test_golden_values_of_keras() -> None:
    x = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
    y = fastconv.avg_pool2d(x, 2, 2, "SAME")
    np.testing.assert_array_equal(y[0, :, :, 0], [[2, 3.5], [6.5, 8]])
    y = fastconv.max_pool2d(x, 2, 2, "same")
    np.testing.assert_array_equal(y[0, :, :, 0], [[4, 5], [7, 8]])
