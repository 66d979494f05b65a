"""fastconv itself, through its public functions."""

from __future__ import annotations

from fastconv import __version__, functional, runtime
from fastconv.bench.case import Case, Pass
from fastconv.bench.peers import Peer, Variant
from fastconv.bench.peers._arrays_api import variant


class FastConv:
    """The array API, with ``algorithm`` as given."""

    def __init__(self, threads: int, algorithm: str = "auto") -> None:
        runtime.set_num_threads(threads)
        self.algorithm = algorithm
        self.name = "fastconv" if algorithm == "auto" else f"fastconv_{algorithm}"
        self.version = __version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        if self.algorithm == "winograd":
            plain = case.strides == case.dilation == (1, 1) and case.groups == 1
            return case.op == "conv2d" and plain and case.kernel in ((3, 3), (5, 5))
        return self.algorithm == "auto" or case.op == "conv2d"

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        options = {"algorithm": self.algorithm} if case.op == "conv2d" else {}
        return [variant(functional, case, pass_, **options)]


def connect(threads: int) -> Peer:
    return FastConv(threads)
