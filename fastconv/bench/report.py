"""Tables, summaries and JSON of benchmark results; ratios are a rival's time over fastconv's."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import fastconv
from fastconv import runtime
from fastconv.bench.case import Case, Pass
from fastconv.bench.cases import GROUPS
from fastconv.bench.runner import Result, Timing

_ROW = " {:<9}{:>10}{:>9}{:>7}{:>7} "


@dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers belong to. Speeds are GFLOP/s of all threads together and GB/s of a copy."""

    processor: str
    isa: str
    threads: int
    fma_peak: float
    copy_bandwidth: float
    python: str
    numpy: str
    fastconv: str

    @classmethod
    def measure(cls, threads: int) -> Machine:
        """Measure this machine, as ``threads`` threads see it."""
        return cls(
            processor=_processor(),
            isa=runtime.isa(),
            threads=threads,
            fma_peak=threads * runtime.measure_fma_peak(),
            copy_bandwidth=runtime.measure_copy_bandwidth(),
            python=platform.python_version(),
            numpy=np.__version__,
            fastconv=fastconv.__version__,
        )

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.isa}, threads: {self.threads}; FMA peak "
            f"{self.fma_peak:.1f} GFLOP/s, copy bandwidth {self.copy_bandwidth:.1f} GB/s"
        )


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class Raced(Protocol):
    """Something that contenders computed, the first of them to be judged."""

    timings: dict[str, Timing]


def rivals(result: Raced) -> list[str]:
    """The contenders that are other libraries: all but the first one and its variants."""
    first = next(iter(result.timings))
    return [peer for peer in result.timings if not peer.startswith(first)]


def ratio(result: Raced, peer: str) -> float | None:
    """How many times longer ``peer`` took than the first contender; None without both times."""
    first = next(iter(result.timings.values()))
    timing = result.timings[peer]
    return timing.seconds / first.seconds if first.measured and timing.measured else None


def best_rival(result: Raced) -> tuple[str, float] | None:
    """The fastest other library and its ratio."""
    ratios = [(value, peer) for peer in rivals(result) if (value := ratio(result, peer))]
    return (min(ratios)[1], min(ratios)[0]) if ratios else None


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean.

    Examples
    --------
    >>> round(geometric_mean([1.0, 4.0]), 6)
    2.0
    """
    return exp(sum(map(log, values)) / len(values))


def speeds(case: Case, pass_: Pass, seconds: float) -> tuple[float, float]:
    """GFLOP/s of the direct algorithm and GB/s of the least traffic."""
    return case.flops(pass_) / seconds / 1e9, case.bytes(pass_) / seconds / 1e9


class Table:
    """The lines of the table, one result at a time; names take ``width`` columns."""

    def __init__(self, peers: Sequence[str], machine: Machine, width: int = 24) -> None:
        self.machine = machine
        self.width = width
        self.first, *self.others = peers
        self._group = ""

    def rows(self, result: Result) -> str:
        """The line of one result, under a heading when a new group begins."""
        case, timing = result.case, result.timings[self.first]
        lines = []
        if case.group != self._group:
            self._group = case.group
            lines += [
                "",
                f"{GROUPS.get(case.group, case.group)} (columns of peers: their time / ours)",
            ]
            titles = f"{'case':<{self.width}}" + _ROW.format(
                "pass", "ms", "GFLOP/s", "peak", "copy"
            )
            lines.append(
                titles
                + "".join(f"{peer.removeprefix('fastconv_')[-11:]:>12}" for peer in self.others)
                + "  best rival"
            )
        name = f"{case.name:<{self.width}}"
        if not timing.measured:
            lines.append(f"{name} {result.pass_:<9} {timing.note}")
            return "\n".join(lines)
        gflops, gigabytes = speeds(case, result.pass_, timing.seconds)
        line = name + _ROW.format(
            result.pass_,
            f"{timing.seconds * 1e3:.4g}",
            f"{gflops:.1f}",
            f"{gflops / self.machine.fma_peak:.0%}",
            f"{gigabytes / self.machine.copy_bandwidth:.0%}",
        )
        for peer in self.others:
            value = ratio(result, peer)
            line += f"{value:>12.2f}" if value else f"{'-':>12}"
        best = best_rival(result)
        if best:
            line += f"  {best[1]:.2f} {best[0]}{' SLOWER' if best[1] < 1 else ''}"
        return "\n".join([*lines, line])


def summary(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Per group and pass: geometric mean and minimum of the ratio to the best rival."""
    entries = []
    kinds = dict.fromkeys((result.case.group, result.pass_) for result in results)
    for group, pass_ in kinds:
        chosen = [r for r in results if (r.case.group, r.pass_) == (group, pass_)]
        ranked = [(best[1], best[0], r) for r in chosen if (best := best_rival(r))]
        if not ranked:
            continue
        lowest = min(ranked, key=lambda entry: entry[0])
        means = {}
        for peer in rivals(chosen[0]):
            values = [value for r in chosen if (value := ratio(r, peer))]
            if values:
                means[peer] = geometric_mean(values)
        entries.append(
            {
                "group": group,
                "pass": pass_,
                "cases": len(ranked),
                "geomean": geometric_mean([entry[0] for entry in ranked]),
                "minimum": lowest[0],
                "minimum_case": lowest[2].case.name,
                "minimum_rival": lowest[1],
                "losses": [entry[2].case.name for entry in ranked if entry[0] < 1],
                "geomeans": means,
            }
        )
    return entries


def summary_table(entries: Iterable[dict[str, Any]]) -> str:
    """The summary as text."""
    line = "{:<42} {:<9}{:>6}{:>9}{:>9}  {}"
    lines = [line.format("group", "pass", "cases", "geomean", "minimum", "minimum at")]
    for entry in entries:
        lines.append(
            line.format(
                GROUPS.get(entry["group"], entry["group"]),
                entry["pass"],
                entry["cases"],
                f"{entry['geomean']:.2f}",
                f"{entry['minimum']:.2f}",
                f"{entry['minimum_case']} ({entry['minimum_rival']})",
            )
        )
    return "\n".join(lines)


def problems(results: Iterable[Result], threads: int) -> list[str]:
    """What went wrong: failures and wrong results, then contenders busy on too many cores."""
    lines = []
    for result in results:
        lines += timing_problems(result, f"{result.case.name} {result.pass_}", threads)
    return lines


def timing_problems(result: Raced, what: str, threads: int) -> list[str]:
    """The problems of the contenders with ``what``."""
    lines = []
    for peer, timing in result.timings.items():
        if timing.note and timing.note != "not offered":
            lines.append(f"{peer}, {what}: {timing.note}")
        elif timing.cores > threads + 0.3 and timing.seconds > 1e-3:
            busy = f"kept {timing.cores:.1f} cores busy with {threads} threads"
            lines.append(f"{peer}, {what}: {busy}")
    return lines


def failed(results: Iterable[Raced]) -> bool:
    """Whether a contender failed at what it offers, or computed something else."""
    return any(
        timing.note and timing.note != "not offered"
        for result in results
        for timing in result.timings.values()
    )


def document(
    machine: Machine, versions: dict[str, str], results: Sequence[Result]
) -> dict[str, Any]:
    """Everything, ready for JSON."""
    return {
        "machine": asdict(machine),
        "versions": versions,
        "summary": summary(results),
        "results": [_entry(result) for result in results],
    }


def _entry(result: Result) -> dict[str, Any]:
    case, best = result.case, best_rival(result)
    return {
        **case.as_dict(),
        "pass": result.pass_,
        "flops": case.flops(result.pass_),
        "bytes": case.bytes(result.pass_),
        "best_rival": best and {"name": best[0], "ratio": best[1]},
        "timings": {peer: timing_entry(timing) for peer, timing in result.timings.items()},
    }


def timing_entry(timing: Timing) -> dict[str, Any]:
    """A timing, ready for JSON."""
    return {
        "seconds": timing.seconds if timing.measured else None,
        "median": timing.median if timing.measured else None,
        "cores": timing.cores,
        "error": timing.error,
        "variant": timing.variant,
        "note": timing.note,
    }
