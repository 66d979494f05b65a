"""Make the data files of the package (fastconv/datasets/data) from their originals.

    python tools/embed_data.py [FOLDER]

FOLDER holds the four files of Fashion-MNIST (default: where Debian's package
dataset-fashion-mnist puts them). The digits are scikit-learn's copy of the UCI data. The same
originals always give the same files: the first images of each class are taken, in file order.
Needs ``scikit-learn`` and ``zopfli``, whose gzip files are 3% smaller than zlib's; any gzip reads
them.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zopfli.gzip
from sklearn.datasets import load_digits

from fastconv.datasets import fashion_mnist
from fastconv.datasets._folders import EMBEDDED

PER_CLASS = {"train": 200, "t10k": 50}
DEBIAN = "/usr/share/datasets/fashion-mnist"


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write bytes as gzip idx, without a time stamp or a file name inside."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zopfli.gzip.compress(header + array.tobytes(), blocksplittingmax=0))


def balanced(labels: npt.NDArray[np.uint8], per_class: int) -> npt.NDArray[np.intp]:
    """Positions of the first `per_class` items of each class, in order."""
    chosen = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def main(folder: str = DEBIAN) -> None:
    """Write every file."""
    train, test = fashion_mnist.load_data(folder)
    for part, (images, labels) in (("train", train), ("t10k", test)):
        kept = balanced(labels, PER_CLASS[part])
        target = EMBEDDED / fashion_mnist.FOLDER
        write_idx(target / f"{part}-images-idx3-ubyte.gz", images[kept])
        write_idx(target / f"{part}-labels-idx1-ubyte.gz", labels[kept])
    digits = load_digits()
    write_idx(EMBEDDED / "digits" / "images-idx3-ubyte.gz", digits.images.astype(np.uint8))
    write_idx(EMBEDDED / "digits" / "labels-idx1-ubyte.gz", digits.target.astype(np.uint8))


if __name__ == "__main__":
    main(*sys.argv[1:])
