"""Random weights whose spread suits the size of the layer.

References
----------
Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
AISTATS 2010; He et al., "Delving deep into rectifiers", ICCV 2015; LeCun et al., "Efficient
BackProp", 1998.
"""

import math
from typing import Any

import numpy as np

from fastconv.initializers.initializer import Array, Shape, dtype_or_default
from fastconv.initializers.random import RandomInitializer, truncated

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
    "compute_fans",
]

#: Standard deviation of a unit normal that is cut off at two standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


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


class VarianceScaling(RandomInitializer):
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
        rng = self.generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            values = rng.uniform(-limit, limit, tuple(shape))
        elif self.distribution == "truncated_normal":
            values = math.sqrt(variance) / _TRUNCATED_STDDEV * truncated(rng, shape)
        else:
            values = math.sqrt(variance) * rng.standard_normal(tuple(shape))
        return np.asarray(values, dtype_or_default(dtype))

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
