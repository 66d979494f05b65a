"""The weights of a layer and of the layers it is made of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from fastconv import initializers, regularizers
from fastconv._variable import Variable, assign_all

if TYPE_CHECKING:
    from fastconv.layers.layer import Layer

Array = NDArray[Any]


class Weighted:
    """Weights: made, found, read and overwritten."""

    name: str
    dtype: str
    built: bool
    _trainable: bool
    _weights: list[Variable]

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Create a weight of this layer; call it in ``build``.

        Parameters
        ----------
        shape : tuple of int
            () by default, a scalar.
        initializer : str, Initializer or callable
            'glorot_uniform' by default.
        dtype : str, optional
            Defaults to the layer's.
        trainable : bool
        regularizer, constraint : str, object or None
        name : str, optional
            Defaults to 'variable'.

        Returns
        -------
        Variable
        """
        from fastconv import constraints

        initializer = "glorot_uniform" if initializer is None else initializer
        variable = Variable(
            initializers.get(initializer),
            tuple(shape) if shape is not None else (),
            dtype or self.dtype,
            trainable,
            name if name is not None else "variable",
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.path = f"{self.name}/{variable.name}"
        self._weights.append(variable)
        return variable

    @property
    def trainable(self) -> bool:
        """Whether training changes this layer's trainable weights; compile again after a change."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Weighted):
            self.__dict__.setdefault("_parts", {})[name] = value
        object.__setattr__(self, name, value)

    def sublayers(self) -> list[tuple[str, "Layer"]]:
        """Return (attribute, layer) for the layers this one is made of."""
        return list(self.__dict__.get("_parts", {}).items())

    @property
    def weights(self) -> list[Variable]:
        """All weights: its own, trainable first, then those of the layers it is made of."""
        return [*self.own_weights, *(v for _, part in self.sublayers() for v in part.weights)]

    @property
    def own_weights(self) -> list[Variable]:
        """The weights made with :meth:`add_weight`, trainable first."""
        return [*self._own(True), *self._own(False)]

    @property
    def variables(self) -> list[Variable]:
        """The same as :attr:`weights`."""
        return self.weights

    def _own(self, trainable: bool) -> list[Variable]:
        return [v for v in self._weights if v.trainable is trainable]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        if not self.trainable:
            return []
        parts = [v for _, part in self.sublayers() for v in part.trainable_weights]
        return [*self._own(True), *parts]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as :attr:`trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as :attr:`non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def losses(self) -> list[float]:
        """The penalties of the weights that training changes."""
        penalized = [v for v in self.trainable_weights if v.regularizer is not None]
        return [float(v.regularizer(v.value)) for v in penalized]  # type: ignore[misc]

    def get_weights(self) -> list[Array]:
        """Return copies of all weights."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: list[ArrayLike]) -> None:
        """Overwrite all weights with arrays of the same shapes, in the order of :attr:`weights`.

        Raises
        ------
        ValueError
            If the number or a shape differs; nothing is changed then.
        """
        assign_all(self.weights, list(weights), self.name)

    def count_params(self) -> int:
        """Return the number of weights.

        Raises
        ------
        ValueError
            If the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on layer '{self.name}', but the layer isn't "
                f"built. You can build it manually via: `layer.build(input_shape)`."
            )
        return sum(variable.size for variable in self.weights)
