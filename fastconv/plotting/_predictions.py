"""What a classifier says: images with their names, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastconv.plotting._canvas import (
    GREEN,
    INK,
    RED,
    Array,
    as_picture,
    axes_or_new,
    class_name,
    image_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS_WITH_NUMBERS = 30


def plot_predictions(
    images: Any,
    predictions: Any,
    y_true: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    columns: int = 8,
    title: str = "",
) -> npt.NDArray[Any]:
    """Draw images with the class that was predicted: green if right, red with the true name.

    Parameters
    ----------
    images : array of shape (n, rows, columns), (n, rows, columns, 1) or (n, rows, columns, 3)
        The images, one axes each.
    predictions : array of shape (n,) or (n, classes)
        Labels, or probabilities as ``model.predict`` gives them, which are then shown.
    y_true : array of shape (n,) or (n, classes), optional
        The true labels, as numbers or one-hot.
    class_names : sequence of str, optional
        The name of each class; its number if left out.
    columns : int, default=8
        Images in a row.
    title : str, default=""
        A heading for the whole picture.

    Returns
    -------
    numpy.ndarray of matplotlib Axes, shape (n,)

    Raises
    ------
    ValueError
        If the numbers of images, predictions and labels differ, or there is no image.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> axes = plot_predictions(np.zeros((2, 8, 8)), [0, 1], [0, 0], class_names=["cat", "dog"])
    >>> axes[1].get_title()
    'dog\\nnot cat'
    """
    labels, probabilities = _labels(predictions, "predictions")
    truth = None if y_true is None else _labels(y_true, "y_true")[0]
    if len(images) != len(labels) or (truth is not None and len(truth) != len(labels)):
        raise ValueError(
            "images, predictions and y_true must be of one length. Received: "
            f"{len(images)}, {len(labels)} and {'None' if truth is None else len(truth)}"
        )
    axes = image_grid(len(labels), columns, cell=1.35, title=title)
    for index, ax in enumerate(axes):
        ax.imshow(as_picture(images[index], "images"), cmap="gray")
        text, colour = class_name(labels[index], class_names), INK
        if probabilities is not None:
            text += f" {probabilities[index].max():.0%}"
        if truth is not None:
            right = labels[index] == truth[index]
            text += "" if right else f"\nnot {class_name(truth[index], class_names)}"
            colour = GREEN if right else RED
        ax.set_title(text, fontsize=8, color=colour, pad=3)
    return axes


def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often each class (row) was predicted as each class (column).

    Parameters
    ----------
    y_true, y_pred : array of shape (n,) or (n, classes)
        Labels as numbers, one-hot, or probabilities.
    class_names : sequence of str, optional
        The name of each class; its number if left out.
    normalize : bool, default=False
        Show parts of each row in place of counts.
    ax : matplotlib Axes, optional
        Where to draw; a new figure if left out.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the lengths differ, are zero, or a label is negative or beyond `class_names`.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = plot_confusion_matrix([0, 0, 1], [0, 1, 1])
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '1']
    """
    truth, predicted = _labels(y_true, "y_true")[0], _labels(y_pred, "y_pred")[0]
    if len(truth) != len(predicted) or not len(truth):
        raise ValueError(
            "y_true and y_pred must be of one length, not zero. "
            f"Received: {len(truth)} and {len(predicted)}"
        )
    highest = int(max(truth.max(), predicted.max()))
    classes = highest + 1 if class_names is None else len(class_names)
    if highest >= classes or min(truth.min(), predicted.min()) < 0:
        raise ValueError(f"labels must be from 0 to {classes - 1}. Received: {highest}")
    counts = np.zeros((classes, classes))
    np.add.at(counts, (truth, predicted), 1)
    table = counts / np.maximum(counts.sum(1, keepdims=True), 1) if normalize else counts
    side = min(max(0.55 * classes + 1.6, 3.5), 12.0)
    ax = axes_or_new(ax, side, side)
    ax.imshow(table, cmap="Blues", vmin=0)
    names = [class_name(label, class_names) for label in range(classes)]
    ax.set_xticks(range(classes), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(classes), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.set_title(f"{np.trace(counts) / len(truth):.1%} right", color=INK)
    ax.spines[:].set_visible(False)
    if classes <= CELLS_WITH_NUMBERS:
        dark = table.max() / 2
        for row, column in np.ndindex(classes, classes):
            value = table[row, column]
            text = f"{value:.2f}" if normalize else f"{value:.0f}"
            colour = "white" if value > dark else INK
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    return ax


def _labels(values: Any, name: str) -> tuple[Array, Array | None]:
    """Labels (n,) as integers, and the probabilities (n, classes) if that is what was given."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1:
        one_hot = not np.issubdtype(array.dtype, np.floating) or np.isin(array, (0, 1)).all()
        return array.argmax(1), None if one_hot else array
    if array.ndim == 2:
        array = array[:, 0]
    if array.ndim != 1 or not (array == np.rint(array)).all():
        raise ValueError(
            f"{name} must be labels (n,) or probabilities (n, classes). "
            f"Received: shape={np.shape(values)}"
        )
    return array.astype(np.intp), None
