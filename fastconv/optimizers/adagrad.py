"""Adagrad."""

from typing import Any

import numpy as np

from fastconv.optimizers._segments import Segment
from fastconv.optimizers.optimizer import Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Divide gradients by the root of the sum of their squares (Duchi et al., JMLR 2011).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    initial_accumulator_value : float
        Where the sum of squares starts.
    epsilon : float
        Inside of the square root.
    **kwargs
        As in :class:`Optimizer`.

    Examples
    --------
    >>> from fastconv._variable import Variable
    >>> w = Variable([1.0])
    >>> Adagrad(0.1).apply([np.array([3.0])], [w])
    >>> w.numpy().round(4)
    array([0.9006], dtype=float32)
    """

    slot_groups = (("accumulator",),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **kwargs,
        )
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def initial_slot(self, name: str) -> float:
        return self.initial_accumulator_value if name == "accumulator" else 0.0

    def update(self, segment: Segment, learning_rate: float, scale: float) -> None:
        w, g, total = segment.w, segment.g, segment.slots["accumulator"]
        if scale != 1.0:
            g *= scale
        if self.decay_of(segment):
            w -= w * (self.decay_of(segment) * learning_rate)
        total += np.square(g)
        w -= learning_rate * g / np.sqrt(total + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
