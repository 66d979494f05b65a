"""Distances of predictions from continuous targets."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastconv.losses import regression
from fastconv.metrics.metric import Mean, MeanMetricWrapper, Metric, matched

__all__ = [
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "R2Score",
    "RootMeanSquaredError",
]


class MeanSquaredError(MeanMetricWrapper):
    """The mean of squared errors.

    Examples
    --------
    >>> float(MeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]]))
    0.25
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(regression.mean_squared_error, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of absolute errors.

    Examples
    --------
    >>> float(MeanAbsoluteError()([[0, 1], [0, 0]], [[1, 1], [0, 0]]))
    0.25
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(regression.mean_absolute_error, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of absolute errors in percent of the targets.

    Examples
    --------
    >>> float(MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 3.0]]))
    37.5
    """

    def __init__(
        self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(regression.mean_absolute_percentage_error, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of squared differences of logarithms.

    Examples
    --------
    >>> round(float(MeanSquaredLogarithmicError()([[0.0]], [[np.e - 1]])), 5)
    1.0
    """

    def __init__(
        self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(regression.mean_squared_logarithmic_error, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


class RootMeanSquaredError(Mean):
    """The root of the mean of squared errors.

    Examples
    --------
    >>> float(RootMeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]]))
    0.5
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take a batch into account."""
        true, pred = matched(y_true, y_pred, self.dtype)
        super().update_state(np.square(true - pred), sample_weight)

    def result(self) -> Any:
        return np.sqrt(super().result())


class R2Score(Metric):
    """The coefficient of determination: 1 for a perfect fit, 0 for predicting the mean.

    Parameters
    ----------
    class_aggregation : {'uniform_average', 'variance_weighted_average'} or None
        How the scores of several outputs become one; None returns them all.
    num_regressors : int
        Number of inputs, for the adjusted score; 0 for the plain one.
    name, dtype
        As in :class:`Metric`.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> round(float(R2Score()([[1], [4], [3]], [[2], [4], [4]])), 7)
    0.5714286
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        valid = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in valid:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {valid}. "
                f"Received: class_aggregation={class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.reset_state()

    def reset_state(self) -> None:
        self._sum: Any = 0.0
        self._squares: Any = 0.0
        self._errors: Any = 0.0
        self._mass: Any = 0.0
        self._samples = 0

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        true, pred = matched(y_true, y_pred, "float64")
        if true.shape != pred.shape or true.ndim < 1:
            raise ValueError(
                "R2Score expects 2D targets and predictions of the same shape. "
                f"Received: y_true.shape={true.shape}, y_pred.shape={pred.shape}"
            )
        weights = np.asarray(1.0 if sample_weight is None else sample_weight, np.float64)
        if weights.ndim == 1 and true.ndim > 1:
            weights = weights[:, None]
        weights = np.broadcast_to(weights, true.shape)
        self._sum = self._sum + (weights * true).sum(axis=0)
        self._squares = self._squares + (weights * true * true).sum(axis=0)
        self._errors = self._errors + (weights * np.square(true - pred)).sum(axis=0)
        self._mass = self._mass + weights.sum(axis=0)
        self._samples += true.size

    def result(self) -> Any:
        kind = np.dtype(self.dtype).type
        with np.errstate(divide="ignore", invalid="ignore"):
            total = self._squares - self._sum * (self._sum / self._mass)
            scores = 1 - self._errors / total
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation is None:
            return self._adjusted(scores).astype(self.dtype)
        if self.class_aggregation == "uniform_average":
            return kind(self._adjusted(np.mean(scores)))
        return kind(self._adjusted(np.sum(total * scores) / np.sum(total)))

    def _adjusted(self, score: Any) -> Any:
        """Return ``score`` corrected for the number of regressors."""
        if not self.num_regressors:
            return score
        freedom = self._samples - self.num_regressors - 1
        if freedom <= 0:
            warnings.warn(
                "Fewer samples than regressors: the adjusted R2 score is not defined, returning "
                "the plain one.",
                stacklevel=3,
            )
            return score
        return 1 - (1 - score) * (self._samples - 1) / freedom

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
