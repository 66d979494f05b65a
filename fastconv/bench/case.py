"""One layer of the benchmark: its shape, its arithmetic, its bytes and its data."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pass = Literal["forward", "backward"]
Op = Literal["conv2d", "depthwise_conv2d", "max_pool2d"]
Clock = Literal["wall", "cpu"]
Pair = tuple[int, int]

PASSES: tuple[Pass, ...] = ("forward", "backward")
_FLOAT = 4  # bytes: every case is float32


class Inputs(NamedTuple):
    """What a layer reads: x and dy (n, h, w, c), kernel (kh, kw, c / groups, filters), bias.

    Pooling has an empty kernel and bias.
    """

    x: Array
    kernel: Array
    bias: Array
    dy: Array


@dataclass(frozen=True, slots=True)
class Case:
    """A named layer in float32, batch first, channels last.

    Parameters
    ----------
    name, group : str
    op : 'conv2d', 'depthwise_conv2d' or 'max_pool2d'
    batch, height, width, channels : int
        The shape of the input.
    filters : int
        Channels of the output.
    kernel, strides, dilation : (int, int)
    padding : (int, int)
        Rows of zeros above and below, columns left and right.
    groups : int

    Examples
    --------
    >>> Case("c", "g", "conv2d", 8, 56, 56, 64, 64, (3, 3), padding=(1, 1)).flops("forward")
    1849688064
    """

    name: str
    group: str
    op: Op
    batch: int
    height: int
    width: int
    channels: int
    filters: int
    kernel: Pair
    strides: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def output_size(self) -> Pair:
        """Rows and columns of the output."""
        rows, columns = (
            (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
            for size, pad, kernel, dilation, stride in zip(
                (self.height, self.width),
                self.padding,
                self.kernel,
                self.dilation,
                self.strides,
                strict=True,
            )
        )
        return rows, columns

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (n, h, w, c)."""
        return self.batch, self.height, self.width, self.channels

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output, (n, oh, ow, filters)."""
        return self.batch, *self.output_size, self.filters

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel, (kh, kw, c / groups, filters)."""
        return *self.kernel, self.channels // self.groups, self.filters

    @property
    def is_convolution(self) -> bool:
        """Whether the layer has a kernel; otherwise it pools."""
        return self.op != "max_pool2d"

    @property
    def shape(self) -> str:
        """The layer in short, such as ``8x56x56x64 -> 64, 3x3, s2``."""
        n, h, w, c = self.x_shape
        parts = [f"{n}x{h}x{w}x{c} -> {self.filters}", f"{self.kernel[0]}x{self.kernel[1]}"]
        if self.strides != (1, 1):
            parts.append(f"s{self.strides[0]}")
        if self.dilation != (1, 1):
            parts.append(f"d{self.dilation[0]}")
        if self.groups != 1:
            parts.append(f"g{self.groups}")
        return ", ".join(parts)

    def flops(self, pass_: Pass) -> int:
        """Floating-point operations of the direct algorithm, a multiply-add counted as two.

        Taps on padding count as any other, the bias does not. The backward pass is the gradients of
        the input and of the kernel. Pooling compares in the forward pass and adds in the backward.
        """
        if not self.is_convolution:
            return prod(self.y_shape) * (prod(self.kernel) - 1 if pass_ == "forward" else 1)
        forward = 2 * prod(self.y_shape) * prod(self.kernel_shape[:3])
        return forward if pass_ == "forward" else 2 * forward

    def bytes(self, pass_: Pass) -> int:
        """Bytes that must be read or written at least once: every input and every result.

        The backward pass of pooling reads one byte per output that says which input won.
        """
        x, y = prod(self.x_shape), prod(self.y_shape)
        if not self.is_convolution:
            return _FLOAT * (x + y) + (y if pass_ == "backward" else 0)
        kernel = prod(self.kernel_shape)
        if pass_ == "forward":
            return _FLOAT * (x + kernel + self.filters + y)
        return _FLOAT * (2 * x + 2 * kernel + self.filters + y)

    def inputs(self) -> Inputs:
        """The same arrays on every call and in every process.

        All values inside a pooling window differ, so that every library finds the same winner.
        """
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        x = rng.standard_normal(self.x_shape, np.float32)
        dy = rng.standard_normal(self.y_shape, np.float32)
        if not self.is_convolution:
            _make_distinct(x, self.kernel)
            return Inputs(x, np.empty(0, np.float32), np.empty(0, np.float32), dy)
        kernel = rng.standard_normal(self.kernel_shape, np.float32)
        kernel *= np.float32(prod(self.kernel_shape[:3]) ** -0.5)
        return Inputs(x, kernel, rng.standard_normal(self.filters, np.float32), dy)

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Case:
        """The case that :meth:`as_dict` described."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)


def _make_distinct(x: Array, window: Pair) -> None:
    """Write the position inside the window into the lowest mantissa bits of ``x``, in place."""
    rows = np.arange(x.shape[1], dtype=np.int32) % window[0]
    columns = np.arange(x.shape[2], dtype=np.int32) % window[1]
    position = (rows[:, np.newaxis] * window[1] + columns)[np.newaxis, :, :, np.newaxis]
    low_bits = (1 << int(window[0] * window[1] - 1).bit_length()) - 1
    bits = x.view(np.int32)
    bits &= ~np.int32(low_bits)
    bits |= position
