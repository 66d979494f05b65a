"""Callbacks: code that training calls (https://keras.io/api/callbacks/)."""

from fastconv.callbacks.callback import Callback, CallbackList
from fastconv.callbacks.history import History
from fastconv.callbacks.progbar_logger import ProgbarLogger

__all__ = ["Callback", "CallbackList", "History", "ProgbarLogger"]
