"""One picture of a benchmark: the speed-up of every case, and a roofline with every case on it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.bench.cases import GROUPS
from fastconv.bench.report import Machine, ratio, rivals, speeds
from fastconv.bench.runner import Result

_MARKERS = "osD^vP*X<>"


def matplotlib(module: str) -> Any:
    """Import a module of matplotlib, or say which extra brings it."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ModuleNotFoundError as error:
        raise ImportError('matplotlib is missing: pip install "fastconv[plot]"') from error


def draw(results: Sequence[Result], machine: Machine, path: str | Path) -> None:
    """Write the picture to ``path``; its suffix names the format.

    Parameters
    ----------
    results : sequence of Result
    machine : Machine
        Gives the roofs.
    path : str or path

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    passes = list(dict.fromkeys(result.pass_ for result in results))
    widest = max(sum(result.pass_ == pass_ for result in results) for pass_ in passes)
    width = min(max(9.0, 2 + 0.2 * widest), 24.0)
    size = (width, 4.6 * len(passes) + 6.0)
    figure = matplotlib("figure").Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(passes) + 1, 1, squeeze=False)[:, 0]
    figure.suptitle(f"fastconv {machine.fastconv} on {machine}", fontsize=10)
    for pass_, panel in zip(passes, axes, strict=False):
        chosen = [result for result in results if result.pass_ == pass_]
        _speedups(panel, chosen, f"{pass_}: time of the other library / time of fastconv")
    _roofline(axes[-1], results, machine)
    figure.savefig(path, dpi=110)


def _speedups(axes: Any, results: Sequence[Result], title: str) -> None:
    peers = list(dict.fromkeys(peer for result in results for peer in rivals(result)))
    places = np.arange(len(results))
    for peer, marker in zip(peers, _MARKERS, strict=False):
        values = [ratio(result, peer) or np.nan for result in results]
        axes.plot(places, values, marker, markersize=4.5, alpha=0.85, label=peer)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xticks(places, [result.case.name for result in results], rotation=90, fontsize=7)
    axes.set_xlim(-1, len(results))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", which="both", linewidth=0.3)
    for place in places[1:]:
        if results[place].case.group != results[place - 1].case.group:
            axes.axvline(place - 0.5, color="grey", linewidth=0.6)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.15)  # room for the legend
    axes.legend(fontsize=8, ncols=max(len(peers), 1), loc="upper center")


def _roofline(axes: Any, results: Sequence[Result], machine: Machine) -> None:
    points = []
    for result in results:
        timing = next(iter(result.timings.values()))
        if timing.measured:
            gflops, gigabytes = speeds(result.case, result.pass_, timing.seconds)
            points.append((result.case.group, result.pass_, gflops / gigabytes, gflops))
    for group in dict.fromkeys(point[0] for point in points):
        for pass_, marker in (("forward", "o"), ("backward", "x")):
            chosen = [point[2:] for point in points if point[:2] == (group, pass_)]
            if chosen:
                color = f"C{list(GROUPS).index(group)}" if group in GROUPS else "black"
                label = f"{GROUPS.get(group, group)}, {pass_}"
                axes.plot(*zip(*chosen, strict=True), marker, color=color, label=label)
    span = np.geomspace(0.05, max([100.0, *(point[2] for point in points)]) * 1.5, 200)
    roof = np.minimum(machine.fma_peak, machine.copy_bandwidth * span)
    axes.plot(span, roof, color="black", label="FMA peak and copy bandwidth")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("FLOP per byte that must move")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(
        "Roofline: operations of the direct algorithm, so Winograd can be above the roof",
        fontsize=10,
    )
    axes.grid(which="both", linewidth=0.3)
    axes.legend(fontsize=7, loc="lower right", ncols=2)
