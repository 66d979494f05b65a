"""Convolution, plain and depthwise, and its gradients."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastconv import _shapes
from fastconv.reference._arrays import (
    Array,
    Gradients,
    add_bias_and_activate,
    check_needs,
    floating_pair,
)
from fastconv.reference._windows import Windows


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: object = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    data_format: str | None = None,
    activation: str | None = None,
) -> Array:
    """Convolve a batch of images with a kernel (a cross-correlation, as everywhere in the field).

    Parameters
    ----------
    x : array of shape (n, h, w, c), or (n, c, h, w) for 'channels_first'
    kernel : array of shape (kh, kw, c / groups, filters), in both data formats
    bias : array of shape (filters,), optional
    strides, dilation_rate : int or (int, int)
    padding : 'valid', 'same', int, (h, w) or ((top, bottom), (left, right))
    groups : int
        Input and output channels are split into this many independent convolutions.
    data_format : 'channels_last' or 'channels_first'
        By default what `fastconv.config.image_data_format` says.
    activation : None, 'linear', 'relu', 'sigmoid' or 'tanh'

    Returns
    -------
    y : array of shape (n, oh, ow, filters), or (n, filters, oh, ow)

    Raises
    ------
    ValueError
        If shapes do not fit each other or the kernel is larger than the padded input.

    Examples
    --------
    >>> import numpy as np
    >>> conv2d(np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1)))[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    images, weights = floating_pair(x, kernel)
    conv = _conv(images, weights, strides, padding, dilation_rate, groups, data_format)
    windows = conv.view(conv.pad(conv.to_nhwc(images), 0))
    y = np.concatenate(
        [
            np.einsum("nyxcij,ijco->nyxo", windows[:, :, :, inputs], weights[..., outputs])
            for inputs, outputs in _groups(weights, groups)
        ],
        axis=-1,
    )
    return conv.from_nhwc(add_bias_and_activate(y, bias, activation))


def conv2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    strides: int | Sequence[int] = 1,
    padding: object = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int = 1,
    data_format: str | None = None,
    needs: Collection[str] = ("dx", "dw", "db"),
) -> Gradients:
    """Return the gradients of `conv2d` (without activation) for the gradient of its output.

    Parameters
    ----------
    dy : array of the shape of ``conv2d(x, kernel, ...)``
    x, kernel, strides, padding, dilation_rate, groups, data_format
        As given to `conv2d`.
    needs : collection of 'dx', 'dw', 'db'
        The gradients to compute; the others are None.

    Returns
    -------
    dx, dw, db : arrays of the shapes of ``x``, ``kernel`` and (filters,), or None

    Raises
    ------
    ValueError
        If shapes do not fit each other or ``needs`` names anything else.

    Examples
    --------
    >>> import numpy as np
    >>> x, kernel = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
    >>> dx, dw, db = conv2d_backward(np.ones((1, 2, 2, 1)), x, kernel)
    >>> dx[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    >>> dw[:, :, 0, 0], db
    (array([[ 8., 12.],
           [20., 24.]]), array([4.]))
    """
    check_needs(needs)
    images, weights = floating_pair(x, kernel)
    conv = _conv(images, weights, strides, padding, dilation_rate, groups, data_format)
    outer = conv.gradient(dy, weights.shape[3], images.dtype)
    x_padded = conv.pad(conv.to_nhwc(images), 0)
    dx = dw = db = None
    if "dx" in needs:
        dx_padded = np.zeros_like(x_padded)
        for i, j, region in conv.taps():
            for inputs, outputs in _groups(weights, groups):
                dx_padded[region][..., inputs] += np.einsum(
                    "nyxo,co->nyxc", outer[..., outputs], weights[i, j, :, outputs]
                )
        dx = conv.from_nhwc(conv.crop(dx_padded))
    if "dw" in needs:
        windows = conv.view(x_padded)
        dw = np.concatenate(
            [
                np.einsum("nyxcij,nyxo->ijco", windows[:, :, :, inputs], outer[..., outputs])
                for inputs, outputs in _groups(weights, groups)
            ],
            axis=-1,
        )
    if "db" in needs:
        db = outer.sum((0, 1, 2))
    return dx, dw, db


def depthwise_conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: object = "valid",
    dilation_rate: int | Sequence[int] = 1,
    data_format: str | None = None,
    activation: str | None = None,
) -> Array:
    """Convolve each channel on its own with ``m`` filters.

    Parameters
    ----------
    x : array of shape (n, h, w, c), or (n, c, h, w) for 'channels_first'
    kernel : array of shape (kh, kw, c, m)
    bias : array of shape (c * m,), optional
    strides, padding, dilation_rate, data_format, activation
        As in `conv2d`.

    Returns
    -------
    y : array of shape (n, oh, ow, c * m), or (n, c * m, oh, ow)
        Channel ``i * m + k`` is filter k of input channel i.

    Raises
    ------
    ValueError
        If shapes do not fit each other or the kernel is larger than the padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(8.0).reshape(1, 2, 2, 2)
    >>> depthwise_conv2d(x, np.ones((2, 2, 2, 1)))
    array([[[[12., 16.]]]])
    """
    images, weights = floating_pair(x, kernel)
    conv = _conv(images, weights, strides, padding, dilation_rate, None, data_format)
    windows = conv.view(conv.pad(conv.to_nhwc(images), 0))
    y = np.einsum("nyxcij,ijcm->nyxcm", windows, weights)
    y = y.reshape(*conv.output_size, weights.shape[2] * weights.shape[3])
    return conv.from_nhwc(add_bias_and_activate(y, bias, activation))


def depthwise_conv2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    strides: int | Sequence[int] = 1,
    padding: object = "valid",
    dilation_rate: int | Sequence[int] = 1,
    data_format: str | None = None,
    needs: Collection[str] = ("dx", "dw", "db"),
) -> Gradients:
    """Return the gradients of `depthwise_conv2d` (without activation).

    Parameters, result and errors are those of `conv2d_backward`, with a (kh, kw, c, m) kernel.

    Examples
    --------
    >>> import numpy as np
    >>> x, kernel = np.arange(8.0).reshape(1, 2, 2, 2), np.ones((2, 2, 2, 1))
    >>> dx, dw, db = depthwise_conv2d_backward(np.ones((1, 1, 1, 2)), x, kernel)
    >>> dw[..., 0, 0], db
    (array([[0., 2.],
           [4., 6.]]), array([1., 1.]))
    """
    check_needs(needs)
    images, weights = floating_pair(x, kernel)
    conv = _conv(images, weights, strides, padding, dilation_rate, None, data_format)
    c, m = weights.shape[2:]
    outer = conv.gradient(dy, c * m, images.dtype).reshape(*conv.output_size, c, m)
    x_padded = conv.pad(conv.to_nhwc(images), 0)
    dx = dw = db = None
    if "dx" in needs:
        dx_padded = np.zeros_like(x_padded)
        for i, j, region in conv.taps():
            dx_padded[region] += np.einsum("nyxcm,cm->nyxc", outer, weights[i, j])
        dx = conv.from_nhwc(conv.crop(dx_padded))
    if "dw" in needs:
        dw = np.einsum("nyxcij,nyxcm->ijcm", conv.view(x_padded), outer)
    if "db" in needs:
        db = outer.sum((0, 1, 2)).reshape(c * m)
    return dx, dw, db


def _conv(
    x: Array,
    kernel: Array,
    strides: object,
    padding: object,
    dilation_rate: object,
    groups: int | None,
    data_format: str | None,
) -> Windows:
    """Return the windows of a convolution; ``groups`` None means depthwise."""
    if kernel.ndim != 4 or min(kernel.shape) < 1:
        raise ValueError(f"`kernel` must be 4-D, not empty. Received: kernel.shape={kernel.shape}")
    conv = Windows(x.shape, kernel.shape[:2], strides, padding, dilation_rate, data_format)
    if groups is not None:
        _shapes.check_conv_channels(conv.channels, kernel.shape, groups)
    elif kernel.shape[2] != conv.channels:
        raise ValueError(
            f"`kernel` must have {conv.channels} channels on its third axis. "
            f"Received: kernel.shape={kernel.shape}"
        )
    return conv


def _groups(kernel: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """Yield the (input channels, output channels) of every group."""
    c, k = kernel.shape[2], kernel.shape[3] // groups
    for g in range(groups):
        yield slice(g * c, (g + 1) * c), slice(g * k, (g + 1) * k)
