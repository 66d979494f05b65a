"""The base of all losses: weights, reduction, gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _naming, _objects, config
from fastconv._autodiff import Tensor, as_float, plain

__all__ = ["Loss", "LossFunctionWrapper"]

Array = NDArray[Any]

_REDUCTIONS = (
    "sum_over_batch_size",
    "sum",
    "mean",
    "mean_with_sample_weight",
    "none",
    None,
)


class Loss(_objects.Serializable):
    """Base of all losses (https://keras.io/api/losses/).

    Subclasses implement ``call(y_true, y_pred)`` with NumPy functions; it returns one loss per
    sample. The gradient is found by differentiating ``call`` automatically, unless ``gradient`` is
    overridden.

    Parameters
    ----------
    name : str, optional
    reduction : {'sum_over_batch_size', 'sum', 'mean', 'mean_with_sample_weight', 'none'} or None
        'sum_over_batch_size' and 'mean' divide the weighted sum by the number of losses,
        'mean_with_sample_weight' by the sum of the weights.
    dtype : str, optional
        Defaults to floatx.

    Raises
    ------
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> class FourthPower(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return np.mean((y_true - y_pred) ** 4, axis=-1)
    >>> float(FourthPower()([[0.0], [0.0]], [[1.0], [2.0]]))
    8.5
    """

    keras_module = "keras.losses"

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction not in _REDUCTIONS:
            raise ValueError(
                "Invalid value for argument `reduction`. Expected one of "
                f"{set(_REDUCTIONS)}. Received: reduction={reduction!r}"
            )
        self.name = name or _naming.to_snake_case(type(self).__name__)
        self.reduction = None if reduction == "none" else reduction
        self.dtype = str(dtype) if isinstance(dtype, str) else config.floatx()

    def __call__(
        self, y_true: ArrayLike, y_pred: Any, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Return the reduced loss.

        Parameters
        ----------
        y_true : array_like
        y_pred : array_like, the first axis the batch
        sample_weight : array_like, optional
            Broadcast to the losses.
        """
        losses = self.per_sample(y_true, y_pred)
        weights = _weights(sample_weight, np.shape(plain(losses)), self.dtype)
        return reduce(losses if weights is None else losses * weights, weights, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one loss per sample."""
        raise TypeError(f"{type(self).__name__} must implement `call(y_true, y_pred)`.")

    def per_sample(self, y_true: ArrayLike, y_pred: Any) -> Any:
        """Return the losses before weights and reduction, of :attr:`dtype`."""
        pred = y_pred if isinstance(y_pred, Tensor) else np.asarray(y_pred, self.dtype)
        true, pred = same_rank(self.prepare_labels(y_true), pred)
        return self.call(true, pred)

    def prepare_labels(self, y_true: ArrayLike) -> Array:
        """Return ``y_true`` as an array of :attr:`dtype`."""
        return np.asarray(y_true, self.dtype)

    def value_and_gradient(
        self, y_true: ArrayLike, y_pred: Array, sample_weight: Array | None, dy: Array | None
    ) -> float:
        """Return the reduced loss; write its gradient with respect to ``y_pred`` to ``dy``.

        Parameters
        ----------
        y_true, y_pred : ndarray
        sample_weight : ndarray or None
        dy : ndarray of the shape of ``y_pred``, or None
            Where the gradient goes.
        """
        losses = np.asarray(self.per_sample(y_true, y_pred))
        weights = _weights(sample_weight, losses.shape, self.dtype)
        weighted = losses if weights is None else losses * weights
        value = float(np.sum(reduce(weighted, weights, self.reduction)))
        if dy is not None:
            share = reduction_weights(losses.shape, weights, self.reduction, losses.dtype)
            dy[...] = self.gradient(y_true, y_pred, share).reshape(dy.shape)
        return value

    def gradient(self, y_true: ArrayLike, y_pred: Array, weights: Array) -> Array:
        """Return the gradient of ``sum(weights * per_sample(y_true, y_pred))``."""
        tensor = Tensor(y_pred)
        losses = Tensor.of(self.per_sample(y_true, tensor))
        losses.backward(weights)
        return np.zeros_like(y_pred) if tensor.grad is None else tensor.grad

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "reduction": self.reduction}


class LossFunctionWrapper(Loss):
    """A plain function of ``(y_true, y_pred)`` as a loss.

    Parameters
    ----------
    fn : callable
        Returns one loss per sample, or a single number; made of NumPy functions.
    reduction, name, dtype
        As in :class:`Loss`.
    **kwargs
        Passed on to ``fn``.

    Examples
    --------
    >>> loss = LossFunctionWrapper(lambda y_true, y_pred: np.sum(np.abs(y_true - y_pred), axis=-1))
    >>> float(loss([[1.0, 2.0]], [[0.0, 0.0]]))
    3.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fn": _objects.serialize(self.fn),
            **{key: _objects.serialize(value) for key, value in self._fn_kwargs.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        from fastconv.losses import deserialize

        return cls(**{**config, "fn": deserialize(config["fn"])})


def same_rank(y_true: Array, y_pred: Any) -> tuple[Array, Any]:
    """Return both with the same number of axes, if they differ by a last axis of length 1."""
    difference = y_true.ndim - y_pred.ndim
    if difference == 1 and y_true.shape[-1] == 1:
        if y_pred.ndim == 1:
            return y_true, y_pred.reshape((-1, 1))
        return y_true[..., 0], y_pred
    if difference == -1 and y_pred.shape[-1] == 1:
        if y_true.ndim == 1:
            return y_true[:, None], y_pred
        return y_true, y_pred[..., 0]
    return y_true, y_pred


def _weights(sample_weight: Any, shape: tuple[int, ...], dtype: str) -> Array | None:
    """Return ``sample_weight`` in the rank of losses of ``shape``."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype)
    if weights.ndim == len(shape) + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    elif 0 < weights.ndim < len(shape):
        weights = weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
    try:
        return np.broadcast_to(weights, shape)
    except ValueError:
        raise ValueError(
            f"`sample_weight` must broadcast to losses of shape {shape}. "
            f"Received: sample_weight.shape={np.shape(sample_weight)}"
        ) from None


def reduce(weighted: Any, weights: Array | None, reduction: str | None) -> Any:
    """Return weighted losses reduced to a scalar, or as they are for None."""
    if reduction is None or np.ndim(plain(weighted)) == 0:
        return weighted
    total = np.sum(weighted)
    if reduction == "sum":
        return total
    size = plain(weighted).size
    if reduction == "mean_with_sample_weight" and weights is not None:
        mass = float(weights.sum())
        return total / mass if mass else total * 0
    return total / max(size, 1)


def reduction_weights(
    shape: tuple[int, ...], weights: Array | None, reduction: str | None, dtype: Any
) -> Array:
    """Return the derivative of :func:`reduce` with respect to each loss."""
    share = np.ones(shape, dtype) if weights is None else np.array(weights, dtype)
    if reduction in (None, "sum") or not shape:
        return share
    if reduction == "mean_with_sample_weight" and weights is not None:
        mass = float(weights.sum())
        return np.asarray(share / mass if mass else share * 0, dtype)
    return np.asarray(share / max(share.size, 1), dtype)


def floats(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return both as floats of the type of ``y_pred``."""
    pred = as_float(y_pred)
    return np.asarray(plain(y_true), pred.dtype), pred


def check_smoothing(label_smoothing: Any) -> float:
    """Return ``label_smoothing`` once it is known to lie in [0, 1]."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            "`label_smoothing` must be in the range [0, 1]. "
            f"Received: label_smoothing={label_smoothing}"
        )
    return float(label_smoothing)
