"""Small parts of the training loop."""

from collections.abc import Callable
from typing import Any

from fastconv.callbacks import CallbackList, ProgbarLogger
from fastconv.models._arrays import unpack_x_y_sample_weight
from fastconv.models._data import Batches, make_batches


class closing:
    """Closes the progress bar if training ends with an error."""

    def __init__(self, calls: CallbackList) -> None:
        self._calls = calls

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            for callback in self._calls:
                if isinstance(callback, ProgbarLogger):
                    callback.close()


class BatchEnd:
    """Calls a hook after each batch; the figures are only computed when someone looks at them."""

    def __init__(
        self, calls: CallbackList, hook: str, results: Callable[[], dict[str, Any]]
    ) -> None:
        self._call = getattr(calls, hook) if calls.has(hook) else None
        bars = _bars(calls)
        self._bar = bars[0] if bars else None
        self._eager = self._call is not None and calls.count(hook) > len(bars)
        self._results = results
        self.count = 0

    def __call__(self, step: int) -> None:
        self.count = step + 1
        if self._call is None:
            return
        look = self._eager or (self._bar is not None and self._bar.due())
        self._call(step, self._results() if look else None)


def _bars(calls: CallbackList) -> list[ProgbarLogger]:
    return [c for c in calls if isinstance(c, ProgbarLogger)]


def looks_at_batches(calls: CallbackList, kind: str) -> bool:
    """Return whether a callback other than the progress bar is called for single batches.

    ``kind`` is 'train', 'test' or 'predict'.
    """
    begins = calls.has(f"on_{kind}_batch_begin")
    return begins or calls.count(f"on_{kind}_batch_end") > len(_bars(calls))


def validation_batches(data: Any, batch_size: int | None, steps: int | None) -> Batches | None:
    """Return the batches of ``validation_data``, arrays or an iterable, or None."""
    if data is None:
        return None
    if isinstance(data, list | tuple) and not (data and isinstance(data[0], tuple)):
        x, y, weight = unpack_x_y_sample_weight(data)
        return make_batches(x, y, weight, batch_size, False, None, steps)
    return make_batches(data, None, None, batch_size, False, None, steps)


def due(frequency: Any, epoch: int) -> bool:
    """Return whether to validate after an epoch."""
    if isinstance(frequency, int) and frequency > 0:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, list | tuple | set):
        return (epoch + 1) in frequency
    raise ValueError(
        "Expected `validation_freq` to be a list or int. "
        f"Received: validation_freq={frequency} of the type {type(frequency)}."
    )
