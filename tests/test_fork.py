"""A process made by fork begins without workers and makes its own when it needs them."""

import os
import signal
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from reference import random

from fastconv import runtime
from fastconv.functional import conv2d

TASKS = "/proc/self/task"
pytestmark = pytest.mark.skipif(not os.path.isdir(TASKS), reason="needs Linux's /proc")

X, KERNEL = random((4, 32, 32, 32), "float32"), random((3, 3, 32, 32), "float32")


def in_child(check: Callable[[], bool]) -> int:
    """Exit status of a child that runs `check`: 0 if it returned True; 14 if it hung."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_child_has_as_many_threads_as_asked_for(threads: int) -> None:
    runtime.set_num_threads(3)
    expected = conv2d(X, KERNEL)

    def check() -> bool:
        at_first = len(os.listdir(TASKS))
        runtime.set_num_threads(threads)
        right = np.array_equal(conv2d(X, KERNEL), expected)
        return right and (at_first, len(os.listdir(TASKS))) == (1, threads)

    assert in_child(check) == 0
    assert np.array_equal(conv2d(X, KERNEL), expected)
