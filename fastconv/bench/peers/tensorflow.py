"""TensorFlow: eager kernels and the same in a `tf.function`; its CPU kernels take channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library


class TensorFlow:
    """``tf.nn`` forward, ``tf.raw_ops`` of the gradients backward."""

    name = "tensorflow"

    def __init__(self, threads: int) -> None:
        self.tf = library("tensorflow")
        self.tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.tf.config.threading.set_inter_op_parallelism_threads(1)
        self.version: str = self.tf.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        if case.op == "depthwise_conv2d":
            return case.strides[0] == case.strides[1]
        return pass_ == "forward" or (case.groups == 1 and case.dilation == (1, 1))

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        inputs = case.inputs()
        arrays = tuple(self.tf.constant(array) for array in inputs if array.size)
        if case.op == "max_pool2d":
            function = self._pooling(case, pass_, arrays[0])
        else:
            function = self._convolution(case, pass_)

        def to_numpy(result: Any) -> tuple[Array, ...]:
            results = [np.asarray(part) for part in result]
            if len(results) == 3:
                results[1] = results[1].reshape(case.kernel_shape)
            return tuple(results)

        variants = [Variant("eager", lambda: function(*arrays), to_numpy)]
        if case.op != "depthwise_conv2d" or _padding(case)["padding"] != "EXPLICIT":
            # The operator that a graph fuses a depthwise convolution into aborts on such padding.
            graph = self.tf.function(function)
            variants.append(Variant("graph", lambda: graph(*arrays), to_numpy))
        return variants

    def _convolution(self, case: Case, pass_: Pass) -> Callable[..., Any]:
        tf = self.tf
        name = "Conv2D" if case.op == "conv2d" else "DepthwiseConv2dNative"
        kernel_shape = case.kernel_shape
        if case.op == "depthwise_conv2d":
            kernel_shape = (*case.kernel, case.channels, case.filters // case.channels)
        (sh, sw), (dh, dw) = case.strides, case.dilation
        options = {"strides": [1, sh, sw, 1], "dilations": [1, dh, dw, 1], **_padding(case)}
        convolve = getattr(tf.raw_ops, name)

        def forward(x: Any, kernel: Any, bias: Any, dy: Any) -> Any:
            y = convolve(input=x, filter=tf.reshape(kernel, kernel_shape), **options)
            return (tf.raw_ops.BiasAdd(value=y, bias=bias),)

        input_gradient = getattr(tf.raw_ops, f"{name}BackpropInput")
        filter_gradient = getattr(tf.raw_ops, f"{name}BackpropFilter")
        x_sizes, kernel_sizes = tf.constant(case.x_shape), tf.constant(kernel_shape)

        def backward(x: Any, kernel: Any, bias: Any, dy: Any) -> Any:
            kernel = tf.reshape(kernel, kernel_shape)
            return (
                input_gradient(input_sizes=x_sizes, filter=kernel, out_backprop=dy, **options),
                filter_gradient(input=x, filter_sizes=kernel_sizes, out_backprop=dy, **options),
                tf.raw_ops.BiasAddGrad(out_backprop=dy),
            )

        return forward if pass_ == "forward" else backward

    def _pooling(self, case: Case, pass_: Pass, x: Any) -> Callable[..., Any]:
        tf = self.tf
        (kh, kw), (sh, sw) = case.kernel, case.strides
        window = {"ksize": [1, kh, kw, 1], "strides": [1, sh, sw, 1], **_padding(case)}

        def forward(x: Any, dy: Any) -> Any:
            return (tf.raw_ops.MaxPool(input=x, **window),)

        if pass_ == "forward":
            return forward
        (y,) = forward(x, None)

        def backward(x: Any, dy: Any) -> Any:
            return (tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=y, grad=dy, **window),)

        return backward


def _padding(case: Case) -> dict[str, Any]:
    """The padding in TensorFlow's words, by name where one fits."""
    if case.padding == (0, 0):
        return {"padding": "VALID"}
    (ph, pw), (_, oh, ow, _) = case.padding, case.y_shape
    needed = (
        (out - 1) * stride + (kernel - 1) * dilation + 1 - size
        for out, stride, kernel, dilation, size in zip(
            (oh, ow), case.strides, case.kernel, case.dilation, case.x_shape[1:3], strict=True
        )
    )
    if tuple(needed) == (2 * ph, 2 * pw):
        return {"padding": "SAME"}
    return {"padding": "EXPLICIT", "explicit_paddings": [0, 0, ph, ph, pw, pw, 0, 0]}


def connect(threads: int) -> Peer:
    return TensorFlow(threads)
