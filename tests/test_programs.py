"""Recorded passes against the same layers run one by one in Python."""

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import functional, layers, losses, models, optimizers, utils
from fastconv.functional import Program
from fastconv.models import _passes, _plan

rng = np.random.default_rng(3)


@pytest.fixture
def in_python(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a switch after which no layer is recorded and no activation absorbed."""

    def switch() -> None:
        monkeypatch.setattr(_passes, "is_own", lambda layer: False)
        monkeypatch.setattr(_plan, "is_own", lambda layer: False)

    return switch


@pytest.fixture
def restored_isa() -> Any:
    """Put the instruction set back that was in use."""
    isa = fastconv.runtime.isa()
    yield
    fastconv.runtime.set_isa(isa)


def seed_like() -> list[layers.Layer]:
    return [
        layers.Input((12, 12, 1)),
        layers.Conv2D(9, 5, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.5, seed=7),
        layers.Dense(3, activation="softmax"),
    ]


def shapes_like() -> list[layers.Layer]:
    return [
        layers.Input((12, 12, 1)),
        layers.Conv2D(2, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(3, 2, padding="same", activation="relu"),
        layers.MaxPooling2D(3, strides=1),
        layers.Flatten(),
        layers.Dense(8, activation="relu"),
        layers.Dense(3, activation="softmax"),
    ]


def every_kind() -> list[layers.Layer]:
    """Recordable layers and those in Python take turns; views, scratch, penalties between them."""
    return [
        layers.Input((144,)),
        layers.Reshape((12, 12, 1)),
        layers.Rescaling(2.0, offset=-1.0),
        layers.ZeroPadding2D(1),
        layers.Conv2D(8, 3, activation="gelu"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, activation="tanh", activity_regularizer="l2"),
        layers.AveragePooling2D(),
        layers.SeparableConv2D(6, 3, padding="same", activation="sigmoid"),
        layers.MaxPooling2D(activity_regularizer="l1"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, activation=lambda x: x * np.tanh(x)),
        layers.Activation("softplus"),
        layers.LeakyReLU(),
        layers.Dropout(0.25, seed=3),
        layers.Dense(3),
        layers.Softmax(),
    ]


def scaled_images() -> list[layers.Layer]:
    return [layers.Input((12, 12, 1)), layers.Rescaling(1 / 255), *seed_like()[1:]]


def python_first_and_last() -> list[layers.Layer]:
    class Twice(layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    return [
        layers.Input((12, 12, 1)),
        layers.Flatten(activity_regularizer="l2"),
        Twice(),
        layers.Dense(3),
        Twice(),
    ]


ALL = [seed_like, shapes_like, every_kind, scaled_images, python_first_and_last]


def made(architecture: Any, loss: Any = None, optimizer: Any = "adam") -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential(architecture())
    ends_in_softmax = architecture is not python_first_and_last
    loss = loss or ("sparse_categorical_crossentropy" if ends_in_softmax else "mse")
    model.compile(optimizer, loss, metrics=["accuracy"] if ends_in_softmax else None)
    return model


def data(architecture: Any, rows: int = 50) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    shape = (144,) if architecture is every_kind else (12, 12, 1)
    x = draw.random((rows, *shape), dtype="float32")
    if architecture is scaled_images:
        x = (255 * x).astype("uint8")
    y = draw.integers(0, 3, rows)
    return x, y if architecture is not python_first_and_last else np.eye(3)[y]


def trained(architecture: Any, **kwargs: Any) -> tuple[dict[str, Any], list[np.ndarray], Any]:
    model = made(architecture, **kwargs)
    x, y = data(architecture)
    history = model.fit(x, y, batch_size=16, epochs=3, verbose=0, validation_data=(x, y))
    return history.history, model.get_weights(), model.predict(x, verbose=0)


@pytest.mark.parametrize("architecture", ALL)
def test_training_is_the_same_recorded_and_in_python(architecture: Any, in_python: Any) -> None:
    figures, weights, predictions = trained(architecture)
    in_python()
    expected_figures, expected_weights, expected_predictions = trained(architecture)
    assert figures.keys() == expected_figures.keys()
    for name, values in figures.items():
        assert values == expected_figures[name], name
    for a, b in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(predictions, expected_predictions)


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("threads", [2, 3])
def test_training_is_the_same_for_any_number_of_threads(architecture: Any, threads: int) -> None:
    with fastconv.threads(1):
        _, expected, _ = trained(architecture)
    with fastconv.threads(threads):
        _, actual, _ = trained(architecture)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("labels", ["sparse", "column", "uint8", "one-hot"])
def test_the_counted_loss_is_that_of_the_parts(labels: str) -> None:
    """Metrics that need predictions keep the loss from being fused: figures must not differ."""
    x, y = data(seed_like)
    loss = "sparse_categorical_crossentropy"
    if labels == "column":
        y = y[:, np.newaxis]
    elif labels == "uint8":
        y = y.astype("uint8")
    elif labels == "one-hot":
        y, loss = utils.to_categorical(y), "categorical_crossentropy"
    figures = []
    for extra in ([], [losses.get(loss)]):
        model = made(seed_like, loss)
        model.compile("adam", loss, metrics=["accuracy", *extra])
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history
        figures.append(
            [*history["loss"], *history["accuracy"], *model.evaluate(x, y, verbose=0)[:2]]
        )
    # The sum over a batch is made in another order.
    np.testing.assert_allclose(figures[0], figures[1], rtol=1e-6)


def test_bad_labels_are_named_by_the_fused_loss_too() -> None:
    model = made(seed_like)
    x, y = data(seed_like)
    y[7] = 3
    with pytest.raises(ValueError, match=r"0 \.\. 2"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="rank"):
        model.fit(x, y[:, np.newaxis, np.newaxis], verbose=0)


def test_programs_follow_weights_that_move() -> None:
    part = layers.Dense(4, activation="relu")
    first = models.Sequential([layers.Input((3,)), part])
    x = rng.random((5, 3), dtype="float32")
    before = first(x)
    second = models.Sequential([part, layers.Dense(2)])
    second.build((None, 3))
    second.compile("sgd", "mse")
    second.fit(x, np.ones((5, 2)), epochs=2, verbose=0)
    after = first(x)
    assert not np.array_equal(before, after)
    expected = np.maximum(x @ part.kernel.numpy() + part.bias.numpy(), 0)
    np.testing.assert_allclose(after, expected, rtol=1e-6)


def test_packed_kernels_follow_the_weights_and_the_instruction_set(restored_isa: None) -> None:
    model = models.Sequential(
        [layers.Input((8, 8, 16)), layers.Conv2D(16, 3, padding="same"), layers.Conv2D(16, 3)]
    )
    model.compile("sgd", "mse")
    x = rng.random((4, 8, 8, 16), dtype="float32")

    def expected() -> np.ndarray:
        y = x
        for layer in model.layers:
            y = functional.conv2d(y, *layer.get_weights(), padding=layer.padding)
        return y

    def assert_same_model(actual: np.ndarray, exact: np.ndarray) -> None:
        """Packed kernels may take the other algorithm, whose rounding is one of the whole tile."""
        np.testing.assert_allclose(actual, exact, rtol=0, atol=1e-5 * np.abs(exact).max())

    for change in (
        lambda: None,
        lambda: model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * 2),
        lambda: model.set_weights([w + 1 for w in model.get_weights()]),
        lambda: model.fit(x, np.ones((4, 6, 6, 16)), verbose=0),
    ):
        change()
        assert_same_model(model(x), expected())
    for isa in fastconv.runtime.available_isas():
        fastconv.runtime.set_isa(isa)
        assert_same_model(model(x), expected())
    with pytest.raises(ValueError, match="read-only"):
        model.layers[0].kernel.value[...] = 0


def test_overridden_layers_are_not_recorded() -> None:
    class Shifted(layers.MaxPooling2D):
        def forward(self, x: Any, y: Any, state: Any) -> None:
            super().forward(x, y, state)
            y += 1

    x = rng.random((2, 4, 4, 1), dtype="float32")
    model = models.Sequential([layers.Input((4, 4, 1)), Shifted()])
    expected = x.reshape(2, 2, 2, 2, 2, 1).max((2, 4)) + 1
    for _ in range(2):
        np.testing.assert_array_equal(model(x), expected)
    np.testing.assert_array_equal(model(x + 1), expected + 1)


def test_inputs_and_outputs_may_lie_anywhere() -> None:
    model = made(seed_like)
    x, _ = data(seed_like)
    expected = model(x)
    np.testing.assert_array_equal(model(np.asfortranarray(x)), expected)
    np.testing.assert_array_equal(model(x.astype("float64")), expected)
    np.testing.assert_array_equal(model(x[::-1])[::-1], expected)
    np.testing.assert_array_equal(model.predict(x, batch_size=50, verbose=0), expected)
    assert model(x) is not model(x)


def test_many_threads_predict_at_once() -> None:
    model = made(seed_like)
    x, _ = data(seed_like)
    expected = [model(x[i : i + 1]) for i in range(8)]
    wrong: list[int] = []

    def ask(i: int) -> None:
        for _ in range(100):
            if not np.array_equal(model(x[i : i + 1]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_step_allocates_next_to_nothing() -> None:
    model = made(shapes_like)
    x, y = data(shapes_like, 32 * 200)
    model.fit(x, y, verbose=0)
    tracemalloc.start()
    try:
        model.fit(x[:64], y[:64], verbose=0)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        model.fit(x, y, verbose=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    order = x.shape[0] * 8
    assert peak - before < 200 * 1024 + order, "1 KB a step, and the order of the rows"


def test_predictions_do_not_pile_up() -> None:
    model = made(shapes_like)
    x, _ = data(shapes_like)
    model(x[:1])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20_000):
            model(x[:1])
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 200 * 1024  # 1 MB for 100,000


def test_a_program_repeats_its_calls_on_other_arrays() -> None:
    x, y = rng.random((2, 3), dtype="float32"), np.empty((2, 3), "float32")
    program = Program((x,))
    with program:
        functional.activate(x, "relu", out=y)
        functional.activate(y, "sigmoid", out=y)
    assert len(program) == 2
    other = -x
    program.run(other)
    np.testing.assert_array_equal(y, np.full((2, 3), 0.5))
    program.run(x)
    np.testing.assert_array_equal(y, functional.activate(x, "sigmoid"))


def test_a_program_refuses_what_it_cannot_run() -> None:
    x = np.zeros(4, "float32")
    program = Program((x,))
    with pytest.raises(ValueError, match=r"Expected 1 arrays\. Received: 0"):
        program.run()
    with pytest.raises(ValueError, match=r"Expected 16 bytes\. Received: 8"):
        program.run(x[:2].copy())
    with pytest.raises((ValueError, BufferError)):
        program.run(np.zeros((4, 2), "float32")[:, 0])
    with program, pytest.raises(RuntimeError, match="recording another"), Program():
        pass
    with pytest.raises(ValueError, match="4 arrays at most"):
        Program((x, x, x, x, x))
    assert functional.activate(x, "relu").shape == (4,), "nothing records any more"


def test_other_threads_run_while_one_records() -> None:
    x = np.ones(4, "float32")
    results: list[np.ndarray] = []
    with Program() as program:
        thread = threading.Thread(target=lambda: results.append(functional.activate(-x, "relu")))
        thread.start()
        thread.join()
    assert len(program) == 0
    np.testing.assert_array_equal(results[0], np.zeros(4))


@pytest.mark.parametrize(
    "optimizer",
    [optimizers.SGD(0.1, momentum=0.9, nesterov=True), optimizers.RMSprop(momentum=0.5)],
)
def test_bound_updates_follow_the_settings(optimizer: Any, in_python: Any) -> None:
    """Settings that change between steps reach the bound updates."""
    model = made(seed_like, optimizer=optimizer)
    x, y = data(seed_like)
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    optimizer.learning_rate = 0.0
    optimizer.momentum = 0.0
    model.fit(x, y, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
