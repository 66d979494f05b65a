"""Batches from arrays, generators and other iterables, without copying the data set."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import functional
from fastconv.models._arrays import (
    as_array,
    check_cardinality,
    class_weights,
    unpack_x_y_sample_weight,
)
from fastconv.models._pace import Pace

Array = NDArray[Any]

_GATHERED = (np.uint8, np.float32, np.float64)


class Batch:
    """Rows of the data: a view, a list of row numbers, or arrays of their own.

    It may hold several batches of one size, one after the other.

    Attributes
    ----------
    size : int
        Rows of one batch.
    count : int
        Number of batches.
    x_shape : tuple of int
        Shape of the inputs of one batch.
    y, weight : ndarray or None
        Of all batches.
    source : ndarray
        The data.
    gather : callable or None
        What copies inputs, if a kernel does: a function of row numbers, output and scale.
    """

    __slots__ = ("_rows", "count", "gather", "size", "source", "weight", "x_shape", "y")

    def __init__(
        self,
        source: Array,
        rows: slice | Array | None,
        size: int,
        y: Any,
        weight: Any,
        gather: Callable[[Array, Array, float], None] | None = None,
        count: int = 1,
    ) -> None:
        self.gather = gather if isinstance(rows, np.ndarray) else None
        self.source = source
        self._rows = rows
        self.x_shape = (size, *source.shape[1:])
        self.size = size
        self.count = count
        self.y = y
        self.weight = weight

    def view(self, dtype: np.dtype[Any]) -> Array | None:
        """Return the inputs without a copy, or None if they are elsewhere or of another type."""
        if isinstance(self._rows, np.ndarray):
            return None
        part = self.source if self._rows is None else self.source[self._rows]
        usable = part.dtype == dtype and part.flags.c_contiguous and part.flags.aligned
        return part if usable else None

    def fill(self, out: Array, scale: float | None = None) -> None:
        """Write the inputs to ``out``, cast to its type and multiplied by ``scale``."""
        source, rows = self.source, self._rows
        if self.gather is not None:
            self.gather(rows, out, 1.0 if scale is None else scale)  # type: ignore[arg-type]
            return
        out[...] = source if rows is None else source[rows]
        if scale is not None:
            out *= out.dtype.type(scale)

    def places(self, dtype: np.dtype[Any], scale: float | None) -> Array | None:
        """Return the row numbers that :attr:`gather` takes, or else the inputs as they are.

        None if there is neither.
        """
        if isinstance(self._rows, np.ndarray):
            return None if self.gather is None else self._rows
        return self.view(dtype) if scale is None else None

    def split(self) -> "Iterator[Batch]":
        """Yield the batches one by one."""
        if self.count == 1:
            yield self
            return
        for i in range(self.count):
            part = slice(i * self.size, (i + 1) * self.size)
            rows: slice | Array | None = part
            if isinstance(self._rows, np.ndarray):
                rows = self._rows[part]
            elif self._rows is not None:
                first = self._rows.start
                rows = slice(first + part.start, first + part.stop)
            yield Batch(
                self.source,
                rows,
                self.size,
                None if self.y is None else self.y[part],
                None if self.weight is None else self.weight[part],
                self.gather,
            )


class ArrayBatches:
    """Batches cut from arrays.

    Parameters
    ----------
    x : ndarray
    y, sample_weight : ndarray or None
    batch_size : int
    shuffle : bool
    class_weight : dict, optional
    steps : int, optional
        Batches per epoch, if not all.
    """

    def __init__(
        self,
        x: Array,
        y: Any,
        sample_weight: Any,
        batch_size: int,
        shuffle: bool,
        class_weight: Mapping[int, float] | None = None,
        steps: int | None = None,
    ) -> None:
        if class_weight is not None and sample_weight is not None:
            raise ValueError(
                "You cannot `class_weight` and `sample_weight` at the same time. "
                f"Received: class_weight={class_weight}"
            )
        self.x, self.y = x, y
        usable = x.dtype.type in _GATHERED and x.flags.c_contiguous and x.dtype.isnative
        self._gather = functional.bind_gather_rows(x) if usable else None
        self.weight = sample_weight
        if class_weight is not None:
            self.weight = class_weights(class_weight, y)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.total = math.ceil(x.shape[0] / batch_size)
        self.num_batches: int | None = self.total if steps is None else steps
        self._steps = steps

    def epoch(self, seed: int, epoch: int, pace: Pace) -> Iterator[Batch]:
        """Yield the batches of one epoch; the order depends on ``seed`` and ``epoch`` alone.

        As many are held together as ``pace`` says at the time. With a number of steps, an epoch
        goes on where the last one ended, to the end of the data at most; a short one warns.
        """
        steps = self.total if self._steps is None else self._steps
        number, part = divmod(epoch, math.ceil(self.total / steps))
        first = part * steps
        yield from self._pass(seed, number, first, steps, pace)
        if first + steps > self.total:
            warn_short(self.total - first)

    def _pass(self, seed: int, number: int, first: int, count: int, pace: Pace) -> Iterator[Batch]:
        """Yield batches of the pass ``number`` over the data, from the batch ``first`` on."""
        n, size = self.x.shape[0], self.batch_size
        order = np.random.default_rng([seed, number]).permutation(n) if self.shuffle else None
        last = min(first + count, self.total)
        while first < last:
            together = max(1, min(pace.batches, last - first, n // size - first))
            start, stop = first * size, min((first + together) * size, n)
            rows = slice(start, stop) if order is None else order[start:stop]
            yield Batch(
                self.x,
                rows,
                min(size, stop - start),
                None if self.y is None else self.y[rows],
                None if self.weight is None else self.weight[rows],
                self._gather,
                together,
            )
            first += together


class IterableBatches:
    """Batches that an iterable yields: a generator, a data loader, a list of batches.

    An element is ``x``, ``(x, y)`` or ``(x, y, sample_weight)``.

    Parameters
    ----------
    source : iterable, or object with ``__len__`` and ``__getitem__``
    steps : int, optional
        Batches per epoch; without it an epoch ends when the iterable does.
    class_weight : dict, optional
    """

    def __init__(
        self,
        source: Any,
        steps: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        shuffle: bool = False,
    ) -> None:
        self._source = source
        self._steps = steps
        self._class_weight = class_weight
        self._shuffle = shuffle
        self._iterator: Iterator[Any] | None = None
        self.exhausted = False
        self.num_batches: int | None = steps
        if steps is None and hasattr(source, "__len__"):
            self.num_batches = len(source)

    def epoch(self, seed: int, epoch: int, pace: Pace) -> Iterator[Batch]:
        """Yield the batches of one epoch, one at a time."""
        count = 0
        while self._steps is None or count < self._steps:
            if self._iterator is None:
                self._iterator = self._start(seed, epoch)
                fresh = True
            else:
                fresh = False
            try:
                item = next(self._iterator)
            except StopIteration:
                again = self._ended()
                if count == 0 and again and not fresh:
                    continue
                if count == 0 or self._steps is not None:
                    warn_short(count)
                return
            count += 1
            yield self._batch(item)

    def _ended(self) -> bool:
        """Note the end of a pass; return whether another one can start."""
        self._iterator = None
        if iter_once(self._source):
            self.exhausted = True
            return False
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()
        return True

    def _start(self, seed: int, epoch: int) -> Iterator[Any]:
        source = self._source
        if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
            order = np.arange(len(source))
            if self._shuffle:
                order = np.random.default_rng([seed, epoch]).permutation(len(source))
            return (source[int(i)] for i in order)
        return iter(source)

    def _batch(self, item: Any) -> Batch:
        x, y, weight = unpack_x_y_sample_weight(item)
        array = as_array(x, "x")
        targets = None if y is None else as_array(y, "y")
        weights = None if weight is None else as_array(weight, "sample_weight")
        check_cardinality(array, targets, weights)
        if self._class_weight is not None:
            if weights is not None:
                raise ValueError(
                    "You cannot `class_weight` and `sample_weight` at the same time. "
                    f"Received: class_weight={self._class_weight}"
                )
            weights = class_weights(self._class_weight, targets)
        return Batch(array, None, array.shape[0], targets, weights)


Batches = ArrayBatches | IterableBatches


def warn_short(count: int) -> None:
    """Warn that an epoch ended after ``count`` batches because there were no more."""
    warnings.warn(
        "Your input ran out of data; interrupting training. Make sure that your dataset or "
        "generator can generate at least `steps_per_epoch * epochs` batches. "
        f"Received: {count} batches in this epoch.",
        stacklevel=5,
    )


def iter_once(source: Any) -> bool:
    """Return whether ``source`` can be iterated over only once."""
    return isinstance(source, Iterator)


def is_batches(x: Any) -> bool:
    """Return whether ``x`` yields batches, as opposed to being data itself."""
    if isinstance(x, np.ndarray) or hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return False
    if isinstance(x, list | tuple):
        return bool(x) and isinstance(x[0], tuple) and len(x[0]) in (2, 3)
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def make_batches(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    shuffle: bool,
    class_weight: Mapping[int, float] | None = None,
    steps: int | None = None,
) -> Batches:
    """Return the batches for what users pass to ``fit``, ``evaluate`` or ``predict``.

    Raises
    ------
    ValueError
        If lengths differ, targets come beside an iterable, or a number is out of range.
    """
    if steps is not None and (not isinstance(steps, int | np.integer) or steps < 1):
        raise ValueError(f"The number of steps must be a positive int. Received: steps={steps!r}")
    if x is None:
        raise ValueError("`x` is missing. Received: x=None")
    if is_batches(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"`{name}` should not be passed when `x` yields batches: they hold it. "
                    f"Received: x={type(x)}, {name}={type(value)}"
                )
        return IterableBatches(x, steps, class_weight, shuffle and not iter_once(x))
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer | None):
        raise ValueError(f"`batch_size` must be an int. Received: batch_size={batch_size!r}")
    size = 32 if batch_size is None else int(batch_size)
    if size < 1:
        raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
    array = as_array(x, "x")
    targets = None if y is None else as_array(y, "y")
    weights = None if sample_weight is None else as_array(sample_weight, "sample_weight")
    check_cardinality(array, targets, weights)
    if array.shape[0] == 0:
        raise ValueError(f"`x` must not be empty. Received: x.shape={array.shape}")
    return ArrayBatches(array, targets, weights, size, shuffle, class_weight, steps)


def split_validation(
    arrays: tuple[Any, Any, Any], validation_split: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Return (x, y, sample_weight) for training and, the last rows, for validation.

    Raises
    ------
    ValueError
        If the data are no arrays, or a part would be empty.
    """
    if not 0 < validation_split < 1:
        raise ValueError(
            f"`validation_split` must be in [0, 1). Received: validation_split={validation_split}"
        )
    if is_batches(arrays[0]):
        raise ValueError(
            "Argument `validation_split` is only supported for arrays. "
            f"Received: x of type {type(arrays[0])}"
        )
    names = ("x", "y", "sample_weight")
    parts = [None if a is None else as_array(a, n) for n, a in zip(names, arrays, strict=True)]
    n = 0 if parts[0] is None else parts[0].shape[0]
    cut = math.floor(n * (1.0 - validation_split))
    if cut == 0 or cut == n:
        raise ValueError(
            f"Training data contains {n} samples, which is not sufficient to split it into a "
            f"validation and training set as specified by `validation_split={validation_split}`. "
            "Either provide more data, or a different value for the `validation_split` argument."
        )
    train = tuple(None if p is None else p[:cut] for p in parts)
    held_out = tuple(None if p is None else p[cut:] for p in parts)
    return train, held_out  # type: ignore[return-value]
