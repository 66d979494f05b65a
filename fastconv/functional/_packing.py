"""Kernels that are transformed once for many calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.functional._arrays import Array, as_float_array, empty, output
from fastconv.functional._plans import conv2d_plan

_UINT8 = np.dtype(np.uint8)


def pack_conv2d(
    x_shape: tuple[int, ...],
    kernel: Any,
    *,
    strides: int | tuple[int, int] = 1,
    padding: Any = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
    data_format: str | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
) -> Array | None:
    """Transform a kernel once for many calls of :func:`conv2d` that do not change it.

    Parameters
    ----------
    x_shape : tuple of int
        Of the images; the result serves any number of them, best one or two if there are so few
        here and many otherwise.
    kernel, strides, padding, dilation_rate, groups, data_format, algorithm
        As in :func:`conv2d`.
    out : array of uint8, optional
        Receives the result.

    Returns
    -------
    array of uint8, or None
        To be passed as ``packed``, in this process and with the instruction set in use. None where
        the kernel is as good as it is: depthwise, grouped, channels first where planes are read as
        they lie. Where "auto" is direct because there is little to compute with a kernel once
        transformed, this may be Winograd's.

    Examples
    --------
    >>> import numpy as np
    >>> import fastconv
    >>> x, kernel = np.ones((1, 8, 8, 16), "float32"), np.ones((3, 3, 16, 16), "float32")
    >>> packed = pack_conv2d(x.shape, kernel)
    >>> y = fastconv.conv2d(x, kernel, packed=packed)
    >>> bool(np.allclose(y, fastconv.conv2d(x, kernel)))
    True
    """
    kernel = as_float_array(kernel, "kernel")
    plan = conv2d_plan(
        tuple(x_shape),
        kernel.shape,
        kernel.dtype,
        strides,
        padding,
        dilation_rate,
        groups,
        data_format,
        None,
        algorithm,
    )
    size = plan.packed_bytes()
    if size == 0:
        return None
    if out is None:
        out = empty((size,), _UINT8, aligned_from=0)
    out = output(out, "out", (size,), _UINT8)
    plan.pack(kernel, out)
    return out


def check_packed(packed: Any, name: str, plan: Any) -> None:
    """Raise unless `packed` is what was packed for this convolution of any number of images."""
    is_bytes = isinstance(packed, np.ndarray) and packed.dtype == _UINT8 and packed.ndim == 1
    if is_bytes and packed.flags.c_contiguous and plan.takes(packed):
        return
    size = plan.packed_bytes()
    if size == 0:
        raise ValueError(
            f"Argument `{name}`: this convolution takes no packed kernel. Received: an array"
        )
    output(packed, name, (size,), _UINT8)
    raise ValueError(
        f"Argument `{name}` must be what a kernel was packed into. Received: {packed!r}"
    )
