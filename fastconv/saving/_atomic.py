"""Files that are either the old or the new one, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def replacing(filepath: str, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``filepath`` when the block ends without an error.

    The new content goes to a temporary file in the same folder, reaches the disk, and is renamed;
    after an error or an interruption the previous file is untouched.

    Raises
    ------
    FileExistsError
        If the file exists and ``overwrite`` is False.
    """
    import tempfile

    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(
            f"The file exists; pass `overwrite=True` to replace it. Received: filepath={filepath}"
        )
    folder, name = os.path.split(os.path.abspath(filepath))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(filepath))
        os.replace(temporary, filepath)
    except BaseException:
        _remove(temporary)
        raise


def _mode(filepath: str) -> int:
    """Return the permissions of the previous file, or those of a new one."""
    try:
        return os.stat(filepath).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        return
