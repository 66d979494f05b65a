"""Types of the compiled layer."""

from typing import Any

import numpy as np

Buffer = Any

class Conv2D:
    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    def __init__(
        self,
        x_shape: tuple[int, ...],
        kernel_shape: tuple[int, ...],
        y_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        strides: tuple[int, int],
        dilation: tuple[int, int],
        before: tuple[int, int],
        groups: int,
        channels_first: bool,
        activation: int,
        algorithm: int,
    ) -> None: ...
    def winograd_applies(self) -> bool: ...
    def forward(self, x: Buffer, kernel: Buffer, bias: Buffer | None, y: Buffer) -> None: ...
    def backward_input(self, dy: Buffer, kernel: Buffer, dx: Buffer) -> None: ...
    def backward_weights(
        self, x: Buffer, dy: Buffer, dw: Buffer | None, db: Buffer | None
    ) -> None: ...

def multiply_adds(double_precision: bool, count: float) -> float: ...

class Pool2D:
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    def __init__(
        self,
        x_shape: tuple[int, ...],
        y_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        pool_size: tuple[int, int],
        strides: tuple[int, int],
        before: tuple[int, int],
        channels_first: bool,
    ) -> None: ...
    def max_forward(self, x: Buffer, y: Buffer, indices: Buffer | None) -> None: ...
    def max_backward(self, dy: Buffer, indices: Buffer, dx: Buffer) -> None: ...
    def avg_forward(self, x: Buffer, y: Buffer) -> None: ...
    def avg_backward(self, dy: Buffer, dx: Buffer) -> None: ...
