"""``fastconv bench``: its arguments and its work are those of :mod:`fastconv.bench`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAME = "bench"


def add_parser(commands: Any) -> None:
    """Add ``bench`` to the list of commands."""
    commands.add_parser(
        NAME, help="measure the kernels beside NumPy and the rivals that are installed"
    )


def run(arguments: Sequence[str]) -> int:
    """Measure."""
    from fastconv.bench import main

    return main(list(arguments)) or 0
