"""What the commands that compare libraries have in common: arguments, start and JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from fastconv import runtime
from fastconv.bench import plot
from fastconv.bench.report import Machine


def words(text: str) -> list[str]:
    """The words between commas.

    Examples
    --------
    >>> words("a, b,")
    ['a', 'b']
    """
    return [word.strip() for word in text.split(",") if word.strip()]


def chosen(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type of arguments: some of the words ``known``."""

    def parse(text: str) -> list[str]:
        names = words(text)
        if not names or not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"must be some of {', '.join(known)}, not {text!r}")
        return names

    return parse


def positive(text: str) -> int:
    """A type of arguments: a whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def add_race_arguments(
    parser: argparse.ArgumentParser,
    peers: Sequence[str],
    rivals: Sequence[str],
    *,
    against: str,
    also: str,
    rounds: int,
    seconds: float,
    turns: str,
) -> None:
    """Add what every comparison takes: the rivals, threads, rounds, seconds, clock and files.

    ``against``, ``rounds`` and ``seconds`` are the defaults; ``also`` tells about peers that are no
    rivals, ``turns`` what the contenders take turns on.
    """

    def parse(text: str) -> list[str]:
        names = [name for word in words(text) for name in (rivals if word == "all" else (word,))]
        for name in names:
            if name not in peers and "." not in name:
                known = ", ".join(rivals)
                raise argparse.ArgumentTypeError(f"must name rivals from {known}: {name!r}")
        return [name for name in dict.fromkeys(names) if name != "fastconv"]

    parser.add_argument(
        "--against",
        type=parse,
        default=against,
        metavar="NAMES",
        help=f"comma-separated rivals, or 'all': {', '.join(rivals)}; also {also} "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=runtime.get_num_threads(),
        metavar="N",
        help="threads of every contender (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=rounds,
        metavar="N",
        help=f"turns of every contender on {turns} (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        metavar="S",
        help=f"time of a contender on {turns}, all rounds together (default: %(default)s)",
    )
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="elapsed time or processor time, which helps on a busy machine (default: %(default)s)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all figures; '-' is the standard output"
    )


def parse_race(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and refuse a clock that adds up the time of several threads."""
    options = parser.parse_args(argv)
    if options.clock == "cpu" and options.threads > 1:
        parser.error("--clock cpu needs --threads 1")
    return options


def begin(options: argparse.Namespace) -> tuple[Callable[[str], None], Machine]:
    """Look for what the end will need, and measure and name the machine.

    Returns
    -------
    (callable, Machine)
        The first prints a text beside the progress bar, off the output that JSON goes to.
    """
    if options.plot:
        plot.matplotlib("figure")  # before minutes are spent
    out = sys.stderr if options.json == "-" else sys.stdout

    def say(text: str) -> None:
        tqdm.write(text, file=out)

    machine = Machine.measure(options.threads)
    say(str(machine))
    return say, machine


def write_json(document: dict[str, Any], file: str) -> None:
    """Write ``document`` to ``file``; "-" is the standard output."""
    text = json.dumps(document, indent=1)
    if file == "-":
        print(text)
    else:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
