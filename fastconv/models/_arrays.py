"""What users pass, as arrays and numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return (x, y, sample_weight) for what an iterable of batches yields.

    Raises
    ------
    ValueError
        If it is a tuple of another length than 1, 2 or 3.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) == 1:
        return data[0], None, None
    if len(data) == 2:
        return data[0], data[1], None
    if len(data) == 3:
        return data[0], data[1], data[2]
    raise ValueError(
        "Data is expected to be in format `x`, `(x,)`, `(x, y)`, or `(x, y, sample_weight)`. "
        f"Received: a tuple of length {len(data)}"
    )


def as_array(value: Any, name: str) -> Array:
    """Return ``value`` as an array of numbers or booleans with at least one axis.

    Raises
    ------
    ValueError
        If it is not one.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        array = np.from_dlpack(value)
    else:
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"`{name}` cannot be made into an array: {error}. Received: {type(value)}"
            ) from error
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(
            f"`{name}` must be an array of numbers with at least one axis, the batch. "
            f"Received: {name} of type {type(value)}, dtype={array.dtype}, shape={array.shape}"
        )
    return array


def check_cardinality(x: Array, y: Array | None, weight: Array | None) -> None:
    """Raise ValueError if the arrays differ in their number of rows."""
    sizes = [a.shape[0] for a in (x, y, weight) if a is not None]
    if len(set(sizes)) > 1:
        names = [n for n, a in (("x", x), ("y", y), ("sample_weight", weight)) if a is not None]
        listed = "".join(f"'{n}' sizes: {s}\n" for n, s in zip(names, sizes, strict=True))
        raise ValueError(
            "Data cardinality is ambiguous. Make sure all arrays contain the same number of "
            f"samples.{listed}"
        )


def class_weights(class_weight: Mapping[int, float], y: Any) -> Array:
    """Return a weight for each target: that of its class, or 1 where none is given."""
    if not isinstance(class_weight, Mapping) or not all(
        isinstance(label, int | np.integer) for label in class_weight
    ):
        raise ValueError(
            "`class_weight` must be a dictionary from integer labels to weights. "
            f"Received: class_weight={class_weight!r}"
        )
    if y is None:
        raise ValueError("`class_weight` needs targets. Received: y=None")
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    labels = np.round(labels).astype(np.int64)
    weights = np.ones(labels.shape, np.float32)
    for label, weight in class_weight.items():
        weights[labels == int(label)] = weight
    return weights


def as_count(value: Any, name: str) -> int:
    """Return ``value`` once it is known to be an integer of at least 0.

    Raises
    ------
    ValueError
        If it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"`{name}` must be an int of at least 0. Received: {name}={value!r}")
    return int(value)
