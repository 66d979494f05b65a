"""JAX: XLA's compiled convolution, and the gradients of `jax.vjp`, on channels last."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library


class Jax:
    """Everything under ``jax.jit``; XLA takes its threads from the environment."""

    name = "jax"

    def __init__(self, threads: int) -> None:
        self.jax = library("jax")
        self.version: str = self.jax.__version__

    def supports(self, case: Case, pass_: Pass) -> bool:
        return True

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        jax = self.jax
        arrays = tuple(jax.numpy.asarray(array) for array in case.inputs())
        padding = [(pad, pad) for pad in case.padding]

        def forward(x: Any, kernel: Any, bias: Any) -> Any:
            if case.op == "max_pool2d":
                window, strides = (1, *case.kernel, 1), (1, *case.strides, 1)
                sides = [(0, 0), *padding, (0, 0)]
                return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, strides, sides)
            y = jax.lax.conv_general_dilated(
                x,
                kernel,
                case.strides,
                padding,
                rhs_dilation=case.dilation,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=case.groups,
            )
            return y + bias

        def gradients(x: Any, kernel: Any, bias: Any, dy: Any) -> Any:
            if case.op == "max_pool2d":
                return jax.vjp(lambda x: forward(x, kernel, bias), x)[1](dy)
            return jax.vjp(forward, x, kernel, bias)[1](dy)

        if pass_ == "forward":
            function = jax.jit(lambda *inputs: (forward(*inputs),)).lower(*arrays[:3]).compile()
            return [self._variant(function, arrays[:3])]
        return [self._variant(jax.jit(gradients).lower(*arrays).compile(), arrays)]

    def _variant(self, function: Any, arrays: tuple[Any, ...]) -> Variant:
        block_until_ready = self.jax.block_until_ready

        def to_numpy(results: Any) -> tuple[Array, ...]:
            return tuple(np.asarray(result) for result in results)

        return Variant("", lambda: block_until_ready(function(*arrays)), to_numpy)


def connect(threads: int) -> Peer:
    return Jax(threads)
