"""Fetch a data set, asked for by name: checked, resumed where it was cut, complete or not there.

Each file comes into ``NAME.part`` beside its final place. A cut connection leaves that part, and
the next try asks the server for the rest only. The SHA-256 of the unpacked content is compared
with the known one, so that any mirror serves, however it compressed; only then does the file
get its name, in one rename.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from fastconv.datasets import fashion_mnist
from fastconv.datasets._folders import download_folder

CHUNK = 1 << 16
TIMEOUT_SECONDS = 30.0

Progress = Callable[[str, int, int | None], None]


class DownloadError(OSError):
    """A file could not be fetched whole and right; the message says why and what to do."""


def download(
    name: str = "fashion_mnist",
    *,
    url: str | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch the files of a data set that are not there yet.

    Parameters
    ----------
    name : str, default="fashion_mnist"
        The data set. The others are part of the package.
    url : str, optional
        The folder on a server (http, https or file) that holds the ``.gz`` files; the authors'
        own if left out.
    folder : str or Path, optional
        Where the files go; ``fashion-mnist`` in ``$FASTCONV_DATA`` or the user's cache folder
        if left out, where :mod:`fastconv.datasets.fashion_mnist` finds them.
    progress : callable, optional
        Called as ``progress(file, bytes_so_far, bytes_in_all)``; the last is None if the server
        did not say.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If `name` is not a data set that can be fetched.
    DownloadError
        If the server refuses, the connection is cut, or a file is not what it should be.

    Examples
    --------
    >>> download("cats")
    Traceback (most recent call last):
        ...
    ValueError: name must be 'fashion_mnist'. Received: name='cats'
    """
    if name != "fashion_mnist":
        raise ValueError(f"name must be 'fashion_mnist'. Received: name={name!r}")
    base = (url or fashion_mnist.URL).rstrip("/") + "/"
    target = Path(folder).expanduser() if folder else download_folder(fashion_mnist.FOLDER)
    target.mkdir(parents=True, exist_ok=True)
    for stem, sha256 in fashion_mnist.SHA256.items():
        fetch(base + f"{stem}.gz", target / f"{stem}.gz", sha256, progress=progress)
    return target


def fetch(url: str, path: Path, sha256: str, *, progress: Progress | None = None) -> None:
    """Fetch one gzip file, unless it is there and right.

    Parameters
    ----------
    url : str
        The file on the server.
    path : Path
        The file here; its folder must exist.
    sha256 : str
        What the unpacked content must hash to, in hexadecimal.
    progress : callable, optional
        As for :func:`download`.

    Raises
    ------
    DownloadError
        If the server refuses, the connection is cut (the part is kept for the next try), or
        the content is not the expected one (the part is removed).
    """
    if path.is_file() and content_sha256(path) == sha256:
        return
    part = path.with_name(path.name + ".part")
    _receive(url, part, progress)
    found = content_sha256(part)
    if found != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} is not the expected file: its unpacked content must have SHA-256 {sha256}. "
            f"Received: {found or 'no whole gzip file'}. It was removed; try again, or another url."
        )
    os.replace(part, path)


def content_sha256(path: Path) -> str | None:
    """SHA-256 of what a gzip file unpacks to, or None if it is not a whole gzip file."""
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return None
    return digest.hexdigest()


def _receive(url: str, part: Path, progress: Progress | None) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "fastconv"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            if done and not _continues(answer, done):
                done = 0
            _copy(answer, part, done, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return  # Nothing is left to fetch; the checksum decides whether the part is right.
        raise DownloadError(f"{url}: the server answered {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, DownloadError):
            raise
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"{url}: {reason}. Run the command again to go on.") from error


def _continues(answer: http.client.HTTPResponse, done: int) -> bool:
    """Whether the answer begins at byte `done`, as asked, and not at the beginning."""
    content_range = answer.headers.get("Content-Range", "")
    return answer.status == http.client.PARTIAL_CONTENT and content_range.startswith(
        f"bytes {done}-"
    )


def _copy(
    answer: http.client.HTTPResponse, part: Path, done: int, progress: Progress | None
) -> None:
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length and length.isdigit() else None
    with part.open("ab" if done else "wb") as file:
        while chunk := answer.read(CHUNK):
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(part.stem, done, total)
    if total is not None and done < total:
        raise DownloadError(
            f"{answer.url}: the connection was cut after {done} of {total} bytes. "
            "Run the command again to go on."
        )
