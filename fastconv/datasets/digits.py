"""Handwritten digits: 1,797 images of 8x8 pixels in ten classes, part of the package.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits" (1998), UCI Machine
Learning Repository, doi:10.24432/C50P49, its test part. Creative Commons Attribution 4.0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastconv.datasets._folders import EMBEDDED
from fastconv.datasets._idx import read_idx

CLASS_NAMES = tuple("0123456789")
TEST_EVERY = 5

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def load_data() -> tuple[Pair, Pair]:
    """Load the digits.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images: uint8 of shape (1442, 8, 8) and (355, 8, 8), values 0 (paper) to 16 (ink).
        Labels: uint8 of shape (1442,) and (355,). Every fifth image of each digit is for testing.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1442, 8, 8), (355, 8, 8), 16)
    """
    images = read_idx(EMBEDDED / "digits" / "images-idx3-ubyte.gz", item_shape=(8, 8))
    labels = read_idx(EMBEDDED / "digits" / "labels-idx1-ubyte.gz")
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(len(CLASS_NAMES)):
        test[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return (images[~test], labels[~test]), (images[test], labels[test])
