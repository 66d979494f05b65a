"""The named networks of the benchmark: layers, weights, data, and the tasks that are timed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import prod
from typing import Literal, NamedTuple

import numpy as np

from fastconv.bench.case import Array

Activation = Literal["linear", "relu", "softmax"]

#: Task -> what it holds. The first are timed for every network.
TASKS = {
    "train-32": "training with Adam, batches of 32",
    "train-128": "training with Adam, batches of 128",
    "inference": "inference on many images, the fastest batch size",
    "latency": "inference on one image",
}
#: The cost of a library, whatever the network.
COSTS = {
    "import": "seconds to import the library and NumPy",
    "memory": "peak memory of training the seed network, batches of 32",
    "size": "installed size with required dependencies",
}
#: Every contender tries these in the task `inference`.
INFERENCE_BATCHES = (32, 128, 256)
#: What a step of Adam uses everywhere; the values that Keras starts with.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with stride 1 and bias, then relu."""

    filters: int
    kernel: int
    padding: Literal["same", "valid"] = "same"


@dataclass(frozen=True, slots=True)
class Pool:
    """The largest of every 2x2 pixels."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Rows of (height, width, channels)."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer."""

    units: int
    activation: Activation = "relu"


@dataclass(frozen=True, slots=True)
class Dropout:
    """Zeros, in training, for this share of the values."""

    rate: float


Layer = Conv | Pool | Flatten | Dense | Dropout


class Data(NamedTuple):
    """Images x (n, h, w, c) in float32 and labels y (n,) in int64."""

    x: Array
    y: Array


@dataclass(frozen=True, slots=True)
class Network:
    """A named network for images, channels last, which ends in a softmax.

    Parameters
    ----------
    name : str
    input_shape : (int, int, int)
        Height, width, channels.
    layers : tuple of Layer
    images : int
        The size of the data set: a multiple of every batch size.

    Examples
    --------
    >>> [weight.shape for weight in NETWORKS["shapes"].weights()[:2]]
    [(3, 3, 1, 2), (2,)]
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    images: int

    @property
    def classes(self) -> int:
        """Columns of the output."""
        last = self.layers[-1]
        assert isinstance(last, Dense)
        return last.units

    def without_dropout(self) -> Network:
        """The same network where training draws no random numbers."""
        layers = tuple(layer for layer in self.layers if not isinstance(layer, Dropout))
        return replace(self, layers=layers)

    @property
    def shape(self) -> str:
        """The network in short, such as ``8x8x1: conv 2 3x3, pool, dense 3``."""
        words = []
        for layer in self.layers:
            match layer:
                case Conv(filters, kernel, padding):
                    valid = " valid" if padding == "valid" else ""
                    words.append(f"conv {filters} {kernel}x{kernel}{valid}")
                case Pool():
                    words.append("pool")
                case Dense(units):
                    words.append(f"dense {units}")
                case Dropout(rate):
                    words.append(f"dropout {rate:g}")
        return f"{'x'.join(map(str, self.input_shape))}: {', '.join(words)}"

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of one image before every layer, and of the result."""
        shapes: list[tuple[int, ...]] = [self.input_shape]
        for layer in self.layers:
            before = shapes[-1]
            match layer:
                case Conv(filters, kernel, padding):
                    cut = kernel - 1 if padding == "valid" else 0
                    shapes.append((before[0] - cut, before[1] - cut, filters))
                case Pool():
                    shapes.append((before[0] // 2, before[1] // 2, before[2]))
                case Flatten():
                    shapes.append((prod(before),))
                case Dense(units):
                    shapes.append((units,))
                case Dropout():
                    shapes.append(before)
        return shapes

    def weights(self) -> list[Array]:
        """Kernels (kh, kw, c, filters) or (inputs, units), each with its bias: always the same."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        weights = []
        for layer, before in zip(self.layers, self.shapes(), strict=False):
            if isinstance(layer, Conv):
                shape: tuple[int, ...] = (layer.kernel, layer.kernel, before[2], layer.filters)
            elif isinstance(layer, Dense):
                shape = (before[0], layer.units)
            else:
                continue
            limit = (6 / (prod(shape[:-1]) + shape[-1])) ** 0.5
            weights.append(rng.uniform(-limit, limit, shape).astype(np.float32))
            weights.append(rng.uniform(0, 0.1, shape[-1:]).astype(np.float32))
        return weights

    def data(self, images: int) -> Data:
        """The first ``images`` of the data set, the same in every process."""
        x_rng, y_rng = (np.random.default_rng(seed) for seed in (1, 2))
        x = x_rng.random((images, *self.input_shape), np.float32)
        return Data(x, y_rng.integers(0, self.classes, images))

    def channels_first_weights(self) -> list[Array]:
        """The weights for libraries with channels first.

        Kernels are (filters, c, kh, kw) and (units, inputs), and the layer after Flatten reads
        (channels, height, width).
        """
        weights = iter(self.weights())
        flattened: tuple[int, ...] = ()
        result = []
        for layer, before in zip(self.layers, self.shapes(), strict=False):
            if isinstance(layer, Flatten):
                flattened = before
            elif isinstance(layer, Conv):
                result += [next(weights).transpose(3, 2, 0, 1).copy(), next(weights)]
            elif isinstance(layer, Dense):
                kernel = next(weights)
                if flattened:
                    kernel = kernel.reshape(*flattened, -1).transpose(2, 0, 1, 3)
                    kernel, flattened = kernel.reshape(-1, layer.units), ()
                result += [kernel.T.copy(), next(weights)]
        return result


_SEED = Network(
    "seed",
    (28, 28, 1),
    (
        Conv(32, 5, "valid"),
        Pool(),
        Conv(64, 3),
        Pool(),
        Flatten(),
        Dense(128),
        Dropout(0.5),
        Dense(10, "softmax"),
    ),
    images=2560,
)
_SHAPES = Network(
    "shapes",
    (8, 8, 1),
    (
        Conv(2, 3),
        Pool(),
        Conv(3, 2),
        Pool(),
        Flatten(),
        Dense(8),
        Dense(3, "softmax"),
    ),
    images=25600,
)
_VGG = Network(
    "vgg",
    (32, 32, 3),
    (
        *(Conv(32, 3), Conv(32, 3), Pool()),
        *(Conv(64, 3), Conv(64, 3), Pool()),
        *(Conv(128, 3), Conv(128, 3), Pool()),
        Flatten(),
        Dense(256),
        Dense(10, "softmax"),
    ),
    images=512,
)
NETWORKS = {network.name: network for network in (_SEED, _SHAPES, _VGG)}


def select_networks(names: Iterable[str] = ("*",)) -> list[Network]:
    """The networks whose name matches one of the globs ``names``.

    Raises
    ------
    ValueError
        If no network is left.

    Examples
    --------
    >>> [network.name for network in select_networks(["s*"])]
    ['seed', 'shapes']
    """
    patterns = list(names)
    chosen = [
        network
        for network in NETWORKS.values()
        if any(fnmatchcase(network.name, pattern) for pattern in patterns)
    ]
    if not chosen:
        raise ValueError(
            f"`networks` must match at least one of {list(NETWORKS)}. "
            f"Received: networks={patterns!r}"
        )
    return chosen
