"""Keras on a backend of its own choice."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference, Trainer, Way
from fastconv.bench.network_peers._batches import in_batches
from fastconv.bench.network_peers._keras_api import KerasTrainer, sequential
from fastconv.bench.networks import Network
from fastconv.bench.peers import library


class Keras:
    """`fit`, `predict`, `predict_on_batch` and a compiled call.

    Parameters
    ----------
    backend : str
    compiled : dict of str to bool
        Ways to compile: their names and the argument `jit_compile`.
    """

    def __init__(self, backend: str, compiled: dict[str, bool]) -> None:
        os.environ["KERAS_BACKEND"] = backend
        self.name = f"keras_{backend}"
        self.backend = library(backend)
        self.keras = library("keras")
        self.version = f"{self.keras.__version__} on {backend} {self.backend.__version__}"
        self.modules = ("keras",)
        self.distributions: tuple[str, ...] = ("keras", backend)
        self._compiled = compiled

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        def way(name: str, jit: bool) -> Way[Trainer]:
            def make() -> Trainer:
                model = self._model(network)
                return KerasTrainer(model, self.keras.optimizers, batch, jit_compile=jit)

            return Way(name, make)

        return [way(name, jit) for name, jit in self._compiled.items()]

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        return [
            way
            for kind, jit in self._compiled.items()
            for way in self._ways(f"{kind} ".lstrip(), network, jit, x, batch)
        ]

    def _ways(
        self, kind: str, network: Network, jit: bool, x: Array, batch: int
    ) -> list[Way[Inference]]:
        model = self._model(network)
        model.compile(jit_compile=jit)

        def call() -> Inference:
            # `predict` gives the buffers of its model away: the call needs a model of its own.
            return in_batches(self.compiled_call(self._model(network), jit), x, batch)

        return [
            Way(f"{kind}predict", lambda: lambda: model.predict(x, batch_size=batch, verbose=0)),
            Way(f"{kind}predict_on_batch", lambda: in_batches(model.predict_on_batch, x, batch)),
            Way(f"{kind}call", call),
        ]

    def compiled_call(self, model: Any, jit: bool) -> Callable[[Array], Array]:
        """The model as a compiled function of arrays, in the words of the backend."""
        raise NotImplementedError

    def _model(self, network: Network) -> Any:
        return sequential(self.keras.layers, self.keras.models, network)
