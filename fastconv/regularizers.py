"""Penalties on weights or outputs, added to the loss (https://keras.io/api/layers/regularizers/)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _objects

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "serialize",
]

Array = NDArray[Any]


class Regularizer(_objects.Serializable):
    """Base of all regularizers.

    Subclasses implement ``__call__(x)``, which returns the penalty, and may implement
    ``add_gradient``; without it, the derivative of ``__call__`` is found automatically.

    Examples
    --------
    >>> class Sum(Regularizer):
    ...     def __call__(self, x):
    ...         return 0.1 * np.sum(x)
    >>> float(Sum()(np.ones(3)))
    0.30000000000000004
    """

    keras_module = "keras.regularizers"

    def __call__(self, x: ArrayLike) -> Any:
        """Return the penalty for ``x``."""
        raise TypeError(f"{type(self).__name__} must implement `__call__(x)`.")

    def add_gradient(self, x: Array, grad: Array) -> None:
        """Add the derivative of the penalty to ``grad``, an array of the shape of ``x``."""
        _differentiate(self, x, grad)


def apply_gradient(regularizer: Callable[[Any], Any], x: Array, grad: Array) -> None:
    """Add the derivative of a regularizer, or of any penalty function, to ``grad``."""
    if isinstance(regularizer, Regularizer):
        regularizer.add_gradient(x, grad)
    else:
        _differentiate(regularizer, x, grad)


def _differentiate(regularizer: Callable[[Any], Any], x: Array, grad: Array) -> None:
    """Add the derivative of a penalty function, found by differentiation of it."""
    from fastconv._autodiff import Tensor

    tensor = Tensor(x)
    penalty = Tensor.of(regularizer(tensor))
    penalty.backward()
    if tensor.grad is not None:
        grad += tensor.grad


def _validated(value: Any, name: str) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(
            f"Invalid value for argument {name}: expected a non-negative float. "
            f"Received: {name}={value!r}"
        )
    if not math.isfinite(value) or value < 0:
        raise ValueError(
            f"Invalid value for argument {name}: expected a non-negative float. "
            f"Received: {name}={value!r}"
        )
    return float(value)


class L1L2(Regularizer):
    """Penalty ``l1 * sum(abs(x)) + l2 * sum(x**2)``.

    Parameters
    ----------
    l1, l2 : float
        Not negative.

    Raises
    ------
    ValueError
        If a factor is negative or not a number.

    Examples
    --------
    >>> float(L1L2(l1=0.5, l2=0.25)(np.array([1.0, -2.0])))
    2.75
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _validated(l1, "l1")
        self.l2 = _validated(l2, "l2")

    def __call__(self, x: ArrayLike) -> Any:
        array = np.asarray(x)
        penalty = array.dtype.type(0)
        if self.l1:
            penalty = penalty + array.dtype.type(self.l1) * np.sum(np.abs(array))
        if self.l2:
            flat = array.reshape(-1)
            penalty = penalty + array.dtype.type(self.l2) * np.sum(np.square(flat))
        return penalty

    def add_gradient(self, x: Array, grad: Array) -> None:
        if self.l1:
            grad += x.dtype.type(self.l1) * np.sign(x)
        if self.l2:
            grad += x.dtype.type(2 * self.l2) * x

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """Penalty ``l1 * sum(abs(x))``.

    Examples
    --------
    >>> float(L1(0.5)(np.array([1.0, -2.0])))
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """Penalty ``l2 * sum(x**2)``.

    Examples
    --------
    >>> float(L2(0.5)(np.array([1.0, -2.0])))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


l1 = L1
l2 = L2
l1_l2 = L1L2

_NAMES: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
}


def get(identifier: Any) -> Any:
    """Return the regularizer for a name, a dictionary, a class, a function, an object or None.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> get("l2").l2
    0.01
    """
    return _objects.get(identifier, "keras.regularizers", _NAMES)


def serialize(regularizer: Any) -> Any:
    """Return ``regularizer`` as a dictionary."""
    return _objects.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the regularizer that :func:`serialize` wrote down."""
    return _objects.deserialize(config, "keras.regularizers", custom_objects, _NAMES)
