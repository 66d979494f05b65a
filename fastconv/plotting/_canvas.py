"""What the pictures share: matplotlib on demand, a grid of small images, colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

BLUE = "#1f6fb4"
ORANGE = "#d9632b"
GREEN = "#2b7a3d"
RED = "#b3261e"
INK = "#333333"
FAINT = "#dddddd"


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of that size in inches that pyplot does not know.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message says how to get it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'pictures need matplotlib: pip install "fastconv[plot]" (or pip install ".[plot]" '
            "in a checkout)"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure."""
    return new_figure(width, height).subplots() if ax is None else ax


def image_grid(count: int, columns: int, *, cell: float, title: str = "") -> npt.NDArray[Any]:
    """Axes without ticks for `count` images, row by row, each about `cell` inches wide."""
    if count < 1:
        raise ValueError(f"there must be at least one image to draw. Received: {count}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1. Received: columns={columns}")
    columns = min(columns, count)
    rows = -(-count // columns)
    heading = 0.4 if title else 0.0
    figure = new_figure(max(cell * columns, 3.0), cell * rows + heading)
    if title:
        figure.suptitle(title, color=INK)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(False)
    for ax in axes[count:]:
        ax.set_visible(False)
    return np.asarray(axes[:count])


def as_picture(image: Any, name: str) -> Array:
    """One image as (rows, columns) or (rows, columns, 3 or 4), scaled to 0..1 unless bytes."""
    picture = np.asarray(image)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[-1] not in (3, 4)):
        raise ValueError(
            f"{name} must be images of shape (rows, columns), (rows, columns, 1) or "
            f"(rows, columns, 3). Received: shape={np.shape(image)}"
        )
    if picture.dtype == np.uint8 or picture.ndim == 2:
        return picture
    low, high = float(picture.min()), float(picture.max())
    return picture if low >= 0 and high <= 1 else (picture - low) / max(high - low, 1e-12)


def class_name(label: int, names: Sequence[str] | None) -> str:
    """The name of a class, or its number where no name is known."""
    return names[label] if names is not None and 0 <= label < len(names) else str(label)
