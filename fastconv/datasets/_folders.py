"""Where data sets are looked for, in order. Nothing here touches the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

DATA_VARIABLE = "FASTCONV_DATA"
EMBEDDED = Path(__file__).parent / "data"


def user_cache() -> Path:
    """The folder that downloads go to when ``$FASTCONV_DATA`` is not set.

    Returns
    -------
    Path
        ``$XDG_CACHE_HOME/fastconv`` or ``~/.cache/fastconv``; on macOS
        ``~/Library/Caches/fastconv``; on Windows ``%LOCALAPPDATA%\\fastconv``.

    Examples
    --------
    >>> user_cache().name
    'fastconv'
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fastconv"


def download_folder(name: str) -> Path:
    """The folder that ``fastconv datasets download`` fills.

    Parameters
    ----------
    name : str
        The data set, as ``"fashion-mnist"``.

    Returns
    -------
    Path
        A folder of that name in ``$FASTCONV_DATA``, or else in :func:`user_cache`.

    Examples
    --------
    >>> download_folder("fashion-mnist").name
    'fashion-mnist'
    """
    named = os.environ.get(DATA_VARIABLE)
    return (Path(named).expanduser() if named else user_cache()) / name


def candidates(name: str) -> Iterator[tuple[str, Path]]:
    """The places where a data set may lie, best first, with a word on each.

    Parameters
    ----------
    name : str
        The data set, as ``"fashion-mnist"``.

    Yields
    ------
    (str, Path)
        The kind of place and the folder, which need not exist.
    """
    named = os.environ.get(DATA_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        yield f"${DATA_VARIABLE}", folder / name
        yield f"${DATA_VARIABLE}", folder
    yield "user cache", user_cache() / name
    yield "system package", Path("/usr/share/datasets") / name


def complete(folder: Path, stems: Iterable[str]) -> dict[str, Path] | None:
    """The files of a data set in one folder, plain or gzip, or None if any is missing.

    Parameters
    ----------
    folder : Path
        Where to look.
    stems : iterable of str
        The names without ``.gz``.

    Returns
    -------
    dict of str to Path, or None
    """
    found = {}
    for stem in stems:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                found[stem] = path
                break
        else:
            return None
    return found
