"""Bad input: every row is a call, the error it raises and what the message names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv


def ones(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.ones(shape, dtype)


X, KERNEL, BIAS = ones(2, 6, 7, 4), ones(3, 3, 4, 8), ones(8)
DY = ones(2, 4, 5, 8)
DEPTHWISE, DY_DEPTHWISE = ones(3, 3, 4, 2), ones(2, 4, 5, 8)
POOLED, INDICES = ones(2, 3, 3, 4), ones(2, 3, 3, 4, dtype="uint8")

Row = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any], type[Exception], str]


def window_rows(
    name: str, function: Callable[..., Any], arrays: tuple[Any, ...], *, extra: dict[str, Any]
) -> list[Row]:
    """Return the rows that all functions with strides, padding and a data format share."""
    bad: list[tuple[str, Any, type[Exception]]] = [
        ("strides", 0, ValueError),
        ("strides", -1, ValueError),
        ("strides", (1, 0), ValueError),
        ("strides", (1, 2, 3), ValueError),
        ("strides", 1.0, TypeError),
        ("strides", True, TypeError),
        ("strides", "1", TypeError),
        ("strides", 2**70, ValueError),
        ("padding", "full", ValueError),
        ("padding", -1, ValueError),
        ("padding", (1, -1), ValueError),
        ("padding", ((0, 0), (0, -1)), ValueError),
        ("padding", (1, 2, 3), ValueError),
        ("padding", 1.5, TypeError),
        ("padding", None, TypeError),
        ("padding", 2**62, ValueError),
        ("data_format", "NHWC", ValueError),
        ("data_format", 1, ValueError),
        *((key, value, error) for key, (value, error) in extra.items()),
    ]
    return [
        (f"{name} {key}={value!r}", function, arrays, {key: value}, error, f"`{key}`")
        for key, value, error in bad
    ]


def array_rows(
    name: str, function: Callable[..., Any], arguments: dict[str, Any], bad: dict[str, list[Any]]
) -> list[Row]:
    """Return rows that replace one array argument by each of its bad values."""
    rows: list[Row] = []
    for key, values in bad.items():
        for value in values:
            error: type[Exception] = ValueError
            text = type(value).__name__
            if isinstance(value, np.ndarray):
                text = f"{value.dtype}{value.shape}"
            if not isinstance(value, np.ndarray) or value.dtype != np.float32:
                error = TypeError
            call = {**arguments, key: value}
            rows.append((f"{name} {key} {text}", function, (), call, error, f"`{key}`"))
    return rows


WRONG_TYPES: list[Any] = [
    ones(2, 6, 7, 4, dtype="int32"),
    ones(2, 6, 7, 4, dtype="float16"),
    ones(2, 6, 7, 4, dtype="complex64"),
    ones(2, 6, 7, 4, dtype="bool"),
    None,
    "image",
    [[1.0, 2.0], [3.0]],
    object(),
]
WRONG_IMAGES = [ones(6, 7, 4), ones(1, 2, 6, 7, 4), ones(2, 0, 7, 4), ones(2, 6, 7, 0), ones()]

ROWS: list[Row] = [
    *window_rows(
        "conv2d",
        fastconv.conv2d,
        (X, KERNEL),
        extra={"groups": (0, ValueError), "activation": ("swoosh", ValueError)},
    ),
    *window_rows(
        "conv2d_backward",
        fastconv.conv2d_backward,
        (DY, X, KERNEL),
        extra={"dilation_rate": (0, ValueError), "algorithm": ("fft", ValueError)},
    ),
    *window_rows("depthwise_conv2d", fastconv.depthwise_conv2d, (X, DEPTHWISE), extra={}),
    *window_rows(
        "depthwise_conv2d_backward",
        fastconv.depthwise_conv2d_backward,
        (DY_DEPTHWISE, X, DEPTHWISE),
        extra={"needs": (("dx", "dy"), ValueError), "dilation_rate": (1.5, TypeError)},
    ),
    *window_rows("max_pool2d", fastconv.max_pool2d, (X,), extra={"pool_size": (0, ValueError)}),
    *window_rows("avg_pool2d", fastconv.avg_pool2d, (X,), extra={"pool_size": ((2,), ValueError)}),
    *window_rows(
        "max_pool2d_backward",
        fastconv.max_pool2d_backward,
        (POOLED, INDICES, X.shape),
        extra={"pool_size": (2.0, TypeError)},
    ),
    *window_rows(
        "avg_pool2d_backward",
        fastconv.avg_pool2d_backward,
        (POOLED, X.shape),
        extra={"pool_size": (None, TypeError)},
    ),
    *array_rows(
        "conv2d",
        fastconv.conv2d,
        {"x": X, "kernel": KERNEL, "bias": BIAS},
        {
            "x": WRONG_TYPES + WRONG_IMAGES,
            "kernel": [
                *[a for a in WRONG_TYPES if not isinstance(a, np.ndarray)],
                ones(3, 3, 4, 8, dtype="float64"),
                ones(3, 4, 8),
                ones(3, 3, 5, 8),
                ones(3, 3, 2, 8),
                ones(3, 3, 4, 0),
                ones(0, 3, 4, 8),
            ],
            "bias": [ones(7), ones(1), ones(8, 1), ones(8, dtype="float64"), 1],
        },
    ),
    *array_rows(
        "conv2d_backward",
        fastconv.conv2d_backward,
        {"dy": DY, "x": X, "kernel": KERNEL},
        {
            "dy": [
                ones(2, 4, 5, 7),
                ones(1, 4, 5, 8),
                ones(2, 6, 7, 8),
                DY.astype("float64"),
                None,
            ],
            "x": WRONG_TYPES + WRONG_IMAGES,
            "kernel": [ones(3, 3, 5, 8), ones(3, 3, 4)],
        },
    ),
    *array_rows(
        "depthwise_conv2d",
        fastconv.depthwise_conv2d,
        {"x": X, "kernel": DEPTHWISE, "bias": BIAS},
        {
            "x": WRONG_TYPES + WRONG_IMAGES,
            "kernel": [ones(3, 3, 5, 2), ones(3, 3, 4), ones(3, 3, 4, 0), None],
            "bias": [ones(4), ones(8, 1)],
        },
    ),
    *array_rows("max_pool2d", fastconv.max_pool2d, {"x": X}, {"x": WRONG_TYPES + WRONG_IMAGES}),
    *array_rows("avg_pool2d", fastconv.avg_pool2d, {"x": X}, {"x": WRONG_TYPES + WRONG_IMAGES}),
    *array_rows(
        "max_pool2d_backward",
        fastconv.max_pool2d_backward,
        {"dy": POOLED, "indices": INDICES, "input_shape": X.shape},
        {
            "dy": [ones(2, 3, 3, 5), ones(3, 3, 4), ones(2, 3, 3, 4, dtype="int64"), None],
            "indices": [INDICES.astype("int64"), POOLED.astype("float64"), None],
        },
    ),
    *array_rows(
        "dense",
        fastconv.dense,
        {"x": ones(3, 4), "kernel": ones(4, 5), "bias": ones(5)},
        {
            "x": [ones(4), ones(3, 4, 1), ones(3, 4, dtype="int64"), None],
            "kernel": [ones(5, 5), ones(4), ones(4, 5, dtype="float64"), ones(4, 0)],
            "bias": [ones(4), ones(1, 5), "bias"],
        },
    ),
    *array_rows(
        "dense_backward",
        fastconv.dense_backward,
        {"dy": ones(3, 5), "x": ones(3, 4), "kernel": ones(4, 5)},
        {"dy": [ones(3, 4), ones(2, 5), ones(3, 5, dtype="float64")], "kernel": [ones(3, 5)]},
    ),
]

CONV, POOL = fastconv.conv2d, fastconv.max_pool2d
MAX_DX, MEAN_DX = fastconv.max_pool2d_backward, fastconv.avg_pool2d_backward
WIDE = X.astype("float64"), KERNEL.astype("float64")

#: What a call is, the call, and what the message of its ValueError says.
MISFITS: list[tuple[str, Callable[[], Any], str]] = [
    ("indices of another shape", lambda: MAX_DX(POOLED, INDICES[:1], X.shape), "`indices`"),
    ("input_shape 3-D", lambda: MAX_DX(POOLED, INDICES, (6, 7, 4)), "`input_shape`"),
    ("input_shape empty", lambda: MEAN_DX(POOLED, (2, 6, 0, 4)), "`input_shape`"),
    ("input_shape negative", lambda: MEAN_DX(POOLED, (-2, 6, 7, 4)), "`input_shape`"),
    ("input_shape of another dy", lambda: MEAN_DX(POOLED, (2, 9, 9, 4)), "`dy`"),
    ("input_shape huge", lambda: MEAN_DX(POOLED, (2, 2**40, 2**40, 4)), "too large|`dy`"),
    ("kernel too tall", lambda: CONV(X, ones(7, 3, 4, 8)), "larger than the padded.*height"),
    ("kernel too wide", lambda: CONV(X, ones(3, 8, 4, 8)), "larger than the padded.*width"),
    ("kernel dilated too far", lambda: CONV(X, KERNEL, dilation_rate=(3, 1)), "spans 7 of 6"),
    ("kernel of other axes", lambda: CONV(X, KERNEL, data_format="channels_first"), "`kernel`"),
    ("pool too large", lambda: POOL(X, 7), "larger than the padded input.*height"),
    ("pool of padding", lambda: POOL(X, 2, padding=2), "`padding` must be smaller"),
    ("groups and channels", lambda: CONV(X, ones(3, 3, 1, 8), groups=3), "groups"),
    ("groups and filters", lambda: CONV(X, ones(3, 3, 2, 7), groups=2), "`groups`"),
    ("groups negative", lambda: CONV(X, KERNEL, groups=-1), "`groups`"),
    ("output too large", lambda: CONV(X, KERNEL, padding=2**31), "too large"),
    ("dilation huge", lambda: CONV(X, KERNEL, padding="same", dilation_rate=2**58), "too large"),
    ("algorithm None", lambda: CONV(X, KERNEL, algorithm=None), "`algorithm`"),
    ("winograd in float64", lambda: CONV(*WIDE, algorithm="winograd"), "`algorithm`"),
]


@pytest.mark.parametrize(("call", "says"), [m[1:] for m in MISFITS], ids=[m[0] for m in MISFITS])
def test_misfits(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)({says}).*Received: "):
        call()


@pytest.mark.parametrize(
    ("function", "arrays", "arguments", "error", "names"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_bad_input(
    function: Callable[..., Any],
    arrays: tuple[Any, ...],
    arguments: dict[str, Any],
    error: type[Exception],
    names: str,
) -> None:
    with pytest.raises(error, match=f"(?s){names}.*Received: ") as caught:
        function(*arrays, **arguments)
    assert type(caught.value) in (TypeError, ValueError)


def test_a_bad_call_does_not_disturb_the_next() -> None:
    expected = fastconv.conv2d(X, KERNEL)
    for _ in range(3):
        with pytest.raises(ValueError, match="`strides`"):
            fastconv.conv2d(X, KERNEL, strides=0)
    np.testing.assert_array_equal(fastconv.conv2d(X, KERNEL), expected)


@pytest.mark.parametrize("value", [1.0, True], ids=repr)
def test_equal_numbers_of_other_types_are_not_confused(value: Any) -> None:
    """1 == 1.0 == True: a cache may not take one for the other."""
    fastconv.conv2d(X, KERNEL, strides=1, dilation_rate=1)
    fastconv.avg_pool2d_backward(POOLED[:1], (1, 6, 7, 4))
    with pytest.raises(TypeError, match="`groups`"):
        fastconv.conv2d(X, KERNEL, groups=value)
    with pytest.raises(TypeError, match="`input_shape`"):
        fastconv.avg_pool2d_backward(POOLED[:1], (value, 6, 7, 4))
    for argument in ("strides", "dilation_rate", "padding"):
        with pytest.raises(TypeError, match=f"`{argument}`"):
            fastconv.conv2d(X, KERNEL, **{argument: value})
        with pytest.raises(TypeError, match=f"`{argument}`"):
            fastconv.conv2d(X, KERNEL, **{argument: (1, value)})
