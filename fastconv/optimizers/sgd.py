"""Gradient descent with momentum."""

from typing import Any

from numpy.typing import NDArray

from fastconv import functional
from fastconv.optimizers._recorded import Numbers, RecordedOptimizer
from fastconv.optimizers._segments import Segment

__all__ = ["SGD"]

Array = NDArray[Any]


class SGD(RecordedOptimizer):
    """Gradient descent, optionally with momentum (https://keras.io/api/optimizers/sgd/).

    ``w -= learning_rate * g``; with momentum ``m = momentum * m - learning_rate * g`` and
    ``w += m``, or for Nesterov's form ``w += momentum * m - learning_rate * g``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float
        From 0 to 1.
    nesterov : bool
    **kwargs
        As in :class:`Optimizer`.

    Raises
    ------
    ValueError
        If ``momentum`` lies outside of [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv._variable import Variable
    >>> w = Variable([1.0, 2.0])
    >>> SGD(0.1).apply([np.array([1.0, -1.0])], [w])
    >>> w.numpy()
    array([0.9, 2.1], dtype=float32)
    """

    slot_groups = (("momentum",),)
    settings_count = 5

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(
                f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}"
            )
        self.momentum = momentum
        self.nesterov = nesterov

    def active_slots(self, group: tuple[str, ...]) -> tuple[str, ...]:
        return group if self.momentum or group != ("momentum",) else ()

    def record(self, segment: Segment, settings: Array) -> None:
        functional.record_sgd_update(segment.w, segment.g, segment.slots.get("momentum"), settings)

    def settings(
        self, segment: Segment, learning_rate: Numbers, scale: float, correction: Numbers
    ) -> tuple[Numbers, ...]:
        decay = self.decay_of(segment) * learning_rate
        return learning_rate, self.momentum, decay, scale, self.nesterov

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
