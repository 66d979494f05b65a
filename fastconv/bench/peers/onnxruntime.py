"""ONNX Runtime: inference on one-layer models with constant, prepacked weights."""

from __future__ import annotations

from typing import Any

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library


class OnnxRuntime:
    """Sessions with and without the blocked NCHWc layout."""

    name = "onnxruntime"

    def __init__(self, threads: int) -> None:
        self.ort = library("onnxruntime")
        self.onnx = library("onnx")
        self.threads = threads
        self.version: str = self.ort.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return pass_ == "forward"

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        levels = self.ort.GraphOptimizationLevel
        model = self._model(case)
        x = case.inputs().x.transpose(0, 3, 1, 2).copy()
        feed = {"x": self.ort.OrtValue.ortvalue_from_numpy(x)}
        return [
            self._variant("nchwc", model, levels.ORT_ENABLE_ALL, feed),
            self._variant("nchw", model, levels.ORT_ENABLE_EXTENDED, feed),
        ]

    def _variant(self, name: str, model: bytes, level: Any, feed: dict[str, Any]) -> Variant:
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = level
        session = self.ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

        def to_numpy(result: Any) -> tuple[Array, ...]:
            return (result[0].numpy().transpose(0, 2, 3, 1),)

        return Variant(name, lambda: session.run_with_ort_values(["y"], feed), to_numpy)

    def _model(self, case: Case) -> bytes:
        helper, numpy_helper = self.onnx.helper, self.onnx.numpy_helper
        inputs = case.inputs()
        (ph, pw), constants = case.padding, []
        options: dict[str, Any] = {
            "kernel_shape": list(case.kernel),
            "strides": list(case.strides),
            "pads": [ph, pw, ph, pw],
        }
        if case.is_convolution:
            options |= {"dilations": list(case.dilation), "group": case.groups}
            kernel = inputs.kernel.transpose(3, 2, 0, 1).copy()
            constants = [
                numpy_helper.from_array(kernel, "kernel"),
                numpy_helper.from_array(inputs.bias, "bias"),
            ]
        operator = "Conv" if case.is_convolution else "MaxPool"
        names = ["x", *(constant.name for constant in constants)]
        node = helper.make_node(operator, names, ["y"], **options)
        float32 = self.onnx.TensorProto.FLOAT
        n, h, w, c = case.x_shape
        _, oh, ow, k = case.y_shape
        x = helper.make_tensor_value_info("x", float32, [n, c, h, w])
        y = helper.make_tensor_value_info("y", float32, [n, k, oh, ow])
        graph = helper.make_graph([node], case.name, [x], [y], constants)
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        return bytes(model.SerializeToString())


def connect(threads: int) -> Peer:
    return OnnxRuntime(threads)
