"""The base of all initializers, and constant ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _objects, config

__all__ = ["Constant", "Identity", "Initializer", "Ones", "Zeros"]

Shape = Sequence[int]
Array = NDArray[Any]


class Initializer(_objects.Serializable):
    """Base of all initializers.

    Subclasses implement ``__call__(shape, dtype=None)`` and, to be saved, ``get_config``.

    Examples
    --------
    >>> class Half(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype)
    >>> Half()((2,), "float32")
    array([0.5, 0.5], dtype=float32)
    """

    keras_module = "keras.initializers"

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        """Return an array of ``shape``; ``dtype`` defaults to floatx."""
        raise TypeError(f"{type(self).__name__} must implement `__call__(shape, dtype=None)`.")

    def clone(self) -> "Initializer":
        """Return a new object of the same configuration."""
        copy: Initializer = type(self).from_config(self.get_config())
        return copy


def dtype_or_default(dtype: str | None) -> str:
    """Return ``dtype``, or floatx for None."""
    return dtype if dtype is not None else config.floatx()


class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.zeros(shape, dtype_or_default(dtype))


class Ones(Initializer):
    """All ones.

    Examples
    --------
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.ones(shape, dtype_or_default(dtype))


class Constant(Initializer):
    """One value everywhere, or an array that broadcasts to the shape.

    Parameters
    ----------
    value : float or array_like

    Examples
    --------
    >>> Constant(3.0)((2,))
    array([3., 3.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.array(
            np.broadcast_to(np.asarray(self.value, dtype_or_default(dtype)), tuple(shape))
        )

    def get_config(self) -> dict[str, Any]:
        return {"value": _objects.serialize(self.value)}


class Identity(Initializer):
    """``gain`` times the identity matrix; the shape must have two axes.

    Examples
    --------
    >>> Identity(2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={tuple(shape)} of rank {len(shape)}."
            )
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), dtype_or_default(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
