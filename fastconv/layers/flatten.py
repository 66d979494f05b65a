"""All axes but the batch as one."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.layers import _conv_arguments as arguments
from fastconv.layers.layer import Layer, Shape, State

__all__ = ["Flatten"]

Array = NDArray[Any]


class Flatten(Layer):
    """Turn each sample into a vector (https://keras.io/api/layers/reshaping_layers/flatten/).

    (batch, rows, cols, channels) becomes (batch, rows * cols * channels), and (batch,) becomes
    (batch, 1). With ``data_format='channels_first'`` the channels are moved last first, so that
    both formats give the same vector.

    Parameters
    ----------
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten()(np.zeros((2, 3, 3, 4))).shape
    (2, 36)
    """

    min_ndim = 1

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format_of(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        sizes = [n for n in input_shape[1:] if n is not None]
        known = len(sizes) == len(input_shape) - 1
        return (input_shape[0], math.prod(sizes) if known else None)

    def is_view(self, state: State) -> bool:
        return self.data_format == "channels_last" or len(state.input_shape) < 3

    def forward(self, x: Array, y: Array, state: State) -> None:
        moved = np.moveaxis(x, 1, -1)
        y.reshape(moved.shape)[...] = moved

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            n, channels, *size = state.input_shape
            dx[...] = np.moveaxis(dy.reshape(n, *size, channels), -1, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}
