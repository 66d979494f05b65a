"""Scalars for TensorBoard."""

import os
import time
from typing import Any

from fastconv.callbacks._events import EventWriter
from fastconv.callbacks.callback import Callback, Logs

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write loss, metrics and learning rate to event files for TensorBoard.

    The files lie in ``log_dir/train`` and ``log_dir/validation``; the names are those of Keras,
    ``epoch_loss`` and so on. Graphs, histograms and profiles are not written.

    Parameters
    ----------
    log_dir : path
    histogram_freq, write_graph, write_images, profile_batch, embeddings_freq, embeddings_metadata
        Accepted for Keras's sake, without effect.
    write_steps_per_second : bool
        Write the speed, too.
    update_freq : {'epoch', 'batch'} or int
        Write the training figures after epochs only, or after so many batches too.

    Raises
    ------
    ValueError
        If ``update_freq`` is neither.

    Examples
    --------
    >>> TensorBoard("logs").update_freq
    'epoch'
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("epoch", "batch") and not (
            isinstance(update_freq, int) and update_freq > 0
        ):
            raise ValueError(
                "`update_freq` must be 'epoch', 'batch' or a positive int. "
                f"Received: update_freq={update_freq!r}"
            )
        self.log_dir = os.fspath(log_dir)
        self.update_freq = update_freq
        self.write_steps_per_second = write_steps_per_second
        self._every = {"epoch": 0, "batch": 1}.get(update_freq, update_freq)
        self._writers: dict[str, EventWriter] = {}
        self._step = 0
        self._epoch_start = (0, 0.0)

    def _writer(self, part: str) -> EventWriter:
        if part not in self._writers:
            self._writers[part] = EventWriter(os.path.join(self.log_dir, part))
        return self._writers[part]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch_start = (self._step, time.perf_counter())

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._step += 1
        if self._every and self._step % self._every == 0:
            for name, value in (logs or {}).items():
                self._writer("train").scalar(f"batch_{name}", value, self._step)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        figures = dict(logs or {})
        figures.setdefault("learning_rate", float(self.model.optimizer.learning_rate))
        if self.write_steps_per_second:
            step, start = self._epoch_start
            seconds = time.perf_counter() - start
            speed = (self._step - step) / seconds if seconds else 0.0
            self._writer("train").scalar("epoch_steps_per_second", speed, epoch)
        for name, value in figures.items():
            if getattr(value, "ndim", 0) or isinstance(value, dict):
                continue
            if name.startswith("val_"):
                self._writer("validation").scalar(f"epoch_{name[4:]}", value, epoch)
            else:
                self._writer("train").scalar(f"epoch_{name}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
