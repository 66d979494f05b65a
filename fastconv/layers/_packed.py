"""Layers whose kernel is packed once for many forward passes without training."""

from typing import Any

from numpy.typing import NDArray

from fastconv import runtime
from fastconv.layers._activated import ActivatedLayer
from fastconv.layers.layer import State

Array = NDArray[Any]


class PackedLayer(ActivatedLayer):
    """Keeps what :meth:`pack` makes of the kernel in ``state.extra["packed"]``."""

    def pack(self, state: State, out: Array | None) -> Array | None:
        """Pack the kernel for inputs of ``state``, into ``out`` if given; None: not worth it."""
        raise NotImplementedError

    def prepare(self, state: State) -> None:
        super().prepare(state)
        state.extra["packed"] = state.extra["packed_for"] = None

    def refresh(self, state: State) -> None:
        if state.training:
            return
        isa = runtime.isa()
        kept = state.extra["packed"] if state.extra["packed_for"] == isa else None
        state.extra["packed"] = self.pack(state, kept)
        state.extra["packed_for"] = isa
