"""Lower the learning rate when a figure no longer improves."""

from typing import Any

import numpy as np

from fastconv.callbacks._messages import say
from fastconv.callbacks._monitor import MonitorCallback
from fastconv.callbacks.callback import Logs

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by a factor when a figure has not improved for some epochs.

    Parameters
    ----------
    monitor : str
    factor : float
        Less than 1.
    patience : int
        Epochs without improvement to wait for.
    verbose : int
        1 tells about every change.
    mode : {'auto', 'min', 'max'}
    min_delta : float
        Smaller changes are no improvement.
    cooldown : int
        Epochs to wait after a change.
    min_lr : float
        The learning rate goes no lower.

    Raises
    ------
    ValueError
        If ``factor`` is 1 or more.

    Examples
    --------
    >>> ReduceLROnPlateau(factor=0.5).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Unrecognized arguments. Received: {kwargs}")
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau does not support a factor >= 1.0. Received: factor={factor}"
            )
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs if logs is not None else {}
        rate = float(self.model.optimizer.learning_rate)
        logs["learning_rate"] = rate
        current = self.current(logs, "Learning rate reduction is")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch, rate)

    def _reduce(self, epoch: int, rate: float) -> None:
        if rate <= np.float32(self.min_lr):
            return
        lowered = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = lowered
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {lowered}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Return whether a change was made so recently that the figure is not looked at."""
        return self.cooldown_counter > 0
