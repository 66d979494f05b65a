"""Convolution and its gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastconv._kernels import repeat_conv2d, repeat_conv2d_backward
from fastconv.config import image_data_format
from fastconv.functional._arrays import (
    Array,
    as_float_array,
    check_shape,
    empty,
    output,
    same_dtype,
)
from fastconv.functional._packing import check_packed
from fastconv.functional._plans import conv2d_plan, known_plans

Gradients = tuple[Array | None, Array | None, Array | None]
NEEDS = ("dx", "dw", "db")


def conv2d(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    strides: int | tuple[int, int] = 1,
    padding: Any = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    data_format: str | None = None,
    activation: str | None = None,
    algorithm: str = "auto",
    packed: Array | None = None,
    out: Array | None = None,
) -> Array:
    """2-D convolution (cross-correlation, as in Keras), with bias and activation.

    Parameters
    ----------
    x : array of float32 or float64
        (batch, height, width, channels), or (batch, channels, height, width) for
        ``data_format="channels_first"``. Anything with the buffer protocol, ``__array__`` or DLPack
        on the CPU. Never changed; copied only if it is not C-contiguous.
    kernel : array
        (kernel_height, kernel_width, channels // groups, filters) in both data formats; dtype of
        `x`.
    bias : array, optional
        (filters,).
    strides, dilation_rate : int or (int, int)
    padding : "valid", "same", int, (int, int) or ((top, bottom), (left, right))
        "same" is Keras's rule: an odd total puts the larger half below and to the right.
    groups : int
        Divides channels and filters; each group of filters sees its own channels.
    data_format : "channels_last" or "channels_first", optional
        Default: Keras's setting, `fastconv.config.image_data_format`.
    activation : str, optional
        Applied to the result as it leaves the registers: "relu", "sigmoid", "tanh", ...
    algorithm : "auto", "direct" or "winograd"
        Winograd (Lavin and Gray, 2015) takes float32 where it saves multiplications: kernels of
        2x2 and up, and of one row or column, with strides or dilation.
    packed : array, optional
        What :func:`pack_conv2d` made of this kernel for this convolution.
    out : array, optional
        Receives the result: right shape and dtype, C-contiguous, no memory shared with the inputs.

    Returns
    -------
    array
        (batch, out_height, out_width, filters) or channels first; `out` if it was given.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that does not fit, and what was received.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 4, 4, 1), "float32")
    >>> conv2d(x, np.ones((3, 3, 1, 2), "float32"), padding="same")[0, :, :, 0]
    array([[4., 6., 6., 4.],
           [6., 9., 9., 6.],
           [6., 9., 9., 6.],
           [4., 6., 6., 4.]], dtype=float32)
    """
    options = (
        strides,
        padding,
        dilation_rate,
        groups,
        image_data_format() if data_format is None else data_format,
        activation,
        algorithm,
    )
    y = repeat_conv2d(known_plans, empty, x, kernel, bias, packed, out, options)
    if y is not None:
        return y
    x = as_float_array(x, "x")
    kernel = same_dtype(kernel, "kernel", x, "x")
    plan = conv2d_plan(x.shape, kernel.shape, x.dtype, *options)
    if bias is not None:
        bias = same_dtype(bias, "bias", x, "x")
        if bias.shape != plan.bias_shape:
            check_shape(bias, "bias", plan.bias_shape)
    if out is None:
        out = empty(plan.y_shape, x.dtype)
    else:
        out = output(
            out, "out", plan.y_shape, x.dtype, x, kernel, *(() if bias is None else (bias,))
        )
    if packed is None:
        plan.forward(x, kernel, bias, out)
    else:
        check_packed(packed, "packed", plan)
        plan.forward_packed(x, packed, bias, out)
    return out


def conv2d_backward(
    dy: Any,
    x: Any,
    kernel: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: Any = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    data_format: str | None = None,
    algorithm: str = "auto",
    needs: Iterable[str] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Gradients:
    """Gradients of :func:`conv2d` (of the linear map, before any activation).

    Parameters
    ----------
    dy : array
        Gradient of the loss with respect to the result, in its shape.
    x, kernel : array
        The arguments of the forward call.
    strides, padding, dilation_rate, groups, data_format, algorithm
        As in the forward call.
    needs : iterable of "dx", "dw", "db"
        The gradients to compute.
    out : (array or None, array or None, array or None), optional
        Arrays that receive dx, dw and db.

    Returns
    -------
    (dx, dw, db)
        In the shapes of `x`, `kernel` and the bias (filters,); None where not needed.

    Examples
    --------
    >>> import numpy as np
    >>> x, kernel = np.ones((1, 3, 3, 1), "float32"), np.ones((2, 2, 1, 1), "float32")
    >>> dx, dw, db = conv2d_backward(np.ones((1, 2, 2, 1), "float32"), x, kernel)
    >>> dx[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]], dtype=float32)
    >>> dw.ravel(), db
    (array([4., 4., 4., 4.], dtype=float32), array([4.], dtype=float32))
    """
    options = (
        strides,
        padding,
        dilation_rate,
        groups,
        image_data_format() if data_format is None else data_format,
        None,
        algorithm,
    )
    if needs is NEEDS and out is None:
        gradients = repeat_conv2d_backward(known_plans, empty, dy, x, kernel, options)
        if gradients is not None:
            return gradients
    x = as_float_array(x, "x")
    kernel = same_dtype(kernel, "kernel", x, "x")
    dy = same_dtype(dy, "dy", x, "x")
    plan = conv2d_plan(x.shape, kernel.shape, x.dtype, *options)
    check_shape(dy, "dy", plan.y_shape)
    return backward(plan, dy, x, kernel, kernel.shape, needs, out)


def backward(
    plan: Any,
    dy: Array,
    x: Array,
    kernel: Array,
    kernel_shape: tuple[int, ...],
    needs: Iterable[str],
    out: tuple[Array | None, Array | None, Array | None] | None,
) -> Gradients:
    wanted = _needs(needs)
    targets = _targets(out)
    dx = dw = db = None
    if wanted[0]:
        dx = output(targets[0], "out[0]", x.shape, x.dtype, dy, x, kernel)
    if wanted[1]:
        dw = output(targets[1], "out[1]", kernel_shape, x.dtype, dy, x, kernel, *_present(dx))
    if wanted[2]:
        taken = (dy, x, kernel, *_present(dx, dw))
        db = output(targets[2], "out[2]", (kernel.shape[3],), x.dtype, *taken)
    if dx is not None and (dw is not None or db is not None):
        plan.backward(x, dy, kernel, dx, dw, db)
    elif dx is not None:
        plan.backward_input(dy, kernel, dx)
    elif dw is not None or db is not None:
        plan.backward_weights(x, dy, dw, db)
    return dx, dw, db


def _present(*arrays: Array | None) -> list[Array]:
    return [array for array in arrays if array is not None]


def _needs(needs: Iterable[str]) -> tuple[bool, bool, bool]:
    if needs is NEEDS:
        return True, True, True
    names = (needs,) if isinstance(needs, str) else tuple(needs)
    for name in names:
        if name not in NEEDS:
            raise ValueError(
                f"Argument `needs` must hold names out of {NEEDS}. Received: needs={names}"
            )
    return "dx" in names, "dw" in names, "db" in names


def _targets(out: Any) -> tuple[Array | None, Array | None, Array | None]:
    if out is None:
        return None, None, None
    if not isinstance(out, tuple | list) or len(out) != 3:
        raise ValueError(
            f"Argument `out` must be (dx, dw, db), arrays or None. Received: "
            f"out={type(out).__name__}"
        )
    return out[0], out[1], out[2]
