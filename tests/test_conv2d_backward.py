"""The gradients of conv2d against the truth and against central differences."""

from functools import cache
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from conv_cases import ALL, BY_NAME, Conv
from guards import Output, surrounded
from reference import DATA_FORMATS, THREADS, magnitude, random, same_bytes, to_format, truth
from tolerances import assert_within, sum_bound, winograd_bound

import fastconv
from fastconv import reference, runtime

NAMES = ("dx", "dw", "db")
SUBSETS = [*chain.from_iterable(combinations(NAMES, size) for size in (1, 2))]


@cache
def arrays(case: Conv, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dy, x and the kernel."""
    x = random(case.x_shape, dtype, case.name)
    kernel = random(case.kernel_shape, dtype, case.name, "kernel")
    y_shape = reference.conv2d(x, kernel, **case.arguments).shape
    return surrounded(random(y_shape, dtype, case.name, "dy")), surrounded(x), surrounded(kernel)


@cache
def expected(case: Conv, dtype: str) -> tuple[Any, Any]:
    """The true gradients and the sums of absolute values, dx as NHWC."""
    operands = arrays(case, dtype)
    return (
        truth(reference.conv2d_backward, *operands, **case.arguments),
        magnitude(reference.conv2d_backward, *operands, **case.arguments),
    )


def bounds(case: Conv, dtype: str, bound: Any) -> tuple[Any, Any, Any]:
    """Return the bounds of dx, dw and db; the latter two sum over all output pixels."""
    scales = expected(case, dtype)[1]
    pixels = int(np.prod(arrays(case, dtype)[0].shape[:3]))
    lengths = (case.kernel[0] * case.kernel[1] * case.k // case.groups, pixels, pixels)
    return tuple(bound(s, length, dtype) for s, length in zip(scales, lengths, strict=True))


def check(case: Conv, dtype: str, algorithm: str, bound: Any) -> None:
    """Compare every data format with the truth, and every number of threads with one thread."""
    dy, x, kernel = arrays(case, dtype)
    limits = bounds(case, dtype, bound)
    for data_format in DATA_FORMATS:
        dy_there, x_there = (surrounded(to_format(a, data_format)) for a in (dy, x))
        one_thread = None
        for threads in THREADS:
            runtime.set_num_threads(threads)
            outs = [Output(s, dtype) for s in (x_there.shape, kernel.shape, (case.k,))]
            gradients = fastconv.conv2d_backward(
                dy_there,
                x_there,
                kernel,
                **case.arguments,
                data_format=data_format,
                algorithm=algorithm,
                out=tuple(out.array for out in outs),
            )
            for out, gradient in zip(outs, gradients, strict=True):
                assert gradient is out.array
                out.assert_surroundings_untouched()
            if one_thread is None:
                one_thread = gradients
                for name, gradient, exact, limit in zip(
                    NAMES, gradients, expected(case, dtype)[0], limits, strict=True
                ):
                    if name == "dx":
                        exact, limit = (to_format(a, data_format) for a in (exact, limit))
                    assert_within(gradient, exact, limit, f"{name}, {data_format}")
            for name, gradient, alone in zip(NAMES, gradients, one_thread, strict=True):
                assert same_bytes(gradient, alone), f"{name}: {threads} threads, {data_format}"


@pytest.mark.parametrize("case", ALL, ids=str)
def test_direct(case: Conv, isa: str, dtype: str) -> None:
    check(case, dtype, "direct", sum_bound)


@pytest.mark.parametrize("case", [c for c in ALL if c.winograd], ids=str)
def test_winograd(case: Conv, isa: str) -> None:
    check(case, "float32", "winograd", winograd_bound)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)], ids=str)
def test_bands_of_few_channels(strides: tuple[int, int], isa: str) -> None:
    """Images whose products, 27 for every pixel of dy, fill more than a second-level cache."""
    height, width = 260 * strides[0], 160 * strides[1]
    check(Conv("bands", 1, height, width, 3, 16, strides=strides), "float32", "direct", sum_bound)


# Of few pixels, by images, by rows of an image, with columns that no window covers.
_PRODUCTS = [
    Conv("few-pixels", 3, 6, 7, 40, 12, (4, 5), padding="valid"),
    Conv("images", 9, 7, 8, 40, 12, (5, 5), padding="valid"),
    Conv("rows", 1, 130, 6, 20, 12, (5, 5), padding="valid"),
    Conv("dilation", 3, 11, 12, 20, 12, padding="valid", dilation=(3, 4)),
    Conv("gaps", 5, 13, 12, 20, 12, (4, 2), (3, 3), padding="valid"),
]


@pytest.mark.parametrize("case", _PRODUCTS, ids=str)
def test_windows_of_products(case: Conv, isa: str, dtype: str) -> None:
    """More channels than a vector holds, and many more pixels of dx than of dy."""
    check(case, dtype, "direct", sum_bound)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_auto_is_one_of_the_algorithms(case: Conv, dtype: str) -> None:
    def run(algorithm: str) -> tuple[Any, ...]:
        operands = arrays(case, dtype)
        return fastconv.conv2d_backward(*operands, **case.arguments, algorithm=algorithm)

    auto, direct = run("auto"), run("direct")
    differ = [not same_bytes(a, b) for a, b in zip(auto, direct, strict=True)]
    if any(differ):
        assert case.winograd
        winograd = run("winograd")
        assert all(same_bytes(auto[i], winograd[i]) for i in range(3) if differ[i])


@pytest.mark.parametrize("name", ["c15k16", "stride22k33-same", "groups3-odd", "large-odd"])
@pytest.mark.parametrize("needs", [(), *SUBSETS], ids="+".join)
def test_needs_chooses_without_changing(name: str, needs: tuple[str, ...]) -> None:
    case = BY_NAME[name]
    operands = arrays(case, "float32")
    for algorithm in ("direct", "auto"):
        arguments = {**case.arguments, "algorithm": algorithm}
        everything = fastconv.conv2d_backward(*operands, **arguments)
        chosen = fastconv.conv2d_backward(*operands, **arguments, needs=needs)
        assert [gradient is not None for gradient in chosen] == [name in needs for name in NAMES]
        for i in (i for i, gradient in enumerate(chosen) if gradient is not None):
            if NAMES[i] == "db" and algorithm == "auto":
                # Winograd sums dy on the way to dw, in the order of its tiles.
                bound = 2 * bounds(case, "float32", sum_bound)[i]
                assert_within(chosen[i], everything[i], bound)
            else:
                assert same_bytes(chosen[i], everything[i])


@pytest.mark.parametrize(
    "name",
    ["c2k3", "stride21k33-same", "dilation2-stride2", "groups3-odd", "padding-uneven-stride2"],
)
def test_central_differences(name: str, isa: str) -> None:
    """The kernels themselves in float64: sum(r * conv) is linear in each array, so the difference
    quotient has no truncation error and only rounding, eps / step, is left."""
    case = BY_NAME[name]
    r, x, kernel = arrays(case, "float64")
    bias = random((case.k,), "float64", "bias")
    step = 2.0**-3

    def value(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> float:
        return float(np.vdot(r, fastconv.conv2d(x, kernel, bias, **case.arguments)))

    gradients = fastconv.conv2d_backward(r, x, kernel, **case.arguments)
    operands = [x.copy(), kernel.copy(), bias]
    rng = np.random.default_rng(0)
    for array, gradient in zip(operands, gradients, strict=True):
        flat = array.reshape(-1)
        for i in rng.choice(flat.size, min(flat.size, 25), replace=False):
            original = flat[i]
            flat[i] = original + step
            above = value(*operands)
            flat[i] = original - step
            below = value(*operands)
            flat[i] = original
            difference = (above - below) / (2 * step)
            assert gradient.flat[i] == pytest.approx(difference, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["c8k9", "stride33k33-same", "groups2", "large-odd"])
def test_whole_numbers_are_exact(name: str, isa: str) -> None:
    """Sums below 2**24 leave no rounding: direct kernels may not lose a single bit."""
    case = BY_NAME[name]
    operands = [np.rint(a) for a in arrays(case, "float32")]
    exact = truth(reference.conv2d_backward, *operands, **case.arguments)
    actual = fastconv.conv2d_backward(*operands, **case.arguments, algorithm="direct")
    for a, b in zip(actual, exact, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
@pytest.mark.parametrize("needs", [("db",), ("dw", "db")], ids="+".join)
def test_long_sums_do_not_come_to_a_halt(needs: tuple[str, ...], algorithm: str) -> None:
    """A single float32 that counts by ones stops at 2**24; sums of sums do not."""
    pixels = 2**24 + 2**21
    dy = np.ones((1, pixels // 4096, 4096, 1), "float32")
    kernel = np.ones((3, 3, 1, 1), "float32")
    _, dw, db = fastconv.conv2d_backward(
        dy, dy, kernel, padding="same", algorithm=algorithm, needs=needs
    )
    assert db[0] == pytest.approx(pixels, rel=1e-3)
    if dw is not None:
        assert dw[1, 1, 0, 0] == pytest.approx(pixels, rel=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["c3k4", "c17k23", "groups3-odd", "stride22k33-same", "large-odd"])
def test_special_values_reach_what_sees_them(name: str, value: float, isa: str, dtype: str) -> None:
    case = BY_NAME[name]
    dy, x, kernel = (a.copy() for a in arrays(case, dtype))
    dy[0, 1, 2, -1] = value
    with np.errstate(invalid="ignore"):
        exact = truth(reference.conv2d_backward, dy, x, kernel, **case.arguments)
    actual = fastconv.conv2d_backward(dy, x, kernel, **case.arguments, algorithm="direct")
    for gradient_name, gradient, expect in zip(NAMES, actual, exact, strict=True):
        special = ~np.isfinite(expect)
        assert special.any()
        assert np.isfinite(gradient[~special]).all(), gradient_name
        np.testing.assert_array_equal(gradient[special], expect[special].astype(dtype))
