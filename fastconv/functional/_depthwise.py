"""Depthwise convolution: one group for each channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastconv import _shapes
from fastconv.functional._arrays import Array, as_float_array, check_shape, same_dtype
from fastconv.functional._conv import NEEDS, Gradients, backward, conv2d
from fastconv.functional._plans import conv2d_plan, data_format_of


def depthwise_conv2d(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    strides: int | tuple[int, int] = 1,
    padding: Any = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    data_format: str | None = None,
    activation: str | None = None,
    out: Array | None = None,
) -> Array:
    """Depthwise convolution: every channel is filtered alone, by `depth_multiplier` kernels.

    Parameters
    ----------
    x : array of float32 or float64
        (batch, height, width, channels) or channels first.
    kernel : array
        (kernel_height, kernel_width, channels, depth_multiplier).
    bias : array, optional
        (channels * depth_multiplier,).
    strides, padding, dilation_rate, data_format, activation, out
        As in :func:`conv2d`.

    Returns
    -------
    array
        (batch, out_height, out_width, channels * depth_multiplier) or channels first; channel c's
        results are at ``c * depth_multiplier`` and after, as in Keras.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    >>> depthwise_conv2d(x, np.ones((2, 2, 2, 1), "float32")).ravel()
    array([12., 16.], dtype=float32)
    """
    x, kernel = _depthwise_arguments(x, kernel, data_format)
    return conv2d(
        x,
        kernel,
        bias,
        strides=strides,
        padding=padding,
        dilation_rate=dilation_rate,
        groups=kernel.shape[3] // _multiplier(x, kernel, data_format),
        data_format=data_format,
        activation=activation,
        out=out,
    )


def depthwise_conv2d_backward(
    dy: Any,
    x: Any,
    kernel: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: Any = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    data_format: str | None = None,
    needs: Iterable[str] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Gradients:
    """Gradients of :func:`depthwise_conv2d`; parameters and result as in :func:`conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> x, kernel = np.ones((1, 3, 3, 2), "float32"), np.ones((2, 2, 2, 1), "float32")
    >>> dx, dw, db = depthwise_conv2d_backward(np.ones((1, 2, 2, 2), "float32"), x, kernel)
    >>> dw.shape, float(dw[0, 0, 1, 0])
    ((2, 2, 2, 1), 4.0)
    """
    x, flat = _depthwise_arguments(x, kernel, data_format)
    dy = same_dtype(dy, "dy", x, "x")
    channels = flat.shape[3] // _multiplier(x, flat, data_format)
    plan = conv2d_plan(
        x.shape,
        flat.shape,
        x.dtype,
        strides,
        padding,
        dilation_rate,
        channels,
        data_format,
        None,
        "auto",
    )
    check_shape(dy, "dy", plan.y_shape)
    shape = (flat.shape[0], flat.shape[1], channels, flat.shape[3] // channels)
    return backward(plan, dy, x, flat, shape, needs, out)


def _channels(x: Array, data_format: str | None) -> int:
    return int(x.shape[1 if data_format_of(data_format) == "channels_first" else 3])


def _multiplier(x: Array, flat: Array, data_format: str | None) -> int:
    return int(flat.shape[3]) // _channels(x, data_format)


def _depthwise_arguments(x: Any, kernel: Any, data_format: str | None) -> tuple[Array, Array]:
    """x, and the kernel as that of a convolution with a group for each channel."""
    x = as_float_array(x, "x")
    kernel = same_dtype(kernel, "kernel", x, "x")
    _, _, _, channels = _shapes.image_sizes(x.shape, data_format_of(data_format), "x")  # type: ignore[arg-type]
    if kernel.ndim != 4 or kernel.shape[2] != channels or min(kernel.shape) < 1:
        raise ValueError(
            "Argument `kernel` must have shape (kernel_height, kernel_width, "
            "channels, depth_multiplier) with "
            f"channels={channels}. Received: kernel.shape={kernel.shape}"
        )
    kh, kw, _, multiplier = kernel.shape
    return x, kernel.reshape(kh, kw, 1, channels * multiplier)
