"""Depthwise convolution followed by a 1x1 convolution."""

from typing import Any

from numpy.typing import NDArray

from fastconv import activations, constraints, functional, initializers, regularizers
from fastconv._variable import Variable
from fastconv.layers import _conv_arguments as arguments
from fastconv.layers._activated import ActivatedLayer, wanted
from fastconv.layers._legacy import accepts_old_names
from fastconv.layers.layer import Shape, State

__all__ = ["SeparableConv2D"]

Array = NDArray[Any]


class SeparableConv2D(ActivatedLayer):
    """Convolve each channel by itself, then mix the channels (https://keras.io/api/layers/).

    The kernels have shapes (rows, cols, channels, depth_multiplier) and
    (1, 1, channels * depth_multiplier, filters).

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As in :class:`Conv2D`.
    depth_multiplier : int
        Filters per input channel in the first step.
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
    depthwise_constraint, pointwise_constraint, bias_constraint : str or Constraint, optional
    **kwargs
        ``name``, ``trainable``, ``dtype``, ``input_shape``.

    Raises
    ------
    ValueError
        If a size is not positive, or strides and dilation are combined.

    Examples
    --------
    >>> import numpy as np
    >>> layer = SeparableConv2D(6, 3)
    >>> layer(np.zeros((1, 8, 8, 4))).shape, layer.count_params()
    ((1, 6, 6, 6), 66)
    """

    ndim = 4

    @accepts_old_names
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = arguments.positive(depth_multiplier, "depth_multiplier")
        self.filters = arguments.positive(filters, "filters")
        self.kernel_size = arguments.pair(kernel_size, "kernel_size")
        self.strides = arguments.pair(strides, "strides")
        self.padding = arguments.word_padding(padding)
        self.data_format = arguments.data_format_of(data_format)
        self.dilation_rate = arguments.pair(dilation_rate, "dilation_rate")
        arguments.check_strides_and_dilation(self.strides, self.dilation_rate)
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.depthwise_constraint = constraints.get(depthwise_constraint)
        self.pointwise_constraint = constraints.get(pointwise_constraint)
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
        self.depthwise_kernel = self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
            constraint=self.depthwise_constraint,
            name="depthwise_kernel",
        )
        self.pointwise_kernel = self.add_weight(
            (1, 1, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
            constraint=self.pointwise_constraint,
            name="pointwise_kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def check_input_shape(self, input_shape: Shape) -> None:
        super().check_input_shape(input_shape)
        if self.built:
            axis = arguments.channel_axis(self.data_format)
            self.check_axis(input_shape, axis, self.depthwise_kernel.shape[2])

    def _size(self, input_shape: Shape) -> tuple[int | None, ...]:
        return arguments.window_size(
            arguments.spatial(input_shape, self.data_format),
            self.kernel_size,
            self.strides,
            self.dilation_rate,
            self.padding,
            self.name,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        size = self._size(input_shape)
        return arguments.image_shape(input_shape[0], size, self.filters, self.data_format)

    def prepare(self, state: State) -> None:
        super().prepare(state)
        shape: Any = state.input_shape
        channels = self.pointwise_kernel.shape[2]
        between: Any = arguments.image_shape(
            shape[0], self._size(shape), channels, self.data_format
        )
        state.extra["between"] = state.allocate(between, self.dtype)
        if state.training:
            state.extra["dbetween"] = state.allocate(between, self.dtype)

    def affine(self, x: Array, y: Array, activation: str, state: State) -> None:
        between = state.extra["between"]
        functional.depthwise_conv2d(x, self.depthwise_kernel.value, out=between, **self._options)
        functional.conv2d(
            between,
            self.pointwise_kernel.value,
            self.bias.value if self.bias is not None else None,
            data_format=self.data_format,
            activation=activation,
            out=y,
        )

    def affine_backward(self, dz: Array, dx: Array | None, state: State) -> None:
        dw, db = self.weight_gradients(self.pointwise_kernel)
        functional.conv2d_backward(
            dz,
            state.extra["between"],
            self.pointwise_kernel.value,
            data_format=self.data_format,
            needs=("dx", *(n for n in wanted(state, self.use_bias) if n != "dx")),
            out=(state.extra["dbetween"], dw, db),
        )
        functional.depthwise_conv2d_backward(
            state.extra["dbetween"],
            state.x,
            self.depthwise_kernel.value,
            needs=wanted(state, use_bias=False),
            out=(dx, self.depthwise_kernel.grad, None),
            **self._options,
        )

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "depth_multiplier": self.depth_multiplier,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
        }
        for part in ("depthwise", "pointwise", "bias"):
            for kind in ("initializer", "regularizer", "constraint"):
                config[f"{part}_{kind}"] = initializers.serialize(getattr(self, f"{part}_{kind}"))
        return config
