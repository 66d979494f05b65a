"""Densely connected layer."""

import math
from typing import Any

from numpy.typing import NDArray

from fastconv import activations, constraints, functional, initializers, regularizers
from fastconv._variable import Variable
from fastconv.layers import _conv_arguments as arguments
from fastconv.layers._activated import wanted
from fastconv.layers._packed import PackedLayer
from fastconv.layers.layer import Shape, State

__all__ = ["Dense"]

Array = NDArray[Any]

#: A single row reads the kernel once, wherever it is.
MIN_PACKED_ROWS = 2
#: Larger kernels are read where they are: in inference a packed one takes as much memory again.
MAX_PACKED_BYTES = 64 << 20


class Dense(PackedLayer):
    """Multiply by a matrix and add a bias (https://keras.io/api/layers/core_layers/dense/).

    The input has shape (batch, ..., features), the output (batch, ..., units); the kernel has shape
    (features, units). Every vector along the last axis is treated alike.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
    kernel_regularizer, bias_regularizer, activity_regularizer : str or Regularizer, optional
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs
        ``name``, ``trainable``, ``dtype``, ``input_shape``, ``input_dim``.

    Raises
    ------
    ValueError
        If ``units`` is not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Dense(4, input_dim=9, use_bias=False)
    >>> layer(np.zeros((2, 9))).shape
    (2, 4)
    >>> layer.count_params()
    36
    """

    min_ndim = 2

    def __init__(
        self,
        units: int,
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
        for name in ("lora_rank", "lora_alpha", "quantization_config"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(f"`{name}` is not supported by Dense. Received: {name}=...")
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = arguments.positive(units, "units")
        self._set_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                "The last dimension of the inputs to Dense should be defined. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def check_input_shape(self, input_shape: Shape) -> None:
        super().check_input_shape(input_shape)
        if self.built:
            self.check_axis(input_shape, -1, self.kernel.shape[0])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        return (*input_shape[:-1], self.units)

    def pack(self, state: State, out: Array | None) -> Array | None:
        rows = math.prod(state.input_shape[:-1])
        if rows < MIN_PACKED_ROWS or self.kernel.value.nbytes > MAX_PACKED_BYTES:
            return None
        return functional.pack_dense(self.kernel.value, out=out)

    def affine(self, x: Array, y: Array, activation: str, state: State) -> None:
        bias = self.bias.value if self.bias is not None else None
        functional.dense(
            _rows(x),
            self.kernel.value,
            bias,
            activation=activation,
            packed=state.extra["packed"],
            out=_rows(y),
        )

    def affine_backward(self, dz: Array, dx: Array | None, state: State) -> None:
        dw, db = self.weight_gradients(self.kernel)
        functional.dense_backward(
            _rows(dz),
            _rows(state.x),
            self.kernel.value,
            needs=wanted(state, self.use_bias),
            out=(None if dx is None else _rows(dx), dw, db),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
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


def _rows(array: Array) -> Array:
    """Return ``array`` as a matrix whose rows are the vectors along the last axis."""
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])
