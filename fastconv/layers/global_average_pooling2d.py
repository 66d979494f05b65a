"""The mean of each channel."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv.layers._global_pooling import GlobalPoolingLayer
from fastconv.layers.layer import State

__all__ = ["GlobalAveragePooling2D"]

Array = NDArray[Any]


class GlobalAveragePooling2D(GlobalPoolingLayer):
    """Reduce each channel to its mean: (batch, rows, cols, channels) to (batch, channels).

    Parameters
    ----------
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.
    keepdims : bool
        Keep rows and columns of length 1.

    Examples
    --------
    >>> import numpy as np
    >>> GlobalAveragePooling2D()(np.arange(8).reshape(1, 2, 2, 2))
    array([[3., 4.]], dtype=float32)
    """

    def forward(self, x: Array, y: Array, state: State) -> None:
        out = y.reshape(self._pooled_shape(x.shape))
        functional.avg_pool2d(x, *self._window(x.shape), out=out)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            shape = state.input_shape
            functional.avg_pool2d_backward(
                dy.reshape(self._pooled_shape(shape)), shape, *self._window(shape), out=dx
            )
