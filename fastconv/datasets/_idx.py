"""The idx file format of MNIST and its successors: a magic number, the sizes, the bytes.

The first four bytes are 0, 0, the element type (8 is unsigned byte, the only one these data sets
use) and the number of dimensions; then one big-endian 32-bit size a dimension, then the elements
in C order. A file whose name ends in ``.gz`` is read through gzip.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits" (1998).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

UNSIGNED_BYTE = 0x08
LARGEST = 1 << 30


def read_idx(path: str | Path, *, item_shape: tuple[int, ...] = ()) -> npt.NDArray[np.uint8]:
    """Read one idx file of unsigned bytes.

    Parameters
    ----------
    path : str or Path
        The file; gzip if the name ends in ``.gz``.
    item_shape : tuple of int, default=()
        The shape of one item: ``(28, 28)`` for the images of MNIST, ``()`` for labels.

    Returns
    -------
    numpy.ndarray of uint8, shape (n, *item_shape)

    Raises
    ------
    ValueError
        If the file is not idx, holds another element type or shape, is truncated, corrupt,
        longer than its header says, or larger than 1 GiB. The message names the file.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
    >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
    >>> read_idx(file)
    array([7, 8, 9], dtype=uint8)
    """
    path = Path(path)
    with path.open("rb") as raw:
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        try:
            return _parse(stream, item_shape, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is not a whole gzip file ({error}).") from error


def _parse(stream: IO[bytes], item_shape: tuple[int, ...], path: Path) -> npt.NDArray[np.uint8]:
    magic = stream.read(4)
    expected = bytes((0, 0, UNSIGNED_BYTE, 1 + len(item_shape)))
    if magic != expected:
        raise ValueError(
            f"{path} is not an idx file of {1 + len(item_shape)}-dimensional bytes: it must begin "
            f"with {expected.hex(' ')}. Received: {magic.hex(' ') or 'an empty file'}"
        )
    header = stream.read(4 * (1 + len(item_shape)))
    if len(header) < 4 * (1 + len(item_shape)):
        raise ValueError(f"{path} ends inside its header.")
    shape = struct.unpack(f">{1 + len(item_shape)}I", header)
    if shape[1:] != item_shape:
        raise ValueError(f"{path} must hold items of shape {item_shape}. Received: {shape[1:]}")
    size = math.prod(shape)
    if size > LARGEST:
        raise ValueError(f"{path} claims {size} bytes; at most {LARGEST} are read.")
    content = stream.read(size)
    if len(content) < size:
        raise ValueError(
            f"{path} is truncated: its header says {size} bytes. Received: {len(content)}"
        )
    if stream.read(1):
        raise ValueError(f"{path} goes on after the {size} bytes that its header says.")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()
