"""Callbacks: code that training calls (https://keras.io/api/callbacks/)."""

from fastconv.callbacks.backup_and_restore import BackupAndRestore
from fastconv.callbacks.callback import Callback, CallbackList
from fastconv.callbacks.csv_logger import CSVLogger
from fastconv.callbacks.early_stopping import EarlyStopping
from fastconv.callbacks.history import History
from fastconv.callbacks.lambda_callback import LambdaCallback
from fastconv.callbacks.learning_rate_scheduler import LearningRateScheduler
from fastconv.callbacks.model_checkpoint import ModelCheckpoint
from fastconv.callbacks.progbar_logger import ProgbarLogger
from fastconv.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from fastconv.callbacks.tensorboard import TensorBoard
from fastconv.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
