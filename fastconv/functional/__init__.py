"""The array API: validate, allocate, call."""

from fastconv.functional._conv import (
    conv2d,
    conv2d_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
)
from fastconv.functional._dense import dense, dense_backward

__all__ = [
    "conv2d",
    "conv2d_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
]
