"""What runs: the instruction set, the threads, how the extension was built.

Two environment variables are read when the package is imported: ``FASTCONV_ISA``, one of
`available_isas`, and ``FASTCONV_NUM_THREADS``, 1 to 256. A bad value is a ValueError.

The threads are those of fastconv's own pool. One caller uses it at a time; others that compute
meanwhile do so on their own thread. It works in a process made by `os.fork`, too.
"""

from __future__ import annotations

import functools
import math
import operator
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, SupportsIndex

from fastconv import _cgroup, _kernels
from fastconv._measure import measure_copy_bandwidth as measure_copy_bandwidth
from fastconv._measure import measure_fma_peak as measure_fma_peak
from fastconv._memory import results
from fastconv._variable import moved

_MAX_THREADS = 256


def available_isas() -> list[str]:
    """Instruction sets that this build has kernels for and this processor can run, best first.

    Returns
    -------
    list of str
        Of ``"amx"``, ``"avx512"``, ``"avx2"``, ``"neon"``, ``"scalar"``; the last is always there.

    Examples
    --------
    >>> "scalar" in available_isas()
    True
    """
    return [name for i, name in enumerate(_kernels.isa_names()) if _kernels.isa_available(i)]


def isa() -> str:
    """Name of the instruction set in use.

    Examples
    --------
    >>> isa() in available_isas()
    True
    """
    return _kernels.isa_names()[_kernels.isa_current()]


def set_isa(name: str) -> None:
    """Use the kernels for instruction set `name` in all later calls, in every thread.

    Parameters
    ----------
    name : str
        One of `available_isas`.

    Raises
    ------
    ValueError
        If this build or this processor does not have it.

    Examples
    --------
    >>> set_isa(isa())
    """
    available = available_isas()
    if name not in available:
        raise ValueError(f"Argument `name` must be one of {available}. Received: name={name!r}")
    _kernels.isa_select(_kernels.isa_names().index(name))
    moved()


def get_num_threads() -> int:
    """Threads that a call may use, its own included.

    Unless set, as many as `cpu_quota` allows, rounded up.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return _kernels.get_num_threads()


def set_num_threads(n: int) -> None:
    """Let later calls use `n` threads, the caller included, in the whole process.

    Results do not depend on it. A call that is under way is not affected.

    Parameters
    ----------
    n : int
        1 to 256.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or out of range.

    See Also
    --------
    threads : the same for the length of a block.

    Examples
    --------
    >>> set_num_threads(get_num_threads())
    """
    _kernels.set_num_threads(_checked(n))


def get_kept_memory() -> int:
    """Bytes that `set_kept_memory` allows.

    Examples
    --------
    >>> get_kept_memory() >> 20
    128
    """
    return results.limit


def set_kept_memory(size: int) -> None:
    """Let the array API keep the memory of large results for later ones.

    The functions that return new arrays use memory again to which nothing refers any more: to get
    it from the system takes longer than many a kernel takes to fill it. It is the latest results of
    256 KB and more whose memory is kept, at most `size` bytes together, 128 MB unless set.

    Parameters
    ----------
    size : int
        Bytes; 0 lets go of all of it.

    Raises
    ------
    TypeError, ValueError
        If `size` is not an integer, or negative.

    Examples
    --------
    >>> set_kept_memory(get_kept_memory())
    """
    limit = _integer(size, "size")
    if limit < 0:
        raise ValueError(f"Argument `size` must not be negative. Received: size={size}")
    results.limit = limit


def threads(n: int) -> AbstractContextManager[None]:
    """A context in which calls use `n` threads, in the whole process; then as many as before.

    Parameters
    ----------
    n : int
        1 to 256.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or out of range.

    Examples
    --------
    >>> with threads(1):
    ...     get_num_threads()
    1
    """
    return _threads(_checked(n))


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = _kernels.get_num_threads()
    _kernels.set_num_threads(n)
    try:
        yield
    finally:
        _kernels.set_num_threads(before)


def _integer(value: SupportsIndex, name: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        message = f"Argument `{name}` must be an integer. Received: {name}={value!r}"
        raise TypeError(message) from None


def _checked(n: SupportsIndex) -> int:
    value = _integer(n, "n")
    if not 1 <= value <= _MAX_THREADS:
        raise ValueError(f"Argument `n` must be between 1 and {_MAX_THREADS}. Received: n={value}")
    return value


def cpu_quota() -> float:
    """CPUs that this process may use: its affinity, or less if its control group allows less.

    Returns
    -------
    float
        Not always whole: a container may be given half a CPU.

    Examples
    --------
    >>> cpu_quota() > 0
    True
    """
    try:
        affinity = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not on this system
        affinity = os.cpu_count() or 1
    limit = _cgroup.cpu_limit()
    return float(affinity) if limit is None else min(float(affinity), limit)


def build_info() -> dict[str, Any]:
    """How the extension was built.

    Returns
    -------
    dict
        ``compiler`` and ``flags``, str; ``isas``, list of str, the instruction sets that were
        compiled, whether this processor has them or not; ``extension``, str, the file.

    Examples
    --------
    >>> "-std=c11" in build_info()["flags"]
    True
    """
    flags, compiler = _kernels.build_flags()
    return {
        "compiler": compiler,
        "flags": flags,
        "isas": _kernels.isa_names(),
        "extension": _kernels.__file__,
    }


@functools.cache
def register_threadpoolctl() -> None:
    """Let threadpoolctl see and limit fastconv's threads, as ``user_api="fastconv"``.

    Done on import if threadpoolctl was imported before fastconv; a second call does nothing.

    Raises
    ------
    ModuleNotFoundError
        If threadpoolctl is not installed.

    Notes
    -----
    By the interface for other libraries in threadpoolctl 3.5:
    https://github.com/joblib/threadpoolctl
    """
    import threadpoolctl  # type: ignore[import-untyped,import-not-found,unused-ignore]

    class FastconvController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "fastconv"
        internal_api = "fastconv"
        filename_prefixes = ("_kernels",)
        check_symbols = ("fc_get_num_threads", "fc_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.fc_get_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.fc_set_num_threads(num_threads)

        def get_version(self) -> str:
            from fastconv import __version__

            return __version__

    threadpoolctl.register(FastconvController)


def _read_environment() -> None:
    name = os.environ.get("FASTCONV_ISA")
    if name:
        if name not in available_isas():
            raise ValueError(
                "The environment variable FASTCONV_ISA must be one of "
                f"{available_isas()}. Received: FASTCONV_ISA={name!r}"
            )
        set_isa(name)
    count = os.environ.get("FASTCONV_NUM_THREADS")
    if count:
        try:
            set_num_threads(int(count))
        except ValueError:
            raise ValueError(
                "The environment variable FASTCONV_NUM_THREADS must be an integer between 1 and "
                f"{_MAX_THREADS}. Received: FASTCONV_NUM_THREADS={count!r}"
            ) from None
    else:
        set_num_threads(min(math.ceil(cpu_quota()), _MAX_THREADS))


_read_environment()
if hasattr(sys.modules.get("threadpoolctl"), "register"):  # it came with version 3.5
    register_threadpoolctl()
