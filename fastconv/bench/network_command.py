"""``fastconv bench --networks``: train and run whole networks beside other libraries."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing

from tqdm import tqdm  # type: ignore[import-untyped]

from fastconv.bench import network_plot, network_report, network_runner
from fastconv.bench.network_peers import NETWORK_PEERS, NETWORK_RIVALS
from fastconv.bench.network_runner import Cost, NetworkResult
from fastconv.bench.networks import COSTS, NETWORKS, TASKS, select_networks
from fastconv.bench.options import add_race_arguments, begin, chosen, parse_race, words, write_json
from fastconv.bench.report import failed


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
    >>> main(["--networks", "shapes", "--list", "--tasks", "latency"])
    shapes                   8x8x1: conv 2 3x3, pool, conv 3 2x2, pool, dense 8, dense 3
    latency                  inference on one image
    0
    """
    options = parse_race(_parser(), argv)
    networks = select_networks(options.networks)
    if options.list:
        entries = {network.name: network.shape for network in networks} | {
            task: text for task, text in (TASKS | COSTS).items() if task in options.tasks
        }
        for name, text in entries.items():
            print(f"{name:<24} {text}")
        return 0
    say, machine = begin(options)
    versions, measured = network_runner.run(
        networks,
        options.tasks,
        ["fastconv", *options.against],
        threads=options.threads,
        rounds=options.rounds,
        seconds=options.seconds,
        clock=options.clock,
        images=options.images,
        note=say,
    )
    say(", ".join(f"{peer} {version}" for peer, version in versions.items()))
    table = network_report.NetworkTable(list(versions))
    results: list[NetworkResult | Cost] = []
    raced, costs = (sum(task in options.tasks for task in kind) for kind in (TASKS, COSTS))
    with closing(measured):
        total = len(networks) * raced + costs
        for result in tqdm(measured, total=total, disable=None, leave=False):
            results.append(result)
            say(table.rows(result))
    problems = network_report.problems(results, options.threads)
    if problems:
        say("\n" + "\n".join(problems))
    if options.json:
        write_json(network_report.document(machine, versions, results), options.json)
    if options.plot:
        network_plot.draw(results, machine, options.plot)
    return int(
        failed(result for result in results if isinstance(result, NetworkResult))
        or any(network_report.failures(cost) for cost in results if isinstance(cost, Cost))
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv bench --networks",
        description="Train and run whole networks beside other libraries: one process each, the "
        "same number of threads, taking turns, the fastest call of the fastest way counts. "
        "Predictions are checked against each other.",
    )
    parser.add_argument(
        "--networks",
        type=words,
        nargs="?",
        const=["*"],
        default=["*"],
        metavar="GLOBS",
        help=f"comma-separated patterns of names: {', '.join(NETWORKS)} (default: all)",
    )
    parser.add_argument(
        "--tasks",
        type=chosen([*TASKS, *COSTS]),
        default=[*TASKS, *COSTS],
        metavar="NAMES",
        help=f"comma-separated tasks: {', '.join([*TASKS, *COSTS])} (default: all)",
    )
    add_race_arguments(
        parser,
        NETWORK_PEERS,
        NETWORK_RIVALS,
        against="torch",
        also="dotted names of modules",
        rounds=5,
        seconds=5.0,
        turns="a task",
    )
    parser.add_argument(
        "--images",
        type=_images,
        metavar="N",
        help="size of every data set, a multiple of 256 (default: its own for every network)",
    )
    parser.add_argument("--plot", metavar="FILE", help="draw speed-ups and costs")
    parser.add_argument("--list", action="store_true", help="list networks and tasks and stop")
    return parser


def _images(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1 or int(text) % 256:
        raise argparse.ArgumentTypeError(f"must be a multiple of 256, not {text!r}")
    return int(text)
