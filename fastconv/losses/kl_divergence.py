"""Divergence of probabilities."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv import config
from fastconv.losses.loss import Loss, floats

__all__ = ["KLDivergence", "kl_divergence"]


def kl_divergence(y_true: ArrayLike, y_pred: Any) -> Any:
    """Return ``sum(y_true * log(y_true / y_pred))`` over the last axis.

    Examples
    --------
    >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).round(4)
    array([0.1438], dtype=float32)
    """
    true, pred = floats(y_true, y_pred)
    kind = true.dtype.type
    small = kind(config.epsilon())
    true = np.clip(true, small, kind(1))
    pred = np.clip(pred, small, kind(1))
    return np.sum(true * (np.log(true) - np.log(pred)), axis=-1)


class KLDivergence(Loss):
    """Kullback-Leibler divergence of predicted from true probabilities.

    Examples
    --------
    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return kl_divergence(y_true, y_pred)
