"""What this machine can do at best: the measures that benchmarks relate to."""

from __future__ import annotations

import time

import numpy as np

from fastconv import _kernels


def measure_fma_peak(dtype: str = "float32", seconds: float = 0.2) -> float:
    """Speed of independent multiply-adds on one core, in GFLOP/s (a multiply-add counts as two).

    Parameters
    ----------
    dtype : "float32" or "float64"
    seconds : float
        How long to measure; the fastest of many short rounds counts.

    Examples
    --------
    >>> measure_fma_peak(seconds=0.01) > 0.01
    True
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(
            f"Argument `dtype` must be 'float32' or 'float64'. Received: dtype={dtype!r}"
        )
    double = dtype == "float64"
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        start = time.perf_counter()
        done: float = _kernels.multiply_adds(double, 4e6)
        best = max(best, 2e-9 * done / (time.perf_counter() - start))
    return best


def measure_copy_bandwidth(seconds: float = 0.5, megabytes: int = 256) -> float:
    """Speed of copying an array out of cache on one core, in GB/s (read plus written).

    Examples
    --------
    >>> measure_copy_bandwidth(seconds=0.01, megabytes=8) > 0.01
    True
    """
    source = np.ones(megabytes * 2**20, np.uint8)
    target = np.zeros_like(source)
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not best:
        start = time.perf_counter()
        np.copyto(target, source)
        best = max(best, 2e-9 * source.nbytes / (time.perf_counter() - start))
    return best
