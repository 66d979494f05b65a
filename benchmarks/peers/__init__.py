"""One adapter per library. They live in `fastconv.bench.peers`, for ``fastconv bench`` too."""

from fastconv.bench.peers import PEERS, RIVALS, Peer, Variant, connect

__all__ = ["PEERS", "RIVALS", "Peer", "Variant", "connect"]
