"""Inference on many images as a call for each batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference


def in_batches(call: Callable[[Any], Array], x: Any, batch: int) -> Inference:
    """Call ``call`` on ``batch`` rows of ``x`` after the other and join the results.

    A single batch goes straight to ``call``, so that nothing is added to the latency.

    Examples
    --------
    >>> in_batches(lambda rows: rows * 2, np.arange(4), 2)()
    array([0, 2, 4, 6])
    """
    if len(x) <= batch:
        return lambda: call(x)

    def run() -> Array:
        rows = range(0, len(x), batch)
        return np.concatenate([call(x[start : start + batch]) for start in rows])

    return run
