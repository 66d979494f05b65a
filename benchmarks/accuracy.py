"""Rounding errors of both algorithms over the layers that Winograd can compute, as a table.

Run as ``python benchmarks/accuracy.py``. An error is the root of the mean square of the difference
to the float64 result, divided by that of the result itself, on standard normal numbers.
"""

from dataclasses import replace
from typing import Any

import numpy as np

import fastconv
from fastconv.bench.cases import CASES
from fastconv.bench.peers._arrays_api import convolution_options
from fastconv.bench.peers.fastconv import computes

ALGORITHMS = ("direct", "winograd")
IMAGES = 2


def results(algorithm: str, x: Any, kernel: Any, dy: Any, options: Any) -> tuple[Any, ...]:
    """The result and the gradients of the input and the kernel."""
    options = {**options, "algorithm": algorithm}
    dx, dw, _ = fastconv.conv2d_backward(dy, x, kernel, **options)
    return fastconv.conv2d(x, kernel, **options), dx, dw


def error(values: Any, truth: Any) -> float:
    """Of float32 values against the float64 truth."""
    return float(np.sqrt(np.mean((values - truth) ** 2) / np.mean(truth**2)))


def main() -> None:
    print("| case | y direct | y Winograd | ratio | dx ratio | dw ratio |")
    print("|---|---|---|---|---|---|")
    ratios = []
    for case in CASES:
        channels = min(case.channels, case.filters) // case.groups
        if case.op != "conv2d" or channels < 6 or not computes(case, "winograd"):
            continue
        case = replace(case, batch=min(case.batch, IMAGES))
        rng = np.random.default_rng(0)
        arrays = [
            rng.standard_normal(shape).astype("float32")
            for shape in (case.x_shape, case.kernel_shape)
        ]
        options = convolution_options(case)
        shape = fastconv.conv2d(*arrays, **options).shape
        x, kernel, dy = *arrays, rng.standard_normal(shape).astype("float32")
        truth = results("direct", *(a.astype("float64") for a in (x, kernel, dy)), options)
        direct, winograd = (
            [
                error(*pair)
                for pair in zip(results(name, x, kernel, dy, options), truth, strict=True)
            ]
            for name in ALGORITHMS
        )
        ratio = [w / d for w, d in zip(winograd, direct, strict=True)]
        ratios.append(ratio)
        cells = [f"{direct[0]:.1e}", f"{winograd[0]:.1e}", *(f"{r:.2f}" for r in ratio)]
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)
    means = np.exp(np.mean(np.log(ratios), axis=0))
    print(f"| geometric mean | | | {' | '.join(f'{mean:.2f}' for mean in means)} |")


if __name__ == "__main__":
    main()
