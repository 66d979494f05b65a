"""Callbacks: when they are called and what they do."""

import csv
import json
import struct

import numpy as np
import pytest

from fastconv import callbacks, layers, models, optimizers, utils
from fastconv.callbacks._events import crc32c

rng = np.random.default_rng(0)
X = rng.random((20, 3)).astype("float32")
Y = rng.random((20, 1)).astype("float32")


def made(optimizer: object = "sgd", dropout: float = 0.0, metrics: object = None):
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=metrics)
    return model


class Script(callbacks.Callback):
    """Replaces a figure by values of its own, and notes what the others did."""

    def __init__(self, name: str, values: list[float]) -> None:
        super().__init__()
        self.name = name
        self.values = values
        self.rates: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]
        self.rates.append(round(float(self.model.optimizer.learning_rate), 6))


def run(*used: callbacks.Callback, epochs: int, **kwargs: object):
    model = made(**kwargs)
    return model, model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(used))


def test_hooks_are_called_in_order() -> None:
    calls: list[str] = []

    class Note(callbacks.Callback):
        pass

    for hook in callbacks.callback.HOOKS:
        setattr(Note, hook, lambda self, *a, hook=hook, **k: calls.append(hook[3:]))
    model = made()
    model.fit(X, Y, batch_size=10, verbose=0, validation_data=(X, Y), callbacks=[Note()])
    assert calls == [
        *("train_begin", "epoch_begin"),
        *["train_batch_begin", "train_batch_end"] * 2,
        *("test_begin", "test_batch_begin", "test_batch_end"),
        *("test_batch_begin", "test_batch_end", "test_end"),
        *("epoch_end", "train_end"),
    ]
    calls.clear()
    model.evaluate(X, Y, verbose=0, callbacks=[Note()])
    model.predict(X, verbose=0, callbacks=[Note()])
    expected = "{0}_begin {0}_batch_begin {0}_batch_end {0}_end"
    assert calls == expected.format("test").split() + expected.format("predict").split()


def test_logs_params_and_older_names() -> None:
    seen: list[tuple] = []

    class Note(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs)))

        def on_train_begin(self, logs=None):
            assert self.params == {"verbose": 0, "epochs": 2, "steps": 2}
            assert self.model.optimizer is not None

    made(metrics=["mae"]).fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=Note())
    assert seen == [(0, ["loss", "mae"]), (1, ["loss", "mae"])] * 2


def test_a_callback_may_stop_training() -> None:
    def stop(batch: int, logs: dict) -> None:
        model.stop_training = batch == 1

    model = made()
    history = model.fit(
        X,
        Y,
        batch_size=5,
        epochs=3,
        verbose=0,
        callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)],
    )
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == 2


# keras.callbacks.EarlyStopping (3.15) gives these `stopped_epoch` and `best_epoch`.
EARLY = {
    "patience": ({"patience": 2}, [3, 2, 2.5, 2.2, 1, 1, 1], 3, 1),
    "min_delta": ({"patience": 1, "min_delta": 0.5}, [3, 2.8, 2.7, 2], 1, 0),
    "max": ({"patience": 1, "mode": "max"}, [1, 2, 3, 2, 5], 3, 2),
    "baseline": ({"patience": 2, "baseline": 0.5}, [3, 2, 1, 1.1, 0.9], 3, 2),
    "start": ({"patience": 1, "start_from_epoch": 3}, [1, 2, 3, 5, 6, 7], 4, 3),
    "never": ({"patience": 9}, [3, 2, 1], 0, 2),
}


@pytest.mark.parametrize("case", EARLY)
def test_early_stopping(case: str) -> None:
    arguments, values, stopped, best = EARLY[case]
    early = callbacks.EarlyStopping(monitor="val_loss", restore_best_weights=True, **arguments)
    run(Script("val_loss", [float(v) for v in values]), early, epochs=len(values))
    assert early.stopped_epoch == stopped
    assert early.best_epoch == best


def test_early_stopping_restores_the_best_weights(capsys: pytest.CaptureFixture[str]) -> None:
    noted: list[np.ndarray] = []

    class Note(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            noted.append(self.model.get_weights()[0])

    early = callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True, verbose=1)
    model, _ = run(Note(), Script("loss", [3, 1, 2, 4]), early, epochs=4)
    np.testing.assert_array_equal(model.get_weights()[0], noted[1])
    out = capsys.readouterr().out
    assert "Epoch 3: early stopping" in out
    assert "best epoch: 2." in out


def test_a_figure_without_direction_or_value() -> None:
    with pytest.raises(ValueError, match="mode='max'"):
        run(Script("odd", [1, 2]), callbacks.EarlyStopping("odd"), epochs=2)
    with pytest.warns(UserWarning, match="not available"):
        run(callbacks.EarlyStopping("val_loss"), epochs=1)
    with pytest.warns(UserWarning, match="unknown, fallback"):
        callbacks.EarlyStopping(mode="best")
    early = callbacks.EarlyStopping("accuracy", patience=1)
    _, history = run(Script("accuracy", [0.1, 0.2, 0.1, 0.3]), early, epochs=4)
    assert history.epoch == [0, 1, 2]


# keras.callbacks.ReduceLROnPlateau (3.15) leaves these learning rates after each epoch.
PLATEAU = {
    "patience": (
        {"patience": 2, "factor": 0.5},
        [1, 1, 1, 1, 1, 1],
        [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025],
    ),
    "cooldown": (
        {"patience": 1, "cooldown": 2, "factor": 0.5},
        [1, 1, 1, 1, 1, 1],
        [0.01, 0.005, 0.005, 0.0025, 0.0025, 0.00125],
    ),
    "min_lr": ({"patience": 1, "min_lr": 0.004}, [1, 1, 1], [0.01, 0.004, 0.004]),
    "min_delta": ({"patience": 1, "min_delta": 0.2}, [1, 0.9, 0.6], [0.01, 0.001, 0.001]),
}


@pytest.mark.parametrize("case", PLATEAU)
def test_reduce_lr_on_plateau(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, values, rates = PLATEAU[case]
    script = Script("val_loss", values)
    plateau = callbacks.ReduceLROnPlateau(verbose=1, **arguments)
    _, history = run(plateau_after(script), plateau, script, epochs=len(values))
    assert script.rates == rates
    assert len(history.history["learning_rate"]) == len(values)
    assert "ReduceLROnPlateau reducing learning rate to" in capsys.readouterr().out


def plateau_after(script: Script) -> callbacks.Callback:
    """Return a callback that puts in the figures before the plateau is looked at."""
    return callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update({script.name: script.values[epoch]})
    )


def test_reduce_lr_on_plateau_refuses_to_raise_it() -> None:
    with pytest.raises(ValueError, match=r"factor >= 1\.0.*factor=1\.0"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_learning_rate_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1)
    _, history = run(scheduler, epochs=3)
    np.testing.assert_allclose(history.history["learning_rate"], [0.005, 0.0025, 0.00125])
    assert "Epoch 2: LearningRateScheduler setting learning rate to" in capsys.readouterr().out
    _, history = run(callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)), epochs=2)
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05], rtol=1e-6)
    with pytest.raises(ValueError, match="should be a float"):
        run(callbacks.LearningRateScheduler(lambda epoch: "fast"), epochs=1)
    with pytest.raises(TypeError, match="not settable"):
        run(
            callbacks.LearningRateScheduler(lambda epoch: 0.1),
            epochs=1,
            optimizer=optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10)),
        )


def test_csv_logger(tmp_path) -> None:
    path = tmp_path / "log.csv"
    model = made(metrics=["mae"])
    model.fit(
        X, Y, epochs=2, verbose=0, validation_split=0.2, callbacks=[callbacks.CSVLogger(path)]
    )
    rows = list(csv.reader(path.open()))
    assert rows[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [row[0] for row in rows[1:]] == ["0", "1"]
    assert float(rows[2][1]) == model.history.history["loss"][1]
    model.fit(
        X,
        Y,
        epochs=3,
        initial_epoch=2,
        verbose=0,
        callbacks=[callbacks.CSVLogger(path, append=True)],
    )
    assert [row[0] for row in csv.reader(path.open())] == ["epoch", "0", "1", "2"]
    model.fit(X, Y, verbose=0, callbacks=[callbacks.CSVLogger(path, separator=";")])
    assert path.read_text().startswith("epoch;loss;mae\n0;")


def test_model_checkpoint(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "deep" / "{epoch:02d}-{val_loss:.1f}.keras")
    script = Script("val_loss", [3, 4, 2])
    checkpoint = callbacks.ModelCheckpoint(path, save_best_only=True, verbose=1)
    model, _ = run(script, checkpoint, epochs=3)
    names = sorted(p.name for p in (tmp_path / "deep").iterdir())
    assert names == ["01-3.0.keras", "03-2.0.keras"]
    loaded = models.load_model(tmp_path / "deep" / "03-2.0.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    out = capsys.readouterr().out
    assert "Epoch 1: val_loss improved from None to 3.00000, saving model to" in out
    assert "Epoch 2: val_loss did not improve from 3.00000" in out


def test_model_checkpoint_of_weights_by_batches(tmp_path) -> None:
    path = tmp_path / "{epoch}-{batch}.weights.h5"
    checkpoint = callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=3)
    made().fit(X, Y, batch_size=5, epochs=2, verbose=0, callbacks=[checkpoint])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.weights.h5", "2-2.weights.h5"]
    threshold = callbacks.ModelCheckpoint(
        tmp_path / "none.keras", save_best_only=True, initial_value_threshold=0.0
    )
    run(Script("val_loss", [1.0]), threshold, epochs=1)
    assert not (tmp_path / "none.keras").exists()
    with pytest.warns(UserWarning, match="skipping"):
        run(callbacks.ModelCheckpoint(tmp_path / "a.keras", save_best_only=True), epochs=1)
    for arguments in (
        {"filepath": "a.txt"},
        {"filepath": "a.h5", "save_weights_only": True},
        {"filepath": "a.keras", "save_freq": 0},
    ):
        with pytest.raises(ValueError, match="Received"):
            callbacks.ModelCheckpoint(**arguments)


class Crash(callbacks.Callback):
    """Ends a fit as a lost connection does."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.place = (epoch, batch)
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if (self.epoch, batch) == self.place:
            raise RuntimeError("crash")


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_resumed_fit_ends_with_the_same_weights(tmp_path, save_freq) -> None:
    def fit(*used: callbacks.Callback) -> list[np.ndarray]:
        model = made("adam", dropout=0.4)
        model.fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=list(used))
        return model.get_weights()

    expected = fit()
    folder = tmp_path / "backup"
    with pytest.raises(RuntimeError, match="crash"):
        fit(callbacks.BackupAndRestore(folder, save_freq=save_freq), Crash(2, 3))
    utils.set_random_seed(99)
    resumed = made("adam", dropout=0.4)
    utils.set_random_seed(123)
    resumed.fit(
        X,
        Y,
        batch_size=4,
        epochs=4,
        verbose=0,
        callbacks=[callbacks.BackupAndRestore(folder, save_freq=save_freq)],
    )
    for a, b in zip(resumed.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not folder.exists()


def test_backups_that_stay_and_damaged_ones(tmp_path) -> None:
    folder = tmp_path / "backup"
    backup = callbacks.BackupAndRestore(folder, double_checkpoint=True, delete_checkpoint=False)
    made().fit(X, Y, epochs=3, verbose=0, callbacks=[backup])
    assert len(list(folder.glob("*.weights.h5"))) == 2
    state = json.loads((folder / "training_metadata.json").read_text())
    assert state["epoch"] == 3
    (folder / "training_metadata.json").write_text("{}")
    with pytest.raises(ValueError, match="backup is damaged"):
        made().fit(X, Y, verbose=0, callbacks=[callbacks.BackupAndRestore(folder)])
    with pytest.raises(ValueError, match="Empty `backup_dir`"):
        callbacks.BackupAndRestore("")
    with pytest.raises(ValueError, match="save_freq=0"):
        callbacks.BackupAndRestore(folder, save_freq=0)


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    model = made()
    y = Y.copy()
    y[7] = np.nan
    history = model.fit(
        X,
        y,
        batch_size=5,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[callbacks.TerminateOnNaN()],
    )
    assert history.epoch == [0]
    assert int(model.optimizer.iterations) == 2
    assert "Batch 1: Invalid loss, terminating training" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="NaN"):
        made().fit(X, y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def records(path) -> list[bytes]:
    """Return the records of an event file, checksums checked."""
    data, found = path.read_bytes(), []

    def masked(part: bytes) -> int:
        crc = crc32c(part)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        record = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(record)
        found.append(record)
        data = data[16 + length :]
    return found


def test_tensorboard(tmp_path) -> None:
    board = callbacks.TensorBoard(tmp_path, update_freq=1, write_steps_per_second=True)
    model = made()
    model.fit(X, Y, batch_size=10, epochs=2, verbose=0, validation_split=0.5, callbacks=[board])
    (train,) = (tmp_path / "train").iterdir()
    (validation,) = (tmp_path / "validation").iterdir()
    events = records(train)
    assert b"brain.Event:2" in events[0]
    text = b"".join(events)
    for tag in (b"epoch_loss", b"epoch_learning_rate", b"batch_loss", b"epoch_steps_per_second"):
        assert tag in text
    last = [event for event in records(validation) if b"epoch_loss" in event][-1]
    expected = struct.pack("<f", model.history.history["val_loss"][1])
    assert last.endswith(b"\x15" + expected)
    with pytest.raises(ValueError, match="update_freq='never'"):
        callbacks.TensorBoard(update_freq="never")


def test_lambda_callback_and_history_by_hand() -> None:
    seen: list[int] = []
    history = callbacks.History()
    extra = callbacks.LambdaCallback(on_test_begin=lambda logs=None: seen.append(1))
    model = made()
    result = model.fit(X, Y, verbose=0, validation_split=0.5, callbacks=[history, extra])
    assert result is history
    assert seen == [1]
    with pytest.raises(ValueError, match="no such hook"):
        callbacks.LambdaCallback(on_holiday=print)
