"""What every test starts from: Keras's defaults, the best kernels, one setting of threads."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="fastconv-no-keras-json-")

from reference import SANITIZED

import fastconv
from fastconv import runtime

# A shell that starts tests in the background lets them ignore interruptions, which some send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs that a test starts use the package under test, not sources in the current folder.
os.environ["PYTHONSAFEPATH"] = "1"
os.environ["PYTHONPATH"] = str(Path(fastconv.__file__).parents[1])


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["KERAS_HOME"], ignore_errors=True)


def pytest_report_header() -> str:
    return f"fastconv: isa {runtime.isa()} of {runtime.available_isas()}"


@pytest.fixture(autouse=True)
def _restored_runtime() -> Iterator[None]:
    """Undo what a test sets."""
    isa, threads = runtime.isa(), runtime.get_num_threads()
    yield
    runtime.set_isa(isa)
    runtime.set_num_threads(threads)


def _uses_matrix_unit(module: ModuleType) -> bool:
    return "amx" in runtime.available_isas() and getattr(module, "MATRIX_UNIT", True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let `isa` be each instruction set that this machine can run.

    A module with ``MATRIX_UNIT = False`` tests kernels that those with a matrix unit share with
    the one that they extend.
    """
    if "isa" in metafunc.fixturenames:
        matrix = _uses_matrix_unit(metafunc.module)
        isas = [isa for isa in runtime.available_isas() if isa != "amx" or matrix]
        metafunc.parametrize("isa", isas, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would be tested twice: matrix units multiply float32 only.

    Sanitizers look for stray accesses of bodies that all instruction sets and types share: they
    see each instruction set with float32, and the best one with float64, too. Where a module uses
    the matrix unit, its table stands for the one that it extends.
    """
    best = next(isa for isa in runtime.available_isas() if isa != "amx")

    def again(item: pytest.Item) -> bool:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        isa, dtype = parameters.get("isa"), parameters.get("dtype")
        if isa is None:
            return False
        if dtype == "float64":
            return isa == "amx" or (SANITIZED and isa != best)
        shares = isa == best and _uses_matrix_unit(item.module)
        return SANITIZED and dtype == "float32" and shares

    twice = [item for item in items if again(item)]
    items[:] = [item for item in items if not again(item)]
    config.hook.pytest_deselected(items=twice)


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> None:
    """Take what is there before a module out of what its `clear_session()` look through.

    Twenty thousand tests and their reports take each of them half a second.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def isa(request: pytest.FixtureRequest) -> str:
    """The instruction set of a test, selected."""
    runtime.set_isa(request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return request.param
