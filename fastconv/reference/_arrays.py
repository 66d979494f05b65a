"""What the functions of `fastconv.reference` share: dtypes, bias, activation."""

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]
Gradients: TypeAlias = tuple[Array | None, Array | None, Array | None]

ACTIVATIONS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda y: y,
    "linear": lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "sigmoid": lambda y: 0.5 * np.tanh(0.5 * y) + 0.5,
    "tanh": np.tanh,
}


def floating(value: ArrayLike, name: str) -> Array:
    """Return ``value`` as an array of real floating type; anything else is refused."""
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"`{name}` must have a floating dtype: cast it first. "
            f"Received: {name}.dtype={array.dtype}"
        )
    return array


def floating_pair(x: ArrayLike, kernel: ArrayLike) -> tuple[Array, Array]:
    """Return both as arrays in the floating dtype of ``x``."""
    inputs = floating(x, "x")
    return inputs, floating(kernel, "kernel").astype(inputs.dtype, copy=False)


def add_bias_and_activate(y: Array, bias: ArrayLike | None, activation: str | None) -> Array:
    """Return ``activation(y + bias)``."""
    if bias is not None:
        if np.shape(bias) != y.shape[-1:]:
            raise ValueError(
                f"`bias` must have shape {y.shape[-1:]}. Received: bias.shape={np.shape(bias)}"
            )
        y = y + np.asarray(bias, y.dtype)
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"`activation` must be one of {list(ACTIVATIONS)}. Received: activation={activation!r}"
        )
    return ACTIVATIONS[activation](y)


def check_needs(needs: Collection[str]) -> None:
    """Refuse names other than those of the three gradients."""
    names = {needs} if isinstance(needs, str) else set(needs)
    if not names <= {"dx", "dw", "db"}:
        raise ValueError(f"`needs` must hold only 'dx', 'dw', 'db'. Received: needs={needs!r}")
