"""The libraries that are compared: one module per rival, each with ``connect(threads) -> Peer``.

A peer prepares a case outside the clock: it lays out the arrays as it likes them best and, for
inference where it offers that, packs the weights. What it returns allocates its result, as the
functions of `fastconv` do. A module outside this package takes part under its dotted name.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fastconv.bench.case import Array, Case, Pass

#: Every contender that ships with fastconv. The last two pin `algorithm` of fastconv itself.
PEERS = (
    "fastconv",
    "numpy",
    "numpy_blas",
    "torch",
    "tensorflow",
    "jax",
    "onnxruntime",
    "openvino",
    "ncnn",
    "fastconv_direct",
    "fastconv_winograd",
)
#: What `against all` means.
RIVALS = PEERS[1:9]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way for a library to compute a case, such as with another memory layout.

    Parameters
    ----------
    name : str
        What is special about it; empty if there is only one way.
    run : callable
        Computes the result from nothing but prepared inputs and waits until it is there.
    to_numpy : callable
        Turns what `run` returned into (y,) or (dx, dw, db) or (dx,): channels last, HWIO.
    """

    name: str
    run: Callable[[], Any]
    to_numpy: Callable[[Any], tuple[Array, ...]]


class Peer(Protocol):
    """A library, ready in this process with its number of threads."""

    name: str
    version: str

    def supports(self, case: Case, pass_: Pass) -> bool:
        """Whether the library offers this layer and this pass at all."""
        ...

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        """The ways to compute the case; the fastest of them counts."""
        ...


def connect(name: str, threads: int) -> Peer:
    """Import the library ``name`` and give it ``threads`` threads.

    Raises
    ------
    ImportError
        If the library is not installed; the message names the extra that brings it.
    ValueError
        If there is no such peer.
    """
    peer: Peer = adapter(name, __name__, PEERS, RIVALS).connect(threads)
    return peer


def adapter(name: str, package: str, peers: Sequence[str], rivals: Sequence[str]) -> Any:
    """Import the module of a peer: one of ``peers`` from ``package``, or a dotted name.

    Raises
    ------
    ValueError
        If there is no such peer.
    """
    if name in peers:
        return importlib.import_module(f"{package}.{name}")
    if "." in name:
        return importlib.import_module(name)
    raise ValueError(f"`against` must name peers from {list(rivals)}. Received: against={name!r}")


def library(module: str) -> Any:
    """Import ``module`` of a rival, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f'{module} is missing: pip install "fastconv[bench]"') from error


def environment(threads: int) -> dict[str, str]:
    """The environment that gives every library ``threads`` threads, to be set before its import.

    Examples
    --------
    >>> environment(2)["OMP_NUM_THREADS"]
    '2'
    """
    counted = ("FASTCONV", "OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB")
    variables = {f"{prefix}_NUM_THREADS": str(threads) for prefix in counted}
    flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    return {
        **os.environ,
        **variables,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_PLATFORMS": "cpu",
        "NPROC": str(threads),  # the size of XLA's pool
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
    }
