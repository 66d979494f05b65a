"""Models and weights in files that Keras reads and writes too.

Loading builds only classes of this package and those handed over as ``custom_objects``; nothing in
a file is executed. Saving goes to a temporary file first: an interruption leaves the previous one.
"""

import os
from typing import Any

from fastconv._objects import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize,
)
from fastconv.saving import _archive, _hdf5, _legacy_h5, _safetensors, _tree
from fastconv.saving._archive import model_config, model_from_config, parse_json
from fastconv.saving._atomic import replacing

__all__ = [
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "model_config",
    "model_from_config",
    "parse_json",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

serialize_keras_object = serialize
deserialize_keras_object = deserialize


def _path(filepath: Any) -> str:
    try:
        return str(os.fspath(filepath))
    except TypeError:
        raise TypeError(f"`filepath` must be a path. Received: filepath={filepath!r}") from None


def save_model(
    model: Any,
    filepath: Any,
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs: Any,
) -> None:
    """Write a model, with weights and the state of the optimizer.

    Parameters
    ----------
    model : Sequential
    filepath : path
        Ends in ``.keras``, or in ``.h5`` or ``.hdf5`` for the older format.
    overwrite : bool
        Replace an existing file; otherwise raise.
    zipped : bool, optional
        Only True is supported.

    Raises
    ------
    ValueError
        If the name ends otherwise, or the model is not built.
    FileExistsError
        If the file exists and ``overwrite`` is False.
    """
    path = _path(filepath)
    kwargs.pop("save_format", None)
    if kwargs:
        raise ValueError(f"The following argument(s) are not supported: {list(kwargs)}")
    if zipped is False:
        raise ValueError("Only zipped `.keras` files are supported. Received: zipped=False")
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} cannot be saved before it is built: give the first layer an "
            "`input_shape`, or call the model on data. Received: a model without weights"
        )
    if path.endswith(".keras"):
        _archive.save(model, path, overwrite)
    elif path.endswith((".h5", ".hdf5")):
        _legacy_h5.save(model, path, overwrite)
    else:
        raise ValueError(
            "Invalid filepath extension for saving. Please add either a `.keras` extension for "
            "the native Keras format (recommended) or a `.h5` extension. "
            f"Received: filepath={filepath}."
        )


def load_model(
    filepath: Any,
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model in a file.

    Parameters
    ----------
    filepath : path
        A ``.keras`` or ``.h5`` file, written here or by Keras.
    custom_objects : dict, optional
        From names to your own classes and functions.
    compile : bool
        Compile as the file says, with the state of the optimizer.
    safe_mode : bool
        Without effect: loading is always safe.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError
        If there is no such file, or it is damaged, hostile, or names unknown classes.

    Examples
    --------
    >>> import tempfile
    >>> from fastconv.layers import Dense, Input
    >>> from fastconv.models import Sequential
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Sequential([Input((4,)), Dense(2)]).save(folder + "/model.keras")
    ...     load_model(folder + "/model.keras").count_params()
    10
    """
    path = _path(filepath)
    kind = "`.h5` file" if path.endswith((".h5", ".hdf5")) else "`.keras` zip file"
    if not os.path.isfile(path):
        raise ValueError(
            f"File not found: filepath={filepath}. Please ensure the file is an accessible {kind}."
        )
    if path.endswith(".keras"):
        return _archive.load(path, custom_objects, compile)
    if path.endswith((".h5", ".hdf5")):
        return _legacy_h5.load(path, custom_objects, compile)
    raise ValueError(
        "File format not supported: only `.keras` and `.h5` files hold models. "
        f"Received: filepath={filepath}"
    )


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Write the weights, in ``.weights.h5`` with the state of the optimizer.

    Parameters
    ----------
    model : Sequential
    filepath : path
        Ends in ``.weights.h5`` or ``.safetensors``.
    overwrite : bool
        Replace an existing file; otherwise raise.
    max_shard_size : float, optional
        Only None is supported.

    Raises
    ------
    ValueError
        If the name ends otherwise, or the model is not built.
    FileExistsError
        If the file exists and ``overwrite`` is False.
    """
    path = _path(filepath)
    if max_shard_size is not None:
        raise ValueError(
            f"Sharded files are not supported. Received: max_shard_size={max_shard_size}"
        )
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} has no weights to save before it is built. Received: a model "
            "that is not built"
        )
    if path.endswith(".weights.h5"):
        with replacing(path, overwrite) as file, _hdf5.writing(file) as tree:
            _tree.write(model, tree)
    elif path.endswith(".safetensors"):
        _safetensors.save(model, path, overwrite)
    else:
        raise ValueError(
            "The filename must end in `.weights.h5` or `.safetensors`. "
            f"Received: filepath={filepath}"
        )


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Read weights into a built model; nothing is changed if they do not fit.

    Parameters
    ----------
    model : Sequential
    filepath : path
        A ``.weights.h5``, ``.keras``, ``.h5`` or ``.safetensors`` file.
    skip_mismatch : bool
        Leave layers alone whose weights differ in number or shape, with a warning.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or does not fit.
    """
    path = _path(filepath)
    if kwargs:
        raise ValueError(f"Invalid keyword arguments: {kwargs}")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"File not found. Received: filepath={filepath}")
    if not model.built:
        raise ValueError(
            f"Unable to load weights into model {model.name!r} before it is built: give the first "
            "layer an `input_shape`, or call the model on data."
        )
    if path.endswith(".safetensors"):
        _safetensors.load(model, path, skip_mismatch)
        return
    source: bytes | str = path
    if path.endswith(".keras"):
        source = _archive.read_parts(path)["model.weights.h5"]
    elif not path.endswith((".h5", ".hdf5")):
        raise ValueError(
            "The filename must end in `.weights.h5`, `.keras`, `.h5` or `.safetensors`. "
            f"Received: filepath={filepath}"
        )
    with _hdf5.reading(source, path) as tree:
        group = _hdf5.child(tree, "model_weights", path) or tree
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            _legacy_h5.read_weights(model, group, path, skip_mismatch)
        else:
            _tree.read(model, tree, path, skip_mismatch)
            if getattr(model, "optimizer", None) is not None:
                _tree.read_optimizer(model, tree, path)
