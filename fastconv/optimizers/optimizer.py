"""The base of all optimizers: variables, clipping, decay, moving averages.

A model's weights and gradients lie in two flat buffers. ``build`` cuts them into as few segments as
the settings allow, usually one, and gives every segment flat slots of the same size, so that a step
is one pass over a segment.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastconv import _naming, _objects
from fastconv._variable import Variable, moves
from fastconv.optimizers._segments import Segment, cut
from fastconv.optimizers._stepping import Stepping
from fastconv.optimizers.schedules import LearningRateSchedule

__all__ = ["Optimizer"]


class Optimizer(Stepping, _objects.Serializable):
    """Base of all optimizers (https://keras.io/api/optimizers/).

    An optimizer of your own implements ``update_step(gradient, variable, learning_rate)``, and
    ``build(variables)`` if it needs variables of its own, made with
    ``add_variable_from_reference``.

    Parameters
    ----------
    learning_rate : float, LearningRateSchedule or callable
        A callable without arguments is called at every step.
    weight_decay : float, optional
        Every step, weights lose this share of themselves, times the learning rate.
    clipnorm : float, optional
        Largest norm of the gradient of each weight array.
    clipvalue : float, optional
        Largest absolute value of gradients.
    global_clipnorm : float, optional
        Largest norm of all gradients together.
    use_ema : bool
        Keep moving averages of the weights, which replace them when ``fit`` ends.
    ema_momentum : float
    ema_overwrite_frequency : int, optional
        Replace the weights by their averages every so many steps too.
    loss_scale_factor : float, optional
        Gradients passed to :meth:`apply` are divided by it.
    gradient_accumulation_steps : int, optional
        Update the weights every so many steps, with the mean gradient.
    name : str, optional

    Raises
    ------
    ValueError
        If more than one way of clipping is asked for, or a setting is out of range.

    Examples
    --------
    >>> class Plain(Optimizer):
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         variable.assign_sub(learning_rate * gradient)
    >>> w = Variable([1.0, 2.0])
    >>> Plain(learning_rate=0.5).apply([np.array([1.0, 1.0])], [w])
    >>> w.numpy()
    array([0.5, 1.5], dtype=float32)
    """

    keras_module = "keras.optimizers"
    #: Slots in the order of Keras's files: a group lists what is interleaved variable by variable.
    slot_groups: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __init__(
        self,
        learning_rate: Any,
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
        for unused in ("jit_compile", "is_legacy_optimizer"):
            kwargs.pop(unused, None)
        if kwargs.pop("decay", None):
            warnings.warn(
                "Argument `decay` is no longer supported and will be ignored.", stacklevel=3
            )
        if kwargs:
            raise ValueError(f"Argument(s) not recognized: {kwargs}")
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in clips.values()) > 1:
            raise ValueError(
                "At most one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. "
                f"Received: {', '.join(f'{k}={v}' for k, v in clips.items())}"
            )
        for key, value in clips.items():
            if value is not None and not value > 0:
                raise ValueError(f"`{key}` must be positive. Received: {key}={value}")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(
                f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={ema_momentum}"
            )
        for key, count in (
            ("ema_overwrite_frequency", ema_overwrite_frequency),
            ("gradient_accumulation_steps", gradient_accumulation_steps),
        ):
            least = 1 if key == "ema_overwrite_frequency" else 2
            if count and (not isinstance(count, int) or count < least):
                raise ValueError(
                    f"`{key}` must be an integer >= {least} or None. Received: {key}={count}"
                )
        self.name = name or _naming.unique_name(_naming.to_snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self.iterations = Variable(0, dtype="int64", trainable=False, name="iteration")
        self.iterations.path = f"{self.name}/iteration"
        self._learning_rate: Any = None
        self._set_learning_rate(learning_rate)
        self._segments: list[Segment] = []
        self._trainable: list[Variable] = []
        self._seen: list[Any] = []
        self._moves = -1
        self._slots: list[Variable] = []
        self._slot_homes: list[tuple[Variable, str]] = []
        self._own_variables: list[Variable] = []
        self._undecayed: tuple[set[int], tuple[str, ...]] = (set(), ())

    # Learning rate

    def _set_learning_rate(self, value: Any) -> None:
        if isinstance(value, dict):
            value = _objects.deserialize(value, "keras.optimizers.schedules")
        if isinstance(value, LearningRateSchedule) or callable(value):
            self._learning_rate = value
            return
        if isinstance(value, bool) or not isinstance(value, int | float | np.number | Variable):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of "
                "LearningRateSchedule, or a callable (that takes in the current iteration value "
                f"and returns the corresponding learning rate value). Received: "
                f"learning_rate={value!r}"
            )
        self._learning_rate = Variable(
            float(value), dtype="float32", trainable=False, name="learning_rate"
        )
        self._learning_rate.path = f"{self.name}/learning_rate"

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a Variable, or the schedule's current value."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self.current_learning_rate()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        settable = isinstance(self._learning_rate, Variable)
        if not settable and not callable(value):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its "
                "`learning_rate` constructor argument, hence its learning rate is not settable. "
                "Create it with a float `learning_rate` if you need it to be settable. "
                f"Received: learning_rate={value!r}"
            )
        if settable and not callable(value) and not isinstance(value, dict):
            self._learning_rate.assign(float(value))
        else:
            self._set_learning_rate(value)

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule, if there is one."""
        rate = self._learning_rate
        return rate if isinstance(rate, LearningRateSchedule) else None

    def current_learning_rate(self) -> float:
        """Return the learning rate of this step."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return float(rate.value)
        if isinstance(rate, LearningRateSchedule):
            return float(rate(int(self.iterations.value)))
        return float(rate())

    # Variables

    def exclude_from_weight_decay(
        self,
        var_list: Sequence[Variable] | None = None,
        var_names: Sequence[str] | None = None,
    ) -> None:
        """Leave out variables, or those whose name contains a string, from weight decay.

        Raises
        ------
        ValueError
            Once the optimizer is built.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is "
                "built."
            )
        self._undecayed = ({id(v) for v in var_list or ()}, tuple(var_names or ()))

    def _decays(self, variable: Variable) -> bool:
        chosen, names = self._undecayed
        return id(variable) not in chosen and not any(n in variable.path for n in names)

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the slots for ``variables``."""
        if self.built:
            return
        self._trainable = list(variables)
        groups = list(self.slot_groups if not self._is_custom() else ())
        if self.gradient_accumulation_steps:
            groups.insert(0, ("gradient_accumulator",))
        if self.use_ema:
            groups.insert(0, ("average",))
        for group in groups:
            self._add_slots(self.active_slots(group))
        self._lay_out()
        self.built = True

    def _add_slots(self, names: tuple[str, ...]) -> None:
        """Note a slot for each variable and name."""
        for variable in self._trainable:
            for name in names:
                slot = Variable(0.0, dtype=variable.dtype, trainable=False)
                slot.value = np.full_like(variable.value, self.initial_slot(name))
                slot.name = f"{variable.path.replace('/', '_')}_{name}"
                slot.path = f"{self.name}/{slot.name}"
                self._slots.append(slot)
                self._slot_homes.append((variable, name))

    def _lay_out(self) -> None:
        """Cut the segments for where the variables are now, and move the slots there."""
        single = self.clipnorm is not None or self._is_custom()
        self._segments = cut(self._trainable, self._decays, single)
        self._seen = [variable.value for variable in self._trainable]
        for segment in self._segments:
            for name in {name for _, name in self._slot_homes}:
                segment.slots[name] = np.full_like(segment.w, self.initial_slot(name))
        homes = {id(v): segment for segment in self._segments for v in segment.variables}
        for slot, (variable, name) in zip(self._slots, self._slot_homes, strict=True):
            segment = homes[id(variable)]
            view = segment.view(segment.slots[name], variable)
            view[...] = slot.value
            slot.value = view

    def follow(self) -> None:
        """Find the variables again if they have moved: another model may have taken them in."""
        if self._moves == moves():
            return
        self._moves = moves()
        for variable, seen in zip(self._trainable, self._seen, strict=True):
            if variable.value is not seen:
                self._lay_out()
                return

    @property
    def trained(self) -> list[Variable]:
        """The variables that the optimizer was built for."""
        return list(self._trainable)

    def _is_custom(self) -> bool:
        """Return whether the update is a user's ``update_step``."""
        return type(self).update_step is not Stepping.update_step

    def active_slots(self, group: tuple[str, ...]) -> tuple[str, ...]:
        """Return the slots of ``group`` that the settings need."""
        return group

    def initial_slot(self, name: str) -> float:
        """Return the first value of a slot."""
        return 0.0

    def add_variable_from_reference(
        self,
        reference_variable: Variable,
        name: str | None = None,
        initializer: Any = "zeros",
    ) -> Variable:
        """Return a new variable of this optimizer, of the shape of a weight."""
        from fastconv import initializers

        variable = Variable(
            initializers.get(initializer),
            reference_variable.shape,
            reference_variable.dtype,
            False,
            name,
        )
        variable.path = f"{self.name}/{variable.name}"
        self._own_variables.append(variable)
        return variable

    @property
    def variables(self) -> list[Variable]:
        """Iteration, learning rate and slots, in the order of Keras's files."""
        first = [self.iterations]
        if isinstance(self._learning_rate, Variable):
            first.append(self._learning_rate)
        return [*first, *self._slots, *self._own_variables]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite :attr:`variables`.

        Raises
        ------
        ValueError
            If a number or a shape differs; nothing is changed then.
        """
        from fastconv._variable import assign_all

        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. "
                "Please call `optimizer.build(trainable_variables)` to create the optimizer "
                "weights before calling `set_weights()`."
            )
        assign_all(self.variables, list(weights), self.name)

    def get_config(self) -> dict[str, Any]:
        rate: Any = self._learning_rate
        if isinstance(rate, Variable):
            rate = float(rate.value)
        elif isinstance(rate, LearningRateSchedule | Callable):
            rate = _objects.serialize(rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
