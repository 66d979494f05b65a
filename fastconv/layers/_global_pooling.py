"""What the global poolings share."""

from typing import Any

from fastconv.layers import _conv_arguments as arguments
from fastconv.layers.layer import Layer, Shape, State


class GlobalPoolingLayer(Layer):
    """A layer that reduces each channel of an image to one value."""

    ndim = 4

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = arguments.data_format_of(data_format)
        self.keepdims = bool(keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        channels = input_shape[arguments.channel_axis(self.data_format)]
        if not self.keepdims:
            return (input_shape[0], channels)
        return arguments.image_shape(input_shape[0], (1, 1), channels, self.data_format)

    def _window(self, shape: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
        size = arguments.spatial(shape, self.data_format)
        return (size, size, "valid", self.data_format)

    def is_recordable(self, state: State) -> bool:
        return True

    def _pooled_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output's shape with rows and columns of length 1 kept."""
        if self.data_format == "channels_last":
            return (input_shape[0], 1, 1, input_shape[3])
        return (input_shape[0], input_shape[1], 1, 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }
