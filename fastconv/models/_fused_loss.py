"""Softmax and crossentropy at the end of a plan as one recorded call."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import functional
from fastconv.losses import SparseCategoricalCrossentropy
from fastconv.losses.loss import Loss

Array = NDArray[Any]

_INT64 = np.dtype(np.int64)


def can_fuse(loss: Loss) -> bool:
    """Return whether `FusedLoss` computes this crossentropy: the plain mean over the batch."""
    return (
        loss.reduction in ("sum_over_batch_size", "mean")
        and not getattr(loss, "label_smoothing", 0)
        and getattr(loss, "ignore_class", None) is None
    )


class FusedLoss:
    """The mean crossentropy of logits, its gradient and the number of correct predictions.

    Nothing is allocated from step to step, and the probabilities are not written.

    Parameters
    ----------
    loss : Loss
        One that `can_fuse`.
    logits : ndarray of shape (n, classes)
        Where the plan puts them.
    dy : ndarray, optional
        Receives the gradient.

    Attributes
    ----------
    target : ndarray
        Stands for the labels or the one-hot rows in :attr:`program`.
    totals : ndarray of shape (2,)
        Stands there for the sum of the losses and the number of correct predictions.
    program : Program
    """

    def __init__(self, loss: Loss, logits: Array, dy: Array | None) -> None:
        rows, self._classes = logits.shape
        self._sparse = isinstance(loss, SparseCategoricalCrossentropy)
        self._shape = (rows,) if self._sparse else logits.shape
        self._dtype = _INT64 if self._sparse else logits.dtype
        self.totals = np.zeros(2)
        self.target = np.zeros(self._shape, self._dtype)
        self.program = functional.Program((self.target, self.totals))
        with self.program:
            functional.softmax_crossentropy(
                logits,
                self.target,
                dlogits=dy,
                correct=np.empty(rows, bool),
                totals=self.totals,
                out=np.empty(rows, logits.dtype),
            )

    def prepared(self, y_true: Any, batches: int = 1) -> Array | None:
        """Return the targets as :attr:`program` takes them, for a number of batches.

        None if ``y_true`` is anything but labels in range or one-hot rows of the right shape.
        """
        if not isinstance(y_true, np.ndarray):
            return None
        target = y_true
        if self._sparse:
            if target.ndim == 2 and target.shape[1] == 1:
                target = target[:, 0]
            if target.dtype.kind not in "iu":
                return None
            target = target.astype(_INT64, copy=False)
        shape = (batches * self._shape[0], *self._shape[1:])
        if target.shape != shape or target.dtype != self._dtype or target.size == 0:
            return None
        if not target.flags.c_contiguous:
            target = np.ascontiguousarray(target)
        if self._sparse and functional.first_outside(target, self._classes) >= 0:
            return None
        return target

    def result(self) -> tuple[float, float]:
        """Return the mean loss and the number of correct predictions of the last run."""
        loss, correct = self.totals.tolist()
        return loss / self._shape[0], correct
