"""Batch normalization."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastconv import _kernels
from fastconv.functional._arrays import Array, as_float_array, check_shape, output, same_dtype

Gradients = tuple[Array | None, Array | None, Array | None]
_NEEDS = ("dx", "dgamma", "dbeta")


def batch_norm_forward(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    mean: Any = None,
    variance: Any = None,
    epsilon: float = 1e-3,
    axis: int = -1,
    out: Array | None = None,
) -> tuple[Array, Array, Array]:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` for every channel.

    S. Ioffe and C. Szegedy, "Batch normalization", 2015. Without `mean` and `variance` those of `x`
    are taken, over all axes but `axis`: training. With them, moving averages say: inference.

    Parameters
    ----------
    x : array of float32 or float64
        Any shape with the channels on `axis`: -1 for channels last, 1 for channels first.
    gamma, beta : array, optional
        (channels,); 1 and 0 if not given.
    mean, variance : array, optional
        (channels,), both or neither.
    epsilon : float
    axis : int
    out : array, optional
        Receives the result; may be `x`.

    Returns
    -------
    y, mean, variance : array
        The result, and the statistics that were used, the variance biased (divided by the number of
        elements, as Keras does). They do not depend on the number of threads.

    Raises
    ------
    ValueError
        A shape that does not fit, no element to take a mean of, one of `mean` and `variance` alone.
    TypeError
        Arrays that are not of one float type.

    Examples
    --------
    >>> import numpy as np
    >>> y, mean, variance = batch_norm_forward(np.array([[1.0], [3.0]]), epsilon=0.0)
    >>> y.tolist(), mean.tolist(), variance.tolist()
    ([[-1.0], [1.0]], [2.0], [1.0])
    """
    x = as_float_array(x, "x")
    shape = _outer_channels_inner(x, axis)
    gamma = _channels(gamma, "gamma", x, shape)
    beta = _channels(beta, "beta", x, shape)
    if (mean is None) != (variance is None):
        raise ValueError(
            "Arguments `mean` and `variance` must be given together. Received: "
            f"mean={_kind(mean)}, variance={_kind(variance)}"
        )
    given_mean = _channels(mean, "mean", x, shape)
    given_variance = _channels(variance, "variance", x, shape)
    optional = (gamma, beta, given_mean, given_variance)
    parameters = [array for array in optional if array is not None]
    y = output(out, "out", x.shape, x.dtype, *parameters)
    output(y, "out", x.shape, x.dtype, x, may_alias=True)
    if given_mean is None or given_variance is None:
        if x.size == 0:
            raise ValueError(
                f"Argument `x` must not be empty to take its mean. Received: x.shape={x.shape}"
            )
        given_mean, given_variance = np.empty((2, shape[1]), x.dtype)
        _kernels.batchnorm_moments(shape, x, given_mean, given_variance)
    _kernels.batchnorm_normalize(shape, epsilon, x, given_mean, given_variance, gamma, beta, y)
    return y, given_mean, given_variance


def batch_norm_backward(
    dy: Any,
    x: Any,
    gamma: Any,
    mean: Any,
    variance: Any,
    *,
    training: bool = True,
    epsilon: float = 1e-3,
    axis: int = -1,
    needs: Iterable[str] = _NEEDS,
    out: Gradients | None = None,
) -> Gradients:
    """Gradients of :func:`batch_norm_forward`.

    Parameters
    ----------
    dy : array of float32 or float64
        Gradient of the loss with respect to the result.
    x : array
        The input of the forward call.
    gamma : array or None
        As in the forward call.
    mean, variance : array
        (channels,), as the forward call returned them.
    training : bool
        Whether the statistics were those of `x`, so that `dx` includes the way through them.
    epsilon, axis
        As in the forward call.
    needs : iterable of "dx", "dgamma", "dbeta"
        The gradients to compute.
    out : (array or None, array or None, array or None), optional
        Receive dx (which may be `dy`), dgamma and dbeta.

    Returns
    -------
    dx, dgamma, dbeta : array or None
        None where not in `needs`. They do not depend on the number of threads.

    Raises
    ------
    ValueError
        A shape that does not fit, or an unknown name in `needs`.
    TypeError
        Arrays that are not of one float type.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mean, variance = batch_norm_forward(x, epsilon=0.0)
    >>> dx, dgamma, dbeta = batch_norm_backward(
    ...     np.array([[1.0], [0.0]]), x, None, mean, variance, epsilon=0.0
    ... )
    >>> dx.tolist(), dgamma.tolist(), dbeta.tolist()
    ([[0.0], [0.0]], [-1.0], [1.0])
    """
    dy = as_float_array(dy, "dy")
    x = same_dtype(x, "x", dy, "dy")
    check_shape(x, "x", dy.shape)
    shape = _outer_channels_inner(dy, axis)
    gamma = _channels(gamma, "gamma", dy, shape)
    for name, value in (("mean", mean), ("variance", variance)):
        if value is None:
            raise ValueError(f"Argument `{name}` must be an array. Received: {name}=None")
    mean = _channels(mean, "mean", dy, shape)
    variance = _channels(variance, "variance", dy, shape)
    names = (needs,) if isinstance(needs, str) else tuple(needs)
    for name in names:
        if name not in _NEEDS:
            raise ValueError(
                f"Argument `needs` must hold names out of {_NEEDS}. Received: needs={names}"
            )
    if out is not None and (not isinstance(out, tuple | list) or len(out) != 3):
        raise ValueError(
            "Argument `out` must be (dx, dgamma, dbeta), arrays or None. "
            f"Received: out={type(out).__name__}"
        )
    inputs = [array for array in (x, mean, variance, gamma) if array is not None]
    results: list[Array | None] = [None, None, None]
    for i, name in enumerate(_NEEDS):
        if name in names:
            wanted = dy.shape if i == 0 else (shape[1],)
            array = output(out[i] if out else None, f"out[{i}]", wanted, dy.dtype, *inputs)
            output(array, f"out[{i}]", wanted, dy.dtype, dy, may_alias=i == 0)
            results[i] = array
            inputs.append(array)
    dx, dgamma, dbeta = results
    if names:
        _kernels.batchnorm_backward(
            shape, epsilon, training, dy, x, mean, variance, gamma, dx, dgamma, dbeta
        )
    return dx, dgamma, dbeta


def _outer_channels_inner(x: Array, axis: int) -> tuple[int, int, int]:
    """The shape of `x` as the product of the axes before `axis`, its length, and the rest."""
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"Argument `axis` must be an axis of `x`, of shape {x.shape}. Received: axis={axis}"
        )
    axis %= x.ndim
    if min(x.shape[axis:]) < 1:
        raise ValueError(
            "Argument `x` may be empty along axes before the channels only. "
            f"Received: x.shape={x.shape}, axis={axis}"
        )
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


def _channels(value: Any, name: str, x: Array, shape: tuple[int, int, int]) -> Array | None:
    """One number per channel, in the dtype of `x`; None remains None."""
    if value is None:
        return None
    array = same_dtype(value, name, x, "x")
    check_shape(array, name, (shape[1],))
    return array


def _kind(value: Any) -> str:
    return "None" if value is None else "an array"
