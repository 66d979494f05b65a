"""Maximum and average pooling and their gradients."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastconv.reference._arrays import Array, floating
from fastconv.reference._windows import Windows


def max_pool2d(
    x: ArrayLike,
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: object = "valid",
    data_format: str | None = None,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """Return the maximum of every window, and where it was found.

    A NaN anywhere in a window makes its maximum NaN. The first maximum (or first NaN) in row-major
    order of the window wins a tie. Padding never wins, not even against -inf.

    Parameters
    ----------
    x : array of shape (n, h, w, c), or (n, c, h, w) for 'channels_first'
    pool_size : int or (int, int)
    strides : int, (int, int) or None for ``pool_size``
    padding : 'valid', 'same', int, (h, w) or ((top, bottom), (left, right))
    data_format : 'channels_last' or 'channels_first'
        By default what `fastconv.config.image_data_format` says.
    return_indices : bool
        Return the positions of the winners too.

    Returns
    -------
    y : array of shape (n, oh, ow, c), or (n, c, oh, ow)
    indices : array of the shape of ``y``, only with ``return_indices``
        ``i * pool_width + j`` for a winner in row i and column j of its window; uint8, or int64 if
        the pool has more than 256 positions.

    Raises
    ------
    ValueError
        If the pool is larger than the padded input or a window would hold only padding.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    images = floating(x, "x")
    pool = _pool(images.shape, pool_size, strides, padding, data_format, "x")
    shape = (*pool.output_size, pool.channels, prod(pool.window))
    images = pool.to_nhwc(images)
    windows = pool.view(pool.pad(images, -np.inf)).reshape(shape)
    inside = pool.view(pool.pad(np.ones_like(images, bool), False)).reshape(shape)
    highest = windows.max(-1, keepdims=True)
    winners = inside & ((windows == highest) | np.isnan(windows))
    indices = winners.argmax(-1)
    y = pool.from_nhwc(np.take_along_axis(windows, indices[..., np.newaxis], -1)[..., 0])
    if not return_indices:
        return y
    kind = np.uint8 if prod(pool.window) <= 256 else np.int64
    return y, pool.from_nhwc(indices.astype(kind))


def max_pool2d_backward(
    dy: ArrayLike,
    indices: ArrayLike,
    input_shape: Sequence[int],
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: object = "valid",
    data_format: str | None = None,
) -> Array:
    """Send the gradient of every maximum back to the element that won.

    Parameters
    ----------
    dy : array of the shape of ``max_pool2d(x, ...)``
    indices : array of the shape of ``dy``, from ``max_pool2d(..., return_indices=True)``
    input_shape : the shape of ``x``
    pool_size, strides, padding, data_format
        As given to `max_pool2d`.

    Returns
    -------
    dx : array of shape ``input_shape``

    Examples
    --------
    >>> import numpy as np
    >>> y, indices = max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), return_indices=True)
    >>> max_pool2d_backward(np.ones_like(y), indices, (1, 2, 2, 1))[0, :, :, 0]
    array([[0., 0.],
           [0., 1.]])
    """
    outer = floating(dy, "dy")
    pool = _pool(input_shape, pool_size, strides, padding, data_format, "input_shape")
    outer = pool.gradient(outer, pool.channels, outer.dtype)
    positions = pool.to_nhwc(np.asarray(indices))
    if positions.shape != outer.shape:
        raise ValueError(
            f"`indices` must have the shape of `dy`. Received: indices.shape={np.shape(indices)}"
        )
    dx_padded = pool.pad(np.zeros((*pool.input_size, pool.channels), outer.dtype), 0)
    for tap, (_, _, region) in enumerate(pool.taps()):
        dx_padded[region] += np.where(positions == tap, outer, 0)
    return pool.from_nhwc(pool.crop(dx_padded))


def avg_pool2d(
    x: ArrayLike,
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: object = "valid",
    data_format: str | None = None,
) -> Array:
    """Return the mean of every window; padding is left out of the mean.

    Parameters, result and errors are those of `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), padding="same")[0, :, :, 0]
    array([[2. , 3.5],
           [6.5, 8. ]])
    """
    images = floating(x, "x")
    pool = _pool(images.shape, pool_size, strides, padding, data_format, "x")
    x_padded = pool.pad(pool.to_nhwc(images), 0)
    total = np.zeros((*pool.output_size, pool.channels), images.dtype)
    for _, _, region in pool.taps():
        total += x_padded[region]
    return pool.from_nhwc(total / _counts(pool, images.dtype))


def avg_pool2d_backward(
    dy: ArrayLike,
    input_shape: Sequence[int],
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: object = "valid",
    data_format: str | None = None,
) -> Array:
    """Share the gradient of every mean among the elements it was taken of.

    Parameters and result are those of `max_pool2d_backward`, without ``indices``.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 1))[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    outer = floating(dy, "dy")
    pool = _pool(input_shape, pool_size, strides, padding, data_format, "input_shape")
    outer = pool.gradient(outer, pool.channels, outer.dtype)
    dx_padded = pool.pad(np.zeros((*pool.input_size, pool.channels), outer.dtype), 0)
    share = outer / _counts(pool, outer.dtype)
    for _, _, region in pool.taps():
        dx_padded[region] += share
    return pool.from_nhwc(pool.crop(dx_padded))


def _pool(
    shape: Sequence[int],
    pool_size: object,
    strides: object,
    padding: object,
    data_format: str | None,
    name: str,
) -> Windows:
    """Return the windows of a pooling; ``strides`` None means ``pool_size``."""
    strides = pool_size if strides is None else strides
    return Windows(shape, pool_size, strides, padding, 1, data_format, name, kind="pool")


def _counts(pool: Windows, dtype: DTypeLike) -> Array:
    """Return how many elements of the image each window sees, as (1, oh, ow, 1)."""
    _, h, w = pool.input_size
    counts: Array = pool.view(pool.pad(np.ones((1, h, w, 1), dtype), 0)).sum((4, 5))
    return counts
