"""Softmax as a layer."""

from typing import Any

from fastconv import activations
from fastconv.layers.activation import ActivationLayer

__all__ = ["Softmax"]


class Softmax(ActivationLayer):
    """Turn values into probabilities along an axis (https://keras.io/api/layers/activation_layers/).

    Parameters
    ----------
    axis : int

    Examples
    --------
    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        if axis == -1:
            self._set_function(activations.softmax)
        else:
            self._set_function(lambda x: activations.softmax(x, axis=axis))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
