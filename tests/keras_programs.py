"""Models as users write and train them, for Keras and for fastconv.

As in ``keras_cases``, each case is a function of the package that returns numbers, or text.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from keras_cases import Case, set_weights, training_data

_rng = np.random.default_rng(11)
ROWS = _rng.standard_normal((24, 5)).astype("float32")
CLASSES = np.arange(24) * 7 % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
ROW_WEIGHTS = np.linspace(0, 2, 24).astype("float32")
CLASS_WEIGHTS = {0: 1.0, 1: 2.0, 2: 0.5}


def classifier(k: Any, optimizer: Any = "sgd", **kwargs: Any) -> Any:
    """Return a small compiled classifier of ROWS with given weights."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input(shape=(5,), name="rows"),
            layers.Dense(4, activation="tanh", name="hidden"),
            layers.Dense(3, activation="softmax", name="classes"),
        ],
        name="classifier",
    )
    set_weights(model)
    arguments = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **kwargs}
    model.compile(optimizer=optimizer, **arguments)
    return model


def curves(history: Any) -> list[Any]:
    """Return all figures of a History, sorted by name."""
    return [history.history[name] for name in sorted(history.history)]


def fit(model: Any, x: Any = ROWS, y: Any = CLASSES, **kwargs: Any) -> list[Any]:
    """Return the curves of a silent fit without shuffling."""
    return curves(model.fit(x, y, **{"shuffle": False, "verbose": 0, "epochs": 3, **kwargs}))


def shape_classifier(k: Any) -> Any:
    """Return the layers of the shape classifier, for images with three channels."""
    layers = k.layers
    model = k.models.Sequential()
    model.add(layers.Conv2D(2, (3, 3), padding="same", activation="relu", input_shape=(8, 8, 3)))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Conv2D(3, (2, 2), padding="same", activation="relu"))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(8, activation="relu"))
    model.add(layers.Dense(5, activation="softmax"))
    set_weights(model)
    return model


def strided(k: Any, data_format: str) -> Any:
    """Return a model with strides, dilation, penalties, normalization and Dropout(0)."""
    layers = k.layers
    first = data_format == "channels_first"
    form = {"data_format": data_format}
    model = k.Sequential(
        [
            k.Input((3, 8, 8) if first else (8, 8, 3)),
            layers.Conv2D(6, 3, padding="same", kernel_regularizer="l2", use_bias=False, **form),
            layers.BatchNormalization(axis=1 if first else -1, momentum=0.9, epsilon=0.01),
            layers.Activation("leaky_relu"),
            layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="gelu", **form),
            layers.Dropout(0.0),
            layers.Conv2D(6, 2, strides=2, kernel_regularizer=k.regularizers.L1(1e-3), **form),
            layers.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, **form),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="tanh", **form),
            layers.AveragePooling2D((2, 2), strides=1, padding="same", **form),
            layers.GlobalAveragePooling2D(**form),
            layers.Dense(5, activation="softmax", bias_regularizer=k.regularizers.L1L2(0.1, 0.1)),
        ]
    )
    set_weights(model)
    return model


_MODELS: dict[str, Any] = {
    "shape classifier": lambda k: (shape_classifier(k), *training_data()),
    "strided": lambda k: (strided(k, "channels_last"), *training_data()),
    "strided channels_first": lambda k: (
        strided(k, "channels_first"),
        *training_data("channels_first"),
    ),
}

_OPTIMIZERS: dict[str, Case] = {
    "sgd momentum": lambda o: o.SGD(0.05, momentum=0.9),
    "rmsprop": lambda o: o.RMSprop(0.001),
    "adam": lambda o: o.Adam(0.002),
    "adam clipnorm": lambda o: o.Adam(0.002, clipnorm=0.1, weight_decay=0.01),
    "adam scheduled": lambda o: o.Adam(o.schedules.ExponentialDecay(0.005, 3, 0.5)),
}


def _curve(name: str, optimizer: Case) -> Case:
    def case(k: Any) -> Any:
        model, x, y = _MODELS[name](k)
        model.compile(optimizer(k.optimizers), "sparse_categorical_crossentropy")
        return fit(model, x, y, batch_size=8, epochs=5, validation_data=(x[:8], y[:8]))

    return case


def _batches(weights: bool = False) -> Any:
    while True:
        for start in range(0, 24, 6):
            rows = slice(start, start + 6)
            batch = ROWS[rows], CLASSES[rows], ROW_WEIGHTS[rows]
            yield batch if weights else batch[:2]


def _assembled(k: Any) -> Any:
    model = k.Sequential(name="assembled", trainable=True)
    model.add(k.layers.Dense(3, input_dim=5))
    model.add(k.layers.Dense(2))
    model.add(k.layers.Dense(7))
    model.pop()
    model.pop()
    model.add(k.layers.Dense(4, name="last"))
    later = k.Sequential([k.layers.Dense(2)])
    later.build(input_shape=(None, 6))
    shapes = [w.shape for m in (model, later) for w in m.weights]
    found = model.get_layer(name="last"), model.get_layer(index=0)
    return [*map(list, shapes), [layer.units for layer in found], model.count_params()]


def _weights(k: Any) -> Any:
    model = classifier(k)
    model.layers[0].trainable = False
    model.set_weights([w + 1 for w in model.get_weights()])
    parts = model.weights, model.trainable_weights, model.layers
    return [model.get_weights(), [len(part) for part in parts]]


def _summary(k: Any) -> Any:
    model, lines = strided(k, "channels_last"), []
    model.layers[0].trainable = False
    model.summary(line_length=78, show_trainable=True, print_fn=lines.append)
    return "\n".join(str(line) for line in lines)


def _config(k: Any) -> Any:
    model = classifier(k)
    copies = k.Sequential.from_config(model.get_config()), k.models.model_from_json(model.to_json())
    for copy in copies:
        copy.set_weights(model.get_weights())
    return [copy.predict(ROWS[:3], verbose=0) for copy in copies]


def _single_batches(k: Any) -> Any:
    weighted = k.metrics.SparseCategoricalAccuracy(name="weighted")
    model = classifier(k, weighted_metrics=[weighted])
    return [
        model.train_on_batch(ROWS[:8], CLASSES[:8]),
        model.train_on_batch(ROWS, CLASSES, sample_weight=ROW_WEIGHTS),
        list(
            model.train_on_batch(
                ROWS, CLASSES, class_weight=CLASS_WEIGHTS, return_dict=True
            ).values()
        ),
        model.test_on_batch(ROWS, CLASSES, sample_weight=ROW_WEIGHTS),
        model.predict_on_batch(ROWS[:3]),
        model(ROWS[:3], training=False),
    ]


def _whole(k: Any) -> Any:
    model = classifier(k, "adam")
    options = {"batch_size": 7, "verbose": 0}
    logs = model.evaluate(ROWS, CLASSES, sample_weight=ROW_WEIGHTS, return_dict=True, **options)
    return [
        model.evaluate(ROWS, CLASSES, **options),
        [logs[name] for name in sorted(logs)],
        model.evaluate(_batches(), steps=2, verbose=0),
        model.predict(ROWS[:10], **options),
        model.predict(_batches(), steps=1, verbose=0),
    ]


def _penalized(k: Any) -> Any:
    """Penalties on the output of the first layer and of the last."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((5,)),
            layers.Dense(4, activation="relu", activity_regularizer="l2"),
            layers.Dense(3, activation="softmax", activity_regularizer=k.regularizers.L1(0.1)),
        ]
    )
    set_weights(model)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return fit(model, batch_size=24, validation_data=(ROWS[:9], CLASSES[:9]))


def _called(k: Any) -> Any:
    """Outputs of calls in training, which normalize by the batch, and not."""
    model, (images, _) = strided(k, "channels_last"), training_data()
    return [model(images[:5], training=training) for training in (True, False)]


def _history(k: Any) -> Any:
    history = classifier(k).fit(
        ROWS, CLASSES, epochs=5, initial_epoch=3, batch_size=10, shuffle=False, verbose=0
    )
    names = sorted(history.history), history.epoch, sorted(history.params.items())
    return json.dumps(names)


def _lines(k: Any) -> Any:
    """What ``verbose=2`` prints, without the times."""
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as text:
        fit(classifier(k), verbose=2, validation_split=0.25)
    return re.sub(r" - \d+m?s - [^ ]+/step", "", text.getvalue())


def _saved(name: str) -> Case:
    def case(k: Any) -> Any:
        model = classifier(k, k.optimizers.RMSprop(0.01))
        fit(model)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name)
            if name.endswith(".weights.h5"):
                model.save_weights(path, overwrite=True)
                model = classifier(k)
                model.load_weights(path, skip_mismatch=False)
            else:
                model.save(path, overwrite=True)
                model = k.models.load_model(path, custom_objects=None, compile=True)
        step = model.train_on_batch(ROWS, CLASSES) if name.endswith(".keras") else []
        return [model.predict(ROWS[:4], verbose=0), step, model.get_weights()]

    return case


def _keras_json(k: Any) -> Any:
    """What a new process finds in ``keras.json``."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = {"floatx": "float64", "epsilon": 1e-5, "image_data_format": "channels_first"}
        Path(folder, "keras.json").write_text(json.dumps({**chosen, "backend": "jax"}))
        program = (
            f"import {k.__name__} as k; c = k.config; "
            "print(c.floatx(), c.epsilon(), c.image_data_format())"
        )
        environment = {**os.environ, "KERAS_HOME": folder}
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        ).stdout


def _configuration(k: Any) -> Any:
    before = k.config.image_data_format()
    k.config.set_image_data_format("channels_first")
    layer = k.layers.Conv2D(2, 3)
    k.config.set_image_data_format(before)
    return f"{before} {layer.data_format} {k.config.floatx()} {k.config.epsilon()}"


def _seeded(k: Any) -> Any:
    weights = []
    for _ in range(2):
        k.utils.set_random_seed(5)
        layer = k.layers.Dense(3)
        layer.build((None, 4))
        weights.append(layer.get_weights()[0])
    return [weights[0] == weights[1]]


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    found: dict[str, Case] = {
        f"training {model}: {name}": _curve(model, optimizer)
        for model in _MODELS
        for name, optimizer in _OPTIMIZERS.items()
    }
    found.update(
        {
            "model: add, pop, build": _assembled,
            "model: weights": _weights,
            "model: summary": _summary,
            "model: configuration": _config,
            "model: single batches": _single_batches,
            "model: calls": _called,
            "model: whole sets": _whole,
            "model: history": _history,
            "model: lines": _lines,
            "fit: validation": lambda k: fit(
                classifier(k), validation_split=0.3, validation_batch_size=4, validation_freq=2
            ),
            "fit: validation data": lambda k: fit(
                classifier(k), validation_data=(ROWS, CLASSES, ROW_WEIGHTS), validation_freq=2
            ),
            "fit: class weights": lambda k: fit(
                classifier(k, weighted_metrics=["accuracy"]), class_weight=CLASS_WEIGHTS
            ),
            "fit: sample weights": lambda k: fit(
                classifier(k, weighted_metrics=["accuracy"]), sample_weight=ROW_WEIGHTS
            ),
            "fit: one-hot": lambda k: fit(
                classifier(k, loss="categorical_crossentropy"), y=ONE_HOT, batch_size=5
            ),
            "fit: generator": lambda k: fit(
                classifier(k),
                _batches(weights=True),
                None,
                steps_per_epoch=3,
                validation_data=(ROWS, CLASSES),
                validation_batch_size=6,
                validation_steps=2,
            ),
            "fit: penalized outputs": _penalized,
            "fit: steps": lambda k: fit(classifier(k), batch_size=6, steps_per_epoch=3),
            "file: .keras": _saved("model.keras"),
            "file: .h5": _saved("model.h5"),
            "file: .weights.h5": _saved("model.weights.h5"),
            "configuration: keras.json": _keras_json,
            "configuration: functions": _configuration,
            "configuration: seed": _seeded,
        }
    )
    return found
