"""Stop when the loss is no number."""

import math

from fastconv.callbacks._messages import say
from fastconv.callbacks.callback import Callback, Logs

__all__ = ["TerminateOnNaN"]


class TerminateOnNaN(Callback):
    """End training when the loss becomes NaN or infinite.

    Parameters
    ----------
    raise_error : bool
        Raise RuntimeError in place of stopping.

    Examples
    --------
    >>> TerminateOnNaN().raise_error
    False
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf loss encountered at batch {batch}. Received: {loss=}")
        say(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
