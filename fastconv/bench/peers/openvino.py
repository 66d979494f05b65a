"""OpenVINO: inference on one-layer models in float32, in both layouts."""

from __future__ import annotations

from typing import Any

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library


class OpenVino:
    """Compiled models with constant weights; a request reuses its result, which only helps it."""

    name = "openvino"

    def __init__(self, threads: int) -> None:
        self.ov = library("openvino")
        self.core = self.ov.Core()
        self.version: str = self.ov.__version__
        self.config = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }

    def supports(self, case: Case, pass_: Pass) -> bool:
        return pass_ == "forward"

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        return [self._variant(case, layout) for layout in ("NCHW", "NHWC")]

    def _variant(self, case: Case, layout: str) -> Variant:
        ov = self.ov
        model, x = self._model(case), case.inputs().x
        if layout == "NHWC":
            steps = ov.preprocess.PrePostProcessor(model)
            steps.input().tensor().set_layout(ov.Layout("NHWC"))
            steps.input().model().set_layout(ov.Layout("NCHW"))
            steps.output().tensor().set_layout(ov.Layout("NHWC"))
            steps.output().model().set_layout(ov.Layout("NCHW"))
            model = steps.build()
        else:
            x = x.transpose(0, 3, 1, 2).copy()
        request = self.core.compile_model(model, "CPU", self.config).create_infer_request()
        tensor = ov.Tensor(x, shared_memory=True)
        request.set_input_tensor(tensor)

        def run() -> Any:
            return request.infer(share_outputs=True)

        def to_numpy(result: Any, held: Any = (tensor, x)) -> tuple[Array, ...]:
            y = result[0].copy()
            return (y if layout == "NHWC" else y.transpose(0, 2, 3, 1),)

        return Variant(layout.lower(), run, to_numpy)

    def _model(self, case: Case) -> Any:
        ov = self.ov
        op = library("openvino.opset13")
        n, h, w, c = case.x_shape
        x = op.parameter([n, c, h, w], name="x")
        pads = list(case.padding)
        if not case.is_convolution:
            pool = op.max_pool(
                x, list(case.strides), [1, 1], pads, pads, list(case.kernel), "floor"
            )
            return ov.Model([pool.output(0)], [x])
        inputs = case.inputs()
        kernel = inputs.kernel.transpose(3, 2, 0, 1).copy()
        shape = (list(case.strides), pads, pads, list(case.dilation))
        if case.groups == 1:
            y = op.convolution(x, op.constant(kernel), *shape)
        else:
            kernel = kernel.reshape(case.groups, -1, *kernel.shape[1:])
            y = op.group_convolution(x, op.constant(kernel), *shape)
        y = op.add(y, op.constant(inputs.bias.reshape(1, -1, 1, 1)))
        return ov.Model([y], [x])


def connect(threads: int) -> Peer:
    return OpenVino(threads)
