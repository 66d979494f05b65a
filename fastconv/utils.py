"""Small helpers that Keras programs expect under ``keras.utils``."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _naming
from fastconv._objects import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize,
)

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "make_seed",
    "normalize",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
]

serialize_keras_object = serialize
deserialize_keras_object = deserialize


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and every random choice of fastconv: initial weights, shuffling, dropout.

    Parameters
    ----------
    seed : int
        Not negative.

    Raises
    ------
    ValueError
        If ``seed`` is not a non-negative integer.

    Examples
    --------
    >>> set_random_seed(1)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"`seed` must be a non-negative integer. Received: seed={seed!r}")
    import random

    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)  # noqa: NPY002 - the generator that user code may share


def make_seed() -> int:
    """Return a seed drawn from Python's generator, so that :func:`set_random_seed` rules it."""
    import random

    return random.randint(1, 2**31 - 1)


def clear_session(free_memory: bool = True) -> None:
    """Start automatic layer names anew.

    Parameters
    ----------
    free_memory : bool
        Run the garbage collector too.

    Examples
    --------
    >>> clear_session()
    """
    _naming.reset()
    if free_memory:
        import gc

        gc.collect()


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[Any]:
    """Return class numbers as one-hot rows of floatx.

    Parameters
    ----------
    x : array_like of int, any shape
        Labels from 0 to ``num_classes - 1``; a last axis of length 1 is dropped.
    num_classes : int, optional
        Defaults to the largest label plus one.

    Returns
    -------
    ndarray, shape ``x.shape + (num_classes,)``

    Raises
    ------
    ValueError
        If a label is negative or not below ``num_classes``.

    Examples
    --------
    >>> to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    from fastconv import config

    labels = np.asarray(x).astype(np.int64)
    shape = labels.shape
    if len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    labels = labels.reshape(-1)
    count = int(num_classes) if num_classes else int(labels.max(initial=-1)) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(
            f"`x` must hold labels from 0 to {count - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
    out = np.zeros((labels.size, count), dtype=config.floatx())
    out[np.arange(labels.size), labels] = 1
    return out.reshape((*shape, count))


def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> NDArray[Any]:
    """Return ``x`` divided by its norm along ``axis``.

    Parameters
    ----------
    x : array_like
    axis : int
    order : int
        Order of the norm, 2 for the Euclidean one.

    Returns
    -------
    ndarray, shape of ``x``

    Examples
    --------
    >>> normalize([[3.0, 4.0]])
    array([[0.6, 0.8]])
    """
    array = np.atleast_1d(np.asarray(x))
    norm = np.linalg.norm(array, order, axis=axis, keepdims=True)
    return np.asarray(array / np.where(norm == 0, 1, norm))


class PyDataset:
    """Base of data sets that make their batches on demand, for ``fit``, ``evaluate``, ``predict``.

    Subclasses implement ``__len__``, the number of batches, and ``__getitem__(index)``, which
    returns ``(x, y)`` or ``(x, y, sample_weight)``, and may implement ``on_epoch_end``.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Accepted for Keras's sake: batches are made in the calling thread.

    Examples
    --------
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...     def __getitem__(self, index):
    ...         x = np.array([[index], [index + 1.0]])
    ...         return x, x**2
    >>> len(Squares()), Squares()[1][1].tolist()
    (2, [[1.0], [4.0]])
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} must implement `__len__`.")

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"{type(self).__name__} must implement `__getitem__`.")

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return len(self)

    def on_epoch_end(self) -> None:
        """After each pass over the batches."""


Sequence = PyDataset
