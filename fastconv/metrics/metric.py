"""The base of all metrics, and means."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _naming, _objects, config, initializers
from fastconv._variable import Variable
from fastconv.losses.loss import same_rank

__all__ = ["Mean", "MeanMetricWrapper", "Metric", "Sum"]

Array = NDArray[Any]


class Metric(_objects.Serializable):
    """Base of all metrics: figures that are collected over batches (https://keras.io/api/metrics/).

    Subclasses implement ``update_state`` and ``result``, and either keep their figures in
    variables made with ``add_variable`` or implement ``reset_state``.

    Parameters
    ----------
    dtype : str, optional
        Defaults to floatx.
    name : str, optional

    Examples
    --------
    >>> class Largest(Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.value = self.add_variable(shape=(), initializer="zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(np.maximum(self.value, np.max(y_pred)))
    ...     def result(self):
    ...         return self.value.numpy()
    >>> metric = Largest()
    >>> metric.update_state([0.0], [3.0])
    >>> float(metric.result())
    3.0
    """

    keras_module = "keras.metrics"

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or _naming.unique_name(_naming.to_snake_case(type(self).__name__))
        self.dtype = str(dtype) if isinstance(dtype, str) else config.floatx()
        self._variables: list[Variable] = []

    def add_variable(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable that :meth:`reset_state` sets to zero."""
        variable = Variable(
            initializers.get(initializer), tuple(shape), dtype or self.dtype, False, name
        )
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable: the older name of :meth:`add_variable`."""
        return self.add_variable(shape, initializer, dtype, name)

    @property
    def variables(self) -> list[Variable]:
        """The variables made with :meth:`add_variable`."""
        return list(self._variables)

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take a batch into account."""
        raise TypeError(f"{type(self).__name__} must implement `update_state`.")

    def result(self) -> Any:
        """Return the figure for all batches so far."""
        raise TypeError(f"{type(self).__name__} must implement `result`.")

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable in self._variables:
            variable.memory[...] = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch into account and return the figure."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Mean(Metric):
    """The weighted mean of values.

    Examples
    --------
    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0, 5.0, 7.0], sample_weight=[1.0, 1.0, 0.0, 0.0])
    >>> float(metric.result())
    2.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = 0.0
        self.count = 0.0

    def update_state(  # type: ignore[override]
        self, values: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take values into account, each with a weight of 1 unless given."""
        array = np.asarray(values, self.dtype)
        if sample_weight is None:
            self.total += float(array.sum())
            self.count += array.size
            return
        weights = weights_like(array, sample_weight)
        self.total += float((array * weights).sum())
        self.count += float(weights.sum())

    def result(self) -> Any:
        mean = self.total / self.count if self.count else 0.0
        return np.dtype(self.dtype).type(mean)

    def reset_state(self) -> None:
        self.total = 0.0
        self.count = 0.0


class Sum(Metric):
    """The weighted sum of values.

    Examples
    --------
    >>> float(Sum()([1.0, 3.0]))
    4.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = 0.0

    def update_state(  # type: ignore[override]
        self, values: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take values into account, each with a weight of 1 unless given."""
        array = np.asarray(values, self.dtype)
        if sample_weight is not None:
            array = array * weights_like(array, sample_weight)
        self.total += float(array.sum())

    def result(self) -> Any:
        return np.dtype(self.dtype).type(self.total)

    def reset_state(self) -> None:
        self.total = 0.0


def weights_like(values: Array, sample_weight: ArrayLike) -> Array:
    """Return ``sample_weight`` broadcast to ``values``.

    Raises
    ------
    ValueError
        If it does not broadcast.
    """
    weights = np.asarray(sample_weight, values.dtype)
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    elif 0 < weights.ndim < values.ndim:
        weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    try:
        return np.broadcast_to(weights, values.shape)
    except ValueError:
        raise ValueError(
            f"`sample_weight` must broadcast to values of shape {values.shape}. "
            f"Received: sample_weight.shape={np.shape(sample_weight)}"
        ) from None


class MeanMetricWrapper(Mean):
    """The mean of a function of ``(y_true, y_pred)``.

    Parameters
    ----------
    fn : callable
    name, dtype
        As in :class:`Metric`.
    **kwargs
        Passed on to ``fn``.

    Examples
    --------
    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
    >>> float(metric([1.0, 2.0], [0.0, 0.0]))
    1.5
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or getattr(fn, "__name__", None), dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take a batch into account."""
        true = np.asarray(y_true)
        if true.dtype.kind != "f" and true.dtype.kind not in "iub":
            true = true.astype(self.dtype)
        values = self._fn(true, np.asarray(y_pred, self.dtype), **self._fn_kwargs)
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype,
            "fn": _objects.serialize(self._fn),
            **{key: _objects.serialize(value) for key, value in self._fn_kwargs.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        from fastconv.metrics import deserialize

        if "fn" in config:
            config = {**config, "fn": deserialize(config["fn"])}
        return cls(**config)


def matched(y_true: ArrayLike, y_pred: ArrayLike, dtype: str) -> tuple[Array, Array]:
    """Return both as arrays of ``dtype`` and of the same number of axes."""
    true, pred = same_rank(np.asarray(y_true, dtype), np.asarray(y_pred, dtype))
    return true, np.asarray(pred)
