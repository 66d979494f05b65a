"""Dense layers: a 1x1 convolution on 1x1 images, by the same kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastconv.functional._arrays import (
    Array,
    as_float_array,
    check_shape,
    empty,
    output,
    same_dtype,
)
from fastconv.functional._conv import NEEDS, Gradients, backward
from fastconv.functional._packing import check_packed, pack_conv2d
from fastconv.functional._plans import conv2d_plan


def dense(
    x: Any,
    kernel: Any,
    bias: Any = None,
    *,
    activation: str | None = None,
    packed: Array | None = None,
    out: Array | None = None,
) -> Array:
    """``activation(x @ kernel + bias)``.

    Parameters
    ----------
    x : array of float32 or float64
        (batch, inputs).
    kernel : array
        (inputs, units); dtype of `x`.
    bias : array, optional
        (units,).
    activation : str, optional
        As in :func:`conv2d`.
    packed : array of uint8, optional
        What :func:`pack_dense` made of this kernel.
    out : array, optional
        (batch, units): receives the result.

    Returns
    -------
    array
        (batch, units).

    Examples
    --------
    >>> import numpy as np
    >>> dense(np.ones((1, 3)), np.ones((3, 2)), np.array([1.0, -9.0]), activation="relu")
    array([[4., 0.]])
    """
    x = as_float_array(x, "x", 2)
    kernel = same_dtype(kernel, "kernel", x, "x", 2)
    plan = _plan(x, kernel, activation)
    if bias is not None:
        bias = same_dtype(bias, "bias", x, "x")
        check_shape(bias, "bias", (kernel.shape[1],))
    shape = (x.shape[0], kernel.shape[1])
    if out is None:
        out = empty(shape, x.dtype)
    else:
        out = output(out, "out", shape, x.dtype, x, kernel, *(() if bias is None else (bias,)))
    if packed is None:
        plan.forward(x, kernel, bias, out)
    else:
        check_packed(packed, "packed", plan)
        plan.forward_packed(x, packed, bias, out)
    return out


def pack_dense(kernel: Any, *, out: Array | None = None) -> Array | None:
    """Rearrange a kernel once for many calls of :func:`dense` that do not change it.

    Parameters
    ----------
    kernel : array
        (inputs, units).
    out : array of uint8, optional
        Receives the result.

    Returns
    -------
    array of uint8, or None
        To be passed as ``packed``, in this process and with the instruction set in use. None where
        the kernel is as good where it is.

    Examples
    --------
    >>> import numpy as np
    >>> x, kernel = np.ones((4, 6), "float32"), np.ones((6, 10), "float32")
    >>> bool(np.allclose(dense(x, kernel, packed=pack_dense(kernel)), dense(x, kernel)))
    True
    """
    kernel = as_float_array(kernel, "kernel", 2)
    return pack_conv2d(
        (1, 1, 1, kernel.shape[0]),
        kernel.reshape(1, 1, *kernel.shape),
        data_format="channels_last",
        algorithm="direct",
        out=out,
    )


def dense_backward(
    dy: Any,
    x: Any,
    kernel: Any,
    *,
    needs: Iterable[str] = NEEDS,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> Gradients:
    """Gradients of :func:`dense` (before any activation): ``dy @ kernel.T``, ``x.T @ dy``,
    ``dy.sum(0)``.

    Parameters and result as in :func:`conv2d_backward`, with `dy` (batch, units).

    Examples
    --------
    >>> import numpy as np
    >>> dx, dw, db = dense_backward(np.ones((2, 1)), np.array([[1.0], [2.0]]), np.array([[3.0]]))
    >>> dx.ravel(), dw.ravel(), db
    (array([3., 3.]), array([3.]), array([2.]))
    """
    x = as_float_array(x, "x", 2)
    kernel = same_dtype(kernel, "kernel", x, "x", 2)
    dy = same_dtype(dy, "dy", x, "x", 2)
    plan = _plan(x, kernel, None)
    check_shape(dy, "dy", (x.shape[0], kernel.shape[1]))
    dx, dw, db = backward(
        plan, dy, x, kernel.reshape(1, 1, *kernel.shape), kernel.shape, needs, out
    )
    return dx, dw, db


def _plan(x: Array, kernel: Array, activation: str | None) -> Any:
    if min(kernel.shape) < 1 or x.shape[1] != kernel.shape[0]:
        raise ValueError(
            f"Argument `kernel` must have shape (inputs, units) with "
            f"inputs={x.shape[1]}, none of them zero. "
            f"Received: kernel.shape={kernel.shape}"
        )
    return conv2d_plan(
        (x.shape[0], 1, 1, x.shape[1]),
        (1, 1, *kernel.shape),
        x.dtype,
        1,
        "valid",
        1,
        1,
        "channels_last",
        activation,
        "direct",
    )
