"""Precision, recall and the F1 score: counts of hits and misses."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import config
from fastconv.metrics.metric import Metric, matched, weights_like

__all__ = ["F1Score", "Precision", "Recall"]

Array = NDArray[Any]


def _check_thresholds(thresholds: Any, default: float) -> tuple[list[float], bool]:
    """Return the thresholds as a list, and whether one number was given."""
    single = thresholds is None or not isinstance(thresholds, list | tuple)
    values = [default if thresholds is None else thresholds] if single else list(thresholds)
    if thresholds is not None and any(t is None or not 0 <= t <= 1 for t in values):
        raise ValueError(
            "Invalid values for argument `thresholds`. Expected values in interval [0, 1]. "
            f"Received: thresholds={thresholds!r}"
        )
    return [float(t) for t in values], single


class _Counting(Metric):
    """Hits and misses per threshold."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        default = 0.5 if top_k is None else -np.inf
        self.init_thresholds = thresholds
        self.thresholds, self._single = _check_thresholds(thresholds, default)
        self.top_k = top_k
        self.class_id = class_id
        self.reset_state()

    def reset_state(self) -> None:
        self._hits = np.zeros(len(self.thresholds))
        self._misses = np.zeros(len(self.thresholds))

    def _prepared(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array]:
        """Return targets, predictions and weights as vectors, after ``top_k`` and ``class_id``."""
        true, pred = matched(y_true, y_pred, self.dtype)
        if true.shape != pred.shape:
            raise ValueError(
                f"Shapes must match. Received: y_true.shape={true.shape}, y_pred.shape={pred.shape}"
            )
        weights = (
            np.ones(true.shape, self.dtype)
            if sample_weight is None
            else weights_like(true, sample_weight)
        )
        if self.top_k is not None:
            order = np.argsort(-pred, axis=-1, kind="stable")[..., : self.top_k]
            kept = np.zeros(pred.shape, bool)
            np.put_along_axis(kept, order, True, axis=-1)
            pred = np.where(kept, pred, -np.inf)
        if self.class_id is not None:
            true, pred = true[..., self.class_id], pred[..., self.class_id]
            weights = weights[..., self.class_id]
        return true.reshape(-1), pred.reshape(-1), weights.reshape(-1)

    def _result(self) -> Any:
        total = self._hits + self._misses
        ratio = np.divide(self._hits, total, out=np.zeros_like(total), where=total > 0)
        ratio = ratio.astype(self.dtype)
        return ratio[0] if self._single else ratio

    def result(self) -> Any:
        return self._result()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


class Precision(_Counting):
    """The share of true ones among the predicted ones.

    Parameters
    ----------
    thresholds : float or list of float, optional
        A prediction above it counts as one; 0.5 by default. A list gives a result for each.
    top_k : int, optional
        Only the ``k`` largest predictions of a sample count.
    class_id : int, optional
        Only this class counts.
    name, dtype
        As in :class:`Metric`.

    Raises
    ------
    ValueError
        If a threshold lies outside of [0, 1].

    Examples
    --------
    >>> round(float(Precision()([0, 1, 1, 1], [1, 0, 1, 1])), 4)
    0.6667
    """

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        true, pred, weights = self._prepared(y_true, y_pred, sample_weight)
        for i, threshold in enumerate(self.thresholds):
            chosen = weights * (pred > threshold)
            self._hits[i] += float((chosen * (true > 0)).sum())
            self._misses[i] += float((chosen * (true <= 0)).sum())


class Recall(_Counting):
    """The share of predicted ones among the true ones.

    Parameters
    ----------
    thresholds, top_k, class_id, name, dtype
        As in :class:`Precision`.

    Examples
    --------
    >>> round(float(Recall()([0, 1, 1, 1], [1, 0, 1, 1])), 4)
    0.6667
    """

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        true, pred, weights = self._prepared(y_true, y_pred, sample_weight)
        positive = weights * (true > 0)
        for i, threshold in enumerate(self.thresholds):
            self._hits[i] += float((positive * (pred > threshold)).sum())
            self._misses[i] += float((positive * (pred <= threshold)).sum())


class F1Score(Metric):
    """The harmonic mean of precision and recall, per class or averaged.

    Parameters
    ----------
    average : {'micro', 'macro', 'weighted'} or None
        None returns one score per class.
    threshold : float, optional
        A prediction above it counts as one; by default the largest of a sample does.
    name, dtype
        As in :class:`Metric`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    >>> y_pred = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
    >>> F1Score(threshold=0.5)(y_true, y_pred).round(4)
    array([0.5   , 0.8   , 0.6667], dtype=float32)
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                "Invalid `average` argument value. Expected one of: "
                f"{{None, 'micro', 'macro', 'weighted'}}. Received: average={average!r}"
            )
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(
                "Invalid `threshold` argument value. It should be a float in the interval (0, 1]. "
                f"Received: threshold={threshold!r}"
            )
        self.average = average
        self.threshold = threshold
        self.reset_state()

    def reset_state(self) -> None:
        self._true_positives: Any = 0.0
        self._false_positives: Any = 0.0
        self._false_negatives: Any = 0.0
        self._mass: Any = 0.0

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        true, pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
        if true.ndim != 2 or true.shape != pred.shape:
            raise ValueError(
                "FBetaScore expects 2D inputs with shape (batch_size, output_dim). Received input "
                f"shapes: y_pred.shape={pred.shape} and y_true.shape={true.shape}."
            )
        if self.threshold is None:
            largest = pred.max(axis=-1, keepdims=True)
            chosen = (pred >= largest) & (np.abs(pred) > 1e-9)
        else:
            chosen = pred > self.threshold
        axis = None if self.average == "micro" else 0
        weights = 1.0 if sample_weight is None else np.asarray(sample_weight)[:, None]
        hit = chosen.astype(np.float64)
        self._true_positives = self._true_positives + (hit * true * weights).sum(axis)
        self._false_positives = self._false_positives + (hit * (1 - true) * weights).sum(axis)
        self._false_negatives = self._false_negatives + ((1 - hit) * true * weights).sum(axis)
        self._mass = self._mass + (true * weights).sum(axis)

    def result(self) -> Any:
        small = config.epsilon()
        precision = self._true_positives / (self._true_positives + self._false_positives + small)
        recall = self._true_positives / (self._true_positives + self._false_negatives + small)
        scores = 2 * precision * recall / (precision + recall + small)
        if self.average == "weighted":
            shares = self._mass / (np.sum(self._mass) + small)
            return np.dtype(self.dtype).type(np.sum(scores * shares))
        if self.average is not None:
            return np.dtype(self.dtype).type(np.mean(scores))
        return np.asarray(scores, self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "threshold": self.threshold}
