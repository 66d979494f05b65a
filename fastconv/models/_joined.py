"""Many steps in one call, where Python takes no part in them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.functional import Program
from fastconv.models._data import Batch
from fastconv.models._fused_loss import FusedLoss
from fastconv.models._passes import Node

Array = NDArray[Any]


class JoinedSteps:
    """A step as one program that is repeated: inputs, passes with the loss, in training the update.

    Parameters
    ----------
    batch : Batch
        Of the data that all inputs are taken from.
    x : ndarray
        The input of ``passes``.
    scale : float or None
        What inputs are multiplied by.
    passes : Program
    update : Program or None
    loss : FusedLoss
        The one in ``passes``.
    advancing : list of Node
        Those that differ from step to step.
    """

    def __init__(
        self,
        batch: Batch,
        x: Array,
        scale: float | None,
        passes: Program,
        loss: FusedLoss,
        update: Program | None,
        advancing: list[Node],
    ) -> None:
        self._source, self._gather, self._update = batch.source, batch.gather, update
        self._loss, self._advancing = loss, advancing
        self._dtype, self._scale = x.dtype, scale
        place = x if batch.gather is None else np.zeros(batch.size, np.int64)
        self._program = Program(
            (place, loss.target, loss.totals, *(() if update is None else update.moving))
        )
        if batch.gather is not None:
            with self._program:
                batch.gather(place, x, 1.0 if scale is None else scale)
        self._program.extend(passes)
        if update is not None:
            self._program.extend(update)
        with self._program:
            for node in advancing:
                node.layer.record_next(node.state)

    def serves(self, batch: Batch, update: Program | None) -> bool:
        """Return whether the program is for these data and this update."""
        same = self._source is batch.source and self._gather is batch.gather
        return same and self._update is update

    def run(self, batch: Batch, settings: Array | None) -> tuple[list[float], float] | None:
        """Run the batches that ``batch`` holds, with the settings of their updates.

        Returns
        -------
        (list of float, float), or None
            The mean losses and the number of correct predictions; None, and nothing is done, if
            the targets are not what the loss takes.
        """
        place = batch.places(self._dtype, self._scale)
        target = self._loss.prepared(batch.y, batch.count)
        if target is None:
            return None
        for node in self._advancing:
            node.layer.advance(node.state, batch.count)
        totals = np.empty((batch.count, 2))
        arrays = (place, target, totals) if settings is None else (place, target, totals, settings)
        self._program.repeat(batch.count, *arrays)
        return (totals[:, 0] / batch.size).tolist(), float(totals[:, 1].sum())
