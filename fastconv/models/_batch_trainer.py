"""Single batches: forward, loss, metrics, backward, update."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import regularizers
from fastconv._variable import Variable
from fastconv.layers.layer import Layer
from fastconv.models._arrays import as_array, check_cardinality, class_weights
from fastconv.models._compiled import Compiled
from fastconv.models._data import Batch
from fastconv.models._head import LossHead
from fastconv.models._plan import Plan
from fastconv.models._plans import Plans
from fastconv.models._slices import LEAST_ROWS
from fastconv.optimizers._recorded import RecordedOptimizer

Array = NDArray[Any]


class BatchTrainer(Compiled):
    """Training and inference, one batch at a time, for a model that is a chain of layers.

    The subclass provides ``_leaf_layers``, ``_ensure_built_for`` and ``_fitted_shape``.
    """

    built: bool
    dtype: str

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        raise TypeError(f"{type(self).__name__} must implement `trainable_weights`.")

    def _init_batches(self) -> None:
        self._init_compiled()
        self._plans = Plans(self)
        self._head = None

    def _leaf_layers(self) -> list[Layer]:
        raise TypeError(f"{type(self).__name__} must implement `_leaf_layers`.")

    def _ensure_built_for(self, shape: tuple[int, ...]) -> None:
        raise TypeError(f"{type(self).__name__} must implement `_ensure_built_for`.")

    def _fitted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        raise TypeError(f"{type(self).__name__} must implement `_fitted_shape`.")

    def _prepare_training(self, shape: tuple[int, ...]) -> LossHead:
        """Build what one batch of ``shape`` needs, the first time."""
        self._ensure_built_for(shape)
        if self._head is None:
            if self._loss_object is None:
                raise ValueError("No loss to compute. Received: loss=None")
            self._plans.gather_weights()
            self.optimizer.build(self.trainable_weights)
            self._check_trained()
            self._head = LossHead(self._loss_object, self._leaf_layers()[-1], self._loss_weight)
        return self._head

    def _check_trained(self) -> None:
        """Raise ValueError if the weights to train are not those of the last ``compile``."""
        known = {id(variable) for variable in self.optimizer.trained}
        if {id(variable) for variable in self.trainable_weights} != known:
            raise ValueError(
                "The layers, or which of them are trainable, have changed since `compile()`: call "
                f"it again. Received: model {getattr(self, 'name', '')!r} with "
                f"{len(self.trainable_weights)} weights to train, {len(known)} before"
            )

    def _step(self, batch: Batch, training: bool) -> None:
        """Run one batch: forward, loss, metrics, and in training backward and update."""
        shape = self._fitted_shape(batch.x_shape)
        head = self._head
        plan = None if head is None else self._plans.idle(shape, training, head.as_logits)
        if head is None or plan is None:
            head = self._prepare_training(shape)
            plan = self._plans.take(shape, training, head.as_logits)
            plan.fuse(head.fused(plan.result, plan.dy if training else None))
        try:
            metrics = self._compiled_metrics
            if batch.y is None or metrics is None:
                raise ValueError("Targets are needed to compute the loss. Received: y=None")
            if not metrics.built:
                metrics.build(batch.y.shape, plan.output_shape)
            x = plan.take(batch)
            counted = None
            if batch.weight is None and not metrics.need_predictions:
                counted = plan.run_fused(x, batch.y)
            if counted is not None:
                loss, correct = counted
                metrics.update_counts(correct, batch.size)
            else:
                y = plan.forward(x)
                y_pred = plan.predictions if head.as_logits else y
                loss = head(batch.y, y, batch.weight, plan.dy if training else None, y_pred)
                metrics.update(batch.y, y_pred, batch.weight)
                if training:
                    plan.backward()
            if plan.is_penalized or self._plans.regularized:
                loss += plan.penalty() + self._weight_penalty()
            if training:
                self._update()
            self._loss_total += loss * batch.size
            self._loss_count += batch.size
        finally:
            self._plans.give(plan)

    def _step_together(self, batch: Batch, training: bool) -> bool:
        """Run the batches that ``batch`` holds, as :meth:`_step` does, in one call.

        Return False, with nothing done, where that takes more than kernels.
        """
        head, metrics, optimizer = self._head, self._compiled_metrics, self.optimizer
        if (
            head is None
            or metrics is None
            or metrics.need_predictions
            or batch.weight is not None
            or self._plans.regularized
        ):
            return False
        update = settings = None
        if training:
            recorded = isinstance(optimizer, RecordedOptimizer) and optimizer.is_plain()
            if not recorded or self._plans.constrained:
                return False
            update, settings = optimizer.together(), optimizer.settings_of_steps(batch.count)
        plan = self._plans.idle(self._fitted_shape(batch.x_shape), training, head.as_logits)
        if plan is None:
            return False
        try:
            steps = plan.join(batch, update)
            figures = None if steps is None else steps.run(batch, settings)
        finally:
            self._plans.give(plan)
        if figures is None:
            return False
        losses, correct = figures
        if training:
            optimizer.count_steps(batch.count)
        metrics.update_counts(correct, batch.count * batch.size)
        total = self._loss_total
        for loss in losses:
            total += loss * batch.size
        self._loss_total = total
        self._loss_count += batch.count * batch.size
        return True

    def _weight_penalty(self) -> float:
        total = 0.0
        for variable in self._plans.regularized:
            if variable.regularizer is not None:
                total += float(variable.regularizer(variable.value))
        return total

    def _update(self) -> None:
        """Let the optimizer use the gradients."""
        for variable in self._plans.regularized:
            if variable.grad is not None and variable.regularizer is not None:
                regularizers.apply_gradient(variable.regularizer, variable.value, variable.grad)
        self.optimizer.step()
        for variable in self._plans.constrained:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Return the loss, or a list of it and the metrics in the order of ``compile``."""
        values = [logs[name] for name in self.metrics_names]
        return values[0] if len(values) == 1 else values

    def _one_batch(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None = None
    ) -> Batch:
        array = as_array(x, "x")
        targets = None if y is None else as_array(y, "y")
        weights = None if sample_weight is None else as_array(sample_weight, "sample_weight")
        check_cardinality(array, targets, weights)
        if class_weight is not None:
            if weights is not None:
                raise ValueError(
                    "Arguments `sample_weight` and `class_weight` cannot be specified at the "
                    f"same time. Received: class_weight={class_weight}"
                )
            weights = class_weights(class_weight, targets)
        return Batch(array, None, array.shape[0], targets, weights)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one update with a batch; return its loss and metrics.

        Parameters
        ----------
        x, y, sample_weight : array_like
        class_weight : dict, optional
        return_dict : bool

        Returns
        -------
        float, list of float or dict

        Raises
        ------
        ValueError
            If the model is not compiled or the arrays do not fit together.
        """
        self._check_compiled("train_on_batch")
        self.reset_metrics()
        self._step(self._one_batch(x, y, sample_weight, class_weight), training=True)
        logs = self.get_metrics_result()
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate a batch; return its loss and metrics.

        Parameters and result are those of :meth:`train_on_batch`.
        """
        self._check_compiled("test_on_batch")
        self.reset_metrics()
        self._step(self._one_batch(x, y, sample_weight), training=False)
        logs = self.get_metrics_result()
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Array:
        """Return the outputs for one batch."""
        return self._run(as_array(x, "x"), training=False)

    def _plan(self, shape: tuple[int, ...], training: bool) -> Plan:
        """Lend a plan for inputs of ``shape``, which is checked the first time."""
        plan = self._plans.idle(shape, training)
        if plan is None:
            self._ensure_built_for(shape)
            plan = self._plans.take(shape, training)
        return plan

    def _infer(self, batch: Batch, place: Callable[[tuple[int, ...], str], Array]) -> Array:
        """Return the outputs for all rows of ``batch`` in what ``place`` returns for their shape.

        In slices where that pays; what is left, and other batches, in the passes of a plan.
        """
        shape, rows = self._fitted_shape(batch.x_shape), batch.count * batch.size
        x = batch.view(np.dtype(self.dtype))
        out: Array | None = None
        done = 0
        if x is not None and rows > LEAST_ROWS:
            plans = self._plans.take_slices(shape, rows)
            try:
                if plans:
                    out = place((rows, *plans[0].output_shape[1:]), plans[0].dtype)
                    x = x.reshape(rows, *shape[1:])
                    done = plans[0].forward_slices(x, out, plans[1:])
            finally:
                for plan in plans:
                    self._plans.give(plan)
        if out is not None and done == rows:
            return out
        if done and x is not None:
            batch = Batch(x[done:], None, rows - done, None, None)
        plan = self._plan((batch.size, *shape[1:]), False)
        try:
            if out is None:
                out = place((rows, *plan.output_shape[1:]), plan.dtype)
            plan.forward_each(batch, out[done:])
            return out
        finally:
            self._plans.give(plan)

    def _run(self, x: Array, training: bool) -> Array:
        """Return a new array: the output for ``x``."""
        if not training and x.shape[0] > LEAST_ROWS:
            return self._infer(Batch(x, None, x.shape[0], None, None), np.empty)
        plan = self._plan(self._fitted_shape(x.shape), training)
        try:
            out = np.empty(plan.output_shape, plan.dtype)
            return plan.forward(plan.take_array(x), out)
        finally:
            self._plans.give(plan)
