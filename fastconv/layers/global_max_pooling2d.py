"""The largest value of each channel."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv._shapes import pool_index_type
from fastconv.layers._global_pooling import GlobalPoolingLayer
from fastconv.layers.layer import State

__all__ = ["GlobalMaxPooling2D"]

Array = NDArray[Any]


class GlobalMaxPooling2D(GlobalPoolingLayer):
    """Reduce each channel to its maximum: (batch, rows, cols, channels) to (batch, channels).

    Of equal maxima the first receives the gradient.

    Parameters
    ----------
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.
    keepdims : bool
        Keep rows and columns of length 1.

    Examples
    --------
    >>> import numpy as np
    >>> GlobalMaxPooling2D()(np.arange(8).reshape(1, 2, 2, 2))
    array([[6., 7.]], dtype=float32)
    """

    def prepare(self, state: State) -> None:
        if state.training:
            kind = pool_index_type(self._window(state.input_shape)[0])
            shape = self._pooled_shape(state.input_shape)
            state.extra["indices"] = state.allocate(shape, kind)

    def forward(self, x: Array, y: Array, state: State) -> None:
        out = y.reshape(self._pooled_shape(x.shape))
        window = self._window(x.shape)
        if state.training:
            indices = state.extra["indices"]
            functional.max_pool2d(x, *window, return_indices=True, out=(out, indices))
        else:
            functional.max_pool2d(x, *window, out=out)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            shape = state.input_shape
            functional.max_pool2d_backward(
                dy.reshape(self._pooled_shape(shape)),
                state.extra["indices"],
                shape,
                *self._window(shape),
                out=dx,
            )
