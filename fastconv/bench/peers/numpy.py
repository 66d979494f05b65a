"""NumPy written for clarity: `fastconv.reference`, sums over windows by `einsum`."""

from __future__ import annotations

import numpy as np

from fastconv import reference
from fastconv.bench.case import Case, Pass
from fastconv.bench.peers import Peer, Variant
from fastconv.bench.peers._arrays_api import variant


class NumPy:
    """The reference functions, which run on one thread."""

    name = "numpy"
    version = np.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return True

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        return [variant(reference, case, pass_)]


def connect(threads: int) -> Peer:
    return NumPy()
