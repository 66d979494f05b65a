"""Training steps that run together in one call, against the same steps one at a time."""

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

from fastconv import callbacks, layers, models, optimizers, utils
from fastconv.functional import Program, activate
from fastconv.models._joined import JoinedSteps
from fastconv.models._pace import Pace
from fastconv.optimizers import schedules


class Watcher(callbacks.Callback):
    """Looks at every batch, which keeps steps from running together."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches.append(batch)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of steps that ran together."""
    counts: list[int] = []
    run = JoinedSteps.run

    def counting(self: Any, batch: Any, settings: Any) -> Any:
        figures = run(self, batch, settings)
        if figures is not None:
            counts.append(batch.count)
        return figures

    monkeypatch.setattr(JoinedSteps, "run", counting)
    return counts


def small(scaled: bool = False) -> list[layers.Layer]:
    first = [layers.Rescaling(1 / 255)] if scaled else []
    return [
        layers.Input((6, 6, 1)),
        *first,
        layers.Conv2D(2, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]


def with_dropout() -> list[layers.Layer]:
    return [*small()[:-1], layers.Dropout(0.5, seed=1), small()[-1]]


def data(dtype: str = "float32", rows: int = 203) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = (255 * draw.random((rows, 6, 6, 1))).astype(dtype)
    return x, draw.integers(0, 3, rows)


def trained(
    optimizer: Any, single: bool, architecture: Any = small, dtype: str = "float32", **kwargs: Any
) -> tuple[dict[str, Any], list[np.ndarray], list[np.ndarray]]:
    utils.set_random_seed(1)
    model = models.Sequential(architecture())
    loss = kwargs.pop("loss", "sparse_categorical_crossentropy")
    model.compile(optimizer(), loss, metrics=["accuracy"])
    x, y = data(dtype)
    if loss == "categorical_crossentropy":
        y = utils.to_categorical(y)
    watching = [Watcher()] if single else []
    history = model.fit(x, y, 8, epochs=3, verbose=0, callbacks=watching, **kwargs)
    if single:
        assert watching[0].batches == 3 * list(range(len(watching[0].batches) // 3))
    return history.history, model.get_weights(), model.optimizer.variables


OPTIMIZERS = {
    "adam": optimizers.Adam,
    "amsgrad with decay": lambda: optimizers.AdamW(0.01, weight_decay=0.1, amsgrad=True),
    "sgd": optimizers.SGD,
    "nesterov": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(momentum=0.5, centered=True),
    "schedule": lambda: optimizers.Adam(schedules.ExponentialDecay(0.01, 7, 0.5)),
}


def assert_equal(one: Any, other: Any) -> None:
    assert one[0] == other[0]
    for a, b in zip([*one[1], *one[2]], [*other[1], *other[2]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_joined_steps_are_the_single_ones(name: str, joined: list[int]) -> None:
    expected = trained(OPTIMIZERS[name], single=True)
    assert joined == []
    assert_equal(trained(OPTIMIZERS[name], single=False), expected)
    assert sum(joined) > 25, "most of 3 * 26 steps"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"shuffle": False},
        {"dtype": "uint8", "architecture": lambda: small(scaled=True)},
        {"dtype": "uint8"},
        {"dtype": "float64"},
        {"loss": "categorical_crossentropy"},
        {"steps_per_epoch": 13},
        {"architecture": with_dropout},
    ],
    ids=["in order", "scaled bytes", "bytes", "doubles", "one-hot", "parts of the data", "dropout"],
)
def test_data_of_all_kinds_are_joined(kwargs: dict[str, Any], joined: list[int]) -> None:
    expected = trained(optimizers.Adam, single=True, **kwargs)
    assert_equal(trained(optimizers.Adam, single=False, **kwargs), expected)
    assert joined


def with_penalty() -> list[layers.Layer]:
    return [*small()[:-1], layers.Dense(3, activation="softmax", kernel_regularizer="l2")]


def with_constraint() -> list[layers.Layer]:
    return [*small()[:-1], layers.Dense(3, activation="softmax", kernel_constraint="non_neg")]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"optimizer": lambda: optimizers.Adam(clipnorm=0.1)},
        {"optimizer": lambda: optimizers.Adam(global_clipnorm=0.1)},
        {"optimizer": lambda: optimizers.SGD(clipvalue=0.1)},
        {"optimizer": lambda: optimizers.Adam(gradient_accumulation_steps=3)},
        {"optimizer": lambda: optimizers.Adam(use_ema=True)},
        {"optimizer": lambda: optimizers.Adam(lambda: 0.01)},
        {"optimizer": optimizers.Nadam},
        {"architecture": with_penalty},
        {"architecture": with_constraint},
        {"sample_weight": np.arange(203.0)},
        {"class_weight": {0: 1.0, 1: 2.0, 2: 3.0}},
        {"shuffle": False, "dtype": "uint8"},
        {"loss": "kl_divergence"},
    ],
    ids=lambda kwargs: "-".join(map(str, kwargs)),
)
def test_steps_that_need_more_run_one_at_a_time(kwargs: dict[str, Any], joined: list[int]) -> None:
    optimizer = kwargs.pop("optimizer", optimizers.Adam)
    if kwargs.get("loss") == "kl_divergence":
        kwargs["loss"] = lambda y, p: ((p - np.eye(3)[y.astype(int)]) ** 2).mean(-1)
    expected = trained(optimizer, single=True, **kwargs)
    assert_equal(trained(optimizer, single=False, **kwargs), expected)
    assert joined == []


def test_the_right_step_complains_about_bad_labels() -> None:
    model = models.Sequential(small())
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data()
    y[170] = 3
    with pytest.raises(ValueError, match=r"0 \.\. 2"):
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 170 // 8


def test_settings_that_change_between_fits_are_used() -> None:
    optimizer = optimizers.Adam()
    model = models.Sequential(small())
    model.compile(optimizer, "sparse_categorical_crossentropy")
    x, y = data()
    model.fit(x, y, batch_size=8, verbose=0)
    before = model.get_weights()
    optimizer.learning_rate = 0.0
    model.fit(x, y, batch_size=8, verbose=0)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_data_may_change_between_fits() -> None:
    x, y = data()

    def run(others: bool) -> list[np.ndarray]:
        utils.set_random_seed(2)
        model = models.Sequential(small())
        model.compile("adam", "sparse_categorical_crossentropy")
        for values in (x, x[::-1].copy()):
            model.fit(values, y, batch_size=8, verbose=0, callbacks=[Watcher()] if others else [])
        return model.get_weights()

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_interruption_leaves_whole_steps() -> None:
    model = models.Sequential(small())
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data()
    model.fit(x, y, batch_size=8, verbose=0)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=8, epochs=1_000_000, verbose=0)
    timer.join()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(x, y, batch_size=8, verbose=0)


def test_the_pace_follows_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    pace = Pace(single=False)

    def run(seconds: float) -> int:
        pace.begin()
        batches = pace.batches
        now[0] += batches * seconds
        pace.end(batches)
        return pace.batches

    assert [run(2**-13) for _ in range(4)] == [4, 16, 32, 32]
    assert run(1.0) == 1
    pace.keep_single()
    assert run(2**-13) == 1


def test_a_program_goes_through_its_arrays() -> None:
    x, y = np.zeros(3, "float32"), np.zeros(3, "float32")
    program = Program((x, y))
    with program:
        activate(x, "relu", out=y)
    many, out = np.array([[1, -1, 2], [-3, 4, -5]], "float32"), np.empty((2, 3), "float32")
    program.repeat(2, many, out)
    np.testing.assert_array_equal(out, np.maximum(many, 0))
    with pytest.raises(ValueError, match=r"Expected 36 bytes\. Received: 24"):
        program.repeat(3, many, out)


def test_what_does_not_move_in_the_longer_program_stays_in_place() -> None:
    x, y = np.array([-1, 1], "float32"), np.zeros(2, "float32")
    part = Program((x,))
    with part:
        activate(x, "relu", out=y)
    part.run(np.array([5, 6], "float32"))
    whole = Program()
    whole.extend(part)
    whole.run()
    np.testing.assert_array_equal(y, [0, 1])


class OfPredictions(callbacks.Callback):
    """Looks at every batch of predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.rows.append(len(logs["outputs"]))


class Twice(layers.Layer):
    """Runs in Python."""

    def call(self, x: Any) -> Any:
        return 2 * x


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(
    "last", [None, layers.Reshape((3, 1)), Twice()], ids=["kernels", "view", "Python"]
)
def test_predictions_of_many_batches_are_those_of_each(last: Any, dtype: str) -> None:
    model = models.Sequential([*small(), *([last] if last else [])])
    x, _ = data(dtype)
    each = np.concatenate([model.predict_on_batch(x[i : i + 4]) for i in range(0, 203, 4)])
    np.testing.assert_array_equal(model.predict(x, batch_size=4, verbose=0), each)
    np.testing.assert_array_equal(model.predict(x, batch_size=4, verbose=0, steps=20), each[:80])
    watcher = OfPredictions()
    watched = model.predict(x, batch_size=4, verbose=0, callbacks=[watcher])
    np.testing.assert_array_equal(watched, each)
    assert watcher.rows == [4] * 50 + [3]


def test_evaluation_of_many_batches_is_that_of_each(joined: list[int]) -> None:
    class OfTests(callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            assert logs

    model = models.Sequential(small())
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = data()
    model.fit(x, y, verbose=0, callbacks=[Watcher()])
    expected = model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[OfTests()])
    assert joined == []
    assert model.evaluate(x, y, batch_size=4, verbose=0) == expected
    assert sum(joined) > 40
    model.set_weights([2 * w for w in model.get_weights()])
    expected = model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[OfTests()])
    assert model.evaluate(x, y, batch_size=4, verbose=0) == expected
