"""Models: layers put together, trained and used (https://keras.io/api/models/)."""

from collections.abc import Callable
from typing import Any

from fastconv.layers import InputLayer, Layer
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
    """Return the model that :meth:`Sequential.to_json` wrote down, its weights drawn anew.

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
    from fastconv import saving

    config = saving.parse_json(json_string, "json_string")
    model: Sequential = saving.model_from_config(config, custom_objects, True, "json_string")
    return model


def clone_model(
    model: Sequential,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Sequential:
    """Return a model of the same architecture, compiled alike, its weights drawn anew.

    Parameters
    ----------
    model : Sequential
    input_tensors : Input, optional
        The input of the new model, if not that of ``model``.
    clone_function : callable, optional
        Makes the new layer for each layer but the input; ``from_config`` by default.

    Raises
    ------
    ValueError
        If ``model`` is no Sequential.

    Examples
    --------
    >>> from fastconv.layers import Dense, Input
    >>> clone_model(Sequential([Input((4,)), Dense(2)])).count_params()
    10
    """
    if not isinstance(model, Sequential):
        raise ValueError(f"`model` must be a Sequential model. Received: model={model!r}")
    clone = clone_function or _clone_layer
    made: list[Layer] = [] if input_tensors is None else [input_tensors]
    for layer in model._layers:
        if not isinstance(layer, InputLayer):
            made.append(clone(layer))
        elif input_tensors is None:
            made.append(_clone_layer(layer))
    copy = type(model)(made, name=model.name, trainable=model.trainable)
    if not copy.built and model.built:
        copy.build(model.input_shape)
    if model.compiled:
        copy.compile_as(model)
    return copy


def _clone_layer(layer: Layer) -> Layer:
    if isinstance(layer, Sequential):
        return clone_model(layer)
    copy: Layer = type(layer).from_config(layer.get_config())
    return copy
