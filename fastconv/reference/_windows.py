"""Sliding windows over padded NumPy images, on which `fastconv.reference` is built."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from fastconv import _shapes, config
from fastconv.reference._arrays import Array

#: Names the strided rows and columns of a padded NHWC array under one tap of the window.
Region = tuple[slice, slice, slice]


class Windows:
    """The windows of a convolution or a pooling over NHWC images.

    Parameters
    ----------
    shape : (n, h, w, c), or (n, c, h, w) for 'channels_first'
        Of the images; `name` is what errors call them.
    window, strides, dilation_rate : int or (int, int)
    padding : as in `fastconv.conv2d`
    kind : 'conv' or 'pool'
        A pooling refuses padding that is not smaller than the window.

    Attributes
    ----------
    input_size : (n, h, w)
    output_size : (n, oh, ow)
    channels : int
    """

    def __init__(
        self,
        shape: Sequence[int],
        window: object,
        strides: object,
        padding: object,
        dilation_rate: object = 1,
        data_format: object = None,
        name: str = "x",
        *,
        kind: Literal["conv", "pool"] = "conv",
    ) -> None:
        self.data_format = _shapes.normalize_data_format(data_format, config.image_data_format())
        n, h, w, self.channels = _shapes.image_sizes(tuple(shape), self.data_format, name)
        window_name = "pool_size" if kind == "pool" else "kernel_size"
        self.window = _shapes.normalize_pair(window, window_name)
        self.strides = _shapes.normalize_pair(strides, "strides")
        self.dilation = _shapes.normalize_pair(dilation_rate, "dilation_rate")
        sides = _shapes.normalize_padding(padding)
        if kind == "pool":
            axes = _shapes.pool_axes((h, w), self.window, self.strides, sides)
        else:
            axes = _shapes.conv_axes((h, w), self.window, self.strides, self.dilation, sides)
        (oh, top, bottom), (ow, left, right) = axes
        self.input_size = (n, h, w)
        self.output_size = (n, oh, ow)
        self._pad_width = ((0, 0), (top, bottom), (left, right), (0, 0))

    def pad(self, x: Array, value: float) -> Array:
        """Return NHWC images with their padding filled with ``value``."""
        return np.pad(x, self._pad_width, constant_values=value)

    def crop(self, x_padded: Array) -> Array:
        """Return the images without their padding: the adjoint of :meth:`pad`."""
        _, (top, _), (left, _), _ = self._pad_width
        _, h, w = self.input_size
        return x_padded[:, top : top + h, left : left + w]

    def view(self, x_padded: Array) -> Array:
        """Return all windows as a view of shape (n, oh, ow, c, kh, kw)."""
        (kh, kw), (sh, sw), (dh, dw) = self.window, self.strides, self.dilation
        span = (kh - 1) * dh + 1, (kw - 1) * dw + 1
        return sliding_window_view(x_padded, span, (1, 2))[:, ::sh, ::sw, :, ::dh, ::dw]

    def taps(self) -> Iterator[tuple[int, int, Region]]:
        """Yield (i, j, region): what row i, column j of every window sees is x_padded[region]."""
        _, oh, ow = self.output_size
        for i in range(self.window[0]):
            for j in range(self.window[1]):
                yield i, j, (slice(None), self._steps(0, i, oh), self._steps(1, j, ow))

    def _steps(self, axis: int, tap: int, out: int) -> slice:
        start, stride = tap * self.dilation[axis], self.strides[axis]
        return slice(start, start + (out - 1) * stride + 1, stride)

    def gradient(self, dy: ArrayLike, channels: int, dtype: Any) -> Array:
        """Return ``dy`` as NHWC, refused unless it has the output's shape."""
        array = np.asarray(dy, dtype)
        expected = _shapes.image_shape(*self.output_size, channels, self.data_format)
        if array.shape != expected:
            raise ValueError(f"`dy` must have shape {expected}. Received: dy.shape={array.shape}")
        return self.to_nhwc(array)

    def to_nhwc(self, x: Array) -> Array:
        """Return a view with the channels last."""
        return x if self.data_format == "channels_last" else x.transpose(0, 2, 3, 1)

    def from_nhwc(self, y: Array) -> Array:
        """Return a contiguous array in the data format of the images."""
        if self.data_format == "channels_first":
            y = y.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(y)
