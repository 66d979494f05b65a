"""Projections of weights after each update (https://keras.io/api/layers/constraints/)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _objects, config

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

Array = NDArray[Any]
Axis = int | tuple[int, ...] | list[int]


class Constraint(_objects.Serializable):
    """Base of all constraints.

    Subclasses implement ``__call__(w)``, which returns the projected weights.

    Examples
    --------
    >>> class Rounded(Constraint):
    ...     def __call__(self, w):
    ...         return np.round(w)
    >>> Rounded()(np.array([0.2, 0.9]))
    array([0., 1.])
    """

    keras_module = "keras.constraints"

    def __call__(self, w: ArrayLike) -> Any:
        """Return the weights nearest to ``w`` that satisfy the constraint."""
        return np.asarray(w)


def _norm(w: Array, axis: Axis) -> Array:
    axes = tuple(axis) if isinstance(axis, list | tuple) else axis
    return np.asarray(np.sqrt(np.sum(np.square(w), axis=axes, keepdims=True)))


class MaxNorm(Constraint):
    """Norm along ``axis`` at most ``max_value``.

    Parameters
    ----------
    max_value : float
    axis : int or tuple of int
        0 for the input weights of each Dense unit; (0, 1, 2) for each filter of a Conv2D.

    Examples
    --------
    >>> MaxNorm(1.0)(np.array([[3.0], [4.0]])).round(6)
    array([[0.6],
           [0.8]])
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Array:
        array = np.asarray(w)
        norms = _norm(array, self.axis)
        desired = np.clip(norms, 0, self.max_value)
        scale = desired / (norms + config.epsilon())
        return np.asarray(array * scale, array.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """No negative weights.

    Examples
    --------
    >>> NonNeg()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __call__(self, w: ArrayLike) -> Array:
        array = np.asarray(w)
        return np.asarray(np.maximum(array, 0), array.dtype)


class UnitNorm(Constraint):
    """Norm along ``axis`` equal to one.

    Examples
    --------
    >>> UnitNorm()(np.array([[3.0], [4.0]])).round(6)
    array([[0.6],
           [0.8]])
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Array:
        array = np.asarray(w)
        return np.asarray(array / (config.epsilon() + _norm(array, self.axis)), array.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Norm along ``axis`` between two bounds, moved there by the fraction ``rate``.

    Examples
    --------
    >>> MinMaxNorm(max_value=1.0)(np.array([[3.0], [4.0]])).round(6)
    array([[0.6],
           [0.8]])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: ArrayLike) -> Array:
        array = np.asarray(w)
        norms = _norm(array, self.axis)
        desired = self.rate * np.clip(norms, self.min_value, self.max_value)
        desired = desired + (1 - self.rate) * norms
        return np.asarray(array * (desired / (norms + config.epsilon())), array.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


max_norm = MaxNorm
non_neg = NonNeg
unit_norm = UnitNorm
min_max_norm = MinMaxNorm

_NAMES: dict[str, Any] = {
    "max_norm": MaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
}


def get(identifier: Any) -> Any:
    """Return the constraint for a name, a dictionary, a class, a function, an object or None.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> type(get("max_norm")).__name__
    'MaxNorm'
    """
    return _objects.get(identifier, "keras.constraints", _NAMES)


def serialize(constraint: Any) -> Any:
    """Return ``constraint`` as a dictionary."""
    return _objects.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the constraint that :func:`serialize` wrote down."""
    return _objects.deserialize(config, "keras.constraints", custom_objects, _NAMES)
