"""JAX: the network, the loss and Adam written by hand, one compiled function for a step."""

from __future__ import annotations

from collections.abc import Sequence
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
    Network,
    Pool,
)
from fastconv.bench.peers import library


class Jax:
    """XLA on channels last; it takes its threads from the environment.

    Max-pooling is `reduce_window` or the maximum over a reshaped array, which XLA may run faster; a
    call trains on a batch or, under `lax.scan`, on an epoch.
    """

    name = "jax"
    modules = ("jax", "jax.numpy")
    distributions = ("jax",)

    def __init__(self) -> None:
        self.jax = library("jax")
        self.version: str = self.jax.__version__

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        def way(name: str, reshape: bool, scan: bool) -> Way[Trainer]:
            return Way(name, lambda: JaxTrainer(self.jax, network, batch, reshape, scan))

        return [
            way("step, reshaped pooling", True, False),
            way("step, reduce_window", False, False),
            way("scan, reshaped pooling", True, True),
        ]

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        def way(name: str, reshape: bool) -> Way[Inference]:
            def make() -> Inference:
                jax = self.jax
                weights = [jax.numpy.asarray(weight) for weight in network.weights()]

                def predictions(x: Any) -> Any:
                    return jax.nn.softmax(logits(jax, network, weights, x, reshape))

                function = jax.jit(predictions)
                return in_batches(lambda rows: np.asarray(function(rows)), x, batch)

            return Way(name, make)

        return [way("reshaped pooling", True), way("reduce_window", False)]


def logits(
    jax: Any, network: Network, weights: Sequence[Any], x: Any, reshape: bool, key: Any = None
) -> Any:
    """The network without its last softmax; with a ``key`` for random numbers, as in training."""
    lax, rest = jax.lax, iter(weights)
    for layer in network.layers:
        match layer:
            case Conv(_, _, padding):
                axes = ("NHWC", "HWIO", "NHWC")
                x = lax.conv_general_dilated(
                    x, next(rest), (1, 1), padding.upper(), dimension_numbers=axes
                )
                x = jax.nn.relu(x + next(rest))
            case Pool() if reshape:
                n, h, w, c = x.shape
                x = x[:, : h // 2 * 2, : w // 2 * 2]
                x = x.reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))
            case Pool():
                window = (1, 2, 2, 1)
                x = lax.reduce_window(x, -np.inf, lax.max, window, window, "VALID")
            case Flatten():
                x = x.reshape(len(x), -1)
            case Dense(_, activation):
                x = x @ next(rest) + next(rest)
                x = jax.nn.relu(x) if activation == "relu" else x
            case Dropout(rate) if key is not None:
                kept = jax.random.bernoulli(key, 1 - rate, x.shape)
                x = jax.numpy.where(kept, x / (1 - rate), 0)
    return x


class JaxTrainer:
    """Epochs of steps that gather their rows, differentiate, count and update in one function."""

    def __init__(self, jax: Any, network: Network, batch: int, reshape: bool, scan: bool) -> None:
        self._jax, self._batch, self._scan = jax, batch, scan
        jnp = jax.numpy
        weights = [jnp.asarray(weight) for weight in network.weights()]
        zeros = [jnp.zeros_like(weight) for weight in weights]
        key = jax.random.key(0)
        self._state = (weights, zeros, [zero + 0 for zero in zeros], jnp.zeros(()), key)
        self._rng = np.random.default_rng(0)

        def loss(weights: Any, x: Any, y: Any, key: Any) -> Any:
            z = logits(jax, network, weights, x, reshape, key)
            log_softmax = jax.nn.log_softmax(z)
            rows = jnp.take_along_axis(log_softmax, y[:, None], axis=1)
            return -rows.mean(), (z.argmax(1) == y).sum()

        def step(state: Any, totals: Any, rows: Any, x: Any, y: Any) -> Any:
            weights, means, squares, count, key = state
            key, own = jax.random.split(key)
            gradient = jax.value_and_grad(loss, has_aux=True)
            (value, correct), gradients = gradient(weights, x[rows], y[rows], own)
            count = count + 1
            scale = jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
            means = [m + (1 - BETA_1) * (g - m) for m, g in zip(means, gradients, strict=True)]
            squares = [
                v + (1 - BETA_2) * (g * g - v) for v, g in zip(squares, gradients, strict=True)
            ]
            weights = [
                w - LEARNING_RATE * scale * m / (jnp.sqrt(v) + EPSILON)
                for w, m, v in zip(weights, means, squares, strict=True)
            ]
            totals = (totals[0] + value * len(rows), totals[1] + correct)
            return (weights, means, squares, count, key), totals

        def scanned(state: Any, totals: Any, rows: Any, x: Any, y: Any) -> Any:
            def body(carry: Any, rows: Any) -> Any:
                state, totals = carry
                return step(state, totals, rows, x, y), None

            return jax.lax.scan(body, (state, totals), rows)[0]

        self._step = jax.jit(scanned if scan else step, donate_argnums=(0, 1))
        self._logits = jax.jit(lambda weights, x: logits(jax, network, weights, x, reshape))

    def load(self, data: Data) -> None:
        self._data = tuple(self._jax.device_put(array) for array in data)

    def epoch(self) -> object:
        jnp, (x, y) = self._jax.numpy, self._data
        totals = (jnp.zeros(()), jnp.zeros((), jnp.int32))
        rows = self._rng.permutation(len(x)).astype(np.int32).reshape(-1, self._batch)
        for part in [rows] if self._scan else rows:
            self._state, totals = self._step(self._state, totals, part, x, y)
        return float(totals[0]) / len(x), int(totals[1]) / len(x)

    def predict(self) -> Array:
        return np.asarray(self._jax.nn.softmax(self._logits(self._state[0], self._data[0])))


def connect(threads: int) -> NetworkPeer:
    return Jax()
