"""What the benchmarks share: the number of threads, the libraries, and how a case is measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cases import Case, Pass
    from peers import Peer, Variant

#: Seconds a contender gets for one case and pass.
_BUDGET = 0.1
#: Calls shorter than this are timed in batches.
_RESOLUTION = 2e-4

Measure = Callable[[str, "Case", "Pass"], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--threads", type=int, default=1, help="threads of every contender (default: 1)"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Before NumPy is imported: its BLAS reads these once.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(config.getoption("--threads"))


@cache
def _connect(name: str, threads: int) -> Peer:
    from peers import connect

    try:
        return connect(name, threads)
    except ImportError as error:
        pytest.skip(str(error))


def _seconds(variant: Variant) -> float:
    """Time of the second call; the first one is a warm-up that touches all memory."""
    variant.run()
    start = time.perf_counter()
    variant.run()
    return max(time.perf_counter() - start, 1e-7)


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """Measure a case on a contender: prepared outside the clock, the fastest variant counts."""

    def run(contender: str, case: Case, pass_: Pass) -> None:
        from fastconv import runtime

        threads = request.config.getoption("--threads")
        peer = _connect(contender, threads)
        if not peer.supports(case, pass_):
            pytest.skip(f"{contender} does not offer {case.name} {pass_}")
        variants = [(_seconds(variant), variant) for variant in peer.prepare(case, pass_)]
        seconds, variant = min(variants, key=lambda entry: entry[0])
        calls = max(1, int(_RESOLUTION / seconds))
        benchmark.group = f"{case.name} {pass_}"
        benchmark.extra_info.update(
            isa=runtime.isa(),
            threads=threads,
            version=peer.version,
            variant=variant.name,
            layer=case.shape,
            gflop=case.flops(pass_) / 1e9,
            megabytes=case.bytes(pass_) / 1e6,
        )
        rounds = min(max(int(_BUDGET / (seconds * calls)), 1), 500)
        benchmark.pedantic(variant.run, rounds=rounds, iterations=calls)

    return run
