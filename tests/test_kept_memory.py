"""Memory of results that nothing refers to is used again, no other."""

import threading
import weakref

import numpy as np
import pytest

import fastconv
from fastconv import runtime
from fastconv._memory import KeptMemory


def test_only_unused_memory_is_used_again() -> None:
    memory = KeptMemory(1 << 20)
    first, second = memory.take(1000), memory.take(1000)
    assert not np.shares_memory(first, second)
    address, view = first.ctypes.data, first[10:20]
    del first
    assert memory.take(1000).ctypes.data != address, "a view still refers to it"
    del view
    assert memory.take(1000).ctypes.data == address


def test_much_larger_blocks_are_not_given_away() -> None:
    memory = KeptMemory(1 << 20)
    address = memory.take(2000).ctypes.data
    assert memory.take(1000).ctypes.data != address
    assert memory.take(1600).ctypes.data == address


def test_the_oldest_are_let_go() -> None:
    memory = KeptMemory(2500)
    kept = weakref.ref(memory.take(1000))
    memory.take(1001 * 2)
    assert kept() is None
    block = weakref.ref(memory.take(2000))
    assert block() is not None
    memory.limit = 0
    assert block() is None


def test_larger_than_the_limit() -> None:
    memory = KeptMemory(100)
    block = weakref.ref(memory.take(101))
    assert block() is None


def test_results_of_several_threads() -> None:
    """A result is never handed out twice, whichever thread drops it when."""
    x = np.ones((4, 64, 64, 17), np.float32)
    failures = []

    def work(value: float) -> None:
        kernel = np.full((1, 1, 17, 17), value, np.float32)
        kept = [fastconv.conv2d(x, kernel) for _ in range(3)]
        for i in range(60):
            kept[i % 3] = fastconv.conv2d(x, kernel)
            if any((y != 17 * value).any() for y in kept):
                failures.append(value)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_setting() -> None:
    before = runtime.get_kept_memory()
    try:
        runtime.set_kept_memory(0)
        x = np.zeros((1, 512, 512, 1), np.float32)
        y = weakref.ref(fastconv.activate(x, "relu").base)
        assert y() is None
        with pytest.raises(ValueError, match="`size` must not be negative"):
            runtime.set_kept_memory(-1)
        with pytest.raises(TypeError, match="`size` must be an integer"):
            runtime.set_kept_memory(1.5)  # type: ignore[arg-type]
    finally:
        runtime.set_kept_memory(before)


def test_where_lines_begin() -> None:
    memory = KeptMemory(4000)
    blocks = [memory.take(size) for size in (1000, 1100, 1500, 1700, 5000, 900)]
    blocks += [memory.take(size) for size in (1001, 3000)]
    for block in blocks:
        start = memory.line_of(block)
        assert 0 <= start < 64
        assert (block.ctypes.data + start) % 64 == 0
