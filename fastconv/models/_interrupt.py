"""Ctrl-C between steps, not within one, so that weights and optimizer stay consistent."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupt:
    """While inside, a first Ctrl-C during a step waits until the step is done; a second does not.

    Outside of the main thread, or where the program has a handler of its own, nothing is changed.
    """

    def __init__(self) -> None:
        self._pending = False
        self._in_step = False
        self._installed = False
        self._previous: Any = None

    def __enter__(self) -> "DeferredInterrupt":
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._in_step and not self._pending:
            self._pending = True
            return
        raise KeyboardInterrupt

    def enter_step(self) -> None:
        """Hold back Ctrl-C from now on."""
        self._in_step = True

    def leave_step(self) -> None:
        """Let Ctrl-C through again, and the one that was held back."""
        self._in_step = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt
