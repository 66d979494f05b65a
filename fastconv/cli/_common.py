"""What several subcommands share: options, data ready for a model, results as text or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

import fastconv
from fastconv.datasets import fashion_mnist

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


def add_run_options(parser: argparse.ArgumentParser, *, batch_size: int) -> None:
    """Add the options that every command has which runs a model."""
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=batch_size,
        metavar="N",
        help="images processed at once (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        metavar="N",
        help="threads to use (default: as many as this process may use)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the images."""
    parser.add_argument(
        "--data",
        default="auto",
        metavar="WHERE",
        help="a folder with the files of Fashion-MNIST, 'embedded' for the subset that comes with "
        "fastconv, or 'auto': the full set if this computer has it, else the subset "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="use the first N images of each part only"
    )


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def use_threads(threads: int | None) -> None:
    """Set the number of threads if one was asked for."""
    if threads is not None:
        fastconv.set_num_threads(threads)


def scaled(images: npt.NDArray[np.uint8]) -> Images:
    """Bytes (n, rows, columns) as a model's input (n, rows, columns, 1), 0 to 1."""
    return np.multiply(images[..., None], np.float32(1 / 255), dtype=np.float32)


def load(
    where: str, limit: int | None
) -> tuple[fashion_mnist.Source, tuple[Images, Labels], tuple[Images, Labels]]:
    """Fashion-MNIST as the models take it, and where it came from."""
    source = fashion_mnist.source(where)
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data(where)
    return (
        source,
        (scaled(x_train[:limit]), y_train[:limit]),
        (scaled(x_test[:limit]), y_test[:limit]),
    )


def say(text: str, *, as_json: bool = False) -> None:
    """Print a line for eyes: on the standard error where the standard output carries JSON."""
    print(text, file=sys.stderr if as_json else sys.stdout, flush=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    print(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
