"""The benchmark: named layers, the libraries that compute them, and one fair race.

``fastconv bench`` is :mod:`fastconv.bench.command`; ``pytest benchmarks/`` uses the same cases.
"""

from collections.abc import Sequence

from fastconv.bench.case import PASSES, Case, Inputs, Pass
from fastconv.bench.cases import CASES, GROUPS
from fastconv.bench.shapes import draw, select

__all__ = ["CASES", "GROUPS", "PASSES", "Case", "Inputs", "Pass", "draw", "main", "select"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``fastconv bench``; see `fastconv.bench.command.main`."""
    from fastconv.bench.command import main as command

    return command(argv)
