"""Learning rates that change with the step (https://keras.io/api/optimizers/).

A schedule is called with the number of updates made so far and returns the learning rate.
"""

import math
from collections.abc import Sequence
from typing import Any

from fastconv import _objects

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule(_objects.Serializable):
    """Base of all schedules.

    Subclasses implement ``__call__(step)`` and, to be saved, ``get_config``.

    Examples
    --------
    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.5**step
    >>> Halving()(2)
    0.25
    """

    keras_module = "keras.optimizers.schedules"

    def __call__(self, step: Any) -> float:
        """Return the learning rate for the update after ``step`` updates."""
        raise TypeError(f"{type(self).__name__} must implement `__call__(step)`.")


def _positive_steps(decay_steps: Any, name: str = "decay_steps") -> Any:
    if not decay_steps > 0:
        raise ValueError(f"Argument `{name}` must be > 0. Received: {name}={decay_steps}")
    return decay_steps


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate, decay_rate : float
    decay_steps : int
    staircase : bool
        Round ``step / decay_steps`` down.
    name : str

    Examples
    --------
    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.25)(5)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps(decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> float:
        p = float(step) / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate ** self._stage(p))

    def _stage(self, p: float) -> float:
        return math.floor(p) if self.staircase else p

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


class InverseTimeDecay(ExponentialDecay):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate, staircase, name
        As in :class:`ExponentialDecay`.

    Examples
    --------
    >>> InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)(10)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def __call__(self, step: Any) -> float:
        p = self._stage(float(step) / self.decay_steps)
        return float(self.initial_learning_rate / (1 + self.decay_rate * p))


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and including step ``boundaries[i]``, the last value afterwards.

    Parameters
    ----------
    boundaries : sequence of int, increasing
    values : sequence of float
        One more than boundaries.
    name : str

    Raises
    ------
    ValueError
        If the lengths do not fit.

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])
    >>> schedule(10), schedule(11), schedule(21)
    (1.0, 0.5, 0.1)
    """

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        if len(boundaries) != len(values) - 1 or not boundaries:
            raise ValueError(
                "The length of boundaries should be 1 less than the length of values. "
                f"Received: boundaries={boundaries} of length {len(boundaries)}, and "
                f"values={values} of length {len(values)}."
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: Any) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if float(step) <= boundary:
                return float(value)
        return float(self.values[-1])

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end learning rate along ``(1 - step / decay_steps) ** power``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    end_learning_rate, power : float
    cycle : bool
        Start over beyond ``decay_steps``, with longer and longer decays.
    name : str

    Examples
    --------
    >>> PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.5)(5)
    0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps(decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> float:
        step, total = float(step), float(self.decay_steps)
        if self.cycle:
            total *= math.ceil(step / total) if step else 1
        p = min(step, total) / total
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - p) ** self.power + self.end_learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


class CosineDecay(LearningRateSchedule):
    """Half a cosine, optionally after a linear warm-up (Loshchilov and Hutter, ICLR 2017).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Steps of the decay, after the warm-up.
    alpha : float
        The lowest learning rate, as a share of the one the decay starts from.
    name : str
    warmup_target : float, optional
        Rise linearly from the initial rate to this one first.
    warmup_steps : int

    Examples
    --------
    >>> round(CosineDecay(1.0, decay_steps=10)(5), 6)
    0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive_steps(decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> float:
        step, top = float(step), float(self.initial_learning_rate)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                rise = self.warmup_target - top
                return float(top + rise * step / self.warmup_steps)
            step, top = step - self.warmup_steps, float(self.warmup_target)
        p = min(step, self.decay_steps) / self.decay_steps
        cosine = 0.5 * (1 + math.cos(math.pi * p))
        return float(top * ((1 - self.alpha) * cosine + self.alpha))

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after another, each ``t_mul`` times as long and ``m_mul`` times as high.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
    t_mul, m_mul : float
    alpha : float
        The lowest learning rate, as a share of the initial one.
    name : str

    Examples
    --------
    >>> CosineDecayRestarts(1.0, first_decay_steps=10)(10)
    1.0
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive_steps(first_decay_steps, "first_decay_steps")
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> float:
        p = float(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = math.floor(p)
            p -= restart
        else:
            restart = math.floor(math.log(1 - p * (1 - self.t_mul)) / math.log(self.t_mul))
            start = (1 - self.t_mul**restart) / (1 - self.t_mul)
            p = (p - start) / self.t_mul**restart
        height = self.m_mul**restart
        cosine = 0.5 * height * (1 + math.cos(math.pi * p))
        return float(self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha))

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self.t_mul,
            "m_mul": self.m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


def serialize(learning_rate_schedule: Any) -> Any:
    """Return a schedule as a dictionary."""
    return _objects.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the schedule that :func:`serialize` wrote down."""
    return _objects.deserialize(config, "keras.optimizers.schedules", custom_objects)
