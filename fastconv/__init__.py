"""fastconv: convolutional networks on CPUs.

The array API (:func:`conv2d`, :func:`max_pool2d`, ...) and the runtime controls are functions of
this package. The Keras-shaped API lies in the modules ``layers``, ``models``, ``optimizers`` and so
on, which are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import_module("fastconv._kernels")
except ModuleNotFoundError as error:
    raise ImportError(
        f"fastconv is imported from its sources in {__path__[0]}, where the extension is not "
        "built: start Python in another folder, or build it here with: pip install -e ."
    ) from error

from fastconv.functional import (
    activate,
    activate_backward,
    avg_pool2d,
    avg_pool2d_backward,
    conv2d,
    conv2d_backward,
    dense,
    dense_backward,
    depthwise_conv2d,
    depthwise_conv2d_backward,
    max_pool2d,
    max_pool2d_backward,
    pack_conv2d,
    pack_dense,
    softmax,
    softmax_backward,
    softmax_crossentropy,
)
from fastconv.runtime import get_num_threads, set_num_threads, threads

if TYPE_CHECKING:
    from fastconv import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        functional,
        initializers,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        plotting,
        reference,
        regularizers,
        runtime,
        saving,
        utils,
    )
    from fastconv._variable import Variable
    from fastconv.initializers import Initializer
    from fastconv.layers import Input, Layer
    from fastconv.losses import Loss
    from fastconv.metrics import Metric
    from fastconv.models import Sequential
    from fastconv.optimizers import Optimizer
    from fastconv.regularizers import Regularizer

__version__ = "0.1.0"

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Variable",
    "activate",
    "activate_backward",
    "activations",
    "avg_pool2d",
    "avg_pool2d_backward",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "conv2d",
    "conv2d_backward",
    "datasets",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "functional",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "max_pool2d",
    "max_pool2d_backward",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "pack_conv2d",
    "pack_dense",
    "plotting",
    "reference",
    "regularizers",
    "runtime",
    "saving",
    "set_num_threads",
    "softmax",
    "softmax_backward",
    "softmax_crossentropy",
    "threads",
    "utils",
]

_MODULES = frozenset(
    {
        "activations",
        "backend",
        "callbacks",
        "config",
        "constraints",
        "datasets",
        "functional",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "plotting",
        "reference",
        "regularizers",
        "runtime",
        "saving",
        "utils",
    }
)

_HOMES = {
    "Initializer": "initializers",
    "Input": "layers",
    "Layer": "layers",
    "Loss": "losses",
    "Metric": "metrics",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "Variable": "_variable",
}


def __getattr__(name: str) -> Any:

    if name in _MODULES:
        return import_module(f"fastconv.{name}")
    if name in _HOMES:
        value = getattr(import_module(f"fastconv.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastconv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
