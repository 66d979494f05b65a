"""The progress bar."""

import math
import sys
import time
from typing import Any

from fastconv import config
from fastconv.callbacks.callback import Callback, Logs

__all__ = ["ProgbarLogger"]


def _in_notebook() -> bool:
    """Return whether the output is a notebook's."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def resolve_verbosity(verbose: Any) -> int:
    """Return 0, 1 or 2: 'auto' is a bar on a terminal or in a notebook, else lines.

    Raises
    ------
    ValueError
        If ``verbose`` is none of these.
    """
    if verbose == "auto":
        terminal = hasattr(sys.stdout, "isatty") and sys.stdout.isatty()
        return 1 if terminal or _in_notebook() else 2
    if verbose in (0, 1, 2):
        return int(verbose)
    raise ValueError(f"`verbose` must be 'auto', 0, 1, or 2. Received: verbose={verbose!r}")


def format_figure(value: Any) -> str:
    """Return a loss or metric as Keras prints it.

    Examples
    --------
    >>> format_figure(0.12345), format_figure(0.00012345)
    ('0.1235', '1.2345e-04')
    """
    number = float(value) if getattr(value, "ndim", 0) == 0 else float(sum(value) / len(value))
    return f"{number:.4f}" if abs(number) > 1e-3 else f"{number:.4e}"


def _per_step(seconds: float, steps: int) -> str:
    each = seconds / max(steps, 1)
    if each >= 1 or each == 0:
        return f"{each:.0f}s/step"
    return f"{each * 1e3:.0f}ms/step" if each >= 1e-3 else f"{each * 1e6:.0f}us/step"


class ProgbarLogger(Callback):
    """Shows progress with loss and metrics: a tqdm bar per epoch (1), a line per epoch (2).

    ``fit``, ``evaluate`` and ``predict`` add it by themselves unless ``verbose=0``.

    Examples
    --------
    >>> logger = ProgbarLogger()
    >>> logger.set_params({"verbose": 2, "epochs": 1, "steps": 1})
    >>> logger.on_epoch_begin(0)
    Epoch 1/1
    """

    #: Seconds between two looks at the figures.
    interval = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._verbose = 0
        self._epochs = 1
        self._steps: int | None = None
        self._bar: Any = None
        self._seen = 0
        self._start = 0.0
        self._due = 0.0
        self._training = False

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        self._verbose = resolve_verbosity(params.get("verbose", "auto"))
        self._epochs = int(params.get("epochs") or 1)
        self._steps = params.get("steps")

    def on_train_begin(self, logs: Logs = None) -> None:
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._steps = self.params.get("steps", self._steps)
        title = f"Epoch {epoch + 1}/{self._epochs}"
        if self._verbose == 2:
            self._print(title)
        self._open(title)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._close(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._training = False
        self.close()

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._training:
            self._open("")

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._training:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._training:
            self._close(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._open("")

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._update(batch, None)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._close(None)

    def due(self) -> bool:
        """Return whether the next update will look at the figures."""
        return self._verbose == 1 and time.perf_counter() >= self._due

    def _open(self, title: str) -> None:
        self._seen = 0
        self._start = time.perf_counter()
        self._due = self._start
        if self._verbose == 1 and config.is_interactive_logging_enabled():
            if _in_notebook():
                from tqdm.notebook import tqdm  # type: ignore[import-untyped]
            else:
                from tqdm.std import tqdm  # type: ignore[import-untyped]
            self._bar = tqdm(
                total=self._steps, desc=title or None, unit="step", file=sys.stdout, leave=True
            )

    def _update(self, batch: int, logs: Logs) -> None:
        self._seen = batch + 1
        if self._bar is None:
            return
        now = time.perf_counter()
        if now >= self._due:
            self._due = now + self.interval
            self._show(logs)

    def _show(self, logs: Logs) -> None:
        if logs:
            figures = {k: format_figure(v) for k, v in logs.items() if _is_figure(v)}
            self._bar.set_postfix(figures, refresh=False)
        self._bar.update(self._seen - self._bar.n)

    def _close(self, logs: Logs) -> None:
        if self._bar is not None:
            if self._bar.total is None:
                self._bar.total = self._seen
            self._show(logs)
            self.close()
        elif self._verbose:
            self._line(logs)
        self._steps = self._steps or self._seen

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
            self._bar = None

    def _line(self, logs: Logs) -> None:
        seconds = time.perf_counter() - self._start
        total = self._steps or self._seen
        width = int(math.log10(max(total, 1))) + 1
        parts = [f"{self._seen:{width}d}/{total}", f"{seconds:.0f}s"]
        parts.append(_per_step(seconds, self._seen))
        parts.extend(f"{k}: {format_figure(v)}" for k, v in (logs or {}).items() if _is_figure(v))
        self._print(" - ".join(parts))

    def _print(self, text: str) -> None:
        if config.is_interactive_logging_enabled():
            print(text, flush=True)
        else:
            import logging

            logging.getLogger("fastconv").info(text)


def _is_figure(value: Any) -> bool:
    return not isinstance(value, dict) and getattr(value, "ndim", 0) <= 1
