"""Keras on TensorFlow, with and without XLA."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import packages_distributions
from typing import Any

from fastconv.bench.case import Array
from fastconv.bench.network_peers import NetworkPeer
from fastconv.bench.network_peers._keras import Keras


class KerasTensorFlow(Keras):
    """Graphs of TensorFlow."""

    def __init__(self, threads: int) -> None:
        super().__init__("tensorflow", {"graph": False, "XLA": True})
        self.backend.config.threading.set_intra_op_parallelism_threads(threads)
        self.backend.config.threading.set_inter_op_parallelism_threads(1)
        installed = packages_distributions().get("tensorflow", ["tensorflow"])
        self.distributions = ("keras", installed[0])  # tensorflow or tensorflow-cpu

    def compiled_call(self, model: Any, jit: bool) -> Callable[[Array], Array]:
        function = self.backend.function(lambda x: model(x, training=False), jit_compile=jit)
        convert = self.backend.constant

        def call(x: Array) -> Array:
            predictions: Array = function(convert(x)).numpy()
            return predictions

        return call


def connect(threads: int) -> NetworkPeer:
    return KerasTensorFlow(threads)
