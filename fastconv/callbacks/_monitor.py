"""Which way a figure improves."""

import operator
import warnings
from collections.abc import Callable
from typing import Any

from fastconv import _naming
from fastconv.callbacks.callback import Callback, Logs

_UP = ("acc", "auc", "precision", "recall", "f1", "r2", "top_k")
_DOWN = ("loss", "error", "mse", "mae", "rmse", "mape", "msle", "crossentropy", "divergence")


class MonitorCallback(Callback):
    """A callback that watches one figure.

    Parameters
    ----------
    monitor : str
        Name of the figure in the logs.
    mode : {'auto', 'min', 'max'}
        Whether less or more is better; 'auto' tells by the name.
    min_delta : float
        Smaller changes are no improvement.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float, best: Any = None) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best = best

    def _better(self) -> Callable[[Any, Any], bool]:
        if self.mode != "auto":
            return operator.lt if self.mode == "min" else operator.gt
        name = self.monitor.removeprefix("val_")
        words = [name]
        for metric in getattr(self.model, "metrics", []):
            if metric.name == name:
                words.append(_naming.to_snake_case(type(metric).__name__))
        for word in words:
            if word in _DOWN or any(word.endswith(part) for part in _DOWN):
                return operator.lt
            if any(part in word for part in _UP):
                return operator.gt
        raise ValueError(
            f"{type(self).__name__} callback received monitor={self.monitor!r}, but it cannot be "
            "told whether that figure should be maximized or minimized. Pass `mode='max'` or "
            f"`mode='min'`. Received: mode={self.mode!r}"
        )

    def is_improvement(self, current: Any, reference: Any) -> bool:
        """Return whether ``current`` is better than ``reference`` by more than ``min_delta``."""
        better = self._better()
        if reference is None:
            return True
        delta = -self.min_delta if better is operator.lt else self.min_delta
        return bool(better(current - delta, reference))

    def current(self, logs: Logs, purpose: str) -> Any:
        """Return the figure, or None with a warning if the logs lack it.

        Raises
        ------
        ValueError
            If the mode is 'auto' and the name does not tell whether less or more is better.
        """
        self._better()
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{purpose} conditioned on metric `{self.monitor}` which is not available. "
                f"Available metrics are: {','.join((logs or {}).keys())}",
                stacklevel=3,
            )
        return value
