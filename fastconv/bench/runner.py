"""Runs the cases: one process per contender, one round of each in turn, the minimum counts."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastconv.bench.case import PASSES, Case, Clock, Pass
from fastconv.bench.peers import environment

#: Largest accepted difference between two libraries, relative to the largest result. Rounding, even
#: that of Winograd with large tiles, stays ten times below; a wrong pad or kernel is far above,
#: predictions after a step of Adam without the gradients of a layer are twice as far.
TOLERANCE = 1e-3
#: The longest wait for an answer: a prepared case, or a turn.
ANSWER_SECONDS = 300.0
#: Below this many busy cores the fastest call shared its core with another program: the case gets
#: more rounds, up to _PATIENCE times as many.
_UNDISTURBED = 0.9
_PATIENCE = 3
_SETTLE_SECONDS = 0.003  # spinning threads of the last contender go to sleep


class Stopped(RuntimeError):
    """The process of a contender ended or did not answer."""


@dataclass(slots=True)
class Timing:
    """What one contender did on one case: seconds per call, or the reason why there are none."""

    seconds: float = float("inf")
    median: float = float("inf")
    cores: float = 0.0
    error: float = 0.0
    variant: str = ""
    note: str = ""

    @property
    def measured(self) -> bool:
        """Whether there is a time."""
        return self.seconds != float("inf")


@dataclass(slots=True)
class Result:
    """One case and pass: the timing of every contender, the first of which is judged."""

    case: Case
    pass_: Pass
    timings: dict[str, Timing] = field(default_factory=dict)


class Contender:
    """A child process with one library in it.

    Parameters
    ----------
    peer : str
    threads : int
    worker : str
        The module that the process runs.
    patience : float
        Seconds to wait for an answer.

    Raises
    ------
    ImportError
        If the library is not installed.
    """

    def __init__(
        self,
        peer: str,
        threads: int,
        worker: str = "fastconv.bench.worker",
        patience: float = ANSWER_SECONDS,
    ) -> None:
        self.peer = peer
        self.threads = threads
        self._worker = worker
        self._patience = patience
        self.start()

    def start(self) -> None:
        """Start the process, or start it again after :class:`Stopped`."""
        variables = environment(self.threads)
        variables["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._worker, self.peer, str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=variables,
        )
        hello = self._answer()
        if "missing" in hello:
            self.close()
            raise ImportError(hello["missing"])
        self.name: str = hello["name"]
        self.version: str = hello["version"]

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises
        ------
        Stopped
            If the process has ended or does not answer.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says why
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = b""
        if select.select([self._process.stdout], [], [], self._patience)[0]:
            line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.kill()
        self._process.wait()
        self._log.seek(0)
        last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
        reason = f"{self.peer} stopped with exit code {self._process.returncode}"
        self.close()
        raise Stopped(": ".join([reason, *last]))

    def close(self) -> None:
        """End the process; it leaves when its input ends."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def run(
    cases: Sequence[Case],
    peers: Sequence[str],
    *,
    passes: Iterable[Pass] = PASSES,
    threads: int = 1,
    rounds: int = 5,
    seconds: float = 0.25,
    clock: Clock = "wall",
    repeat: int = 1,
    note: Callable[[str], None] = lambda message: None,
) -> tuple[dict[str, str], Generator[Result, None, None]]:
    """Measure ``cases`` on ``peers``, interleaved.

    Parameters
    ----------
    cases : sequence of Case
    peers : sequence of str
        The first one is the truth that the others' results are compared with.
    passes : 'forward', 'backward' or both
    threads : int
        For every peer.
    rounds : int
        How often every contender has its turn on a case.
    seconds : float
        What one contender gets for one case and pass, all rounds together.
    clock : 'wall' or 'cpu'
        What counts: elapsed time, or the processor time of all threads, which other programs on
        the machine disturb less. The latter makes sense for one thread.
    repeat : int
        How often all cases are gone through, for a machine that is slow for seconds at a time; the
        fastest call of all counts.
    note : callable
        Told about peers that are not installed.

    Returns
    -------
    versions : dict
        The name and version of every peer that takes part.
    results : generator of Result
        In the order of ``cases``, ``repeat`` times over, the same objects with what is known by
        then; the processes live until it is exhausted or closed.
    """
    stack = ExitStack()
    contenders = enter(stack, peers, lambda peer: Contender(peer, threads), note)
    versions = {peer: contender.version for peer, contender in contenders.items()}

    def results() -> Generator[Result, None, None]:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        all_of_them = [Result(case, pass_) for case in cases for pass_ in passes]
        with stack:
            for result in all_of_them * repeat:
                _measure(result, contenders, Path(folder), rounds, seconds, clock)
                yield result

    return versions, results()


def enter(
    stack: ExitStack,
    peers: Sequence[str],
    connect: Callable[[str], Contender],
    note: Callable[[str], None],
) -> dict[str, Contender]:
    """The contenders of ``peers``, to be closed by ``stack``; ``note`` hears which are missing.

    Raises
    ------
    ImportError
        If the first one is missing.
    """
    contenders: dict[str, Contender] = {}
    for peer in dict.fromkeys(peers):
        try:
            contenders[peer] = stack.enter_context(connect(peer))
        except ImportError as error:
            if peer == peers[0]:
                raise
            note(f"{peer} skipped: {error}")
    return contenders


def _measure(
    result: Result,
    contenders: dict[str, Contender],
    folder: Path,
    rounds: int,
    seconds: float,
    clock: Clock,
) -> None:
    racing: dict[str, Contender] = {}
    truth = folder / "truth.npz"
    for place, (peer, contender) in enumerate(contenders.items()):
        timing = result.timings.setdefault(peer, Timing())
        if timing.note:  # of an earlier repetition
            continue
        answer = ask(
            contender,
            "prepare",
            case=result.case.as_dict(),
            pass_=result.pass_,
            expected=str(truth) if place and truth.exists() else "",
            keep="" if place else str(truth),
        )
        if judge(timing, answer):
            racing[peer] = contender
    truth.unlink(missing_ok=True)
    take_turns(result.timings, racing, rounds, seconds, clock)
    for contender in contenders.values():
        ask(contender, "release")


def judge(timing: Timing, answer: dict[str, Any]) -> bool:
    """Note in ``timing`` how a contender got prepared; return whether it takes part."""
    timing.note = answer.get("unsupported") or answer.get("failed", "")
    timing.error = answer.get("error", 0.0)
    timing.note = timing.note or mismatch(timing.error)
    return not timing.note


def mismatch(error: float) -> str:
    """What is wrong with a result that deviates by ``error``; empty if nothing is.

    Examples
    --------
    >>> mismatch(1e-6), mismatch(0.5)
    ('', 'computes something else: off by 5.0e-01 of the largest value')
    """
    if error <= TOLERANCE:
        return ""
    return f"computes something else: off by {error:.1e} of the largest value"


def take_turns(
    timings: dict[str, Timing],
    racing: dict[str, Contender],
    rounds: int,
    seconds: float,
    clock: Clock,
) -> None:
    """Measure the prepared contenders in ``racing``, one round of each in turn."""
    for turn in range(_PATIENCE * rounds):
        disturbed = any(timings[peer].cores < _UNDISTURBED for peer in racing)
        if turn >= rounds and (clock == "cpu" or not disturbed):
            break
        for peer, contender in list(racing.items()):
            answer = ask(contender, "round", seconds=seconds / rounds, clock=clock)
            timing = timings[peer]
            if "failed" in answer:
                timing.note = answer["failed"]
                del racing[peer]
            elif answer["best"] < timing.seconds:
                timing.seconds, timing.median = answer["best"], answer["median"]
                timing.cores, timing.variant = answer["cores"], answer["variant"]
            time.sleep(_SETTLE_SECONDS)


def ask(contender: Contender, do: str, **arguments: Any) -> dict[str, Any]:
    """Ask, and after a crash start the contender again and say that it failed."""
    try:
        return contender.ask(do, **arguments)
    except Stopped as stop:
        contender.start()
        return {"failed": str(stop)}
