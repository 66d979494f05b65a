"""The plans of a model: made on demand, lent out, given back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv._variable import Variable
from fastconv.models._buffers import FlatParameters, Workspace
from fastconv.models._plan import Plan

_KEPT = 8


class Plans:
    """Lends plans: one at a time for training, as many as there are callers for inference.

    Parameters
    ----------
    model : Trainer
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._idle: dict[Any, list[Plan]] = {}
        self._lock = threading.Lock()
        self._training_workspace = Workspace()
        self._flat: FlatParameters | None = None
        #: The weights with a penalty or a projection, found once.
        self.regularized: list[Variable] = []
        self.constrained: list[Variable] = []

    def clear(self) -> None:
        """Drop all plans: the layers or what they train have changed."""
        self._idle.clear()
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
        self.regularized = [v for v in variables if v.regularizer is not None]
        self.constrained = [v for v in trained if v.constraint is not None]

    @contextmanager
    def borrow(
        self, shape: tuple[int, ...], training: bool, as_logits: bool = False
    ) -> Iterator[Plan]:
        """Lend the plan for a shape of input."""
        key = (shape, training, as_logits)
        with self._lock:
            idle = self._idle.setdefault(key, [])
            plan = idle.pop() if idle else None
        if plan is None:
            plan = self._make(shape, training, as_logits)
        try:
            yield plan
        finally:
            with self._lock:
                if len(idle) < _KEPT:
                    idle.append(plan)

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
        with self._lock:
            if len(self._idle) > _KEPT:
                for key in list(self._idle)[: len(self._idle) - _KEPT]:
                    if not self._idle[key] or key != (shape, training, as_logits):
                        del self._idle[key]
        return plan
