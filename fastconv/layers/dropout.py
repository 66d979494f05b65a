"""Random zeros against overfitting."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import functional
from fastconv.layers.layer import Layer, Shape, State
from fastconv.utils import make_seed

__all__ = ["Dropout"]

Array = NDArray[Any]


class Dropout(Layer):
    """Set a random share of the values to zero while training (Srivastava et al., JMLR 2014).

    The other values are multiplied by ``1 / (1 - rate)``, so that the expected sum stays the same.
    Without training the input passes unchanged.

    Parameters
    ----------
    rate : float
        Share of zeros, from 0 to 1.
    noise_shape : tuple of int and None, optional
        Shape of the mask, broadcast to the input; None stands for the input's size.
    seed : int, optional

    Raises
    ------
    ValueError
        If ``rate`` lies outside of [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> y = Dropout(0.5, seed=1)(np.ones((100, 100)), training=True)
    >>> sorted(set(y.ravel().tolist())), bool(abs(y.mean() - 1) < 0.05)
    ([0.0, 2.0], True)
    """

    elementwise = True

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
        if not number or not 0 <= rate <= 1:
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a float value between 0 and "
                f"1. Received: rate={rate!r}"
            )
        self.rate = float(rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        #: The seed of the masks and how many have been drawn: all that a resumed fit must restore.
        self.seed_state = [make_seed() if seed is None else int(seed), 0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        return tuple(input_shape)

    def is_view(self, state: State) -> bool:
        return not state.training or self.rate == 0

    def _noise(self, state: State) -> Array:
        """Return the scaled mask of ``noise_shape`` for the current draw."""
        wanted = self.noise_shape or ()
        shape = tuple(state.input_shape[i] if n is None else n for i, n in enumerate(wanted))
        ones = np.ones(math.prod(shape), self.dtype)
        return functional.dropout(ones, self.rate, draw=state.extra["draw"]).reshape(shape)

    def prepare(self, state: State) -> None:
        state.extra["draw"] = np.zeros(2, np.uint64)

    def advance(self, state: State, steps: int = 1) -> None:
        state.extra["draw"][:] = [number & 0xFFFFFFFFFFFFFFFF for number in self.seed_state]
        self.seed_state[1] += steps

    def record_next(self, state: State) -> None:
        functional.record_next_draw(state.extra["draw"])

    def is_recordable(self, state: State) -> bool:
        return self.noise_shape is None and self.rate < 1

    def forward(self, x: Array, y: Array, state: State) -> None:
        if self.rate == 1:
            y[...] = 0
        elif self.noise_shape is None:
            functional.dropout(x, self.rate, draw=state.extra["draw"], out=y)
        else:
            np.multiply(x, self._noise(state), out=y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        if dx is None:
            return
        if self.rate == 1:
            dx[...] = 0
        elif self.noise_shape is None:
            functional.dropout_backward(dy, self.rate, draw=state.extra["draw"], out=dx)
        else:
            np.multiply(dy, self._noise(state), out=dx)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": self.noise_shape,
        }
