"""Arguments of older Keras versions, and where the shape of the first layer's input is given."""

import warnings
from typing import Any

_RENAMED = {"border_mode": "padding", "nb_filter": "filters"}


def rename_legacy(kwargs: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Move Keras 1's names from ``kwargs`` to today's in ``arguments``, with a warning.

    Raises
    ------
    TypeError
        If both names are given.
    """
    for old, new in _RENAMED.items():
        if old not in kwargs:
            continue
        if arguments.get(new) is not None:
            raise TypeError(
                f"`{old}` is the old name of `{new}`: pass one of them. "
                f"Received: {old}={kwargs[old]!r}, {new}={arguments[new]!r}"
            )
        warnings.warn(
            f"The argument `{old}` is deprecated, use `{new}`.", DeprecationWarning, stacklevel=4
        )
        arguments[new] = kwargs.pop(old)


def pop_input_shape(kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Take the arguments that tell the input's shape out of ``kwargs``; return it with the batch.

    Raises
    ------
    ValueError
        If the shape is not made of positive integers and None.
    """
    batch = kwargs.pop("batch_size", None)
    shape: Any = None
    if "batch_input_shape" in kwargs:
        batch, *shape = kwargs.pop("batch_input_shape")
    if "batch_shape" in kwargs:
        batch, *shape = kwargs.pop("batch_shape")
    if "input_shape" in kwargs:
        shape = kwargs.pop("input_shape")
    if "input_dim" in kwargs:
        shape = (kwargs.pop("input_dim"),)
    if shape is None:
        return None
    return (batch, *check_shape(shape, "input_shape"))


def check_shape(shape: Any, name: str) -> tuple[int | None, ...]:
    """Return ``shape`` as a tuple of positive integers and None."""
    from operator import index

    if isinstance(shape, int):
        shape = (shape,)
    try:
        sizes = tuple(None if n is None else index(n) for n in shape)
    except TypeError:
        raise ValueError(
            f"`{name}` must be a tuple of integers and None. Received: {name}={shape!r}"
        ) from None
    if any(n is not None and n < 0 for n in sizes):
        raise ValueError(f"`{name}` must not be negative. Received: {name}={shape!r}")
    return sizes
