"""Keras on JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.network_peers import NetworkPeer
from fastconv.bench.network_peers._keras import Keras


class KerasJax(Keras):
    """Functions compiled by XLA, which takes its threads from the environment."""

    def __init__(self) -> None:
        super().__init__("jax", {"": True})

    def compiled_call(self, model: Any, jit: bool) -> Callable[[Array], Array]:
        def predictions(trained: Any, other: Any, x: Any) -> Any:
            return model.stateless_call(trained, other, x, training=False)[0]

        function = self.backend.jit(predictions)
        trained, other = (
            [variable.value for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        return lambda x: np.asarray(function(trained, other, x))


def connect(threads: int) -> NetworkPeer:
    return KerasJax()
