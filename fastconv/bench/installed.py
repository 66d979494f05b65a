"""How much space installed distributions take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def distributions_size(names: Iterable[str]) -> int:
    """Bytes of the installed distributions ``names`` and of all that they require.

    Extras do not count, nor do files that Python compiles by itself. A requirement that is not
    installed is one that this system does not need.

    Raises
    ------
    PackageNotFoundError
        If one of ``names`` is not installed.

    Examples
    --------
    >>> distributions_size(["numpy"]) > 1_000_000
    True
    """
    found: dict[str, Distribution] = {}
    waiting = [(name, distribution(name)) for name in names]
    while waiting:
        name, entry = waiting.pop()
        if _normal(name) in found:
            continue
        found[_normal(name)] = entry
        for requirement in entry.requires or []:
            text, _, marker = requirement.partition(";")
            needed = re.match(r"[\w.-]+", text)
            if needed and not re.search(r"\bextra\b", marker):
                try:
                    waiting.append((needed[0], distribution(needed[0])))
                except PackageNotFoundError:
                    continue
    return sum(_size(entry) for entry in found.values())


def folder_size(folder: Path) -> int:
    """Bytes of the files below ``folder``, without those that Python compiles by itself."""
    return _sum(folder.rglob("*"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(entry: Distribution) -> int:
    return _sum(Path(str(entry.locate_file(file))) for file in entry.files or [])


def _sum(paths: Iterable[Path]) -> int:
    return sum(
        path.stat().st_size for path in paths if path.is_file() and "__pycache__" not in path.parts
    )
