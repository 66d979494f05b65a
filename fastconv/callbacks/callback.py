"""The base of all callbacks, and the list that calls them."""

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Callback", "CallbackList"]

Logs = dict[str, Any] | None

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_test_begin",
    "on_test_end",
    "on_predict_begin",
    "on_predict_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
)


class Callback:
    """Base of all callbacks (https://keras.io/api/callbacks/): methods that training calls.

    Override the hooks you need; the others cost nothing.

    Attributes
    ----------
    model : Sequential
        The model in training; set ``model.stop_training = True`` to end it.
    params : dict
        'verbose', 'epochs' and 'steps'.

    Examples
    --------
    >>> class Announce(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print("epoch", epoch, "done")
    >>> Announce().on_epoch_end(0)
    epoch 0 done
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model in training."""
        return getattr(self, "_model", None)

    def set_model(self, model: Any) -> None:
        """Tell the callback its model."""
        self._model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Tell the callback 'verbose', 'epochs' and 'steps'."""
        self.params = params

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of :meth:`on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of :meth:`on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """After an epoch and its validation; ``logs`` holds the loss and the metrics."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a training batch."""

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a training batch; ``logs`` holds the means of the epoch so far."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of ``evaluate`` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of ``evaluate`` or of validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of ``predict``; ``logs['outputs']`` holds the predictions."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Before the first epoch of ``fit``."""

    def on_train_end(self, logs: Logs = None) -> None:
        """After the last epoch of ``fit``."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Before ``evaluate`` or validation."""

    def on_test_end(self, logs: Logs = None) -> None:
        """After ``evaluate`` or validation."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Before ``predict``."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """After ``predict``."""


def _implementation(callback: Any, hook: str) -> Callable[..., Any] | None:
    """Return the callback's own version of a hook, or None if it has none."""
    for name in (hook, hook.replace("_train_batch_", "_batch_")):
        found = getattr(callback, name, None)
        if found is not None and getattr(found, "__func__", found) is not getattr(
            Callback, name, None
        ):
            return found  # type: ignore[no-any-return]
    return None


class CallbackList:
    """Calls the hooks of several callbacks in order, leaving out those that do nothing.

    Parameters
    ----------
    callbacks : Callback, CallbackList or iterable of Callback, optional
    add_history, add_progbar : bool
        Add a History and a ProgbarLogger if there is none.
    model : Sequential, optional
    **params
        Passed to ``set_params``.

    Examples
    --------
    >>> seen = []
    >>> class Note(Callback):
    ...     def on_train_begin(self, logs=None):
    ...         seen.append("begin")
    >>> CallbackList([Note()]).on_train_begin()
    >>> seen
    ['begin']
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        from fastconv.callbacks.history import History
        from fastconv.callbacks.progbar_logger import ProgbarLogger

        self.callbacks = _flatten(callbacks)
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        self._model = model
        self._hooks: dict[str, list[Callable[..., Any]]] = {}
        if model is not None:
            self.set_model(model)
        self.set_params(params)
        self._collect()

    def _collect(self) -> None:
        for hook in HOOKS:
            found = (_implementation(callback, hook) for callback in self.callbacks)
            self._hooks[hook] = [call for call in found if call is not None]

    @property
    def model(self) -> Any:
        """The model in training."""
        return self._model

    @property
    def history(self) -> Any:
        """The History among the callbacks, or None."""
        from fastconv.callbacks.history import History

        return next((c for c in self.callbacks if isinstance(c, History)), None)

    def append(self, callback: Callback) -> None:
        """Add a callback."""
        self.callbacks.append(callback)
        self._collect()

    def set_model(self, model: Any) -> None:
        """Tell all callbacks their model."""
        self._model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Tell all callbacks the parameters."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def has(self, hook: str) -> bool:
        """Return whether any callback implements a hook."""
        return bool(self._hooks[hook])

    def count(self, hook: str) -> int:
        """Return how many callbacks implement a hook."""
        return len(self._hooks[hook])

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in HOOKS:
            raise AttributeError(f"'CallbackList' object has no attribute {name!r}")
        calls = self._hooks[name]

        def call_all(logs: Logs = None) -> None:
            for call in calls:
                call(logs or {})

        def call_each(index: int, logs: Logs = None) -> None:
            for call in calls:
                call(index, logs or {})

        return call_each if "epoch" in name or "batch" in name else call_all

    def __iter__(self) -> Any:
        return iter(self.callbacks)


def _flatten(callbacks: Any) -> list[Callback]:
    if callbacks is None:
        return []
    if isinstance(callbacks, CallbackList):
        return list(callbacks.callbacks)
    items = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for item in items:
        if not hasattr(item, "set_model") or not hasattr(item, "set_params"):
            raise ValueError(
                f"`callbacks` must be made of Callback objects. Received: callbacks={callbacks!r}"
            )
    return items
