"""The names and arguments of Keras that fastconv promises, and which cases use them.

A line is a name below the package and the arguments that must have been passed to it in a case; a
name of ``Sequential`` is a method or property. :func:`rows` runs all cases with a package that
notes what is used.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import keras_golden

NAMES = """
layers.Conv2D: filters kernel_size strides padding data_format dilation_rate groups activation
    use_bias kernel_initializer kernel_regularizer
layers.Convolution2D:
layers.DepthwiseConv2D: kernel_size strides padding depth_multiplier
layers.SeparableConv2D: filters kernel_size depth_multiplier
layers.MaxPooling2D: pool_size strides padding data_format
layers.MaxPool2D:
layers.AveragePooling2D: pool_size strides padding data_format
layers.AvgPool2D: pool_size strides padding
layers.GlobalAveragePooling2D: data_format keepdims
layers.GlobalMaxPooling2D: data_format keepdims
layers.Flatten: data_format
layers.Dense: units activation kernel_regularizer kernel_constraint bias_regularizer
    activity_regularizer kernel_initializer input_dim
layers.Dropout: rate noise_shape seed
layers.Activation: activation
layers.BatchNormalization: axis momentum epsilon center scale
layers.ZeroPadding2D: padding data_format
layers.ReLU: max_value negative_slope threshold
layers.Softmax: axis
layers.Reshape: target_shape
layers.Rescaling: scale offset
layers.InputLayer: shape batch_size dtype batch_shape name
layers.Input: shape
Input: shape batch_size dtype name
activations.linear:
activations.relu: negative_slope max_value threshold
activations.sigmoid:
activations.softmax:
activations.tanh:
activations.elu:
activations.selu:
activations.softplus:
activations.softsign:
activations.leaky_relu:
activations.gelu: approximate
activations.silu:
activations.exponential:
activations.hard_sigmoid:
config.set_image_data_format:
config.image_data_format:
config.floatx:
config.epsilon:
utils.set_random_seed:
Sequential: layers trainable name
Sequential.add:
Sequential.pop:
Sequential.build: input_shape
Sequential.get_layer: name index
Sequential.layers:
Sequential.weights:
Sequential.trainable_weights:
Sequential.get_weights:
Sequential.set_weights:
Sequential.count_params:
Sequential.summary: line_length print_fn show_trainable
Sequential.to_json:
Sequential.get_config:
Sequential.from_config:
Sequential.train_on_batch: sample_weight class_weight return_dict
Sequential.test_on_batch: sample_weight
Sequential.predict_on_batch:
Sequential.__call__: training
Sequential.compile: optimizer loss metrics weighted_metrics
Sequential.fit: x y batch_size epochs verbose callbacks validation_split validation_data shuffle
    class_weight sample_weight initial_epoch steps_per_epoch validation_steps validation_batch_size
    validation_freq
Sequential.evaluate: x y batch_size verbose sample_weight steps return_dict callbacks
Sequential.predict: x batch_size verbose steps callbacks
Sequential.save: filepath overwrite
Sequential.save_weights: filepath overwrite
Sequential.load_weights: filepath skip_mismatch
models.Sequential:
models.load_model: filepath custom_objects compile
callbacks.Callback:
callbacks.EarlyStopping: monitor min_delta patience verbose mode baseline restore_best_weights
    start_from_epoch
callbacks.ModelCheckpoint: filepath monitor verbose save_best_only save_weights_only mode save_freq
    initial_value_threshold
callbacks.BackupAndRestore: backup_dir
callbacks.ReduceLROnPlateau: monitor factor patience verbose mode min_delta cooldown min_lr
callbacks.LearningRateScheduler: schedule verbose
callbacks.CSVLogger: filename separator append
callbacks.TensorBoard: log_dir update_freq
callbacks.TerminateOnNaN:
callbacks.LambdaCallback:
callbacks.ProgbarLogger:
optimizers.SGD: learning_rate momentum nesterov weight_decay clipnorm clipvalue global_clipnorm
    use_ema ema_momentum
optimizers.RMSprop: learning_rate momentum centered
optimizers.Adam: learning_rate amsgrad clipnorm weight_decay use_ema
optimizers.AdamW: learning_rate weight_decay
optimizers.Adagrad: learning_rate
optimizers.Nadam: learning_rate
optimizers.Adamax: learning_rate
optimizers.schedules.ExponentialDecay:
optimizers.schedules.CosineDecay:
optimizers.schedules.PiecewiseConstantDecay:
optimizers.schedules.PolynomialDecay:
optimizers.schedules.InverseTimeDecay:
losses.CategoricalCrossentropy: from_logits label_smoothing
losses.SparseCategoricalCrossentropy: from_logits ignore_class
losses.BinaryCrossentropy: from_logits
losses.MeanSquaredError: reduction
losses.MeanAbsoluteError:
losses.Huber: delta
losses.MeanAbsolutePercentageError:
losses.KLDivergence:
metrics.Accuracy:
metrics.BinaryAccuracy: threshold
metrics.CategoricalAccuracy:
metrics.SparseCategoricalAccuracy:
metrics.TopKCategoricalAccuracy: k
metrics.SparseTopKCategoricalAccuracy: k
metrics.Precision:
metrics.Recall:
metrics.AUC: num_thresholds
metrics.F1Score:
metrics.R2Score:
metrics.MeanAbsoluteError:
metrics.MeanSquaredError:
metrics.RootMeanSquaredError:
metrics.Mean:
initializers.GlorotUniform:
initializers.GlorotNormal:
initializers.HeNormal:
initializers.HeUniform:
initializers.LecunNormal:
initializers.LecunUniform:
initializers.RandomNormal: stddev
initializers.RandomUniform:
initializers.TruncatedNormal:
initializers.VarianceScaling: scale mode distribution
initializers.Orthogonal: gain
initializers.Zeros:
initializers.Ones:
initializers.Constant:
regularizers.L1:
regularizers.L2:
regularizers.L1L2:
constraints.MaxNorm:
constraints.NonNeg:
constraints.UnitNorm:
constraints.MinMaxNorm:
"""

#: Promises that are no names, and the case of each.
BEHAVIOURS = {
    "'same': sizes and padding": "layer: sizes of same",
    "average pooling leaves padding out": "layer: average of same",
    "uint8 is cast to floatx": "layer: bytes",
    "`input_shape` on the first layer": "training shape classifier: adam",
    "moving averages take the biased variance": "layer: moving averages",
    "loss of a certain and wrong prediction": "loss: cce certain and wrong",
    "plain functions as loss and metric": "loss and metric: functions",
    "accuracy resolved by loss and shape": "fit: one-hot",
    "History: history, epoch, params": "model: history",
    "what `verbose=2` prints": "model: lines",
    "hooks of callbacks, in order": "callback: events",
    "keras.json": "configuration: keras.json",
    "channels_first trains alike": "training strided channels_first: adam",
    "`.keras`": "file: .keras",
    "`.h5`": "file: .h5",
    "`.weights.h5`": "file: .weights.h5",
}


def promised() -> dict[str, set[str]]:
    """Return the names with the arguments that cases must have passed."""
    found: dict[str, set[str]] = {}
    for line in NAMES.replace("\n    ", " ").strip().splitlines():
        name, _, arguments = line.partition(":")
        found[name] = set(arguments.split())
    return found


@dataclass
class Row:
    """What is known of a name."""

    name: str
    present: bool
    cases: list[str] = field(default_factory=list)
    arguments: set[str] = field(default_factory=set)


class _Used:
    """A class or function that notes how it is called; it can be a base class too."""

    def __init__(self, target: Any, path: str, notes: "Notes") -> None:
        self._target, self._path, self._notes = target, path, notes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._notes.add(self._path, self._target, args, kwargs)
        return self._target(*args, **kwargs)

    def __mro_entries__(self, bases: Any) -> tuple[Any]:
        self._notes.add(self._path, None, (), {})
        return (self._target,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class _Package:
    """A module that notes which of its names are used."""

    def __init__(self, module: ModuleType, prefix: str, notes: "Notes") -> None:
        self._module, self._prefix, self._notes = module, prefix, notes

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if isinstance(value, ModuleType):
            return _Package(value, f"{self._prefix}{name}.", self._notes)
        return _Used(value, f"{self._prefix}{name}", self._notes) if callable(value) else value


class Notes:
    """Which cases have used a name, with which arguments."""

    def __init__(self, package: ModuleType) -> None:
        self._case = ""
        self._package = package.__name__
        self.rows = {name: Row(name, _has(package, name)) for name in promised()}

    def add(self, path: str, target: Any, args: Any, kwargs: Any) -> None:
        """Note a use."""
        row = self.rows.get(path)
        if row is None:
            return
        if self._case not in row.cases:
            row.cases.append(self._case)
        if target is not None:
            bound = inspect.signature(target).bind_partial(*args, **kwargs).arguments
            row.arguments |= {*bound, *bound.get("kwargs", {})}

    @contextmanager
    def case(self, name: str, model: type) -> Iterator[None]:
        """Note the uses of a case, also of the methods and properties of ``model``."""
        self._case = name
        saved = {}
        for path in self.rows:
            owner, _, attribute = path.partition(".")
            if owner == "Sequential" and attribute:
                saved[attribute] = model.__dict__.get(attribute)
                setattr(
                    model, attribute, self._noting(path, inspect.getattr_static(model, attribute))
                )
        try:
            yield
        finally:
            for attribute, original in saved.items():
                if original is None:
                    delattr(model, attribute)
                else:
                    setattr(model, attribute, original)

    def _called_by_case(self) -> bool:
        """Return whether the caller's caller is a case, not the package itself."""
        caller = sys._getframe(2).f_globals["__name__"]
        return caller.partition(".")[0] != self._package

    def _noting(self, path: str, original: Any) -> Any:
        if isinstance(original, property):

            def read(owner: Any) -> Any:
                if self._called_by_case():
                    self.add(path, None, (), {})
                return original.fget(owner)

            return property(read, original.fset)
        function = original.__func__ if isinstance(original, classmethod) else original

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._called_by_case():
                self.add(path, function, args, kwargs)
            return function(*args, **kwargs)

        return classmethod(call) if isinstance(original, classmethod) else call


def _has(package: ModuleType, name: str) -> bool:
    target: Any = package
    for part in name.split("."):
        target = getattr(target, part, None)
    return target is not None


def rows(package: ModuleType) -> list[Row]:
    """Return a row for each promised name, after all cases have run."""
    notes = Notes(package)
    noting: Any = _Package(package, "", notes)
    values = json.loads(keras_golden.VALUES.read_text())
    for name, case in keras_golden.cases().items():
        if name in values:
            with notes.case(name, package.Sequential):
                case(noting)
    return list(notes.rows.values())


def table(found: list[Row]) -> str:
    """Return the rows as lines: name, whether it is present, the cases that give its values."""
    lines = []
    for row in found:
        cases = ", ".join(row.cases[:3]) + (
            f" and {len(row.cases) - 3} more" if row.cases[3:] else ""
        )
        lines.append(
            f"{row.name:40} {'present' if row.present else 'ABSENT':8} {cases or 'UNTESTED'}"
        )
    lines += [f"{name:40} {'present':8} {case}" for name, case in BEHAVIOURS.items()]
    return "\n".join(lines)
