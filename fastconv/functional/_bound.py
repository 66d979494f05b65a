"""Calls that are repeated on the same arrays: checked when they are bound, not when they run.

What such a call still takes is not checked: it must come from code that made it itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

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
    itemsize, row = src.itemsize, math.prod(src.shape[1:])

    def gather(indices: Array, out: Array, scale: float) -> None:
        _kernels.gather_rows(src, itemsize, row, indices, indices.size, scale, out)

    return gather


def record_sgd_update(w: Array, g: Array, m: Array | None, settings: Array) -> None:
    """Call `sgd_update` with an array of learning_rate, momentum, decay, scale and nesterov.

    `decay` is the share that weights lose: the weight decay times the learning rate. A program
    reads the settings, float64, when it runs; so do those of the other updates.
    """
    _kernels.sgd_update(check_update(w, g, m=m), settings, w, m)


def record_rmsprop_update(
    w: Array, g: Array, v: Array, m: Array | None, mg: Array | None, settings: Array
) -> None:
    """Call `rmsprop_update` with learning_rate, rho, momentum, epsilon, decay and scale."""
    _kernels.rmsprop_update(check_update(w, g, v=v, m=m, mg=mg), settings, w, v, m, mg)


def record_adam_update(
    w: Array, g: Array, m: Array, v: Array, vhat: Array | None, settings: Array
) -> None:
    """Call `adam_update` with learning_rate, beta_1, beta_2, epsilon, decay and scale."""
    _kernels.adam_update(check_update(w, g, m=m, v=v, vhat=vhat), settings, w, m, v, vhat)


def record_next_draw(draw: Array) -> None:
    """Increase the counter in ``draw``, as `dropout` takes it."""
    _kernels.next_draw(draw)


def first_outside(labels: Array, limit: int) -> int:
    """The first i with ``labels[i]``, int64, outside of 0 .. limit - 1, or -1."""
    return _kernels.find_outside(labels, limit)
