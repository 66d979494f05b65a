"""Losses: what training minimizes (https://keras.io/api/losses/)."""

from typing import Any

from fastconv import _objects
from fastconv.losses.binary_crossentropy import BinaryCrossentropy, binary_crossentropy
from fastconv.losses.crossentropy import (
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from fastconv.losses.kl_divergence import KLDivergence, kl_divergence
from fastconv.losses.loss import Loss, LossFunctionWrapper
from fastconv.losses.regression import (
    Huber,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    huber,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "KLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "serialize",
    "sparse_categorical_crossentropy",
]

_CLASSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "kl_divergence": KLDivergence,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "huber": Huber,
}

_SHORT = {
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
    "kld": "kl_divergence",
    "KLD": "kl_divergence",
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "mae": "mean_absolute_error",
    "MAE": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "MAPE": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "MSLE": "mean_squared_logarithmic_error",
    "Huber": "huber",
}

_FUNCTIONS: dict[str, Any] = {
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "kl_divergence": kl_divergence,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mean_squared_logarithmic_error": mean_squared_logarithmic_error,
    "huber": huber,
}
_FUNCTIONS.update({short: _FUNCTIONS[name] for short, name in _SHORT.items()})


def get(identifier: Any) -> Any:
    """Return the loss for a name, a dictionary, a class, a function or an object.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> get("mse") is mean_squared_error
    True
    """
    return _objects.get(identifier, "keras.losses", _FUNCTIONS)


def as_loss(identifier: Any) -> Loss:
    """Return a :class:`Loss` object for anything that :func:`get` accepts."""
    if isinstance(identifier, str):
        name = _SHORT.get(identifier, identifier)
        if name in _CLASSES and name not in _objects.get_custom_objects():
            loss = _CLASSES[name]()
            loss.name = identifier
            return loss
    found = get(identifier)
    if isinstance(found, Loss):
        return found
    if not callable(found):
        raise ValueError(
            f"A loss must be a name, a Loss or a function. Received: loss={identifier!r}"
        )
    for name, function in _FUNCTIONS.items():
        if function is found:
            return as_loss(name) if name in _CLASSES else as_loss(_SHORT[name])
    return LossFunctionWrapper(found, name=getattr(found, "__name__", None))


def serialize(loss: Any) -> Any:
    """Return ``loss`` as a name or a dictionary."""
    return _objects.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that :func:`serialize` wrote down."""
    return _objects.deserialize(name, "keras.losses", custom_objects, _FUNCTIONS)
