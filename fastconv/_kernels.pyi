"""Types of the compiled layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Buffer = Any

class Program:
    moving: tuple[Buffer, ...]
    def __init__(self, moving: tuple[Buffer, ...] = ()) -> None: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Program: ...
    def __exit__(self, *error: object) -> None: ...
    def extend(self, other: Program) -> None: ...
    def slice(self, first: int) -> None: ...
    def pool(self, first: int) -> None: ...
    def run(self, *arrays: Buffer) -> None: ...
    def repeat(self, count: int, *arrays: Buffer, beside: tuple[Program, ...] = ()) -> None: ...

class DirectRun:
    def __init__(
        self,
        program: Program,
        counts: list[int],
        idle: list[Any],
        plan: object,
        empty: Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]],
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        y_shape: tuple[int, ...],
    ) -> None: ...
    def __call__(self, x: object) -> NDArray[Any] | None: ...

class Conv2D:
    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    bias_shape: tuple[int, ...]
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
    def packed_bytes(self) -> int: ...
    def takes(self, packed: Buffer) -> bool: ...
    def pack(self, kernel: Buffer, packed: Buffer) -> None: ...
    def forward_packed(self, x: Buffer, packed: Buffer, bias: Buffer | None, y: Buffer) -> None: ...
    def backward_input(self, dy: Buffer, kernel: Buffer, dx: Buffer) -> None: ...
    def backward_weights(
        self, x: Buffer, dy: Buffer, dw: Buffer | None, db: Buffer | None
    ) -> None: ...
    def backward(
        self,
        x: Buffer,
        dy: Buffer,
        kernel: Buffer,
        dx: Buffer,
        dw: Buffer | None,
        db: Buffer | None,
    ) -> None: ...

def repeat_conv2d(
    plans: dict[tuple[Any, ...], Conv2D],
    empty: Callable[..., Any],
    x: Any,
    kernel: Any,
    bias: Any,
    packed: Any,
    out: Any,
    options: tuple[Any, ...],
) -> np.ndarray[Any, Any] | None: ...
def repeat_conv2d_backward(
    plans: dict[tuple[Any, ...], Conv2D],
    empty: Callable[..., Any],
    dy: Any,
    x: Any,
    kernel: Any,
    options: tuple[Any, ...],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]] | None: ...
def overlap(a: Buffer, b: Buffer) -> int: ...
def isa_names() -> list[str]: ...
def isa_available(index: int) -> bool: ...
def isa_current() -> int: ...
def isa_select(index: int) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def build_flags() -> tuple[str, str]: ...
def multiply_adds(double_precision: bool, count: float) -> float: ...

class Pool2D:
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    index_dtype: np.dtype[Any]
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
        index_dtype: np.dtype[Any],
    ) -> None: ...
    def max_forward(self, x: Buffer, y: Buffer, indices: Buffer | None) -> None: ...
    def max_backward(self, dy: Buffer, indices: Buffer, dx: Buffer) -> None: ...
    def avg_forward(self, x: Buffer, y: Buffer) -> None: ...
    def avg_backward(self, dy: Buffer, dx: Buffer) -> None: ...

def activate(activation: int, x: Buffer, y: Buffer) -> None: ...
def activation_needs_input(activation: int) -> bool: ...
def activate_backward(activation: int, dy: Buffer, s: Buffer, dx: Buffer) -> None: ...
def dropout(rate: float, draw: Buffer, x: Buffer, y: Buffer) -> None: ...
def next_draw(draw: Buffer) -> None: ...
def sum_squares(x: Buffer) -> float: ...
def find_outside(indices: Buffer, limit: int) -> int: ...
def gather_rows(
    src: Buffer, itemsize: int, row: int, indices: Buffer, n: int, scale: float, out: Buffer
) -> None: ...
def softmax(x: Buffer, y: Buffer, rows: int, cols: int) -> None: ...
def softmax_backward(dy: Buffer, y: Buffer, dx: Buffer, rows: int, cols: int) -> None: ...
def softmax_crossentropy(
    logits: Buffer,
    labels: Buffer | None,
    targets: Buffer | None,
    weights: Buffer | None,
    loss: Buffer,
    dlogits: Buffer | None,
    probs: Buffer | None,
    correct: Buffer | None,
    totals: Buffer | None,
    rows: int,
    cols: int,
) -> None: ...
def sgd_update(g: Buffer, settings: Buffer, w: Buffer, m: Buffer | None) -> None: ...
def rmsprop_update(
    g: Buffer, settings: Buffer, w: Buffer, v: Buffer, m: Buffer | None, mg: Buffer | None
) -> None: ...
def adam_update(
    g: Buffer, settings: Buffer, w: Buffer, m: Buffer, v: Buffer, vhat: Buffer | None
) -> None: ...
def batchnorm_moments(
    shape: tuple[int, int, int], x: Buffer, mean: Buffer, variance: Buffer
) -> None: ...
def batchnorm_normalize(
    shape: tuple[int, int, int],
    epsilon: float,
    x: Buffer,
    mean: Buffer,
    variance: Buffer,
    gamma: Buffer | None,
    beta: Buffer | None,
    y: Buffer,
) -> None: ...
def batchnorm_backward(
    shape: tuple[int, int, int],
    epsilon: float,
    training: bool,
    dy: Buffer,
    x: Buffer,
    mean: Buffer,
    variance: Buffer,
    gamma: Buffer | None,
    dx: Buffer | None,
    dgamma: Buffer | None,
    dbeta: Buffer | None,
) -> None: ...
