"""Maximum and average pooling and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index
from typing import Any

import numpy as np

from fastconv import _kernels, _shapes
from fastconv.functional._arrays import Array, as_float_array, check_shape, output, to_numpy
from fastconv.functional._plans import data_format_of

_FOUR_INTEGERS = [int] * 4


def max_pool2d(
    x: Any,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
    return_indices: bool = False,
    out: Any = None,
) -> Array | tuple[Array, Array]:
    """Maximum of every window, and where it was found.

    A NaN anywhere in a window makes its maximum NaN. The first maximum (or the first NaN) in
    row-major order of the window wins a tie. Padding never wins, not even against -inf.

    Parameters
    ----------
    x : array of float32 or float64
        (batch, height, width, channels), or (batch, channels, height, width) for
        ``data_format="channels_first"``. Anything with the buffer protocol, ``__array__`` or
        DLPack.
    pool_size : int or (int, int)
    strides : int or (int, int), optional
        Default: `pool_size`.
    padding : "valid", "same", int, (int, int) or ((top, bottom), (left, right))
        Explicit padding must be smaller than `pool_size`.
    data_format : "channels_last" or "channels_first", optional
        Default: Keras's setting, `fastconv.config.image_data_format`.
    return_indices : bool
        Return where each maximum was found too.
    out : array, or (array, array) with `return_indices`, optional
        Receives the result: right shapes and dtypes, C-contiguous, no memory shared with `x`.

    Returns
    -------
    y : array
        (batch, out_height, out_width, channels) or channels first.
    indices : array in the shape of `y`
        Only with `return_indices`: ``row * pool_width + column`` of the winner within its window,
        as uint8, or int64 if `pool_size` has more than 256 positions.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that does not fit, and what was received.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> max_pool2d(x)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    x = as_float_array(x, "x")
    plan = _pool2d_plan(x.shape, x.dtype, pool_size, strides, padding, data_format)
    if not return_indices:
        y = output(out, "out", plan.y_shape, x.dtype, x)
        plan.max_forward(x, y, None)
        return y
    targets = (None, None) if out is None else out
    if not isinstance(targets, tuple | list) or len(targets) != 2:
        raise ValueError(
            "Argument `out` must be (y, indices), arrays or None, with return_indices=True. "
            f"Received: out={type(out).__name__}"
        )
    y = output(targets[0], "out[0]", plan.y_shape, x.dtype, x)
    indices = output(targets[1], "out[1]", plan.y_shape, plan.index_dtype, x, y)
    plan.max_forward(x, y, indices)
    return y, indices


def max_pool2d_backward(
    dy: Any,
    indices: Any,
    input_shape: Sequence[int],
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of :func:`max_pool2d`: every gradient goes to the element that won.

    Parameters
    ----------
    dy : array
        Gradient of the loss with respect to the result, in its shape.
    indices : uint8 or int64 array in the shape of `dy`
        From ``max_pool2d(..., return_indices=True)``.
    input_shape : sequence of int
        Shape of `x` in the forward call.
    pool_size, strides, padding, data_format
        As in the forward call.
    out : array, optional
        Receives dx.

    Returns
    -------
    array
        dx, of `input_shape` and the dtype of `dy`. Gradients add up where windows overlap, in an
        order that depends on the shape alone.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4, dtype="float32").reshape(1, 2, 2, 1)
    >>> y, indices = max_pool2d(x, return_indices=True)
    >>> max_pool2d_backward(np.ones_like(y), indices, x.shape)[0, :, :, 0]
    array([[0., 0.],
           [0., 1.]], dtype=float32)
    """
    dy = as_float_array(dy, "dy")
    plan = _pool2d_plan(
        _sizes(input_shape), dy.dtype, pool_size, strides, padding, data_format, "input_shape"
    )
    check_shape(dy, "dy", plan.y_shape)
    positions = _as_indices(indices, plan.index_dtype)
    check_shape(positions, "indices", plan.y_shape)
    dx = output(out, "out", plan.x_shape, dy.dtype, dy, positions)
    plan.max_backward(dy, positions, dx)
    return dx


def avg_pool2d(
    x: Any,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """Mean of every window; padding is left out of the mean, as in Keras.

    Parameters, result and errors are those of :func:`max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), padding="same")[0, :, :, 0]
    array([[2. , 3.5],
           [6.5, 8. ]])
    """
    x = as_float_array(x, "x")
    plan = _pool2d_plan(x.shape, x.dtype, pool_size, strides, padding, data_format)
    y = output(out, "out", plan.y_shape, x.dtype, x)
    plan.avg_forward(x, y)
    return y


def avg_pool2d_backward(
    dy: Any,
    input_shape: Sequence[int],
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: Any = "valid",
    data_format: str | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of :func:`avg_pool2d`: every gradient is shared among the elements of its window.

    Parameters and result are those of :func:`max_pool2d_backward`, without `indices`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 1))[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    dy = as_float_array(dy, "dy")
    plan = _pool2d_plan(
        _sizes(input_shape), dy.dtype, pool_size, strides, padding, data_format, "input_shape"
    )
    check_shape(dy, "dy", plan.y_shape)
    dx = output(out, "out", plan.x_shape, dy.dtype, dy)
    plan.avg_backward(dy, dx)
    return dx


def _sizes(input_shape: Any) -> tuple[int, ...]:
    if type(input_shape) is tuple and list(map(type, input_shape)) == _FOUR_INTEGERS:
        return input_shape
    try:
        if any(isinstance(size, bool) for size in input_shape):
            raise TypeError
        return tuple(map(index, input_shape))
    except TypeError:
        raise TypeError(
            "Argument `input_shape` must be a sequence of integers. "
            f"Received: input_shape={input_shape!r}"
        ) from None


def _as_indices(indices: Any, dtype: np.dtype[Any]) -> Array:
    array = to_numpy(indices, "indices")
    if array.dtype != dtype:
        raise TypeError(
            f"Argument `indices` must be a {dtype} array, as the forward call returns it. "
            f"Received: indices.dtype={array.dtype}"
        )
    return np.ascontiguousarray(array)


def _pool2d_plan(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    pool_size: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    name: str = "x",
) -> _kernels.Pool2D:
    """The description of a pooling of an array of this shape, cached."""
    # Normal forms are hashable and exactly integers: 1, True and 1.0 are told apart.
    if type(pool_size) is not int:
        pool_size = _shapes.normalize_pair(pool_size, "pool_size")
    if strides is not None and type(strides) is not int:
        strides = _shapes.normalize_pair(strides, "strides")
    if type(padding) is not str:
        padding = _shapes.normalize_padding(padding)
    return _cached_plan(
        shape, dtype, pool_size, strides, padding, data_format_of(data_format), name
    )


@lru_cache(maxsize=2048)
def _cached_plan(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    pool_size: Any,
    strides: Any,
    padding: Any,
    data_format: str,
    name: str,
) -> _kernels.Pool2D:
    pool = _shapes.normalize_pair(pool_size, "pool_size")
    steps = pool if strides is None else _shapes.normalize_pair(strides, "strides")
    form = _shapes.normalize_data_format(data_format)
    n, h, w, c = _shapes.image_sizes(shape, form, name)
    _shapes.check_elements(shape, name)
    sides = _shapes.normalize_padding(padding)
    vertical, horizontal = _shapes.pool_axes((h, w), pool, steps, sides)
    return _kernels.Pool2D(
        shape,
        _shapes.image_shape(n, vertical[0], horizontal[0], c, form),
        dtype,
        pool_size=pool,
        strides=steps,
        before=(vertical[1], horizontal[1]),
        channels_first=form == "channels_first",
        index_dtype=np.dtype(_shapes.pool_index_type(pool)),
    )
