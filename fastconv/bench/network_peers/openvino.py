"""OpenVINO: inference in float32, in both layouts, with one stream or one for every thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference, NetworkPeer, Trainer, Way, _onnx
from fastconv.bench.network_peers._batches import in_batches
from fastconv.bench.networks import Network
from fastconv.bench.peers import library


class OpenVino:
    """Compiled models with constant weights, read from ONNX."""

    name = "openvino"
    modules = ("openvino",)
    distributions = ("openvino",)

    def __init__(self, threads: int) -> None:
        self.ov = library("openvino")
        self.onnx = library("onnx")
        self.core = self.ov.Core()
        self.threads = threads
        self.version: str = self.ov.__version__

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        return []

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        def way(layout: str, streams: int) -> Way[Inference]:
            def make() -> Inference:
                images = x if layout == "nhwc" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
                compiled = self._compiled(network, batch, layout, streams)
                return (
                    self._streamed(compiled, images, batch)
                    if streams > 1
                    else self._single(compiled, images, batch)
                )

            return Way(layout if streams == 1 else f"{layout} in {streams} streams", make)

        streams = {1, self.threads if len(x) > batch else 1}
        return [way(layout, count) for count in sorted(streams) for layout in ("nchw", "nhwc")]

    def _single(self, compiled: Any, images: Array, batch: int) -> Inference:
        request = compiled.create_infer_request()

        def call(rows: Array) -> Array:
            tensor = self.ov.Tensor(rows, shared_memory=True)
            request.set_input_tensor(tensor)
            predictions: Array = request.infer(share_outputs=True)[0].copy()
            return predictions

        return in_batches(call, images, batch)

    def _streamed(self, compiled: Any, images: Array, batch: int) -> Inference:
        queue = self.ov.AsyncInferQueue(compiled)
        predictions: Array = np.empty((len(images), *compiled.output().shape[1:]), np.float32)

        def keep(request: Any, start: int) -> None:
            predictions[start : start + batch] = request.get_output_tensor().data

        queue.set_callback(keep)

        def run() -> Array:
            for start in range(0, len(images), batch):
                tensor = self.ov.Tensor(images[start : start + batch], shared_memory=True)
                queue.start_async({0: tensor}, start)
            queue.wait_all()
            return predictions

        return run

    def _compiled(self, network: Network, batch: int, layout: str, streams: int) -> Any:
        ov = self.ov
        model = self.core.read_model(_onnx.model(self.onnx, network, batch))
        if layout == "nhwc":
            steps = ov.preprocess.PrePostProcessor(model)
            steps.input().tensor().set_layout(ov.Layout("NHWC"))
            steps.input().model().set_layout(ov.Layout("NCHW"))
            model = steps.build()
        hint = "LATENCY" if streams == 1 else "THROUGHPUT"
        config = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": hint,
            "NUM_STREAMS": streams,
        }
        return self.core.compile_model(model, "CPU", config)


def connect(threads: int) -> NetworkPeer:
    return OpenVino(threads)
