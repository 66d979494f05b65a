"""conv2d against the truth: every case, instruction set, number of threads, type and format."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from conv_cases import ALL, BY_NAME, FOLDED, Conv
from guards import Output, surrounded
from reference import DATA_FORMATS, THREADS, magnitude, random, same_bytes, to_format, truth
from tolerances import assert_within, function_bound, sum_bound, winograd_bound

import fastconv
from fastconv import functional, reference, runtime

ACTIVATED = ["c3k4", "c15k16", "c16k17", "kernel5x5c1-valid", "kernel1x1c3-valid", "groups3-odd"]
ACTIVATED += ["stride22k33-same", "large-odd"]
SPECIAL = ["c1k1", "c3k4", "c8k9", "c17k23", "kernel5x5c1-valid", "kernel1x1c3-same"]
SPECIAL += ["groups3-odd", "stride22k33-same", "dilation2", "padding-wider-than-kernel"]
SPECIAL += ["large-odd", "products5x5c1k8", "products3x3c13k8"]


@cache
def arrays(case: Conv, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        surrounded(random(case.x_shape, dtype, case.name)),
        surrounded(random(case.kernel_shape, dtype, case.name, "kernel")),
        surrounded(random((case.k,), dtype, case.name, "bias")),
    )


@cache
def expected(case: Conv, dtype: str) -> tuple[Any, Any]:
    """The truth and the sums of absolute values, as NHWC."""
    x, kernel, bias = arrays(case, dtype)
    return (
        truth(reference.conv2d, x, kernel, bias, **case.arguments),
        magnitude(reference.conv2d, x, kernel, bias, **case.arguments),
    )


def check(case: Conv, dtype: str, algorithm: str, bound: Any) -> None:
    """Compare every data format with the truth, and every number of threads with one thread."""
    x, kernel, bias = arrays(case, dtype)
    exact, _ = expected(case, dtype)
    for data_format in DATA_FORMATS:
        image = surrounded(to_format(x, data_format))
        exact_there = to_format(exact, data_format)
        one_thread = None
        for threads in THREADS:
            runtime.set_num_threads(threads)
            out = Output(exact_there.shape, dtype)
            y = fastconv.conv2d(
                image,
                kernel,
                bias,
                **case.arguments,
                data_format=data_format,
                algorithm=algorithm,
                out=out.array,
            )
            assert y is out.array
            out.assert_surroundings_untouched()
            if one_thread is None:
                one_thread = y
                assert_within(y, exact_there, to_format(bound, data_format), data_format)
            assert same_bytes(y, one_thread), f"{threads} threads differ from one, {data_format}"


@pytest.mark.parametrize("case", ALL, ids=str)
def test_direct(case: Conv, isa: str, dtype: str) -> None:
    _, scale = expected(case, dtype)
    check(case, dtype, "direct", sum_bound(scale, case.reduction, dtype))


@pytest.mark.parametrize(("groups", "size"), [(1, 4), (1, 5), (2, 7)])
def test_few_pixels_of_many_weights(groups: int, size: int, isa: str) -> None:
    options: dict[str, Any] = {"strides": 2, "groups": groups}
    x = surrounded(random((2, size, size, 200 * groups), "float32", size))
    kernel = surrounded(random((3, 3, 200, 330 * groups), "float32", size, "kernel"))
    bias = random((330 * groups,), "float32", size, "bias")
    exact = truth(reference.conv2d, x, kernel, bias, **options)
    bound = sum_bound(magnitude(reference.conv2d, x, kernel, bias, **options), 1800, "float32")
    for activation in ("linear", "tanh"):
        results = []
        for threads in THREADS:
            runtime.set_num_threads(threads)
            out = Output(exact.shape, "float32")
            direct = {**options, "activation": activation, "algorithm": "direct"}
            results.append(fastconv.conv2d(x, kernel, bias, **direct, out=out.array))
            out.assert_surroundings_untouched()
            assert same_bytes(results[-1], results[0])
        bound_here = (
            bound if activation == "linear" else bound + function_bound(np.tanh(exact), "float32")
        )
        assert_within(results[0], exact if activation == "linear" else np.tanh(exact), bound_here)


@pytest.mark.parametrize("case", [c for c in ALL if c.winograd], ids=str)
def test_winograd(case: Conv, isa: str) -> None:
    _, scale = expected(case, "float32")
    check(case, "float32", "winograd", winograd_bound(scale, case.reduction, "float32"))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_auto_is_one_of_the_algorithms(case: Conv, dtype: str) -> None:
    x, kernel, bias = arrays(case, dtype)
    auto, direct = (
        fastconv.conv2d(x, kernel, bias, **case.arguments, algorithm=algorithm)
        for algorithm in ("auto", "direct")
    )
    if same_bytes(auto, direct):
        return
    assert case.winograd
    winograd = fastconv.conv2d(x, kernel, bias, **case.arguments, algorithm="winograd")
    assert same_bytes(auto, winograd)


@pytest.mark.parametrize("case", FOLDED, ids=str)
def test_folded_is_what_auto_takes(case: Conv) -> None:
    if fastconv.runtime.isa() == "scalar":
        pytest.skip("without vectors transforms cost more than they save")
    x, kernel, _ = arrays(case, "float32")
    auto = fastconv.conv2d(x, kernel, **case.arguments)
    assert not same_bytes(auto, fastconv.conv2d(x, kernel, **case.arguments, algorithm="direct"))
    packed = functional.pack_conv2d(x.shape, kernel, **case.arguments)
    exact, scale = (f(reference.conv2d, x, kernel, **case.arguments) for f in (truth, magnitude))
    for data_format in DATA_FORMATS:
        y = fastconv.conv2d(
            to_format(x, data_format),
            kernel,
            **case.arguments,
            data_format=data_format,
            packed=packed,
        )
        bound = to_format(winograd_bound(scale, case.reduction, "float32"), data_format)
        assert_within(y, to_format(exact, data_format), bound, data_format)


@pytest.mark.parametrize(
    "name", ["kernel1x1c3-same", "stride22k11-same", "stride33k33-same", "dilation2-stride2"]
)
def test_winograd_refuses_what_it_cannot_do(name: str) -> None:
    case = BY_NAME[name]
    x, kernel, _ = arrays(case, "float32")
    with pytest.raises(ValueError, match=r"algorithm.*Received: algorithm='winograd'"):
        fastconv.conv2d(x, kernel, **case.arguments, algorithm="winograd")


@pytest.mark.parametrize("activation", [None, "linear", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("name", ACTIVATED)
def test_activation(name: str, with_bias: bool, activation: str | None, isa: str) -> None:
    """Activations never enlarge an error: the slope of none of them exceeds one."""
    case, dtype = BY_NAME[name], "float32"
    x, kernel, bias = arrays(case, dtype)
    operands = (x, kernel, bias if with_bias else None)
    exact = truth(reference.conv2d, *operands, **case.arguments, activation=activation)
    scale = magnitude(reference.conv2d, *operands, **case.arguments)
    bound = sum_bound(scale, case.reduction, dtype) + function_bound(exact, dtype)
    for data_format in DATA_FORMATS:
        y = fastconv.conv2d(
            to_format(x, data_format),
            *operands[1:],
            **case.arguments,
            data_format=data_format,
            activation=activation,
            algorithm="direct",
        )
        assert_within(y, to_format(exact, data_format), to_format(bound, data_format), data_format)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values_reach_what_sees_them(
    name: str, activation: str | None, value: float, isa: str, dtype: str
) -> None:
    case = BY_NAME[name]
    x, kernel, bias = (a.copy() for a in arrays(case, dtype))
    positions = np.random.default_rng(0).integers(0, case.x_shape, (2, 4))
    x[tuple(positions.T)] = value
    with np.errstate(invalid="ignore"):
        exact = truth(reference.conv2d, x, kernel, bias, **case.arguments, activation=activation)
    assert not np.isfinite(exact).all()
    for data_format in DATA_FORMATS:
        y = fastconv.conv2d(
            to_format(x, data_format),
            kernel,
            bias,
            **case.arguments,
            data_format=data_format,
            activation=activation,
            algorithm="direct",
        )
        exact_there = to_format(exact, data_format)
        special = ~np.isfinite(exact_there)
        np.testing.assert_array_equal(y[special], exact_there[special].astype(dtype))
        assert np.isfinite(y[~special]).all()


@pytest.mark.parametrize("name", ["c3k4", "c16k17", "c17k23", "groups3-odd", "large-odd"])
def test_nan_in_the_kernel_stays_in_its_filter(name: str, isa: str, dtype: str) -> None:
    case = BY_NAME[name]
    x, kernel, bias = (a.copy() for a in arrays(case, dtype))
    kernel[1, 1, 0, case.k // 2] = np.nan
    y = fastconv.conv2d(x, kernel, bias, **case.arguments, algorithm="direct")
    spoilt = np.isnan(y).any((0, 1, 2))
    assert spoilt.nonzero()[0].tolist() == [case.k // 2]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [100, (2**40, 1), (1, 2**57)], ids=str)
def test_strides_beyond_the_image(strides: Any, padding: str, isa: str) -> None:
    x, kernel = random((2, 6, 5, 9), "float32"), random((3, 2, 9, 17), "float32")
    arguments: dict[str, Any] = {"strides": strides, "padding": padding}
    exact = truth(reference.conv2d, x, kernel, **arguments)
    scale = magnitude(reference.conv2d, x, kernel, **arguments)
    y = fastconv.conv2d(x, kernel, **arguments)
    assert_within(y, exact, sum_bound(scale, 54, "float32"))
    dx = fastconv.conv2d_backward(y, x, kernel, **arguments, needs=("dx",))[0]
    dx_exact = truth(reference.conv2d_backward, y, x, kernel, **arguments)[0]
    dx_scale = magnitude(reference.conv2d_backward, y, x, kernel, **arguments)[0]
    assert_within(dx, dx_exact, sum_bound(dx_scale, 17 * 6, "float32"))


def test_winograd_keeps_special_values() -> None:
    """A tile mixes its pixels, so a NaN may reach neighbours, but never another image."""
    case = BY_NAME["large-3x3"]
    x, kernel, _ = (a.copy() for a in arrays(case, "float32"))
    x[0, 5, 6, 7] = np.nan
    exact = truth(reference.conv2d, x, kernel, **case.arguments)
    y = fastconv.conv2d(x, kernel, **case.arguments, algorithm="winograd")
    assert np.isnan(y[np.isnan(exact)]).all()
    assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("algorithm", ["direct", "auto"])
def test_whole_numbers_are_exact(algorithm: str, isa: str) -> None:
    """Sums below 2**24 leave no rounding: direct kernels may not lose a single bit."""
    rng = np.random.default_rng(3)
    x = rng.integers(-9, 10, (2, 9, 10, 13)).astype("float32")
    kernel = rng.integers(-9, 10, (2, 3, 13, 11)).astype("float32")
    exact = truth(reference.conv2d, x, kernel, padding="same")
    y = fastconv.conv2d(x, kernel, padding="same", algorithm=algorithm)
    np.testing.assert_array_equal(y, exact)


def test_spellings_of_arguments_mean_the_same() -> None:
    x, kernel = random((2, 8, 9, 3), "float32"), random((3, 3, 3, 4), "float32")
    same = fastconv.conv2d(x, kernel, strides=(2, 2), padding="same")
    assert same_bytes(fastconv.conv2d(x, kernel, strides=[2, 2], padding="SAME"), same)
    uneven = fastconv.conv2d(x, kernel, strides=np.int64(2), padding=((0, 1), (1, 1)))
    assert same_bytes(uneven, same)
    valid = fastconv.conv2d(x, kernel)
    for padding in ("Valid", 0, (0, 0), ((0, 0), (0, 0))):
        assert same_bytes(fastconv.conv2d(x, kernel, padding=padding), valid)


def test_default_data_format_is_the_configured_one() -> None:
    x, kernel = random((1, 2, 4, 5), "float32"), random((1, 1, 2, 3), "float32")
    fastconv.config.set_image_data_format("channels_first")
    try:
        y = fastconv.conv2d(x, kernel)
    finally:
        fastconv.config.set_image_data_format("channels_last")
    assert same_bytes(y, fastconv.conv2d(x, kernel, data_format="channels_first"))
    assert y.shape == (1, 3, 4, 5)


def test_examples_of_the_lecture(isa: str) -> None:
    x = np.arange(9.0, dtype="float32").reshape(1, 3, 3, 1)
    kernel = np.array([[1, 2], [3, 4]], "float32").reshape(2, 2, 1, 1)
    valid = fastconv.conv2d(x, kernel)[0, :, :, 0]
    np.testing.assert_array_equal(valid, [[27, 37], [57, 67]])
    same = fastconv.conv2d(x, kernel, padding="same")[0, :, :, 0]
    np.testing.assert_array_equal(same, [[27, 37, 17], [57, 67, 29], [20, 23, 8]])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_packed_kernels_give_the_same_result(data_format: str, isa: str) -> None:
    options = {"padding": "same", "data_format": data_format}
    for shape, kernel_shape in [((2, 9, 7, 20), (3, 3, 20, 33)), ((1, 8, 8, 24), (5, 5, 24, 16))]:
        x = np.random.default_rng(5).standard_normal(shape).astype("float32")
        kernel = np.random.default_rng(5).standard_normal(kernel_shape).astype("float32")
        bias = np.random.default_rng(5).standard_normal(kernel_shape[3]).astype("float32")
        x = x if data_format == "channels_last" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        packed = functional.pack_conv2d(x.shape, kernel, **options)
        assert packed is not None
        again = functional.pack_conv2d(x.shape, kernel, out=np.empty_like(packed), **options)
        for each in (packed, again):
            y = fastconv.conv2d(x, kernel, bias, activation="relu", packed=each, **options)
            direct = {**options, "activation": "relu", "algorithm": "direct"}
            scale = magnitude(reference.conv2d, x, kernel, bias, **options)
            bound = winograd_bound(scale, math.prod(kernel_shape[:3]), "float32")
            assert_within(y, fastconv.conv2d(x, kernel, bias, **direct), 2 * bound)


def test_packed_kernels_serve_any_number_of_images(isa: str) -> None:
    rng = np.random.default_rng(12)
    x = rng.standard_normal((5, 7, 7, 160)).astype("float32")
    kernel = rng.standard_normal((3, 3, 160, 144)).astype("float32")
    bound = winograd_bound(magnitude(reference.conv2d, x, kernel, padding="same"), 1440, "float32")
    exact = fastconv.conv2d(x.astype("float64"), kernel.astype("float64"), padding="same")
    for images in (1, 2, 3, 100):
        packed = functional.pack_conv2d((images, *x.shape[1:]), kernel, padding="same")
        assert packed is not None
        for n in (0, 1, 2, 5):
            y = fastconv.conv2d(x[:n], kernel, padding="same", packed=packed)
            assert_within(y, exact[:n], bound[:n], (images, n))
        packed[0] = 7
        with pytest.raises(ValueError, match="`packed` must be what a kernel was packed into"):
            fastconv.conv2d(x[:images], kernel, padding="same", packed=packed)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 30), (2, 9, 7, 5), (3, 6, 6, 17), (0, 4, 4, 9)], ids=str
)
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 2)], ids=str)
@pytest.mark.parametrize("filters", [1, 3, 7, 15, 17, 31, 40, 49])
def test_packed_kernels_of_the_direct_sum_change_no_bit(
    shape: tuple[int, ...], kernel_size: tuple[int, int], filters: int, isa: str, dtype: str
) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal(shape).astype(dtype)
    kernel = rng.standard_normal((*kernel_size, shape[3], filters)).astype(dtype)
    bias = rng.standard_normal(filters).astype(dtype)
    options = {"padding": "same", "strides": 2, "algorithm": "direct"}
    packed = functional.pack_conv2d((5, *shape[1:]), kernel, **options)
    if packed is None:
        assert filters <= 16
        return
    y = fastconv.conv2d(x, kernel, bias, activation="tanh", packed=packed, **options)
    assert same_bytes(y, fastconv.conv2d(x, kernel, bias, activation="tanh", **options))


def test_packed_kernels_are_refused_where_they_do_not_fit() -> None:
    x, kernel = np.ones((2, 8, 8, 16), "float32"), np.ones((3, 3, 16, 16), "float32")
    packed = functional.pack_conv2d(x.shape, kernel)
    assert packed is not None
    assert functional.pack_conv2d(x.shape, kernel[:, :, :1], groups=16) is None
    with pytest.raises(ValueError, match="`packed` must have shape"):
        fastconv.conv2d(x, kernel, packed=packed[1:])
    with pytest.raises(TypeError, match="`packed` must have dtype uint8"):
        fastconv.conv2d(x, kernel, packed=packed.view("float32"))
    with pytest.raises(ValueError, match="takes no packed kernel"):
        fastconv.conv2d(x, kernel[:, :, :1], groups=16, packed=packed)
    with pytest.raises(ValueError, match="`out` must have shape"):
        functional.pack_conv2d(x.shape, kernel, out=packed[1:])
