"""Array functions for layers, losses and metrics of your own, under Keras's names.

They are NumPy's functions and may be mixed with them; applied to the predictions in a loss, or to
the input and the weights in ``Layer.call``, they are differentiated (https://keras.io/api/ops/).
"""

from typing import Any

import numpy as np
from numpy import (
    abs,
    absolute,
    add,
    all,
    any,
    arange,
    arctan,
    argmax,
    argmin,
    argsort,
    broadcast_to,
    ceil,
    clip,
    concatenate,
    cos,
    cumsum,
    divide,
    dot,
    equal,
    exp,
    expand_dims,
    expm1,
    eye,
    floor,
    full,
    full_like,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    linspace,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    moveaxis,
    multiply,
    negative,
    not_equal,
    ones,
    ones_like,
    pad,
    power,
    prod,
    ravel,
    reciprocal,
    repeat,
    reshape,
    round,
    sign,
    sin,
    sinh,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    subtract,
    sum,
    swapaxes,
    take,
    tile,
    transpose,
    true_divide,
    var,
    where,
    zeros,
    zeros_like,
)
from numpy.typing import ArrayLike, NDArray

from fastconv._autodiff import Tensor, plain
from fastconv.activations import (
    elu,
    gelu,
    hard_sigmoid,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from fastconv.losses import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)

__all__ = [
    "abs",
    "absolute",
    "add",
    "all",
    "any",
    "arange",
    "arctan",
    "argmax",
    "argmin",
    "argsort",
    "array",
    "binary_crossentropy",
    "broadcast_to",
    "cast",
    "categorical_crossentropy",
    "ceil",
    "clip",
    "concatenate",
    "convert_to_numpy",
    "convert_to_tensor",
    "cos",
    "cumsum",
    "divide",
    "divide_no_nan",
    "dot",
    "elu",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "floor",
    "full",
    "full_like",
    "gelu",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "isfinite",
    "isinf",
    "isnan",
    "leaky_relu",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "ndim",
    "negative",
    "norm",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "pad",
    "power",
    "prod",
    "ravel",
    "reciprocal",
    "relu",
    "relu6",
    "repeat",
    "reshape",
    "round",
    "rsqrt",
    "selu",
    "shape",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "size",
    "softmax",
    "softplus",
    "softsign",
    "sort",
    "sparse_categorical_crossentropy",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "tanh",
    "tile",
    "transpose",
    "true_divide",
    "var",
    "where",
    "zeros",
    "zeros_like",
]


def cast(x: Any, dtype: Any) -> Any:
    """Return ``x`` as another element type.

    Examples
    --------
    >>> cast([1, 2], "float32")
    array([1., 2.], dtype=float32)
    """
    return x.astype(dtype) if isinstance(x, Tensor) else np.asarray(x).astype(dtype)


def convert_to_tensor(x: Any, dtype: Any = None) -> Any:
    """Return ``x`` as an array, or as the tensor it is while a gradient is recorded.

    Examples
    --------
    >>> convert_to_tensor([1.0], dtype="float32")
    array([1.], dtype=float32)
    """
    if isinstance(x, Tensor):
        return x if dtype is None else x.astype(dtype)
    return np.asarray(x, dtype)


array = convert_to_tensor


def convert_to_numpy(x: Any) -> NDArray[Any]:
    """Return ``x`` as a plain array; no gradient flows back through it.

    Examples
    --------
    >>> convert_to_numpy([1.0])
    array([1.])
    """
    return np.asarray(plain(x))


stop_gradient = convert_to_numpy


def shape(x: Any) -> tuple[int, ...]:
    """Return the sizes of the axes.

    Examples
    --------
    >>> shape([[1, 2]])
    (1, 2)
    """
    return tuple(np.shape(plain(x)))


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return the number of elements."""
    return int(np.size(plain(x)))


def rsqrt(x: Any) -> Any:
    """Return ``1 / sqrt(x)``."""
    return np.reciprocal(np.sqrt(x))


def divide_no_nan(x1: Any, x2: Any) -> Any:
    """Return ``x1 / x2``, and 0 where ``x2`` is 0.

    Examples
    --------
    >>> divide_no_nan(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    zero = plain(x2) == 0
    return np.where(zero, 0, x1 / np.where(zero, 1, x2))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return ``log(sum(exp(x)))`` along ``axis``, without overflow.

    Examples
    --------
    >>> float(logsumexp(np.array([1000.0, 1000.0])).round(4))
    1000.6931
    """
    top = np.max(plain(x), axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=keepdims))
    return total + (top if keepdims else np.squeeze(top, axis=axis))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the Euclidean norm, or with ``ord=1`` the sum of absolute values, along ``axis``.

    Raises
    ------
    ValueError
        For other orders.
    """
    if ord in (None, 2, "euclidean"):
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    raise ValueError(f"`ord` must be None, 1 or 2. Received: ord={ord!r}")


def one_hot(x: ArrayLike, num_classes: int, axis: int = -1, dtype: Any = None) -> NDArray[Any]:
    """Return labels as rows with a single one; labels out of range give zeros.

    Examples
    --------
    >>> one_hot([1], 3)
    array([[0., 1., 0.]], dtype=float32)
    """
    from fastconv import config

    labels = np.asarray(plain(x)).astype(np.int64)
    rows = labels[..., None] == np.arange(num_classes)
    return np.moveaxis(rows.astype(dtype or config.floatx()), -1, axis)
