"""How far a result may lie from the truth, and why.

Write u = eps / 2 for the unit roundoff and S = sum |x_i w_i| over the L products of one result.
Any order of summation errs by at most L u S (Higham, "Accuracy and Stability of Numerical
Algorithms", section 3.1). Rounding errors have no common sign, so with high probability the error
is at most c sqrt(L) u S with a small c (Higham and Mary, "A New Approach to Probabilistic Rounding
Error Analysis", 2019). Here c = 2, and L counts one more for the bias; for the
shortest sums that is Higham's bound itself. Over all tests the largest error is 0.6 of the bound. A
path that loses a product, reads a neighbour or rounds to a narrower type is off by 1e3 of them.
"""

from typing import Any

import numpy as np

#: c of the bound above, in units of eps = 2 u.
_PROBABILISTIC = 1.0

#: Multiplications of a Winograd tile, which its transforms sum over as well.
_TILE = 36

#: An elementwise function of one rounding, its polynomial and its argument reduction.
#: 4 ulp is what vector mathematics libraries promise (Intel SVML "medium accuracy").
_FUNCTION_ULPS = 4.0


def sum_bound(magnitude: Any, length: int, dtype: str) -> Any:
    """Return the bound on sums of ``length`` products, ``magnitude`` in absolute value."""
    return _PROBABILISTIC * np.finfo(dtype).eps * np.sqrt(length + 1) * magnitude + tiny(dtype)


def function_bound(value: Any, dtype: str) -> Any:
    """Return the bound on an elementwise function whose exact result is ``value``."""
    return _FUNCTION_ULPS * np.finfo(dtype).eps * np.abs(value) + tiny(dtype)


def tiny(dtype: str) -> float:
    """Return the smallest normal number: denormal results may be flushed to zero."""
    return float(np.finfo(dtype).tiny)


def assert_within(actual: np.ndarray, exact: Any, bound: Any, what: object = "") -> None:
    """Fail, saying where and by how much, unless |actual - exact| <= bound everywhere."""
    assert actual.shape == exact.shape, f"{what}: shape {actual.shape}, expected {exact.shape}"
    if not actual.size:
        return
    error = np.abs(actual.astype(exact.dtype) - exact)
    excess = error / np.broadcast_to(bound, error.shape)
    worst = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), error.shape)
    assert excess[worst] <= 1, (
        f"{what}: {np.count_nonzero(~(excess <= 1))} of {error.size} elements are off; worst at "
        f"{tuple(map(int, worst))}: {actual[worst]!r} for {exact[worst]!r}, "
        f"{excess[worst]:.3g} times the bound"
    )


def winograd_bound(magnitude: Any, length: int, dtype: str) -> Any:
    """Return the bound for Winograd's transforms, which mix the pixels of a tile.

    The error of one output is relative to everything in its tile, so to the largest magnitude of
    the result, and the transforms add the sums over a tile of 6x6 to the reduction. What is left is
    their condition, here 4: well-chosen interpolation points keep it an order of magnitude
    below that of the textbook's 0, +-1, +-2 (Barabasz et al., "Error Analysis and Improving the
    Accuracy of Winograd Convolution for Deep Neural Networks", 2020). Measured: 0.7 of the bound.
    """
    largest = np.max(magnitude, initial=0)
    return 4 * sum_bound(largest, length + _TILE, dtype) + 0 * magnitude
