"""Initial weights (https://keras.io/api/layers/initializers/).

Every initializer is called with a shape and returns an array. An initializer object gives the same
values on every call: two layers that must differ need two objects.
"""

from collections.abc import Callable
from typing import Any

from fastconv import _objects
from fastconv.initializers.initializer import Constant, Identity, Initializer, Ones, Zeros
from fastconv.initializers.random import (
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
)
from fastconv.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal

_NAMES: dict[str, Any] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "identity": Identity,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "orthogonal": Orthogonal,
    # The spellings of Keras 1 and 2, which older programs and files hold.
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}

Identifier = str | dict[str, Any] | Initializer | Callable[..., Any] | None


def get(identifier: Identifier) -> Any:
    """Return the initializer for a name, a dictionary, a class, a function or an object.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    return _objects.get(identifier, "keras.initializers", _NAMES)


def serialize(initializer: Any) -> Any:
    """Return ``initializer`` as a dictionary."""
    return _objects.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that :func:`serialize` wrote down."""
    return _objects.deserialize(config, "keras.initializers", custom_objects, _NAMES)
