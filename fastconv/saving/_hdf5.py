"""HDF5 groups as trees of arrays, with nothing followed out of the file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv._variable import Variable

Array = NDArray[Any]


@contextmanager
def reading(data: bytes | str, filepath: str) -> Iterator[Any]:
    """Yield an open HDF5 file, given its bytes or its path.

    Raises
    ------
    ValueError
        If it is not HDF5, or damaged.
    """
    import h5py  # type: ignore[import-untyped]

    try:
        file = h5py.File(io.BytesIO(data) if isinstance(data, bytes) else data, "r")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"The file is not valid HDF5, or damaged ({error}). Received: filepath={filepath}"
        ) from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(
                f"The HDF5 data are damaged ({error}). Received: filepath={filepath}"
            ) from error


@contextmanager
def writing(target: Any) -> Iterator[Any]:
    """Yield a new HDF5 file that ends up in ``target``, a binary file."""
    import h5py

    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        yield file
    target.write(memory.getbuffer())


def child(group: Any, path: str, filepath: str) -> Any:
    """Return the group or data set at ``path`` below ``group``, or None.

    Raises
    ------
    ValueError
        If a link on the way, soft or external, leads elsewhere.
    """
    import h5py

    current = group
    for part in path.split("/"):
        if not isinstance(current, h5py.Group):
            return None
        link = current.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"The file holds a link in place of data, at {path!r}. "
                f"Received: filepath={filepath}"
            )
        current = current[part]
    return current


def array_of(dataset: Any, filepath: str) -> Any:
    """Return a data set once it is known to lie inside the file and to hold numbers.

    Raises
    ------
    ValueError
        If it does not.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"A data set is missing. Received: filepath={filepath}")
    if dataset.external or dataset.is_virtual:
        raise ValueError(
            f"The data set {dataset.name!r} keeps its values in another file. "
            f"Received: filepath={filepath}"
        )
    if dataset.dtype.kind not in "biuf":
        raise ValueError(
            f"The data set {dataset.name!r} does not hold numbers. "
            f"Received: dtype={dataset.dtype}, filepath={filepath}"
        )
    return dataset


def mismatch(datasets: list[Any], variables: list[Variable]) -> str | None:
    """Return how the numbers or shapes differ, or None."""
    if len(datasets) != len(variables):
        return f"it has {len(datasets)} arrays and {len(variables)} were expected"
    for dataset, variable in zip(datasets, variables, strict=True):
        if tuple(dataset.shape) != variable.shape:
            return f"an array has shape {tuple(dataset.shape)}, expected was {variable.shape}"
    return None


def numbered(group: Any, filepath: str) -> list[Any]:
    """Return the data sets '0', '1', ... of a group in order."""
    if group is None:
        return []
    found: list[Any] = []
    while str(len(found)) in group:
        found.append(array_of(child(group, str(len(found)), filepath), filepath))
    return found


def read_into(datasets: list[Any], variables: list[Variable]) -> None:
    """Copy data sets of matching shapes into variables."""
    arrays = [np.asarray(dataset[()]) for dataset in datasets]
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)
