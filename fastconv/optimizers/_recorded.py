"""Optimizers whose update of a segment is one kernel call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv._variable import Variable, changed
from fastconv.functional import Program
from fastconv.optimizers._segments import Segment
from fastconv.optimizers.optimizer import Optimizer
from fastconv.optimizers.schedules import LearningRateSchedule

Array = NDArray[Any]
Numbers = float | Array


class RecordedOptimizer(Optimizer):
    """Base of optimizers that record their updates once and then run them with other settings."""

    #: How many numbers the kernel takes.
    settings_count = 0
    _together: Program | None = None
    _seen_segments: list[Segment] | None = None

    def record(self, segment: Segment, settings: Array) -> None:
        """Call the kernel on a segment; it reads ``settings`` when it runs."""
        raise TypeError(f"{type(self).__name__} must implement `record`.")

    def correction(self, number: int) -> float:
        """Return what changes in the settings with the number of the update, counted from 1."""
        return 1.0

    def settings(
        self, segment: Segment, learning_rate: Numbers, scale: float, correction: Numbers
    ) -> tuple[Numbers, ...]:
        """Return the kernel's settings: numbers, or arrays for several steps."""
        raise TypeError(f"{type(self).__name__} must implement `settings`.")

    def update(self, segment: Segment, learning_rate: float, scale: float) -> None:
        if segment.recorded is None:
            program, settings = Program(), np.zeros(self.settings_count)
            with program:
                self.record(segment, settings)
            segment.recorded = program, settings
        program, settings = segment.recorded
        correction = self.correction(self.update_number())
        settings[:] = self.settings(segment, learning_rate, scale, correction)
        program.run()

    def is_plain(self) -> bool:
        """Return whether a step is nothing but an update with settings known in advance."""
        rate = self._learning_rate
        own = type(self).__module__.startswith("fastconv.optimizers.")
        extras = (
            self.clipnorm,
            self.clipvalue,
            self.global_clipnorm,
            self.gradient_accumulation_steps,
        )
        return (
            own
            and not self.use_ema
            and not any(extras)
            and isinstance(rate, Variable | LearningRateSchedule)
        )

    def together(self) -> Program:
        """Return the updates of all segments as one program.

        It takes the settings of one step, as :meth:`settings_of_steps` makes them.
        """
        self.follow()
        if self._together is None or self._seen_segments is not self._segments:
            stand_in = np.zeros((len(self._segments), self.settings_count))
            program = Program((stand_in,))
            with program:
                for segment, settings in zip(self._segments, stand_in, strict=True):
                    self.record(segment, settings)
            self._together, self._seen_segments = program, self._segments
        return self._together

    def settings_of_steps(self, count: int) -> Array:
        """Return the settings of the next ``count`` steps: (steps, segments, settings)."""
        first, schedule = int(self.iterations.value), self.schedule
        rates: Numbers
        if schedule is None:
            rates = self.current_learning_rate()
        else:
            rates = np.array([float(schedule(step)) for step in range(first, first + count)])
        numbers = range(first + 1, first + count + 1)
        corrections = np.array([self.correction(number) for number in numbers])
        settings = np.empty((count, len(self._segments), self.settings_count))
        for i, segment in enumerate(self._segments):
            for j, value in enumerate(self.settings(segment, rates, 1.0, corrections)):
                settings[:, i, j] = value
        return settings

    def count_steps(self, count: int) -> None:
        """Note that so many steps were made by :meth:`together`."""
        self.iterations.memory += count
        changed()
