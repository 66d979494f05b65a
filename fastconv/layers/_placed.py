"""What a layer knows of its place in a model: when it is built, and between which shapes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from fastconv.layers._state import Shape


@dataclass(frozen=True)
class KerasTensor:
    """What goes into or comes out of a layer of a model, without values.

    Attributes
    ----------
    shape : tuple of int and None
        The first axis is the batch.
    dtype : str
    name : str
    """

    shape: Shape
    dtype: str
    name: str

    @property
    def ndim(self) -> int:
        """Number of axes, with the batch."""
        return len(self.shape)


def noting(build: Callable[..., None]) -> Callable[..., None]:
    """Return ``build`` with the check of the shape before it and the note that it ran after it."""

    @wraps(build)
    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        shape = next(iter((*args, *kwargs.values())), None)
        if shape is not None and not self.built:
            self.check_input_shape(tuple(shape))
        build(self, *args, **kwargs)
        self.built = True
        if shape is not None:
            self._build_shape = tuple(shape)

    return noted


class Placed:
    """The shapes before and after a layer of a model."""

    name: str
    dtype: str
    _last_input_shape: Shape | None
    _last_output_shape: Shape | None

    def _place(self, input_shape: Shape, output_shape: Shape) -> None:
        self._last_input_shape = tuple(input_shape)
        self._last_output_shape = tuple(output_shape)

    def _known(self, shape: Shape | None, what: str) -> Shape:
        if shape is None:
            raise AttributeError(
                f"The layer {self.name} has never been called and thus has no defined {what}."
            )
        return shape

    @property
    def input_shape(self) -> Shape:
        """Shape of the input in the model, the batch as None."""
        return self._known(self._last_input_shape, "input")

    @property
    def output_shape(self) -> Shape:
        """Shape of the output in the model, the batch as None."""
        return self._known(self._last_output_shape, "output")

    @property
    def input(self) -> KerasTensor:
        """Shape, dtype and name of the input in the model."""
        return KerasTensor(self.input_shape, self.dtype, f"{self.name}_input")

    @property
    def output(self) -> KerasTensor:
        """Shape, dtype and name of the output in the model."""
        return KerasTensor(self.output_shape, self.dtype, f"{self.name}_output")

    @property
    def compute_dtype(self) -> str:
        """The type of the outputs."""
        return self.dtype

    @property
    def variable_dtype(self) -> str:
        """The type of the weights."""
        return self.dtype
