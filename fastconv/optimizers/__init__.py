"""Optimizers: how gradients change the weights (https://keras.io/api/optimizers/)."""

from typing import Any

from fastconv import _objects
from fastconv.optimizers import schedules
from fastconv.optimizers.adagrad import Adagrad
from fastconv.optimizers.adam import Adam, AdamW
from fastconv.optimizers.adamax import Adamax
from fastconv.optimizers.nadam import Nadam
from fastconv.optimizers.optimizer import Optimizer
from fastconv.optimizers.rmsprop import RMSprop
from fastconv.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_NAMES: dict[str, Any] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
    "nadam": Nadam,
    "adamax": Adamax,
}


def get(identifier: Any) -> Any:
    """Return the optimizer for a name in any case, a dictionary, a class or an object.

    Raises
    ------
    ValueError
        If the name is unknown or the value is no optimizer.

    Examples
    --------
    >>> type(get("adam")).__name__
    'Adam'
    """
    if isinstance(identifier, str) and identifier.lower() in _NAMES:
        return _NAMES[identifier.lower()]()
    found = _objects.get(identifier, "keras.optimizers", _NAMES)
    if not isinstance(found, Optimizer):
        raise ValueError(
            f"Could not interpret optimizer identifier. Received: optimizer={identifier!r}"
        )
    return found


def serialize(optimizer: Any) -> Any:
    """Return ``optimizer`` as a dictionary."""
    return _objects.serialize(optimizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the optimizer that :func:`serialize` wrote down."""
    if isinstance(config, dict) and str(config.get("class_name", "")).lower() in _NAMES:
        config = {**config, "class_name": _NAMES[config["class_name"].lower()].__name__}
    return _objects.deserialize(config, "keras.optimizers", custom_objects, _NAMES)
