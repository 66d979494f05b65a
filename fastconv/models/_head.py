"""The end of a training step: the loss and its gradient, fused with the last activation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import activations, functional
from fastconv.layers.layer import Layer
from fastconv.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    SparseCategoricalCrossentropy,
)
from fastconv.losses.crossentropy import integer_labels
from fastconv.losses.loss import reduction_weights, same_rank
from fastconv.models._fused_loss import FusedLoss, can_fuse

Array = NDArray[Any]

_SOFTMAX_LOSSES = (CategoricalCrossentropy, SparseCategoricalCrossentropy)


class LossHead:
    """Computes a loss and its gradient at the end of a model.

    Softmax and sigmoid as last activation are left out of the model and computed together with the
    crossentropy, which is exact also where the probability underflows.

    Parameters
    ----------
    loss : Loss
    last : Layer
        The model's last layer.
    weight : float
        Factor of the loss.

    Attributes
    ----------
    as_logits : bool
        Whether the model must leave out its last activation.
    """

    def __init__(self, loss: Loss, last: Layer, weight: float = 1.0) -> None:
        self.loss = loss
        self._weight = weight
        ends_in = getattr(last, "ends_in", None)
        if last.activity_regularizer is not None:
            ends_in = None
        self.as_logits = False
        self._can_fuse = False
        self._run: Callable[..., float] = self._generic
        if type(loss) in _SOFTMAX_LOSSES and loss.axis == -1:  # type: ignore[attr-defined]
            self.as_logits = ends_in is activations.softmax and not loss.from_logits  # type: ignore[attr-defined]
            if self.as_logits or loss.from_logits:  # type: ignore[attr-defined]
                self._run = self._softmax
                self._can_fuse = weight == 1.0 and can_fuse(loss)
        elif type(loss) is BinaryCrossentropy and not loss.from_logits:
            self.as_logits = ends_in is activations.sigmoid
            if self.as_logits:
                self._logits_loss = BinaryCrossentropy(
                    True, loss.label_smoothing, loss.axis, loss.reduction, loss.name, loss.dtype
                )
                self._run = self._sigmoid

    def fused(self, logits: Array, dy: Array | None) -> FusedLoss | None:
        """Return the loss of a plan's output as a recorded call, or None if it is none."""
        if self._can_fuse and logits.ndim == 2:
            return FusedLoss(self.loss, logits, dy)
        return None

    def __call__(
        self,
        y_true: Any,
        y: Array,
        sample_weight: Array | None,
        dy: Array | None,
        y_pred: Array,
    ) -> float:
        """Return the loss; write its gradient to ``dy`` and the predictions to ``y_pred``.

        Parameters
        ----------
        y_true : array_like
        y : ndarray
            The output of the model, or with :attr:`as_logits` the values before the activation.
        sample_weight : ndarray or None
        dy : ndarray or None
        y_pred : ndarray
            Only written with :attr:`as_logits`; may be ``y``.
        """
        value = self._run(y_true, y, sample_weight, dy, y_pred)
        if self._weight != 1.0:
            value *= self._weight
            if dy is not None:
                dy *= self._weight
        return value

    def _generic(
        self, y_true: Any, y: Array, sample_weight: Array | None, dy: Array | None, _: Array
    ) -> float:
        return self.loss.value_and_gradient(y_true, y, sample_weight, dy)

    def _sigmoid(
        self, y_true: Any, y: Array, sample_weight: Array | None, dy: Array | None, y_pred: Array
    ) -> float:
        loss = self._logits_loss
        value = loss.value_and_gradient(y_true, y, sample_weight, None)
        functional.activate(y, "sigmoid", out=y_pred)
        if dy is not None:
            true, _ = same_rank(loss.prepare_labels(y_true), y)
            if loss.label_smoothing:
                true = true * (1 - loss.label_smoothing) + 0.5 * loss.label_smoothing
            axis = loss.axis % y.ndim
            shape = y.shape[:axis] + y.shape[axis + 1 :]
            weights = None
            if sample_weight is not None:
                weights = np.broadcast_to(_rank(sample_weight, len(shape)), shape)
            share = reduction_weights(shape, weights, loss.reduction, y.dtype)
            np.subtract(y_pred, true.reshape(y.shape), out=dy)
            dy *= np.expand_dims(share, axis) / y.dtype.type(y.shape[axis])
        return value

    def _softmax(
        self, y_true: Any, y: Array, sample_weight: Array | None, dy: Array | None, y_pred: Array
    ) -> float:
        loss: Any = self.loss
        classes = y.shape[-1]
        rows = y.reshape(-1, classes)
        weights = sample_weight
        if isinstance(loss, SparseCategoricalCrossentropy):
            labels: Array = integer_labels(y_true, y.shape).reshape(-1)
            if loss.ignore_class is not None:
                weights = loss.counted(y_true, y, sample_weight)
                labels = np.where(labels == loss.ignore_class, 0, labels)
        else:
            labels = np.ascontiguousarray(y_true, y.dtype)
            if labels.shape != y.shape:
                raise ValueError(
                    "Arguments `target` and `output` must have the same shape. "
                    f"Received: target.shape={labels.shape}, output.shape={y.shape}"
                )
            labels = labels.reshape(-1, classes)
            if loss.label_smoothing:
                smoothing = y.dtype.type(loss.label_smoothing)
                labels = labels * (1 - smoothing) + smoothing / classes
        if weights is not None:
            weights = np.ascontiguousarray(
                np.broadcast_to(_rank(weights, y.ndim - 1), y.shape[:-1]), y.dtype
            ).reshape(-1)
        losses = functional.softmax_crossentropy(
            rows,
            labels,
            sample_weight=weights,
            dlogits=None if dy is None else dy.reshape(-1, classes),
            probs=y_pred.reshape(-1, classes) if self.as_logits else None,
        )
        return self._reduced(losses, weights, dy)

    def _reduced(self, losses: Array, weights: Array | None, dy: Array | None) -> float:
        """Return the reduced loss; ``dy`` is that of the mean and may need another factor."""
        count = max(losses.size, 1)
        total = float(losses.sum(dtype=np.float64))
        reduction = self.loss.reduction
        if reduction in ("sum_over_batch_size", "mean"):
            return total / count
        mass = 1.0
        if reduction == "mean_with_sample_weight":
            mass = float(weights.sum()) if weights is not None else float(count)
        factor = 1 / mass if mass else 0.0
        if dy is not None:
            dy *= count * factor
        return total * factor


def _rank(weights: Any, ndim: int) -> Array:
    """Return ``weights`` with ``ndim`` axes: of length 1 added or dropped at the end."""
    array = np.asarray(weights)
    while array.ndim > ndim and array.shape[-1] == 1:
        array = array[..., 0]
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))
