"""What a layer keeps for a plan, and the shapes it is made for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import config

Array = NDArray[Any]
Shape = tuple[int | None, ...]


class State:
    """What one layer keeps for one plan: the arrays of the current pass and its own scratch.

    Attributes
    ----------
    training : bool
    input_shape, output_shape : tuple of int
        With the batch axis.
    dtype : str
    x, y : ndarray
        Input and output of the last forward pass.
    needs : tuple of str
        Which of 'dx', 'dw', 'db' a backward pass must compute.
    activation_absorbed : bool
        The next layer's backward pass includes the derivative of this layer's activation.
    as_logits : bool
        Leave out the final softmax or sigmoid: the loss computes it together with its gradient.
    """

    def __init__(
        self,
        training: bool,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        dtype: str,
        allocate: Callable[[tuple[int, ...], Any], Array] = np.empty,
        as_logits: bool = False,
    ) -> None:
        self.training = training
        self.input_shape = input_shape
        self.output_shape = output_shape
        self.dtype = dtype
        self.allocate = allocate
        self.as_logits = as_logits
        self.activation_absorbed = False
        self.needs: tuple[str, ...] = ("dx", "dw", "db")
        self.x: Array = np.empty(0)
        self.y: Array = np.empty(0)
        #: Anything else a layer wants to find again: scratch arrays, counters.
        self.extra: dict[str, Any] = {}


def known_shape(shape: Shape) -> tuple[int, ...]:
    """Return ``shape``, whose sizes must all be known."""
    if any(n is None for n in shape):
        raise ValueError(f"All sizes must be known to run a layer. Received: shape={shape}")
    return tuple(n for n in shape if n is not None)


def dtype_name(dtype: Any) -> str:
    """Return 'float32' or 'float64' for a name, a NumPy type or Keras's dtype policy."""
    if dtype is None:
        return config.floatx()
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    if isinstance(dtype, str) and dtype in ("float32", "float64"):
        return dtype
    try:
        name = str(np.dtype(dtype).name)
    except TypeError:
        name = str(dtype)
    if name not in ("float32", "float64"):
        raise ValueError(f"`dtype` must be 'float32' or 'float64'. Received: dtype={dtype!r}")
    return name
