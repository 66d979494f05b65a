"""Convolution of each channel by itself."""

from typing import Any

from numpy.typing import NDArray

from fastconv import activations, constraints, functional, initializers, regularizers
from fastconv._variable import Variable
from fastconv.layers import _conv_arguments as arguments
from fastconv.layers._activated import ActivatedLayer, wanted
from fastconv.layers._legacy import accepts_old_names
from fastconv.layers.layer import Shape, State

__all__ = ["DepthwiseConv2D"]

Array = NDArray[Any]


class DepthwiseConv2D(ActivatedLayer):
    """Convolve each channel with its own ``depth_multiplier`` filters (https://keras.io/api/layers).

    The output has ``channels * depth_multiplier`` channels, those of one input channel side by
    side. The kernel has shape (rows, cols, channels, depth_multiplier).

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As in :class:`Conv2D`.
    depth_multiplier : int
        Filters per channel.
    depthwise_initializer, bias_initializer : str or Initializer
    depthwise_regularizer, bias_regularizer, activity_regularizer : str or Regularizer, optional
    depthwise_constraint, bias_constraint : str or Constraint, optional
    **kwargs
        ``name``, ``trainable``, ``dtype``, ``input_shape``.

    Raises
    ------
    ValueError
        If a size is not positive, or strides and dilation are combined.

    Examples
    --------
    >>> import numpy as np
    >>> DepthwiseConv2D(3, padding="same", depth_multiplier=2)(np.zeros((1, 8, 8, 4))).shape
    (1, 8, 8, 8)
    """

    ndim = 4

    @accepts_old_names
    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = arguments.positive(depth_multiplier, "depth_multiplier")
        self.kernel_size = arguments.pair(kernel_size, "kernel_size")
        self.strides = arguments.pair(strides, "strides")
        self.padding = arguments.word_padding(padding)
        self.data_format = arguments.data_format_of(data_format)
        self.dilation_rate = arguments.pair(dilation_rate, "dilation_rate")
        arguments.check_strides_and_dilation(self.strides, self.dilation_rate)
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None
        self._options: dict[str, Any] = {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[arguments.channel_axis(self.data_format)]
        if channels is None:
            raise ValueError(
                "The channel dimension of the inputs should be defined. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (channels * self.depth_multiplier,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def check_input_shape(self, input_shape: Shape) -> None:
        super().check_input_shape(input_shape)
        if self.built:
            axis = arguments.channel_axis(self.data_format)
            self.check_axis(input_shape, axis, self.kernel.shape[2])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        size = arguments.window_size(
            arguments.spatial(input_shape, self.data_format),
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.padding,
            self.name,
        )
        channels = input_shape[arguments.channel_axis(self.data_format)]
        out = None if channels is None else channels * self.depth_multiplier
        return arguments.image_shape(input_shape[0], size, out, self.data_format)

    def affine(self, x: Array, y: Array, activation: str, state: State) -> None:
        bias = self.bias.value if self.bias is not None else None
        functional.depthwise_conv2d(
            x, self.kernel.value, bias, activation=activation, out=y, **self._options
        )

    def affine_backward(self, dz: Array, dx: Array | None, state: State) -> None:
        dw, db = self.weight_gradients(self.kernel)
        functional.depthwise_conv2d_backward(
            dz,
            state.x,
            self.kernel.value,
            needs=wanted(state, self.use_bias),
            out=(dx, dw, db),
            **self._options,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "depthwise_initializer": initializers.serialize(self.depthwise_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "depthwise_regularizer": regularizers.serialize(self.depthwise_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "depthwise_constraint": constraints.serialize(self.depthwise_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
