"""The older format: one HDF5 file with the configuration in attributes."""

import json
import warnings
from typing import Any

import numpy as np

from fastconv import _objects, optimizers
from fastconv._variable import Variable
from fastconv.saving import _archive, _hdf5
from fastconv.saving._atomic import replacing
from fastconv.saving._limits import weight_limit

#: HDF5 keeps attributes of up to 64 KB in an object's header.
_LARGEST_ATTRIBUTE = 64512


def save(model: Any, filepath: str, overwrite: bool) -> None:
    """Write a model to an ``.h5`` file."""
    with replacing(filepath, overwrite) as file, _hdf5.writing(file) as tree:
        tree.attrs["keras_version"] = _archive.KERAS_VERSION
        tree.attrs["backend"] = "tensorflow"
        tree.attrs["model_config"] = json.dumps(
            {"class_name": type(model).__name__, "config": _without_modules(model.get_config())}
        )
        _write_weights(model, tree.create_group("model_weights"))
        compile_config = model.get_compile_config()
        if compile_config is None:
            return
        optimizer = compile_config.pop("optimizer")
        compile_config["optimizer_config"] = {
            "class_name": optimizer["class_name"],
            "config": optimizer["config"],
        }
        tree.attrs["training_config"] = json.dumps(compile_config)
        if model.optimizer.built:
            _write_optimizer(model.optimizer, tree.create_group("optimizer_weights"))


def _without_modules(config: dict[str, Any]) -> dict[str, Any]:
    """Return a model's configuration with the layers in the older form."""
    layers = []
    for layer in config["layers"]:
        inner = layer["config"]
        if "layers" in inner:
            inner = _without_modules(inner)
        layers.append({"class_name": layer["class_name"], "config": inner})
    return {**config, "layers": layers}


def _write_weights(model: Any, group: Any) -> None:
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = "tensorflow"
    group.attrs["keras_version"] = _archive.KERAS_VERSION
    for layer in model.layers:
        own = group.create_group(layer.name)
        _write_variables(own, layer.weights, [variable.path for variable in layer.weights])
    _write_names(group.create_group("top_level_model_weights"), "weight_names", [])


def _write_variables(group: Any, variables: list[Variable], names: list[str]) -> None:
    _write_names(group, "weight_names", names)
    for name, variable in zip(names, variables, strict=True):
        value = variable.value.astype(np.int32) if variable.name == "iteration" else variable.value
        group.create_dataset(name, data=value)


def _write_optimizer(optimizer: Any, group: Any) -> None:
    names = []
    for variable in optimizer.variables:
        path = variable.path
        names.append(path if path.startswith(f"{optimizer.name}/") else f"{optimizer.name}/{path}")
    _write_variables(group, optimizer.variables, names)


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    """Write a list of names, split over several attributes if it is too long for one."""
    encoded = [name.encode() for name in names]
    longest = max((len(name) for name in encoded), default=1)
    per_part = max(_LARGEST_ATTRIBUTE // longest, 1)
    if len(encoded) <= per_part:
        group.attrs[attribute] = encoded
        return
    for i, start in enumerate(range(0, len(encoded), per_part)):
        group.attrs[f"{attribute}{i}"] = encoded[start : start + per_part]


def _read_names(group: Any, attribute: str) -> list[str]:
    parts: list[Any] = []
    if attribute in group.attrs:
        parts = list(group.attrs[attribute])
    else:
        while f"{attribute}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{attribute}{len(parts)}"])
        parts = [name for part in parts for name in part]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in parts]


def load(filepath: str, custom_objects: dict[str, Any] | None, compile: bool) -> Any:
    """Return the model in an ``.h5`` file.

    Raises
    ------
    ValueError
        If the file is damaged or hostile, or names unknown classes.
    """
    import os

    with _hdf5.reading(filepath, filepath) as tree:
        if "model_config" not in tree.attrs:
            raise ValueError(
                "The file holds no model, only weights: build the model and call "
                f"`load_weights`. Received: filepath={filepath}"
            )
        config = _archive.parse_json(tree.attrs["model_config"], filepath)
        with weight_limit(os.path.getsize(filepath)):
            model = _objects.deserialize(config, "keras", custom_objects)
        model = _archive.as_model(model, config, filepath)
        group = _hdf5.child(tree, "model_weights", filepath)
        read_weights(model, group if group is not None else tree, filepath)
        if compile and "training_config" in tree.attrs:
            settings = _archive.parse_json(tree.attrs["training_config"], filepath)
            settings["optimizer"] = settings.get("optimizer_config")
            _archive.compile_from_config(model, settings, custom_objects)
            _read_optimizer(model, tree, filepath)
    return model


def read_weights(model: Any, group: Any, filepath: str, skip_mismatch: bool = False) -> None:
    """Read the weights of all layers in order, after all have been checked.

    Raises
    ------
    ValueError
        If layers or shapes do not fit.
    """
    layers = [layer for layer in model.layers if layer.weights]
    names = _read_names(group, "layer_names")
    stored = [(name, _datasets(group, name, filepath)) for name in names]
    stored = [(name, datasets) for name, datasets in stored if datasets]
    if len(layers) != len(stored) and not skip_mismatch:
        raise ValueError(
            "Layer count mismatch when loading weights from file. Model expected "
            f"{len(layers)} layers, found {len(stored)} saved layers. Received: "
            f"filepath={filepath}"
        )
    todo = []
    for layer, (name, datasets) in zip(layers, stored, strict=False):
        problem = _hdf5.mismatch(datasets, layer.weights)
        if problem is None:
            todo.append((datasets, layer.weights))
        elif skip_mismatch:
            warnings.warn(f"Left out layer {layer.name!r}: {problem}.", stacklevel=4)
        else:
            raise ValueError(
                f"The file does not fit layer {layer.name!r} (named {name!r} in the file): "
                f"{problem}. Received: filepath={filepath}"
            )
    for datasets, variables in todo:
        _hdf5.read_into(datasets, variables)


def _datasets(group: Any, name: str, filepath: str) -> list[Any]:
    own = _hdf5.child(group, name, filepath)
    if own is None:
        raise ValueError(f"The layer {name!r} is missing. Received: filepath={filepath}")
    return [
        _hdf5.array_of(_hdf5.child(own, weight, filepath), filepath)
        for weight in _read_names(own, "weight_names")
    ]


def _read_optimizer(model: Any, tree: Any, filepath: str) -> None:
    group = _hdf5.child(tree, "optimizer_weights", filepath)
    if group is None:
        return
    datasets = [
        _hdf5.array_of(_hdf5.child(group, name, filepath), filepath)
        for name in _read_names(group, "weight_names")
    ]
    optimizer: optimizers.Optimizer = model.optimizer
    optimizer.build(model.trainable_weights)
    problem = _hdf5.mismatch(datasets, optimizer.variables)
    if problem is not None:
        warnings.warn(f"Left out the state of the optimizer: {problem}.", stacklevel=5)
        return
    _hdf5.read_into(datasets, optimizer.variables)
