"""Threads: their number, what may not depend on it, concurrent callers, the GIL and fork."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from reference import random, same_bytes

import fastconv
from fastconv import runtime

X = random((4, 28, 28, 32), "float32")
KERNEL = random((3, 3, 32, 32), "float32")
DY = random((4, 26, 26, 32), "float32")
POOLED = random((4, 14, 14, 32), "float32")
ROWS, MATRIX = random((128, 600), "float32"), random((600, 200), "float32")
Y_DENSE = random((128, 200), "float32")

WORK: dict[str, Callable[[], Any]] = {
    "conv2d": lambda: fastconv.conv2d(X, KERNEL, activation="tanh"),
    "conv2d one image": lambda: fastconv.conv2d(X[:1], KERNEL, padding="same"),
    "conv2d_backward": lambda: fastconv.conv2d_backward(DY, X, KERNEL),
    "conv2d few channels": lambda: fastconv.conv2d(X[..., :1], random((5, 5, 1, 32), "float32")),
    "depthwise": lambda: fastconv.depthwise_conv2d(X, KERNEL[..., :2]),
    "depthwise_backward": lambda: fastconv.depthwise_conv2d_backward(DY, X, KERNEL[..., :1]),
    "max_pool2d": lambda: fastconv.max_pool2d(X, return_indices=True),
    "avg_pool2d": lambda: fastconv.avg_pool2d(X, 3, 2, "same"),
    "avg_pool2d_backward": lambda: fastconv.avg_pool2d_backward(POOLED, X.shape),
    "dense": lambda: fastconv.dense(ROWS, MATRIX),
    "dense_backward": lambda: fastconv.dense_backward(Y_DENSE, ROWS, MATRIX),
}


def equal(a: Any, b: Any) -> bool:
    pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
    return all(same_bytes(first, second) for first, second in pairs)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, killed after a minute: a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", WORK)
def test_results_do_not_depend_on_the_number_of_threads(name: str, isa: str) -> None:
    runtime.set_num_threads(1)
    expected = WORK[name]()
    for threads in (2, 3, 4, 5, 8, 64):
        runtime.set_num_threads(threads)
        assert equal(WORK[name](), expected), f"{threads} threads"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_concurrent_callers_do_not_disturb_each_other(threads: int) -> None:
    expected = {name: work() for name, work in WORK.items()}
    runtime.set_num_threads(threads)

    def caller(first: int) -> list[str]:
        names = list(WORK)[first:] + list(WORK)[:first]
        return [name for name in 3 * names if not equal(WORK[name](), expected[name])]

    with ThreadPoolExecutor(4) as pool:
        wrong = list(pool.map(caller, (0, 3, 6, 9)))
    assert wrong == [[], [], [], []]


def test_number_of_threads_may_change_under_way() -> None:
    expected = WORK["conv2d"]()
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for threads in (1, 3, 2, 4):
                runtime.set_num_threads(threads)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        results = [equal(WORK["conv2d"](), expected) for _ in range(30)]
    finally:
        stop.set()
        changer.join(30)
    assert all(results)
    assert not changer.is_alive()


def test_other_python_threads_run_during_a_call() -> None:
    """A thread that wakes every millisecond must do so within a long call, not only around it."""
    x, kernel = random((16, 56, 56, 64), "float32"), random((5, 5, 64, 64), "float32")
    fastconv.set_num_threads(1)
    wakes: list[float] = []
    stop = threading.Event()

    def clock() -> None:
        while not stop.wait(0.001):
            wakes.append(time.perf_counter())

    thread = threading.Thread(target=clock)
    thread.start()
    try:
        time.sleep(0.02)
        start = time.perf_counter()
        fastconv.conv2d(x, kernel, algorithm="direct")
        end = time.perf_counter()
    finally:
        stop.set()
        thread.join(30)
    margin = 0.1 * (end - start)
    within = [t for t in wakes if start + margin < t < end - margin]
    assert len(within) >= 5, f"{len(within)} wakes in a call of {end - start:.3f} s"


def test_set_and_get() -> None:
    for threads in (1, 2, 7):
        fastconv.set_num_threads(threads)
        assert fastconv.get_num_threads() == threads


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None, 2**40], ids=repr)
def test_bad_numbers_of_threads(value: Any) -> None:
    before = fastconv.get_num_threads()
    with pytest.raises((TypeError, ValueError), match=r"`n`.*Received: n="):
        fastconv.set_num_threads(value)
    with (
        pytest.raises((TypeError, ValueError), match=r"`n`.*Received: n="),
        fastconv.threads(value),
    ):
        pass
    assert fastconv.get_num_threads() == before


def test_context_manager_restores() -> None:
    fastconv.set_num_threads(2)
    with fastconv.threads(3):
        assert fastconv.get_num_threads() == 3
        with fastconv.threads(1):
            assert fastconv.get_num_threads() == 1
        assert fastconv.get_num_threads() == 3
    assert fastconv.get_num_threads() == 2
    with pytest.raises(KeyError), fastconv.threads(1):
        raise KeyError
    assert fastconv.get_num_threads() == 2


def test_environment_variable_sets_the_number() -> None:
    code = "import fastconv; print(fastconv.get_num_threads())"
    assert run(code, FASTCONV_NUM_THREADS="3").stdout.strip() == "3"
    for bad in ("zero", "0", "-2", "1.5"):
        process = run(code, FASTCONV_NUM_THREADS=bad)
        assert process.returncode != 0, bad
        assert "FASTCONV_NUM_THREADS" in process.stderr
        assert bad in process.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_default_is_what_the_process_may_use() -> None:
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import fastconv
        print(fastconv.get_num_threads())
    """
    process = run(code, FASTCONV_NUM_THREADS="")
    assert process.stdout.strip() == "1", process.stderr
    process = run("import fastconv; print(fastconv.get_num_threads())", FASTCONV_NUM_THREADS="")
    assert 1 <= int(process.stdout) <= len(os.sched_getaffinity(0))


def test_denormals_of_the_caller_survive() -> None:
    """Workers flush denormals for speed; the caller's own arithmetic stays as it was."""
    for threads in (1, 2):
        runtime.set_num_threads(threads)
        for work in WORK.values():
            work()
            assert float(np.float32(1e-40) * np.float32(0.5)) > 0


FORK = """
    import os, sys
    import numpy as np
    import fastconv
    fastconv.set_num_threads(2)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 28, 28, 32), dtype="float32")
    kernel = rng.standard_normal((3, 3, 32, 32), dtype="float32")
    expected = fastconv.conv2d(x, kernel).tobytes()
    def right():
        return all(fastconv.conv2d(x, kernel).tobytes() == expected for _ in range(5))
    def child_is_right():
        child = os.fork()
        if child == 0:
            os._exit(0 if right() else 1)
        return os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "code",
    [
        "assert child_is_right()\nassert right()",
        "assert all(child_is_right() for _ in range(5))\nassert right()",
        # A child that forks again.
        """
child = os.fork()
if child == 0:
    os._exit(0 if right() and child_is_right() and right() else 1)
assert os.waitpid(child, 0)[1] == 0
assert right()
""",
        # A fork while another thread is in the middle of calls.
        """
import threading
stop = threading.Event()
def work():
    while not stop.is_set():
        fastconv.conv2d(x, kernel)
thread = threading.Thread(target=work)
thread.start()
assert all(child_is_right() for _ in range(20))
stop.set()
thread.join()
assert right()
""",
        # Processes that multiprocessing forks.
        """
import multiprocessing
def job(i):
    return fastconv.conv2d(x, kernel).tobytes() == expected
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert all(pool.map(job, range(12)))
assert right()
""",
    ],
    ids=["once", "often", "nested", "while-busy", "multiprocessing"],
)
def test_fork(code: str) -> None:
    process = run(textwrap.dedent(FORK) + code + "\nprint('done')")
    assert process.stdout.strip() == "done", process.stderr


def test_program_ends_with_threads_running() -> None:
    """The interpreter exits while a daemon thread is in the middle of a call."""
    code = """
        import threading, time
        import numpy as np
        import fastconv
        fastconv.set_num_threads(3)
        x, kernel = np.ones((16, 28, 28, 32), "float32"), np.ones((3, 3, 32, 32), "float32")
        def work():
            while True:
                fastconv.conv2d(x, kernel)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.2)
        print("done")
    """
    process = run(code)
    assert process.stdout.strip() == "done", process.stderr
    assert process.returncode == 0
