"""Adamax."""

from typing import Any

import numpy as np

from fastconv.optimizers._segments import Segment
from fastconv.optimizers.optimizer import Optimizer

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adam with the infinity norm (Kingma and Ba, ICLR 2015, section 7).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2, epsilon
        As in :class:`Adam`.
    **kwargs
        As in :class:`Optimizer`.

    Examples
    --------
    >>> from fastconv._variable import Variable
    >>> w = Variable([1.0])
    >>> Adamax(0.1).apply([np.array([3.0])], [w])
    >>> w.numpy().round(4)
    array([0.9], dtype=float32)
    """

    slot_groups = (("momentum", "norm"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def update(self, segment: Segment, learning_rate: float, scale: float) -> None:
        w, g = segment.w, segment.g
        m, norm = segment.slots["momentum"], segment.slots["norm"]
        if scale != 1.0:
            g *= scale
        if self.decay_of(segment):
            w -= w * (self.decay_of(segment) * learning_rate)
        m += (g - m) * (1 - self.beta_1)
        np.maximum(self.beta_2 * norm, np.abs(g), out=norm)
        rate = learning_rate / (1 - self.beta_1 ** self.update_number())
        w -= rate * m / (norm + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
