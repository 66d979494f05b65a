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
from collections.abc import Callable
from typing import Any, TextIO

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
    worst = 0.0
    for result, truth in zip(results, expected, strict=True):
        if result.shape != truth.shape:
            raise ValueError(f"the result has shape {result.shape}, expected {truth.shape}")
        scale = max(float(np.abs(truth).max()), 1e-30)
        difference = float(np.abs(result - truth).max()) / scale
        worst = difference if difference > worst or difference != difference else worst
    return worst


class Worker:
    """Answers the requests of `fastconv.bench.runner` for one peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.variants: list[Variant] = []
        self.measured = False

    def prepare(self, case: dict[str, Any], pass_: Any, expected: str, keep: str) -> dict[str, Any]:
        """Set a case up. Compare with the arrays in ``expected``; write the result to ``keep``."""
        self.release()
        layer = Case.from_dict(case)
        if not self.peer.supports(layer, pass_):
            return {"unsupported": "not offered"}
        self.variants = self.peer.prepare(layer, pass_)
        error = 0.0
        for variant in self.variants:
            results = variant.to_numpy(variant.run())
            if keep:
                np.savez(keep, *results)
            if expected:
                with np.load(expected) as file:
                    truth = tuple(file[name] for name in file.files)
                error = max(error, deviation(results, truth))
        self.measured = False
        return {"error": error}

    def round(self, seconds: float, clock: Clock) -> dict[str, Any]:
        """Measure every variant still in the race and report the fastest."""
        share = seconds / len(self.variants)
        measured = [(variant, *time_calls(variant.run, share, clock)) for variant in self.variants]
        variant, times, cores = min(measured, key=lambda entry: min(entry[1]))
        if not self.measured:
            limit = _KEEP * min(times)
            self.variants = [entry[0] for entry in measured if min(entry[1]) <= limit]
            self.measured = True
        return {
            "best": min(times),
            "median": float(np.median(times)),
            "cores": cores,
            "variant": variant.name,
        }

    def release(self) -> dict[str, Any]:
        """Let go of the arrays of the case."""
        self.variants = []
        gc.collect()
        return {}


def serve(peer: str, threads: int, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until the input ends. A failure is an answer too: ``{"failed": why}``."""

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        connection = connect(peer, threads)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    worker = Worker(connection)
    answer({"name": connection.name, "version": connection.version})
    methods: dict[str, Callable[..., dict[str, Any]]] = {
        "prepare": worker.prepare,
        "round": worker.round,
        "release": worker.release,
    }
    gc.disable()
    for line in requests:
        request = json.loads(line)
        try:
            answer(methods[request.pop("do")](**request))
        except Exception as error:  # whatever a library raises is a result of its benchmark
            answer({"failed": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    # Libraries print to standard output: give them standard error, keep the pipe for answers.
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        serve(sys.argv[1], int(sys.argv[2]), sys.stdin, pipe)
