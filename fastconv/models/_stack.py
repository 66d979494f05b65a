"""A chain of layers: how it is put together and built."""

from typing import Any

from fastconv._variable import Variable
from fastconv.layers._placed import KerasTensor
from fastconv.layers.input_layer import InputLayer
from fastconv.layers.layer import Layer, Shape
from fastconv.models._head import LossHead
from fastconv.models._plans import Plans


class LayerStack(Layer):
    """Layers one after another, found, added, removed and built."""

    _plans: Plans
    _head: LossHead | None
    _layers: list[Layer]
    _input_shape: Shape | None

    @property
    def layers(self) -> list[Layer]:
        """The layers without the InputLayer."""
        first = 1 if self._layers and isinstance(self._layers[0], InputLayer) else 0
        return self._layers[first:]

    def add(self, layer: Layer, rebuild: bool = True) -> None:
        """Append a layer.

        Raises
        ------
        ValueError
            If it is no layer, its name is taken, or its input does not fit.
        """
        if isinstance(layer, type) or not isinstance(layer, Layer):
            raise ValueError(
                "Only instances of `Layer` can be added to a Sequential model. "
                f"Received: {layer!r} (of type {type(layer)})"
            )
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(
                "All layers added to a Sequential model should have unique names. "
                f"Name '{layer.name}' is already the name of a layer in this model. Update the "
                f"`name` argument to pass a unique name. Received: {layer!r}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(
                f"Sequential model '{self.name}' has already been configured to use input shape "
                f"{self._input_shape}. You cannot add a different Input layer to it."
            )
        self._layers.append(layer)
        if rebuild:
            try:
                self._maybe_rebuild()
            except Exception:
                self._layers.pop()
                raise
        else:
            self.built = False

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not self.layers:
            raise ValueError("There are no layers in the model. Received: layers=[]")
        layer = self._layers.pop()
        self.built = False
        if rebuild:
            self._maybe_rebuild()
        return layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place.

        Raises
        ------
        ValueError
            If there is no such layer, or both or neither are given.
        """
        if (name is None) == (index is None):
            raise ValueError(
                "Provide either a layer name or a layer index at `get_layer`, not both. "
                f"Received: index={index}, name={name!r}"
            )
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has "
                    f"{len(self.layers)} layers. Received: index={index}"
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"No such layer: {name}. Existing layers are: {[x.name for x in self.layers]}. "
            f"Received: name={name!r}"
        )

    def leaves(self) -> list[Layer]:
        return [leaf for layer in self.layers for leaf in layer.leaves()]

    def _leaf_layers(self) -> list[Layer]:
        return self.leaves()

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it sets all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self._layers:
            layer.trainable = value

    @property
    def weights(self) -> list[Variable]:
        """All weights, layer by layer."""
        return [v for layer in self.layers for v in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        if not self.trainable:
            return []
        return [v for layer in self.layers for v in layer.trainable_weights]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change."""
        if not self.trainable:
            return self.weights
        return [v for layer in self.layers for v in layer.non_trainable_weights]

    @property
    def inputs(self) -> list[KerasTensor]:
        """The input, in a list of one."""
        return [self.input]

    @property
    def outputs(self) -> list[KerasTensor]:
        """The output, in a list of one."""
        return [self.output]

    def _known(self, shape: Shape | None, what: str) -> Shape:
        if shape is None:
            raise AttributeError(f"Sequential model '{self.name}' has no defined {what} shape yet.")
        return shape

    def _maybe_rebuild(self) -> None:
        """Build the model if the shape of its input is known."""
        self.built = False
        self._plans.clear()
        self._head = None
        shape = self._stated_shape()
        if shape is not None and self.layers:
            self.build(shape)

    def _stated_shape(self) -> Shape | None:
        if not self._layers:
            return None
        first = self._layers[0]
        if isinstance(first, InputLayer):
            return first.batch_shape
        if first._input_shape_argument is not None:
            return first._input_shape_argument
        if isinstance(first, LayerStack) and first.built:
            return first._input_shape
        return self._input_shape

    def build(self, input_shape: Any = None) -> None:
        """Create the weights.

        Parameters
        ----------
        input_shape : tuple of int and None
            With the batch.

        Raises
        ------
        ValueError
            If there are no layers, or a shape does not fit.
        """
        if input_shape is None:
            input_shape = self._stated_shape()
        if not self.layers:
            raise ValueError(
                f"Sequential model {self.name} cannot be built because it has no layers. Call "
                "`model.add(layer)`."
            )
        if input_shape is None:
            raise ValueError(
                "You must provide an `input_shape` argument. Received: input_shape=None"
            )
        shape: Shape = tuple(input_shape)
        for layer in self.layers:
            layer.ensure_built(shape)
            before, shape = shape, layer.compute_output_shape(shape)
            layer._place(before, shape)
        dtypes = {leaf.dtype for leaf in self.leaves()}
        if len(dtypes) > 1:
            raise ValueError(
                "All layers of a model must have the same dtype. "
                f"Received: {[(leaf.name, leaf.dtype) for leaf in self.leaves()]}"
            )
        self.dtype = dtypes.pop()
        self._input_shape = tuple(input_shape)
        self._build_shape = self._input_shape
        self._place(self._input_shape, shape)
        _set_paths(self, "")
        self.built = True
        self._plans.clear()
        self._head = None
        self._plans.gather_weights()

    def ensure_built(self, input_shape: Shape) -> None:
        if not self.built:
            self.build(input_shape)
        else:
            self._check_sizes(input_shape)

    def _ensure_built_for(self, shape: tuple[int, ...]) -> None:
        if self.built:
            self._check_sizes(shape)
        else:
            self.build((None, *shape[1:]))

    def _check_sizes(self, shape: Shape) -> None:
        wanted = self._input_shape or ()
        fits = len(wanted) == len(shape) and all(
            a is None or b is None or a == b for a, b in zip(wanted[1:], shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(
                f"Invalid input shape for model '{self.name}'. Expected shape {wanted}, but input "
                f"has incompatible shape {tuple(shape)}. Received: x.shape={tuple(shape)}"
            )

    def _fitted_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return ``shape`` with a last axis of length 1 added or dropped, if that fits."""
        wanted = self._input_shape
        if wanted is None or len(wanted) == len(shape):
            return shape
        if len(shape) == len(wanted) + 1 and shape[-1] == 1:
            return shape[:-1]
        if len(shape) == len(wanted) - 1 and wanted[-1] == 1:
            return (*shape, 1)
        return shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        shape: Shape = tuple(input_shape)
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape


def _set_paths(layer: Layer, prefix: str) -> None:
    """Name the weights of ``layer`` by the layers that they are in, from the model down."""
    path = f"{prefix}{layer.name}/"
    for variable in layer.own_weights if not isinstance(layer, LayerStack) else ():
        variable.path = f"{path}{variable.name}"
    parts = layer.layers if isinstance(layer, LayerStack) else [p for _, p in layer.sublayers()]
    for part in parts:
        _set_paths(part, path)
