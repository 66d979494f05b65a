"""The table that ``model.summary()`` prints."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastconv._variable import Variable
from fastconv.layers.layer import Layer

_WIDEST = 88
_TRAINABLE_WIDTH = 12


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[..., Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print a model's layers with output shapes and numbers of parameters.

    Parameters
    ----------
    model : Sequential
    line_length : int, optional
        Width of the table; by default 88, or what the terminal has room for.
    positions : sequence of float, optional
        Where the columns end, as shares of the width.
    print_fn : callable, optional
        Called with the text; ``print`` by default.
    expand_nested : bool
        Show the layers of nested models too.
    show_trainable : bool
        Add a column with Y or N.
    layer_range : (str, str), optional
        Names or patterns of the first and the last layer to show.
    """
    header = ["Layer (type)", "Output Shape", "Param #"]
    ends = list(positions) if positions is not None else [0.45, 0.80, 1.0]
    widest = _WIDEST
    if show_trainable:
        header.append("Trainable")
        ends = [end * 0.90 for end in ends] + [1.0]
        widest += _TRAINABLE_WIDTH
    if len(ends) != len(header):
        raise ValueError(
            f"`positions` must have one entry per column, {len(header)}. "
            f"Received: positions={positions}"
        )
    rows = []
    for layer, depth in _chosen(model, layer_range, expand_nested):
        indent = "   " * depth + "└ " if depth else ""
        row = [
            f"{indent}{layer.name} ({type(layer).__name__})",
            _shape_text(layer),
            _count_text(layer),
        ]
        if show_trainable:
            row.append("-" if not layer.weights else "Y" if layer.trainable else "N")
        rows.append(row)
    width = line_length if line_length is not None else min(widest, _terminal_width() - 4)
    lines = [f'Model: "{model.name}"', *_table(header, rows, ends, width), *_totals(model)]
    text = "\n".join(lines)
    if print_fn is None:
        print(text)
    else:
        print_fn(text + "\n")


def _terminal_width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _chosen(
    model: Any, layer_range: Sequence[str] | None, expand_nested: bool
) -> list[tuple[Layer, int]]:
    layers = list(model.layers)
    if layer_range is not None:
        if len(layer_range) != 2:
            raise ValueError(
                "layer_range must be a list or tuple of length 2. "
                f"Received: layer_range={layer_range} of length {len(layer_range)}"
            )
        first, last = (
            [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
            for pattern in layer_range
        )
        if not first or not last:
            raise ValueError(
                "Passed layer_names do not match the layer names in the model. "
                f"Received: layer_range={layer_range}"
            )
        layers = layers[min(first) : max(last) + 1]
    found: list[tuple[Layer, int]] = []
    for layer in layers:
        found.append((layer, 0))
        if expand_nested and hasattr(layer, "layers"):
            found.extend((inner, depth + 1) for inner, depth in _chosen(layer, None, True))
    return found


def _shape_text(layer: Layer) -> str:
    try:
        shape = layer.output_shape
    except AttributeError:
        return "?"
    return f"({', '.join(str(n) for n in shape)})"


def _count_text(layer: Layer) -> str:
    if not layer.built:
        return "0 (unbuilt)"
    return f"{layer.count_params():,}"


def _widths(ends: list[float], width: int) -> list[int]:
    """Return the columns' widths without padding: equal shares are cut off to make room for it."""
    edges = [int(end * width) for end in ends]
    widths = [b - a + 2 for a, b in zip([0, *edges[:-1]], edges, strict=True)]
    excess = sum(widths) + len(widths) + 1 - width
    for i, left in enumerate(range(len(widths), 0, -1)):
        share = round(excess / left)
        widths[i] -= share
        excess -= share
    if min(widths) < 4:
        raise ValueError(
            f"Insufficient console width to print summary. Received: line_length={width}"
        )
    return [w - 2 for w in widths]


def _table(header: list[str], rows: list[list[str]], ends: list[float], width: int) -> list[str]:
    """Return the lines of a table with borders, cells wrapped to the columns' widths."""
    widths = _widths(ends, width)
    places = [str.ljust, str.ljust, str.rjust, str.center][: len(header)]

    def rule(left: str, fill: str, middle: str, end: str) -> str:
        return left + middle.join(fill * (w + 2) for w in widths) + end

    def cells(row: list[str], bar: str, at_bottom: bool = False) -> list[str]:
        wrapped = [_wrap(cell, w) for cell, w in zip(row, widths, strict=True)]
        height = max(len(cell) for cell in wrapped)
        for cell in wrapped:
            blank = [""] * (height - len(cell))
            cell[:] = blank + cell if at_bottom else cell + blank
        lines = []
        for parts in zip(*wrapped, strict=True):
            padded = [place(p, w) for place, p, w in zip(places, parts, widths, strict=True)]
            lines.append(bar + bar.join(f" {p} " for p in padded) + bar)
        return lines

    lines = [rule("┏", "━", "┳", "┓"), *cells(header, "┃", True), rule("┡", "━", "╇", "┩")]
    for i, row in enumerate(rows):
        if i:
            lines.append(rule("├", "─", "┼", "┤"))
        lines.extend(cells(row, "│"))
    lines.append(rule("└", "─", "┴", "┘"))
    return lines


def _wrap(cell: str, width: int) -> list[str]:
    """Return the lines of a cell; words that are too long are cut."""
    indent = cell[: len(cell) - len(cell.lstrip())]
    lines: list[str] = []
    for word in cell.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            text = word if lines else indent + word
            lines.append(text if len(text) <= width else text[: width - 1] + "…")
    return lines or [""]


def _totals(model: Any) -> list[str]:
    trainable, other = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    own: list[Variable] = list(optimizer.variables) if optimizer is not None else []
    if optimizer is not None and not optimizer.built:
        own = []
    counts = [_count(trainable), _count(other), _count(own)]
    sizes = [_bytes(trainable), _bytes(other), _bytes(own)]
    lines = [
        f" Total params: {sum(counts):,} ({_readable(sum(sizes))})",
        f" Trainable params: {counts[0]:,} ({_readable(sizes[0])})",
        f" Non-trainable params: {counts[1]:,} ({_readable(sizes[1])})",
    ]
    if own:
        lines.append(f" Optimizer params: {counts[2]:,} ({_readable(sizes[2])})")
    return lines


def _count(variables: list[Variable]) -> int:
    return sum(v.size for v in variables)


def _bytes(variables: list[Variable]) -> int:
    # The iteration count has 64 bits here and 32 in Keras, whose sizes are shown.
    return sum(v.size * (4 if v.name == "iteration" else v.value.itemsize) for v in variables)


def _readable(size: int) -> str:
    """Return a number of bytes with a unit, as Keras prints it."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            return f"{value:.2f} {unit}"
        value /= 1024
    return ""
