"""Activations, dropout, gathering and sums of squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import _kernels
from fastconv.functional._arrays import Array, as_float_array, check_shape, output, same_dtype
from fastconv.functional._plans import ACTIVATIONS

_NEEDS_INPUT = {name for name, i in ACTIVATIONS.items() if _kernels.activation_needs_input(i)}
_SOURCES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
_INT64 = np.dtype(np.int64)
_UINT64 = np.dtype(np.uint64)
_LOW_64_BITS = 0xFFFFFFFFFFFFFFFF


def _number(name: Any) -> int:
    number = ACTIVATIONS.get(name) if isinstance(name, str) else None
    if number is None:
        raise ValueError(
            f"Argument `name` must be one of {sorted(ACTIVATIONS)}. Received: name={name!r}"
        )
    return number


def activate(x: Any, name: str, *, out: Array | None = None) -> Array:
    """Apply an activation function to every element.

    The exponential functions are polynomials on vectors, accurate to 3 units in the last place
    ("gelu", the exact one: 6). NaN gives NaN. Numbers below the normal range count as zero.

    Parameters
    ----------
    x : array of float32 or float64
        Any shape.
    name : str
        "linear", "relu", "sigmoid", "tanh", "elu" (alpha 1), "selu", "softplus", "softsign",
        "leaky_relu" (slope 0.2), "gelu", "silu", "exponential", "hard_sigmoid" or "relu6": Keras's
        functions with Keras's defaults.
    out : array, optional
        Receives the result; may be `x`.

    Returns
    -------
    array
        Of the shape and dtype of `x`; `out` if it was given.

    Raises
    ------
    ValueError, TypeError
        Unknown `name`; `x` or `out` unsuitable.

    Examples
    --------
    >>> import numpy as np
    >>> activate(np.array([-1.0, 0.0, 2.0]), "relu")
    array([0., 0., 2.])
    """
    number = _number(name)
    x = as_float_array(x, "x")
    y = output(out, "out", x.shape, x.dtype, x, may_alias=True)
    _kernels.activate(number, x, y)
    return y


def activate_backward(
    dy: Any, y: Any, name: str, *, x: Any = None, out: Array | None = None
) -> Array:
    """Gradient of :func:`activate`: `dy` times the derivative, computed from the result `y`.

    Parameters
    ----------
    dy : array of float32 or float64
        Gradient of the loss with respect to the result.
    y : array or None
        The result of the forward call; not looked at for "gelu" and "silu".
    name : str
        The activation.
    x : array, optional
        The input of the forward call: needed by "gelu" and "silu", whose derivative is not a
        function of `y`, and not looked at by the others.
    out : array, optional
        Receives the result; may be `dy`, or the one of `x` and `y` that is used.

    Returns
    -------
    array
        Of the shape and dtype of `dy`. At a kink the derivative is Keras's: 0 for "relu" at 0.

    Raises
    ------
    ValueError, TypeError
        Unknown `name`, `x` missing where it is needed, shapes or dtypes that differ.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-1.0, 0.0, 2.0])
    >>> activate_backward(np.ones(3), activate(x, "sigmoid"), "sigmoid")
    array([0.19661193, 0.25      , 0.10499359])
    """
    number = _number(name)
    dy = as_float_array(dy, "dy")
    source, source_name = (x, "x") if name in _NEEDS_INPUT else (y, "y")
    if source is None:
        raise ValueError(
            f"Argument `{source_name}` is needed for the gradient of {name!r}. "
            f"Received: {source_name}=None"
        )
    source = same_dtype(source, source_name, dy, "dy")
    check_shape(source, source_name, dy.shape)
    dx = output(out, "out", dy.shape, dy.dtype, dy, source, may_alias=True)
    _kernels.activate_backward(number, dy, source, dx)
    return dx


def dropout(
    x: Any,
    rate: float,
    *,
    seed: int = 0,
    counter: int = 0,
    draw: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Set a random fraction `rate` of the elements to zero and scale the others by 1 / (1 - rate).

    The mask is a pure function of `seed`, `counter` and the position of an element in memory, made
    by a counter-based generator (Threefry4x32 with 12 rounds: Salmon, Moraes, Dror and Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", 2011). It is the same for float32 and float64, on
    every instruction set and for every number of threads, and need not be stored for the gradient.

    Parameters
    ----------
    x : array of float32 or float64
        Any shape.
    rate : float
        In [0, 1]; 0 copies, 1 gives zeros. Resolved to multiples of 2**-32.
    seed, counter : int
        The key of the generator and the number of the draw; the lowest 64 bits count.
    draw : array of uint64, optional
        Holds both in their place: (seed, counter).
    out : array, optional
        Receives the result; may be `x`.

    Returns
    -------
    array
        Of the shape and dtype of `x`; `out` if it was given.

    Raises
    ------
    ValueError
        `rate` outside [0, 1], or `out` unsuitable.
    TypeError
        `x` is not a float array.

    Examples
    --------
    >>> import numpy as np
    >>> y = dropout(np.ones(1000), 0.5, seed=1, counter=0)
    >>> sorted({float(v) for v in y})
    [0.0, 2.0]
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"Argument `rate` must lie between 0 and 1. Received: rate={rate}")
    x = as_float_array(x, "x")
    y = output(out, "out", x.shape, x.dtype, x, may_alias=True)
    if draw is None:
        draw = np.array([seed & _LOW_64_BITS, counter & _LOW_64_BITS], _UINT64)
    elif not isinstance(draw, np.ndarray) or draw.dtype != _UINT64 or draw.shape != (2,):
        raise ValueError(
            f"Argument `draw` must be a uint64 array of shape (2,). Received: draw={draw!r}"
        )
    _kernels.dropout(rate, draw, x, y)
    return y


def dropout_backward(
    dy: Any,
    rate: float,
    *,
    seed: int = 0,
    counter: int = 0,
    draw: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Gradient of :func:`dropout`: the same mask and scale, applied to `dy`.

    Parameters
    ----------
    dy : array of float32 or float64
        Gradient of the loss with respect to the result.
    rate, seed, counter, draw
        As in the forward call.
    out : array, optional
        Receives the result; may be `dy`.

    Returns
    -------
    array
        Of the shape and dtype of `dy`.

    Raises
    ------
    ValueError, TypeError
        As :func:`dropout`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(1.0, 9.0)
    >>> y = dropout(x, 0.25, seed=3, counter=7)
    >>> np.array_equal(dropout_backward(x, 0.25, seed=3, counter=7), y)
    True
    """
    dy = as_float_array(dy, "dy")
    return dropout(dy, rate, seed=seed, counter=counter, draw=draw, out=out)


def gather_rows(src: Any, indices: Any, *, out: Array, scale: float = 1.0) -> Array:
    """``out[i] = src[indices[i]] * scale``: a batch from a data set, converted on the way.

    Parameters
    ----------
    src : array of uint8, float32 or float64
        (rows, ...), C-contiguous if it is not to be copied.
    indices : array of int
        (n,), each in 0 .. rows - 1.
    out : array of float32 or float64
        (n, ...) with as many elements per row as `src`.
    scale : float
        Multiplies every element, in the precision of `out` (float64 for a float64 `src`).

    Returns
    -------
    array
        `out`.

    Raises
    ------
    ValueError
        An index out of range, or `out` of the wrong size.
    TypeError
        An element type that is not listed above.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.arange(6, dtype="uint8").reshape(3, 2)
    >>> gather_rows(images, np.array([2, 0]), out=np.empty((2, 2), "float32"), scale=0.5)
    array([[2. , 2.5],
           [0. , 0.5]], dtype=float32)
    """
    src = check_source(src)
    indices = np.asarray(indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(
            "Argument `indices` must be an array of integers. "
            f"Received: indices.dtype={indices.dtype}"
        )
    if indices.ndim != 1:
        raise ValueError(
            f"Argument `indices` must have 1 dimension. Received: indices.shape={indices.shape}"
        )
    positions = np.require(indices, _INT64, ("C", "A"))
    row = math.prod(src.shape[1:])
    if not isinstance(out, np.ndarray):
        raise TypeError(f"Argument `out` must be a NumPy array. Received: out={type(out).__name__}")
    if out.dtype not in _SOURCES[1:]:
        raise TypeError(
            f"Argument `out` must be float32 or float64. Received: out.dtype={out.dtype}"
        )
    if out.shape[:1] != positions.shape or out.size != len(positions) * row:
        raise ValueError(
            f"Argument `out` must have {len(positions)} rows of {row} elements. "
            f"Received: out.shape={out.shape}"
        )
    output(out, "out", out.shape, out.dtype, src, positions)
    wrong = _kernels.find_outside(positions, len(src))
    if wrong >= 0:
        raise ValueError(
            f"Argument `indices` must lie in 0 .. {len(src) - 1}. "
            f"Received: indices[{wrong}]={indices[wrong]}"
        )
    _kernels.gather_rows(src, src.itemsize, row, positions, len(positions), scale, out)
    return out


def sum_squares(x: Any) -> float:
    """The sum of the squares of all elements, in double precision.

    The order of the additions is fixed by the size: the result does not depend on the number of
    threads.

    Parameters
    ----------
    x : array of float32 or float64
        Any shape.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        `x` is not a float array.

    Examples
    --------
    >>> import numpy as np
    >>> sum_squares(np.array([3.0, 4.0]))
    25.0
    """
    return _kernels.sum_squares(as_float_array(x, "x"))


def check_source(src: Any) -> Array:
    """`src` of :func:`gather_rows` as an array that the kernel can read."""
    src = np.asarray(src)
    if src.dtype not in _SOURCES:
        raise TypeError(
            "Argument `src` must be an array of uint8, float32 or float64. "
            f"Received: src.dtype={src.dtype}"
        )
    if src.ndim == 0:
        raise ValueError("Argument `src` must have rows. Received: src.shape=()")
    return np.require(src, src.dtype.newbyteorder("="), ("C", "A"))
