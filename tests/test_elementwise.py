"""Elementwise functions keep to their arrays and to their elements.

How accurate they are is tested function by function elsewhere. Here all of them run on arrays
surrounded by NaN, at every length around a vector: results may depend neither on where an element
stands, nor on its neighbours, nor on the number of threads, nor on whether the output is the input.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from guards import Output, surrounded
from reference import THREADS, random, same_bytes

import fastconv
from fastconv import runtime

MATRIX_UNIT = False  # none of these kernels uses one

SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 1000]
LARGE = 150_001
NAMES = ["linear", "relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "leaky_relu"]
NAMES += ["gelu", "silu", "exponential", "hard_sigmoid", "relu6"]


def backward(name: str) -> Callable[..., Any]:
    """Return the gradient of an activation as a function of dy and of what it is computed from."""
    if name in ("gelu", "silu"):
        return lambda dy, x, **arguments: fastconv.activate_backward(
            dy, None, name, x=x, **arguments
        )
    return lambda dy, y, **arguments: fastconv.activate_backward(dy, y, name, **arguments)


@pytest.mark.parametrize("name", NAMES)
def test_activations(name: str, isa: str, dtype: str) -> None:
    everything = surrounded(random((LARGE,), dtype)), surrounded(random((LARGE,), dtype, "dy"))
    calls: list[tuple[Callable[..., Any], int]] = [
        (lambda x, **arguments: fastconv.activate(x, name, **arguments), 1),
        (backward(name), 2),
    ]
    for call, operands in calls:
        runtime.set_num_threads(1)
        full = call(*everything[:operands])
        for threads in THREADS:
            runtime.set_num_threads(threads)
            out = Output((LARGE,), dtype)
            assert call(*everything[:operands], out=out.array) is out.array
            out.assert_surroundings_untouched()
            assert same_bytes(out.array, full), f"{threads} threads"
        for size in SIZES:
            arrays = [surrounded(a[:size]) for a in everything[:operands]]
            out = Output((size,), dtype)
            call(*arrays, out=out.array)
            out.assert_surroundings_untouched()
            assert same_bytes(out.array, full[:size]), f"{size} elements"
            for i in range(operands):
                aliased = [a.copy() for a in arrays]
                call(*aliased, out=aliased[i])
                assert same_bytes(aliased[i], full[:size]), f"out is operand {i}, {size} elements"


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 7, 8, 9, 10, 15, 16, 17, 31, 33, 100])
def test_rows(columns: int, isa: str, dtype: str) -> None:
    """Softmax and crossentropy of a row do not depend on the other rows."""
    rows = 37
    x = surrounded(random((rows, columns), dtype))
    dy = surrounded(random((rows, columns), dtype, "dy"))
    labels = np.arange(rows) % columns
    y, dx = fastconv.softmax(x), fastconv.softmax_backward(dy, x)
    gradient = np.empty_like(x)
    loss = fastconv.softmax_crossentropy(x, labels, dlogits=gradient)
    for threads in THREADS:
        runtime.set_num_threads(threads)
        outs = [Output(x.shape, dtype) for _ in range(4)]
        fastconv.softmax(x, out=outs[0].array)
        fastconv.softmax_backward(dy, x, out=outs[1].array)
        again = fastconv.softmax_crossentropy(x, labels, dlogits=outs[2].array, probs=outs[3].array)
        for out in outs:
            out.assert_surroundings_untouched()
        expected = (loss, y, dx, gradient)
        actual = (again, *(out.array for out in outs[:3]))
        assert all(same_bytes(a, b) for a, b in zip(actual, expected, strict=True))
        np.testing.assert_allclose(outs[3].array, y, rtol=8 * np.finfo(dtype).eps)
    poisoned = x.copy()
    poisoned[1::2] = np.nan
    assert same_bytes(fastconv.softmax(poisoned)[::2], y[::2])
    assert same_bytes(fastconv.softmax_crossentropy(poisoned, labels)[::2], loss[::2])
    assert same_bytes(fastconv.softmax(x[5:6])[0], y[5])


UPDATES: dict[str, tuple[Callable[..., Any], int, dict[str, Any]]] = {
    "sgd": (fastconv.functional.sgd_update, 3, {"learning_rate": 0.1, "momentum": 0.9}),
    "rmsprop": (
        fastconv.functional.rmsprop_update,
        5,
        {"learning_rate": 0.1, "rho": 0.9, "momentum": 0.9, "epsilon": 1.0, "centered": True},
    ),
    "adam": (
        fastconv.functional.adam_update,
        5,
        {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1.0},
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_updates(name: str, isa: str, dtype: str) -> None:
    function, count, arguments = UPDATES[name]
    start = [np.abs(random((LARGE,), dtype, i)) for i in range(count)]
    full = [a.copy() for a in start]
    runtime.set_num_threads(1)
    assert function(*full, **arguments) is None
    for size, threads in [*((size, 1) for size in SIZES), *((LARGE, t) for t in THREADS)]:
        runtime.set_num_threads(threads)
        outs = [Output((size,), dtype) for _ in start]
        for out, a in zip(outs, start, strict=True):
            out.array[...] = a[:size]
        function(*(out.array for out in outs), **arguments)
        for out, expected in zip(outs, full, strict=True):
            out.assert_surroundings_untouched()
            assert same_bytes(out.array, expected[:size]), f"{size} elements, {threads} threads"
