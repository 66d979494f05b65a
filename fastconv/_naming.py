"""Automatic names: ``conv2d``, ``conv2d_1``, ... in the order of creation."""

import re

_counts: dict[str, int] = {}


def to_snake_case(name: str) -> str:
    """Return a class name as Keras writes it in layer names.

    Examples
    --------
    >>> to_snake_case("MaxPooling2D"), to_snake_case("ReLU")
    ('max_pooling2d', 're_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(prefix: str) -> str:
    """Return ``prefix``, and ``prefix_1``, ``prefix_2``, ... when asked again."""
    count = _counts.get(prefix, 0)
    _counts[prefix] = count + 1
    return prefix if count == 0 else f"{prefix}_{count}"


def reset() -> None:
    """Start counting anew."""
    _counts.clear()
