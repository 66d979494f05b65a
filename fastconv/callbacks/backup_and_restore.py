"""Resume an interrupted fit."""

import os
from typing import Any

from fastconv.callbacks.callback import Callback, Logs
from fastconv.layers.dropout import Dropout

__all__ = ["BackupAndRestore"]

_STATE = "training_metadata.json"


class BackupAndRestore(Callback):
    """Back up the state of training, and go on from there when ``fit`` is called again.

    Weights, optimizer, the order of the rows and the dropout masks are restored, so that an
    interrupted and resumed fit ends with the weights of one that was not interrupted. The backup
    is removed when ``fit`` ends.

    Parameters
    ----------
    backup_dir : path
        A folder for this training alone.
    save_freq : {'epoch'} or int
        After epochs, or after so many batches.
    double_checkpoint : bool
        Keep the backup before the last one, too.
    delete_checkpoint : bool
        Remove the backup when ``fit`` ends.

    Raises
    ------
    ValueError
        If ``backup_dir`` is empty or ``save_freq`` is neither.

    Examples
    --------
    >>> BackupAndRestore("backup").save_freq
    'epoch'
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.backup_dir = os.fspath(backup_dir) if backup_dir else ""
        if not self.backup_dir:
            raise ValueError(f"Empty `backup_dir` argument passed. Received: {backup_dir=}")
        if save_freq != "epoch" and (
            isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1
        ):
            raise ValueError(
                "Invalid value for argument `save_freq`. Expected 'epoch' or an integer value. "
                f"Received: save_freq={save_freq!r}"
            )
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._epoch = 0
        self._batches = 0
        self._kept: list[str] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        self._kept = []
        path = os.path.join(self.backup_dir, _STATE)
        if not os.path.exists(path):
            return
        import json

        with open(path, encoding="utf-8") as file:
            try:
                state = json.load(file)
                weights = os.path.join(self.backup_dir, os.path.basename(state["weights"]))
                position = (int(state["epoch"]), int(state["batch"]))
                seeds = [[int(a), int(b)] for a, b in state["dropout"]]
                shuffle = int(state["shuffle_seed"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"The backup is damaged ({error}); remove it to start anew. "
                    f"Received: backup_dir={self.backup_dir!r}"
                ) from error
        self.model.load_weights(weights)
        for layer, seed in zip(self._dropouts(), seeds, strict=False):
            layer.seed_state[:] = seed
        self.model.resume_at(*position, shuffle)
        self._kept = [weights]

    def _dropouts(self) -> list[Dropout]:
        return [layer for layer in self.model.leaves() if isinstance(layer, Dropout)]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= self.save_freq:
            self._batches = 0
            self._back_up(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch" or self._batches == 0:
            self._back_up(epoch + 1, 0)

    def _back_up(self, epoch: int, batch: int) -> None:
        """Write the weights to a new file, then the state that names it."""
        import json

        from fastconv.saving._atomic import replacing

        weights = os.path.join(self.backup_dir, f"epoch-{epoch}-batch-{batch}.weights.h5")
        self.model.save_weights(weights, overwrite=True)
        state = {
            "epoch": epoch,
            "batch": batch,
            "weights": os.path.basename(weights),
            "shuffle_seed": self.model.shuffle_seed,
            "dropout": [layer.seed_state for layer in self._dropouts()],
        }
        with replacing(os.path.join(self.backup_dir, _STATE)) as file:
            file.write(json.dumps(state).encode())
        if weights not in self._kept:
            self._kept.append(weights)
        while len(self._kept) > 1 + self.double_checkpoint:
            _remove(self._kept.pop(0))

    def on_train_end(self, logs: Logs = None) -> None:
        if not self.delete_checkpoint:
            return
        _remove(os.path.join(self.backup_dir, _STATE))
        for weights in self._kept:
            _remove(weights)
        self._kept = []
        try:
            os.rmdir(self.backup_dir)
        except OSError:
            return


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.remove(path)
