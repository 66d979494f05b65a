"""Calls that are repeated on the same arrays: checked when they are bound, not when they run.

What such a call still takes is not checked: it must come from code that made it itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from fastconv import _kernels
from fastconv.functional._arrays import Array
from fastconv.functional._elementwise import check_source
from fastconv.functional._optimizers import check_update


def bind_gather_rows(src: Array) -> Callable[[Array, Array, float], None]:
    """Return ``f(indices, out, scale)``: ``gather_rows(src, indices, out=out, scale=scale)``.

    `indices` must be a contiguous int64 array of rows that exist, `out` a contiguous float32 or
    float64 array of so many rows.

    Examples
    --------
    >>> import numpy as np
    >>> gather, out = bind_gather_rows(np.eye(3, dtype="uint8")), np.empty((1, 3), "float32")
    >>> gather(np.array([2]), out, 0.5)
    >>> out
    array([[0. , 0. , 0.5]], dtype=float32)
    """
    src = check_source(src)
    row = math.prod(src.shape[1:])

    def gather(indices: Array, out: Array, scale: float) -> None:
        _kernels.gather_rows(src, row, indices, scale, out)

    return gather


def bind_sgd_update(w: Array, g: Array, m: Array | None) -> Callable[..., None]:
    """Return ``f(learning_rate, momentum, nesterov, decay, scale)``: `sgd_update` of these arrays.

    `decay` is the share that weights lose: the weight decay times the learning rate.
    """
    return partial(_kernels.sgd_update, w, check_update(w, g, m=m), m)


def bind_rmsprop_update(
    w: Array, g: Array, v: Array, m: Array | None, mg: Array | None
) -> Callable[..., None]:
    """Return ``f(learning_rate, rho, momentum, epsilon, decay, scale)``: `rmsprop_update`."""
    return partial(_kernels.rmsprop_update, w, check_update(w, g, v=v, m=m, mg=mg), v, m, mg)


def bind_adam_update(
    w: Array, g: Array, m: Array, v: Array, vhat: Array | None
) -> Callable[..., None]:
    """Return ``f(learning_rate, beta_1, beta_2, epsilon, decay, scale)``: `adam_update`."""
    return partial(_kernels.adam_update, w, check_update(w, g, m=m, v=v, vhat=vhat), m, v, vhat)


def first_outside(labels: Array, limit: int) -> int:
    """The first i with ``labels[i]``, int64, outside of 0 .. limit - 1, or -1."""
    return _kernels.find_outside(labels, limit)
