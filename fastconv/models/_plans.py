"""The plans of a model: made on demand, lent out, given back."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv._variable import Variable
from fastconv.models._buffers import FlatParameters, Workspace
from fastconv.models._plan import Plan
from fastconv.models._slices import LEAST_ROWS, slice_rows
from fastconv.runtime import get_num_threads

Array = NDArray[Any]

_KEPT = 8


def _nothing(x: object) -> None:
    return None


class Plans:
    """Lends plans: one at a time for training, as many as there are callers for inference.

    Parameters
    ----------
    model : Trainer
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._idle: dict[Any, list[Plan]] = {}
        #: Rows of a slice for the shape of a sample.
        self._slice_rows: dict[tuple[int, ...], int] = {}
        self._lock = threading.Lock()
        #: Makes the output for an array like that of the last call, or returns None.
        self.direct: Callable[[Any], Array | None] = _nothing
        self._training_workspace = Workspace()
        self._flat: FlatParameters | None = None
        #: The weights with a penalty or a projection, found once.
        self.regularized: list[Variable] = []
        self.constrained: list[Variable] = []

    def clear(self) -> None:
        """Drop all plans: the layers or what they train have changed."""
        self._idle = {}
        self.direct = _nothing
        self._slice_rows = {}
        self._training_workspace = Workspace()

    def gather_weights(self) -> None:
        """Move all weights that can be trained into flat buffers, and note the special ones."""
        leaves = self._model._leaf_layers()
        variables = [v for layer in leaves for v in layer.weights if v.trainable]
        known = self._flat.variables if self._flat is not None else []
        same = len(known) == len(variables) and all(
            a is b for a, b in zip(known, variables, strict=True)
        )
        if not same and variables:
            self._flat = FlatParameters(variables)
            self.clear()
        trained = self._model.trainable_weights
        self.regularized = [v for v in trained if v.regularizer is not None]
        self.constrained = [v for v in trained if v.constraint is not None]

    def idle(self, shape: tuple[int, ...], training: bool, as_logits: bool = False) -> Plan | None:
        """Lend a plan for this shape of input if one is ready; `give` it back."""
        plans = self._idle.get((shape, training, as_logits))
        try:
            return plans.pop() if plans else None
        except IndexError:  # another thread was faster
            return None

    def take(self, shape: tuple[int, ...], training: bool, as_logits: bool = False) -> Plan:
        """Lend a plan for this shape of input, made if need be; `give` it back."""
        return self.idle(shape, training, as_logits) or self._make(shape, training, as_logits)

    def give(self, plan: Plan) -> None:
        """Take a plan back. One that was made before the last :meth:`clear` is dropped."""
        plans = plan.home
        if plans is not None and (len(plans) < _KEPT or len(plans) < get_num_threads()):
            plans.append(plan)

    def forward_new(self, x: Array) -> Array | None:
        """Return the output for a few rows if a plan is idle that makes it in one call.

        The next call like it can do with :attr:`direct`.
        """
        shape = x.shape
        plans = self._idle.get((shape, False, False))
        if not plans or shape[0] > LEAST_ROWS:
            return None
        try:
            plan = plans.pop()
        except IndexError:  # another thread was faster
            return None
        try:
            made = plan.forward_new(x)
        finally:
            self.give(plan)
        if made is None:
            return None
        if plans is self._idle.get((shape, False, False)):  # not cleared meanwhile
            self.direct = made[1]
        return made[0]

    def take_slices(self, batch_shape: tuple[int, ...], rows: int) -> list[Plan]:
        """Lend plans for slices of ``rows`` samples, each for a thread; none if that has no use.

        Raises ValueError if the model does not take batches of this shape.
        """
        sample = batch_shape[1:]
        size = self._slice_rows.get(sample)
        if size is None:
            self._model._ensure_built_for(batch_shape)
            itemsize = np.dtype(self._model.dtype).itemsize
            size = slice_rows(self._model._leaf_layers(), sample, itemsize)
            self._slice_rows[sample] = size
        if size == 0 or rows < 2 * size:
            return []
        shape = (size, *sample)
        plans = [self.take(shape, False)]
        if not plans[0].runs_slices:
            self._slice_rows[sample] = 0
            self.give(plans[0])
            return []
        beside = min(get_num_threads(), rows // size) - 1
        return plans + [self.take(shape, False) for _ in range(beside)]

    def _make(self, shape: tuple[int, ...], training: bool, as_logits: bool) -> Plan:
        model = self._model
        plan = Plan(
            model._leaf_layers(),
            shape,
            training,
            model.dtype,
            self._training_workspace if training else None,
            as_logits,
        )
        if as_logits:
            plan.predictions = np.empty(plan.output_shape, plan.dtype)
        key = (shape, training, as_logits)
        with self._lock:
            plan.home = self._idle.setdefault(key, [])
            for old in list(self._idle)[: len(self._idle) - _KEPT]:
                if old != key:
                    del self._idle[old]
                    self.direct = _nothing  # which may hold one of them
        return plan
