"""Crossentropies and divergence as metrics."""

from typing import Any

from fastconv import losses
from fastconv.metrics.metric import MeanMetricWrapper

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "KLDivergence",
    "SparseCategoricalCrossentropy",
]


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean crossentropy of yes-or-no targets.

    Examples
    --------
    >>> round(float(BinaryCrossentropy()([0.0, 1.0], [0.5, 0.5])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        self.arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name=name, dtype=dtype, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean crossentropy of one-hot targets.

    Examples
    --------
    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.05, 0.95]])), 4)
    0.0513
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        self.arguments = {
            "from_logits": from_logits,
            "label_smoothing": label_smoothing,
            "axis": axis,
        }
        super().__init__(losses.categorical_crossentropy, name=name, dtype=dtype, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean crossentropy of integer labels.

    Examples
    --------
    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.05, 0.95]])), 4)
    0.0513
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        self.arguments = {
            "from_logits": from_logits,
            "ignore_class": ignore_class,
            "axis": axis,
        }
        super().__init__(
            losses.sparse_categorical_crossentropy, name=name, dtype=dtype, **self.arguments
        )

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.arguments}


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence.

    Examples
    --------
    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}
