"""Activation functions on arrays (https://keras.io/api/layers/activations/).

Layers run the named ones inside the convolution and dense kernels; called directly, these
functions are plain NumPy and may be used in layers and losses of your own.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _objects
from fastconv._autodiff import Tensor, as_float

__all__ = [
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
]

Array = NDArray[Any]

_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def linear(x: Any) -> Any:
    """Return ``x`` itself.

    Examples
    --------
    >>> linear(3.0)
    3.0
    """
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """Return ``max(x, 0)``, or with arguments the general form.

    Parameters
    ----------
    x : array_like
    negative_slope : float
        Slope below the threshold.
    max_value : float, optional
        Upper bound.
    threshold : float
        Values below it are damped.

    Examples
    --------
    >>> relu([-1.0, 2.0])
    array([0., 2.], dtype=float32)
    """
    x = as_float(x)
    if threshold != 0:
        y = np.where(x > threshold, x, negative_slope * (x - threshold))
    elif negative_slope != 0:
        y = np.where(x > 0, x, negative_slope * x)
    else:
        y = np.maximum(x, 0)
    if max_value is not None:
        y = np.minimum(y, max_value)
    return _keep_type(y, x)


def _keep_type(y: Any, x: Any) -> Any:
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def relu6(x: Any) -> Any:
    """Return ``min(max(x, 0), 6)``.

    Examples
    --------
    >>> relu6([-1.0, 9.0])
    array([0., 6.], dtype=float32)
    """
    return np.minimum(np.maximum(as_float(x), 0), 6)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """Return ``x`` where positive and ``negative_slope * x`` elsewhere.

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    array([-0.2,  2. ], dtype=float32)
    """
    x = as_float(x)
    return _keep_type(np.where(x > 0, x, negative_slope * x), x)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> sigmoid([0.0])
    array([0.5], dtype=float32)
    """
    x = as_float(x)
    return _keep_type(0.5 * (np.tanh(0.5 * x) + 1), x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent.

    Examples
    --------
    >>> tanh([0.0])
    array([0.], dtype=float32)
    """
    return np.tanh(as_float(x))


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x)`` divided by its sum along ``axis``.

    Examples
    --------
    >>> softmax([[0.0, 0.0]])
    array([[0.5, 0.5]], dtype=float32)
    """
    x = as_float(x)
    shifted = x - np.max(x.value if isinstance(x, Tensor) else x, axis=axis, keepdims=True)
    e = np.exp(shifted)
    return e / np.sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return the logarithm of :func:`softmax`, without overflow.

    Examples
    --------
    >>> log_softmax([[0.0, 0.0]]).round(4)
    array([[-0.6931, -0.6931]], dtype=float32)
    """
    x = as_float(x)
    shifted = x - np.max(x.value if isinstance(x, Tensor) else x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return ``x`` where positive and ``alpha * (exp(x) - 1)`` elsewhere.

    Examples
    --------
    >>> elu([0.0, 2.0])
    array([0., 2.], dtype=float32)
    """
    x = as_float(x)
    return _keep_type(np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), x)


def selu(x: Any) -> Any:
    """Return the self-normalizing unit of Klambauer et al., NeurIPS 2017.

    Examples
    --------
    >>> selu([1.0]).round(4)
    array([1.0507], dtype=float32)
    """
    x = as_float(x)
    return _keep_type(_SELU_SCALE * elu(x, _SELU_ALPHA), x)


def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))``.

    Examples
    --------
    >>> softplus([0.0]).round(4)
    array([0.6931], dtype=float32)
    """
    x = as_float(x)
    return np.logaddexp(x, np.zeros_like(x))


def softsign(x: Any) -> Any:
    """Return ``x / (1 + abs(x))``.

    Examples
    --------
    >>> softsign([1.0])
    array([0.5], dtype=float32)
    """
    x = as_float(x)
    return x / (1 + np.abs(x))


def exponential(x: Any) -> Any:
    """Return ``exp(x)``.

    Examples
    --------
    >>> exponential([0.0])
    array([1.], dtype=float32)
    """
    return np.exp(as_float(x))


def hard_sigmoid(x: Any) -> Any:
    """Return ``min(max(x / 6 + 0.5, 0), 1)``.

    Examples
    --------
    >>> hard_sigmoid([-9.0, 0.0])
    array([0. , 0.5], dtype=float32)
    """
    x = as_float(x)
    return _keep_type(np.minimum(np.maximum(x / 6 + 0.5, 0), 1), x)


def silu(x: Any) -> Any:
    """Return ``x * sigmoid(x)``, also called swish.

    Examples
    --------
    >>> silu([0.0])
    array([0.], dtype=float32)
    """
    x = as_float(x)
    return x * sigmoid(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return ``x`` times the normal distribution function at ``x``.

    Parameters
    ----------
    x : array_like
    approximate : bool
        Use the tanh approximation of Hendrycks and Gimpel, 2016.

    Examples
    --------
    >>> gelu([1.0]).round(4)
    array([0.8413], dtype=float32)
    """
    x = as_float(x)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * np.power(x, 3))
        return _keep_type(0.5 * x * (1 + np.tanh(inner)), x)
    if isinstance(x, Tensor):
        value, dtype = x.value, x.dtype
        phi = _normal_cdf(value)

        def pull(dy: Array) -> Array:
            density = np.exp(-0.5 * np.square(value)) / math.sqrt(2 * math.pi)
            return np.asarray(dy * (phi + value * density), dtype)

        return Tensor(np.asarray(value * phi, dtype), [(x, pull)])
    return _keep_type(x * _normal_cdf(x), x)


def _normal_cdf(x: Array) -> Array:
    erf = np.frompyfunc(math.erf, 1, 1)
    z = np.asarray(x, np.float64) / math.sqrt(2)
    return np.asarray(0.5 * (1 + np.asarray(erf(z), np.float64)))


swish = silu

_NAMES: dict[str, Any] = {
    "linear": linear,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "softsign": softsign,
    "exponential": exponential,
    "hard_sigmoid": hard_sigmoid,
    "silu": silu,
    "swish": silu,
    "gelu": gelu,
}


def get(identifier: Any) -> Any:
    """Return the activation function for a name, a dictionary, a function or None (linear).

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> get("relu") is relu, get(None) is linear
    (True, True)
    """
    if identifier is None:
        return linear
    return _objects.get(identifier, "keras.activations", _NAMES)


def serialize(activation: Any) -> Any:
    """Return ``activation`` as a name or a dictionary."""
    return _objects.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the activation that :func:`serialize` wrote down."""
    if config is None:
        return linear
    return _objects.deserialize(config, "keras.activations", custom_objects, _NAMES)
