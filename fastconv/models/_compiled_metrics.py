"""The metrics of a compiled model, made on the first batch and collected cheaply."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from fastconv import losses, metrics
from fastconv.metrics import Metric

Array = NDArray[Any]

_ACCURACY = ("accuracy", "acc")
_CROSSENTROPY = ("crossentropy", "ce")
#: Metrics that are the share of rows whose target is the first largest prediction.
_COUNTED = (metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy)


def _kind(y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]) -> str:
    """Return 'binary', 'sparse' or 'categorical', told by the shapes."""
    if y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse"
    return "categorical"


def _resolve(
    identifier: Any, y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]
) -> Metric:
    """Return the metric object for what users pass to ``compile``."""
    word = str(identifier).lower() if isinstance(identifier, str) else ""
    made: Any
    if word in _ACCURACY:
        kinds: dict[str, type[Metric]] = {
            "binary": metrics.BinaryAccuracy,
            "sparse": metrics.SparseCategoricalAccuracy,
            "categorical": metrics.CategoricalAccuracy,
        }
        made = kinds[_kind(y_true_shape, y_pred_shape)](name=str(identifier))
    elif word in _CROSSENTROPY:
        kinds = {
            "binary": metrics.BinaryCrossentropy,
            "sparse": metrics.SparseCategoricalCrossentropy,
            "categorical": metrics.CategoricalCrossentropy,
        }
        made = kinds[_kind(y_true_shape, y_pred_shape)](name=str(identifier))
    else:
        made = metrics.get(identifier)
        if isinstance(made, losses.Loss):
            made = metrics.MeanMetricWrapper(made.per_sample, name=made.name)
        elif not isinstance(made, Metric):
            name = identifier if isinstance(identifier, str) else getattr(made, "__name__", None)
            made = metrics.MeanMetricWrapper(made, name=name)
        elif isinstance(identifier, str):
            made.name = identifier
    found: Metric = made
    return found


def _check(identifier: Any) -> None:
    """Raise ValueError if no metric can be made of ``identifier``."""
    if isinstance(identifier, str) and identifier.lower() in (*_ACCURACY, *_CROSSENTROPY):
        return
    found = metrics.get(identifier)
    if not isinstance(found, Metric | losses.Loss) and not callable(found):
        raise ValueError(
            f"A metric must be a name, a Metric or a function. Received: metrics=[{identifier!r}]"
        )


class CompiledMetrics:
    """The metrics of a compiled model.

    Parameters
    ----------
    plain, weighted : sequence or None
        What was passed to ``compile``: without and with sample weights.

    Raises
    ------
    ValueError
        If either is not a list.
    """

    def __init__(self, plain: Any, weighted: Any) -> None:
        self._identifiers = [
            _as_list(plain, "metrics"),
            _as_list(weighted, "weighted_metrics"),
        ]
        for group in self._identifiers:
            for identifier in group:
                _check(identifier)
        self._groups: list[list[Metric]] = [[], []]
        self.built = False
        #: Whether any metric needs more than the number of correct predictions.
        self.need_predictions = True

    def build(self, y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]) -> None:
        """Make the metric objects for targets and predictions of these shapes."""
        if self.built:
            return
        self._groups = [
            [_resolve(identifier, y_true_shape, y_pred_shape) for identifier in group]
            for group in self._identifiers
        ]
        self.need_predictions = bool(self._groups[1]) or any(
            type(metric) not in _COUNTED for metric in self._groups[0]
        )
        self.built = True

    @property
    def any(self) -> bool:
        """Whether there are metrics at all."""
        return any(self._identifiers)

    @property
    def metrics(self) -> list[Metric]:
        """The metric objects."""
        return [*self._groups[0], *self._groups[1]]

    def update_counts(self, correct: float, size: int) -> None:
        """Take a batch into account of which so many predictions were correct."""
        for metric in self._groups[0]:
            metric.total += correct  # type: ignore[attr-defined]
            metric.count += size  # type: ignore[attr-defined]

    def update(self, y_true: Array, y_pred: Array, sample_weight: Array | None) -> None:
        """Take a batch into account."""
        for metric in self._groups[0]:
            metric.update_state(y_true, y_pred)
        for metric in self._groups[1]:
            metric.update_state(y_true, y_pred, sample_weight)

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset_state()

    def named(self) -> list[tuple[str, Metric]]:
        """Return (name, metric) pairs with names made unique as Keras does."""
        pairs: list[tuple[str, Metric]] = []
        counts: dict[str, int] = {}
        for group, prefix in zip(self._groups, ("", "weighted_"), strict=True):
            for metric in group:
                name = metric.name
                if name in counts and prefix:
                    name = prefix + name
                count = counts.get(name, 0)
                counts[name] = count + 1
                pairs.append((f"{name}_{count}" if count else name, metric))
        return pairs

    def results(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {name: _figure(metric.result()) for name, metric in self.named()}


def _as_list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, dict) or not isinstance(value, list | tuple):
        raise ValueError(
            f"Expected `{name}` argument to be a list or tuple. "
            f"Received: {name}={value} of type {type(value)}"
        )
    flat: list[Any] = []
    for item in value:
        flat.extend(item if isinstance(item, Sequence) and not isinstance(item, str) else [item])
    return flat


def _figure(result: Any) -> Any:
    """Return a float, or an array for metrics with several figures."""
    if isinstance(result, dict):
        return {key: _figure(value) for key, value in result.items()}
    return float(result) if getattr(result, "ndim", 0) == 0 else result
