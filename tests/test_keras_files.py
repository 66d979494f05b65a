"""Files between fastconv and Keras, where Keras is installed: the same predictions and next steps.

What Keras wrote is also read without it, from ``tests/data``, by ``test_saving``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore")

_rng = np.random.default_rng(0)
X = _rng.random((12, 6, 6, 1), "float32")
Y = np.arange(12) % 3

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda o: o.SGD(0.1),
    "momentum": lambda o: o.SGD(0.1, momentum=0.9),
    "rmsprop": lambda o: o.RMSprop(1e-3),
    "rmsprop centered": lambda o: o.RMSprop(1e-3, centered=True, momentum=0.5),
    "adam": lambda o: o.Adam(1e-3),
    "amsgrad": lambda o: o.Adam(1e-3, amsgrad=True),
    "adamw": lambda o: o.AdamW(1e-3),
    "adagrad": lambda o: o.Adagrad(0.01),
    "nadam": lambda o: o.Nadam(1e-3),
    "adamax": lambda o: o.Adamax(1e-3),
    "accumulated": lambda o: o.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    "scheduled": lambda o: o.Adam(o.schedules.ExponentialDecay(1e-3, 2, 0.5)),
}


def trained(k: Any, optimizer: Callable[[Any], Any]) -> Any:
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2),
            layers.SeparableConv2D(4, 2, activation="tanh"),
            layers.Flatten(),
            layers.Dropout(0.0),
            layers.Dense(
                3, activation="softmax", kernel_regularizer="l2", kernel_constraint="unit_norm"
            ),
        ]
    )
    model.compile(optimizer(k.optimizers), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=3, batch_size=12, verbose=0)
    return model


def next_losses(model: Any) -> list[float]:
    return [float(np.asarray(model.train_on_batch(X, Y)[0])) for _ in range(3)]


@pytest.mark.parametrize("writer", [keras, fastconv], ids=["from keras", "to keras"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_file_goes_on_as_the_model_would(
    tmp_path: Path, name: str, suffix: str, writer: Any
) -> None:
    reader = fastconv if writer is keras else keras
    model = trained(writer, OPTIMIZERS[name])
    path = tmp_path / f"model{suffix}"
    model.save(path)
    again = reader.models.load_model(path)
    # float32 in another order of additions, through five layers
    np.testing.assert_allclose(
        np.asarray(again.predict(X, verbose=0)), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
    if suffix == ".h5" and reader is keras:
        # Keras itself cannot go on with the optimizer of such a file.
        return
    np.testing.assert_allclose(next_losses(again), next_losses(model), rtol=1e-5)


@pytest.mark.parametrize("writer", [keras, fastconv], ids=["from keras", "to keras"])
def test_weights_alone(tmp_path: Path, writer: Any) -> None:
    reader = fastconv if writer is keras else keras
    model, other = trained(writer, OPTIMIZERS["sgd"]), trained(reader, OPTIMIZERS["sgd"])
    model.save_weights(tmp_path / "w.weights.h5")
    other.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("writer", [keras, fastconv], ids=["from keras", "to keras"])
def test_a_text_describes_the_same_model(writer: Any) -> None:
    reader = fastconv if writer is keras else keras
    model = trained(writer, OPTIMIZERS["adam"])
    again = reader.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(
        np.asarray(again.predict(X, verbose=0)), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
