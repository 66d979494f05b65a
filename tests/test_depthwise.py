"""depthwise_conv2d and its gradients against the truth, and against grouped convolution."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from depthwise_cases import DEPTHWISE, Depthwise
from guards import Output, surrounded
from reference import DATA_FORMATS, THREADS, magnitude, random, same_bytes, to_format, truth
from tolerances import assert_within, function_bound, sum_bound

import fastconv
from fastconv import reference, runtime

BY_NAME = {case.name: case for case in DEPTHWISE}
NAMES = ("dx", "dw", "db")


@cache
def arrays(case: Depthwise, dtype: str) -> tuple[np.ndarray, ...]:
    """Return x, the kernel, the bias and dy."""
    x = random(case.x_shape, dtype, case.name)
    kernel = random(case.kernel_shape, dtype, case.name, "kernel")
    y_shape = reference.depthwise_conv2d(x, kernel, **case.arguments).shape
    return (
        surrounded(x),
        surrounded(kernel),
        surrounded(random(y_shape[-1:], dtype, case.name, "bias")),
        surrounded(random(y_shape, dtype, case.name, "dy")),
    )


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_forward(case: Depthwise, isa: str, dtype: str) -> None:
    operands = arrays(case, dtype)[:3]
    exact = truth(reference.depthwise_conv2d, *operands, **case.arguments)
    scale = magnitude(reference.depthwise_conv2d, *operands, **case.arguments)
    bound = sum_bound(scale, case.reduction, dtype)
    for data_format in DATA_FORMATS:
        x = surrounded(to_format(operands[0], data_format))
        one_thread = None
        for threads in THREADS:
            runtime.set_num_threads(threads)
            out = Output(to_format(exact, data_format).shape, dtype)
            y = fastconv.depthwise_conv2d(
                x, *operands[1:], **case.arguments, data_format=data_format, out=out.array
            )
            assert y is out.array
            out.assert_surroundings_untouched()
            if one_thread is None:
                one_thread = y
                assert_within(y, to_format(exact, data_format), to_format(bound, data_format))
            assert same_bytes(y, one_thread), f"{threads} threads differ from one, {data_format}"


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_backward(case: Depthwise, isa: str, dtype: str) -> None:
    x, kernel, _, dy = arrays(case, dtype)
    exact = truth(reference.depthwise_conv2d_backward, dy, x, kernel, **case.arguments)
    scale = magnitude(reference.depthwise_conv2d_backward, dy, x, kernel, **case.arguments)
    pixels = int(np.prod(dy.shape[:3]))
    lengths = (case.reduction * case.m, pixels, pixels)
    for data_format in DATA_FORMATS:
        dy_there, x_there = (surrounded(to_format(a, data_format)) for a in (dy, x))
        one_thread = None
        for threads in THREADS:
            runtime.set_num_threads(threads)
            outs = [Output(s, dtype) for s in (x_there.shape, kernel.shape, dy.shape[-1:])]
            gradients = fastconv.depthwise_conv2d_backward(
                dy_there,
                x_there,
                kernel,
                **case.arguments,
                data_format=data_format,
                out=tuple(out.array for out in outs),
            )
            for out in outs:
                out.assert_surroundings_untouched()
            one_thread = one_thread or gradients
            for i, name in enumerate(NAMES):
                assert gradients[i] is outs[i].array
                assert same_bytes(gradients[i], one_thread[i]), f"{name}: {threads} threads"
        for i, name in enumerate(NAMES):
            bound = sum_bound(scale[i], lengths[i], dtype)
            if name == "dx":
                there = (to_format(exact[i], data_format), to_format(bound, data_format))
            else:
                there = (exact[i], bound)
            assert_within(one_thread[i], *there, f"{name}, {data_format}")


@pytest.mark.parametrize(
    "name",
    ["flat-many-rows-c6", "wide-c8", "bands-c24", "bands-c300", "bands-5x5-c320", "bands-stride2"]
    + [name for name in BY_NAME if name.startswith("together")],
)
def test_gradients_together_are_those_of_each(name: str, isa: str, dtype: str) -> None:
    case = BY_NAME[name]
    x, kernel, _, dy = arrays(case, dtype)
    for threads in THREADS:
        runtime.set_num_threads(threads)
        together = fastconv.depthwise_conv2d_backward(dy, x, kernel, **case.arguments)
        for i, needs in enumerate(NAMES):
            alone = fastconv.depthwise_conv2d_backward(
                dy, x, kernel, **case.arguments, needs=(needs,)
            )
            assert same_bytes(alone[i], together[i]), f"{needs}, {threads} threads"


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("name", ["c5", "c17", "c8m2", "stride32"])
def test_activation(name: str, activation: str, isa: str) -> None:
    case, dtype = BY_NAME[name], "float32"
    x, kernel, bias, _ = arrays(case, dtype)
    for operands in [(x, kernel, bias), (x, kernel, None)]:
        exact = truth(
            reference.depthwise_conv2d, *operands, **case.arguments, activation=activation
        )
        scale = magnitude(reference.depthwise_conv2d, *operands, **case.arguments)
        bound = sum_bound(scale, case.reduction, dtype) + function_bound(exact, dtype)
        for data_format in DATA_FORMATS:
            y = fastconv.depthwise_conv2d(
                to_format(operands[0], data_format),
                *operands[1:],
                **case.arguments,
                activation=activation,
                data_format=data_format,
            )
            there = (to_format(exact, data_format), to_format(bound, data_format))
            assert_within(y, *there, data_format)


@pytest.mark.parametrize("name", ["c9", "c5m17", "dilation2-stride2"])
def test_is_a_convolution_of_as_many_groups_as_channels(name: str) -> None:
    case, dtype = BY_NAME[name], "float64"
    x, kernel, bias, dy = arrays(case, dtype)
    grouped = kernel.reshape(*case.kernel, 1, case.c * case.m)
    arguments: dict[str, Any] = {**case.arguments, "groups": case.c}
    np.testing.assert_allclose(
        fastconv.depthwise_conv2d(x, kernel, bias, **case.arguments),
        fastconv.conv2d(x, grouped, bias, **arguments),
        rtol=1e-12,
        atol=1e-12,
    )
    depthwise = fastconv.depthwise_conv2d_backward(dy, x, kernel, **case.arguments)
    convolution = fastconv.conv2d_backward(dy, x, grouped, **arguments)
    for a, b in zip(depthwise, convolution, strict=True):
        np.testing.assert_allclose(a.ravel(), b.ravel(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("needs", [(), ("dx",), ("dw",), ("db",), ("dx", "db"), ("dw", "dx")])
def test_needs_chooses_without_changing(needs: tuple[str, ...]) -> None:
    case = BY_NAME["stride2"]
    x, kernel, _, dy = arrays(case, "float32")
    everything = fastconv.depthwise_conv2d_backward(dy, x, kernel, **case.arguments)
    chosen = fastconv.depthwise_conv2d_backward(dy, x, kernel, **case.arguments, needs=needs)
    for name, some, full in zip(NAMES, chosen, everything, strict=True):
        if name in needs:
            assert same_bytes(some, full)
        else:
            assert some is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["c1", "c5", "c17", "c5m17", "stride2", "5x5"])
def test_special_values_stay_in_their_channel(name: str, value: float, isa: str) -> None:
    case = BY_NAME[name]
    x, kernel, bias, _ = (a.copy() for a in arrays(case, "float32"))
    x[0, 2, 2, case.c // 2] = value
    with np.errstate(invalid="ignore"):
        exact = truth(reference.depthwise_conv2d, x, kernel, bias, **case.arguments)
    for data_format in DATA_FORMATS:
        y = fastconv.depthwise_conv2d(
            to_format(x, data_format), kernel, bias, **case.arguments, data_format=data_format
        )
        expected = to_format(exact, data_format)
        special = ~np.isfinite(expected)
        assert special.any()
        assert np.isfinite(y[~special]).all()
        np.testing.assert_array_equal(y[special], expected[special].astype("float32"))
