"""Multiplication and addition of constants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.layers.layer import Layer, Shape, State

__all__ = ["Rescaling"]

Array = NDArray[Any]


class Rescaling(Layer):
    """Return ``x * scale + offset`` (https://keras.io/api/layers/preprocessing_layers/).

    Parameters
    ----------
    scale, offset : float or sequence of float
        Numbers, or one per channel.

    Examples
    --------
    >>> import numpy as np
    >>> Rescaling(1 / 255)(np.array([[0, 255]], "uint8"))
    array([[0., 1.]], dtype=float32)
    """

    elementwise = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self._scale = np.asarray(scale, self.dtype)
        self._offset = np.asarray(offset, self.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        return tuple(input_shape)

    def input_scale(self) -> float | None:
        return float(self._scale) if self._scale.ndim == 0 and not self._offset.any() else None

    def forward(self, x: Array, y: Array, state: State) -> None:
        np.multiply(x, self._scale, out=y)
        if self._offset.any():
            np.add(y, self._offset, out=y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            np.multiply(dy, self._scale, out=dx)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": np.asarray(self.scale).tolist(),
            "offset": np.asarray(self.offset).tolist(),
        }
