"""fastconv itself, through its public functions."""

from __future__ import annotations

from fastconv import __version__, functional, runtime
from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant
from fastconv.bench.peers._arrays_api import convolution_options, variant


def pack(case: Case, algorithm: str) -> Array | None:
    """The kernel as the forward pass takes it when it is called many times."""
    _, kernel, _, _ = case.inputs()
    return functional.pack_conv2d(
        case.x_shape, kernel, algorithm=algorithm, **convolution_options(case)
    )


def computes(case: Case, algorithm: str) -> bool:
    """Whether the algorithm is one for this case."""
    try:
        pack(case, algorithm)
    except ValueError:
        return False
    return True


class FastConv:
    """The array API, with ``algorithm`` as given; with kernels packed before, and without."""

    def __init__(self, threads: int, algorithm: str = "auto") -> None:
        runtime.set_num_threads(threads)
        self.algorithm = algorithm
        self.name = "fastconv" if algorithm == "auto" else f"fastconv_{algorithm}"
        self.version = __version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        if self.algorithm == "winograd":
            return case.op == "conv2d" and computes(case, "winograd")
        return self.algorithm == "auto" or case.op == "conv2d"

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        options = {"algorithm": self.algorithm} if case.op == "conv2d" else {}
        variants = [variant(functional, case, pass_, **options)]
        if case.op == "conv2d" and pass_ == "forward":
            packed = pack(case, self.algorithm)
            if packed is not None:
                variants.append(
                    variant(functional, case, pass_, "packed", packed=packed, **options)
                )
        return variants


def connect(threads: int) -> Peer:
    return FastConv(threads)
