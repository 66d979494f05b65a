"""The same small programs for Keras and for fastconv.

Every case is a function of the package (``keras`` or ``fastconv``) that returns numbers; what Keras
gave for them stands in ``keras_golden``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Case = Callable[[Any], Any]

_rng = np.random.default_rng(3)
PROBABILITIES = _rng.random((6, 4)).astype("float32") + np.float32(0.05)
LOGITS = _rng.standard_normal((6, 4)).astype("float32") * 2
LABELS = np.array([0, 1, 2, 3, 1, 2])
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
WEIGHTS = np.array([1, 2, 0, 0.5, 1, 3], "float32")
BINARY = np.array([[0, 1, 1, 0]] * 6, "float32")
SCORES = _rng.random((6, 4)).astype("float32")
SCORES[0] = [0, 1, 0, 1]
TARGETS = _rng.standard_normal((6, 3)).astype("float32")
ESTIMATES = TARGETS + np.float32(0.5) * _rng.standard_normal((6, 3)).astype("float32")
LINE = np.linspace(-4, 4, 9).astype("float32")
MATRIX = _rng.standard_normal((4, 3)).astype("float32") * 2
IMAGES = _rng.random((3, 6, 5, 4)).astype("float32") - np.float32(0.3)
GRADIENTS = [np.array(g, "float32") for g in ([0.1, -0.2], [0.05, 0.3], [-0.2, 0.1])]

_LOSSES: dict[str, tuple[Case, Any, Any]] = {
    "cce": (lambda k: k.losses.CategoricalCrossentropy(), ONE_HOT, PROBABILITIES),
    "cce smoothed": (
        lambda k: k.losses.CategoricalCrossentropy(label_smoothing=0.1),
        ONE_HOT,
        PROBABILITIES,
    ),
    "cce logits": (
        lambda k: k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
        ONE_HOT,
        LOGITS,
    ),
    "scce": (lambda k: k.losses.SparseCategoricalCrossentropy(), LABELS, PROBABILITIES),
    "scce logits": (
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        LABELS[:, None],
        LOGITS,
    ),
    "scce ignored": (
        lambda k: k.losses.SparseCategoricalCrossentropy(ignore_class=1),
        LABELS,
        PROBABILITIES,
    ),
    "bce": (lambda k: k.losses.BinaryCrossentropy(), BINARY, SCORES),
    "bce smoothed": (lambda k: k.losses.BinaryCrossentropy(label_smoothing=0.1), BINARY, SCORES),
    "bce logits": (lambda k: k.losses.BinaryCrossentropy(from_logits=True), BINARY, LOGITS),
    "mse": (lambda k: k.losses.MeanSquaredError(), TARGETS, ESTIMATES),
    "mse sum": (lambda k: k.losses.MeanSquaredError(reduction="sum"), TARGETS, ESTIMATES),
    "mse unreduced": (lambda k: k.losses.MeanSquaredError(reduction=None), TARGETS, ESTIMATES),
    "mse by weight": (
        lambda k: k.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
        TARGETS,
        ESTIMATES,
    ),
    "mae": (lambda k: k.losses.MeanAbsoluteError(), TARGETS, ESTIMATES),
    "mape": (lambda k: k.losses.MeanAbsolutePercentageError(), TARGETS, ESTIMATES),
    "msle": (lambda k: k.losses.MeanSquaredLogarithmicError(), abs(TARGETS), abs(ESTIMATES)),
    "huber": (lambda k: k.losses.Huber(), TARGETS, ESTIMATES),
    "huber delta": (lambda k: k.losses.Huber(delta=0.3), TARGETS, ESTIMATES),
    "kld": (lambda k: k.losses.KLDivergence(), ONE_HOT * 0.9 + 0.025, PROBABILITIES),
    "cce certain and wrong": (
        lambda k: k.losses.CategoricalCrossentropy(),
        np.array([[1.0, 0.0]]),
        np.array([[0.0, 1.0]]),
    ),
}

_METRICS: dict[str, tuple[Case, Any, Any]] = {
    "accuracy": (
        lambda k: k.metrics.Accuracy(),
        np.arange(6)[:, None],
        np.array([[0], [1], [0], [3], [0], [5]]),
    ),
    "binary accuracy": (lambda k: k.metrics.BinaryAccuracy(), BINARY, SCORES),
    "binary accuracy 0.3": (lambda k: k.metrics.BinaryAccuracy(threshold=0.3), BINARY, SCORES),
    "categorical accuracy": (lambda k: k.metrics.CategoricalAccuracy(), ONE_HOT, PROBABILITIES),
    "sparse accuracy": (lambda k: k.metrics.SparseCategoricalAccuracy(), LABELS, PROBABILITIES),
    "top k": (lambda k: k.metrics.TopKCategoricalAccuracy(2), ONE_HOT, PROBABILITIES),
    "sparse top k": (lambda k: k.metrics.SparseTopKCategoricalAccuracy(2), LABELS, PROBABILITIES),
    "mae": (lambda k: k.metrics.MeanAbsoluteError(), TARGETS, ESTIMATES),
    "mse": (lambda k: k.metrics.MeanSquaredError(), TARGETS, ESTIMATES),
    "rmse": (lambda k: k.metrics.RootMeanSquaredError(), TARGETS, ESTIMATES),
    "mape": (lambda k: k.metrics.MeanAbsolutePercentageError(), TARGETS, ESTIMATES),
    "r2": (lambda k: k.metrics.R2Score(), TARGETS, ESTIMATES),
    "r2 each": (lambda k: k.metrics.R2Score(None), TARGETS, ESTIMATES),
    "r2 by variance": (
        lambda k: k.metrics.R2Score("variance_weighted_average"),
        TARGETS,
        ESTIMATES,
    ),
    "r2 adjusted": (lambda k: k.metrics.R2Score(num_regressors=2), TARGETS, ESTIMATES),
    "auc": (lambda k: k.metrics.AUC(), BINARY, SCORES),
    "auc pr": (lambda k: k.metrics.AUC(curve="PR"), BINARY, SCORES),
    "auc minoring": (lambda k: k.metrics.AUC(50, summation_method="minoring"), BINARY, SCORES),
    "auc pr majoring": (
        lambda k: k.metrics.AUC(50, curve="PR", summation_method="majoring"),
        BINARY,
        SCORES,
    ),
    "auc columns": (lambda k: k.metrics.AUC(20, multi_label=True, num_labels=4), ONE_HOT, SCORES),
    "auc thresholds": (lambda k: k.metrics.AUC(thresholds=[0.0, 0.5, 1.0]), BINARY, SCORES),
    "cce": (lambda k: k.metrics.CategoricalCrossentropy(), ONE_HOT, PROBABILITIES),
    "scce": (lambda k: k.metrics.SparseCategoricalCrossentropy(), LABELS, PROBABILITIES),
    "bce": (lambda k: k.metrics.BinaryCrossentropy(), BINARY, SCORES),
    "kld": (lambda k: k.metrics.KLDivergence(), ONE_HOT * 0.9 + 0.025, PROBABILITIES),
}

_UNWEIGHTED_METRICS: dict[str, tuple[Case, Any, Any]] = {
    "precision": (lambda k: k.metrics.Precision(), BINARY, SCORES),
    "precision thresholds": (lambda k: k.metrics.Precision([0.2, 0.7]), BINARY, SCORES),
    "precision top k": (lambda k: k.metrics.Precision(top_k=2), BINARY, SCORES),
    "precision class": (lambda k: k.metrics.Precision(class_id=1), BINARY, SCORES),
    "recall": (lambda k: k.metrics.Recall(), BINARY, SCORES),
    "recall thresholds": (lambda k: k.metrics.Recall([0.2, 0.7]), BINARY, SCORES),
    "recall top k": (lambda k: k.metrics.Recall(top_k=2), BINARY, SCORES),
    "f1": (lambda k: k.metrics.F1Score(), ONE_HOT, SCORES),
    "f1 micro": (lambda k: k.metrics.F1Score("micro", threshold=0.5), ONE_HOT, SCORES),
    "f1 macro": (lambda k: k.metrics.F1Score("macro"), ONE_HOT, SCORES),
    "f1 weighted": (lambda k: k.metrics.F1Score("weighted", threshold=0.4), ONE_HOT, SCORES),
}

_CONSTRAINTS: dict[str, Case] = {
    "max norm": lambda k: k.constraints.MaxNorm(2),
    "max norm rows": lambda k: k.constraints.MaxNorm(1.5, axis=1),
    "non neg": lambda k: k.constraints.NonNeg(),
    "unit norm": lambda k: k.constraints.UnitNorm(),
    "min max norm": lambda k: k.constraints.MinMaxNorm(0.5, 1.0, 0.7),
}

_REGULARIZERS: dict[str, Case] = {
    "l1": lambda k: k.regularizers.L1(),
    "l2": lambda k: k.regularizers.L2(),
    "l1 l2": lambda k: k.regularizers.L1L2(0.1, 0.2),
}

_SCHEDULES: dict[str, Case] = {
    "exponential": lambda s: s.ExponentialDecay(0.1, 10, 0.5),
    "exponential staircase": lambda s: s.ExponentialDecay(0.1, 10, 0.5, staircase=True),
    "inverse time": lambda s: s.InverseTimeDecay(0.1, 10, 0.5),
    "piecewise constant": lambda s: s.PiecewiseConstantDecay([3, 10], [1.0, 0.5, 0.1]),
    "polynomial": lambda s: s.PolynomialDecay(0.1, 10, 0.01, 2.0),
    "polynomial cycle": lambda s: s.PolynomialDecay(0.1, 10, 0.01, cycle=True),
    "cosine": lambda s: s.CosineDecay(0.1, 10, alpha=0.1),
    "cosine warm-up": lambda s: s.CosineDecay(0.01, 10, warmup_target=0.1, warmup_steps=5),
    "cosine restarts": lambda s: s.CosineDecayRestarts(0.1, 5, m_mul=0.8),
}

_OPTIMIZERS: dict[str, Case] = {
    "sgd": lambda o: o.SGD(),
    "sgd momentum": lambda o: o.SGD(0.1, 0.9),
    "sgd nesterov": lambda o: o.SGD(0.1, 0.9, nesterov=True),
    "sgd weight decay": lambda o: o.SGD(0.1, weight_decay=0.1),
    "sgd clipnorm": lambda o: o.SGD(0.1, clipnorm=0.1),
    "sgd global_clipnorm": lambda o: o.SGD(0.1, global_clipnorm=0.1),
    "sgd clipvalue": lambda o: o.SGD(0.1, clipvalue=0.1),
    "sgd averaged": lambda o: o.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "sgd accumulated": lambda o: o.SGD(0.1, gradient_accumulation_steps=2),
    "sgd loss scale": lambda o: o.SGD(0.1, loss_scale_factor=2.0),
    "rmsprop": lambda o: o.RMSprop(),
    "rmsprop momentum": lambda o: o.RMSprop(0.01, momentum=0.9),
    "rmsprop centered": lambda o: o.RMSprop(0.01, centered=True),
    "adam": lambda o: o.Adam(),
    "adam amsgrad": lambda o: o.Adam(0.01, amsgrad=True),
    "adamw": lambda o: o.AdamW(),
    "adagrad": lambda o: o.Adagrad(0.1),
    "nadam": lambda o: o.Nadam(0.1),
    "adamax": lambda o: o.Adamax(0.1),
}

_LAYERS: dict[str, Case] = {
    "conv": lambda k: k.Conv2D(3, 3),
    "conv same strided": lambda k: k.Conv2D(3, (2, 3), strides=2, padding="same"),
    "conv dilated": lambda k: k.Conv2D(2, 2, dilation_rate=2, activation="relu"),
    "conv grouped": lambda k: k.Conv2D(4, 2, groups=2, use_bias=False, activation="tanh"),
    "depthwise": lambda k: k.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "separable": lambda k: k.SeparableConv2D(5, 2, depth_multiplier=2, activation="sigmoid"),
    "max pool": lambda k: k.MaxPooling2D(),
    "max pool same": lambda k: k.MaxPooling2D(3, strides=2, padding="same"),
    "average pool": lambda k: k.AveragePooling2D((2, 2)),
    "average pool same": lambda k: k.AveragePooling2D(3, strides=2, padding="same"),
    "global average": lambda k: k.GlobalAveragePooling2D(),
    "global average kept": lambda k: k.GlobalAveragePooling2D(keepdims=True),
    "global max": lambda k: k.GlobalMaxPooling2D(),
    "flatten": lambda k: k.Flatten(),
    "dense on images": lambda k: k.Dense(3, activation="softmax"),
    "batch norm": lambda k: k.BatchNormalization(epsilon=0.1),
    "zero padding": lambda k: k.ZeroPadding2D(((1, 0), (2, 1))),
    "relu": lambda k: k.ReLU(max_value=0.4, negative_slope=0.1, threshold=0.1),
    "leaky relu": lambda k: k.LeakyReLU(),
    "softmax": lambda k: k.Softmax(axis=1),
    "reshape": lambda k: k.Reshape((-1, 10)),
    "rescaling": lambda k: k.Rescaling(2.0, offset=-1.0),
    "activation": lambda k: k.Activation("gelu"),
}

_TRAINED: dict[str, Case] = {
    "sgd momentum": lambda o: o.SGD(0.05, momentum=0.9),
    "sgd nesterov": lambda o: o.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "rmsprop": lambda o: o.RMSprop(0.001),
    "adam": lambda o: o.Adam(0.002),
    "adam clipped": lambda o: o.Adam(0.002, global_clipnorm=0.1, amsgrad=True),
    "adamw": lambda o: o.AdamW(0.002, weight_decay=0.1),
    "scheduled": lambda o: o.SGD(o.schedules.CosineDecay(0.1, 10)),
    "averaged": lambda o: o.SGD(0.1, use_ema=True, ema_momentum=0.5),
}


def _collected(metric: Any, true: Any, pred: Any) -> Any:
    metric.update_state(true[:2], pred[:2])
    metric.update_state(true[2:], pred[2:])
    return np.array(metric.result())


def _metric_case(make: Case, true: Any, pred: Any) -> Case:
    def case(k: Any) -> Any:
        metric = make(k)
        first = _collected(metric, true, pred)
        metric.reset_state()
        metric.update_state(true, pred, sample_weight=WEIGHTS)
        return [first, np.array(metric.result())]

    return case


def _optimizer_case(make: Case) -> Case:
    def case(k: Any) -> Any:
        variable, optimizer = k.Variable(np.array([1.0, 2.0], "float32")), make(k.optimizers)
        for gradient in GRADIENTS:
            optimizer.apply([gradient], [variable])
        return np.array(variable)

    return case


def set_weights(model: Any) -> None:
    """Give a model or a layer the same weights in both packages."""
    model.set_weights(
        [
            (np.sin(np.arange(w.size) + i) * (0.5 if w.ndim > 1 else 0.1)).reshape(w.shape)
            + (1 if w.ndim == 1 and i in (1, 4) else 0)
            for i, w in enumerate(model.get_weights())
        ]
    )


def _layer_case(make: Case) -> Case:
    def case(k: Any) -> Any:
        layer = make(k.layers)
        layer.build(IMAGES.shape) if not hasattr(layer, "ensure_built") else layer(IMAGES)
        set_weights(layer)
        return np.array(layer(IMAGES))

    return case


def network(k: Any, data_format: str = "channels_last") -> Any:
    """Return a model with many kinds of layers and given weights."""
    layers = k.layers
    shape = (8, 8, 3) if data_format == "channels_last" else (3, 8, 8)
    axis = -1 if data_format == "channels_last" else 1
    model = k.Sequential(
        [
            k.Input(shape),
            layers.Conv2D(4, 3, use_bias=False, data_format=data_format),
            layers.BatchNormalization(axis=axis, momentum=0.8),
            layers.ReLU(),
            layers.MaxPooling2D(2, padding="same", data_format=data_format),
            layers.DepthwiseConv2D(2, padding="same", activation="elu", data_format=data_format),
            layers.SeparableConv2D(6, 2, activation="tanh", data_format=data_format),
            layers.ZeroPadding2D(1, data_format=data_format),
            layers.Conv2D(6, 3, groups=2, activation="silu", data_format=data_format),
            layers.AveragePooling2D(2, 1, padding="same", data_format=data_format),
            layers.Flatten(data_format=data_format),
            layers.Dense(
                7,
                activation="tanh",
                kernel_regularizer="l2",
                bias_regularizer="l2",
                activity_regularizer=k.regularizers.L2(0.01),
            ),
            layers.Dense(5, activation="softmax", kernel_constraint=k.constraints.MaxNorm(1.0)),
        ]
    )
    set_weights(model)
    return model


def training_data(data_format: str = "channels_last") -> tuple[np.ndarray, np.ndarray]:
    """Return 24 small images with labels from 0 to 4."""
    x = np.random.default_rng(7).random((24, 8, 8, 3)).astype("float32")
    labels = np.arange(24) * 7 % 5
    return (x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)), labels


def _training_case(make: Case, data_format: str) -> Case:
    def case(k: Any) -> Any:
        x, y = training_data(data_format)
        model = network(k, data_format)
        model.compile(make(k.optimizers), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(
            x,
            y,
            batch_size=10,
            epochs=2,
            shuffle=False,
            verbose=0,
            validation_data=(x[:7], y[:7]),
        ).history
        return [history["loss"], history["val_loss"]]

    return case


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    found: dict[str, Case] = {}
    for name, (make, true, pred) in _LOSSES.items():
        found[f"loss: {name}"] = lambda k, m=make, t=true, p=pred: m(k)(t, p)
        if len(true) == len(WEIGHTS):
            found[f"weighted loss: {name}"] = lambda k, m=make, t=true, p=pred: m(k)(
                t, p, sample_weight=WEIGHTS
            )
    for name, (make, true, pred) in _METRICS.items():
        found[f"metric: {name}"] = _metric_case(make, true, pred)
    for name, (make, true, pred) in _UNWEIGHTED_METRICS.items():
        found[f"metric: {name}"] = lambda k, m=make, t=true, p=pred: _collected(m(k), t, p)
    for name in [
        "linear",
        "relu",
        "relu6",
        "sigmoid",
        "tanh",
        "elu",
        "selu",
        "softplus",
        "softsign",
        "leaky_relu",
        "gelu",
        "silu",
        "exponential",
        "hard_sigmoid",
        "softmax",
        "log_softmax",
    ]:
        x = LINE[None] if "softmax" in name else LINE
        found[f"activation: {name}"] = lambda k, n=name, x=x: getattr(k.activations, n)(x)
    found["activation: relu general"] = lambda k: k.activations.relu(LINE, 0.1, 2.0, 0.5)
    found["activation: gelu approximate"] = lambda k: k.activations.gelu(LINE, approximate=True)
    for name, make in _CONSTRAINTS.items():
        found[f"constraint: {name}"] = lambda k, m=make: m(k)(MATRIX)
    for name, make in _REGULARIZERS.items():
        found[f"regularizer: {name}"] = lambda k, m=make: m(k)(MATRIX)
    for name, make in _SCHEDULES.items():
        found[f"schedule: {name}"] = lambda k, m=make: [
            float(m(k.optimizers.schedules)(step)) for step in (0, 1, 3, 7, 10, 15, 40)
        ]
    for name, make in _OPTIMIZERS.items():
        found[f"optimizer: {name}"] = _optimizer_case(make)
    for name, make in _LAYERS.items():
        found[f"layer: {name}"] = _layer_case(make)
    for name, make in _TRAINED.items():
        found[f"training: {name}"] = _training_case(make, "channels_last")
    for name in ("sgd momentum", "adam", "rmsprop"):
        found[f"training channels_first: {name}"] = _training_case(_TRAINED[name], "channels_first")
    return found
