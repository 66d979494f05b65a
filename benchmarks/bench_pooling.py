"""Max-pooling in and out of cache, forward and backward, beside NumPy and PyTorch.

    pytest benchmarks/bench_pooling.py --threads 1

The table shows the fastest call and the median; PyTorch takes part where it is installed
(``pip install "fastconv[bench]"``).
"""

from __future__ import annotations

import pytest
from cases import CASES, PASSES, Case, Pass
from conftest import Measure

POOLINGS = [case for case in CASES if not case.is_convolution]


@pytest.mark.parametrize("contender", ["fastconv", "numpy", "torch"])
@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize("case", POOLINGS, ids=lambda case: case.name)
def bench_max_pooling(measure: Measure, case: Case, pass_: Pass, contender: str) -> None:
    measure(contender, case, pass_)
