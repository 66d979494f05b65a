"""Stretches of the flat buffers that an update treats alike."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv._variable import Variable
from fastconv.functional import Program

Array = NDArray[Any]


class Segment:
    """A stretch of weights with its gradients and slots, all flat and of one size.

    Attributes
    ----------
    w, g : ndarray, one axis
    slots : dict of str to ndarray
    variables : list of Variable
        What lies in it; between them there may be padding, whose values stay zero.
    decays : bool
        Whether weight decay applies.
    """

    def __init__(
        self, w: Array, g: Array, variables: list[Variable], starts: list[int], decays: bool
    ) -> None:
        self.w = w
        self.g = g
        self.variables = variables
        self.decays = decays
        self.slots: dict[str, Array] = {}
        #: The optimizer's update of these arrays with its settings, recorded on first use.
        self.recorded: tuple[Program, Array] | None = None
        self._starts = {id(v): start for v, start in zip(variables, starts, strict=True)}

    def view(self, slot: Array, variable: Variable) -> Array:
        """Return the part of ``slot`` that belongs to ``variable``, in its shape."""
        start = self._starts[id(variable)]
        return slot[start : start + variable.size].reshape(variable.shape)


def cut(
    variables: Sequence[Variable], decays: Callable[[Variable], bool], single: bool
) -> list[Segment]:
    """Return segments that cover ``variables``: as few as possible, or with ``single`` one each.

    A variable outside of any flat buffer becomes a segment by itself and gets a gradient array.
    """
    runs: list[list[Variable]] = []
    for variable in variables:
        last = runs[-1][-1] if runs else None
        if last is not None and not single and _adjoin(last, variable, decays):
            runs[-1].append(variable)
        else:
            runs.append([variable])
    return [_segment(run, decays(run[0])) for run in runs]


def _adjoin(a: Variable, b: Variable, decays: Callable[[Variable], bool]) -> bool:
    """Return whether ``b`` follows ``a`` in the same buffer and is treated alike."""
    if a.slot is None or b.slot is None or a.slot[0] is not b.slot[0]:
        return False
    gap = b.slot[2] - (a.slot[2] + a.size)
    return 0 <= gap < ALIGNMENT and decays(a) == decays(b)


#: Elements to whose multiples the flat buffers align each variable.
ALIGNMENT = 16


def _segment(run: list[Variable], decays: bool) -> Segment:
    first, last = run[0], run[-1]
    if first.slot is None or last.slot is None:
        first.grad = np.zeros_like(first.value)
        return Segment(first.memory.reshape(-1), first.grad.reshape(-1), run, [0], decays)
    values, grads, start = first.slot
    stop = last.slot[2] + last.size
    starts = [v.slot[2] - start for v in run if v.slot is not None]
    return Segment(values[start:stop], grads[start:stop], run, starts, decays)
