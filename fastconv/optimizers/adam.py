"""Adam and AdamW."""

import math
from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv.optimizers._recorded import Numbers, RecordedOptimizer
from fastconv.optimizers._segments import Segment

__all__ = ["Adam", "AdamW"]

Array = NDArray[Any]


class Adam(RecordedOptimizer):
    """Adaptive moments (Kingma and Ba, ICLR 2015).

    ``m`` and ``v`` are moving averages of the gradient and its square;
    ``w -= a * m / (sqrt(v) + epsilon)`` with
    ``a = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        Shares that the moving averages keep.
    epsilon : float
    amsgrad : bool
        Use the largest ``v`` so far (Reddi et al., ICLR 2018).
    **kwargs
        As in :class:`Optimizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv._variable import Variable
    >>> w = Variable([1.0])
    >>> Adam(0.1).apply([np.array([3.0])], [w])
    >>> w.numpy().round(4)
    array([0.9], dtype=float32)
    """

    slot_groups = (("momentum", "velocity"), ("velocity_hat",))
    settings_count = 6

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.amsgrad = amsgrad

    def active_slots(self, group: tuple[str, ...]) -> tuple[str, ...]:
        return group if self.amsgrad or group != ("velocity_hat",) else ()

    def record(self, segment: Segment, settings: Array) -> None:
        slots = segment.slots
        functional.record_adam_update(
            segment.w,
            segment.g,
            slots["momentum"],
            slots["velocity"],
            slots.get("velocity_hat"),
            settings,
        )

    def correction(self, number: int) -> float:
        return math.sqrt(1 - self.beta_2**number) / (1 - self.beta_1**number)

    def settings(
        self, segment: Segment, learning_rate: Numbers, scale: float, correction: Numbers
    ) -> tuple[Numbers, ...]:
        decay = self.decay_of(segment) * learning_rate
        return learning_rate * correction, self.beta_1, self.beta_2, self.epsilon, decay, scale

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float
        Every step, weights lose this share of themselves, times the learning rate.
    beta_1, beta_2, epsilon, amsgrad
        As in :class:`Adam`.
    **kwargs
        As in :class:`Optimizer`.

    Raises
    ------
    ValueError
        If ``weight_decay`` is None.

    Examples
    --------
    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
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
        if self.weight_decay is None:
            raise ValueError("Argument `weight_decay` must be a float. Received: weight_decay=None")
