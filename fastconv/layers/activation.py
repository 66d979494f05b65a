"""An activation function as a layer."""

from typing import Any

from numpy.typing import NDArray

from fastconv import activations
from fastconv.layers._activator import Activator
from fastconv.layers.layer import Layer, Shape, State

__all__ = ["Activation", "ActivationLayer"]

Array = NDArray[Any]


class ActivationLayer(Layer):
    """A layer that applies one function to every value, or softmax to every row."""

    elementwise = True

    def _set_function(self, function: Any) -> None:
        self._function = function
        self._activator = Activator(function)

    @property
    def ends_in(self) -> Any:
        """The activation function that makes the output."""
        return self._function

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        return tuple(input_shape)

    def is_view(self, state: State) -> bool:
        return state.as_logits or self._activator.is_linear

    def is_recordable(self, state: State) -> bool:
        return self._activator.is_recordable

    def forward(self, x: Array, y: Array, state: State) -> None:
        self._activator.forward(x, y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is None:
            return
        x = state.x if self._activator.needs_input else None
        self._activator.backward(dy, state.y, x)
        if dx is not dy:
            dx[...] = dy


class Activation(ActivationLayer):
    """Apply an activation function (https://keras.io/api/layers/core_layers/activation/).

    Parameters
    ----------
    activation : str or callable
        A name such as 'relu', or a function of an array.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]]))
    array([[0., 2.]], dtype=float32)
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self._set_function(self.activation)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}
