"""ONNX Runtime: inference with constant, prepacked weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference, NetworkPeer, Trainer, Way, _onnx
from fastconv.bench.network_peers._batches import in_batches
from fastconv.bench.networks import Network
from fastconv.bench.peers import library


class OnnxRuntime:
    """Sessions with and without the blocked NCHWc layout."""

    name = "onnxruntime"
    modules = ("onnxruntime",)
    distributions = ("onnxruntime",)

    def __init__(self, threads: int) -> None:
        self.ort = library("onnxruntime")
        self.onnx = library("onnx")
        self.threads = threads
        self.version: str = self.ort.__version__

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        return []

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        levels = self.ort.GraphOptimizationLevel
        images = np.ascontiguousarray(x.transpose(0, 3, 1, 2))

        def way(name: str, level: Any) -> Way[Inference]:
            def make() -> Inference:
                session = self._session(_onnx.model(self.onnx, network, batch), level)

                def call(rows: Array) -> Array:
                    predictions: Array = session.run(None, {"x": rows})[0]
                    return predictions

                return in_batches(call, images, batch)

            return Way(name, make)

        return [way("nchwc", levels.ORT_ENABLE_ALL), way("nchw", levels.ORT_ENABLE_EXTENDED)]

    def _session(self, model: bytes, level: Any) -> Any:
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = level
        return self.ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def connect(threads: int) -> NetworkPeer:
    return OnnxRuntime(threads)
