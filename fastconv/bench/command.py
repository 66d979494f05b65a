"""``fastconv bench``: measure the kernels beside other libraries."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

from tqdm import tqdm  # type: ignore[import-untyped]

from fastconv.bench import plot, report, runner
from fastconv.bench.case import PASSES
from fastconv.bench.cases import CASES, GROUPS
from fastconv.bench.options import (
    add_race_arguments,
    begin,
    chosen,
    parse_race,
    positive,
    words,
    write_json,
)
from fastconv.bench.peers import PEERS, RIVALS
from fastconv.bench.shapes import draw, select


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after ``fastconv bench``; those of the process if left out.

    Returns
    -------
    int
        0, or 1 if a contender failed or computed something else.

    Examples
    --------
    >>> main(["--list", "--cases", "seed-conv1"])
    seed-conv1               first      32x28x28x1 -> 32, 5x5
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if any(word == "--networks" or word.startswith("--networks=") for word in arguments):
        from fastconv.bench.network_command import main as networks

        return networks(arguments)
    options = parse_race(_parser(), arguments)
    if options.random:
        cases = draw(options.random, options.seed, options.group)
    else:
        cases = select(options.cases, options.group)
    width = max(24, *(len(case.name) for case in cases))
    if options.list:
        for case in cases:
            print(f"{case.name:<{width}} {case.group:<10} {case.shape}")
        return 0
    say, machine = begin(options)
    versions, measured = runner.run(
        cases,
        ["fastconv", *options.against],
        passes=options.passes,
        threads=options.threads,
        rounds=options.rounds,
        seconds=options.seconds,
        clock=options.clock,
        repeat=options.repeat,
        note=say,
    )
    say(", ".join(f"{peer} {version}" for peer, version in versions.items()))
    table = report.Table(list(versions), machine, width)
    rows = len(cases) * len(options.passes)
    results = []
    with closing(measured):
        progress = tqdm(measured, total=rows * options.repeat, disable=None, leave=False)
        for count, result in enumerate(progress):
            if count >= rows * (options.repeat - 1):
                results.append(result)
                say(table.rows(result))
    say("\n" + report.summary_table(report.summary(results)))
    problems = report.problems(results, options.threads)
    if problems:
        say("\n" + "\n".join(problems))
    if options.json:
        write_json(report.document(machine, versions, results), options.json)
    if options.plot:
        plot.draw(results, machine, options.plot)
    return int(report.failed(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv bench",
        allow_abbrev=False,
        description="Measure the kernels beside other libraries: one process each, the same number "
        "of threads, taking turns, the fastest call counts. Results are checked against each "
        "other.",
    )
    parser.add_argument(
        "--networks",
        nargs="?",
        metavar="GLOBS",
        help="compare whole networks instead; --networks --help lists its options",
    )
    add_race_arguments(
        parser,
        PEERS,
        RIVALS,
        against="numpy,torch",
        also="fastconv_direct and fastconv_winograd, and dotted names of modules",
        rounds=5,
        seconds=0.25,
        turns="a case",
    )
    parser.add_argument(
        "--repeat",
        type=positive,
        default=1,
        metavar="N",
        help="go through all cases so many times, for machines that are slow for seconds at a time "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--cases",
        type=words,
        default=["*"],
        metavar="GLOBS",
        help=f"comma-separated patterns of names (default: all {len(CASES)}), or layers named by "
        "their shape as 'odd-8x14x14x512-512-3x3-s2-p1-g32' is",
    )
    parser.add_argument(
        "--random",
        type=positive,
        metavar="N",
        help="N random layers in place of the named ones",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="which random layers (default: %(default)s)",
    )
    parser.add_argument(
        "--group",
        type=words,
        default=[],
        metavar="NAMES",
        help=f"comma-separated groups: {', '.join(GROUPS)} (default: all)",
    )
    parser.add_argument(
        "--passes",
        type=chosen(PASSES),
        default=list(PASSES),
        metavar="NAMES",
        help="forward, backward or both (default: forward,backward)",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw speed-ups and a roofline")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    return parser


if __name__ == "__main__":
    sys.exit(main())
