"""Convolutions that hand slices of their output on to max-pooling against whole passes."""

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import layers, models, optimizers, utils
from fastconv.models._passes import Node

BATCH = 45  # no multiple of a slice


def network(data_format: str, dtype: str) -> models.Sequential:
    """Every place: first, with a gradient of its input, without an activation, too small."""
    utils.set_random_seed(2)
    shape = (40, 38, 2) if data_format == "channels_last" else (2, 40, 38)
    options: Any = {"data_format": data_format, "dtype": dtype}
    model = models.Sequential(
        [
            layers.Input(shape, dtype=dtype),
            layers.Conv2D(21, 5, activation="relu", **options),
            layers.MaxPooling2D(**options),
            layers.Conv2D(33, 3, padding="same", activation="relu", use_bias=False, **options),
            layers.MaxPooling2D(3, strides=2, padding="same", **options),
            layers.Conv2D(40, 3, padding="same", **options),
            layers.MaxPooling2D(**options),
            layers.Conv2D(8, 3, activation="relu", **options),
            layers.MaxPooling2D(**options),
            layers.Flatten(**options),
            layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )
    model.compile(optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return model


def trained(data_format: str, dtype: str) -> list[np.ndarray]:
    model = network(data_format, dtype)
    draw = np.random.default_rng(0)
    x = draw.random((2 * BATCH, *model.input_shape[1:])).astype(dtype)
    model.fit(x, draw.integers(0, 3, len(x)), batch_size=BATCH, epochs=2, verbose=0)
    return model.get_weights()


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda: monkeypatch.setattr(Node, "hands_on_to", lambda self, pool: False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_slices_change_nothing_but_the_order_of_sums(
    data_format: str, dtype: str, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    rule = Node.hands_on_to
    monkeypatch.setattr(
        Node, "hands_on_to", lambda node, pool: found.append(rule(node, pool)) or found[-1]
    )
    sliced = trained(data_format, dtype)
    assert any(found)
    whole()
    # A step adds up rounding errors of gradients, relative to the largest of them.
    tolerance = 2e-5 if dtype == "float32" else 1e-13
    for actual, expected in zip(sliced, trained(data_format, dtype), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_slices_do_not_depend_on_the_threads(data_format: str) -> None:
    with fastconv.threads(1):
        expected = trained(data_format, "float32")
    for threads in (2, 3, 64):  # more than there are slices
        with fastconv.threads(threads):
            for a, b in zip(trained(data_format, "float32"), expected, strict=True):
                np.testing.assert_array_equal(a, b)
