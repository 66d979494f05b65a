"""``fastconv datasets``: what is there, and how to get the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fastconv.cli import _common


def add_parser(commands: Any) -> None:
    """Add ``datasets`` to the command line."""
    parser = commands.add_parser(
        "datasets", help="list or download data sets", description="List or download data sets."
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="list the data sets and where they lie")
    shown.add_argument("--json", action="store_true", help="print the list as JSON")
    shown.set_defaults(run=show)
    fetched = actions.add_parser(
        "download",
        help="fetch a full data set",
        description="Fetch a full data set into $FASTCONV_DATA or the user's cache folder. The "
        "content is checked; a download that was cut goes on where it stopped.",
    )
    fetched.add_argument("name", choices=["fashion_mnist"], help="the data set")
    fetched.add_argument("--url", help="folder on a server to take the files from")
    fetched.add_argument("--out", type=Path, metavar="DIR", help="folder to put the files in")
    fetched.set_defaults(run=fetch)


def show(options: argparse.Namespace) -> int:
    """Print a line a data set."""
    from fastconv.datasets import digits, fashion_mnist, shapes, wine

    rows = []
    for module, shape, where in (
        (fashion_mnist, "28x28", str(fashion_mnist.source())),
        (digits, "8x8", "part of the package"),
        (shapes, "8x8", "drawn when asked for"),
        (wine, "4 numbers", "part of the package"),
    ):
        train, test = (len(labels) for _, labels in module.load_data())
        name = module.__name__.rpartition(".")[2]
        rows.append({"name": name, "item": shape, "train": train, "test": test, "where": where})
    if options.json:
        _common.print_json(rows)
        return 0
    for row in rows:
        print(
            f"{row['name']:<14} {row['item']:<10} {row['train']:>6,} training "
            f"{row['test']:>6,} test   {row['where']}"
        )
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download with a progress bar on the standard error."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    from fastconv.datasets.download import download

    bars: dict[str, Any] = {}

    def progress(file: str, done: int, total: int | None) -> None:
        if file not in bars:
            # disable=None shows no bar where the standard error is not a terminal.
            bars[file] = tqdm(desc=file, unit="B", unit_scale=True, disable=None, file=sys.stderr)
            bars[file].total = total
        bars[file].update(done - bars[file].n)
        if done == total:
            bars[file].close()

    folder = download(options.name, url=options.url, folder=options.out, progress=progress)
    print(f"{options.name} is in {folder}")
    return 0
