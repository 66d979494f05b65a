"""The libraries whose whole networks are compared: one module each, with ``connect(threads)``.

A peer builds the network with the weights it is given, in the memory layout that it likes best, and
offers every way it has to train it or to run it; the fastest way counts. Images go in and
predictions come out as NumPy arrays. A module outside this package takes part under its dotted
name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fastconv.bench.case import Array
from fastconv.bench.networks import Data, Network
from fastconv.bench.peers import adapter

#: Every contender that ships with fastconv.
NETWORK_PEERS = (
    "fastconv",
    "torch",
    "keras_tensorflow",
    "keras_jax",
    "jax",
    "onnxruntime",
    "openvino",
)
#: What `against all` means.
NETWORK_RIVALS = NETWORK_PEERS[1:]

T = TypeVar("T")


class Trainer(Protocol):
    """A network that learns, with Adam and the crossentropy of integer labels."""

    def load(self, data: Data) -> None:
        """Make ``data`` the data set, outside the clock."""
        ...

    def epoch(self) -> object:
        """Train on the shuffled data set once, with its mean loss and accuracy, and wait for it."""
        ...

    def predict(self) -> Array:
        """The predictions (n, classes) for the data set."""
        ...


#: Computes the predictions (n, classes) for images (n, h, w, c) that it was made for.
Inference = Callable[[], Array]


@dataclass(frozen=True, slots=True)
class Way(Generic[T]):
    """One way for a library to do a task.

    Parameters
    ----------
    name : str
        What is special about it; empty if there is only one way.
    make : callable
        Builds and compiles it.
    """

    name: str
    make: Callable[[], T]


class NetworkPeer(Protocol):
    """A library, ready in this process with its number of threads."""

    name: str
    version: str

    @property
    def modules(self) -> Sequence[str]:
        """What a program that uses the library imports."""
        ...

    @property
    def distributions(self) -> Sequence[str]:
        """What has to be installed for it, beside NumPy; their requirements follow."""
        ...

    def training(self, network: Network, batch: int) -> Sequence[Way[Trainer]]:
        """The ways to train, the plainest first; none if the library does not train."""
        ...

    def inference(self, network: Network, x: Array, batch: int) -> Sequence[Way[Inference]]:
        """The ways to compute the predictions for ``x``, ``batch`` images at a time."""
        ...


def connect(name: str, threads: int) -> NetworkPeer:
    """Import the library ``name`` and give it ``threads`` threads.

    Raises
    ------
    ImportError
        If the library is not installed; the message names the extra that brings it.
    ValueError
        If there is no such peer.
    """
    peer: NetworkPeer = adapter(name, __name__, NETWORK_PEERS, NETWORK_RIVALS).connect(threads)
    return peer
