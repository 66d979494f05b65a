"""A table of the figures of all epochs."""

import os
from typing import Any

from fastconv.callbacks.callback import Callback, Logs

__all__ = ["CSVLogger"]


class CSVLogger(Callback):
    """Write a row per epoch to a file: the epoch, then the figures in the order of their names.

    Parameters
    ----------
    filename : path
    separator : str
    append : bool
        Go on with an existing file.

    Examples
    --------
    >>> CSVLogger("training.csv").sep
    ','
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.keys: list[str] | None = None
        self._file: Any = None
        self._needs_header = True

    def on_train_begin(self, logs: Logs = None) -> None:
        if self.append and os.path.exists(self.filename):
            self._needs_header = os.path.getsize(self.filename) == 0
            mode = "a"
        else:
            mode = "w"
        self.keys = None
        self._file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115 - closed in on_train_end

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self._needs_header:
                self._write(["epoch", *self.keys])
                self._needs_header = False
        self._write([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])

    def _write(self, row: list[Any]) -> None:
        import csv

        csv.writer(self._file, delimiter=self.sep, lineterminator="\n").writerow(row)
        self._file.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: Any) -> Any:
    if getattr(value, "ndim", 0) > 0:
        return f"[{', '.join(str(v) for v in value)}]"
    return value
