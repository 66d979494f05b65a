"""The fully connected layer and its gradients."""

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike

from fastconv.reference._arrays import (
    Array,
    Gradients,
    add_bias_and_activate,
    check_needs,
    floating_pair,
)


def dense(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    activation: str | None = None,
) -> Array:
    """Return ``activation(x @ kernel + bias)``.

    Parameters
    ----------
    x : array of shape (n, inputs)
    kernel : array of shape (inputs, units)
    bias : array of shape (units,), optional
    activation : None, 'linear', 'relu', 'sigmoid' or 'tanh'

    Returns
    -------
    y : array of shape (n, units)

    Raises
    ------
    ValueError
        If shapes do not fit each other.

    Examples
    --------
    >>> dense([[1.0, 2.0]], [[3.0], [4.0]], [0.5])
    array([[11.5]])
    """
    rows, weights = floating_pair(x, kernel)
    _check_dense(rows, weights)
    return add_bias_and_activate(rows @ weights, bias, activation)


def dense_backward(
    dy: ArrayLike,
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    needs: Collection[str] = ("dx", "dw", "db"),
) -> Gradients:
    """Return the gradients of `dense` (without activation), None where not in ``needs``.

    Examples
    --------
    >>> dx, dw, db = dense_backward([[1.0]], [[1.0, 2.0]], [[3.0], [4.0]])
    >>> dx, dw.ravel(), db
    (array([[3., 4.]]), array([1., 2.]), array([1.]))
    """
    check_needs(needs)
    rows, weights = floating_pair(x, kernel)
    _check_dense(rows, weights)
    outer = np.asarray(dy, rows.dtype)
    expected = rows.shape[0], weights.shape[1]
    if outer.shape != expected:
        raise ValueError(f"`dy` must have shape {expected}. Received: dy.shape={outer.shape}")
    return (
        outer @ weights.T if "dx" in needs else None,
        rows.T @ outer if "dw" in needs else None,
        outer.sum(0) if "db" in needs else None,
    )


def _check_dense(x: Array, kernel: Array) -> None:
    if x.ndim != 2:
        raise ValueError(f"`x` must be 2-D: (batch, inputs). Received: x.shape={x.shape}")
    if kernel.ndim != 2 or kernel.shape[0] != x.shape[1]:
        raise ValueError(
            f"`kernel` must have shape ({x.shape[1]}, units). Received: kernel.shape={kernel.shape}"
        )
