"""Objects to and from plain dictionaries, as Keras writes them into its files.

An object becomes ``{"module", "class_name", "config", "registered_name"}``. Reading back builds
only classes of this package and classes the caller handed over: nothing is imported by a name that
stands in a file (https://keras.io/api/models/model_saving_apis/serialization_utils/).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any, ClassVar, TypeVar

__all__ = [
    "Serializable",
    "custom_object_scope",
    "deserialize",
    "get",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
    "serialize",
]

T = TypeVar("T")

_builtins: dict[tuple[str, str], type] = {}
_custom_objects: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}


class Serializable:
    """Base of everything that has a ``get_config``; classes of this package register themselves.

    Attributes
    ----------
    keras_module : str
        The Keras module under which files name the class, such as ``keras.layers``.
    """

    keras_module: ClassVar[str] = "keras"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("fastconv.") and not cls.__name__.startswith("_"):
            _builtins.setdefault((cls.keras_module, cls.__name__), cls)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a new object made from :meth:`get_config`'s dictionary."""
        return cls(**config)


def get_custom_objects() -> dict[str, Any]:
    """Return the global dictionary of names that loaders accept besides this package's own."""
    return _custom_objects


@contextmanager
def custom_object_scope(objects: Mapping[str, Any]) -> Iterator[None]:
    """Let loaders inside the ``with`` block use ``objects``, a dictionary from names to classes.

    Examples
    --------
    >>> class Halve: ...
    >>> with custom_object_scope({"Halve": Halve}):
    ...     "Halve" in get_custom_objects()
    True
    """
    saved = dict(_custom_objects)
    _custom_objects.update(objects)
    try:
        yield
    finally:
        _custom_objects.clear()
        _custom_objects.update(saved)


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[T], T]:
    """Return a decorator that makes a class or function known to the loaders.

    Parameters
    ----------
    package : str
        Prefix of the registered name, ``package>name``.
    name : str, optional
        Defaults to the object's own name.

    Raises
    ------
    ValueError
        If the decorated class has no ``get_config``.
    """

    def decorate(target: T) -> T:
        short = name if name is not None else getattr(target, "__name__", str(target))
        if isinstance(target, type) and not hasattr(target, "get_config"):
            raise ValueError(
                "Cannot register a class that does not have a `get_config()` method. "
                f"Received: {target!r}"
            )
        registered = f"{package}>{short}"
        _custom_objects[registered] = target
        _registered_names[target] = registered
        return target

    return decorate


def get_registered_name(target: Any) -> str:
    """Return the name under which ``target`` was registered, or its own name."""
    try:
        return _registered_names.get(target) or str(target.__name__)
    except TypeError:
        return str(getattr(target, "__name__", target))


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the class or function known as ``name``, or None."""
    if name in _custom_objects:
        return _custom_objects[name]
    return (custom_objects or {}).get(name)


def serialize(target: Any) -> Any:
    """Return ``target`` as plain values: numbers, strings, lists and dictionaries.

    Functions become their names; objects become dictionaries with their configuration.

    Raises
    ------
    TypeError
        If ``target`` cannot be written down.
    """
    if target is None or isinstance(target, bool | int | float | str):
        return target
    if isinstance(target, list | tuple):
        return [serialize(item) for item in target]
    if isinstance(target, dict):
        return {str(key): serialize(value) for key, value in target.items()}
    if isinstance(target, FunctionType):
        return _serialize_function(target)
    if hasattr(target, "tolist"):
        return target.tolist()
    if hasattr(target, "get_config"):
        return _serialize_object(target)
    raise TypeError(f"Cannot serialize object. Received: {target!r} of type {type(target)}")


def _serialize_function(function: FunctionType) -> Any:
    if function.__module__.startswith("fastconv."):
        return function.__name__
    if function.__name__ == "<lambda>":
        raise TypeError(
            "A lambda cannot be saved: give it a name with `def`. Received: " + repr(function)
        )
    registered = _registered_names.get(function)
    return {
        "module": "builtins",
        "class_name": "function",
        "config": function.__name__,
        "registered_name": registered if registered is not None else "function",
    }


def _serialize_object(target: Any) -> dict[str, Any]:
    cls = type(target)
    if cls.__module__.startswith("fastconv."):
        module, registered = cls.keras_module, None
    else:
        module, registered = cls.__module__, get_registered_name(cls)
    return {
        "module": module,
        "class_name": cls.__name__,
        "config": target.get_config(),
        "registered_name": registered,
    }


def builtin_class(module: str, class_name: str) -> type | None:
    """Return this package's class for a Keras name, or None."""
    found = _builtins.get((module, class_name))
    if found is None and module.startswith("keras.src."):
        wanted = ".".join(["keras", *module.split(".")[2:3]])
        found = _builtins.get((wanted, class_name))
    return found


def _class_of(config: Mapping[str, Any], module: str, custom: Mapping[str, Any]) -> Any:
    """Return the class or function a serialized object names; refuse unknown ones."""
    name = config.get("class_name")
    if not isinstance(name, str):
        raise ValueError(f"A serialized object must have a `class_name`. Received: {config!r}")
    candidates = [config.get("registered_name"), name]
    for candidate in candidates:
        if isinstance(candidate, str):
            found = get_registered_object(candidate, custom)
            if found is not None:
                return found
    stated = config.get("module")
    modules = [stated] if isinstance(stated, str) else []
    for candidate_module in [*modules, module, "keras"]:
        found = builtin_class(candidate_module, name)
        if found is not None:
            return found
    raise ValueError(
        f"Unknown class {name!r}. Files may only hold classes that fastconv knows: pass your own "
        f"with `custom_objects={{{name!r}: ...}}`, or decorate them with "
        f"`@fastconv.utils.register_keras_serializable()`. "
        f"Received: class_name={name!r}, module={stated!r}"
    )


def deserialize(
    config: Any,
    module: str = "keras",
    custom_objects: Mapping[str, Any] | None = None,
    functions: Mapping[str, Any] | None = None,
) -> Any:
    """Return the object that :func:`serialize` wrote down.

    Parameters
    ----------
    config : dict, str, list or None
        A string names a function or a class with default arguments.
    module : str
        The Keras module to look names up in, such as ``keras.layers``.
    custom_objects : dict, optional
        Further classes and functions that may be named.
    functions : dict, optional
        Functions that a string may name.

    Raises
    ------
    ValueError
        If the name is unknown or the configuration does not fit the class.
    """
    custom = custom_objects or {}
    if config is None or isinstance(config, bool | int | float):
        return config
    if isinstance(config, str):
        return _by_name(config, module, custom, functions or {})
    if isinstance(config, list | tuple):
        return [deserialize(item, module, custom, functions) for item in config]
    if not isinstance(config, dict):
        raise ValueError(f"Cannot deserialize. Received: {config!r} of type {type(config)}")
    if "class_name" not in config:
        return {k: deserialize(v, module, custom, functions) for k, v in config.items()}
    if config["class_name"] == "function":
        return _by_name(str(config.get("config")), module, custom, functions or {})
    target = _class_of(config, module, custom)
    if not isinstance(target, type):
        return target
    arguments = config.get("config")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ValueError(
            f"The configuration of {config['class_name']!r} must be a dictionary. "
            f"Received: config={arguments!r}"
        )
    build = getattr(target, "from_config", None)
    try:
        with custom_object_scope(custom):
            return build(dict(arguments)) if build is not None else target(**arguments)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"The configuration of {config['class_name']!r} does not fit the class: {error}. "
            f"Received: config={arguments!r}"
        ) from error


def _by_name(
    name: str, module: str, custom: Mapping[str, Any], functions: Mapping[str, Any]
) -> Any:
    """Return the function or the class instance called ``name``."""
    found = get_registered_object(name, custom)
    if found is None:
        found = functions.get(name)
    if found is None:
        found = builtin_class(module, name)
    if found is None:
        kind = _kind(module)
        raise ValueError(f"Unknown {kind}: {name!r}. Received: {kind}={name!r}")
    return found() if isinstance(found, type) else found


def get(
    identifier: Any,
    module: str,
    names: Mapping[str, Any],
) -> Any:
    """Return the object for what users pass: None, a name, a dictionary, a class or an object.

    Raises
    ------
    ValueError
        If the name is unknown or the value is of no such kind.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier, module, functions=names)
    if isinstance(identifier, str):
        return _by_name(identifier, module, {}, names)
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier) or isinstance(identifier, Serializable):
        return identifier
    kind = _kind(module)
    raise ValueError(f"Could not interpret {kind} identifier. Received: {kind}={identifier!r}")


def _kind(module: str) -> str:
    """Return what a module holds, in the singular."""
    plural = module.rpartition(".")[2]
    return plural.removesuffix("es") if plural == "losses" else plural.removesuffix("s")
