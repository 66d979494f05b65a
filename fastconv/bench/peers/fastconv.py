"""fastconv itself, through its public functions."""

from __future__ import annotations

import fastconv
from fastconv.bench.case import Case, Pass
from fastconv.bench.peers import Peer, Variant
from fastconv.bench.peers._arrays_api import variant


class FastConv:
    """The array API, with ``algorithm`` as given."""

    def __init__(self, threads: int, algorithm: str = "auto") -> None:
        fastconv.set_num_threads(threads)
        self.algorithm = algorithm
        self.name = "fastconv" if algorithm == "auto" else f"fastconv_{algorithm}"
        self.version = fastconv.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return self.algorithm == "auto" or case.op == "conv2d"

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        options = {"algorithm": self.algorithm} if case.op == "conv2d" else {}
        return [variant(fastconv, case, pass_, **options)]


def connect(threads: int) -> Peer:
    return FastConv(threads)
