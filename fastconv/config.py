"""Global settings: the float type, the fuzz factor and the order of image axes.

The settings start from Keras's file, ``$KERAS_HOME/keras.json`` or ``~/.keras/keras.json``, which
is read on first use and never written (https://keras.io/api/utils/config_utils/).
"""

import os
import warnings
from typing import Any

from fastconv import _shapes

__all__ = [
    "backend",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_interactive_logging_enabled",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

_FLOATX = ("float32", "float64")
_DATA_FORMATS = ("channels_last", "channels_first")

_settings: dict[str, Any] = {}
_interactive_logging = True


def _config_path() -> str:
    """Return where Keras keeps its settings."""
    folder = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return os.path.join(folder, "keras.json")


def _read_file(path: str) -> dict[str, Any]:
    """Return the settings in ``path``: none if there is no such file or it is not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return {}
    import json

    try:
        content = json.loads(text)
    except ValueError as error:
        warnings.warn(f"Ignored {path}: it is not valid JSON ({error}).", stacklevel=4)
        return {}
    if not isinstance(content, dict):
        warnings.warn(f"Ignored {path}: it does not hold a JSON object.", stacklevel=4)
        return {}
    return content


def _load() -> dict[str, Any]:
    """Return the settings, read from the file the first time."""
    if not _settings:
        path = _config_path()
        content = _read_file(path)
        loaded = {
            "floatx": _check_floatx(content.get("floatx", "float32")),
            "epsilon": _check_epsilon(content.get("epsilon", 1e-7)),
            "image_data_format": _check_data_format(
                content.get("image_data_format", "channels_last")
            ),
        }
        _settings.update(loaded)
    return _settings


def _check_floatx(value: object) -> str:
    if value not in _FLOATX:
        raise ValueError(f"`floatx` must be one of {_FLOATX}. Received: floatx={value!r}")
    return str(value)


def _check_epsilon(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"`epsilon` must be a positive float. Received: epsilon={value!r}")
    return float(value)


def _check_data_format(value: object) -> str:
    if value not in _DATA_FORMATS:
        raise ValueError(
            f"`image_data_format` must be one of {_DATA_FORMATS}. "
            f"Received: image_data_format={value!r}"
        )
    return str(value)


def floatx() -> str:
    """Return the default float type of weights and activations, 'float32' or 'float64'.

    Examples
    --------
    >>> floatx()
    'float32'
    """
    return str(_load()["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float type.

    Parameters
    ----------
    value : {'float32', 'float64'}

    Raises
    ------
    ValueError
        For any other value.

    Examples
    --------
    >>> set_floatx("float32")
    """
    _load()["floatx"] = _check_floatx(value)


def epsilon() -> float:
    """Return the small number that keeps logarithms and divisions finite.

    Examples
    --------
    >>> epsilon()
    1e-07
    """
    return float(_load()["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the fuzz factor.

    Raises
    ------
    ValueError
        If ``value`` is not a positive number.

    Examples
    --------
    >>> set_epsilon(1e-7)
    """
    _load()["epsilon"] = _check_epsilon(value)


def image_data_format() -> _shapes.DataFormat:
    """Return the default order of image axes, 'channels_last' or 'channels_first'.

    Examples
    --------
    >>> image_data_format()
    'channels_last'
    """
    settings = _settings or _load()
    return settings["image_data_format"]  # type: ignore[no-any-return]


def set_image_data_format(data_format: str) -> None:
    """Set the default order of image axes for layers made afterwards.

    Parameters
    ----------
    data_format : {'channels_last', 'channels_first'}

    Raises
    ------
    ValueError
        For any other value.

    Examples
    --------
    >>> set_image_data_format("channels_last")
    """
    _load()["image_data_format"] = _check_data_format(data_format)


def backend() -> str:
    """Return 'fastconv'; the ``backend`` entry of keras.json is ignored.

    Examples
    --------
    >>> backend()
    'fastconv'
    """
    return "fastconv"


def is_interactive_logging_enabled() -> bool:
    """Return whether progress is printed, as opposed to sent to the ``logging`` module.

    Examples
    --------
    >>> is_interactive_logging_enabled()
    True
    """
    return _interactive_logging


def enable_interactive_logging() -> None:
    """Print progress to standard output, the default."""
    global _interactive_logging
    _interactive_logging = True


def disable_interactive_logging() -> None:
    """Send progress to the logger named ``fastconv`` instead of standard output."""
    global _interactive_logging
    _interactive_logging = False
