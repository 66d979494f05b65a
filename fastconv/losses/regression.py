"""Losses of continuous targets."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import config
from fastconv.losses.loss import Loss, floats, same_rank

__all__ = [
    "Huber",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "huber",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
]

Array = NDArray[Any]


def mean_squared_error(y_true: ArrayLike, y_pred: Any) -> Any:
    """Return the mean over the last axis of ``(y_true - y_pred) ** 2``.

    Examples
    --------
    >>> mean_squared_error([[0.0, 2.0]], [[1.0, 0.0]])
    array([2.5], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    return np.mean(np.square(pred - true), axis=-1)


def mean_absolute_error(y_true: ArrayLike, y_pred: Any) -> Any:
    """Return the mean over the last axis of ``abs(y_true - y_pred)``.

    Examples
    --------
    >>> mean_absolute_error([[0.0, 2.0]], [[1.0, 0.0]])
    array([1.5], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    return np.mean(np.abs(pred - true), axis=-1)


def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: Any) -> Any:
    """Return the mean over the last axis of ``100 * abs((y_true - y_pred) / y_true)``.

    Targets smaller than ``config.epsilon()`` count as that.

    Examples
    --------
    >>> mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 3.0]])
    array([37.5], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    size = np.maximum(np.abs(true), true.dtype.type(config.epsilon()))
    return np.mean(np.abs((pred - true) / size), axis=-1) * true.dtype.type(100)


def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: Any) -> Any:
    """Return the mean over the last axis of ``(log(y_true + 1) - log(y_pred + 1)) ** 2``.

    Examples
    --------
    >>> mean_squared_logarithmic_error([[0.0]], [[np.e - 1]]).round(5)
    array([1.], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    small = true.dtype.type(config.epsilon())
    logs = np.log(np.maximum(pred, small) + true.dtype.type(1))
    return np.mean(np.square(logs - np.log(np.maximum(true, small) + 1)), axis=-1)


def huber(y_true: ArrayLike, y_pred: Any, delta: float = 1.0) -> Any:
    """Return the mean over the last axis of Huber's loss: squared near 0, linear beyond ``delta``.

    Examples
    --------
    >>> huber([[0.0, 0.0]], [[1.0, 3.0]])
    array([1.5], dtype=float32)
    """
    true, pred = same_rank(*floats(y_true, y_pred))
    size = np.abs(pred - true)
    kind = true.dtype.type
    inside = kind(0.5) * np.square(size)
    outside = kind(delta) * size - kind(0.5 * delta * delta)
    return np.mean(np.where(size <= kind(delta), inside, outside), axis=-1)


class MeanSquaredError(Loss):
    """Mean of squared errors.

    Parameters
    ----------
    reduction, name, dtype
        As in :class:`Loss`.

    Examples
    --------
    >>> float(MeanSquaredError()([[0.0, 2.0]], [[1.0, 0.0]]))
    2.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_squared_error(y_true, y_pred)

    def gradient(self, y_true: ArrayLike, y_pred: Array, weights: Array) -> Array:
        true, pred = same_rank(self.prepare_labels(y_true), y_pred)
        if true.shape != pred.shape:
            return super().gradient(y_true, y_pred, weights)
        error = pred - true
        error *= weights[..., None] * error.dtype.type(2 / error.shape[-1])
        return np.asarray(error)


class MeanAbsoluteError(Loss):
    """Mean of absolute errors.

    Examples
    --------
    >>> float(MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 0.0]]))
    1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_absolute_error(y_true, y_pred)


class MeanAbsolutePercentageError(Loss):
    """Mean of absolute errors in percent of the targets.

    Examples
    --------
    >>> float(MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 3.0]]))
    37.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_absolute_percentage_error(y_true, y_pred)


class MeanSquaredLogarithmicError(Loss):
    """Mean of squared differences of the logarithms of target and prediction plus 1.

    Examples
    --------
    >>> round(float(MeanSquaredLogarithmicError()([[0.0]], [[np.e - 1]])), 5)
    1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return mean_squared_logarithmic_error(y_true, y_pred)


class Huber(Loss):
    """Squared error near 0 and absolute error beyond ``delta`` (Huber, Ann. Math. Stat. 1964).

    Parameters
    ----------
    delta : float
    reduction, name, dtype
        As in :class:`Loss`.

    Examples
    --------
    >>> float(Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
    1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return huber(y_true, y_pred, self.delta)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "delta": self.delta}
