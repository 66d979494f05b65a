"""Optimizer updates: one pass over weights, gradients and slots, in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _kernels
from fastconv.functional._arrays import Array, check_shape, output, same_dtype

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def sgd_update(
    w: Array,
    g: Any,
    m: Array | None,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    scale: float = 1.0,
) -> None:
    """Gradient descent, with momentum if there is a slot for it.

    ``m = momentum * m - learning_rate * g; w += m``, with Nesterov's momentum
    ``w += momentum * m - learning_rate * g``, without `m` ``w -= learning_rate * g``: as
    ``keras.optimizers.SGD``.

    Parameters
    ----------
    w : array of float32 or float64
        Weights, any shape, changed in place.
    g : array
        Gradients, multiplied by `scale` first; not changed.
    m : array or None
        The slot of the momentum, changed in place.
    learning_rate, momentum : float
    nesterov : bool
    weight_decay : float
        Decoupled: ``w -= w * weight_decay * learning_rate`` comes first.
    scale : float
        For clipping by norm or averaging.

    Raises
    ------
    ValueError, TypeError
        Arrays that differ in shape or dtype, share memory, or cannot be changed in place.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> sgd_update(w, np.array([0.1, -0.2]), None, learning_rate=0.01)
    >>> w
    array([0.999, 2.002])
    """
    g = check_update(w, g, m=m)
    settings = (learning_rate, momentum, weight_decay * learning_rate, scale, nesterov)
    _kernels.sgd_update(g, np.array(settings, np.float64), w, m)


def rmsprop_update(
    w: Array,
    g: Any,
    v: Array,
    m: Array | None,
    mg: Array | None,
    *,
    learning_rate: float,
    rho: float,
    momentum: float,
    epsilon: float,
    centered: bool,
    weight_decay: float = 0.0,
    scale: float = 1.0,
) -> None:
    """RMSprop, as ``keras.optimizers.RMSprop``: epsilon stands inside the square root.

    ``v = rho * v + (1 - rho) * g**2; step = learning_rate * g / sqrt(v + epsilon); w -= step``;
    if `centered`, ``mg = rho * mg + (1 - rho) * g`` and ``v - mg**2`` stands for ``v`` in the root;
    with `momentum`, ``m = momentum * m + step; w -= m``.

    Parameters
    ----------
    w : array of float32 or float64
        Weights, any shape, changed in place.
    g : array
        Gradients, multiplied by `scale` first; not changed.
    v : array
        The slot of the mean square, changed in place.
    m, mg : array or None
        The slots of the momentum and of the mean gradient, changed in place.
    learning_rate, rho, momentum, epsilon : float
    centered : bool
        Needs `mg`.
    weight_decay : float
        Decoupled: ``w -= w * weight_decay * learning_rate`` comes first.
    scale : float

    Raises
    ------
    ValueError, TypeError
        A slot missing; arrays that differ in shape or dtype, share memory, or cannot be changed.

    Examples
    --------
    >>> import numpy as np
    >>> w, v = np.array([1.0, 2.0]), np.zeros(2)
    >>> options = dict(learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False)
    >>> rmsprop_update(w, np.array([0.1, -0.2]), v, None, None, **options)
    >>> w.round(6)
    array([0.996838, 2.003162])
    """
    if v is None:
        raise ValueError("Argument `v` must be an array. Received: v=None")
    if momentum and m is None:
        raise ValueError(
            f"Argument `m` is needed for momentum. Received: momentum={momentum}, m=None"
        )
    if centered and mg is None:
        raise ValueError("Argument `mg` is needed if `centered`. Received: centered=True, mg=None")
    m, mg = m if momentum else None, mg if centered else None
    g = check_update(w, g, v=v, m=m, mg=mg)
    settings = (learning_rate, rho, momentum, epsilon, weight_decay * learning_rate, scale)
    _kernels.rmsprop_update(g, np.array(settings, np.float64), w, v, m, mg)


def adam_update(
    w: Array,
    g: Any,
    m: Array,
    v: Array,
    vhat: Array | None,
    *,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    weight_decay: float = 0.0,
    scale: float = 1.0,
) -> None:
    """Adam (Kingma and Ba, 2015), as ``keras.optimizers.Adam``: epsilon stands outside the root.

    ``m += (g - m) * (1 - beta_1); v += (g**2 - v) * (1 - beta_2);
    w -= learning_rate * m / (sqrt(v) + epsilon)``; with `vhat` (AMSGrad), ``vhat = max(vhat, v)``
    takes the place of ``v`` in the last.

    Parameters
    ----------
    w : array of float32 or float64
        Weights, any shape, changed in place.
    g : array
        Gradients, multiplied by `scale` first; not changed.
    m, v : array
        The slots of the mean and of the mean square, changed in place.
    vhat : array or None
        The slot of AMSGrad, changed in place.
    learning_rate : float
        Corrected for bias: the rate times ``sqrt(1 - beta_2**t) / (1 - beta_1**t)`` at step t.
    beta_1, beta_2, epsilon : float
    weight_decay : float
        The product of the decay and of the rate before its correction: ``w -= w * weight_decay``
        comes first.
    scale : float

    Raises
    ------
    ValueError, TypeError
        A slot missing; arrays that differ in shape or dtype, share memory, or cannot be changed.

    Examples
    --------
    >>> import numpy as np
    >>> w, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    >>> rate = 0.001 * (1 - 0.999) ** 0.5 / (1 - 0.9)
    >>> options = dict(learning_rate=rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7)
    >>> adam_update(w, np.array([0.1, -0.2]), m, v, None, **options)
    >>> w.round(6)
    array([0.999, 2.001])
    """
    for name, slot in (("m", m), ("v", v)):
        if slot is None:
            raise ValueError(f"Argument `{name}` must be an array. Received: {name}=None")
    g = check_update(w, g, m=m, v=v, vhat=vhat)
    settings = (learning_rate, beta_1, beta_2, epsilon, weight_decay, scale)
    _kernels.adam_update(g, np.array(settings, np.float64), w, m, v, vhat)


def check_update(w: Any, g: Any, **slots: Array | None) -> Array:
    """Refuse arrays that cannot be updated together; `g` as an array."""
    if not isinstance(w, np.ndarray) or w.dtype not in _FLOATS:
        received = getattr(w, "dtype", type(w).__name__)
        raise TypeError(
            f"Argument `w` must be a NumPy array of float32 or float64. Received: w of {received}"
        )
    gradient = same_dtype(g, "g", w, "w")
    check_shape(gradient, "g", w.shape)
    output(w, "w", w.shape, w.dtype, gradient)
    taken = [w, gradient]
    for name, slot in slots.items():
        if slot is not None:
            taken.append(output(slot, name, w.shape, w.dtype, *taken))
    return gradient
