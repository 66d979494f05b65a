"""RMSprop."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv.optimizers._recorded import Numbers, RecordedOptimizer
from fastconv.optimizers._segments import Segment

__all__ = ["RMSprop"]

Array = NDArray[Any]


class RMSprop(RecordedOptimizer):
    """Divide gradients by a moving root mean square (Hinton, Neural Networks course, 2012).

    ``v = rho * v + (1 - rho) * g**2`` and ``w -= learning_rate * g / sqrt(v + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho : float
    momentum : float
    epsilon : float
        Inside of the square root.
    centered : bool
        Subtract the square of the gradient's moving mean from ``v``.
    **kwargs
        As in :class:`Optimizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv._variable import Variable
    >>> w = Variable([1.0])
    >>> RMSprop(0.1).apply([np.array([1.0])], [w])
    >>> w.numpy().round(4)
    array([0.6838], dtype=float32)
    """

    slot_groups = (("velocity",), ("momentum",), ("average_gradient",))
    settings_count = 6

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def active_slots(self, group: tuple[str, ...]) -> tuple[str, ...]:
        if group == ("momentum",):
            return group if self.momentum > 0 else ()
        if group == ("average_gradient",):
            return group if self.centered else ()
        return group

    def record(self, segment: Segment, settings: Array) -> None:
        slots = segment.slots
        functional.record_rmsprop_update(
            segment.w,
            segment.g,
            slots["velocity"],
            slots.get("momentum") if self.momentum else None,
            slots.get("average_gradient") if self.centered else None,
            settings,
        )

    def settings(
        self, segment: Segment, learning_rate: Numbers, scale: float, correction: Numbers
    ) -> tuple[Numbers, ...]:
        decay = self.decay_of(segment) * learning_rate
        return learning_rate, self.rho, self.momentum, self.epsilon, decay, scale

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
