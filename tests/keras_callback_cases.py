"""What callbacks do to a training, for Keras and for fastconv, as in ``keras_cases``."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras_cases import Case
from keras_programs import CLASSES, ROWS, classifier, curves


def _run(k: Any, *callbacks: Any, model: Any = None, epochs: int = 6) -> Any:
    """Return the model and the curves; a third of the rows are held out."""
    model = model or classifier(k, k.optimizers.SGD(0.5))
    history = model.fit(
        ROWS,
        CLASSES,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        validation_split=0.33,
        callbacks=list(callbacks),
    )
    return model, curves(history)


def _stopped(**kwargs: Any) -> Case:
    def case(k: Any) -> Any:
        model, figures = _run(k, k.callbacks.EarlyStopping(**kwargs))
        return [figures, model.get_weights()]

    return case


def _plateau(k: Any) -> Any:
    callback = k.callbacks.ReduceLROnPlateau(
        monitor="loss",
        factor=0.5,
        patience=1,
        verbose=0,
        mode="min",
        min_delta=0.5,
        cooldown=1,
        min_lr=0.1,
    )
    _, figures = _run(k, callback, epochs=9)
    return [figures, callback.wait, callback.cooldown_counter]


def _checkpoint(k: Any, folder: str) -> Any:
    callbacks = [
        k.callbacks.ModelCheckpoint(os.path.join(folder, "{epoch:02d}-{loss:.3f}.keras")),
        k.callbacks.ModelCheckpoint(
            filepath=os.path.join(folder, "best.keras"),
            monitor="val_loss",
            verbose=0,
            mode="min",
            save_best_only=True,
            initial_value_threshold=2.0,
        ),
        k.callbacks.ModelCheckpoint(
            os.path.join(folder, "w.weights.h5"), save_weights_only=True, save_freq=4
        ),
    ]
    _, figures = _run(k, *callbacks, epochs=3)
    best = k.models.load_model(os.path.join(folder, "best.keras"))
    model = classifier(k)
    model.load_weights(os.path.join(folder, "w.weights.h5"))
    names = sorted(name for name in os.listdir(folder) if name[0].isdigit())
    losses = [float(name[3:8]) for name in names]
    return [figures, losses, best.predict(ROWS[:3], verbose=0), model.predict(ROWS[:3], verbose=0)]


def _resumed(k: Any, folder: str) -> Any:
    class Crash(k.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 3:
                raise RuntimeError

    # Without momentum the order of the rows and the weights are all that has to be kept.
    try:
        _run(k, k.callbacks.BackupAndRestore(backup_dir=folder), Crash())
    except RuntimeError:
        model, figures = _run(k, k.callbacks.BackupAndRestore(backup_dir=folder))
    return [figures, model.get_weights()]


def _csv(k: Any, folder: str) -> Any:
    path = Path(folder, "log.csv")
    for append in (False, True):
        _run(k, k.callbacks.CSVLogger(str(path), separator=";", append=append), epochs=2)
    header, *rows = path.read_text().splitlines()
    assert header == "epoch;accuracy;loss;val_accuracy;val_loss", header
    return [[float(value) for value in row.split(";")] for row in rows]


def _boarded(k: Any, folder: str) -> Any:
    """The names of the figures in TensorBoard's files."""
    _run(k, k.callbacks.TensorBoard(log_dir=folder, update_freq="epoch"), epochs=2)
    found = [
        f"{file.parent.name} {name}"
        for file in Path(folder).rglob("events*")
        for name in ("epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_val_loss")
        if name.encode() in file.read_bytes()
    ]
    return "\n".join(sorted(found))


def _events(k: Any) -> Any:
    """The hooks that are called, in order, with the names of the figures."""
    seen: list[str] = []

    def note(hook: str) -> Callable[..., None]:
        def method(self: Any, *args: Any, **kwargs: Any) -> None:
            *place, logs = *args, *kwargs.values()
            seen.append(f"{hook} {place} {sorted(logs)}")

        return method

    class Noting(k.callbacks.Callback):
        """Notes every hook."""

    hooks = [
        f"on_{phase}_{part}"
        for phase in ("train", "test", "predict")
        for part in ("begin", "end", "batch_begin", "batch_end")
    ]
    for hook in (*hooks, "on_epoch_begin", "on_epoch_end"):
        setattr(Noting, hook, note(hook))
    model, _ = _run(k, Noting(), epochs=1)
    model.evaluate(ROWS, CLASSES, verbose=0, callbacks=[Noting()])
    model.predict(ROWS, verbose=0, callbacks=[Noting()])
    return "\n".join(seen)


def _lambda(k: Any) -> Any:
    rates: list[float] = []
    model = classifier(k)
    watch = k.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: rates.append(epoch),
        on_train_batch_end=lambda batch, logs: rates.append(logs["loss"]),
        on_epoch_end=lambda epoch, logs: rates.append(logs["val_loss"]),
        on_train_end=lambda logs: rates.append(-1),
    )
    _run(k, watch, model=model, epochs=2)
    return rates


def _diverged(k: Any) -> Any:
    batches: list[int] = []
    model, rows = classifier(k), ROWS.copy()
    rows[9] = np.nan
    count = k.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    history = model.fit(
        rows,
        CLASSES,
        shuffle=False,
        batch_size=4,
        epochs=3,
        verbose=0,
        callbacks=[count, k.callbacks.TerminateOnNaN()],
    )
    return [len(batches), len(history.history["loss"])]


def _in_folder(case: Callable[[Any, str], Any]) -> Case:
    def run(k: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return case(k, folder)

    return run


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    return {
        "callback: early stopping": _stopped(
            monitor="val_loss", min_delta=0.01, patience=1, verbose=0, mode="min"
        ),
        "callback: early stopping, best weights": _stopped(
            monitor="accuracy", patience=2, restore_best_weights=True, start_from_epoch=1
        ),
        "callback: early stopping, baseline": _stopped(monitor="loss", patience=2, baseline=0.1),
        "callback: checkpoints": _in_folder(_checkpoint),
        "callback: backup": _in_folder(_resumed),
        "callback: plateau": _plateau,
        "callback: schedule": lambda k: _run(
            k,
            k.callbacks.LearningRateScheduler(
                schedule=lambda epoch, rate: rate * 0.5**epoch, verbose=0
            ),
        )[1],
        "callback: csv": _in_folder(_csv),
        "callback: tensorboard": _in_folder(_boarded),
        "callback: events": _events,
        "callback: functions": _lambda,
        "callback: not a number": _diverged,
        "callback: progress": lambda k: _run(k, k.callbacks.ProgbarLogger(), epochs=1)[1],
    }
