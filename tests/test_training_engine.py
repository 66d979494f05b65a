"""Under fit: threads, buffers, memory, interruption."""

import os
import signal
import tracemalloc

import numpy as np
import pytest

import fastconv
from fastconv import layers, models, optimizers, utils

rng = np.random.default_rng(0)
X = rng.random((50, 6, 6, 1)).astype("float32")
Y = (np.arange(50) * 7 % 3).astype("int64")


@pytest.fixture(autouse=True)
def _seed() -> None:
    utils.set_random_seed(1)


def made(
    loss: object = "sparse_categorical_crossentropy",
    optimizer: object = "sgd",
    metrics: object = None,
    **kwargs: object,
) -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss, metrics=metrics, **kwargs)
    return model


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_threads(threads: int) -> None:
    def weights() -> list[np.ndarray]:
        model = made(optimizer="adam")
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
        return model.get_weights()

    with fastconv.threads(1):
        expected = weights()
    with fastconv.threads(threads):
        actual = weights()
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_lie_in_one_buffer() -> None:
    model = made(optimizer="adam")
    model.fit(X, Y, verbose=0)
    slots = [variable.slot for variable in model.trainable_weights]
    assert len({id(slot[0]) for slot in slots}) == 1
    assert all(slot[2] % 16 == 0 for slot in slots)
    assert slots[0][0].ctypes.data % 64 == 0
    assert len(model.optimizer._segments) == 1


def test_a_training_step_allocates_nothing_of_the_batch_size() -> None:
    model = models.Sequential(
        [
            layers.Input((16, 16, 8)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.zeros((64, 16, 16, 8), "float32")
    y = np.zeros(64, "int64")
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    tracemalloc.start()
    model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One activation of a batch is 512 KB; Python's own objects come to some 10 KB.
    assert peak < 60_000


def test_repeated_predictions_do_not_grow() -> None:
    model = made()
    x = X[:1]
    for _ in range(20):
        model(x)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2000):
        model(x)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


def test_many_shapes_do_not_pile_up_plans() -> None:
    model = models.Sequential([layers.Input((None, None, 1)), layers.GlobalMaxPooling2D()])
    for size in range(1, 60):
        model(np.zeros((1, size, 3, 1)))
    assert len(model._plans._idle) < 20


def test_interruption_waits_for_the_end_of_the_step() -> None:
    class Interrupt(layers.Layer):
        """Sends the signal in the middle of a step."""

        def forward(self, x, y, state) -> None:
            y[...] = x
            if state.training and int(model.optimizer.iterations) == 3:
                os.kill(os.getpid(), signal.SIGINT)

        def backward(self, dy, dx, state) -> None:
            if dx is not None:
                dx[...] = dy

    model = models.Sequential([layers.Input((2,)), layers.Dense(2), Interrupt(), layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=1, epochs=5, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert signal.getsignal(signal.SIGINT) is handler
    assert np.isfinite(model.predict(x, verbose=0)).all()
    model.layers[1].forward = lambda x, y, state: y.__setitem__(..., x)
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)


def test_a_part_of_another_model_goes_on_training() -> None:
    """Weights move into the buffers of the model that was built last; both go on."""
    x, y = rng.random((16, 3)), rng.random((16, 2))

    def run(interrupted: bool) -> list[np.ndarray]:
        utils.set_random_seed(4)
        base = models.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
        base.compile(optimizers.Adam(0.1), "mse")
        base.fit(x, y, shuffle=False, verbose=0)
        if interrupted:
            whole = models.Sequential([layers.Input((3,)), base, layers.Dense(2)])
            assert whole.weights[0].slot[0] is base.weights[0].slot[0]
        base.fit(x, y, shuffle=False, verbose=0)
        return base.get_weights()

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_changed_layers_ask_for_another_compile() -> None:
    model = made()
    model.fit(X, Y, verbose=0)
    model.add(layers.Dense(3, activation="softmax"))
    with pytest.raises(ValueError, match="have changed since"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
