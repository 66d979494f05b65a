"""The largest value of each window."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv._shapes import pool_index_type
from fastconv.layers._pooling import PoolingLayer
from fastconv.layers.layer import State

__all__ = ["MaxPooling2D"]

Array = NDArray[Any]


class MaxPooling2D(PoolingLayer):
    """Keep the largest value of each window (https://keras.io/api/layers/pooling_layers/).

    The input has shape (batch, rows, cols, channels), or (batch, channels, rows, cols) with
    ``data_format='channels_first'``; the output has fewer rows and columns. Padding never wins; of
    equal values the first receives the gradient; NaN anywhere in a window makes it NaN.

    Parameters
    ----------
    pool_size : int or (int, int)
    strides : int or (int, int), optional
        Defaults to ``pool_size``.
    padding : {'valid', 'same'}
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.
    name : str, optional

    Raises
    ------
    ValueError
        If a size is not positive, or the window is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> MaxPooling2D(pool_size=(2, 2))(np.arange(16).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """

    def prepare(self, state: State) -> None:
        if state.training:
            kind = pool_index_type(self.pool_size)
            state.extra["indices"] = state.allocate(state.output_shape, kind)

    def absorbs(self, activation: str, state: State) -> bool:
        state.extra["after_relu"] = activation == "relu"
        return activation == "relu"

    def is_recordable(self, state: State) -> bool:
        return True

    def forward(self, x: Array, y: Array, state: State) -> None:
        if state.training:
            out = (y, state.extra["indices"])
            functional.max_pool2d(x, *self._window, return_indices=True, out=out)
        else:
            functional.max_pool2d(x, *self._window, out=y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            if state.extra.get("after_relu"):
                # Only the winners receive a gradient, and their values are the output.
                functional.activate_backward(dy, state.y, "relu", out=dy)
            functional.max_pool2d_backward(
                dy, state.extra["indices"], state.input_shape, *self._window, out=dx
            )
