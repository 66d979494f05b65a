"""What max and average pooling share."""

from typing import Any

from fastconv.layers import _conv_arguments as arguments
from fastconv.layers._legacy import accepts_old_names
from fastconv.layers.layer import Layer, Shape


class PoolingLayer(Layer):
    """A layer that reduces the windows of images to one value each."""

    ndim = 4

    @accepts_old_names
    def __init__(
        self,
        pool_size: int | tuple[int, int] = (2, 2),
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = arguments.pair(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else arguments.pair(strides, "strides")
        self.padding = arguments.word_padding(padding)
        self.data_format = arguments.data_format_of(data_format)
        self._window = (self.pool_size, self.strides, self.padding, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        size = arguments.window_size(
            arguments.spatial(input_shape, self.data_format),
            self.pool_size,
            self.strides,
            (1, 1),
            self.padding,
            self.name,
        )
        channels = input_shape[arguments.channel_axis(self.data_format)]
        return arguments.image_shape(input_shape[0], size, channels, self.data_format)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }
