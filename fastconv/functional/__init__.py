"""The array API: validate, allocate, call."""

from fastconv._kernels import Program as Program
from fastconv.functional._bound import bind_gather_rows as bind_gather_rows
from fastconv.functional._bound import first_outside as first_outside
from fastconv.functional._bound import record_adam_update as record_adam_update
from fastconv.functional._bound import record_next_draw as record_next_draw
from fastconv.functional._bound import record_rmsprop_update as record_rmsprop_update
from fastconv.functional._bound import record_sgd_update as record_sgd_update
from fastconv.functional._conv import conv2d, conv2d_backward
from fastconv.functional._dense import dense, dense_backward, pack_dense
from fastconv.functional._depthwise import depthwise_conv2d, depthwise_conv2d_backward
from fastconv.functional._elementwise import (
    activate,
    activate_backward,
    dropout,
    dropout_backward,
    gather_rows,
    sum_squares,
)
from fastconv.functional._losses import softmax, softmax_backward, softmax_crossentropy
from fastconv.functional._normalization import batch_norm_backward, batch_norm_forward
from fastconv.functional._optimizers import adam_update, rmsprop_update, sgd_update
from fastconv.functional._packing import pack_conv2d
from fastconv.functional._pool import (
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

__all__ = [
    "activate",
    "activate_backward",
    "adam_update",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_backward",
    "batch_norm_forward",
    "conv2d",
    "conv2d_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "dropout",
    "dropout_backward",
    "gather_rows",
    "max_pool2d",
    "max_pool2d_backward",
    "pack_conv2d",
    "pack_dense",
    "rmsprop_update",
    "sgd_update",
    "softmax",
    "softmax_backward",
    "softmax_crossentropy",
    "sum_squares",
]
