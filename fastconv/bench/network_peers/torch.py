"""PyTorch: both memory formats, eager, compiled and frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.network_peers import Inference, NetworkPeer, Trainer, Way
from fastconv.bench.network_peers._batches import in_batches
from fastconv.bench.networks import (
    BETA_1,
    BETA_2,
    EPSILON,
    LEARNING_RATE,
    Conv,
    Data,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Network,
    Pool,
)
from fastconv.bench.peers import library

_LAYOUTS = ("nchw", "nhwc")


class Torch:
    """`torch.nn`, with the fused Adam; `torch.compile` needs a compiler for C++."""

    name = "torch"
    modules = ("torch",)
    distributions = ("torch",)

    def __init__(self, threads: int) -> None:
        self.torch = library("torch")
        self.torch.set_num_threads(threads)
        self.torch.set_num_interop_threads(1)
        self.version: str = self.torch.__version__
        # Networks share the code of `nn.Sequential`, which may be compiled this many times.
        dynamo = library("torch._dynamo.config")
        dynamo.recompile_limit = dynamo.accumulated_recompile_limit = 1000

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        def way(layout: str, compiled: bool) -> Way[Trainer]:
            def make() -> Trainer:
                model = self._model(network, layout)
                return TorchTrainer(self.torch, model, layout, batch, compiled)

            return Way(f"{layout} {'compiled' if compiled else 'eager'}", make)

        return [way(layout, compiled) for compiled in (False, True) for layout in _LAYOUTS]

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        torch = self.torch

        def way(layout: str, name: str, prepare: Callable[[Any, Any], Any]) -> Way[Inference]:
            def make() -> Inference:
                model = self._model(network, layout)
                model = torch.nn.Sequential(model, torch.nn.Softmax(1)).eval()
                images = to_layout(x, layout)
                with torch.inference_mode():
                    function = prepare(model, as_tensor(torch, images[:batch], layout))

                def call(rows: Array) -> Array:
                    with torch.inference_mode():
                        predictions: Array = function(as_tensor(torch, rows, layout)).numpy()
                        return predictions

                return in_batches(call, images, batch)

            return Way(f"{layout} {name}", make)

        def frozen(model: Any, example: Any) -> Any:
            return torch.jit.optimize_for_inference(torch.jit.trace(model, example))

        kinds: dict[str, Callable[[Any, Any], Any]] = {
            "eager": lambda model, example: model,
            "frozen": frozen,
            "compiled": lambda model, example: torch.compile(model, dynamic=False),
        }
        return [way(layout, name, kinds[name]) for name in kinds for layout in _LAYOUTS]

    def _model(self, network: Network, layout: str) -> Any:
        """The network up to the logits."""
        torch = self.torch
        modules: list[Any] = []
        for layer, before in zip(network.layers, network.shapes(), strict=False):
            modules += _modules(torch.nn, layer, before)
        model = torch.nn.Sequential(*modules)
        with torch.no_grad():
            weights = network.channels_first_weights()
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(weight))
        return model.to(memory_format=torch.channels_last) if layout == "nhwc" else model


def _modules(nn: Any, layer: Layer, before: tuple[int, ...]) -> list[Any]:
    match layer:
        case Conv(filters, kernel, padding):
            return [nn.Conv2d(before[2], filters, kernel, padding=padding), nn.ReLU()]
        case Pool():
            return [nn.MaxPool2d(2)]
        case Flatten():
            return [nn.Flatten()]
        case Dense(units, activation):
            linear = nn.Linear(before[0], units)
            return [linear, nn.ReLU()] if activation == "relu" else [linear]
        case Dropout(rate):
            return [nn.Dropout(rate)]


def to_layout(x: Array, layout: str) -> Array:
    """Images as ``layout`` stores them; the first axis stays."""
    return x if layout == "nhwc" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def as_tensor(torch: Any, x: Array, layout: str) -> Any:
    """A tensor (n, c, h, w) on the memory of an array that `to_layout` made."""
    tensor = torch.from_numpy(x)
    return tensor.permute(0, 3, 1, 2) if layout == "nhwc" else tensor


class TorchTrainer:
    """The usual loop: shuffled rows, the loss and its gradients, a step, and the sums of both."""

    def __init__(self, torch: Any, model: Any, layout: str, batch: int, compiled: bool) -> None:
        self._torch, self._layout, self._batch = torch, layout, batch
        self._eager = model
        self._model = torch.compile(model, dynamic=False) if compiled else model
        self._loss = torch.nn.CrossEntropyLoss()
        # PyTorch adds epsilon behind the correction of the bias: the same in the first step.
        epsilon = EPSILON / (1 - BETA_2) ** 0.5
        self._optimizer = torch.optim.Adam(
            model.parameters(), LEARNING_RATE, (BETA_1, BETA_2), epsilon, fused=True
        )

    def load(self, data: Data) -> None:
        self._x = self._torch.from_numpy(to_layout(data.x, self._layout))
        self._y = self._torch.from_numpy(data.y)

    def epoch(self) -> object:
        torch = self._torch
        total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for rows in torch.randperm(len(self._x)).split(self._batch):
            x, y = self._x.index_select(0, rows), self._y.index_select(0, rows)
            if self._layout == "nhwc":
                x = x.permute(0, 3, 1, 2)
            self._optimizer.zero_grad()
            logits = self._model(x)
            loss = self._loss(logits, y)
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(rows)
            correct += (logits.argmax(1) == y).sum()
        return float(total) / len(self._x), int(correct) / len(self._x)

    def predict(self) -> Array:
        self._eager.eval()
        with self._torch.inference_mode():
            logits = self._eager(as_tensor(self._torch, self._x.numpy(), self._layout))
            predictions: Array = logits.softmax(1).numpy()
        self._eager.train()
        return predictions


def connect(threads: int) -> NetworkPeer:
    return Torch(threads)
