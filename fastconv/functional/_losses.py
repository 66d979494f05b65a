"""Softmax, and softmax with crossentropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _kernels
from fastconv.functional._arrays import Array, as_float_array, check_shape, output, same_dtype

_BOOL = np.dtype(np.bool_)
_INT64 = np.dtype(np.int64)
_FLOAT64 = np.dtype(np.float64)


def softmax(x: Any, *, out: Array | None = None) -> Array:
    """Exponentials along the last axis, divided by their sum.

    Parameters
    ----------
    x : array of float32 or float64
        (..., classes). Shifted by the maximum first, so that nothing overflows.
    out : array, optional
        Receives the result; may be `x`.

    Returns
    -------
    array
        Of the shape and dtype of `x`; a row with a NaN or +inf gives NaN.

    Raises
    ------
    ValueError, TypeError
        No last axis, or an empty one; `x` or `out` unsuitable.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    x = as_float_array(x, "x")
    rows, classes = _rows(x, "x")
    y = output(out, "out", x.shape, x.dtype, x, may_alias=True)
    _kernels.softmax(x, y, rows, classes)
    return y


def softmax_backward(dy: Any, y: Any, *, out: Array | None = None) -> Array:
    """Gradient of :func:`softmax`: ``y * (dy - sum(y * dy))`` along the last axis.

    Parameters
    ----------
    dy : array of float32 or float64
        Gradient of the loss with respect to the result.
    y : array
        The result of the forward call.
    out : array, optional
        Receives the result; may be `dy` or `y`.

    Returns
    -------
    array
        Of the shape and dtype of `dy`.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes that differ; `out` unsuitable.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([ 0.25, -0.25])
    """
    dy = as_float_array(dy, "dy")
    y = same_dtype(y, "y", dy, "dy")
    check_shape(y, "y", dy.shape)
    rows, classes = _rows(dy, "dy")
    dx = output(out, "out", dy.shape, dy.dtype, dy, y, may_alias=True)
    _kernels.softmax_backward(dy, y, dx, rows, classes)
    return dx


def softmax_crossentropy(
    logits: Any,
    labels: Any,
    *,
    sample_weight: Any = None,
    dlogits: Array | None = None,
    probs: Array | None = None,
    correct: Array | None = None,
    totals: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Crossentropy of the softmax of `logits`, with its gradient, in one stable pass.

    Parameters
    ----------
    logits : array of float32 or float64
        (n, classes).
    labels : array
        Integers (n,), each in 0 .. classes - 1, or a distribution for each row: (n, classes) of any
        real type. Where a distribution has a 0, an infinite logit does no harm.
    sample_weight : array, optional
        (n,), multiplies the losses.
    dlogits : array, optional
        (n, classes); receives the gradient of the mean of the losses returned, that is, for labels,
        ``(softmax(logits) - one_hot) * sample_weight / n``. May be `logits`.
    probs : array, optional
        (n, classes); receives the softmax. May be `logits` if `dlogits` is not.
    correct : array of bool, optional
        (n,); receives whether the label (the first largest entry of a distribution) is the first
        largest logit. False for a row with a NaN.
    totals : array of float64, optional
        (2,); receives the sum of the losses and how many are correct. Needs `correct`.
    out : array, optional
        (n,); receives the result.

    Returns
    -------
    array
        (n,), the loss of each row times its weight.

    Raises
    ------
    ValueError
        A label out of range, or a shape that does not fit.
    TypeError
        Labels that are not integers, or an array of an unsuitable type.

    Examples
    --------
    >>> import numpy as np
    >>> logits, dlogits = np.array([[0.0, 0.0], [0.0, 2.0]]), np.empty((2, 2))
    >>> softmax_crossentropy(logits, np.array([0, 1]), dlogits=dlogits)
    array([0.69314718, 0.12692801])
    >>> dlogits
    array([[-0.25      ,  0.25      ],
           [ 0.05960146, -0.05960146]])
    """
    logits = as_float_array(logits, "logits", ndim=2)
    rows, classes = _rows(logits, "logits")
    sparse, targets = _labels(labels, logits)
    weights = None
    if sample_weight is not None:
        weights = np.require(sample_weight, logits.dtype, ("C", "A"))
        check_shape(weights, "sample_weight", (rows,))
    given = targets if sparse is None else sparse
    inputs = [array for array in (given, weights) if array is not None]
    for name, array in (("dlogits", dlogits), ("probs", probs)):
        if array is not None:
            output(array, name, logits.shape, logits.dtype, *inputs)
            if array is not logits:
                output(array, name, logits.shape, logits.dtype, logits, may_alias=True)
    if correct is not None:
        output(correct, "correct", (rows,), _BOOL, logits, *inputs)
    if dlogits is not None and probs is not None and np.may_share_memory(dlogits, probs):
        raise ValueError(
            "Arguments `dlogits` and `probs` must not share memory. Received: arrays that do"
        )
    if totals is not None:
        output(totals, "totals", (2,), _FLOAT64, logits, *inputs)
        if correct is None:
            raise ValueError("Argument `totals` needs `correct`. Received: correct=None")
    loss = output(out, "out", (rows,), logits.dtype, logits, *inputs)
    _kernels.softmax_crossentropy(
        logits, sparse, targets, weights, loss, dlogits, probs, correct, totals, rows, classes
    )
    return loss


def _rows(x: Array, name: str) -> tuple[int, int]:
    """The number of rows of the last axis of `x`, and their length."""
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(
            f"Argument `{name}` must have a last axis that is not empty. "
            f"Received: {name}.shape={x.shape}"
        )
    return x.size // x.shape[-1], x.shape[-1]


def _labels(labels: Any, logits: Array) -> tuple[Array | None, Array | None]:
    """`labels` as int64 labels or as distributions; the other is None."""
    labels = np.asarray(labels)
    rows, classes = logits.shape
    if labels.ndim == 2:
        if labels.dtype.kind not in "fiub":
            raise TypeError(
                f"Argument `labels` must hold real numbers. Received: labels.dtype={labels.dtype}"
            )
        check_shape(labels, "labels", logits.shape)
        return None, np.require(labels, logits.dtype, ("C", "A"))
    if labels.dtype.kind not in "iu":
        raise TypeError(
            "Argument `labels` must hold integers, or one distribution per row. "
            f"Received: labels.dtype={labels.dtype}, labels.shape={labels.shape}"
        )
    check_shape(labels, "labels", (rows,))
    sparse = np.require(labels, _INT64, ("C", "A"))
    wrong = _kernels.find_outside(sparse, classes)
    if wrong >= 0:
        raise ValueError(
            f"Argument `labels` must lie in 0 .. {classes - 1}, the classes of `logits`. "
            f"Received: labels[{wrong}]={labels[wrong]}"
        )
    return sparse, None
