"""Data sets: found on this machine or part of the package, never fetched unasked.

Every module has ``load_data()``, which returns ``(x_train, y_train), (x_test, y_test)`` as Keras
does: :mod:`fashion_mnist`, :mod:`digits`, :mod:`shapes` and :mod:`wine`.
"""

from fastconv.datasets import digits as digits
from fastconv.datasets import fashion_mnist as fashion_mnist
from fastconv.datasets import shapes as shapes
from fastconv.datasets import wine as wine

__all__ = ["digits", "fashion_mnist", "shapes", "wine"]
