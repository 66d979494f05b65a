"""What a convolution has learned: its filters, and what they answer to an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.plotting._canvas import Array, image_grid

FILTERS_SHOWN = 32


def plot_filters(
    layer: Any, *, channel: int = 0, count: int = FILTERS_SHOWN, columns: int = 8
) -> npt.NDArray[Any]:
    """Draw the filters of a convolution: blue weights are negative, red ones positive.

    Parameters
    ----------
    layer : layer or array of shape (kh, kw, C, K)
        A built convolution, or its kernel.
    channel : int, default=0
        The input channel whose weights are drawn.
    count : int, default=32
        How many of the K filters are drawn at the most.
    columns : int, default=8
        Filters in a row.

    Returns
    -------
    numpy.ndarray of matplotlib Axes, shape (filters,)

    Raises
    ------
    ValueError
        If the layer has no kernel of rank 4 or `channel` is out of range.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> axes = plot_filters(np.random.default_rng(0).normal(size=(3, 3, 1, 6)))
    >>> axes.shape
    (6,)
    """
    kernel, name = _kernel(layer)
    if not 0 <= channel < kernel.shape[2]:
        raise ValueError(
            f"channel must be from 0 to {kernel.shape[2] - 1}. Received: channel={channel}"
        )
    shown = kernel[:, :, channel, :count]
    title = f"{name}: {shown.shape[-1]} of {kernel.shape[3]} filters"
    if kernel.shape[2] > 1:
        title += f", input channel {channel} of {kernel.shape[2]}"
    axes = image_grid(shown.shape[-1], columns, cell=1.0, title=title)
    limit = float(np.abs(shown).max()) or 1.0
    for index, ax in enumerate(axes):
        picture = ax.imshow(shown[:, :, index], cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[0].figure.colorbar(picture, ax=list(axes), shrink=0.8, aspect=25, pad=0.02)
    return axes


def plot_feature_maps(
    model: Any,
    image: Any,
    layer: str | int = 0,
    *,
    count: int = FILTERS_SHOWN,
    columns: int = 8,
) -> npt.NDArray[Any]:
    """Draw what the channels of one layer answer to an image.

    Parameters
    ----------
    model : Sequential
        A built model.
    image : array of shape (rows, columns, C) or (1, rows, columns, C)
        One input of the model, scaled as in training.
    layer : str or int, default=0
        The layer's name, or its position in ``model.layers``.
    count : int, default=32
        How many channels are drawn at the most.
    columns : int, default=8
        Maps in a row.

    Returns
    -------
    numpy.ndarray of matplotlib Axes, shape (channels,)

    Raises
    ------
    ValueError
        If there is no such layer, it does not give images, or `image` is not one input.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, fastconv as fc
    >>> model = fc.Sequential([fc.Input((8, 8, 1)), fc.layers.Conv2D(4, 3)])
    >>> plot_feature_maps(model, np.zeros((8, 8, 1), "float32")).shape
    (4,)
    """
    found, position = _find(model, layer)
    x = np.asarray(image)
    if x.ndim == len(model.input_shape) - 1:
        x = x[None]
    if x.ndim != len(model.input_shape) or len(x) != 1:
        raise ValueError(
            f"image must be one input of shape {tuple(model.input_shape[1:])}. "
            f"Received: shape={np.shape(image)}"
        )
    for step in model.layers[: position + 1]:
        x = step(x)
    maps = np.asarray(x)
    if maps.ndim != 4:
        raise ValueError(
            f"layer must give images (rows, columns, channels). Received: layer={found.name!r} "
            f"with output shape {maps.shape[1:]}"
        )
    if getattr(found, "data_format", None) == "channels_first":
        maps = maps.transpose(0, 2, 3, 1)
    shown = min(count, maps.shape[-1])
    title = f"{found.name}: {shown} of {maps.shape[-1]} channels"
    axes = image_grid(shown, columns, cell=1.0, title=title)
    for index, ax in enumerate(axes):
        ax.imshow(maps[0, :, :, index], cmap="viridis")
    return axes


def _kernel(layer: Any) -> tuple[Array, str]:
    """The kernel (kh, kw, C, K) of a layer or an array, and a name for it."""
    if hasattr(layer, "get_weights"):
        weights, name = layer.get_weights(), layer.name
        kernel = np.asarray(weights[0]) if weights else np.empty(0)
    else:
        kernel, name = np.asarray(layer), "kernel"
    if kernel.ndim != 4 or not kernel.size:
        raise ValueError(
            "layer must be a built convolution or a kernel of shape (kh, kw, C, K). "
            f"Received: {name!r} with kernel shape {kernel.shape}"
        )
    return kernel, name


def _find(model: Any, layer: str | int) -> tuple[Any, int]:
    names = [one.name for one in model.layers]
    if isinstance(layer, str) and layer in names:
        return model.layers[names.index(layer)], names.index(layer)
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return model.layers[layer], layer % len(names)
    raise ValueError(f"layer must be one of {names} or its position. Received: layer={layer!r}")
