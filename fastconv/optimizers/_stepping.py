"""How an optimizer makes a step: accumulation, clipping, the update, moving averages."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import functional
from fastconv._variable import Variable, changed
from fastconv.optimizers._segments import Segment

Array = NDArray[Any]


class Stepping:
    """The part of an optimizer that changes variables, segment by segment."""

    built: bool
    iterations: Variable
    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    _segments: list[Segment]
    _trainable: list[Variable]

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots for ``variables``."""
        raise TypeError(f"{type(self).__name__} must implement `build`.")

    def follow(self) -> None:
        """Find the variables again if they have moved."""
        raise TypeError(f"{type(self).__name__} must implement `follow`.")

    def current_learning_rate(self) -> float:
        """Return the learning rate of this step."""
        raise TypeError(f"{type(self).__name__} must implement `current_learning_rate`.")

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Update variables from (gradient, variable) pairs; return the iteration count."""
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Update variables from gradients.

        Parameters
        ----------
        grads : sequence of array_like
            One per variable.
        trainable_variables : sequence of Variable, optional
            Needed the first time.

        Raises
        ------
        ValueError
            If a variable is not one of those of the first time, or the numbers differ.
        """
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "When passing `grads` without `variables`, the optimizer must already be "
                    "built on a list of variables. Call `optimizer.build(trainable_variables)` "
                    "first."
                )
            trainable_variables = self._trainable
        if len(grads) != len(trainable_variables):
            raise ValueError(
                "`grads` must match the variables one to one. "
                f"Received: {len(grads)} gradients for {len(trainable_variables)} variables"
            )
        self.build(list(trainable_variables))
        known = {id(v) for v in self._trainable}
        for grad, variable in zip(grads, trainable_variables, strict=True):
            if id(variable) not in known:
                raise ValueError(
                    f"Unknown variable: {variable}. This optimizer can only be called for the "
                    "variables it was originally built with. When working with a new set of "
                    "variables, you should recreate a new optimizer instance."
                )
            if variable.grad is None:
                raise ValueError(f"No gradient can be set. Received: variable={variable}")
            variable.grad[...] = 0 if grad is None else np.asarray(grad)
            if self.loss_scale_factor:
                variable.grad /= self.loss_scale_factor
        self.step()
        for variable in trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))

    def step(self) -> None:
        """Update all variables from ``variable.grad``."""
        self.follow()
        if self.gradient_accumulation_steps and not self._accumulated():
            self.iterations.memory += 1
            return
        rate = self.current_learning_rate()
        scale = 1.0
        if self.global_clipnorm is not None:
            scale = _clip_factor(self.global_clipnorm, [s.g for s in self._segments])
        elif self.clipvalue is not None:
            for segment in self._segments:
                np.clip(segment.g, -self.clipvalue, self.clipvalue, out=segment.g)
        self.before_update()
        for segment in self._segments:
            own = scale
            if self.clipnorm is not None:
                own = _clip_factor(self.clipnorm, [segment.g])
            self.update(segment, rate, own)
        if self.use_ema:
            self._average()
        self.iterations.memory += 1
        changed()

    def _accumulated(self) -> bool:
        """Add to the accumulators; return whether it is time to update, with the mean gradient."""
        steps = self.gradient_accumulation_steps or 1
        ready = (int(self.iterations.value) + 1) % steps == 0
        for segment in self._segments:
            total = segment.slots["gradient_accumulator"]
            total += segment.g
            if ready:
                np.divide(total, steps, out=segment.g)
                total[...] = 0
        return ready

    def _average(self) -> None:
        step = int(self.iterations.value)
        momentum = self.ema_momentum if step else 0.0
        for segment in self._segments:
            average = segment.slots["average"]
            average *= momentum
            average += (1 - momentum) * segment.w
        frequency = self.ema_overwrite_frequency
        if frequency and (step + 1) % frequency == 0:
            self.finalize_variable_values(self._trainable)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Replace the weights by their moving averages, if ``use_ema``."""
        if self.use_ema:
            self.follow()
            for segment in self._segments:
                segment.w[...] = segment.slots["average"]
            changed()

    def decay_of(self, segment: Segment) -> float:
        """Return the weight decay that applies to a segment."""
        return self.weight_decay if self.weight_decay and segment.decays else 0.0

    def update_number(self) -> int:
        """Return the number of the next update, from 1 on; accumulated steps make one together."""
        return int(self.iterations.value) // (self.gradient_accumulation_steps or 1) + 1

    def before_update(self) -> None:
        """Prepare what is the same for all segments of a step."""

    def update(self, segment: Segment, learning_rate: float, scale: float) -> None:
        """Update one segment, its gradients multiplied by ``scale``."""
        if scale != 1.0:
            segment.g *= scale
        if self.decay_of(segment):
            segment.w -= segment.w * (self.decay_of(segment) * learning_rate)
        for variable in segment.variables:
            self.update_step(variable.grad, variable, learning_rate)

    def update_step(self, gradient: Any, variable: Variable, learning_rate: float) -> None:
        """Update one variable; implemented by optimizers that users write."""
        raise TypeError(f"{type(self).__name__} must implement `update_step`.")


def _clip_factor(limit: float, gradients: list[Array]) -> float:
    """Return what to multiply gradients by so that their common norm is at most ``limit``."""
    norm = math.sqrt(math.fsum(functional.sum_squares(g) for g in gradients))
    return limit / norm if norm > limit else (1.0 if norm <= limit else math.nan)
