"""What fit shows, and how mistakes are explained."""

import warnings

import numpy as np
import pytest

import fastconv
from fastconv import layers, models, utils

rng = np.random.default_rng(0)
X = rng.random((50, 6, 6, 1)).astype("float32")
Y = (np.arange(50) * 7 % 3).astype("int64")


def batches():
    for start in range(0, 50, 10):
        yield X[start : start + 10], Y[start : start + 10]


def made(metrics: object = None) -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=metrics)
    return model


def test_verbose_lines(capsys: pytest.CaptureFixture[str]) -> None:
    model = made(metrics=["accuracy"])
    model.fit(X, Y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[1].startswith("2/2 - 0s - ")
    assert "/step - accuracy: 0." in lines[1]
    assert " - loss: " in lines[1]
    assert len(lines) == 4
    model.fit(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""
    model.evaluate(X, Y, verbose=2)
    assert capsys.readouterr().out.startswith("2/2 - 0s - ")


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    model = made(metrics=["accuracy"])
    model.fit(X, Y, epochs=1, verbose=1, validation_split=0.2)
    out = capsys.readouterr().out
    assert "Epoch 1/1: 100%" in out
    for name in ("accuracy=", "loss=", "val_loss=", "2/2"):
        assert name in out
    model.fit(batches(), verbose=1)
    assert "5/5" in capsys.readouterr().out
    model.predict(X, verbose=1)
    assert "2/2" in capsys.readouterr().out


def test_auto_is_lines_where_the_output_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made().fit(X, Y)
    assert "2/2 - " in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    made().fit(X, Y)
    assert "100%" in capsys.readouterr().out


def test_progress_may_go_to_the_log(caplog: pytest.LogCaptureFixture, capsys) -> None:
    fastconv.config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="fastconv"):
            made().fit(X, Y, verbose=2)
    finally:
        fastconv.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert any("loss" in message for message in caplog.messages)


ERRORS = {
    "not compiled": (lambda m: fresh().fit(X, Y), "You must call `compile\\(\\)`"),
    "no loss": (lambda m: compiled_without_loss().fit(X, Y), "No loss to compute"),
    "lengths": (lambda m: m.fit(X, Y[:9]), "Data cardinality is ambiguous"),
    "weights": (
        lambda m: m.fit(X, Y, sample_weight=np.ones(3)),
        "Data cardinality is ambiguous",
    ),
    "empty": (lambda m: m.fit(X[:0], Y[:0]), "must not be empty"),
    "no x": (lambda m: m.fit(), "`x` is missing"),
    "no y": (lambda m: m.fit(X), "Targets are needed"),
    "batch size": (lambda m: m.fit(X, Y, batch_size=0), "batch_size=0"),
    "batch size type": (lambda m: m.fit(X, Y, batch_size=2.5), "batch_size=2.5"),
    "steps": (lambda m: m.fit(X, Y, steps_per_epoch=0), "steps=0"),
    "verbose": (lambda m: m.fit(X, Y, verbose=7), "verbose=7"),
    "split": (lambda m: m.fit(X, Y, validation_split=1.5), "validation_split=1.5"),
    "tiny split": (lambda m: m.fit(X[:1], Y[:1], validation_split=0.1), "not sufficient"),
    "split of a generator": (
        lambda m: m.fit(batches(), validation_split=0.1),
        "only supported for arrays",
    ),
    "y beside a generator": (lambda m: m.fit(batches(), Y), "should not be passed"),
    "rank": (lambda m: m.predict(np.zeros((3, 6))), "Invalid input shape"),
    "size": (lambda m: m.predict(np.zeros((3, 5, 6, 1))), "Invalid input shape"),
    "strings": (lambda m: m.predict(np.array(["a"])), "must be an array of numbers"),
    "ragged": (lambda m: m.predict([[1.0], [1.0, 2.0]]), "cannot be made into an array"),
    "label": (lambda m: m.fit(X, Y + 1), "labels"),
    "negative label": (lambda m: m.fit(X, Y - 1), "labels"),
    "labels of another shape": (lambda m: m.fit(X, np.zeros((50, 4))), "Received"),
    "frequency": (
        lambda m: m.fit(X, Y, validation_split=0.1, validation_freq="a"),
        "validation_freq",
    ),
    "epochs": (lambda m: m.fit(X, Y, epochs="1"), "`epochs` must be an int"),
    "first epoch": (lambda m: m.fit(X, Y, initial_epoch=-1), "`initial_epoch` must be an int"),
    "class weights": (lambda m: m.fit(X, Y, class_weight=[1, 2]), "`class_weight` must be"),
    "class names": (lambda m: m.fit(X, Y, class_weight={"a": 1}), "`class_weight` must be"),
    "callback": (lambda m: m.fit(X, Y, callbacks=[3]), "Callback objects"),
    "loss name": (lambda m: m.compile("sgd", "nothing"), "Unknown loss"),
    "metric name": (lambda m: m.compile("sgd", "mse", metrics=["nothing"]), "Unknown metric"),
    "metric type": (lambda m: m.compile("sgd", "mse", metrics="accuracy"), "to be a list"),
    "optimizer name": (lambda m: m.compile("nothing", "mse"), "Unknown optimizer"),
    "optimizer type": (lambda m: m.compile(3, "mse"), "Could not interpret optimizer"),
}


def fresh() -> models.Sequential:
    return models.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])


def compiled_without_loss() -> models.Sequential:
    model = fresh()
    model.compile("sgd")
    return model


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_are_explained(name: str) -> None:
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action(made())


def test_a_mistake_leaves_the_model_usable() -> None:
    model = made()
    model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="labels"):
        model.fit(X, Y + 1, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, verbose=0)
    assert np.isfinite(model.predict(X, verbose=0)).all()
