"""Random weights of a given spread."""

import math
from typing import Any

import numpy as np

from fastconv.initializers.initializer import Array, Initializer, Shape, dtype_or_default
from fastconv.utils import make_seed

__all__ = ["Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal"]


class RandomInitializer(Initializer):
    """An initializer with a seed; without one, a seed is drawn when the object is made."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
            raise ValueError(f"`seed` must be an integer or None. Received: seed={seed!r}")
        self.seed = seed
        self._drawn = int(seed) if seed is not None else make_seed()

    def generator(self) -> "np.random.Generator":
        """Return a generator that starts anew."""
        return np.random.default_rng(abs(self._drawn))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


def truncated(rng: "np.random.Generator", shape: Shape) -> Array:
    """Return unit normals of absolute value at most 2, drawn again until they are."""
    values = np.asarray(rng.standard_normal(tuple(shape)))
    outside = np.abs(values) > 2
    while outside.any():
        values[outside] = rng.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return values


class RandomNormal(RandomInitializer):
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
        values = self.generator().standard_normal(tuple(shape))
        return np.asarray(self.mean + self.stddev * values, dtype_or_default(dtype))

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
        values = truncated(self.generator(), shape)
        return np.asarray(self.mean + self.stddev * values, dtype_or_default(dtype))


class RandomUniform(RandomInitializer):
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
        values = self.generator().uniform(self.minval, self.maxval, tuple(shape))
        return np.asarray(values, dtype_or_default(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal rows or columns, times ``gain`` (Saxe et al., ICLR 2014).

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
        values = self.generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(values)
        q = q * np.sign(np.diag(r))
        if rows < columns:
            q = q.T
        return np.asarray(self.gain * q.reshape(tuple(shape)), dtype_or_default(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain, "seed": self.seed}
