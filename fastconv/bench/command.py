"""``fastconv bench``: measure the kernels beside other libraries."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import cast

from tqdm import tqdm  # type: ignore[import-untyped]

from fastconv import runtime
from fastconv.bench import plot, report, runner
from fastconv.bench.case import PASSES, Pass
from fastconv.bench.cases import CASES, GROUPS, select
from fastconv.bench.peers import PEERS, RIVALS


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
    parser = _parser()
    options = parser.parse_args(argv)
    if options.clock == "cpu" and options.threads > 1:
        parser.error("--clock cpu needs --threads 1")
    cases = select(options.cases, options.group)
    if options.list:
        for case in cases:
            print(f"{case.name:<24} {case.group:<10} {case.shape}")
        return 0
    if options.plot:
        plot.matplotlib("figure")  # before minutes are spent
    out = sys.stderr if options.json == "-" else sys.stdout

    def say(text: str) -> None:
        tqdm.write(text, file=out)

    machine = report.Machine.measure(options.threads)
    say(str(machine))
    versions, measured = runner.run(
        cases,
        ["fastconv", *options.against],
        passes=options.passes,
        threads=options.threads,
        rounds=options.rounds,
        seconds=options.seconds,
        clock=options.clock,
        note=say,
    )
    say(", ".join(f"{peer} {version}" for peer, version in versions.items()))
    table = report.Table(list(versions), machine)
    results = []
    with closing(measured):
        progress = tqdm(measured, total=len(cases) * len(options.passes), disable=None, leave=False)
        for result in progress:
            results.append(result)
            say(table.rows(result))
    say("\n" + report.summary_table(report.summary(results)))
    problems = report.problems(results, options.threads)
    if problems:
        say("\n" + "\n".join(problems))
    if options.json:
        document = json.dumps(report.document(machine, versions, results), indent=1)
        if options.json == "-":
            print(document)
        else:
            with open(options.json, "w", encoding="utf-8") as file:
                file.write(document + "\n")
    if options.plot:
        plot.draw(results, machine, options.plot)
    failed = any(
        timing.note and timing.note != "not offered"
        for result in results
        for timing in result.timings.values()
    )
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv bench",
        description="Measure the kernels beside other libraries: one process each, the same number "
        "of threads, taking turns, the fastest call counts. Results are checked against each "
        "other.",
    )
    parser.add_argument(
        "--against",
        type=_peers,
        default=["numpy", "torch"],
        metavar="NAMES",
        help=f"comma-separated rivals, or 'all': {', '.join(RIVALS)}; also fastconv_direct and "
        "fastconv_winograd, and dotted names of modules (default: numpy,torch)",
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        default=runtime.get_num_threads(),
        metavar="N",
        help="threads of every contender (default: %(default)s)",
    )
    parser.add_argument(
        "--cases",
        type=_words,
        default=["*"],
        metavar="GLOBS",
        help=f"comma-separated patterns of names (default: all {len(CASES)})",
    )
    parser.add_argument(
        "--group",
        type=_words,
        default=[],
        metavar="NAMES",
        help=f"comma-separated groups: {', '.join(GROUPS)} (default: all)",
    )
    parser.add_argument(
        "--passes",
        type=_passes,
        default=list(PASSES),
        metavar="NAMES",
        help="forward, backward or both (default: forward,backward)",
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=5,
        metavar="N",
        help="turns of every contender on a case (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.25,
        metavar="S",
        help="time of a contender on a case, all rounds together (default: %(default)s)",
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
    parser.add_argument("--plot", metavar="FILE", help="draw speed-ups and a roofline")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    return parser


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _peers(text: str) -> list[str]:
    names = [name for word in _words(text) for name in (RIVALS if word == "all" else (word,))]
    for name in names:
        if name not in PEERS and "." not in name:
            raise argparse.ArgumentTypeError(f"must name rivals from {', '.join(RIVALS)}: {name!r}")
    return [name for name in dict.fromkeys(names) if name != "fastconv"]


def _passes(text: str) -> list[Pass]:
    words = _words(text)
    if not words or not set(words) <= set(PASSES):
        raise argparse.ArgumentTypeError(f"must be forward, backward or both, not {text!r}")
    return cast(list[Pass], words)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
