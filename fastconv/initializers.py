"""Initial weights (https://keras.io/api/layers/initializers/).

Every initializer is called with a shape and returns an array. An initializer object gives the same
values on every call: two layers that must differ need two objects.

References
----------
Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
AISTATS 2010; He et al., "Delving deep into rectifiers", ICCV 2015; LeCun et al., "Efficient
BackProp", 1998; Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
neural networks", ICLR 2014.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import _objects, config
from fastconv.utils import make_seed

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

Shape = Sequence[int]
Array = NDArray[Any]

#: Standard deviation of a unit normal that is cut off at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(_objects.Serializable):
    """Base of all initializers.

    Subclasses implement ``__call__(shape, dtype=None)`` and, to be saved, ``get_config``.

    Examples
    --------
    >>> class Half(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 0.5, dtype)
    >>> Half()((2,), "float32")
    array([0.5, 0.5], dtype=float32)
    """

    keras_module = "keras.initializers"

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        """Return an array of ``shape``; ``dtype`` defaults to floatx."""
        raise TypeError(f"{type(self).__name__} must implement `__call__(shape, dtype=None)`.")

    def clone(self) -> "Initializer":
        """Return a new object of the same configuration."""
        copy: Initializer = type(self).from_config(self.get_config())
        return copy


def _dtype(dtype: str | None) -> str:
    return dtype if dtype is not None else config.floatx()


class Zeros(Initializer):
    """All zeros.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.zeros(shape, _dtype(dtype))


class Ones(Initializer):
    """All ones.

    Examples
    --------
    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.ones(shape, _dtype(dtype))


class Constant(Initializer):
    """One value everywhere, or an array that broadcasts to the shape.

    Parameters
    ----------
    value : float or array_like

    Examples
    --------
    >>> Constant(3.0)((2,))
    array([3., 3.], dtype=float32)
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        return np.array(np.broadcast_to(np.asarray(self.value, _dtype(dtype)), tuple(shape)))

    def get_config(self) -> dict[str, Any]:
        return {"value": _objects.serialize(self.value)}


class Identity(Initializer):
    """``gain`` times the identity matrix; the shape must have two axes.

    Examples
    --------
    >>> Identity(2.0)((2, 2))
    array([[2., 0.],
           [0., 2.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        if len(shape) != 2:
            raise ValueError(
                "Identity matrix initializer can only be used for 2D matrices. "
                f"Received: shape={tuple(shape)} of rank {len(shape)}."
            )
        return np.asarray(self.gain * np.eye(shape[0], shape[1]), _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class _Random(Initializer):
    """An initializer with a seed; without one, a seed is drawn when the object is made."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}")
        self.seed = seed
        self._drawn = int(seed) if seed is not None else make_seed()

    def _generator(self) -> "np.random.Generator":
        return np.random.default_rng(abs(self._drawn))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


def _truncated(rng: "np.random.Generator", shape: Shape) -> Array:
    """Return unit normals of absolute value at most 2, drawn again until they are."""
    values = np.asarray(rng.standard_normal(tuple(shape)))
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values


class RandomNormal(_Random):
    """Normally distributed.

    Parameters
    ----------
    mean, stddev : float
    seed : int, optional

    Examples
    --------
    >>> RandomNormal(stddev=0.1, seed=0)((3, 4)).shape
    (3, 4)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        values = self._generator().standard_normal(tuple(shape))
        return np.asarray(self.mean + self.stddev * values, _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomNormal):
    """Normally distributed; values beyond two standard deviations are drawn again.

    Examples
    --------
    >>> bool((abs(TruncatedNormal(stddev=1.0, seed=0)((1000,))) <= 2).all())
    True
    """

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        values = _truncated(self._generator(), shape)
        return np.asarray(self.mean + self.stddev * values, _dtype(dtype))


class RandomUniform(_Random):
    """Uniformly distributed from ``minval`` up to ``maxval``.

    Examples
    --------
    >>> bool((abs(RandomUniform(seed=0)((1000,))) <= 0.05).all())
    True
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        values = self._generator().uniform(self.minval, self.maxval, tuple(shape))
        return np.asarray(values, _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out): inputs and outputs of a unit, times the receptive field.

    Examples
    --------
    >>> compute_fans((5, 5, 3, 8))
    (75, 200)
    """
    if len(shape) < 1:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


class VarianceScaling(_Random):
    """Variance ``scale / fan``, whatever the layer's size.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {'fan_in', 'fan_out', 'fan_avg'}
    distribution : {'truncated_normal', 'untruncated_normal', 'uniform'}
    seed : int, optional

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> VarianceScaling(seed=0)((3, 3, 16, 32)).shape
    (3, 3, 16, 32)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: None = None,
        output_axes: None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0.0:
            raise ValueError(f"Argument `scale` must be positive float. Received: scale={scale}")
        modes = ("fan_in", "fan_out", "fan_avg")
        if mode not in modes:
            raise ValueError(f"Argument `mode` must be one of {modes}. Received: mode={mode!r}")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        distributions = ("uniform", "truncated_normal", "untruncated_normal")
        if distribution not in distributions:
            raise ValueError(
                f"Argument `distribution` must be one of {distributions}. "
                f"Received: distribution={distribution!r}"
            )
        if input_axes is not None or output_axes is not None:
            raise ValueError(
                "`input_axes` and `output_axes` must be None. "
                f"Received: input_axes={input_axes!r}, output_axes={output_axes!r}"
            )
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        rng = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            values = rng.uniform(-limit, limit, tuple(shape))
        elif self.distribution == "truncated_normal":
            values = math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated(rng, shape)
        else:
            values = math.sqrt(variance) * rng.standard_normal(tuple(shape))
        return np.asarray(values, _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "seed": self.seed,
            "input_axes": None,
            "output_axes": None,
        }


class _Scaling(VarianceScaling):
    """A named setting of :class:`VarianceScaling`."""

    setting: tuple[float, str, str] = (1.0, "fan_in", "truncated_normal")

    def __init__(
        self, seed: int | None = None, input_axes: None = None, output_axes: None = None
    ) -> None:
        super().__init__(*self.setting, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "input_axes": None, "output_axes": None}


class GlorotUniform(_Scaling):
    """Uniform within ``sqrt(6 / (fan_in + fan_out))``, Keras's default for kernels.

    Examples
    --------
    >>> bool((abs(GlorotUniform(seed=0)((30, 24))) <= (6 / 54) ** 0.5).all())
    True
    """

    setting = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaling):
    """Truncated normal of variance ``2 / (fan_in + fan_out)``.

    Examples
    --------
    >>> GlorotNormal(seed=0)((2, 3)).shape
    (2, 3)
    """

    setting = (1.0, "fan_avg", "truncated_normal")


class HeNormal(_Scaling):
    """Truncated normal of variance ``2 / fan_in``.

    Examples
    --------
    >>> HeNormal(seed=0)((2, 3)).shape
    (2, 3)
    """

    setting = (2.0, "fan_in", "truncated_normal")


class HeUniform(_Scaling):
    """Uniform within ``sqrt(6 / fan_in)``.

    Examples
    --------
    >>> HeUniform(seed=0)((2, 3)).shape
    (2, 3)
    """

    setting = (2.0, "fan_in", "uniform")


class LecunNormal(_Scaling):
    """Truncated normal of variance ``1 / fan_in``.

    Examples
    --------
    >>> LecunNormal(seed=0)((2, 3)).shape
    (2, 3)
    """

    setting = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaling):
    """Uniform within ``sqrt(3 / fan_in)``.

    Examples
    --------
    >>> LecunUniform(seed=0)((2, 3)).shape
    (2, 3)
    """

    setting = (1.0, "fan_in", "uniform")


class Orthogonal(_Random):
    """A matrix with orthonormal rows or columns, times ``gain``.

    The last axis counts the columns; all others are rows.

    Raises
    ------
    ValueError
        If the shape has fewer than two axes.

    Examples
    --------
    >>> w = Orthogonal(seed=0)((4, 4), "float64")
    >>> bool(abs(w @ w.T - np.eye(4)).max() < 1e-12)
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str | None = None) -> Array:
        if len(shape) < 2:
            raise ValueError(
                "The tensor to initialize must be at least two-dimensional. "
                f"Received: shape={tuple(shape)} of rank {len(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        values = self._generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(values)
        q = q * np.sign(np.diag(r))
        if rows < columns:
            q = q.T
        return np.asarray(self.gain * q.reshape(tuple(shape)), _dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, "seed": self.seed}


zeros = Zeros
ones = Ones
constant = Constant
identity = Identity
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
orthogonal = Orthogonal

_NAMES: dict[str, Any] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "identity": Identity,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "orthogonal": Orthogonal,
    # The spellings of Keras 1 and 2, which older programs and files hold.
    "zero": Zeros,
    "one": Ones,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}

Identifier = str | dict[str, Any] | Initializer | Callable[..., Any] | None


def get(identifier: Identifier) -> Any:
    """Return the initializer for a name, a dictionary, a class, a function or an object.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    return _objects.get(identifier, "keras.initializers", _NAMES)


def serialize(initializer: Any) -> Any:
    """Return ``initializer`` as a dictionary."""
    return _objects.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that :func:`serialize` wrote down."""
    return _objects.deserialize(config, "keras.initializers", custom_objects, _NAMES)
