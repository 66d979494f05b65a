"""Auction prices of red Bordeaux: 27 vintages from 1952 to 1980 with the weather that made them.

Source: O. Ashenfelter, "Predicting the Quality and Prices of Bordeaux Wine", The Economic
Journal 118 (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastconv.datasets._folders import EMBEDDED

FEATURE_NAMES = ("WinterRain", "AGST", "HarvestRain", "Age", "FrancePop")
TARGET_NAME = "Price"
TEST_COUNT = 2

Pair = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def load_data(features: Sequence[str] = FEATURE_NAMES[:4]) -> tuple[Pair, Pair]:
    """Load the wine table; the last two vintages are the test part.

    Parameters
    ----------
    features : sequence of str, default=("WinterRain", "AGST", "HarvestRain", "Age")
        The columns of x, from ``FEATURE_NAMES``: winter rain (mm), average temperature of the
        growing season (degrees C), harvest rain (mm), age in 1983 (years), and the population
        of France (thousands).

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        x: float64 of shape (25, len(features)) and (2, len(features)), unscaled.
        y: float64 of shape (25,) and (2,), the logarithm of the auction price.

    Raises
    ------
    ValueError
        If a name is not one of ``FEATURE_NAMES``.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((25, 4), (2, 4))
    """
    unknown = [name for name in features if name not in FEATURE_NAMES]
    if isinstance(features, str) or unknown or not features:
        raise ValueError(
            f"features must be names from {FEATURE_NAMES}. Received: features={features!r}"
        )
    path = EMBEDDED / "wine" / "wine_bordeaux.csv"
    with path.open(encoding="ascii") as lines:
        columns = lines.readline().strip().split(",")
        table = np.loadtxt(lines, delimiter=",", dtype=np.float64)
    x = np.ascontiguousarray(table[:, [columns.index(name) for name in features]])
    y = np.ascontiguousarray(table[:, columns.index(TARGET_NAME)])
    return (x[:-TEST_COUNT], y[:-TEST_COUNT]), (x[-TEST_COUNT:], y[-TEST_COUNT:])
