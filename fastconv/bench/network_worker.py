"""The process of one contender in the comparison of networks; see `fastconv.bench.worker`."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.bench.case import Array
from fastconv.bench.installed import distributions_size, folder_size
from fastconv.bench.network_peers import Inference, NetworkPeer, Trainer, Way, connect
from fastconv.bench.networks import INFERENCE_BATCHES, NETWORKS, Network
from fastconv.bench.runner import mismatch
from fastconv.bench.worker import Methods, Racer, deviation, load, reason, run_process

#: A way to train that takes this many times longer for two batches than another stays out.
_TOO_SLOW = 3.0


class TooSlow(RuntimeError):
    """A way to train has no chance against another of the same library."""


#: The timed unit, and the predictions to compare.
Prepared = tuple[Callable[[], Any], Array]


@dataclass(frozen=True, slots=True)
class _Lane:
    name: str
    run: Callable[[], Any]


class NetworkWorker(Racer):
    """Answers the requests of `fastconv.bench.network_runner` for one peer."""

    def __init__(self, peer: NetworkPeer) -> None:
        super().__init__()
        self.peer = peer
        self._fastest = float("inf")  # seconds of two batches, among the ways to train

    def prepare(
        self, network: str, task: str, images: int, expected: str, keep: str
    ) -> dict[str, Any]:
        """Set a task up, every way warm.

        Compare the predictions with those in the file ``expected``; write them to ``keep``. A way
        that fails or computes something else is left out; its name and the reason are in the
        answer under "skipped".
        """
        self.release()
        self._fastest = float("inf")
        makers = self._makers(NETWORKS[network], task, images)
        if not makers:
            return {"unsupported": "not offered"}
        lanes: list[_Lane] = []
        skipped: list[str] = []
        error = 0.0
        for name, make in makers:
            try:
                run, predictions = make()
            except Exception as failure:  # the other ways of the library go on
                skipped.append(f"{name}: {reason(failure)}")
                continue
            if keep:
                np.savez(keep, predictions)
            if expected:
                off = deviation((predictions,), load(expected))
                if mismatch(off):
                    skipped.append(f"{name}: {mismatch(off)}")
                    continue
                error = max(error, off)
            lanes.append(_Lane(name, run))
        if not lanes:
            return {"failed": "; ".join(skipped)}
        self.line_up(lanes)
        return {"error": error, "skipped": skipped}

    def _makers(
        self, network: Network, task: str, images: int
    ) -> list[tuple[str, Callable[[], Prepared]]]:
        """Every way to do the task: its name, and what prepares it."""
        kind, _, size = task.partition("-")
        makers: list[tuple[str, Callable[[], Prepared]]] = []
        if kind == "train":
            batch = int(size)
            ways = self.peer.training(network, batch)
            checks = self.peer.training(network.without_dropout(), batch)
            for way, check in zip(ways, checks, strict=True):
                make = partial(self._train, way, check, network, images, batch)
                makers.append((way.name, make))
            return makers
        x = network.data(1 if kind == "latency" else images).x
        for batch in (1,) if kind == "latency" else INFERENCE_BATCHES:
            prefix = "" if kind == "latency" else f"batch {batch}, "
            for inference in self.peer.inference(network, x, batch):
                name = f"{prefix}{inference.name}".removesuffix(", ")
                makers.append((name, partial(_infer, inference)))
        return makers

    def _train(
        self,
        way: Way[Trainer],
        check: Way[Trainer],
        network: Network,
        images: int,
        batch: int,
    ) -> Prepared:
        """Prepare one way; ``check`` is the same way for the network without dropout."""
        # One step: shuffling changes nothing, and Adam has not yet amplified the rounding of tiny
        # gradients.
        checked = check.make()
        checked.load(network.data(batch))
        checked.epoch()
        predictions = checked.predict()
        trainer = way.make()
        trainer.load(network.data(2 * batch))
        trainer.epoch()
        start = time.perf_counter()
        trainer.epoch()
        seconds = time.perf_counter() - start
        if seconds > _TOO_SLOW * self._fastest:
            factor = seconds / self._fastest
            raise TooSlow(f"{factor:.0f} times slower on two batches than another way")
        self._fastest = min(self._fastest, seconds)
        trainer.load(network.data(images))
        trainer.epoch()
        return trainer.epoch, predictions

    def import_seconds(self) -> dict[str, Any]:
        """Import the library and NumPy in a fresh interpreter."""
        modules = ", ".join(["numpy", *self.peer.modules])
        code = f"import time; t = time.perf_counter(); import {modules}\n"
        code += "print('seconds:', time.perf_counter() - t)"
        printed = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
        ).stdout
        return {"value": float(printed.rpartition("seconds:")[2])}

    def installed_bytes(self) -> dict[str, Any]:
        """The size of the library with the distributions that it requires."""
        size = distributions_size({"numpy", *self.peer.distributions})
        own = Path(__file__).parents[1]
        return {"value": size + (folder_size(own) if self.peer.name == "fastconv" else 0)}

    def peak_bytes(self, network: str, images: int, batch: int) -> dict[str, Any]:
        """Train in the plainest way for two epochs; return the peak memory of this process."""
        ways = self.peer.training(NETWORKS[network], batch)
        if not ways:
            return {"unsupported": "not offered"}
        trainer = ways[0].make()
        trainer.load(NETWORKS[network].data(images))
        for _ in range(2):
            trainer.epoch()
        return {"value": peak_memory()}


def _infer(way: Way[Inference]) -> Prepared:
    run = way.make()
    return run, run()


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes.

    Linux counts the parent's memory before `exec` in `getrusage`, not in the status file.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _start() -> tuple[dict[str, Any], Methods]:
    peer = connect(sys.argv[1], int(sys.argv[2]))
    worker = NetworkWorker(peer)
    methods: Methods = {
        "prepare": worker.prepare,
        "round": worker.round,
        "release": worker.release,
        "import_seconds": worker.import_seconds,
        "installed_bytes": worker.installed_bytes,
        "peak_bytes": worker.peak_bytes,
    }
    return {"name": peer.name, "version": peer.version}, methods


if __name__ == "__main__":
    run_process(_start)
