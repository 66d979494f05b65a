"""Derivatives of NumPy functions, for :mod:`fastconv._autodiff`.

A rule of a ufunc takes the result and the inputs and returns one pullback per input. A rule of a
function takes its arguments and returns the result and (input, pullback) pairs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CONSTANT_UFUNCS = {
    np.sign,
    np.greater,
    np.greater_equal,
    np.less,
    np.less_equal,
    np.equal,
    np.not_equal,
    np.isnan,
    np.isfinite,
    np.isinf,
    np.floor,
    np.ceil,
    np.rint,
    np.logical_and,
    np.logical_or,
    np.logical_not,
}

CONSTANT_FUNCTIONS = {
    np.argmax,
    np.argmin,
    np.argsort,
    np.zeros_like,
    np.ones_like,
    np.full_like,
    np.shape,
    np.ndim,
    np.size,
    np.round,
    np.array_equal,
    np.allclose,
}


def _power_base(y: Array, a: Array, b: Array) -> Callable[[Array], Array]:
    return lambda dy: dy * b * np.power(a, np.where(b == 0, 1, b - 1))


def _power_exponent(y: Array, a: Array, b: Array) -> Callable[[Array], Array]:
    return lambda dy: dy * y * np.log(np.where(np.asarray(a) > 0, a, 1))


def _matmul(y: Array, a: Array, b: Array) -> tuple[Callable[[Array], Array], ...]:
    def pull_a(dy: Array) -> Array:
        if np.ndim(b) == 1:
            return np.multiply.outer(dy, b) if np.ndim(a) > 1 else dy * b
        if np.ndim(a) == 1:
            return np.asarray(np.matmul(b, dy[..., None])[..., 0])
        return np.asarray(np.matmul(dy, np.swapaxes(b, -1, -2)))

    def pull_b(dy: Array) -> Array:
        if np.ndim(a) == 1:
            return np.multiply.outer(a, dy) if np.ndim(b) > 1 else dy * a
        if np.ndim(b) == 1:
            return np.asarray(np.tensordot(dy, a, axes=dy.ndim))
        return np.asarray(np.matmul(np.swapaxes(a, -1, -2), dy))

    return pull_a, pull_b


UFUNCS: dict[Any, Callable[..., tuple[Callable[[Array], Any], ...]]] = {
    np.add: lambda y, a, b: (lambda dy: dy, lambda dy: dy),
    np.subtract: lambda y, a, b: (lambda dy: dy, lambda dy: -dy),
    np.multiply: lambda y, a, b: (lambda dy: dy * b, lambda dy: dy * a),
    np.true_divide: lambda y, a, b: (lambda dy: dy / b, lambda dy: -dy * y / b),
    np.power: lambda y, a, b: (_power_base(y, a, b), _power_exponent(y, a, b)),
    np.maximum: lambda y, a, b: (
        lambda dy: dy * np.where(a > b, 1, np.where(a == b, 0.5, 0)),
        lambda dy: dy * np.where(b > a, 1, np.where(a == b, 0.5, 0)),
    ),
    np.minimum: lambda y, a, b: (
        lambda dy: dy * np.where(a < b, 1, np.where(a == b, 0.5, 0)),
        lambda dy: dy * np.where(b < a, 1, np.where(a == b, 0.5, 0)),
    ),
    np.logaddexp: lambda y, a, b: (
        lambda dy: dy * np.exp(a - y),
        lambda dy: dy * np.exp(b - y),
    ),
    np.matmul: _matmul,
    np.negative: lambda y, x: (lambda dy: -dy,),
    np.positive: lambda y, x: (lambda dy: dy,),
    np.exp: lambda y, x: (lambda dy: dy * y,),
    np.exp2: lambda y, x: (lambda dy: dy * y * np.log(2.0),),
    np.expm1: lambda y, x: (lambda dy: dy * (y + 1),),
    np.log: lambda y, x: (lambda dy: dy / x,),
    np.log2: lambda y, x: (lambda dy: dy / (x * np.log(2.0)),),
    np.log10: lambda y, x: (lambda dy: dy / (x * np.log(10.0)),),
    np.log1p: lambda y, x: (lambda dy: dy / (1 + x),),
    np.sqrt: lambda y, x: (lambda dy: dy * 0.5 / y,),
    np.square: lambda y, x: (lambda dy: dy * 2 * x,),
    np.reciprocal: lambda y, x: (lambda dy: -dy * y * y,),
    np.absolute: lambda y, x: (lambda dy: dy * np.sign(x),),
    np.fabs: lambda y, x: (lambda dy: dy * np.sign(x),),
    np.tanh: lambda y, x: (lambda dy: dy * (1 - y * y),),
    np.sin: lambda y, x: (lambda dy: dy * np.cos(x),),
    np.cos: lambda y, x: (lambda dy: -dy * np.sin(x),),
    np.arctan: lambda y, x: (lambda dy: dy / (1 + x * x),),
    np.sinh: lambda y, x: (lambda dy: dy * np.cosh(x),),
    np.cosh: lambda y, x: (lambda dy: dy * np.sinh(x),),
}


def _value(x: Any) -> Any:
    return getattr(x, "value", x)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(a % ndim for a in axes)


def _spread(dy: Array, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Array:
    """Return ``dy``, the gradient of a reduction, repeated along the reduced axes."""
    if not keepdims:
        dy = np.expand_dims(dy, _axes(axis, len(shape)))
    return np.broadcast_to(dy, shape)


def _sum(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **_: Any
) -> Any:
    value = _value(x)
    y = np.sum(value, axis=axis, keepdims=keepdims)
    return y, [(x, lambda dy: _spread(dy, value.shape, axis, keepdims))]


def _mean(
    x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **_: Any
) -> Any:
    value = _value(x)
    y = np.mean(value, axis=axis, keepdims=keepdims)
    share = value.dtype.type(max(y.size, 1) / max(value.size, 1))
    return y, [(x, lambda dy: _spread(dy, value.shape, axis, keepdims) * share)]


def _var(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True)
    y = np.mean(np.square(centred), axis=axis, keepdims=keepdims)
    return y.value, [(y, lambda dy: dy)]


def _std(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
    y = np.sqrt(np.var(x, axis=axis, keepdims=keepdims))
    return y.value, [(y, lambda dy: dy)]


def _extreme(function: Any) -> Any:
    def rule(x: Any, axis: Any = None, out: Any = None, keepdims: bool = False, **_: Any) -> Any:
        value = _value(x)
        kept = function(value, axis=axis, keepdims=True)
        hits = value == kept
        share = hits / hits.sum(axis=axis, keepdims=True)
        y = kept if keepdims else function(value, axis=axis)
        return y, [
            (x, lambda dy: (_spread(dy, value.shape, axis, keepdims) * share).astype(value.dtype))
        ]

    return rule


def _reshape(x: Any, shape: Any = None, **_: Any) -> Any:
    value = _value(x)
    return value.reshape(shape), [(x, lambda dy: dy.reshape(value.shape))]


def _ravel(x: Any, **_: Any) -> Any:
    return _reshape(x, -1)


def _transpose(x: Any, axes: Any = None) -> Any:
    back = None if axes is None else np.argsort(axes)
    return np.transpose(_value(x), axes), [(x, lambda dy: np.transpose(dy, back))]


def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    return np.swapaxes(_value(x), axis1, axis2), [(x, lambda dy: np.swapaxes(dy, axis1, axis2))]


def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    y = np.moveaxis(_value(x), source, destination)
    return y, [(x, lambda dy: np.moveaxis(dy, destination, source))]


def _expand_dims(x: Any, axis: Any) -> Any:
    value = _value(x)
    return np.expand_dims(value, axis), [(x, lambda dy: dy.reshape(value.shape))]


def _squeeze(x: Any, axis: Any = None) -> Any:
    value = _value(x)
    return np.squeeze(value, axis), [(x, lambda dy: dy.reshape(value.shape))]


def _broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    value = _value(x)

    def pull(dy: Array) -> Array:
        extra = dy.ndim - value.ndim
        dx = dy.sum(axis=tuple(range(extra)))
        axes = tuple(i for i, n in enumerate(value.shape) if n == 1)
        return np.asarray(dx.sum(axis=axes, keepdims=True))

    return np.broadcast_to(value, shape), [(x, pull)]


def _where(condition: Any, a: Any, b: Any) -> Any:
    mask = _value(condition)
    y = np.where(mask, _value(a), _value(b))
    total = np.zeros_like(y)
    picked = [(a + total), (b + total)] if y.size else [a, b]
    pairs = []
    for side, keep in zip(picked, (mask, ~np.asarray(mask, bool)), strict=True):
        pairs.append((side, lambda dy, keep=keep: np.where(keep, dy, 0).astype(dy.dtype)))
    return y, pairs


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **_: Any) -> Any:
    value = _value(x)
    y = np.clip(value, _value(a_min), _value(a_max))
    return y, [(x, lambda dy: dy * (y == value))]


def _concatenate(arrays: Any, axis: int = 0, **_: Any) -> Any:
    values = [_value(a) for a in arrays]
    edges = np.cumsum([v.shape[axis] for v in values])[:-1]
    y = np.concatenate(values, axis)
    return y, [(a, lambda dy, i=i: np.split(dy, edges, axis)[i]) for i, a in enumerate(arrays)]


def _stack(arrays: Any, axis: int = 0, **_: Any) -> Any:
    y = np.stack([_value(a) for a in arrays], axis)
    return y, [(a, lambda dy, i=i: np.take(dy, i, axis)) for i, a in enumerate(arrays)]


def _pad(x: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    value = _value(x)
    if mode != "constant":
        raise TypeError(f"numpy.pad differentiates with mode='constant' only. Received: {mode!r}")
    widths = np.broadcast_to(np.asarray(pad_width), (value.ndim, 2))
    cut = tuple(slice(int(b), int(b) + n) for (b, _), n in zip(widths, value.shape, strict=True))
    return np.pad(value, pad_width, **kwargs), [(x, lambda dy: dy[cut])]


def _dot(a: Any, b: Any) -> Any:
    y = a @ b
    return y.value, [(y, lambda dy: dy)]


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.mean: _mean,
    np.var: _var,
    np.std: _std,
    np.max: _extreme(np.max),
    np.amax: _extreme(np.max),
    np.min: _extreme(np.min),
    np.amin: _extreme(np.min),
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.broadcast_to: _broadcast_to,
    np.where: _where,
    np.clip: _clip,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.pad: _pad,
    np.dot: _dot,
}
