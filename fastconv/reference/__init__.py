"""The array API in plain NumPy, for clarity: the truth in tests, the baseline in benchmarks.

The functions take the arguments of their namesakes in `fastconv`, except ``algorithm`` and ``out``,
and compute in the dtype of ``x``, which may be any floating type. A convolution is one sum over the
windows of the padded input, as its definition reads; its gradients are the adjoint of that sum.
Nothing goes through BLAS, so results do not depend on which one NumPy was built with.
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
