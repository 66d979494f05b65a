"""PyTorch: both memory formats, with and without oneDNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library


class Torch:
    """Eager operators under ``inference_mode``, as autograd would call them."""

    name = "torch"

    def __init__(self, threads: int) -> None:
        self.torch = library("torch")
        self.torch.set_num_threads(threads)
        self.torch.set_num_interop_threads(1)
        self.version: str = self.torch.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return True

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        torch = self.torch
        formats = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
        variants = []
        for layout, memory_format in formats.items():
            run = self._pooling if case.op == "max_pool2d" else self._convolution
            call = run(case, pass_, memory_format)
            if case.op == "max_pool2d":
                variants.append(Variant(layout, self._inference(call, True), self._to_numpy))
                continue
            for onednn in (True, False):
                name = layout if onednn else f"{layout} without oneDNN"
                variants.append(Variant(name, self._inference(call, onednn), self._to_numpy))
        return variants

    def _inference(self, call: Callable[[], Any], onednn: bool) -> Callable[[], Any]:
        torch = self.torch

        def run() -> Any:
            torch._C._set_mkldnn_enabled(onednn)
            with torch.inference_mode():
                return call()

        return run

    def _tensor(self, array: Array, memory_format: Any) -> Any:
        tensor = self.torch.from_numpy(array)
        return tensor.contiguous(memory_format=memory_format)

    def _convolution(self, case: Case, pass_: Pass, memory_format: Any) -> Callable[[], Any]:
        torch = self.torch
        inputs = case.inputs()
        x = self._tensor(inputs.x.transpose(0, 3, 1, 2), memory_format)
        dy = self._tensor(inputs.dy.transpose(0, 3, 1, 2), memory_format)
        kernel = self._tensor(inputs.kernel.transpose(3, 2, 0, 1), memory_format)
        bias = torch.from_numpy(inputs.bias)
        shape = (list(case.strides), list(case.padding), list(case.dilation))
        if pass_ == "forward":
            conv2d = torch.nn.functional.conv2d
            return lambda: conv2d(x, kernel, bias, *shape, case.groups)
        backward = torch.ops.aten.convolution_backward.default
        rest = ([case.filters], *shape, False, [0, 0], case.groups, [True, True, True])
        return lambda: backward(dy, x, kernel, *rest)

    def _pooling(self, case: Case, pass_: Pass, memory_format: Any) -> Callable[[], Any]:
        torch = self.torch
        inputs = case.inputs()
        x = self._tensor(inputs.x.transpose(0, 3, 1, 2), memory_format)
        dy = self._tensor(inputs.dy.transpose(0, 3, 1, 2), memory_format)
        window = (list(case.kernel), list(case.strides), list(case.padding))
        if pass_ == "forward":
            return lambda: torch.nn.functional.max_pool2d(x, *window)
        aten = torch.ops.aten
        _, indices = aten.max_pool2d_with_indices(x, *window)
        backward = aten.max_pool2d_with_indices_backward.default
        return lambda: backward(dy, x, *window, [1, 1], False, indices)

    def _to_numpy(self, result: Any) -> tuple[Array, ...]:
        tensors = result if isinstance(result, tuple) else (result,)
        arrays = [tensor.numpy() for tensor in tensors]
        axes = [(0, 2, 3, 1), (2, 3, 1, 0), (0,)]
        return tuple(a.transpose(order) for a, order in zip(arrays, axes, strict=False))


def connect(threads: int) -> Peer:
    return Torch(threads)
