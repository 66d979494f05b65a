"""The truth: `fastconv.reference` in a wider type than the one under test."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import runtime

SANITIZED = "-fsanitize" in runtime.build_info()["flags"]
#: Sanitizers look for stray accesses, for which two ways to share the work are enough.
THREADS = (1, 3) if SANITIZED else (1, 2, 3)
DATA_FORMATS = ("channels_last", "channels_first")


def wide(array: Any) -> Any:
    """Return an array in the type of its truth: float64 for float32, long double for float64."""
    if array is None:
        return None
    return array.astype(np.float64 if array.dtype == np.float32 else np.longdouble)


def truth(function: Callable[..., Any], *arrays: Any, **arguments: Any) -> Any:
    """Return what a reference function says of the arrays, computed in the wider type."""
    return function(*map(wide, arrays), **arguments)


def magnitude(function: Callable[..., Any], *arrays: Any, **arguments: Any) -> Any:
    """Return the sums of the absolute values of all products: what errors are relative to."""
    return function(*(None if a is None else np.abs(wide(a)) for a in arrays), **arguments)


def random(shape: tuple[int, ...], dtype: str, *seed: object) -> np.ndarray:
    """Return normal numbers that depend only on the shape, the type and the seed."""
    key = zlib.crc32(repr((shape, seed)).encode())
    return np.random.default_rng(key).standard_normal(shape).astype(dtype)


def integers(shape: tuple[int, ...], dtype: str, *seed: object) -> np.ndarray:
    """Return small whole numbers: their sums are exact in any order, and they tie often."""
    key = zlib.crc32(repr((shape, seed)).encode())
    return np.random.default_rng(key).integers(-4, 5, shape).astype(dtype)


def to_format(nhwc: np.ndarray, data_format: str) -> np.ndarray:
    """Return a contiguous NHWC array in another data format."""
    if data_format == "channels_first":
        return np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))
    return nhwc


def to_nhwc(array: np.ndarray, data_format: str) -> np.ndarray:
    """Return an array of a data format as NHWC."""
    return array.transpose(0, 2, 3, 1) if data_format == "channels_first" else array


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays agree in shape, type and every bit, NaNs and signs included."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
