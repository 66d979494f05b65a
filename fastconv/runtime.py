"""What runs: the instruction set, the threads, how the extension was built."""

from __future__ import annotations

import os

from fastconv import _kernels


def available_isas() -> list[str]:
    """Instruction sets that this build has kernels for and this processor can run, best first.

    >>> "scalar" in available_isas()
    True
    """
    return [name for i, name in enumerate(_kernels.isa_names()) if _kernels.isa_available(i)]


def isa() -> str:
    """Name of the instruction set in use.

    >>> isa() in available_isas()
    True
    """
    return str(_kernels.isa_names()[_kernels.isa_current()])


def set_isa(name: str) -> None:
    """Use the kernels for instruction set `name` in all later calls, in every thread.

    Raises ValueError if `name` is not one of `available_isas()`.
    """
    if name not in available_isas():
        raise ValueError(f"Argument `name` must be one of {available_isas()}. Received: name={name!r}")
    _kernels.isa_select(_kernels.isa_names().index(name))


if os.environ.get("FASTCONV_ISA"):
    set_isa(os.environ["FASTCONV_ISA"])
