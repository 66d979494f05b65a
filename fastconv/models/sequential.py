"""A model made of one layer after another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastconv import _objects
from fastconv._autodiff import Tensor, as_float
from fastconv._variable import Variable
from fastconv.layers.input_layer import InputLayer
from fastconv.layers.layer import Layer, Shape
from fastconv.models._data import as_array
from fastconv.models._summary import print_summary
from fastconv.models.trainer import Trainer

__all__ = ["Sequential"]

Array = NDArray[Any]


class Sequential(Trainer, Layer):
    """A chain of layers (https://keras.io/api/models/sequential/).

    Parameters
    ----------
    layers : sequence of Layer, optional
    trainable : bool
    name : str, optional

    Raises
    ------
    ValueError
        If an entry is no layer, or the shapes do not fit.

    Examples
    --------
    >>> from fastconv.layers import Dense, Flatten, Input
    >>> model = Sequential([Input((28, 28, 1)), Flatten(), Dense(10, activation="softmax")])
    >>> model.count_params()
    7850
    >>> model(np.zeros((2, 28, 28, 1))).shape
    (2, 10)
    """

    keras_module = "keras"

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self._layers: list[Layer] = []
        super().__init__(trainable=trainable, name=name)
        self._init_trainer()
        self._input_shape: Shape | None = None
        if layers is not None and not isinstance(layers, list | tuple):
            raise ValueError(f"`layers` must be a list of layers. Received: layers={layers!r}")
        for layer in layers or []:
            self.add(layer, rebuild=False)
        self._maybe_rebuild()

    # Layers

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
    def trainable_weights(self) -> list[Variable]:  # type: ignore[override]
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

    # Shapes

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, the batch as None."""
        if self._input_shape is None:
            raise AttributeError(f"Sequential model '{self.name}' has no defined input shape yet.")
        return self._input_shape

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
        if isinstance(first, Sequential) and first.built:
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
            shape = layer.compute_output_shape(shape)
            layer._last_output_shape = shape
        self._input_shape = tuple(input_shape)
        self._build_shape = self._input_shape
        self._last_output_shape = shape
        for layer in self.layers:
            for variable in layer.weights:
                if not variable.path.startswith(f"{self.name}/"):
                    variable.path = f"{self.name}/{variable.path}"
        self.built = True
        self._plans.clear()
        self._head = None
        self._plans.gather_weights()

    def ensure_built(self, input_shape: Shape) -> None:
        if not self.built:
            self.build((None, *input_shape[1:]))
        else:
            self._check_sizes(input_shape)

    def _ensure_built_for(self, shape: tuple[int, ...]) -> None:
        self.ensure_built(shape)

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

    def _fit_rank(self, x: Array) -> Array:
        """Return ``x`` with a last axis of length 1 added or dropped if the model wants that."""
        wanted = self._input_shape
        if wanted is None or len(wanted) == x.ndim:
            return x
        if x.ndim == len(wanted) + 1 and x.shape[-1] == 1:
            return x[..., 0]
        if x.ndim == len(wanted) - 1 and wanted[-1] == 1:
            return x[..., None]
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output."""
        shape: Shape = tuple(input_shape)
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    # Running

    def __call__(self, x: ArrayLike, training: bool = False) -> Array:
        """Return the output for a batch.

        Parameters
        ----------
        x : array_like
            Rows are samples.
        training : bool
            Apply dropout and normalize over the batch.

        Returns
        -------
        ndarray
            A new array; several threads may call at once.
        """
        if isinstance(x, Tensor):
            return self.call(x, training=training)  # type: ignore[no-any-return]
        return self._run(as_array(as_float(x), "x"), training)

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the output of all layers, one by one."""
        for layer in self.layers:
            x = layer(x, training=training)
        return x

    def count_params(self) -> int:
        """Return the number of weights.

        Raises
        ------
        ValueError
            If the model is not built.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call `count_params` on model '{self.name}', but the model isn't "
                "built. You can build it manually via: `model.build(input_shape)`."
            )
        return sum(variable.size for variable in self.weights)

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[..., Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers with output shapes and numbers of parameters.

        Parameters
        ----------
        line_length : int, optional
            Width of the table; 80 by default.
        positions : sequence of float, optional
            Where the columns end, as shares of the width.
        print_fn : callable, optional
            Called with the text; ``print`` by default.
        expand_nested : bool
            Show the layers of nested models too.
        show_trainable : bool
            Add a column with Y or N.
        layer_range : (str, str), optional
            Names or patterns of the first and the last layer to show.
        """
        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    # Configuration and files

    def get_config(self) -> dict[str, Any]:
        """Return the layers and the input's shape as plain values."""
        config = super().get_config()
        layers = []
        for layer in self._layers:
            entry = _objects.serialize(layer)
            build_config = layer.get_build_config()
            if build_config is not None:
                entry["build_config"] = build_config
            layers.append(entry)
        config["layers"] = layers
        if self._input_shape is not None:
            config["build_input_shape"] = list(self._input_shape)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "Sequential":
        """Return a new model made from :meth:`get_config`'s dictionary.

        Raises
        ------
        ValueError
            If a class is unknown or a configuration does not fit.
        """
        from fastconv.layers._deserialize import layer_from_config

        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        entries = config.get("layers", [])
        if not isinstance(entries, list):
            raise ValueError(f"`layers` must be a list. Received: layers={entries!r}")
        for entry in entries:
            model.add(layer_from_config(entry, custom_objects), rebuild=False)
        shape = config.get("build_input_shape")
        model._maybe_rebuild()
        if not model.built and shape:
            model.build(tuple(shape))
        return model

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as JSON; ``kwargs`` go to ``json.dumps``."""
        import json

        return json.dumps(_objects.serialize(self), **kwargs)

    def save(
        self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Write the model, with weights and the state of the optimizer, to a file.

        Parameters
        ----------
        filepath : path
            Ends in ``.keras``, or in ``.h5`` for the older format.
        overwrite : bool
            Replace an existing file; otherwise raise.
        zipped : bool, optional
            Only True is supported.

        Raises
        ------
        ValueError
            If the name ends otherwise.
        FileExistsError
            If the file exists and ``overwrite`` is False.
        """
        from fastconv.saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Write the weights to a file that ends in ``.weights.h5`` or ``.safetensors``."""
        from fastconv.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Read the weights from a ``.weights.h5``, ``.keras``, ``.h5`` or ``.safetensors`` file.

        Parameters
        ----------
        filepath : path
        skip_mismatch : bool
            Leave layers alone whose weights differ in number or shape, with a warning.
        """
        from fastconv.saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, built={self.built}>"
