"""The public names that Keras has too, and its signatures of them.

``KERAS_BACKEND=jax python tests/keras_golden.py`` writes ``keras_signatures.json`` anew.
"""

import inspect
import json
from pathlib import Path
from typing import Any

SIGNATURES = Path(__file__).with_name("keras_signatures.json")

#: The names whose signatures must be those of Keras.
PUBLIC = {
    "layers": (
        "Layer Conv2D DepthwiseConv2D SeparableConv2D MaxPooling2D AveragePooling2D "
        "GlobalAveragePooling2D GlobalMaxPooling2D Flatten Dense Dropout Activation "
        "BatchNormalization ZeroPadding2D ReLU LeakyReLU Softmax Reshape Rescaling InputLayer Input"
    ),
    "models": "Sequential load_model clone_model model_from_json",
    "models.Sequential": (
        "add pop build compile fit evaluate predict train_on_batch test_on_batch predict_on_batch "
        "summary save save_weights load_weights get_layer count_params to_json get_config"
    ),
    "optimizers": "Optimizer SGD RMSprop Adam AdamW Adagrad Nadam Adamax",
    "optimizers.schedules": (
        "ExponentialDecay CosineDecay CosineDecayRestarts PiecewiseConstantDecay PolynomialDecay "
        "InverseTimeDecay"
    ),
    "losses": (
        "CategoricalCrossentropy SparseCategoricalCrossentropy BinaryCrossentropy MeanSquaredError "
        "MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError Huber "
        "KLDivergence categorical_crossentropy sparse_categorical_crossentropy binary_crossentropy "
        "mean_squared_error mean_absolute_error mean_absolute_percentage_error huber kl_divergence"
    ),
    "metrics": (
        "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy "
        "TopKCategoricalAccuracy SparseTopKCategoricalAccuracy Precision Recall AUC F1Score "
        "R2Score MeanAbsoluteError MeanSquaredError RootMeanSquaredError Mean Sum "
        "BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy"
    ),
    "callbacks": (
        "EarlyStopping ModelCheckpoint BackupAndRestore ReduceLROnPlateau LearningRateScheduler "
        "CSVLogger TensorBoard TerminateOnNaN LambdaCallback ProgbarLogger History"
    ),
    "initializers": (
        "GlorotUniform GlorotNormal HeNormal HeUniform LecunNormal LecunUniform RandomNormal "
        "RandomUniform TruncatedNormal VarianceScaling Orthogonal Identity Constant"
    ),
    "regularizers": "L1 L2 L1L2",
    "constraints": "MaxNorm UnitNorm MinMaxNorm",
    "activations": (
        "relu leaky_relu sigmoid softmax tanh elu selu softplus softsign gelu silu exponential "
        "hard_sigmoid linear"
    ),
    "utils": "set_random_seed to_categorical normalize",
}


def signatures(package: Any) -> dict[str, dict[str, str]]:
    """Return the arguments of all public names with their defaults, '' for none."""
    found = {}
    for module, names in PUBLIC.items():
        for name in names.split():
            target = package
            for part in (*module.split("."), name):
                target = getattr(target, part)
            found[f"{module}.{name}"] = {
                p.name: "" if p.default is p.empty else repr(p.default)
                for p in inspect.signature(target).parameters.values()
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name != "self"
            }
    return found


def write(package: Any) -> None:
    """Write the signatures of ``package``."""
    lines = [f"{json.dumps(n)}: {json.dumps(a)}" for n, a in signatures(package).items()]
    SIGNATURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
