"""A model made of one layer after another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _objects
from fastconv._autodiff import Tensor, as_float
from fastconv.layers.layer import Layer, Shape
from fastconv.models._arrays import as_array
from fastconv.models._stack import LayerStack
from fastconv.models._summary import print_summary
from fastconv.models.trainer import Trainer

__all__ = ["Sequential"]

Array = NDArray[Any]


class Sequential(LayerStack, Trainer):
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
    >>> import numpy as np
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
        if not training:
            # A call like the last one, or an earlier one, for which all is at hand.
            y = self._plans.direct(x)
            if y is None and type(x) is np.ndarray:
                y = self._plans.forward_new(x)
            if y is not None:
                return y
        if isinstance(x, Tensor):
            return self.call(x, training=training)  # type: ignore[no-any-return]
        array = as_array(as_float(x), "x")
        if not self.built:
            self.build(array.shape)
        return self._run(array, training)

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
        """Return the architecture and the arguments of ``compile`` as JSON.

        ``kwargs`` go to ``json.dumps``.
        """
        import json

        from fastconv.saving import model_config

        return json.dumps(model_config(self), **kwargs)

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
