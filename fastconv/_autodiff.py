"""Reverse-mode differentiation of NumPy expressions, for functions and layers that users write.

A :class:`Tensor` wraps an array and records every NumPy function applied to it. ``backward`` walks
the record in reverse. fastconv's own layers and losses carry hand-written gradients and never come
here. The rules are the textbook ones (Griewank and Walther, "Evaluating derivatives", 2008).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from fastconv import _autodiff_rules, config
from fastconv._variable import Variable

__all__ = ["Tensor", "as_float", "plain"]

Array = NDArray[Any]
Pullback = Callable[[Array], Any]


class Tensor(NDArrayOperatorsMixin):
    """An array that remembers how it was computed.

    Parameters
    ----------
    value : array_like
    parents : sequence of (Tensor, function)
        Each function takes the gradient of this tensor to that of the parent.

    Attributes
    ----------
    value : ndarray
    grad : ndarray or None
        Filled by :meth:`backward`.

    Examples
    --------
    >>> x = Tensor(np.array([1.0, 2.0]))
    >>> np.sum(np.square(x) * 3.0).backward()
    >>> x.grad
    array([ 6., 12.])
    """

    __array_priority__ = 1000.0

    def __init__(self, value: Any, parents: Sequence[tuple["Tensor", Pullback]] = ()) -> None:
        self.value: Array = np.asarray(value)
        self.parents = tuple(parents)
        self.grad: Array | None = None

    @staticmethod
    def of(value: Any) -> "Tensor":
        """Return ``value`` as a tensor."""
        return value if isinstance(value, Tensor) else Tensor(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""
        return self.value.dtype

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return np.transpose(self)

    def numpy(self) -> Array:
        """Return the value."""
        return self.value

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Tensor({self.value!r})"

    def __array__(self, *args: Any, **kwargs: Any) -> Array:
        raise TypeError(
            "A tensor under differentiation cannot become a plain array, the gradient would be "
            "lost: use NumPy functions on it directly, or write the gradient by hand."
        )

    def __getitem__(self, key: Any) -> "Tensor":
        shape, dtype = self.value.shape, self.value.dtype

        def pull(dy: Array) -> Array:
            dx = np.zeros(shape, dtype)
            np.add.at(dx, key, dy)
            return dx

        return Tensor(self.value[key], [(self, pull)])

    def reshape(self, *shape: Any) -> "Tensor":
        """Return the same elements in another shape."""
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        before = self.value.shape
        return Tensor(self.value.reshape(wanted), [(self, lambda dy: dy.reshape(before))])

    def ravel(self) -> "Tensor":
        """Return the elements along one axis."""
        return self.reshape(-1)

    flatten = ravel

    def transpose(self, *axes: int) -> Any:
        """Return the axes in another order, reversed by default."""
        return np.transpose(self, axes or None)

    def astype(self, dtype: Any) -> "Tensor":
        """Return the elements as another type."""
        before = self.value.dtype
        return Tensor(self.value.astype(dtype), [(self, lambda dy: dy.astype(before))])

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the sum along ``axis``."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the mean along ``axis``."""
        return np.mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the maximum along ``axis``."""
        return np.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Return the minimum along ``axis``."""
        return np.min(self, axis=axis, keepdims=keepdims)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc in (np.add, np.maximum, np.minimum):
            names: dict[Any, Any] = {np.add: np.sum, np.maximum: np.max, np.minimum: np.min}
            return names[ufunc](*inputs, **kwargs)
        if method != "__call__" or any(isinstance(item, Variable) for item in inputs):
            return NotImplemented
        values = [plain(item) for item in inputs]
        result = ufunc(*values, **kwargs)
        if ufunc in _autodiff_rules.CONSTANT_UFUNCS:
            return result
        rule = _autodiff_rules.UFUNCS.get(ufunc)
        if rule is None:
            raise TypeError(
                f"numpy.{ufunc.__name__} has no automatic derivative here: write the layer's "
                "`backward` or the loss's `gradient` by hand."
            )
        pullbacks = rule(result, *values)
        parents = [
            (item, _unbroadcast(pull, item.value))
            for item, pull in zip(inputs, pullbacks, strict=True)
            if isinstance(item, Tensor)
        ]
        return Tensor(result, parents)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Variable) for kind in types):
            return NotImplemented
        if func in _autodiff_rules.CONSTANT_FUNCTIONS:
            return func(*(plain(a) for a in args), **{k: plain(v) for k, v in kwargs.items()})
        rule = _autodiff_rules.FUNCTIONS.get(func)
        if rule is None:
            raise TypeError(
                f"numpy.{func.__name__} has no automatic derivative here: write the layer's "
                "`backward` or the loss's `gradient` by hand."
            )
        result, parents = rule(*args, **kwargs)
        return Tensor(result, [p for p in parents if isinstance(p[0], Tensor)])

    def backward(self, dy: Array | float | None = None) -> None:
        """Add the gradient of this tensor, weighted by ``dy``, to every tensor it came from.

        Parameters
        ----------
        dy : array_like, optional
            Ones by default.
        """
        seed = np.ones_like(self.value) if dy is None else np.asarray(dy, self.value.dtype)
        self.grad = np.array(np.broadcast_to(seed, self.value.shape))
        for node in reversed(self._ordered()):
            if node.grad is None:
                continue
            for parent, pull in node.parents:
                step = np.asarray(pull(node.grad))
                parent.grad = step if parent.grad is None else parent.grad + step

    def _ordered(self) -> list["Tensor"]:
        """Return this tensor and all it depends on, parents first."""
        order: list[Tensor] = []
        seen: set[int] = set()
        stack: list[tuple[Tensor, bool]] = [(self, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                stack.extend((parent, False) for parent, _ in node.parents)
        return order


def _unbroadcast(pull: Pullback, value: Array) -> Pullback:
    """Return ``pull`` with the axes summed along which ``value`` was repeated."""

    def summed(dy: Array) -> Array:
        dx = np.asarray(pull(dy))
        extra = dx.ndim - value.ndim
        if extra > 0:
            dx = dx.sum(axis=tuple(range(extra)))
        axes = tuple(
            i for i, n in enumerate(value.shape) if n == 1 and i < dx.ndim and dx.shape[i] != 1
        )
        if axes:
            dx = dx.sum(axis=axes, keepdims=True)
        return np.asarray(np.broadcast_to(dx, value.shape), value.dtype)

    return summed


def plain(value: Any) -> Any:
    """Return the array inside a tensor; anything else as it is."""
    if isinstance(value, Tensor):
        return value.value
    if isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value):
        return type(value)(plain(item) for item in value)
    return value


def as_float(x: Any) -> Any:
    """Return ``x`` as a float array, or as the tensor it is; integers become floatx.

    Examples
    --------
    >>> as_float([1, 2]).dtype
    dtype('float32')
    """
    if isinstance(x, Tensor):
        return x
    array = x if type(x) is np.ndarray else np.asarray(x)
    dtype = array.dtype
    if dtype.kind != "f" or dtype.itemsize < 4 or isinstance(x, (list, tuple, float)):
        array = array.astype(config.floatx())
    return array
