"""Arguments of older Keras versions, and where the shape of the first layer's input is given."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")

_RENAMED = {"border_mode": "padding", "nb_filter": "filters"}


def accepts_old_names(init: Callable[P, None]) -> Callable[P, None]:
    """Return ``init`` with Keras 1's argument names accepted too, with a warning.

    Raises
    ------
    TypeError
        If both names of an argument are given.
    """

    @wraps(init)
    def renamed(*args: P.args, **kwargs: P.kwargs) -> None:
        for old, new in _RENAMED.items():
            if old not in kwargs:
                continue
            if new in kwargs:
                raise TypeError(
                    f"`{old}` is the old name of `{new}`: pass one of them. "
                    f"Received: {old}={kwargs[old]!r}, {new}={kwargs[new]!r}"
                )
            warnings.warn(
                f"The argument `{old}` is deprecated, use `{new}`.",
                DeprecationWarning,
                stacklevel=2,
            )
            kwargs[new] = kwargs.pop(old)
        init(*args, **kwargs)

    return renamed


def warns_of_three_numbers(init: Callable[P, None]) -> Callable[P, None]:
    """Return ``init`` with a warning of ``Convolution2D(32, 3, 3)``, a 3x3 kernel in Keras 1."""

    @wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        size, stride = args[2:4] if len(args) > 3 else (None, None)
        if isinstance(size, int) and isinstance(stride, int) and stride >= size > 1:
            warnings.warn(
                f"The arguments mean kernel_size=({size}, {size}) and "
                f"strides=({stride}, {stride}). In Keras 1 they meant a kernel of "
                f"({size}, {stride}): write kernel_size=({size}, {stride}) for that, or "
                f"strides=({stride}, {stride}) to keep the meaning without this warning.",
                UserWarning,
                stacklevel=3,
            )
        init(*args, **kwargs)

    return checked


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
