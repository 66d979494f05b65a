"""fastconv with ``algorithm="winograd"``, to judge the choice that "auto" makes."""

from __future__ import annotations

from fastconv.bench.peers import Peer
from fastconv.bench.peers.fastconv import FastConv


def connect(threads: int) -> Peer:
    return FastConv(threads, "winograd")
