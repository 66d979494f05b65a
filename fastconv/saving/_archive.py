"""The ``.keras`` format: a zip with metadata.json, config.json and model.weights.h5."""

import io
import json
import time
import zipfile
from typing import Any

from fastconv import _objects
from fastconv.saving import _hdf5, _tree
from fastconv.saving._atomic import replacing
from fastconv.saving._limits import weight_limit

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

#: The version of the format's writer, as readers expect it.
KERAS_VERSION = "3.15.1"

#: A compressed entry that would grow beyond both is refused before it is unpacked.
_MOST_GROWTH = 200
_HARMLESS = 64 * 2**20


def model_config(model: Any) -> dict[str, Any]:
    """Return the architecture, the input's shape and the arguments of ``compile``."""
    config: dict[str, Any] = _objects.serialize(model)
    for key, part in (
        ("build_config", model.get_build_config()),
        ("compile_config", model.get_compile_config()),
    ):
        if part is not None:
            config[key] = part
    return config


def model_from_config(
    config: Any, custom_objects: dict[str, Any] | None, compile: bool, origin: str
) -> Any:
    """Return the model that :func:`model_config` wrote down, its weights drawn anew.

    Raises
    ------
    ValueError
        If it is no Sequential model, or names unknown classes.
    """
    model = _objects.deserialize(config, "keras", custom_objects)
    model = as_model(model, config, origin)
    build_config = config.get("build_config")
    if not model.built and isinstance(build_config, dict) and build_config.get("input_shape"):
        model.build(tuple(build_config["input_shape"]))
    if compile and config.get("compile_config"):
        compile_from_config(model, config["compile_config"], custom_objects)
    return model


def save(model: Any, filepath: str, overwrite: bool) -> None:
    """Write a model to a ``.keras`` file."""
    metadata = {
        "keras_version": KERAS_VERSION,
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S"),
    }
    text = json.dumps(model_config(model))
    with replacing(filepath, overwrite) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_METADATA, json.dumps(metadata))
        archive.writestr(_CONFIG, text)
        weights = io.BytesIO()
        with _hdf5.writing(weights) as tree:
            _tree.write(model, tree)
        archive.writestr(_WEIGHTS, weights.getbuffer())


def load(filepath: str, custom_objects: dict[str, Any] | None, compile: bool) -> Any:
    """Return the model in a ``.keras`` file.

    Raises
    ------
    ValueError
        If the file is damaged or hostile, or names unknown classes.
    """
    parts = read_parts(filepath)
    config = parse_json(parts[_CONFIG], filepath)
    weights = parts[_WEIGHTS]
    with weight_limit(len(weights)):
        model = model_from_config(config, custom_objects, compile, filepath)
    with _hdf5.reading(weights, filepath) as tree:
        _tree.read(model, tree, filepath)
        if model.compiled:
            _tree.read_optimizer(model, tree, filepath)
    return model


def as_model(model: Any, config: Any, filepath: str) -> Any:
    """Return ``model`` once it is known to be a Sequential."""
    from fastconv.models.sequential import Sequential

    if not isinstance(model, Sequential):
        raise ValueError(
            "The file must hold a Sequential model. Received: "
            f"class_name={config.get('class_name')!r}, filepath={filepath}"
        )
    return model


def compile_from_config(
    model: Any, config: dict[str, Any], custom_objects: dict[str, Any] | None
) -> None:
    """Compile a model as a file says.

    Raises
    ------
    ValueError
        If the configuration names unknown losses, metrics or optimizers.
    """
    from fastconv import losses, metrics, optimizers

    if not isinstance(config, dict):
        raise ValueError(f"`compile_config` must be a dictionary. Received: {config!r}")
    try:
        with _objects.custom_object_scope(custom_objects or {}):
            arguments = {
                "optimizer": optimizers.deserialize(config.get("optimizer")),
                "loss": _named(config.get("loss"), losses.deserialize),
                "loss_weights": config.get("loss_weights"),
                "metrics": _named(config.get("metrics"), metrics.deserialize),
                "weighted_metrics": _named(config.get("weighted_metrics"), metrics.deserialize),
            }
            model.compile(**arguments)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The model cannot be compiled as the file says: {error} "
            "Pass `compile=False` to load it without."
        ) from error


def _named(value: Any, deserialize: Any) -> Any:
    """Return losses or metrics: names stay names, dictionaries become objects."""
    if isinstance(value, list):
        return [_named(item, deserialize) for item in value]
    if isinstance(value, dict):
        return deserialize(value)
    return value


def parse_json(data: bytes | str, filepath: str) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"The configuration is not valid JSON ({error}). Received: filepath={filepath}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"The configuration must be a JSON object. Received: filepath={filepath}")
    return content


def read_parts(filepath: str) -> dict[str, bytes]:
    """Return the contents of the archive's entries that matter, by name.

    Nothing is written to the disk. Entries of other names are not looked at.

    Raises
    ------
    ValueError
        If the archive is damaged, an entry is missing, or one would grow out of proportion.
    """
    try:
        with zipfile.ZipFile(filepath) as archive:
            return {name: _entry(archive, name, filepath) for name in (_CONFIG, _WEIGHTS)}
    except (
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        NotImplementedError,
        OSError,
        RuntimeError,
        OverflowError,
    ) as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise ValueError(
            f"The file is not a valid `.keras` archive, or damaged ({error}). "
            f"Received: filepath={filepath}"
        ) from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise ValueError(
                f"The archive is damaged ({error}). Received: filepath={filepath}"
            ) from error
        raise


def _entry(archive: zipfile.ZipFile, name: str, filepath: str) -> bytes:
    found = [info for info in archive.infolist() if info.filename == name]
    if len(found) != 1:
        raise ValueError(
            f"The archive must hold one entry {name!r}, it has {len(found)}. "
            f"Received: filepath={filepath}"
        )
    info = found[0]
    if info.file_size > max(_HARMLESS, _MOST_GROWTH * max(info.compress_size, 1)):
        raise ValueError(
            f"The entry {name!r} would grow from {info.compress_size} to {info.file_size} bytes. "
            f"Received: filepath={filepath}"
        )
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ValueError(
            f"The entry {name!r} has {len(data)} bytes in place of {info.file_size}. "
            f"Received: filepath={filepath}"
        )
    return data
