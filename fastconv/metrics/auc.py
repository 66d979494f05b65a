"""Area under the ROC or the precision-recall curve."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv.activations import sigmoid
from fastconv.metrics.metric import Metric, matched, weights_like

__all__ = ["AUC"]

Array = NDArray[Any]


class AUC(Metric):
    """The area under a curve of hits and misses, by a Riemann sum over thresholds.

    Parameters
    ----------
    num_thresholds : int
        Number of thresholds, at least 2, evenly spread over [0, 1].
    curve : {'ROC', 'PR'}
    summation_method : {'interpolation', 'minoring', 'majoring'}
        'interpolation' uses the trapezoidal rule for ROC and Davis and Goadrich (ICML 2006) for PR.
    name, dtype
        As in :class:`Metric`.
    thresholds : list of float, optional
        In place of ``num_thresholds``.
    multi_label : bool
        Average the areas of the columns, in place of treating all values alike.
    num_labels : int, optional
    label_weights : list of float, optional
        Weights of the columns.
    from_logits : bool
        Apply the sigmoid first.

    Raises
    ------
    ValueError
        If an argument is none of these, or a prediction lies outside of [0, 1].

    Examples
    --------
    >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
    0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if curve not in ("ROC", "PR"):
            raise ValueError(f"`curve` must be 'ROC' or 'PR'. Received: curve={curve!r}")
        methods = ("interpolation", "minoring", "majoring")
        if summation_method not in methods:
            raise ValueError(
                f"`summation_method` must be one of {methods}. "
                f"Received: summation_method={summation_method!r}"
            )
        if thresholds is not None:
            inner = sorted(float(t) for t in thresholds)
            if any(not 0 <= t <= 1 for t in inner):
                raise ValueError(
                    "Invalid values for argument `thresholds`. Expected values in [0, 1]. "
                    f"Received: thresholds={thresholds!r}"
                )
        elif num_thresholds <= 1:
            raise ValueError(
                "Argument `num_thresholds` must be an integer > 1. "
                f"Received: num_thresholds={num_thresholds}"
            )
        else:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        self.num_thresholds = len(inner) + 2
        self.thresholds = [-1e-7, *inner, 1 + 1e-7]
        self._inner = list(thresholds) if thresholds is not None else None
        self.curve = curve
        self.summation_method = summation_method
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        self.from_logits = from_logits
        self.reset_state()

    def reset_state(self) -> None:
        #: Weight of the ones and of the others by the number of thresholds below the prediction.
        self._ones: Any = 0.0
        self._others: Any = 0.0

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        true, pred = matched(y_true, y_pred, self.dtype)
        if true.shape != pred.shape:
            raise ValueError(
                f"Shapes must match. Received: y_true.shape={true.shape}, y_pred.shape={pred.shape}"
            )
        pred = sigmoid(pred) if self.from_logits else np.clip(pred, 0, 1)
        weights = (
            np.ones(true.shape, np.float64)
            if sample_weight is None
            else weights_like(true, sample_weight).astype(np.float64)
        )
        columns = true.shape[-1] if self.multi_label and true.ndim > 1 else 1
        if self.label_weights is not None and not self.multi_label:
            weights = weights * np.asarray(self.label_weights, np.float64)
        bins = np.searchsorted(np.asarray(self.thresholds), pred, side="left")
        index = bins.reshape(-1, columns) * columns + np.arange(columns)
        count = (self.num_thresholds + 1) * columns
        mass, ones = weights.reshape(-1, columns), true.reshape(-1, columns) > 0
        shape = (self.num_thresholds + 1, columns)
        for name, part in (("_ones", mass * ones), ("_others", mass * ~ones)):
            total = np.bincount(index.ravel(), part.ravel(), count).reshape(shape)
            setattr(self, name, getattr(self, name) + total)

    def result(self) -> Any:
        if np.ndim(self._ones) == 0:
            return np.dtype(self.dtype).type(0)
        tp, fp = (_above(counts) for counts in (self._ones, self._others))
        fn, tn = self._ones.sum(axis=0) - tp, self._others.sum(axis=0) - fp
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_pr(tp, fp, fn)
        else:
            recall = _ratio(tp, tp + fn)
            x, y = (
                (_ratio(fp, fp + tn), recall)
                if self.curve == "ROC"
                else (recall, _ratio(tp, tp + fp))
            )
            if self.summation_method == "interpolation":
                heights = (y[:-1] + y[1:]) / 2
            elif self.summation_method == "minoring":
                heights = np.minimum(y[:-1], y[1:])
            else:
                heights = np.maximum(y[:-1], y[1:])
            areas = ((x[:-1] - x[1:]) * heights).sum(axis=0)
        if self.multi_label and self.label_weights is not None:
            shares = np.asarray(self.label_weights, np.float64)
            return np.dtype(self.dtype).type((areas * shares).sum() / shares.sum())
        return np.dtype(self.dtype).type(areas.mean())

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }
        return config if self._inner is None else {**config, "thresholds": self._inner}


def _above(counts: Array) -> Array:
    """Return for each threshold the weight of the predictions above it."""
    return np.asarray(np.cumsum(counts[::-1], axis=0)[::-1][1:])


def _ratio(a: Array, b: Array) -> Array:
    return np.asarray(np.divide(a, b, out=np.zeros_like(a), where=b > 0))


def _interpolated_pr(tp: Array, fp: Array, fn: Array) -> Array:
    """Return the area under the precision-recall curve with its true interpolation."""
    positive = tp + fp
    dtp, dp = tp[:-1] - tp[1:], positive[:-1] - positive[1:]
    slope = _ratio(dtp, np.maximum(dp, 0))
    intercept = tp[1:] - slope * positive[1:]
    both = (positive[:-1] > 0) & (positive[1:] > 0)
    growth = np.where(both, _ratio(positive[:-1], np.maximum(positive[1:], 0)), 1.0)
    steps = slope * (dtp + intercept * np.log(growth))
    return np.asarray(_ratio(steps, np.maximum(tp[1:] + fn[1:], 0)).sum(axis=0))
