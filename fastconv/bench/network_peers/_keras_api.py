"""A network in the API that Keras and fastconv share."""

from __future__ import annotations

from typing import Any

from fastconv.bench.case import Array
from fastconv.bench.networks import (
    BETA_1,
    BETA_2,
    EPSILON,
    LEARNING_RATE,
    Conv,
    Data,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Network,
    Pool,
)


def sequential(layers: Any, models: Any, network: Network) -> Any:
    """The network as a `Sequential` of ``models``, with its weights."""

    def translated(layer: Layer) -> Any:
        match layer:
            case Conv(filters, kernel, padding):
                return layers.Conv2D(filters, kernel, padding=padding, activation="relu")
            case Pool():
                return layers.MaxPooling2D()
            case Flatten():
                return layers.Flatten()
            case Dense(units, activation):
                return layers.Dense(units, activation=activation)
            case Dropout(rate):
                return layers.Dropout(rate)

    model = models.Sequential([layers.Input(network.input_shape)])
    for layer in network.layers:
        model.add(translated(layer))
    model.set_weights(network.weights())
    return model


class KerasTrainer:
    """`fit` with the accuracy as a metric; ``options`` go to `compile`."""

    def __init__(self, model: Any, optimizers: Any, batch: int, **options: Any) -> None:
        self._model, self._batch = model, batch
        model.compile(
            optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            **options,
        )

    def load(self, data: Data) -> None:
        self._data = data

    def epoch(self) -> object:
        return self._model.fit(*self._data, batch_size=self._batch, verbose=0)

    def predict(self) -> Array:
        predictions: Array = self._model.predict(self._data.x, batch_size=self._batch, verbose=0)
        return predictions
