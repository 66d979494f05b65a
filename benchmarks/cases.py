"""The named cases. They live in `fastconv.bench`, where ``fastconv bench`` finds them too."""

from fastconv.bench import CASES, GROUPS, PASSES, Case, Pass, select

__all__ = ["CASES", "GROUPS", "PASSES", "Case", "Pass", "select"]
