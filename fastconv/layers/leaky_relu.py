"""The leaky rectifier as a layer."""

from typing import Any

from fastconv import activations
from fastconv.layers.activation import ActivationLayer

__all__ = ["LeakyReLU"]


class LeakyReLU(ActivationLayer):
    """Apply ``x`` where positive, ``negative_slope * x`` elsewhere (Maas et al., ICML 2013).

    Parameters
    ----------
    negative_slope : float

    Raises
    ------
    ValueError
        If it is negative or None.

    Examples
    --------
    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([[-1.0, 2.0]]))
    array([[-0.5,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                "The negative_slope value of a Leaky ReLU layer cannot be None or negative. "
                f"Received: {negative_slope=}"
            )
        self.negative_slope = negative_slope
        self._set_function(lambda x: activations.leaky_relu(x, negative_slope))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}
