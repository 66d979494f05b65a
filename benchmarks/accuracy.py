"""Rounding errors of both algorithms over the layers for which "auto" is Winograd, as a table.

Run as ``python benchmarks/accuracy.py``. An error is the root of the mean square of the difference
to the float64 result, divided by that of the result itself, on standard normal numbers.
"""

import math
from typing import Any

import numpy as np

import fastconv
from fastconv.bench.case import Case
from fastconv.bench.cases import CASES
from fastconv.bench.peers._arrays_api import convolution_options


def results(algorithm: str, x: Any, kernel: Any, dy: Any, options: Any) -> tuple[Any, ...]:
    """The result and the gradients of the input and the kernel."""
    options = {**options, "algorithm": algorithm}
    dx, dw, _ = fastconv.conv2d_backward(dy, x, kernel, **options)
    return fastconv.conv2d(x, kernel, **options), dx, dw


def error(values: Any, truth: Any) -> float:
    """Of float32 values against the float64 truth."""
    return float(np.sqrt(np.mean((values - truth) ** 2) / np.mean(truth**2)))


def ratios(case: Case) -> tuple[list[float], list[float]] | None:
    """Direct's errors, and the ratios of those of "auto" to them: NaN where auto is direct.

    None if it is direct in all of them.
    """
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(shape).astype("float32") for shape in (case.x_shape, case.kernel_shape)
    ]
    options = convolution_options(case)
    shape = fastconv.conv2d(*arrays, **options).shape
    x, kernel, dy = *arrays, rng.standard_normal(shape).astype("float32")
    auto, direct = (results(name, x, kernel, dy, options) for name in ("auto", "direct"))
    chosen = [not np.array_equal(*pair) for pair in zip(auto, direct, strict=True)]
    if not any(chosen):
        return None
    truth = results("direct", *(a.astype("float64") for a in (x, kernel, dy)), options)
    errors = [error(*pair) for pair in zip(direct, truth, strict=True)]
    return errors, [
        error(a, t) / e if winograd else math.nan
        for a, t, e, winograd in zip(auto, truth, errors, chosen, strict=True)
    ]


def main() -> None:
    print("| case | y direct | y Winograd | ratio | dx ratio | dw ratio |")
    print("|---|---|---|---|---|---|")
    rows = []
    for case in CASES:
        channels = min(case.channels, case.filters) // case.groups
        measured = ratios(case) if case.op == "conv2d" and channels > 1 else None
        if measured is None:
            continue
        errors, row = measured
        rows.append(row)
        y = [f"{errors[0]:.1e}", f"{errors[0] * row[0]:.1e}"]
        cells = [*y, *(f"{r:.2f}" for r in row)]
        print(f"| {case.name} | {' | '.join(cells).replace('nan', '-')} |", flush=True)
    means = np.exp(np.nanmean(np.log(rows), axis=0))
    print(f"| geometric mean | | | {' | '.join(f'{mean:.2f}' for mean in means)} |")


if __name__ == "__main__":
    main()
