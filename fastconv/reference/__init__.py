"""The array API in plain NumPy, for clarity: the truth in tests, the baseline in benchmarks.

The functions take the arguments of their namesakes in `fastconv`, except ``algorithm`` and ``out``,
and compute in the dtype of ``x``, which may be any floating type. A convolution is one matrix
product over the windows of the padded input (im2col: Chellapilla, Puri and Simard, "High
Performance Convolutional Neural Networks for Document Processing", 2006); its gradients are the
adjoint of that product.
"""

from fastconv.reference._convolution import (
    conv2d,
    conv2d_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
)
from fastconv.reference._dense import dense, dense_backward
from fastconv.reference._pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
]
