"""Weights: named arrays that may be views of a model's flat buffer."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import _naming, config

__all__ = [
    "Variable",
    "assign_all",
    "changed",
    "changes",
    "counts",
    "element_limit",
    "moved",
    "moves",
]

#: How often the memory of any variable was replaced, and how often its content may have changed:
#: read through :func:`moves` and :func:`changes` where speed is not all.
counts = [0, 0]


def moves() -> int:
    """Return a number that changes whenever the value of any variable moves to other memory."""
    return counts[0]


def changes() -> int:
    """Return a number that changes whenever the value of any variable may have changed."""
    return counts[1]


def moved() -> None:
    """Note that recorded passes no longer hold."""
    counts[0] += 1
    changed()


def changed() -> None:
    """Note that values were changed in place, through :attr:`Variable.memory` or a flat buffer."""
    counts[1] += 1


#: Elements that may still be created, in a list of one; None for no limit.
_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


@contextmanager
def element_limit(count: int) -> Iterator[None]:
    """While inside, refuse to create variables of more than ``count`` elements together."""
    token = _left.set([count])
    try:
        yield
    finally:
        _left.reset(token)


def _claim(shape: tuple[int, ...]) -> None:
    left = _left.get()
    if left is not None:
        left[0] -= math.prod(shape)
        if left[0] < 0:
            raise ValueError(
                f"The file cannot hold as many weights as it claims. Received: shape={shape}"
            )


class Variable(NDArrayOperatorsMixin):
    """A named array of fixed shape that training may change.

    It behaves as an array in NumPy expressions.

    Parameters
    ----------
    initializer : array_like or callable
        The first value, or a function of ``(shape, dtype)`` that makes it.
    shape : tuple of int, optional
        Needed with a callable.
    dtype : str, optional
        Defaults to floatx.
    trainable : bool
    name : str, optional
    regularizer, constraint : callable, optional
        Used by training only.

    Attributes
    ----------
    memory : ndarray
        Where the value lies: a view of the model's flat buffer once the model is built. Whoever
        writes to it calls :func:`changed`.
    grad : ndarray or None
        Where a backward pass puts the gradient.

    Examples
    --------
    >>> w = Variable([1.0, 2.0], name="w")
    >>> w.assign_add([1.0, 1.0])
    >>> w.numpy()
    array([2., 3.], dtype=float32)
    """

    __array_priority__ = 100.0

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        *,
        regularizer: Callable[..., Any] | None = None,
        constraint: Callable[..., Any] | None = None,
    ) -> None:
        dtype = dtype if dtype is not None else config.floatx()
        if callable(initializer):
            if shape is None:
                raise ValueError(
                    "`shape` is needed when the initializer is a function. Received: shape=None"
                )
            _claim(tuple(shape))
            value = np.asarray(initializer(tuple(shape), dtype=dtype), dtype=dtype)
        else:
            value = np.array(initializer, dtype=dtype)
        if shape is not None and value.shape != tuple(shape):
            raise ValueError(
                f"The initializer must make an array of shape {tuple(shape)}. "
                f"Received: shape={value.shape}"
            )
        self._hold(np.ascontiguousarray(value).reshape(value.shape))
        self.grad: NDArray[Any] | None = None
        self.trainable = trainable
        self.name = name if name is not None else _naming.unique_name("variable")
        self.path = self.name
        self.regularizer = regularizer
        self.constraint = constraint
        #: Where the flat buffers hold this variable: (value buffer, gradient buffer, offset).
        self.slot: tuple[NDArray[Any], NDArray[Any], int] | None = None
        #: Takes the place of the value in NumPy expressions while a gradient is recorded.
        self.tensor: Any = None

    def _hold(self, memory: NDArray[Any]) -> None:
        self.memory = memory
        self._value = memory.view()
        self._value.flags.writeable = False

    @property
    def value(self) -> NDArray[Any]:
        """The current value, read-only: :meth:`assign` changes it."""
        return self._value

    @value.setter
    def value(self, value: NDArray[Any]) -> None:
        self._hold(np.require(value, requirements=["C", "W"]).reshape(np.shape(value)))
        moved()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.value.shape

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return str(self.value.dtype.name)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    def numpy(self) -> NDArray[Any]:
        """Return a copy of the value."""
        return self.value.copy()

    def assign(self, value: ArrayLike) -> None:
        """Overwrite the value.

        Raises
        ------
        ValueError
            If the shape differs.
        """
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(
                "The shape of the target variable and the shape of the target value in "
                f"`variable.assign(value)` must match. variable.shape={self.shape}, "
                f"Received: value.shape={array.shape}. Target variable: {self.name}"
            )
        self.memory[...] = array
        changed()

    def assign_add(self, value: ArrayLike) -> None:
        """Add to the value."""
        self.assign(self.value + np.asarray(value))

    def assign_sub(self, value: ArrayLike) -> None:
        """Subtract from the value."""
        self.assign(self.value - np.asarray(value))

    def bind(self, values: NDArray[Any], grads: NDArray[Any], offset: int) -> None:
        """Move the value into flat buffers, from element ``offset`` on."""
        stop = offset + self.size
        view = values[offset:stop].reshape(self.shape)
        view[...] = self.value
        self.grad = grads[offset:stop].reshape(self.shape)
        self.value = view
        self.slot = (values, grads, offset)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy:
            return np.array(self.value, dtype=dtype)
        return np.asarray(self.value, dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*_current(inputs), **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return func(*_current(args), **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return _current((self,))[0][key]

    def __len__(self) -> int:
        return len(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return (
            f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, "
            f"value={self.value}>"
        )


def _current(items: Any) -> list[Any]:
    """Return ``items`` with variables, also inside lists, replaced by what they stand for."""
    current = []
    for item in items:
        if isinstance(item, Variable):
            current.append(item.value if item.tensor is None else item.tensor)
        elif isinstance(item, list | tuple) and any(isinstance(i, Variable) for i in item):
            current.append(type(item)(_current(item)))
        else:
            current.append(item)
    return current


def assign_all(variables: list[Variable], weights: list[Any], owner: str) -> None:
    """Overwrite ``variables`` with ``weights``, both in the same order; all or nothing.

    Raises
    ------
    ValueError
        If the numbers or any shapes differ.
    """
    if len(variables) != len(weights):
        raise ValueError(
            f"You called `set_weights(weights)` on {owner} with a weight list of length "
            f"{len(weights)}, but it was expecting {len(variables)} weights."
        )
    arrays = [np.asarray(weight) for weight in weights]
    for variable, array in zip(variables, arrays, strict=True):
        if variable.shape != array.shape:
            raise ValueError(
                f"Layer {owner} weight shape {variable.shape} is not compatible with provided "
                f"weight shape {array.shape}. Received: {variable.path}"
            )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
