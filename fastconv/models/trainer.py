"""Compile, fit, evaluate and predict."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import losses, optimizers, regularizers
from fastconv._variable import Variable
from fastconv.callbacks import CallbackList, History, ProgbarLogger
from fastconv.layers.layer import Layer
from fastconv.models._compiled_metrics import CompiledMetrics
from fastconv.models._data import (
    ArrayBatches,
    Batch,
    Batches,
    as_array,
    check_cardinality,
    class_weights,
    make_batches,
    split_validation,
    unpack_x_y_sample_weight,
)
from fastconv.models._head import LossHead
from fastconv.models._interrupt import DeferredInterrupt
from fastconv.models._plans import Plans
from fastconv.utils import make_seed

__all__ = ["Trainer"]

Array = NDArray[Any]


class Trainer:
    """Training and inference for a model that is a chain of layers.

    The subclass provides ``_leaf_layers``, ``ensure_built_for`` and ``built``.
    """

    built: bool
    trainable_weights: list[Variable]

    def _init_trainer(self) -> None:
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.compiled = False
        self.history: History | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_object: losses.Loss | None = None
        self._loss_total = 0.0
        self._loss_count = 0.0
        self._plans = Plans(self)
        #: Together with the epoch, it decides the order of the rows.
        self.shuffle_seed = 0
        self._resume: tuple[int, int] | None = None

    # What the subclass provides

    def _leaf_layers(self) -> list[Layer]:
        raise TypeError(f"{type(self).__name__} must implement `_leaf_layers`.")

    def _ensure_built_for(self, shape: tuple[int, ...]) -> None:
        raise TypeError(f"{type(self).__name__} must implement `_ensure_built_for`.")

    def _fit_rank(self, x: Array) -> Array:
        raise TypeError(f"{type(self).__name__} must implement `_fit_rank`.")

    # Compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Set what training uses.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or callable
            A callable of ``(y_true, y_pred)`` made of NumPy functions.
        loss_weights : float, optional
            Factor of the loss.
        metrics, weighted_metrics : list, optional
            Names, Metric objects or functions of ``(y_true, y_pred)``; the weighted ones take
            sample weights into account. 'accuracy' and 'crossentropy' are resolved by the shapes.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted for Keras's sake, without effect.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        made = optimizers.get(optimizer)
        loss_object = None if loss is None else losses.as_loss(_single(loss, "loss"))
        collected = CompiledMetrics(_single_list(metrics), _single_list(weighted_metrics))
        self.optimizer = made
        self.loss = loss
        self._loss_object = loss_object
        self._loss_weight = 1.0 if loss_weights is None else float(_single(loss_weights, "loss"))
        self._compiled_metrics = collected
        self._compile_arguments = {
            "optimizer": made,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": False if jit_compile == "auto" else jit_compile,
        }
        self.stop_training = False
        self.compiled = True
        self._head: LossHead | None = None
        self._plans.clear()
        self.reset_metrics()

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of :meth:`compile` as plain values."""
        from fastconv._objects import serialize

        if not self.compiled:
            return None
        return {key: serialize(value) for key, value in self._compile_arguments.items()}

    def _check_compiled(self, method: str, loss: bool = True) -> CompiledMetrics:
        if self._compiled_metrics is None:
            raise ValueError(
                f"You must call `compile()` before calling `{method}()`. "
                f"Received: model {getattr(self, 'name', '')!r}, which is not compiled"
            )
        if loss and self._loss_object is None:
            raise ValueError(
                "No loss to compute. Provide a `loss` argument in `compile()`. Received: loss=None"
            )
        return self._compiled_metrics

    # Metrics

    @property
    def metrics(self) -> list[Any]:
        """The metric objects; they exist once a batch has been seen."""
        return [] if self._compiled_metrics is None else self._compiled_metrics.metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of the loss and the metrics."""
        if self._compiled_metrics is None:
            return []
        return ["loss", *(name for name, _ in self._compiled_metrics.named())]

    def reset_metrics(self) -> None:
        """Forget the batches that loss and metrics have seen."""
        self._loss_total = 0.0
        self._loss_count = 0.0
        if self._compiled_metrics is not None:
            self._compiled_metrics.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the means of loss and metrics so far, sorted by name."""
        loss = self._loss_total / self._loss_count if self._loss_count else 0.0
        results = {} if self._compiled_metrics is None else self._compiled_metrics.results()
        return dict(sorted({**results, "loss": float(np.float32(loss))}.items()))

    # One batch

    def _prepare_training(self, shape: tuple[int, ...]) -> LossHead:
        """Build what one batch of ``shape`` needs, the first time."""
        self._ensure_built_for(shape)
        if self._head is None:
            if self._loss_object is None:
                raise ValueError("No loss to compute. Received: loss=None")
            self._plans.gather_weights()
            self.optimizer.build(self.trainable_weights)
            self._head = LossHead(self._loss_object, self._leaf_layers()[-1], self._loss_weight)
        return self._head

    def _step(self, batch: Batch, training: bool) -> None:
        """Run one batch: forward, loss, metrics, and in training backward and update."""
        shape = self._fitted_shape(batch.x_shape)
        head = self._prepare_training(shape)
        metrics = self._compiled_metrics
        if batch.y is None or metrics is None:
            raise ValueError("Targets are needed to compute the loss. Received: y=None")
        with self._plans.borrow(shape, training, head.as_logits) as plan:
            x = batch.x(plan.input.reshape(batch.x_shape)).reshape(shape)
            y = plan.forward(x)
            y_pred = plan.predictions if head.as_logits else y
            dy = plan.dy if training else None
            loss = head(batch.y, y, batch.weight, dy, y_pred)
            loss += plan.penalty() + self._weight_penalty()
            if training:
                plan.backward()
                self._update()
            self._loss_total += loss * batch.size
            self._loss_count += batch.size
            if metrics.any:
                metrics.build(batch.y.shape, y_pred.shape)
                metrics.update(batch.y, y_pred, batch.weight)

    def _fitted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self._fit_rank(np.broadcast_to(np.float32(0), shape)).shape

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

    # Whole data sets

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like, or iterable of batches
            Rows are samples; uint8 and float64 are cast batch by batch. An iterable yields
            ``(x, y)`` or ``(x, y, sample_weight)``.
        y : array_like, optional
            Targets, unless ``x`` yields them.
        batch_size : int, optional
            32 by default.
        epochs : int
            The epoch to stop at, counted from 0.
        verbose : {'auto', 0, 1, 2}
            Nothing, a progress bar, or a line per epoch; 'auto' is the bar on a terminal and in a
            notebook and lines elsewhere.
        callbacks : list of Callback, optional
        validation_split : float
            Share of the rows, taken from the end before shuffling, to evaluate after each epoch.
        validation_data : tuple or iterable of batches, optional
            ``(x, y)`` or ``(x, y, sample_weight)`` in its place.
        shuffle : bool
            Draw the rows of each epoch in random order.
        class_weight : dict, optional
            From labels to weights.
        sample_weight : array_like, optional
        initial_epoch : int
            The epoch to start from.
        steps_per_epoch, validation_steps : int, optional
            Batches per epoch, if not all.
        validation_batch_size : int, optional
        validation_freq : int
            Epochs between two validations.

        Returns
        -------
        History
            Its ``history`` holds the figures of all epochs.

        Raises
        ------
        ValueError
            If the model is not compiled or the arguments do not fit together.
        """
        self._check_compiled("fit")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_validation(
                (x, y, sample_weight), validation_split
            )
        data = make_batches(
            x, y, sample_weight, batch_size, bool(shuffle), class_weight, steps_per_epoch
        )
        held_out = _validation(
            validation_data, validation_batch_size or batch_size, validation_steps
        )
        if isinstance(data, ArrayBatches):
            self._prepare_training(self._fitted_shape((data.batch_size, *data.x.shape[1:])))
        calls = CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=data.num_batches,
        )
        self.shuffle_seed = make_seed()
        self._resume = None
        self.stop_training = False
        logs: dict[str, Any] = {}
        with DeferredInterrupt() as interrupt, _closing(calls):
            calls.on_train_begin()
            first, skipped = self._resume or (initial_epoch, 0)
            for epoch in range(first, epochs):
                calls.on_epoch_begin(epoch)
                self._run_epoch(data, epoch, calls, interrupt, skipped if epoch == first else 0)
                logs = self.get_metrics_result()
                if held_out is not None and _due(validation_freq, epoch):
                    figures = self._evaluate(held_out, calls)
                    logs.update({f"val_{name}": value for name, value in figures.items()})
                calls.on_epoch_end(epoch, logs)
                calls.params["steps"] = data.num_batches or calls.params["steps"]
                if self.stop_training or getattr(data, "exhausted", False):
                    break
            self.optimizer.finalize_variable_values(self.trainable_weights)
            calls.on_train_end(logs)
        history = calls.history
        self.history = history
        return history  # type: ignore[no-any-return]

    def resume_at(self, epoch: int, batch: int, shuffle_seed: int) -> None:
        """Let the fit that is about to begin start later, with the same order of rows.

        Parameters
        ----------
        epoch, batch : int
            Where to go on.
        shuffle_seed : int
            The :attr:`shuffle_seed` of the interrupted fit.
        """
        self._resume = (epoch, batch)
        self.shuffle_seed = shuffle_seed

    def _run_epoch(
        self,
        data: Batches,
        epoch: int,
        calls: CallbackList,
        interrupt: DeferredInterrupt,
        skipped: int,
    ) -> None:
        """Train on the batches of one epoch, without the first ones if they were seen before."""
        self.reset_metrics()
        begin = calls.on_train_batch_begin if calls.has("on_train_batch_begin") else None
        end = _BatchEnd(calls, "on_train_batch_end", self.get_metrics_result)
        for step, batch in enumerate(data.epoch(self.shuffle_seed, epoch)):
            if step < skipped:
                continue
            if begin is not None:
                begin(step)
            interrupt.enter_step()
            self._step(batch, training=True)
            interrupt.leave_step()
            end(step)
            if self.stop_training:
                break
        if data.num_batches is None:
            data.num_batches = end.count

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the loss and the metrics for data.

        Parameters
        ----------
        x, y, batch_size, sample_weight, verbose, callbacks
            As in :meth:`fit`.
        steps : int, optional
            Number of batches, if not all.
        return_dict : bool

        Returns
        -------
        float, list of float or dict
            The loss alone if there are no metrics.

        Raises
        ------
        ValueError
            If the model is not compiled or the arguments do not fit together.
        """
        if kwargs:
            raise ValueError(f"Arguments not recognized: {kwargs}")
        self._check_compiled("evaluate")
        data = make_batches(x, y, sample_weight, batch_size, False, None, steps)
        calls = CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=1,
            steps=data.num_batches,
        )
        with _closing(calls):
            logs = self._evaluate(data, calls)
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, data: Batches, calls: CallbackList) -> dict[str, Any]:
        """Return loss and metrics over ``data``."""
        calls.on_test_begin()
        self.reset_metrics()
        begin = calls.on_test_batch_begin if calls.has("on_test_batch_begin") else None
        end = _BatchEnd(calls, "on_test_batch_end", self.get_metrics_result)
        for step, batch in enumerate(data.epoch(0, 0)):
            if begin is not None:
                begin(step)
            self._step(batch, training=False)
            end(step)
        logs = self.get_metrics_result()
        calls.on_test_end(logs)
        return logs

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Return the loss, or a list of it and the metrics in the order of ``compile``."""
        values = [logs[name] for name in self.metrics_names]
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Array:
        """Return the outputs for data, batch by batch.

        Parameters
        ----------
        x : array_like, or iterable of batches
        batch_size, verbose, steps, callbacks
            As in :meth:`evaluate`.

        Returns
        -------
        ndarray, one row per sample

        Raises
        ------
        ValueError
            If the arguments do not fit together.
        """
        data = make_batches(x, None, None, batch_size, False, None, steps)
        calls = CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=1,
            steps=data.num_batches,
        )
        whole: Array | None = None
        parts: list[Array] = []
        done = 0
        begin = calls.on_predict_batch_begin if calls.has("on_predict_batch_begin") else None
        with _closing(calls):
            calls.on_predict_begin()
            for step, batch in enumerate(data.epoch(0, 0)):
                if begin is not None:
                    begin(step)
                shape = self._fitted_shape(batch.x_shape)
                self._ensure_built_for(shape)
                with self._plans.borrow(shape, False) as plan:
                    if whole is None and isinstance(data, ArrayBatches) and steps is None:
                        rows = data.x.shape[0]
                        whole = np.empty((rows, *plan.output_shape[1:]), plan.dtype)
                    if whole is None:
                        out = np.empty(plan.output_shape, plan.dtype)
                        parts.append(out)
                    else:
                        out = whole[done : done + batch.size]
                    x_in = batch.x(plan.input.reshape(batch.x_shape)).reshape(shape)
                    plan.forward(x_in, out)
                done += batch.size
                if calls.has("on_predict_batch_end"):
                    calls.on_predict_batch_end(step, {"outputs": out})
            calls.on_predict_end()
        if whole is not None:
            return whole
        if not parts:
            raise ValueError(f"`x` yielded no batches. Received: x={x!r}")
        return np.concatenate(parts)

    # Single batches

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
        """Make one update with a batch; return the means of loss and metrics since the last reset.

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
        self._step(self._one_batch(x, y, sample_weight, class_weight), training=True)
        logs = self.get_metrics_result()
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate a batch; return the means of loss and metrics since the last reset.

        Parameters and result are those of :meth:`train_on_batch`.
        """
        self._check_compiled("test_on_batch")
        self._step(self._one_batch(x, y, sample_weight), training=False)
        logs = self.get_metrics_result()
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Array:
        """Return the outputs for one batch."""
        return self._run(as_array(x, "x"), training=False)

    def _run(self, x: Array, training: bool) -> Array:
        """Return a new array: the output for ``x``."""
        batch = Batch(x, None, x.shape[0], None, None)
        shape = self._fitted_shape(x.shape)
        self._ensure_built_for(shape)
        with self._plans.borrow(shape, training) as plan:
            out = np.empty(plan.output_shape, plan.dtype)
            x_in = batch.x(plan.input.reshape(x.shape)).reshape(shape)
            return plan.forward(x_in, out)


class _closing:
    """Closes the progress bar if training ends with an error."""

    def __init__(self, calls: CallbackList) -> None:
        self._calls = calls

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            for callback in self._calls:
                if isinstance(callback, ProgbarLogger):
                    callback.close()


class _BatchEnd:
    """Calls a hook after each batch; the figures are only computed when someone looks at them."""

    def __init__(
        self, calls: CallbackList, hook: str, results: Callable[[], dict[str, Any]]
    ) -> None:
        self._call = getattr(calls, hook) if calls.has(hook) else None
        bars = [c for c in calls if isinstance(c, ProgbarLogger)]
        self._bar = bars[0] if bars else None
        self._eager = self._call is not None and calls.count(hook) > len(bars)
        self._results = results
        self.count = 0

    def __call__(self, step: int) -> None:
        self.count = step + 1
        if self._call is None:
            return
        look = self._eager or (self._bar is not None and self._bar.due())
        self._call(step, self._results() if look else None)


def _single(value: Any, name: str) -> Any:
    """Return the only element of a list or dictionary, or the value itself."""
    if isinstance(value, dict) and "class_name" not in value:
        value = list(value.values())
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise ValueError(
                f"A model with one output takes one {name}. Received: {name}={value!r}"
            )
        return value[0]
    return value


def _single_list(value: Any) -> Any:
    """Return the metrics of the only output, where they are given by its name."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
        return value if isinstance(value, list | tuple) else [value]
    return value


def _validation(data: Any, batch_size: int | None, steps: int | None) -> Batches | None:
    if data is None:
        return None
    if isinstance(data, list | tuple) and not (data and isinstance(data[0], tuple)):
        x, y, weight = unpack_x_y_sample_weight(data)
        return make_batches(x, y, weight, batch_size, False, None, steps)
    return make_batches(data, None, None, batch_size, False, None, steps)


def _due(frequency: Any, epoch: int) -> bool:
    """Return whether to validate after an epoch."""
    if isinstance(frequency, int) and frequency > 0:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, list | tuple | set):
        return (epoch + 1) in frequency
    raise ValueError(
        "Expected `validation_freq` to be a list or int. "
        f"Received: validation_freq={frequency} of the type {type(frequency)}."
    )
