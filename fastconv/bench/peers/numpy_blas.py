"""NumPy as fast as it goes: im2col and a matrix product of its BLAS.

The method is that of Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks
for Document Processing" (2006). It shares its windows, not its arithmetic, with
`fastconv.reference`, which is written for clarity.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant
from fastconv.bench.peers._arrays_api import variant
from fastconv.reference._windows import Windows


class NumPyBLAS:
    """Convolutions without groups; BLAS takes its threads from the environment."""

    name = "numpy_blas"
    version = np.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return case.op == "conv2d" and case.groups == 1

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        return [variant(_Functions, case, pass_)]


class _Functions:
    @staticmethod
    def conv2d(x: Array, kernel: Array, bias: Array, *, groups: int, **options: Any) -> Array:
        conv = Windows(x.shape, kernel.shape[:2], **options)
        y: Array = np.tensordot(conv.view(conv.pad(x, 0)), kernel, ((4, 5, 3), (0, 1, 2)))
        y += bias
        return y

    @staticmethod
    def conv2d_backward(
        dy: Array, x: Array, kernel: Array, *, groups: int, **options: Any
    ) -> tuple[Array, Array, Array]:
        conv = Windows(x.shape, kernel.shape[:2], **options)
        x_padded = conv.pad(x, 0)
        dx_padded = np.zeros_like(x_padded)
        for i, j, region in conv.taps():
            dx_padded[region] += dy @ kernel[i, j].T
        dw = np.tensordot(conv.view(x_padded), dy, ((0, 1, 2), (0, 1, 2)))
        return (
            np.ascontiguousarray(conv.crop(dx_padded)),
            np.ascontiguousarray(dw.transpose(1, 2, 0, 3)),
            dy.sum((0, 1, 2)),
        )


def connect(threads: int) -> Peer:
    return NumPyBLAS()
