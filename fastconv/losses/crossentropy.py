"""Crossentropy of class probabilities."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import activations, config
from fastconv._autodiff import Tensor, as_float, plain
from fastconv.losses.loss import Loss, check_smoothing, floats

__all__ = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
]

Array = NDArray[Any]


def _log_probabilities(y_pred: Any, from_logits: bool, axis: int) -> Any:
    """Return log-probabilities; probabilities are made to sum to one, then clipped."""
    if from_logits:
        return activations.log_softmax(y_pred, axis=axis)
    kind = y_pred.dtype.type
    small = kind(config.epsilon())
    shares = y_pred / np.sum(y_pred, axis=axis, keepdims=True)
    return np.log(np.clip(shares, small, kind(1) - small))


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return ``-sum(y_true * log(y_pred))`` along ``axis``.

    Parameters
    ----------
    y_true : array_like
        One-hot rows or probabilities.
    y_pred : array_like of the same shape
    from_logits : bool
        ``y_pred`` holds values before the softmax.
    label_smoothing : float
        Share of every target that is spread evenly over the classes.
    axis : int

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    true, pred = floats(y_true, y_pred)
    if true.shape != pred.shape:
        raise ValueError(
            "Arguments `target` and `output` must have the same shape. "
            f"Received: target.shape={true.shape}, output.shape={pred.shape}"
        )
    if label_smoothing:
        kind = true.dtype.type
        share = kind(label_smoothing / true.shape[axis])
        true = true * kind(1 - label_smoothing) + share
    return -np.sum(true * _log_probabilities(pred, from_logits, axis), axis=axis)


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """Return ``-log(y_pred[label])`` along ``axis``.

    Parameters
    ----------
    y_true : array_like of int
        Labels; a last axis of length 1 is dropped.
    y_pred : array_like
        Probabilities, or with ``from_logits`` values before the softmax.
    from_logits : bool
    ignore_class : int, optional
        The loss of this label is 0.
    axis : int

    Raises
    ------
    ValueError
        If the shapes do not fit or a label is out of range.

    Examples
    --------
    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]]).round(4)
    array([0.6931], dtype=float32)
    """
    pred = as_float(y_pred)
    labels = integer_labels(plain(y_true), pred.shape, axis)
    logs = _log_probabilities(pred, from_logits, axis)
    ignored = np.zeros(labels.shape, bool) if ignore_class is None else labels == ignore_class
    check_labels(labels[~ignored], pred.shape[axis])
    chosen = np.zeros(pred.shape, pred.dtype)
    index = np.expand_dims(np.where(ignored, 0, labels), axis)
    np.put_along_axis(chosen, index, np.expand_dims(~ignored, axis).astype(pred.dtype), axis)
    return -np.sum(logs * chosen, axis=axis)


def integer_labels(y_true: Any, shape: tuple[int, ...], axis: int = -1) -> Array:
    """Return labels for predictions of ``shape`` as integers of one axis less."""
    labels = np.asarray(y_true)
    if labels.ndim == len(shape) and labels.shape[-1] == 1:
        labels = labels[..., 0]
    expected = list(shape)
    del expected[axis]
    if labels.shape != tuple(expected):
        raise ValueError(
            "Argument `output` must have rank (ndim) `target.ndim - 1` and the same sizes on the "
            f"other axes. Received: target.shape={np.shape(y_true)}, output.shape={shape}"
        )
    return labels if labels.dtype.kind in "iu" else labels.astype(np.int64)


def check_labels(labels: Array, classes: int) -> None:
    """Raise ValueError if a label is not from 0 to ``classes - 1``."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"`y_true` must hold labels from 0 to {classes - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )


class CategoricalCrossentropy(Loss):
    """Crossentropy of one-hot targets and class probabilities.

    Parameters
    ----------
    from_logits : bool
        The predictions are values before the softmax.
    label_smoothing : float
        Share of every target that is spread evenly over the classes.
    axis : int
    reduction, name, dtype
        As in :class:`Loss`.

    Examples
    --------
    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.05, 0.95]])), 4)
    0.0513
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = bool(from_logits)
        self.label_smoothing = check_smoothing(label_smoothing)
        self.axis = axis

    def per_sample(self, y_true: ArrayLike, y_pred: Any) -> Any:
        return self.call(np.asarray(y_true, self.dtype), _floats(y_pred, self.dtype))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


class SparseCategoricalCrossentropy(Loss):
    """Crossentropy of integer labels and class probabilities.

    Parameters
    ----------
    from_logits : bool
        The predictions are values before the softmax.
    ignore_class : int, optional
        Samples of this label do not count.
    reduction, axis, name, dtype
        As in :class:`CategoricalCrossentropy`.

    Examples
    --------
    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.05, 0.95]])), 4)
    0.0513
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = bool(from_logits)
        self.ignore_class = ignore_class
        self.axis = axis

    def __call__(
        self, y_true: ArrayLike, y_pred: Any, sample_weight: ArrayLike | None = None
    ) -> Any:
        return super().__call__(y_true, y_pred, self.counted(y_true, y_pred, sample_weight))

    def value_and_gradient(
        self, y_true: ArrayLike, y_pred: Array, sample_weight: Array | None, dy: Array | None
    ) -> float:
        weights = self.counted(y_true, y_pred, sample_weight)
        return super().value_and_gradient(y_true, y_pred, weights, dy)

    def counted(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        """Return weights that leave out the ignored class and make up for it in the mean."""
        if self.ignore_class is None:
            return sample_weight
        kept = integer_labels(y_true, np.shape(plain(y_pred)), self.axis) != self.ignore_class
        mask = kept.astype(self.dtype)
        if self.reduction in ("sum_over_batch_size", "mean") and kept.any():
            mask *= mask.size / kept.sum()
        if sample_weight is None:
            return mask
        weights = np.asarray(sample_weight, self.dtype)
        if weights.ndim < mask.ndim:
            weights = weights.reshape(weights.shape + (1,) * (mask.ndim - weights.ndim))
        return mask * weights

    def per_sample(self, y_true: ArrayLike, y_pred: Any) -> Any:
        return self.call(y_true, _floats(y_pred, self.dtype))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }


def _floats(y_pred: Any, dtype: str) -> Any:
    return y_pred if isinstance(y_pred, Tensor) else np.asarray(y_pred, dtype)
