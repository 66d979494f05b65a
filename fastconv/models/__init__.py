"""Models: layers put together, trained and used (https://keras.io/api/models/)."""

from typing import Any

from fastconv import _objects
from fastconv.models.sequential import Sequential

__all__ = ["Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def load_model(
    filepath: Any,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Sequential:
    """Return the model in a ``.keras`` or ``.h5`` file; see :func:`fastconv.saving.load_model`."""
    from fastconv import saving

    model: Sequential = saving.load_model(filepath, custom_objects, compile, safe_mode)
    return model


def save_model(model: Sequential, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
    """Write a model to a file; see :meth:`Sequential.save`."""
    model.save(filepath, overwrite=overwrite, **kwargs)


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Sequential:
    """Return a model of the architecture that :meth:`Sequential.to_json` wrote, weights anew.

    Raises
    ------
    ValueError
        If the text is not JSON or does not describe a Sequential model.

    Examples
    --------
    >>> from fastconv.layers import Dense, Input
    >>> text = Sequential([Input((4,)), Dense(2)]).to_json()
    >>> model_from_json(text).count_params()
    10
    """
    import json

    config = json.loads(json_string)
    model = _objects.deserialize(config, "keras", custom_objects)
    if not isinstance(model, Sequential):
        raise ValueError(f"The text must describe a Sequential model. Received: {json_string!r}")
    return model


def clone_model(model: Sequential) -> Sequential:
    """Return a model of the same architecture with weights of its own, drawn anew.

    Examples
    --------
    >>> from fastconv.layers import Dense, Input
    >>> clone_model(Sequential([Input((4,)), Dense(2)])).count_params()
    10
    """
    return type(model).from_config(model.get_config())
