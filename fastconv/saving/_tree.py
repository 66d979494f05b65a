"""Where Keras puts each layer's weights inside of ``model.weights.h5``.

``layers/<class in snake case>[_n]/vars/<i>``; a layer's parts lie below it under their attribute's
name, those of a nested model below ``layers`` again; the optimizer's lie in ``optimizer/vars``.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv import _naming
from fastconv._variable import Variable
from fastconv.layers.layer import Layer
from fastconv.saving import _hdf5


def entries(model: Any, prefix: str = "") -> Iterator[tuple[str, str, list[Variable]]]:
    """Yield (path of the ``vars`` group, name, variables) for a model and all its layers."""
    yield f"{prefix}vars", model.name, []
    counts: dict[str, int] = {}
    for layer in model.layers:
        kind = _naming.to_snake_case(type(layer).__name__)
        count = counts.get(kind, 0)
        counts[kind] = count + 1
        path = f"{prefix}layers/{kind}_{count}/" if count else f"{prefix}layers/{kind}/"
        if hasattr(layer, "layers"):
            yield from entries(layer, path)
        else:
            yield from _layer_entries(layer, path)


def _layer_entries(layer: Layer, path: str) -> Iterator[tuple[str, str, list[Variable]]]:
    yield f"{path}vars", layer.name, layer.own_weights
    for attribute, part in layer.sublayers():
        yield from _layer_entries(part, f"{path}{attribute}/")


def write(model: Any, file: Any, optimizer: bool = True) -> None:
    """Write all weights, and the optimizer's variables once there are any."""
    for path, name, variables in entries(model):
        group = file.create_group(path)
        group.attrs["name"] = name
        for i, variable in enumerate(variables):
            group.create_dataset(str(i), data=variable.value)
    made = getattr(model, "optimizer", None)
    if optimizer and made is not None:
        group = file.create_group("optimizer/vars")
        group.attrs["name"] = made.name
        for i, variable in enumerate(made.variables):
            value = variable.value
            if variable is made.iterations:
                value = value.astype(np.int32)
            group.create_dataset(str(i), data=value)


def read(model: Any, file: Any, filepath: str, skip_mismatch: bool = False) -> None:
    """Read all weights, after all have been checked.

    Raises
    ------
    ValueError
        If a layer's weights are missing or differ in number or shape.
    """
    todo = []
    for path, name, variables in entries(model):
        group = _hdf5.child(file, path, filepath)
        datasets = _hdf5.numbered(group, filepath)
        problem = _hdf5.mismatch(datasets, variables)
        if problem is None:
            todo.append((datasets, variables))
        elif skip_mismatch:
            warnings.warn(f"Left out layer {name!r}: {problem}.", stacklevel=4)
        else:
            raise ValueError(
                f"The file does not fit layer {name!r}, at {path!r}: {problem}. "
                f"Received: filepath={filepath}"
            )
    for datasets, variables in todo:
        _hdf5.read_into(datasets, variables)


def read_optimizer(model: Any, file: Any, filepath: str) -> None:
    """Read the optimizer's variables, if the file holds as many as it has."""
    group = _hdf5.child(file, "optimizer/vars", filepath)
    datasets = _hdf5.numbered(group, filepath)
    if not datasets:
        return
    optimizer = model.optimizer
    if len(datasets) <= 2 and int(datasets[0][()]) == 0:
        return
    optimizer.build(model.trainable_weights)
    problem = _hdf5.mismatch(datasets, optimizer.variables)
    if problem is not None:
        warnings.warn(f"Left out the state of the optimizer: {problem}.", stacklevel=5)
        return
    _hdf5.read_into(datasets, optimizer.variables)
