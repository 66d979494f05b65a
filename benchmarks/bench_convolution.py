"""Convolution, plain and depthwise, forward and backward, beside NumPy and PyTorch.

    pytest benchmarks/bench_convolution.py --threads 1
    pytest benchmarks/ -k "seed and fastconv" --benchmark-json seed.json

The table shows the fastest call and the median; PyTorch takes part where it is installed
(``pip install "fastconv[bench]"``). The backward pass yields all gradients.
"""

from __future__ import annotations

import pytest
from cases import CASES, PASSES, Case, Pass
from conftest import Measure

CONVOLUTIONS = [case for case in CASES if case.is_convolution]


@pytest.mark.parametrize("contender", ["fastconv", "numpy", "torch"])
@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: case.name)
def bench_convolution(measure: Measure, case: Case, pass_: Pass, contender: str) -> None:
    measure(contender, case, pass_)
