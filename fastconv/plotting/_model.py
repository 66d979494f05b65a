"""A model as a column of boxes: layers, shapes, parameter counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastconv.plotting._canvas import INK, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 5.4
BOX = 0.56
GAP = 0.3
WEIGHTED = "#d6e6f4"
PLAIN = "#f1f1f1"


def plot_model(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw a model: a box a layer with its name, output shape and number of parameters.

    Parameters
    ----------
    model : Sequential
        A built model.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of fitting height if left out.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the model is not built.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import fastconv as fc
    >>> layers = [fc.Input((8, 8, 1)), fc.layers.Conv2D(4, 3)]
    >>> model = fc.Sequential(layers, name="small")
    >>> plot_model(model).get_title()
    'small: 40 parameters'
    """
    if not model.built:
        raise ValueError(
            "model must be built: give it an Input or call it once. "
            f"Received: model={model.name!r}, not built"
        )
    rows = [("Input", "", _shape(model.input_shape), "", PLAIN)]
    shape = tuple(model.input_shape)
    for layer in model.layers:
        shape = tuple(layer.compute_output_shape(shape))
        count = layer.count_params()
        rows.append(
            (
                type(layer).__name__,
                layer.name,
                _shape(shape),
                f"{count:,}" if count else "",
                WEIGHTED if count else PLAIN,
            )
        )
    height = len(rows) * (BOX + GAP)
    ax = axes_or_new(ax, WIDTH + 0.4, height + 0.7)
    from matplotlib.patches import FancyBboxPatch

    for index, (kind, name, size, count, colour) in enumerate(rows):
        bottom = height - index * (BOX + GAP) - BOX
        ax.add_patch(
            FancyBboxPatch(
                (0, bottom),
                WIDTH,
                BOX,
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=colour,
                edgecolor=INK,
                linewidth=0.8,
            )
        )
        middle = bottom + BOX / 2
        style: dict[str, Any] = {"va": "center", "color": INK, "fontsize": 9}
        ax.text(0.15, middle + (0.11 if name else 0), kind, weight="bold", **style)
        ax.text(0.15, middle - 0.13, name, **{**style, "fontsize": 7, "color": "#777777"})
        ax.text(WIDTH * 0.6, middle, size, ha="center", family="monospace", **style)
        ax.text(WIDTH - 0.15, middle, count, ha="right", **style)
        if index:
            ax.annotate(
                "",
                xy=(WIDTH / 2, bottom + BOX),
                xytext=(WIDTH / 2, bottom + BOX + GAP),
                arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0},
            )
    ax.set(xlim=(-0.1, WIDTH + 0.1), ylim=(GAP - 0.1, height + 0.1))
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(f"{model.name}: {model.count_params():,} parameters", color=INK)
    return ax


def _shape(shape: tuple[int | None, ...]) -> str:
    """The sizes of one item, without the batch."""
    return " x ".join(str(size) for size in shape[1:]) or "1"
