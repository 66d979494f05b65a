"""Runs whole networks as `fastconv.bench.runner` runs layers, and measures what libraries cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fastconv.bench.case import Clock
from fastconv.bench.networks import COSTS, NETWORKS, TASKS, Network
from fastconv.bench.runner import (
    Contender,
    Stopped,
    Timing,
    ask,
    enter,
    judge,
    take_turns,
)

#: Seconds: a worker compiles every way of its library before it answers.
_PATIENCE = 3600.0
_MEMORY = ("seed", 32)  # network and batch


@dataclass(slots=True)
class NetworkResult:
    """A network and a task: timings of ``images`` images per call; ways that failed by peer."""

    network: Network
    task: str
    images: int
    timings: dict[str, Timing] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Cost:
    """Import time in seconds, or memory or size in bytes, by peer; or why there is none."""

    task: str
    values: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def run(
    networks: Sequence[Network],
    tasks: Sequence[str],
    peers: Sequence[str],
    *,
    threads: int = 1,
    rounds: int = 5,
    seconds: float = 5.0,
    clock: Clock = "wall",
    images: int | None = None,
    note: Callable[[str], None] = lambda message: None,
) -> tuple[dict[str, str], Generator[NetworkResult | Cost, None, None]]:
    """Measure ``tasks`` on ``peers``, interleaved.

    Parameters
    ----------
    networks : sequence of Network
    tasks : sequence of str
        From `TASKS`, for every network, and from `COSTS`.
    peers : sequence of str
        The first one is the truth that the others' predictions are compared with.
    threads, rounds, seconds, clock, note
        As in `fastconv.bench.runner.run`. An epoch is never cut short.
    images : int, optional
        The size of every data set, a multiple of the batch sizes; its own for each network if left
        out.

    Returns
    -------
    versions : dict
        The name and version of every peer that takes part.
    results : generator
        The networks in their order, then the costs.
    """
    stack = ExitStack()

    def connect(peer: str) -> Contender:
        return Contender(peer, threads, "fastconv.bench.network_worker", _PATIENCE)

    contenders = enter(stack, peers, connect, note)
    versions = {peer: contender.version for peer, contender in contenders.items()}

    def results() -> Generator[NetworkResult | Cost, None, None]:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with stack:
            for network in networks:
                for task in [task for task in TASKS if task in tasks]:
                    count = images or network.images
                    result = NetworkResult(network, task, 1 if task == "latency" else count)
                    racing = _prepare(result, contenders, count, Path(folder) / "truth.npz")
                    take_turns(result.timings, racing, rounds, seconds, clock)
                    for contender in contenders.values():
                        ask(contender, "release")
                    yield result
            for task in [task for task in COSTS if task in tasks]:
                cost = Cost(task)
                for _ in range(rounds if task == "import" else 1):
                    for peer, contender in contenders.items():
                        _measure_cost(cost, contender, partial(connect, peer), images)
                yield cost

    return versions, results()


def _prepare(
    result: NetworkResult, contenders: dict[str, Contender], images: int, truth: Path
) -> dict[str, Contender]:
    racing: dict[str, Contender] = {}
    for place, (peer, contender) in enumerate(contenders.items()):
        timing = result.timings[peer] = Timing()
        answer = ask(
            contender,
            "prepare",
            network=result.network.name,
            task=result.task,
            images=images,
            expected=str(truth) if place and truth.exists() else "",
            keep="" if place else str(truth),
        )
        result.skipped[peer] = answer.get("skipped", [])
        if judge(timing, answer):
            racing[peer] = contender
    truth.unlink(missing_ok=True)
    return racing


def _measure_cost(
    cost: Cost, contender: Contender, connect: Callable[[], Contender], images: int | None
) -> None:
    peer = contender.peer
    if cost.task == "memory":
        name, batch = _MEMORY
        try:
            with connect() as fresh:
                count = images or NETWORKS[name].images
                answer = fresh.ask("peak_bytes", network=name, images=count, batch=batch)
        except Stopped as stop:
            answer = {"failed": str(stop)}
    else:
        do = "import_seconds" if cost.task == "import" else "installed_bytes"
        answer = ask(contender, do)
    if "value" in answer:
        cost.values[peer] = min(answer["value"], cost.values.get(peer, float("inf")))
    else:
        cost.notes[peer] = answer.get("unsupported") or answer["failed"]
