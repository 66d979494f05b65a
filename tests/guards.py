"""Arrays in the middle of larger buffers: reads and writes past their ends show."""

import numpy as np

# Not a multiple of any vector: the arrays start unaligned to everything but their elements.
_BEFORE, _AFTER = 67, 71


def surrounded(array: np.ndarray) -> np.ndarray:
    """Return a copy with NaNs before and after it, which poison any result that reads them."""
    buffer = np.full(_BEFORE + array.size + _AFTER, np.nan, array.dtype)
    copy = buffer[_BEFORE : _BEFORE + array.size].reshape(array.shape)
    copy[...] = array
    return copy


class Output:
    """An array to write to, full of NaN, whose surroundings must stay as they are."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        size = int(np.prod(shape))
        self._buffer = np.full(_BEFORE + size + _AFTER, 77, dtype)
        self.array = self._buffer[_BEFORE : _BEFORE + size].reshape(shape)
        if self.array.dtype.kind == "f":
            self.array[...] = np.nan

    def assert_surroundings_untouched(self) -> None:
        end = self._buffer.size - _AFTER
        assert (self._buffer[:_BEFORE] == 77).all(), "written before the output"
        assert (self._buffer[end:] == 77).all(), "written after the output"
