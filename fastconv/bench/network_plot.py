"""One picture of the comparison of networks: speed-ups, and what the libraries cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.bench.network_report import amount
from fastconv.bench.network_runner import Cost, NetworkResult
from fastconv.bench.plot import matplotlib
from fastconv.bench.report import Machine, ratio, rivals

_TITLES = {
    "import": "import, with NumPy",
    "memory": "peak memory, training seed",
    "size": "installed size",
}


def draw(results: Sequence[NetworkResult | Cost], machine: Machine, path: str | Path) -> None:
    """Write the picture to ``path``; its suffix names the format.

    Parameters
    ----------
    results : sequence of NetworkResult or Cost
    machine : Machine
    path : str or path

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    raced = [result for result in results if isinstance(result, NetworkResult)]
    costs = [result for result in results if isinstance(result, Cost)]
    heights = [4.6] * bool(raced) + [3.2] * bool(costs)
    size = (max(9.0, 2 + 1.1 * len(raced)), sum(heights) + 0.6)
    figure = matplotlib("figure").Figure(figsize=size, layout="constrained")
    figure.suptitle(f"fastconv {machine.fastconv} on {machine}", fontsize=10)
    panels = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    if raced:
        _speedups(panels[0].subplots(), raced)
    if costs:
        axes = panels[-1].subplots(1, len(costs), squeeze=False)[0]
        for panel, cost in zip(axes, costs, strict=True):
            _bars(panel, cost)
    figure.savefig(path, dpi=110)


def _speedups(axes: Any, results: Sequence[NetworkResult]) -> None:
    peers = list(dict.fromkeys(peer for result in results for peer in rivals(result)))
    width = 0.8 / max(len(peers), 1)
    places = np.arange(len(results))
    for number, peer in enumerate(peers):
        values = np.array([ratio(result, peer) or np.nan for result in results])
        shift = (number - (len(peers) - 1) / 2) * width
        bars = axes.bar(places + shift, values - 1, width, bottom=1, label=peer)
        axes.bar_label(bars, [f"{value:.1f}" for value in values], fontsize=6)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("time of the other library / time of fastconv", fontsize=10)
    names = [f"{result.network.name}\n{result.task}" for result in results]
    axes.set_xticks(places, names, fontsize=8)
    axes.grid(axis="y", which="both", linewidth=0.3)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.15)  # room for the legend
    axes.legend(fontsize=8, ncols=max(len(peers), 1), loc="upper center")


def _bars(axes: Any, cost: Cost) -> None:
    peers = list(cost.values)
    bars = axes.barh(peers, list(cost.values.values()), color=[f"C{n}" for n in range(len(peers))])
    labels = [amount(cost.task, value) for value in cost.values.values()]
    axes.bar_label(bars, labels, fontsize=7, padding=2)
    axes.invert_yaxis()
    axes.set_xlim(right=1.35 * max(cost.values.values(), default=1))  # room for the labels
    axes.set_xticks([])
    axes.tick_params(labelsize=8)
    axes.set_title(_TITLES[cost.task], fontsize=9)
