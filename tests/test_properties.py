"""Random shapes against the truth: what no list of cases thinks of."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference import integers, magnitude, random, same_bytes, to_format, truth
from tolerances import assert_within, sum_bound

import fastconv
from fastconv import reference, runtime

FEW = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
ISAS = st.sampled_from(runtime.available_isas())
SIZES = st.integers(1, 14)
STEPS = st.tuples(st.integers(1, 4), st.integers(1, 4))
SIDES = st.tuples(st.integers(0, 4), st.integers(0, 4))
PADDINGS = st.one_of(st.sampled_from(["valid", "same"]), st.tuples(SIDES, SIDES))
FORMATS = st.sampled_from(["channels_last", "channels_first"])
DTYPES = st.sampled_from(["float32", "float64"])


def span(kernel: tuple[int, int], dilation: tuple[int, int], axis: int) -> int:
    return (kernel[axis] - 1) * dilation[axis] + 1


def fits(size: tuple[int, int], spans: tuple[int, int], padding: Any) -> bool:
    if padding == "same":
        return True
    sides = ((0, 0), (0, 0)) if padding == "valid" else padding
    return all(span <= n + sum(s) for n, span, s in zip(size, spans, sides, strict=True))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Any, Any, dict[str, Any]]:
    """Draw the shapes of x and of the kernel and the arguments of a convolution."""
    size = draw(SIZES), draw(SIZES)
    kernel = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(PADDINGS)
    assume(fits(size, (span(kernel, dilation, 0), span(kernel, dilation, 1)), padding))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inputs, outputs = draw(st.integers(1, 20)), draw(st.integers(1, 36))
    x_shape = draw(st.integers(0, 3)), *size, groups * inputs
    arguments = {
        "strides": draw(STEPS),
        "padding": padding,
        "dilation_rate": dilation,
        "groups": groups,
    }
    return x_shape, (*kernel, inputs, groups * outputs), arguments


@FEW
@given(
    shapes=convolutions(), data_format=FORMATS, dtype=DTYPES, isa=ISAS, threads=st.integers(1, 4)
)
def test_convolutions(shapes: Any, data_format: str, dtype: str, isa: str, threads: int) -> None:
    x_shape, kernel_shape, arguments = shapes
    x, kernel = random(x_shape, dtype), random(kernel_shape, dtype)
    exact = truth(reference.conv2d, x, kernel, **arguments)
    dy = random(exact.shape, dtype, "dy")
    gradients = truth(reference.conv2d_backward, dy, x, kernel, **arguments)
    scale = magnitude(reference.conv2d, x, kernel, **arguments)
    scales = magnitude(reference.conv2d_backward, dy, x, kernel, **arguments)
    pixels = int(np.prod(dy.shape[:3]))
    taps = kernel_shape[0] * kernel_shape[1]
    lengths = taps * kernel_shape[3] // arguments["groups"], pixels, pixels
    runtime.set_isa(isa)
    arguments |= {"data_format": data_format, "algorithm": "direct"}
    x, dy, exact, scale = (to_format(a, data_format) for a in (x, dy, exact, scale))
    results = []
    for n in (threads, 1):
        with fastconv.threads(n):
            results.append(
                (
                    fastconv.conv2d(x, kernel, **arguments),
                    *fastconv.conv2d_backward(dy, x, kernel, **arguments),
                )
            )
    y, dx, dw, db = results[0]
    assert_within(y, exact, sum_bound(scale, taps * kernel_shape[2], dtype), "y")
    bounds = [sum_bound(s, n, dtype) for s, n in zip(scales, lengths, strict=True)]
    assert_within(dx, *(to_format(a, data_format) for a in (gradients[0], bounds[0])), "dx")
    assert_within(dw, gradients[1], bounds[1], "dw")
    assert_within(db, gradients[2], bounds[2], "db")
    assert all(same_bytes(a, b) for a, b in zip(*results, strict=True))


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """Draw the shape of x and the arguments of a pooling."""
    size = draw(SIZES), draw(SIZES)
    pool = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    padding = draw(PADDINGS)
    if not isinstance(padding, str):
        padding = tuple(
            tuple(min(side, n - 1) for side in sides)
            for sides, n in zip(padding, pool, strict=True)
        )
    assume(fits(size, pool, padding))
    shape = draw(st.integers(0, 3)), *size, draw(st.integers(1, 40))
    strides = draw(st.one_of(st.none(), STEPS))
    return shape, {"pool_size": pool, "strides": strides, "padding": padding}


@FEW
@given(shapes=poolings(), data_format=FORMATS, dtype=DTYPES, isa=ISAS, threads=st.integers(1, 4))
def test_poolings(shapes: Any, data_format: str, dtype: str, isa: str, threads: int) -> None:
    shape, arguments = shapes
    x = to_format(integers(shape, dtype), data_format)
    x[x == 4] = np.nan
    arguments["data_format"] = data_format
    y, indices = reference.max_pool2d(x, **arguments, return_indices=True)
    dy = integers(y.shape, dtype, "dy")
    runtime.set_isa(isa)
    with fastconv.threads(threads):
        actual = fastconv.max_pool2d(x, **arguments, return_indices=True)
        np.testing.assert_array_equal(actual[0], y)
        np.testing.assert_array_equal(actual[1], indices)
        np.testing.assert_array_equal(
            fastconv.max_pool2d_backward(dy, indices, x.shape, **arguments),
            reference.max_pool2d_backward(dy, indices, x.shape, **arguments),
        )
        x = random(x.shape, dtype)
        length = int(np.prod(arguments["pool_size"]))
        assert_within(
            fastconv.avg_pool2d(x, **arguments),
            truth(reference.avg_pool2d, x, **arguments),
            sum_bound(magnitude(reference.avg_pool2d, x, **arguments), length, dtype),
        )


@FEW
@given(
    n=st.integers(0, 40),
    inputs=st.integers(1, 90),
    units=st.integers(1, 90),
    dtype=DTYPES,
    isa=ISAS,
)
def test_dense(n: int, inputs: int, units: int, dtype: str, isa: str) -> None:
    x, kernel, dy = (random(s, dtype) for s in [(n, inputs), (inputs, units), (n, units)])
    runtime.set_isa(isa)
    actual = fastconv.dense(x, kernel), *fastconv.dense_backward(dy, x, kernel)
    exact = (
        truth(reference.dense, x, kernel),
        *truth(reference.dense_backward, dy, x, kernel),
    )
    scales = (
        magnitude(reference.dense, x, kernel),
        *magnitude(reference.dense_backward, dy, x, kernel),
    )
    for a, e, scale, length in zip(actual, exact, scales, (inputs, units, n, n), strict=True):
        assert_within(a, e, sum_bound(scale, length, dtype))
