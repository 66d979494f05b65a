"""Fashion-MNIST: 28x28 images of clothing in ten classes.

The full set has 60,000 training and 10,000 test images. It is looked for, in this order, in
``$FASTCONV_DATA`` (that folder or its ``fashion-mnist``), the user's cache folder (which
``fastconv datasets download fashion_mnist`` fills), and ``/usr/share/datasets/fashion-mnist``
(Debian's package ``dataset-fashion-mnist``). Where none of them has it, a balanced subset that
comes with fastconv is used: 2,000 training and 500 test images. Nothing is fetched unasked.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms" (2017), arXiv:1708.07747. MIT licence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastconv.datasets._folders import EMBEDDED, candidates, complete
from fastconv.datasets._idx import read_idx

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FOLDER = "fashion-mnist"
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class Source:
    """Where the images come from.

    Attributes
    ----------
    kind : str
        ``"embedded subset"``, ``"$FASTCONV_DATA"``, ``"user cache"``, ``"system package"`` or
        ``"folder"``.
    folder : Path
        The folder that holds the files.
    files : dict of str to Path
        The four files by their names without ``.gz``.

    Examples
    --------
    >>> source("embedded").kind
    'embedded subset'
    """

    kind: str
    folder: Path
    files: dict[str, Path]

    def __str__(self) -> str:
        return f"{self.kind} ({self.folder})"


def source(where: str | Path = "auto") -> Source:
    """Find the data set without reading it.

    Parameters
    ----------
    where : str or Path, default="auto"
        ``"auto"`` searches as the module's text says, ``"embedded"`` takes the subset that comes
        with fastconv, anything else is a folder that holds the four files.

    Returns
    -------
    Source
        The kind of place, the folder and the files.

    Raises
    ------
    ValueError
        If `where` is a folder that does not hold the four files.

    Examples
    --------
    >>> sorted(source("embedded").files) == sorted(TRAIN + TEST)
    True
    """
    if where == "auto":
        for kind, folder in candidates(FOLDER):
            files = complete(folder, TRAIN + TEST)
            if files is not None:
                return Source(kind, folder, files)
        where = "embedded"
    if where == "embedded":
        folder = EMBEDDED / FOLDER
        return Source("embedded subset", folder, {s: folder / f"{s}.gz" for s in TRAIN + TEST})
    folder = Path(where).expanduser()
    for inside in (folder / FOLDER, folder):
        files = complete(inside, TRAIN + TEST)
        if files is not None:
            return Source("folder", inside, files)
    raise ValueError(
        f"where must be 'auto', 'embedded' or a folder with the files {', '.join(TRAIN + TEST)} "
        f"(plain or .gz). Received: where={str(where)!r}"
    )


def load_data(where: str | Path = "auto") -> tuple[Pair, Pair]:
    """Load Fashion-MNIST.

    Parameters
    ----------
    where : str or Path, default="auto"
        As for :func:`source`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images: uint8 of shape (n, 28, 28), 0 is the black background. Labels: uint8 of shape
        (n,), the index into ``CLASS_NAMES``.

    Raises
    ------
    ValueError
        If `where` holds no data set, or a file in it is damaged.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data("embedded")
    >>> x_train.shape, x_test.shape
    ((2000, 28, 28), (500, 28, 28))
    >>> CLASS_NAMES[y_train[0]]
    'Ankle boot'
    """
    files = source(where).files
    return _pair(files, TRAIN), _pair(files, TEST)


def _pair(files: dict[str, Path], stems: tuple[str, str]) -> Pair:
    images = read_idx(files[stems[0]], item_shape=(28, 28))
    labels = read_idx(files[stems[1]])
    if len(images) != len(labels):
        raise ValueError(
            f"{files[stems[0]]} holds {len(images)} images and {files[stems[1]]} {len(labels)} "
            "labels; the numbers must agree."
        )
    if labels.size and labels.max() >= len(CLASS_NAMES):
        raise ValueError(
            f"{files[stems[1]]} must hold labels from 0 to {len(CLASS_NAMES) - 1}. "
            f"Received: {labels.max()}"
        )
    return images, labels
