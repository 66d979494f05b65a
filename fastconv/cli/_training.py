"""The network of ``fastconv train`` and a callback that keeps its curves and its pace."""

from __future__ import annotations

import time
from typing import Any

from fastconv import Input, Sequential
from fastconv.callbacks import Callback
from fastconv.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D

# A model of this name is known to have Fashion-MNIST's classes.
MODEL_NAME = "fashion_mnist"


def build() -> Sequential:
    """Two convolutions, two dense layers: 28x28 grey images in, ten probabilities out."""
    return Sequential(
        [
            Input((28, 28, 1)),
            Conv2D(32, (5, 5), padding="valid", activation="relu"),
            MaxPooling2D(pool_size=(2, 2)),
            Conv2D(64, (3, 3), padding="same", activation="relu"),
            MaxPooling2D(pool_size=(2, 2)),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.5),
            Dense(10, activation="softmax"),
        ],
        name=MODEL_NAME,
    )


class Recorder(Callback):
    """Keep the logs of every finished epoch and the seconds spent on training batches.

    Parameters
    ----------
    images : int
        Number of training images, all of them used in each epoch.
    batch_size : int
        Images in each batch but the last.

    Attributes
    ----------
    curves : dict of str to list of float
    images : int
        Images trained on so far.
    seconds : float
        Time inside epochs up to the last training batch, so without validation.
    """

    def __init__(self, images: int, batch_size: int) -> None:
        super().__init__()
        self._images_per_epoch = images
        self._batch_size = batch_size
        self.curves: dict[str, list[float]] = {}
        self.seconds = 0.0
        self.images = 0
        self._last = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._last = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the images of the batch and the time since the last one."""
        self.images += min(self._batch_size, self._images_per_epoch - batch * self._batch_size)
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the curves."""
        for name, value in (logs or {}).items():
            self.curves.setdefault(name, []).append(float(value))
