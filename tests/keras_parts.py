"""Aliases, initializers, inputs and dropout, for Keras and for fastconv, as in ``keras_cases``."""

from typing import Any

import numpy as np
from keras_cases import BINARY, GRADIENTS, IMAGES, LINE, SCORES, Case, set_weights

#: Shares of the values below which the quantiles of random weights are compared.
_SHARES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]

#: Tables of the rule for 'same': sizes n, windows k, strides s.
_SAME = [(5, 3, 2), (6, 3, 2), (224, 7, 2), (4, 2, 1), (7, 2, 3), (5, 1, 3)]

_RANDOM: dict[str, Case] = {
    "glorot uniform": lambda i: i.GlorotUniform(seed=1),
    "glorot normal": lambda i: i.GlorotNormal(seed=1),
    "he uniform": lambda i: i.HeUniform(seed=1),
    "he normal": lambda i: i.HeNormal(seed=1),
    "lecun uniform": lambda i: i.LecunUniform(seed=1),
    "lecun normal": lambda i: i.LecunNormal(seed=1),
    "random normal": lambda i: i.RandomNormal(stddev=0.1, seed=1),
    "random normal by default": lambda i: i.RandomNormal(seed=1),
    "random uniform": lambda i: i.RandomUniform(-0.1, 0.3, seed=1),
    "random uniform by default": lambda i: i.RandomUniform(seed=1),
    "truncated normal": lambda i: i.TruncatedNormal(mean=0.1, stddev=0.2, seed=1),
    "variance scaling": lambda i: i.VarianceScaling(
        scale=1.0, mode="fan_in", distribution="truncated_normal", seed=1
    ),
    "variance scaling, uniform": lambda i: i.VarianceScaling(3.0, "fan_avg", "uniform", seed=1),
}


def _quantiles(make: Case) -> Case:
    """Quantiles of a million weights of a convolution, in units of their spread."""

    def case(k: Any) -> Any:
        values = np.asarray(make(k.initializers)((4, 4, 250, 250)), np.float64)
        return [np.quantile(values, _SHARES) / values.std(), 100 * np.log(values.std())]

    return case


def _orthogonal(k: Any) -> Any:
    matrix = np.asarray(k.initializers.Orthogonal(gain=2.0, seed=1)((3, 2, 4)))
    rows = matrix.reshape(6, 4)
    return [rows.T @ rows]


def _same_sizes(k: Any) -> Any:
    """Sizes of the outputs, and the number of the window that sees only the first pixel."""
    found = []
    for n, size, stride in _SAME:
        line = np.zeros((1, n, 1, 1), "float32")
        line[0, :, 0, 0] = np.arange(1, n + 1)
        layer = k.layers.Conv2D(
            1,
            (size, 1),
            strides=(stride, 1),
            padding="same",
            use_bias=False,
            kernel_initializer="ones",
        )
        output = np.asarray(layer(line))
        found.append([output.shape[1], output[0, 0, 0, 0], output[0, -1, 0, 0]])
    return found


def _same_average(k: Any) -> Any:
    nine = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
    return k.layers.AvgPool2D(pool_size=2, strides=2, padding="same")(nine)


def _aliases(k: Any) -> Any:
    convolution = k.layers.Convolution2D(2, (3, 3))
    convolution.build(IMAGES.shape)
    set_weights(convolution)
    return [
        k.layers.MaxPool2D()(IMAGES),
        k.layers.AvgPool2D((2, 2))(IMAGES),
        np.array(convolution(IMAGES)),
    ]


def _dropout(k: Any) -> Any:
    """Dropout of nothing, of everything, not in training, and the values that are kept."""
    ones = np.ones((50, 50), "float32")
    columns = np.asarray(k.layers.Dropout(0.5, noise_shape=(None, 1), seed=3)(ones, training=True))
    return [
        k.layers.Dropout(0.0)(LINE, training=True),
        k.layers.Dropout(1.0)(LINE, training=True),
        k.layers.Dropout(0.3)(LINE, training=False),
        np.unique(np.asarray(k.layers.Dropout(rate=0.2, seed=3)(ones, training=True))),
        np.ptp(columns, axis=1).max(),
    ]


def _normalized(k: Any) -> Any:
    """The moving averages after two batches, and what they give."""
    layer = k.layers.BatchNormalization(momentum=0.6, center=False)
    for _ in range(2):
        layer(IMAGES, training=True)
    bare = k.layers.BatchNormalization(axis=1, scale=False)
    return [layer.get_weights(), layer(IMAGES), bare(IMAGES, training=True)]


def _inputs(k: Any) -> Any:
    entries = [
        k.Input(shape=(4, 4, 1), batch_size=3, dtype="float32", name="a"),
        k.layers.Input((4, 4, 1)),
        k.layers.InputLayer(shape=(4, 4, 1), batch_size=2, dtype="float32", name="b"),
        k.layers.InputLayer(batch_shape=(5, 4, 4, 1)),
    ]
    shapes = []
    for entry in entries:
        model = k.Sequential([entry, k.layers.Conv2D(2, 3)])
        shapes += [model.input_shape, model.output_shape]
    return str(shapes)


def _own(k: Any) -> Any:
    """A plain function as loss and as metric, and the mean of values."""
    model = k.Sequential([k.Input((9,)), k.layers.Dense(1, kernel_initializer="ones")])

    def fourth(y_true: Any, y_pred: Any) -> Any:
        return (y_true - y_pred) ** 4

    model.compile(k.optimizers.SGD(0.01), fourth, metrics=[fourth])
    mean = k.metrics.Mean()
    mean.update_state([1.0, 2.0, 6.0], sample_weight=[1.0, 0.0, 1.0])
    figures = [model.train_on_batch(LINE[None] / 8, np.ones((1, 1))) for _ in range(3)]
    return [figures, float(mean.result())]


def _stepped(k: Any) -> Any:
    """Averages that replace the weights."""
    variable = k.Variable(np.array([1.0, 2.0], "float32"))
    optimizer = k.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5, weight_decay=0.1)
    for gradient in GRADIENTS:
        optimizer.apply([gradient], [variable])
    optimizer.finalize_variable_values([variable])
    return np.array(variable)


def _accumulated(name: str) -> Case:
    """Three updates, each of two gradients."""

    def case(k: Any) -> Any:
        variable = k.Variable(np.array([1.0, 2.0], "float32"))
        optimizer = getattr(k.optimizers, name)(0.1, gradient_accumulation_steps=2)
        for gradient in GRADIENTS * 2:
            optimizer.apply([gradient], [variable])
        return np.array(variable)

    return case


def _metrics(k: Any) -> Any:
    """Metrics with fewer thresholds, of more labels than there are, of scores beyond 0 and 1."""
    found = []
    for metric, scores in (
        (k.metrics.AUC(num_thresholds=5), SCORES),
        (k.metrics.TopKCategoricalAccuracy(k=5), SCORES),
        (k.metrics.AUC(), 6 * SCORES - 3),
        (k.metrics.Precision(), 6 * SCORES - 3),
    ):
        metric.update_state(BINARY, scores)
        found.append(float(metric.result()))
    return found


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    found: dict[str, Case] = {
        f"random weights: {name}": _quantiles(make) for name, make in _RANDOM.items()
    }
    found.update(
        {
            "weights: orthogonal": _orthogonal,
            "weights: zeros": lambda k: k.initializers.Zeros()((2, 2)),
            "weights: ones": lambda k: k.initializers.Ones()((2, 2)),
            "weights: constant": lambda k: k.initializers.Constant(0.3)((2, 2)),
            "layer: sizes of same": _same_sizes,
            "layer: average of same": _same_average,
            "layer: aliases": _aliases,
            "layer: dropout": _dropout,
            "layer: moving averages": _normalized,
            "layer: inputs": _inputs,
            "layer: flat rows": lambda k: [k.layers.Flatten()(LINE).shape],
            "layer: flat channels": lambda k: k.layers.Flatten(data_format="channels_first")(
                IMAGES
            ),
            "layer: bytes": lambda k: k.layers.Rescaling(scale=1.0)(np.arange(9, dtype="uint8")),
            "layer: global max kept": lambda k: k.layers.GlobalMaxPooling2D(
                data_format="channels_first", keepdims=True
            )(IMAGES),
            "loss and metric: functions": _own,
            "optimizer: adam averaged": _stepped,
            **{
                f"optimizer: {name} accumulated": _accumulated(name)
                for name in ("Adam", "Nadam", "Adamax", "RMSprop")
            },
            "metric: other settings": _metrics,
        }
    )
    return found
