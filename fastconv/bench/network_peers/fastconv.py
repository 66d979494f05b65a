"""fastconv itself, through its models."""

from __future__ import annotations

from collections.abc import Sequence

from fastconv import __version__, layers, models, optimizers, runtime
from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference, NetworkPeer, Trainer, Way
from fastconv.bench.network_peers._batches import in_batches
from fastconv.bench.network_peers._keras_api import KerasTrainer, sequential
from fastconv.bench.networks import Network


class FastConv:
    """`Sequential` with `fit`, `predict` and the call."""

    name = "fastconv"
    version = __version__
    modules = ("fastconv.layers", "fastconv.models", "fastconv.optimizers")
    distributions = ("numpy", "tqdm", "h5py")

    def __init__(self, threads: int) -> None:
        runtime.set_num_threads(threads)

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        def make() -> Trainer:
            return KerasTrainer(self._model(network), optimizers, batch)

        return [Way("", make)]

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        model = self._model(network)
        return [
            Way("predict", lambda: lambda: model.predict(x, batch_size=batch, verbose=0)),
            Way("call", lambda: in_batches(model, x, batch)),
        ]

    def _model(self, network: Network) -> models.Sequential:
        model: models.Sequential = sequential(layers, models, network)
        return model


def connect(threads: int) -> NetworkPeer:
    return FastConv(threads)
