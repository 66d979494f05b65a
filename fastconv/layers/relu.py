"""The rectifier as a layer."""

from typing import Any

from fastconv import activations
from fastconv.layers.activation import ActivationLayer

__all__ = ["ReLU"]


class ReLU(ActivationLayer):
    """Apply ``max(x, 0)``, or its general form (https://keras.io/api/layers/activation_layers/).

    Parameters
    ----------
    max_value : float, optional
        Upper bound.
    negative_slope : float
        Slope below the threshold.
    threshold : float
        Values below it are damped.

    Raises
    ------
    ValueError
        If an argument is negative.

    Examples
    --------
    >>> import numpy as np
    >>> ReLU(max_value=3.0)(np.array([[-1.0, 2.0, 5.0]]))
    array([[0., 2., 3.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0.0:
            raise ValueError(
                f"max_value of a ReLU layer cannot be a negative value. Received: {max_value=}"
            )
        if negative_slope is None or negative_slope < 0.0:
            raise ValueError(
                "negative_slope of a ReLU layer cannot be a negative value. "
                f"Received: {negative_slope=}"
            )
        if threshold is None or threshold < 0.0:
            raise ValueError(
                f"threshold of a ReLU layer cannot be a negative value. Received: {threshold=}"
            )
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold
        if max_value is None and not negative_slope and not threshold:
            self._set_function(activations.relu)
        else:
            self._set_function(lambda x: activations.relu(x, negative_slope, max_value, threshold))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }
