"""Two-dimensional convolution."""

from typing import Any

from numpy.typing import NDArray

from fastconv import activations, constraints, functional, initializers, regularizers
from fastconv._variable import Variable
from fastconv.layers import _conv_arguments as arguments
from fastconv.layers._activated import wanted
from fastconv.layers._legacy import accepts_old_names, warns_of_three_numbers
from fastconv.layers._packed import PackedLayer
from fastconv.layers.layer import Shape, State

__all__ = ["Conv2D"]

Array = NDArray[Any]


class Conv2D(PackedLayer):
    """Convolve images with learned filters (https://keras.io/api/layers/convolution_layers/).

    The input has shape (batch, rows, cols, channels), or (batch, channels, rows, cols) with
    ``data_format='channels_first'``; in the output, ``filters`` takes the place of ``channels``.
    The kernel has shape (rows, cols, channels / groups, filters) in both.

    Parameters
    ----------
    filters : int
        Number of filters.
    kernel_size : int or (int, int)
        Rows and columns of a filter.
    strides : int or (int, int)
    padding : {'valid', 'same'}
        'same' surrounds the image with zeros so that the output has ``ceil(n / stride)`` rows.
    data_format : {'channels_last', 'channels_first'}, optional
        Defaults to ``config.image_data_format()``.
    dilation_rate : int or (int, int)
        Distance between the pixels under a filter.
    groups : int
        Split the channels into this many independent convolutions.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer, activity_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs
        ``name``, ``trainable``, ``dtype``, ``input_shape``; also Keras 1's ``nb_filter`` and
        ``border_mode``, with a DeprecationWarning.

    Raises
    ------
    ValueError
        If a size is not positive, ``filters`` is no multiple of ``groups``, or strides and
        dilation are combined.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2D(32, (5, 5), activation="relu", input_shape=(28, 28, 1))
    >>> layer(np.zeros((2, 28, 28, 1))).shape
    (2, 24, 24, 32)
    >>> layer.count_params()
    832
    """

    ndim = 4

    @accepts_old_names
    @warns_of_three_numbers
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = arguments.positive(filters, "filters")
        self.kernel_size = arguments.pair(kernel_size, "kernel_size")
        self.strides = arguments.pair(strides, "strides")
        self.padding = arguments.word_padding(padding)
        self.data_format = arguments.data_format_of(data_format)
        self.dilation_rate = arguments.pair(dilation_rate, "dilation_rate")
        self.groups = arguments.positive(groups, "groups")
        if self.filters % self.groups:
            raise ValueError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={self.groups}, filters={self.filters}."
            )
        arguments.check_strides_and_dilation(self.strides, self.dilation_rate)
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None
        self._options: dict[str, Any] = {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "data_format": self.data_format,
        }

    def build(self, input_shape: Shape) -> None:
        axis = arguments.channel_axis(self.data_format)
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                "The channel dimension of the inputs should be defined. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        if channels % self.groups:
            raise ValueError(
                "The number of input channels must be evenly divisible by the number of groups. "
                f"Received: groups={self.groups}, but the input has {channels} channels "
                f"(full input shape is {tuple(input_shape)})."
            )
        self.compute_output_shape(input_shape)
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
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
            self.check_axis(input_shape, axis, self.kernel.shape[2] * self.groups)

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
        return arguments.image_shape(input_shape[0], size, self.filters, self.data_format)

    def pack(self, state: State, out: Array | None) -> Array | None:
        return functional.pack_conv2d(
            state.input_shape, self.kernel.value, out=out, **self._options
        )

    def affine(self, x: Array, y: Array, activation: str, state: State) -> None:
        functional.conv2d(
            x,
            self.kernel.value,
            self.bias.value if self.bias is not None else None,
            activation=activation,
            packed=state.extra["packed"],
            out=y,
            **self._options,
        )

    def affine_backward(self, dz: Array, dx: Array | None, state: State) -> None:
        dw, db = self.weight_gradients(self.kernel)
        functional.conv2d_backward(
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
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
