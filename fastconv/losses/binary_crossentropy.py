"""Crossentropy of yes-or-no probabilities."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv import config
from fastconv.losses.loss import Loss, check_smoothing, floats, same_rank

__all__ = ["BinaryCrossentropy", "binary_crossentropy"]


def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return the mean along ``axis`` of ``-y log(p) - (1 - y) log(1 - p)``.

    Parameters
    ----------
    y_true : array_like
        0, 1 or probabilities.
    y_pred : array_like of the same shape
    from_logits : bool
        ``y_pred`` holds values before the sigmoid.
    label_smoothing : float
        Share of every target that is replaced by one half.
    axis : int

    Examples
    --------
    >>> binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    kind = true.dtype.type
    if label_smoothing:
        true = true * kind(1 - label_smoothing) + kind(0.5 * label_smoothing)
    if from_logits:
        softplus = np.logaddexp(np.zeros_like(pred), -np.abs(pred))
        losses = np.maximum(pred, kind(0)) - pred * true + softplus
    else:
        small = kind(config.epsilon())
        p = np.clip(pred, small, kind(1) - small)
        losses = -(true * np.log(p) + (kind(1) - true) * np.log(kind(1) - p))
    return np.mean(losses, axis=axis)


class BinaryCrossentropy(Loss):
    """Crossentropy of yes-or-no targets and probabilities.

    Parameters
    ----------
    from_logits : bool
        The predictions are values before the sigmoid.
    label_smoothing : float
        Share of every target that is replaced by one half.
    axis, reduction, name, dtype
        As in :class:`CategoricalCrossentropy`.

    Examples
    --------
    >>> round(float(BinaryCrossentropy()([0.0, 1.0], [0.5, 0.5])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = bool(from_logits)
        self.label_smoothing = check_smoothing(label_smoothing)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }
