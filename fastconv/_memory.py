"""Memory of large results, kept for later ones.

A process gives large arrays back to the system and gets them again page by page, each of which the
system clears first: that takes longer than many a kernel that fills them. So the latest large
blocks are kept, and one that nothing refers to any more is used again.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.uint8]

#: Bytes of a cache line.
LINE = 64
#: Most blocks; those that are looked through take a few microseconds.
_BLOCKS = 32
#: Most sizes whose latest place is remembered.
_HINTS = 256


def _to_line(block: Block) -> int:
    return int(-block.ctypes.data % LINE)


class KeptMemory:
    """The latest blocks that `take` returned, `limit` bytes at most, in use or not.

    Threads need no lock: a block that is looked at has one more reference, which makes it one in
    use for the others.

    Parameters
    ----------
    limit : int
        Bytes; 0 keeps nothing.

    Examples
    --------
    >>> memory = KeptMemory(1 << 20)
    >>> block = memory.take(1000)
    >>> block.fill(7)
    >>> memory.take(1000) is block
    False
    >>> del block
    >>> int(memory.take(900)[0])
    7
    """

    def __init__(self, limit: int) -> None:
        self._blocks: list[Block] = []
        self._hints: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        self._unused = self._references_of_unused()
        self.limit = limit

    @property
    def limit(self) -> int:
        """Bytes that are kept at most; with less, the oldest blocks are let go."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        counts = getattr(sys, "_is_gil_enabled", lambda: True)()  # else references are not exact
        self._limit = limit if counts else 0
        self._let_go()

    def take(self, size: int) -> Block:
        """A block of `size` bytes or up to a quarter more, whatever is in them."""
        most = size + size // 4
        hint = self._hints.get(size, 0)
        # First where it was the last time, in a list that refers to it as well, then everywhere.
        for block in self._blocks[hint : hint + 1]:
            if size <= block.size <= most and sys.getrefcount(block) == self._unused + 1:
                return block
        index = 0
        for block in self._blocks:
            if size <= block.size <= most and sys.getrefcount(block) == self._unused:
                if len(self._hints) >= _HINTS:
                    self._hints.clear()
                self._hints[size] = index
                return block
            index += 1  # noqa: SIM113 - enumerate would refer to the block, too
        block = np.empty(size, np.uint8)
        if size <= self._limit:
            self._starts[id(block)] = _to_line(block)
            self._blocks.append(block)
            self._let_go()
        return block

    def line_of(self, block: Block) -> int:
        """Where the first line of the cache begins in a block that `take` returned."""
        # Known for those that are kept: to ask NumPy takes as long as a small kernel.
        start = self._starts.get(id(block))
        return _to_line(block) if start is None else start

    def _let_go(self) -> None:
        blocks = self._blocks
        while len(blocks) > _BLOCKS or sum(block.size for block in blocks) > self._limit:
            for block in blocks[:1]:  # another thread may have taken it
                self._starts.pop(id(block), None)
            del blocks[:1]

    def _references_of_unused(self) -> int:
        """What `take` sees of a block in the list alone; versions of Python differ."""
        self._blocks.append(np.empty(0, np.uint8))
        seen = 0
        for block in self._blocks:
            seen = sys.getrefcount(block)
        del self._blocks[0]
        return seen


#: Of the array API; see `fastconv.runtime.set_kept_memory`.
results = KeptMemory(128 << 20)
