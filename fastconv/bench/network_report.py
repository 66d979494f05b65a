"""Tables and JSON of the comparison of networks; ratios are a rival's cost over fastconv's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from fastconv.bench.network_runner import Cost, NetworkResult
from fastconv.bench.networks import COSTS, TASKS
from fastconv.bench.report import Machine, best_rival, ratio, timing_entry, timing_problems

_ROW = "{:<10} {:<10}{:>20}"
_PREFIXES = {"fastconv_": "", "keras_": "k_", "tensorflow": "tf"}


def speed(result: NetworkResult, peer: str) -> str:
    """What a contender reached, with its unit."""
    seconds = result.timings[peer].seconds
    if result.task == "latency":
        return f"{seconds * 1e6:.1f} us"
    return f"{result.images / seconds:,.0f} images/s"


def amount(task: str, value: float) -> str:
    """A cost with its unit."""
    return f"{value:.3f} s" if task == "import" else f"{value / 1e6:,.1f} MB"


def cost_ratios(cost: Cost, first: str) -> dict[str, float]:
    """The cost of every rival relative to that of ``first``; empty without the latter."""
    if first not in cost.values:
        return {}
    return {
        peer: value / cost.values[first]
        for peer, value in cost.values.items()
        if not peer.startswith(first)
    }


class NetworkTable:
    """The lines of the table, one result at a time."""

    def __init__(self, peers: Sequence[str]) -> None:
        self.first, *self.others = peers
        self._group = ""

    def rows(self, result: NetworkResult | Cost) -> str:
        """The line of one result, under a heading when a new network begins."""
        if isinstance(result, Cost):
            ratios = cost_ratios(result, self.first)
            best = min(((value, peer) for peer, value in ratios.items()), default=None)
            cells: dict[str, float | None] = {peer: ratios.get(peer) for peer in self.others}
            title, group = "library", "once for every library"
            ours = result.notes.get(self.first, "")
            if self.first in result.values:
                ours = amount(result.task, result.values[self.first])
        else:
            named = best_rival(result)
            best = (named[1], named[0]) if named else None
            cells = {peer: ratio(result, peer) for peer in self.others}
            title, group = result.network.name, result.network.shape
            timing = result.timings[self.first]
            ours = speed(result, self.first) if timing.measured else timing.note
        lines = self._heading(f"{title}, {group}") if title != self._group else []
        self._group = title
        line = _ROW.format(title, result.task, ours)
        for peer in self.others:
            value = cells[peer]
            line += f"{value:>12.2f}" if value else f"{'-':>12}"
        if best:
            line += f"  {best[0]:.2f} {best[1]}{' WORSE' if best[0] < 1 else ''}"
        return "\n".join([*lines, line])

    def _heading(self, title: str) -> list[str]:
        columns = "".join(f"{_short(peer):>12}" for peer in self.others)
        return [
            "",
            f"{title} (columns of peers: their time or amount / ours)",
            _ROW.format("", "task", self.first) + columns + "  best rival",
        ]


def _short(peer: str) -> str:
    for prefix, short in _PREFIXES.items():
        peer = peer.replace(prefix, short)
    return peer[-11:]


def problems(results: Iterable[NetworkResult | Cost], threads: int) -> list[str]:
    """What went wrong, then ways that failed while others of their library went on."""
    lines, ways = [], []
    for result in results:
        if isinstance(result, Cost):
            lines += [f"{peer}, {result.task}: {note}" for peer, note in failures(result).items()]
            continue
        what = f"{result.network.name} {result.task}"
        lines += timing_problems(result, what, threads)
        for peer, skipped in result.skipped.items():
            ways += [f"{peer}, {what}, left out: {reason}" for reason in skipped]
    return lines + ways


def failures(cost: Cost) -> dict[str, str]:
    """The peers whose cost could not be measured, and why."""
    return {peer: note for peer, note in cost.notes.items() if note != "not offered"}


def document(
    machine: Machine, versions: dict[str, str], results: Sequence[NetworkResult | Cost]
) -> dict[str, Any]:
    """Everything, ready for JSON."""
    first = next(iter(versions))
    return {
        "machine": asdict(machine),
        "versions": versions,
        "networks": [_entry(result) for result in results if isinstance(result, NetworkResult)],
        "costs": [_cost_entry(result, first) for result in results if isinstance(result, Cost)],
    }


def _entry(result: NetworkResult) -> dict[str, Any]:
    best = best_rival(result)
    timings = {}
    for peer, timing in result.timings.items():
        rate = result.images / timing.seconds if timing.measured else None
        timings[peer] = {
            **timing_entry(timing),
            "images_per_second": rate,
            "skipped": result.skipped.get(peer, []),
        }
    return {
        "network": result.network.name,
        "layers": result.network.shape,
        "task": result.task,
        "description": TASKS[result.task],
        "images": result.images,
        "best_rival": best and {"name": best[0], "ratio": best[1]},
        "timings": timings,
    }


def _cost_entry(cost: Cost, first: str) -> dict[str, Any]:
    return {
        "task": cost.task,
        "description": COSTS[cost.task],
        "unit": "s" if cost.task == "import" else "bytes",
        "values": cost.values,
        "notes": cost.notes,
        "ratios": cost_ratios(cost, first),
    }
