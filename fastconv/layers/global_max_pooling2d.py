"""The largest value of each channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def _pixels(self, x: Array) -> tuple[Array, int]:
        """Return ``x`` with rows and columns as one axis, and that axis."""
        n = x.shape[0]
        if self.data_format == "channels_last":
            return x.reshape(n, -1, x.shape[3]), 1
        return x.reshape(n, x.shape[1], -1), 2

    def forward(self, x: Array, y: Array, state: State) -> None:
        pixels, axis = self._pixels(x)
        out = y.reshape(x.shape[0], -1)
        np.max(pixels, axis=axis, out=out)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is None:
            return
        pixels, axis = self._pixels(state.x)
        winners = np.expand_dims(np.argmax(pixels, axis=axis), axis)
        dx[...] = 0
        spread, _ = self._pixels(dx)
        np.put_along_axis(spread, winners, dy.reshape(winners.shape), axis)
