"""Memory of a model: flat buffers for weights and gradients, and a workspace for activations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastconv._variable import Variable
from fastconv.optimizers._segments import ALIGNMENT

Array = NDArray[Any]

_CACHE_LINE = 64


def aligned(count: int, dtype: DTypeLike, zero: bool = False) -> Array:
    """Return ``count`` elements whose memory starts at a cache line."""
    kind = np.dtype(dtype)
    make = np.zeros if zero else np.empty
    raw = make(count * kind.itemsize + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + count * kind.itemsize].view(kind)


class FlatParameters:
    """The trainable weights of a model in one buffer and their gradients in another.

    Parameters
    ----------
    variables : sequence of Variable
        Moved into the buffers, each from a multiple of 16 elements on.

    Attributes
    ----------
    values, grads : ndarray, one axis
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = list(variables)
        offsets = []
        total = 0
        for variable in self.variables:
            offsets.append(total)
            total += -(-variable.size // ALIGNMENT) * ALIGNMENT
        dtype = self.variables[0].dtype if self.variables else "float32"
        self.values = aligned(total, dtype, zero=True)
        self.grads = aligned(total, dtype, zero=True)
        for variable, offset in zip(self.variables, offsets, strict=True):
            variable.bind(self.values, self.grads, offset)


class Workspace:
    """Blocks of memory that plans for different batch sizes share.

    A plan asks for its arrays in a fixed order; the n-th request of every plan is served from the
    n-th block, which grows if need be. Only one plan may run at a time.
    """

    def __init__(self) -> None:
        self._blocks: list[Array] = []

    def block(self, index: int, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of ``shape`` in the block ``index``."""
        kind = np.dtype(dtype)
        count = math.prod(shape)
        size = count * kind.itemsize
        while len(self._blocks) <= index:
            self._blocks.append(aligned(0, np.uint8))
        if self._blocks[index].size < size:
            self._blocks[index] = aligned(size, np.uint8)
        return self._blocks[index][:size].view(kind).reshape(shape)
