"""The process of one contender: reads requests from its standard input, answers on its output.

Every library gets a process of its own, so that thread pools, allocators and settings of one do not
disturb another; between requests it blocks on a pipe. One JSON object per line in both directions.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TextIO

import numpy as np

from fastconv.bench.case import Array, Case, Clock
from fastconv.bench.peers import Peer, Variant, connect

#: Calls shorter than this are timed in batches.
_RESOLUTION = 2e-4
#: After the first round only variants within this factor of the best one go on.
_KEEP = 1.25


def time_calls(
    run: Callable[[], Any], seconds: float, clock: Clock = "wall"
) -> tuple[list[float], float]:
    """Call ``run`` for about ``seconds``; return seconds per call, and the cores the fastest used.

    The first call is a warm-up, unless it alone takes longer than ``seconds``. The clock "cpu"
    counts the processor time of all threads.

    Examples
    --------
    >>> times, _ = time_calls(lambda: sum(range(1000)), 0.01)
    >>> 0 < min(times) < 0.01
    True
    """

    def measure(calls: int) -> tuple[float, float]:
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(calls):
            run()
        wall = max(time.perf_counter() - start, 1e-9)
        used = max(time.process_time() - cpu, 1e-9)
        return (wall if clock == "wall" else used) / calls, used / wall

    measured = [measure(1)]
    if measured[0][0] < seconds:
        measured = []
        calls = max(1, int(_RESOLUTION / measure(1)[0]))
        end = time.perf_counter() + seconds
        while not measured or time.perf_counter() < end:
            measured.append(measure(calls))
    return [entry[0] for entry in measured], min(measured)[1]


def deviation(results: tuple[Array, ...], expected: tuple[Array, ...]) -> float:
    """The largest difference between two sets of arrays, relative to the largest expected value.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    largest = 0.0
    for result, truth in zip(results, expected, strict=True):
        if result.shape != truth.shape:
            raise ValueError(f"the result has shape {result.shape}, expected {truth.shape}")
        scale = max(float(np.abs(truth).max()), 1e-30)
        largest = worst(largest, float(np.abs(result - truth).max()) / scale)
    return largest


def worst(one: float, other: float) -> float:
    """The larger deviation; NaN is larger than all.

    Examples
    --------
    >>> worst(float("nan"), 1.0)
    nan
    """
    return other if other > one or other != other else one


def load(path: str) -> tuple[Array, ...]:
    """The arrays that `numpy.savez` wrote."""
    with np.load(path) as file:
        return tuple(file[name] for name in file.files)


class Runnable(Protocol):
    """One way to compute something; ``run`` waits until it is there."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> Callable[[], Any]: ...


class Racer:
    """Takes turns: measures the ways that are prepared, of which the fastest counts."""

    def __init__(self) -> None:
        self._ways: Sequence[Runnable] = []
        self._measured = False

    def line_up(self, ways: Sequence[Runnable]) -> None:
        """Prepare for the first round of ``ways``."""
        self._ways, self._measured = ways, False

    def round(self, seconds: float, clock: Clock) -> dict[str, Any]:
        """Measure every way still in the race and report the fastest."""
        share = seconds / len(self._ways)
        measured = [(way, *time_calls(way.run, share, clock)) for way in self._ways]
        fastest, times, cores = min(measured, key=lambda entry: min(entry[1]))
        if not self._measured:
            limit = _KEEP * min(times)
            self._ways = [entry[0] for entry in measured if min(entry[1]) <= limit]
            self._measured = True
        return {
            "best": min(times),
            "median": float(np.median(times)),
            "cores": cores,
            "variant": fastest.name,
        }

    def release(self) -> dict[str, Any]:
        """Let go of the arrays of the case."""
        self.line_up([])
        gc.collect()
        return {}


class Worker(Racer):
    """Answers the requests of `fastconv.bench.runner` for one peer."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer

    def prepare(self, case: dict[str, Any], pass_: Any, expected: str, keep: str) -> dict[str, Any]:
        """Set a case up. Compare with the arrays in ``expected``; write the result to ``keep``."""
        self.release()
        layer = Case.from_dict(case)
        if not self.peer.supports(layer, pass_):
            return {"unsupported": "not offered"}
        variants: list[Variant] = self.peer.prepare(layer, pass_)
        error = 0.0
        for variant in variants:
            results = variant.to_numpy(variant.run())
            if keep:
                np.savez(keep, *results)
            if expected:
                error = worst(error, deviation(results, load(expected)))
        self.line_up(variants)
        return {"error": error}


Methods = Mapping[str, Callable[..., dict[str, Any]]]


def serve(
    start: Callable[[], tuple[dict[str, Any], Methods]], requests: TextIO, answers: TextIO
) -> None:
    """Answer requests until the input ends. A failure is an answer too: ``{"failed": why}``.

    ``start`` returns the first answer and the methods that answer requests; its ImportError is the
    answer ``{"missing": why}``.
    """

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        hello, methods = start()
    except ImportError as error:
        answer({"missing": str(error)})
        return
    answer(hello)
    for line in requests:
        request = json.loads(line)
        try:
            answer(methods[request.pop("do")](**request))
        except Exception as error:  # whatever a library raises is a result of its benchmark
            answer({"failed": reason(error)})


def reason(error: Exception) -> str:
    """An exception in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def run_process(start: Callable[[], tuple[dict[str, Any], Methods]]) -> None:
    """Serve on the standard streams of this process.

    Libraries print to standard output: they get standard error, answers keep the pipe.
    """
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        serve(start, sys.stdin, pipe)


def _start() -> tuple[dict[str, Any], Methods]:
    peer = connect(sys.argv[1], int(sys.argv[2]))
    worker = Worker(peer)
    gc.disable()
    methods: Methods = {"prepare": worker.prepare, "round": worker.round, "release": worker.release}
    return {"name": peer.name, "version": peer.version}, methods


if __name__ == "__main__":
    run_process(_start)
