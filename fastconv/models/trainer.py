"""Fit, evaluate and predict."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.callbacks import CallbackList, History
from fastconv.models._arrays import as_count
from fastconv.models._batch_trainer import BatchTrainer
from fastconv.models._data import ArrayBatches, Batch, Batches, make_batches, split_validation
from fastconv.models._interrupt import DeferredInterrupt
from fastconv.models._loop import (
    BatchEnd,
    closing,
    due,
    looks_at_batches,
    validation_batches,
)
from fastconv.models._pace import Pace
from fastconv.utils import make_seed

__all__ = ["Trainer"]

Array = NDArray[Any]


class Trainer(BatchTrainer):
    """Training and inference on whole data sets."""

    def _init_trainer(self) -> None:
        self._init_batches()
        self.history: History | None = None
        #: Together with the epoch, it decides the order of the rows.
        self.shuffle_seed = 0
        self._resume: tuple[int, int] | None = None

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
        epochs = as_count(epochs, "epochs")
        initial_epoch = as_count(initial_epoch, "initial_epoch")
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_validation(
                (x, y, sample_weight), validation_split
            )
        data = make_batches(
            x, y, sample_weight, batch_size, bool(shuffle), class_weight, steps_per_epoch
        )
        held_out = validation_batches(
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
        with DeferredInterrupt() as interrupt, closing(calls):
            calls.on_train_begin()
            first, skipped = self._resume or (initial_epoch, 0)
            pace = Pace(single=looks_at_batches(calls, "train"))
            for epoch in range(first, epochs):
                calls.on_epoch_begin(epoch)
                batches = data.epoch(self.shuffle_seed, epoch - initial_epoch, pace)
                seen_before = skipped if epoch == first else 0
                steps = self._run_epoch(batches, calls, interrupt, pace, seen_before)
                if data.num_batches is None:
                    data.num_batches = steps
                logs = self.get_metrics_result()
                if held_out is not None and due(validation_freq, epoch):
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
        batches: Iterator[Batch],
        calls: CallbackList,
        interrupt: DeferredInterrupt,
        pace: Pace,
        skipped: int,
    ) -> int:
        """Train on the batches of one epoch, without the first ones if they were seen before.

        Return the number of batches.
        """
        self.reset_metrics()
        begin = calls.on_train_batch_begin if calls.has("on_train_batch_begin") else None
        end = BatchEnd(calls, "on_train_batch_end", self.get_metrics_result)
        step = 0
        for batch in batches:
            step += batch.count
            if step <= skipped:
                continue
            if begin is not None:
                begin(step - 1)
            pace.begin()
            if batch.count == 1:
                interrupt.enter_step()
                self._step(batch, training=True)
                interrupt.leave_step()
            else:
                self._run_together(batch, interrupt, pace)
            pace.end(batch.count)
            end(step - 1)
            if self.stop_training:
                break
        return end.count

    def _run_together(self, batch: Batch, interrupt: DeferredInterrupt, pace: Pace) -> None:
        """Train on several batches: in one call, or one at a time from now on."""
        interrupt.enter_step()
        done = self._step_together(batch, training=True)
        interrupt.leave_step()
        if not done:
            pace.keep_single()
            for single in batch.split():
                interrupt.enter_step()
                self._step(single, training=True)
                interrupt.leave_step()

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
        with closing(calls):
            logs = self._evaluate(data, calls)
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, data: Batches, calls: CallbackList) -> dict[str, Any]:
        """Return loss and metrics over ``data``."""
        calls.on_test_begin()
        self.reset_metrics()
        begin = calls.on_test_batch_begin if calls.has("on_test_batch_begin") else None
        end = BatchEnd(calls, "on_test_batch_end", self.get_metrics_result)
        pace = Pace(single=looks_at_batches(calls, "test"))
        step = 0
        for batch in data.epoch(0, 0, pace):
            if begin is not None:
                begin(step)
            pace.begin()
            if batch.count == 1 or not self._step_together(batch, training=False):
                for single in batch.split():
                    self._step(single, training=False)
            pace.end(batch.count)
            step += batch.count
            end(step - 1)
        logs = self.get_metrics_result()
        calls.on_test_end(logs)
        return logs

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

        def place(shape: tuple[int, ...], dtype: str) -> Array:
            nonlocal whole
            if isinstance(data, ArrayBatches) and steps is None:
                if whole is None:
                    whole = np.empty((data.x.shape[0], *shape[1:]), dtype)
                return whole[done : done + shape[0]]
            parts.append(np.empty(shape, dtype))
            return parts[-1]

        begin = calls.on_predict_batch_begin if calls.has("on_predict_batch_begin") else None
        end = calls.on_predict_batch_end if calls.has("on_predict_batch_end") else None
        pace = Pace(single=looks_at_batches(calls, "predict"))
        step = 0
        with closing(calls):
            calls.on_predict_begin()
            for batch in data.epoch(0, 0, pace):
                if begin is not None:
                    begin(step)
                pace.begin()
                out = self._infer(batch, place)
                pace.end(batch.count)
                done += len(out)
                step += batch.count
                if end is not None:
                    end(step - 1, {"outputs": out})
            calls.on_predict_end()
        if whole is not None:
            return whole
        if not parts:
            raise ValueError(f"`x` yielded no batches. Received: x={x!r}")
        return np.concatenate(parts)
