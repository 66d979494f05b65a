"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastconv.plotting._canvas import BLUE, FAINT, INK, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS_UP_TO = 30


def plot_history(history: Any, metrics: Sequence[str] | None = None) -> npt.NDArray[Any]:
    """Draw the loss and every metric over the epochs, training beside validation.

    Parameters
    ----------
    history : History or dict of str to sequence of float
        What ``model.fit`` returned, or its ``.history``.
    metrics : sequence of str, optional
        The panels, as ``["loss", "accuracy"]``; all that the history holds if left out, the
        loss first.

    Returns
    -------
    numpy.ndarray of matplotlib Axes, shape (panels,)

    Raises
    ------
    ValueError
        If the history is empty or lacks a metric that was asked for.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> curves = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.7, 0.5, 0.5]}
    >>> [ax.get_ylabel() for ax in plot_history(curves)]
    ['loss']
    """
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    epochs = getattr(history, "epoch", None)
    if metrics is None:
        metrics = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    missing = [name for name in metrics if name not in curves and f"val_{name}" not in curves]
    if missing or not metrics:
        raise ValueError(
            f"history must hold {missing or 'at least one curve'}. "
            f"Received: curves={sorted(curves)}"
        )
    figure = new_figure(4.6 * len(metrics), 3.4)
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for ax, name in zip(axes, metrics, strict=True):
        for key, label, colour in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
            if key in curves:
                _curve(ax, curves[key], epochs, label, colour)
        ax.set_xlabel("epoch")
        ax.set_ylabel(name.replace("_", " "))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(color=FAINT, linewidth=0.7)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
    return np.asarray(axes)


def _curve(
    ax: Axes, values: Sequence[float], epochs: Sequence[int] | None, label: str, colour: str
) -> None:
    if epochs is None or len(epochs) != len(values):
        epochs = range(len(values))
    ax.plot(
        [epoch + 1 for epoch in epochs],
        values,
        color=colour,
        marker="o" if len(values) <= MARKERS_UP_TO else None,
        markersize=4,
        label=f"{label} {values[-1]:.4g}" if len(values) else label,
    )
    ax.title.set_color(INK)
