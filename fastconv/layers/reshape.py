"""The same values in another shape."""

import math
from typing import Any

from fastconv.layers.layer import Layer, Shape, State

__all__ = ["Reshape"]


class Reshape(Layer):
    """Give each sample another shape (https://keras.io/api/layers/reshaping_layers/reshape/).

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one size may be -1, which is then inferred.

    Raises
    ------
    ValueError
        If the number of elements does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> Reshape((2, -1))(np.zeros((5, 6))).shape
    (5, 2, 3)
    """

    min_ndim = 1

    def __init__(self, target_shape: tuple[int, ...] | int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if shape.count(-1) > 1 or any(
            isinstance(n, bool) or not isinstance(n, int) or n < -1 for n in shape
        ):
            raise ValueError(
                "`target_shape` must be a tuple of sizes with at most one -1. "
                f"Received: target_shape={target_shape!r}"
            )
        self.target_shape = shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        sizes = [n for n in input_shape[1:] if n is not None]
        rest = math.prod(n for n in self.target_shape if n != -1)
        if len(sizes) < len(input_shape) - 1:
            return (input_shape[0], *(None if n == -1 else n for n in self.target_shape))
        total = math.prod(sizes)
        fits = total == rest if -1 not in self.target_shape else rest > 0 and total % rest == 0
        if not fits:
            raise ValueError(
                "The total size of the tensor must be unchanged. Received: "
                f"input_shape={tuple(input_shape[1:])}, target_shape={self.target_shape}"
            )
        return (input_shape[0], *(total // rest if n == -1 else n for n in self.target_shape))

    def is_view(self, state: State) -> bool:
        return True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}
