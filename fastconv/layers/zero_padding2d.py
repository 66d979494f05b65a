"""A border of zeros."""

from typing import Any

from numpy.typing import NDArray

from fastconv import _shapes
from fastconv.layers import _conv_arguments as arguments
from fastconv.layers.layer import Layer, Shape, State

__all__ = ["ZeroPadding2D"]

Array = NDArray[Any]


class ZeroPadding2D(Layer):
    """Surround images with zeros (https://keras.io/api/layers/reshaping_layers/zero_padding2d/).

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int))
        Rows and columns on every side: one number for all, (rows, cols), or
        ((top, bottom), (left, right)).
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.

    Raises
    ------
    ValueError
        If ``padding`` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (2, 2)))(np.zeros((1, 4, 4, 3))).shape
    (1, 5, 8, 3)
    """

    ndim = 4

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        try:
            sides = _shapes.normalize_padding(padding)
        except TypeError as error:
            raise ValueError(str(error)) from error
        if isinstance(sides, str):
            raise ValueError(
                "`padding` should be an int, a tuple of 2 ints or a tuple of 2 tuples of 2 ints. "
                f"Received: padding={padding!r}"
            )
        self.padding = sides
        self.data_format = arguments.data_format_of(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        size = tuple(
            None if n is None else n + sum(sides)
            for n, sides in zip(
                arguments.spatial(input_shape, self.data_format), self.padding, strict=True
            )
        )
        channels = input_shape[arguments.channel_axis(self.data_format)]
        return arguments.image_shape(input_shape[0], size, channels, self.data_format)

    def _inside(self, padded: Array) -> Array:
        """Return the part of ``padded`` that the image fills."""
        first = 1 if self.data_format == "channels_last" else 2
        rows, cols = padded.shape[first : first + 2]
        (top, bottom), (left, right) = self.padding
        cut = (slice(top, rows - bottom), slice(left, cols - right))
        return padded[(slice(None),) * first + cut]

    def forward(self, x: Array, y: Array, state: State) -> None:
        y[...] = 0
        self._inside(y)[...] = x

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is not None:
            dx[...] = self._inside(dy)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "padding": self.padding,
            "data_format": self.data_format,
        }
