"""How long layers take channels first, as a multiple of channels last, as a table.

Run as ``python benchmarks/layouts.py [--threads 1] [--rounds 3] [name ...]``; names may be patterns
such as ``resnet*``. The layers are those of ``fastconv bench``. Both layouts are measured in turn,
the least of all rounds counts; the backward pass yields the gradients of the input, the kernel and
the bias.
"""

import argparse
import fnmatch
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastconv
from fastconv.bench.case import PASSES, Case, Pass
from fastconv.bench.cases import CASES
from fastconv.bench.peers._arrays_api import convolution_options

LEAST_SECONDS = 0.05  # of each measurement
LAYOUTS = ("channels_last", "channels_first")


def call_of(case: Case, pass_: Pass, layout: str) -> Callable[[], Any]:
    """The layer on arrays of a layout."""
    x, kernel, bias, dy = case.inputs()
    if layout == "channels_first":
        x, dy = (np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in (x, dy))
    function = getattr(fastconv, case.op)
    backward = getattr(fastconv, f"{case.op}_backward")
    if not case.is_convolution:
        options: dict[str, Any] = {
            "pool_size": case.kernel,
            "strides": case.strides,
            "padding": tuple((pad, pad) for pad in case.padding),
            "data_format": layout,
        }
        if pass_ == "forward":
            return partial(function, x, **options)
        _, indices = function(x, **options, return_indices=True)
        return partial(backward, dy, indices, x.shape, **options)
    options = {**convolution_options(case), "data_format": layout}
    if case.op == "depthwise_conv2d":
        kernel = kernel.reshape(*case.kernel, case.channels, case.filters // case.channels)
    if pass_ == "forward":
        return partial(function, x, kernel, bias, **options)
    return partial(backward, dy, x, kernel, **options)


def best_of(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of some calls."""
    call()
    best, end = float("inf"), time.perf_counter() + LEAST_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["*"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| case | forward ms, last | first | ratio | backward ms, last | first | ratio |")
    print("|---|---|---|---|---|---|---|")
    ratios = []
    with fastconv.threads(arguments.threads):
        for case in CASES:
            if not any(fnmatch.fnmatch(case.name, name) for name in arguments.names):
                continue
            cells = []
            for pass_ in PASSES:
                calls = [call_of(case, pass_, layout) for layout in LAYOUTS]
                rounds = [[best_of(call) for call in calls] for _ in range(arguments.rounds)]
                last, first = (min(times) * 1e3 for times in zip(*rounds, strict=True))
                ratios.append(first / last)
                cells += [f"{last:.3f}", f"{first:.3f}", f"{first / last:.2f}"]
            print(f"| {case.name} | {' | '.join(cells)} |", flush=True)
    above = sum(ratio > 1.3 for ratio in ratios)
    print(f"\n{above} of {len(ratios)} above 1.3; geometric mean", end=" ")
    print(f"{np.exp(np.mean(np.log(ratios))):.2f}, median {np.median(ratios):.2f}")


if __name__ == "__main__":
    main()
