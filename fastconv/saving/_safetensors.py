"""The safetensors format: a JSON header, then the arrays one after another.

The format is that of https://github.com/huggingface/safetensors: eight bytes with the header's
length, the header, the data.
"""

import json
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv._variable import Variable
from fastconv.saving import _archive
from fastconv.saving._atomic import replacing

Array = NDArray[Any]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}
_LARGEST_HEADER = 100_000_000


def _named(model: Any) -> dict[str, Variable]:
    """Return the weights by ``layer/weight``."""
    prefix = f"{model.name}/"
    return {v.path.removeprefix(prefix): v for v in model.weights}


def save(model: Any, filepath: str, overwrite: bool) -> None:
    """Write the weights to a ``.safetensors`` file."""
    header: dict[str, Any] = {"__metadata__": {"format": "np", "writer": "fastconv"}}
    codes = {np.dtype(text).name: code for code, text in _DTYPES.items()}
    start = 0
    named = _named(model)
    for name, variable in named.items():
        size = variable.value.nbytes
        header[name] = {
            "dtype": codes[variable.dtype],
            "shape": list(variable.shape),
            "data_offsets": [start, start + size],
        }
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with replacing(filepath, overwrite) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for variable in named.values():
            little = variable.value.astype(variable.value.dtype.newbyteorder("<"), copy=False)
            file.write(np.ascontiguousarray(little).tobytes())


def load(model: Any, filepath: str, skip_mismatch: bool) -> None:
    """Read the weights from a ``.safetensors`` file, after all have been checked.

    Raises
    ------
    ValueError
        If the file is damaged or does not fit the model.
    """
    size = os.path.getsize(filepath)
    todo = []
    with open(filepath, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LARGEST_HEADER):
            raise ValueError(f"The header is damaged. Received: filepath={filepath}")
        header = _archive.parse_json(file.read(length), filepath)
        first = 8 + length
        named = _named(model)
        for name, variable in named.items():
            entry = header.get(name)
            problem = _problem(entry, variable, size - first)
            if problem is None:
                file.seek(first + entry["data_offsets"][0])  # type: ignore[index]
                raw = file.read(entry["data_offsets"][1] - entry["data_offsets"][0])  # type: ignore[index]
                array = np.frombuffer(raw, _DTYPES[entry["dtype"]])  # type: ignore[index]
                todo.append((array.reshape(variable.shape), variable))
            elif skip_mismatch:
                warnings.warn(f"Left out {name!r}: {problem}.", stacklevel=4)
            else:
                raise ValueError(
                    f"The file does not fit {name!r}: {problem}. Received: filepath={filepath}"
                )
    for array, variable in todo:
        variable.assign(array)


def _problem(entry: Any, variable: Variable, data_size: int) -> str | None:
    """Return what is wrong with an entry of the header, or None."""
    if not isinstance(entry, dict):
        return "it is missing"
    dtype = _DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        return f"its dtype is {entry.get('dtype')!r}"
    if entry.get("shape") != list(variable.shape):
        return f"its shape is {entry.get('shape')}, expected was {list(variable.shape)}"
    offsets = entry.get("data_offsets")
    if not isinstance(offsets, list) or [type(offset) for offset in offsets] != [int, int]:
        return f"its data_offsets are {offsets!r}"
    start, stop = offsets
    expected = variable.size * np.dtype(dtype).itemsize
    if start < 0 or stop - start != expected or stop > data_size:
        return f"its data_offsets are {offsets}, in {data_size} bytes of data"
    return None
