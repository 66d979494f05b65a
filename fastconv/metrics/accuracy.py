"""How often predictions are right."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.losses.loss import same_rank
from fastconv.metrics.metric import MeanMetricWrapper

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]

Array = NDArray[Any]


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return where prediction and target are equal.

    Examples
    --------
    >>> accuracy([1, 2], [1, 3])
    array([ True, False])
    """
    true, pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    return np.asarray(true == pred)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """Return where a prediction above the threshold meets a target of 1, and below of 0.

    Examples
    --------
    >>> binary_accuracy([1, 0], [0.7, 0.7])
    array([ True, False])
    """
    true, pred = same_rank(np.asarray(y_true), np.asarray(y_pred))
    return np.asarray(true == (pred > threshold))


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return where the largest prediction is that of the one-hot target.

    Examples
    --------
    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]])
    array([ True, False])
    """
    return np.asarray(np.argmax(y_true, axis=-1) == np.argmax(y_pred, axis=-1))


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return where the largest prediction is that of the label.

    Examples
    --------
    >>> sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]])
    array([ True, False])
    """
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    if true.ndim == pred.ndim and true.shape[-1] == 1:
        true = true[..., 0]
    return np.asarray(true == np.argmax(pred, axis=-1))


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """Return where the label is among the ``k`` largest predictions.

    Examples
    --------
    >>> sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]], k=2)
    array([ True, False])
    """
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    shape = true.shape
    rows = pred.reshape(-1, pred.shape[-1])
    labels = true.reshape(-1)
    if from_sorted_ids:
        return np.asarray((labels[:, None] == rows[:, :k]).any(axis=1)).reshape(shape)
    index = labels.astype(np.int64)
    valid = (index >= 0) & (index < rows.shape[1])
    chosen = rows[np.arange(rows.shape[0]), np.where(valid, index, 0)]
    better = np.count_nonzero(rows > chosen[:, None], axis=1)
    return np.asarray(valid & np.isfinite(chosen) & (better < k)).reshape(shape)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """Return where the class of the one-hot target is among the ``k`` largest predictions.

    Examples
    --------
    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.1, 0.6, 0.3]], k=2)
    array([ True])
    """
    return sparse_top_k_categorical_accuracy(np.argmax(y_true, axis=-1), y_pred, k)


class Accuracy(MeanMetricWrapper):
    """The share of predictions equal to the targets.

    Examples
    --------
    >>> float(Accuracy()([[1], [2], [3], [4]], [[0], [2], [3], [4]]))
    0.75
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class BinaryAccuracy(MeanMetricWrapper):
    """The share of predictions on the same side of the threshold as the targets.

    Parameters
    ----------
    name, dtype
        As in :class:`Metric`.
    threshold : float
        From 0 to 1.

    Raises
    ------
    ValueError
        If the threshold is not.

    Examples
    --------
    >>> float(BinaryAccuracy()([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]]))
    0.75
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(
                "Invalid value for argument `threshold`. Expected a value in interval [0, 1]. "
                f"Received: threshold={threshold}"
            )
        super().__init__(binary_accuracy, name=name, dtype=dtype, threshold=threshold)
        self.threshold = threshold

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "threshold": self.threshold}


class CategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest prediction is that of the one-hot target.

    Examples
    --------
    >>> float(CategoricalAccuracy()([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]]))
    0.5
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest prediction is that of the label.

    Examples
    --------
    >>> float(SparseCategoricalAccuracy()([[2], [1]], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]]))
    0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose one-hot target is among the ``k`` largest predictions.

    Examples
    --------
    >>> metric = TopKCategoricalAccuracy(k=1)
    >>> float(metric([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]]))
    0.5
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name=name, dtype=dtype, k=k)
        self.k = k

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, "k": self.k}


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose label is among the ``k`` largest predictions.

    Parameters
    ----------
    k : int
    name, dtype
        As in :class:`Metric`.
    from_sorted_ids : bool
        The predictions are class numbers, best first, in place of scores.

    Examples
    --------
    >>> metric = SparseTopKCategoricalAccuracy(k=1)
    >>> float(metric([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]]))
    0.5
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy,
            name=name,
            dtype=dtype,
            k=k,
            from_sorted_ids=from_sorted_ids,
        )
        self.k = k
        self.from_sorted_ids = from_sorted_ids

    def get_config(self) -> dict[str, Any]:
        config = {"name": self.name, "dtype": self.dtype, "k": self.k}
        return {**config, "from_sorted_ids": True} if self.from_sorted_ids else config
