"""Save the model while it trains."""

import os
import warnings
from typing import Any

from fastconv.callbacks._messages import say
from fastconv.callbacks._monitor import MonitorCallback
from fastconv.callbacks.callback import Logs

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, after epochs or batches.

    Parameters
    ----------
    filepath : path
        Ends in ``.keras`` or ``.h5``, with ``save_weights_only`` in ``.weights.h5``; may hold
        ``{epoch:02d}`` and figures such as ``{val_loss:.2f}``.
    monitor : str
        The figure that ``save_best_only`` looks at.
    verbose : int
        1 tells about every file.
    save_best_only : bool
        Save only when the figure has improved.
    save_weights_only : bool
    mode : {'auto', 'min', 'max'}
    save_freq : {'epoch'} or int
        After epochs, or after so many batches.
    initial_value_threshold : float, optional
        What the figure must become better than first.

    Raises
    ------
    ValueError
        If the name ends otherwise or ``save_freq`` is neither.

    Examples
    --------
    >>> ModelCheckpoint("best.keras", save_best_only=True).save_freq
    'epoch'
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        if save_freq != "epoch" and (
            isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1
        ):
            raise ValueError(
                f"Unrecognized save_freq: {save_freq}. Expected save_freq are 'epoch' or integer "
                f"values. Received: save_freq={save_freq!r}"
            )
        self.save_freq = save_freq
        if save_weights_only:
            if not self.filepath.endswith((".weights.h5", ".safetensors")):
                raise ValueError(
                    "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath "
                    "provided must end in `.weights.h5` (Keras weights format). Received: "
                    f"filepath={self.filepath}"
                )
        elif not self.filepath.endswith((".keras", ".h5")):
            raise ValueError(
                "The filepath provided must end in `.keras` (Keras model format). Received: "
                f"filepath={self.filepath}"
            )
        self._epoch = 0
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        filepath = self._path(epoch, batch, logs or {})
        if self.save_best_only and not self._improved(epoch, filepath, logs):
            return
        if not self.save_best_only and self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: saving model to {filepath}")
        folder = os.path.dirname(filepath)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(filepath, overwrite=True)
        else:
            self.model.save(filepath, overwrite=True)
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: finished saving model to {filepath}")

    def _improved(self, epoch: int, filepath: str, logs: Logs) -> bool:
        """Return whether the figure is the best so far; note and tell it."""
        current = (logs or {}).get(self.monitor)
        if current is None:
            warnings.warn(
                f"Can save best model only with {self.monitor} available, skipping.", stacklevel=4
            )
            return False
        improved = self.is_improvement(current, self.best)
        if self.verbose > 0:
            best = "None" if self.best is None else f"{self.best:.5f}"
            text = f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {best}"
            if improved:
                text = (
                    f"\nEpoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, "
                    f"saving model to {filepath}"
                )
            say(text)
        if improved:
            self.best = current
        return improved

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        names = dict(logs)
        if batch is not None:
            names["batch"] = batch + 1
        try:
            return str(self.filepath.format(epoch=epoch + 1, **names))
        except KeyError as error:
            raise KeyError(
                f"Failed to format this callback filepath: {self.filepath!r}. Reason: {error}"
            ) from error
