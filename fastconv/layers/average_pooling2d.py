"""The mean of each window."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv.layers._pooling import PoolingLayer
from fastconv.layers.layer import State

__all__ = ["AveragePooling2D"]

Array = NDArray[Any]


class AveragePooling2D(PoolingLayer):
    """Keep the mean of each window (https://keras.io/api/layers/pooling_layers/).

    Shapes and arguments are those of :class:`MaxPooling2D`. Padding does not count in the mean.

    Examples
    --------
    >>> import numpy as np
    >>> AveragePooling2D(2, padding="same")(np.arange(9).reshape(1, 3, 3, 1))[0, :, :, 0]
    array([[2. , 3.5],
           [6.5, 8. ]], dtype=float32)
    """

    def is_recordable(self, state: State) -> bool:
        return True

    def forward(self, x: Array, y: Array, state: State) -> None:
        functional.avg_pool2d(x, *self._window, out=y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            functional.avg_pool2d_backward(dy, state.input_shape, *self._window, out=dx)
