"""Arrays at the border: anything with the buffer protocol, ``__array__`` or DLPack becomes a
C-contiguous NumPy array."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _kernels
from fastconv._memory import LINE, results

Array = NDArray[Any]

_SAME = 2
#: Bytes from which on `empty` aligns, and uses kept memory.
LARGE = 1 << 18
_ndarray = np.ndarray
_empty = np.empty
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


def as_float_array(value: Any, name: str, ndim: int | None = None) -> Array:
    """``value`` as a C-contiguous, aligned, native float32 or float64 array, copied only where it
    is not one already.

    Raises TypeError for other element types and ValueError for another number of dimensions than
    `ndim`.
    """
    if type(value) is _ndarray:
        dtype = value.dtype
        if (dtype is _FLOAT32 or dtype is _FLOAT64) and (ndim is None or value.ndim == ndim):
            flags = value.flags
            if flags.c_contiguous and flags.aligned:
                return value
    else:
        value = to_numpy(value, name)
        dtype = value.dtype
    if dtype is not _FLOAT32 and dtype is not _FLOAT64:
        if dtype.newbyteorder("=") not in (_FLOAT32, _FLOAT64):
            raise TypeError(
                f"Argument `{name}` must be a float32 or float64 array; convert it with "
                f".astype('float32') first. Received: {name}.dtype={dtype}"
            )
        value = value.astype(dtype.newbyteorder("="), copy=False)
    if ndim is not None and value.ndim != ndim:
        raise ValueError(
            f"Argument `{name}` must have {ndim} dimensions. Received: {name}.shape={value.shape}"
        )
    flags = value.flags
    if not (flags.c_contiguous and flags.aligned):
        value = np.array(value, order="C", copy=True)
    return value  # type: ignore[no-any-return]


def same_dtype(
    value: Any, name: str, like: Array, like_name: str, ndim: int | None = None
) -> Array:
    """`as_float_array`, and of the dtype of `like`; TypeError otherwise."""
    array = as_float_array(value, name, ndim)
    if array.dtype is not like.dtype and array.dtype != like.dtype:
        raise TypeError(
            f"Arguments `{name}` and `{like_name}` must have the same dtype. "
            f"Received: {name}.dtype={array.dtype}, {like_name}.dtype={like.dtype}"
        )
    return array


def check_shape(array: Array, name: str, shape: tuple[int, ...]) -> None:
    """ValueError unless ``array.shape == shape``."""
    if array.shape != shape:
        raise ValueError(
            f"Argument `{name}` must have shape {shape}. Received: {name}.shape={array.shape}"
        )


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], aligned_from: int = LARGE) -> Array:
    """A new array. From so many bytes on it begins with a cache line: kernels stream only to
    such."""
    size = prod(shape) * dtype.itemsize
    if size < aligned_from:
        return _empty(shape, dtype)
    memory = results.take(size + LINE)
    return _ndarray(shape, dtype, memory, results.line_of(memory))


def output(
    out: Any,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *inputs: Array,
    may_alias: bool = False,
) -> Array:
    """A new array, or `out` once it is known to be a writable C-contiguous array of this shape and
    dtype that shares no
    memory with `inputs` (it may be exactly one of them if `may_alias`)."""
    if out is None:
        return empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(
            f"Argument `{name}` must be a NumPy array. Received: {name}={type(out).__name__}"
        )
    if out.dtype != dtype:
        raise TypeError(
            f"Argument `{name}` must have dtype {dtype}. Received: {name}.dtype={out.dtype}"
        )
    if out.shape != shape:
        raise ValueError(
            f"Argument `{name}` must have shape {shape}. Received: {name}.shape={out.shape}"
        )
    flags = out.flags
    if not (flags.c_contiguous and flags.aligned):
        raise ValueError(
            f"Argument `{name}` must be C-contiguous and aligned. Received: "
            f"{name}.strides={out.strides}"
        )
    if not flags.writeable:
        raise ValueError(f"Argument `{name}` must be writable. Received: a read-only array")
    for array in inputs:
        shared = _kernels.overlap(array, out)
        if shared and not (may_alias and shared == _SAME):
            raise ValueError(
                f"Argument `{name}` must not share memory with an input. Received: {name} that does"
            )
    return out


def to_numpy(value: Any, name: str) -> Array:
    """`value`, an array of any library, as a NumPy array without a copy where that is possible."""
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            if not hasattr(value, "__array__"):
                raise TypeError(
                    f"Argument `{name}` could not be read through DLPack ({error}). "
                    f"Received: {name}={type(value).__name__}"
                ) from error
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Argument `{name}` must be an array ({error}). Received: {name}={type(value).__name__}"
        ) from error
    if array.dtype == object:
        raise TypeError(
            f"Argument `{name}` must be an array of numbers. Received: "
            f"{name}={type(value).__name__}"
        )
    return array
