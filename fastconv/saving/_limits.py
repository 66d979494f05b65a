"""How much memory a file may claim: no more weights than it could hold values for."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastconv import _variable

_SMALLEST_ITEM = 2
_SLACK = 4096


@contextmanager
def weight_limit(file_size: int) -> Iterator[None]:
    """While inside, refuse to create more weights than ``file_size`` bytes can store."""
    with _variable.element_limit(file_size // _SMALLEST_ITEM + _SLACK):
        yield
