"""A record of losses and metrics."""

from typing import Any

from fastconv.callbacks.callback import Callback, Logs

__all__ = ["History"]


class History(Callback):
    """What ``fit`` returns: the figures of all epochs.

    Attributes
    ----------
    history : dict of str to list
        'loss', the metrics, and with ``val_`` before the name those of validation.
    epoch : list of int
    params : dict

    Examples
    --------
    >>> record = History()
    >>> record.on_train_begin()
    >>> record.on_epoch_end(0, {"loss": 0.5})
    >>> record.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self
