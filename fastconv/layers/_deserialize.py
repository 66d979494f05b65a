"""Layers from configurations, today's and those of older files."""

from collections.abc import Mapping
from typing import Any

from fastconv import _objects
from fastconv.layers.layer import Layer

#: Entries of configurations that Keras writes and that do not change what a layer computes.
_IGNORED = ("quantization_config", "lora_rank", "lora_alpha", "autocast")


def layer_from_config(entry: Any, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """Return the layer of a serialized entry, built if the entry says for which shape.

    Raises
    ------
    ValueError
        If the class is unknown, is no layer, or its configuration does not fit.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        raise ValueError(f"A layer must be a dictionary with a `config`. Received: {entry!r}")
    config = dict(entry["config"])
    for name in _IGNORED:
        if config.get(name, 0) is None:
            del config[name]
    layer = _objects.deserialize({**entry, "config": config}, "keras.layers", custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(
            f"A model is made of layers. Received: class_name={entry.get('class_name')!r}"
        )
    build_config = entry.get("build_config")
    shape = build_config.get("input_shape") if isinstance(build_config, dict) else None
    if isinstance(shape, list | tuple) and not layer.built:
        layer.ensure_built(tuple(shape))
    return layer
