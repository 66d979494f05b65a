"""Nadam."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv._variable import Variable
from fastconv.optimizers._segments import Segment
from fastconv.optimizers.optimizer import Optimizer

__all__ = ["Nadam"]


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, ICLR workshop 2016).

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
    >>> Nadam(0.1).apply([np.array([3.0])], [w])
    >>> w.numpy().round(4)
    array([0.8937], dtype=float32)
    """

    slot_groups = (("momentum", "velocity"),)

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
        #: The product of the momentum's warm-up over all updates; Keras's files hold it too.
        self._product = Variable(1.0, trainable=False, name="u_product")

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            self._own_variables.append(self._product)
        super().build(variables)

    def _warmup(self, step: int) -> float:
        return float(self.beta_1 * (1.0 - 0.5 * 0.96**step))

    def before_update(self) -> None:
        self._product.assign(self._product * self._warmup(self.update_number()))

    def update(self, segment: Segment, learning_rate: float, scale: float) -> None:
        t, product = self.update_number(), float(self._product)
        u, u_next = self._warmup(t), self._warmup(t + 1)
        w, g = segment.w, segment.g
        m, v = segment.slots["momentum"], segment.slots["velocity"]
        if scale != 1.0:
            g *= scale
        if self.decay_of(segment):
            w -= w * (self.decay_of(segment) * learning_rate)
        m += (g - m) * (1 - self.beta_1)
        v += (np.square(g) - v) * (1 - self.beta_2)
        mean = m * (u_next / (1 - product * u_next)) + g * ((1 - u) / (1 - product))
        w -= learning_rate * mean / (np.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
