"""A case as a call of the array API, which `fastconv` and `fastconv.reference` share."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Variant


def convolution_options(case: Case) -> dict[str, Any]:
    """What the case passes to a convolution beside the arrays."""
    options: dict[str, Any] = {
        "strides": case.strides,
        "padding": tuple((pad, pad) for pad in case.padding),
        "dilation_rate": case.dilation,
    }
    if case.op == "conv2d":
        options["groups"] = case.groups
    return options


def variant(functions: Any, case: Case, pass_: Pass, name: str = "", **options: Any) -> Variant:
    """The case computed by the ``conv2d`` and its kin in ``functions``.

    ``options`` go to the convolutions, such as ``algorithm="direct"``.
    """
    x, kernel, bias, dy = case.inputs()
    if case.op == "max_pool2d":
        padding = tuple((pad, pad) for pad in case.padding)
        window = {"pool_size": case.kernel, "strides": case.strides, "padding": padding}
        if pass_ == "forward":
            return Variant("", partial(functions.max_pool2d, x, **window), _single)
        _, indices = functions.max_pool2d(x, **window, return_indices=True)
        backward = functions.max_pool2d_backward
        return Variant("", partial(backward, dy, indices, case.x_shape, **window), _single)
    options |= convolution_options(case)
    if case.op == "depthwise_conv2d":
        kernel = kernel.reshape(*case.kernel, case.channels, case.filters // case.channels)
    if pass_ == "forward":
        forward = getattr(functions, case.op)
        return Variant(name, partial(forward, x, kernel, bias, **options), _single)
    backward = getattr(functions, f"{case.op}_backward")

    def gradients(result: tuple[Array, Array, Array]) -> tuple[Array, ...]:
        dx, dw, db = result
        return dx, dw.reshape(case.kernel_shape), db

    return Variant(name, partial(backward, dy, x, kernel, **options), gradients)


def _single(result: Array) -> tuple[Array, ...]:
    return (result,)
