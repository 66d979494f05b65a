"""Which arrays are taken, what happens to them, and what `out` means."""

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import random, same_bytes

import fastconv

X = random((2, 6, 7, 5), "float32", "x")
KERNEL = random((3, 3, 5, 4), "float32", "kernel")
DEPTHWISE = random((3, 3, 5, 2), "float32", "depthwise")
BIAS = random((4,), "float32", "bias")
Y = random((2, 4, 5, 4), "float32", "dy")
Y_DEPTHWISE = random((2, 4, 5, 10), "float32", "dy")
Y_POOL = random((2, 3, 3, 5), "float32", "dy")
INDICES = np.tile(np.arange(4, dtype=np.uint8), 2 * 3 * 3 * 5)[: Y_POOL.size].reshape(Y_POOL.shape)
ROWS, MATRIX, UNITS = (random(s, "float32") for s in [(6, 5), (5, 3), (3,)])
Y_DENSE = random((6, 3), "float32", "dy")

#: name -> (function, arrays, further arguments)
CALLS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], dict[str, Any]]] = {
    "conv2d": (fastconv.conv2d, (X, KERNEL, BIAS), {}),
    "conv2d_backward": (fastconv.conv2d_backward, (Y, X, KERNEL), {}),
    "depthwise_conv2d": (fastconv.depthwise_conv2d, (X, DEPTHWISE), {}),
    "depthwise_conv2d_backward": (
        fastconv.depthwise_conv2d_backward,
        (Y_DEPTHWISE, X, DEPTHWISE),
        {},
    ),
    "max_pool2d": (fastconv.max_pool2d, (X,), {}),
    "max_pool2d with indices": (fastconv.max_pool2d, (X,), {"return_indices": True}),
    "max_pool2d_backward": (
        fastconv.max_pool2d_backward,
        (Y_POOL, INDICES),
        {"input_shape": X.shape},
    ),
    "avg_pool2d": (fastconv.avg_pool2d, (X,), {}),
    "avg_pool2d_backward": (fastconv.avg_pool2d_backward, (Y_POOL,), {"input_shape": X.shape}),
    "dense": (fastconv.dense, (ROWS, MATRIX, UNITS), {}),
    "dense_backward": (fastconv.dense_backward, (Y_DENSE, ROWS, MATRIX), {}),
}
THREE_GRADIENTS = ["conv2d_backward", "depthwise_conv2d_backward", "dense_backward"]


class OnlyDLPack:
    """An array of another library: nothing but DLPack."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._values.__dlpack__(**arguments)

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


class OnlyArray:
    """An object with nothing but ``__array__``."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._values if dtype is None else self._values.astype(dtype)


def misaligned(values: np.ndarray) -> np.ndarray:
    """Return a copy one byte off every alignment."""
    buffer = np.zeros(values.nbytes + 1, np.uint8)[1:]
    copy = buffer.view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


def strided(values: np.ndarray) -> np.ndarray:
    """Return a view of every second element of the last axis of a larger array."""
    larger = np.full((*values.shape[:-1], 2 * values.shape[-1]), 99, values.dtype)
    larger[..., ::2] = values
    return larger[..., ::2]


def broadcast(values: np.ndarray) -> np.ndarray:
    """Return the values of index 0 on the first axis, repeated by a stride of zero."""
    return np.broadcast_to(values[:1], values.shape)


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "strided": strided,
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "misaligned": misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": read_only,
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "read-only memoryview": lambda a: memoryview(read_only(a)),
    "DLPack": OnlyDLPack,
    "__array__": OnlyArray,
    "subclass": lambda a: a.view(np.recarray),
}


def as_tuple(result: Any) -> tuple[np.ndarray, ...]:
    return result if isinstance(result, tuple) else (result,)


def equal(results: Any, others: Any) -> bool:
    pairs = zip(as_tuple(results), as_tuple(others), strict=True)
    return all(same_bytes(a, b) for a, b in pairs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_layout_changes_nothing(name: str, layout: str) -> None:
    function, arrays, arguments = CALLS[name]
    expected = function(*arrays, **arguments)
    assert equal(function(*map(LAYOUTS[layout], arrays), **arguments), expected)


@pytest.mark.parametrize("name", CALLS)
def test_zero_strides(name: str) -> None:
    function, arrays, arguments = CALLS[name]
    expected = function(*(broadcast(a).copy() for a in arrays), **arguments)
    assert equal(function(*map(broadcast, arrays), **arguments), expected)


def test_arrays_of_the_standard_library() -> None:
    values = array.array("f", range(12))
    x = memoryview(values).cast("B").cast("f", (1, 3, 4, 1))
    y = fastconv.max_pool2d(x, (3, 4))
    assert y.dtype == np.float32
    assert y.item() == 11


def test_nested_lists_are_float64() -> None:
    assert fastconv.dense([[1.0, 2.0]], [[3.0], [4.0]], [0.5]).tolist() == [[11.5]]


@pytest.mark.parametrize("name", CALLS)
def test_inputs_are_not_changed(name: str) -> None:
    function, arrays, arguments = CALLS[name]
    copies = [a.copy() for a in arrays]
    function(*copies, **arguments)
    assert all(same_bytes(copy, a) for copy, a in zip(copies, arrays, strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_one_array_may_be_several_inputs(name: str) -> None:
    """Inputs may overlap each other: nothing writes to them."""
    function, arrays, arguments = CALLS[name]
    size = max(a.nbytes for a in arrays)
    rng = np.random.default_rng(0)
    buffer = rng.standard_normal(size // 4 + 1).astype("float32").view(np.uint8)
    views = [buffer[: a.nbytes].view(a.dtype).reshape(a.shape) for a in arrays]
    assert equal(function(*views, **arguments), function(*(v.copy() for v in views), **arguments))


@pytest.mark.parametrize("name", CALLS)
def test_results_are_new_contiguous_and_writable(name: str) -> None:
    function, arrays, arguments = CALLS[name]
    for result in as_tuple(function(*arrays, **arguments)):
        assert type(result) is np.ndarray
        assert result.flags.c_contiguous
        assert result.flags.writeable
        assert not any(np.shares_memory(result, a) for a in arrays)


def empty_like(results: Any) -> Any:
    """Return arrays to write the same results to again, full of ones."""
    if isinstance(results, tuple):
        return tuple(map(np.ones_like, results))
    return np.ones_like(results)


@pytest.mark.parametrize("name", CALLS)
def test_out_receives_the_result_and_is_returned(name: str) -> None:
    function, arrays, arguments = CALLS[name]
    expected = function(*arrays, **arguments)
    out = empty_like(expected)
    result = function(*arrays, **arguments, out=out)
    assert equal(out, expected)
    assert all(a is b for a, b in zip(as_tuple(result), as_tuple(out), strict=True))


def wrong_outs(good: np.ndarray, overlapped: np.ndarray) -> dict[str, tuple[Any, type[Exception]]]:
    """Return arrays that may not be written to, and the errors they raise."""
    other = "float64" if good.dtype == np.float32 else "int8"
    overlapping = np.zeros(max(good.nbytes, overlapped.nbytes), np.uint8)
    return {
        "list": (good.tolist(), TypeError),
        "dtype": (good.astype(other), TypeError),
        "rank": (good[None].copy(), ValueError),
        "shape": (np.concatenate([good, good]), ValueError),
        "split": (good[..., None].copy(), ValueError),
        "read-only": (read_only(good), ValueError),
        "strided": (strided(good), ValueError),
        "misaligned": (misaligned(good), ValueError),
        "overlapping": (overlapping, ValueError),
    }


KINDS = list(wrong_outs(UNITS, UNITS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_wrong_out_is_refused_and_untouched(name: str, kind: str) -> None:
    function, arrays, arguments = CALLS[name]
    results = function(*arrays, **arguments)
    goods = as_tuple(results)
    for i, good in enumerate(goods):
        bad, error = wrong_outs(good, arrays[0])[kind]
        if kind == "misaligned" and good.dtype.itemsize == 1:
            continue
        operands = list(arrays)
        if kind == "overlapping":
            operands[0] = bad[: arrays[0].nbytes].view(arrays[0].dtype).reshape(arrays[0].shape)
            operands[0][...] = arrays[0]
            bad = bad[: good.nbytes].view(good.dtype).reshape(good.shape)
        before = bad.copy() if isinstance(bad, np.ndarray) else bad
        out = bad if not isinstance(results, tuple) else (*goods[:i], bad, *goods[i + 1 :])
        with pytest.raises(error, match=r"`out(\[\d\])?`.*Received: "):
            function(*operands, **arguments, out=out)
        if isinstance(bad, np.ndarray):
            np.testing.assert_array_equal(bad, before)


@pytest.mark.parametrize("name", [*THREE_GRADIENTS, "max_pool2d with indices"])
def test_out_of_several_results_needs_them_all(name: str) -> None:
    function, arrays, arguments = CALLS[name]
    results = function(*arrays, **arguments)
    for out in [results[0], results[:-1], (*results, results[0])]:
        with pytest.raises((TypeError, ValueError), match=r"`out`.*Received: "):
            function(*arrays, **arguments, out=out)


@pytest.mark.parametrize("name", THREE_GRADIENTS)
def test_out_may_hold_none(name: str) -> None:
    function, arrays, _ = CALLS[name]
    expected = function(*arrays)
    dw = np.ones_like(expected[1])
    result = function(*arrays, out=(None, dw, None))
    assert equal(result, expected)
    assert result[1] is dw
    result = function(*arrays, needs=("dw",), out=(None, dw, None))
    assert result[0] is None
    assert result[2] is None
    assert same_bytes(result[1], expected[1])


@pytest.mark.parametrize("name", THREE_GRADIENTS)
def test_outs_may_not_overlap_each_other(name: str) -> None:
    function, arrays, _ = CALLS[name]
    dx, dw, db = function(*arrays)
    buffer = np.zeros(dx.size + dw.size, "float32")
    overlapping = buffer[: dx.size].reshape(dx.shape), buffer[: dw.size].reshape(dw.shape), db
    with pytest.raises(ValueError, match=r"`out(\[\d\])?`.*share.*Received: "):
        function(*arrays, out=overlapping)
