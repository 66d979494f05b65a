"""The runtime beside the results: environment, limits of the machine, build, other pools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastconv import _cgroup, runtime

ROOT = Path(__file__).resolve().parent.parent


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("FASTCONV_")} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("name", "value"), [("FASTCONV_ISA", "sse9"), ("FASTCONV_NUM_THREADS", "0"),
                        ("FASTCONV_NUM_THREADS", "many"), ("FASTCONV_NUM_THREADS", "257")]
)  # fmt: skip
def test_bad_environment(name: str, value: str) -> None:
    run = run_python("import fastconv.runtime", **{name: value})
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ValueError: The environment variable {name} must be ")
    assert last.endswith(f"Received: {name}={value!r}")


def test_default_is_the_quota_rounded_up() -> None:
    run = run_python("import fastconv.runtime as r; print(r.get_num_threads())")
    assert int(run.stdout) == min(256, -int(-runtime.cpu_quota() // 1)), run.stderr


def test_largest_pool() -> None:
    for n in (256, 1):
        with runtime.threads(n):
            assert runtime.get_num_threads() == n
    with pytest.raises(ValueError, match="Received: n=257"):
        runtime.threads(257)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # the tightest of the group and those around it
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "300000 100000"}, 3.0),
        # the container's group seen from outside
        ("0::/docker/1f\n", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/../x\n", {"x/cpu.max": "20000 10000"}, 2.0),
        # version 1
        ("5:cpuset:/\n4:cpu,cpuacct:/d\n",
         {"cpu,cpuacct/d/cpu.cfs_quota_us": "250000\n",
          "cpu,cpuacct/d/cpu.cfs_period_us": "100000\n"}, 2.5),
        ("1:cpu:/\n0::/\n",
         {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "5\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
        ("nonsense\n", {"cpu.max": "1"}, None),
        ("0::/\n", {"cpu.max": "a b c"}, None),
    ],
)  # fmt: skip
def test_cgroup_limit(
    tmp_path: Path, groups: str, files: dict[str, str], limit: float | None
) -> None:
    write(tmp_path, {"proc/self/cgroup": groups})
    write(tmp_path / "sys/fs/cgroup", files)
    assert _cgroup.cpu_limit(str(tmp_path / "proc"), str(tmp_path / "sys")) == limit


def test_no_cgroups(tmp_path: Path) -> None:
    assert _cgroup.cpu_limit(str(tmp_path), str(tmp_path)) is None


def test_quota_is_the_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cgroup, "cpu_limit", lambda: 0.5)
    assert runtime.cpu_quota() == 0.5
    monkeypatch.setattr(_cgroup, "cpu_limit", lambda: 1e6)
    assert runtime.cpu_quota() == len(os.sched_getaffinity(0))


def test_build_info() -> None:
    info = runtime.build_info()
    assert info["compiler"].split()[0] in {"gcc", "clang"}
    assert "-std=c11" in info["flags"]
    assert set(runtime.available_isas()) <= set(info["isas"])
    assert Path(info["extension"]).exists()


THREADPOOLCTL = """
import sys
if "before" in sys.argv: import threadpoolctl
import fastconv
from fastconv import runtime
if "before" not in sys.argv:
    assert "threadpoolctl" not in sys.modules
    import threadpoolctl
    runtime.register_threadpoolctl()
runtime.set_num_threads(3)
runtime.register_threadpoolctl()
found = [i for i in threadpoolctl.threadpool_info() if i["user_api"] == "fastconv"]
assert len(found) == 1, found
assert found[0]["num_threads"] == 3 and found[0]["version"] == fastconv.__version__, found
with threadpoolctl.threadpool_limits(limits=1):
    assert runtime.get_num_threads() == 1
with threadpoolctl.threadpool_limits(limits={"fastconv": 2}):
    assert runtime.get_num_threads() == 2
with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
    assert runtime.get_num_threads() == 3
print("limited", runtime.get_num_threads())
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_threadpoolctl(order: str) -> None:
    pytest.importorskip("threadpoolctl", minversion="3.5")
    run = run_python(f"import sys; sys.argv.append({order!r})\n{THREADPOOLCTL}")
    assert run.stdout == "limited 3\n", run.stderr


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import numpy as np
from fastconv import runtime
from fastconv.functional import conv2d
runtime.set_num_threads(2)
x = np.ones((2, 64, 64, 16), np.float32)
kernel = np.ones((3, 3, 16, 16), np.float32)
conv2d(x, kernel)
other = interpreters.create()
try:
    interpreters.run_string(other, "import fastconv._kernels")
except Exception:
    pass  # refused, by NumPy or by this module
interpreters.destroy(other)
conv2d(x, kernel)
print("end")
"""


def test_subinterpreter_leaves_the_pool_alone() -> None:
    run = run_python(SUBINTERPRETER)
    assert (run.returncode, run.stdout) == (0, "end\n"), run.stderr


FEW_THREADS = """
import os, resource, sys
import numpy as np
from fastconv import runtime
from fastconv.functional import conv2d
x = np.random.default_rng(0).standard_normal((8, 32, 32, 16), dtype="float32")
kernel = np.ones((3, 3, 16, 16), "float32")
runtime.set_num_threads(1)
expected = conv2d(x, kernel)
others = len(os.listdir("/proc/self/task"))
def workers():
    return len(os.listdir("/proc/self/task")) - others
size = 1024 * int(open("/proc/self/status").read().split("VmSize:")[1].split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
room = int(float(sys.argv[1]) * (1 << 20))
resource.setrlimit(resource.RLIMIT_AS, (size + room, hard))
runtime.set_num_threads(256)
try:
    conv2d(x, kernel)
except MemoryError:
    pass  # the threads took it all
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
started = workers()
assert 0 < started < 100, started
for _ in range(3):
    assert np.array_equal(conv2d(x, kernel), expected)
assert workers() == started
runtime.set_num_threads(2)
assert np.array_equal(conv2d(x, kernel), expected)
while workers() > 1:  # a thread that has ended may be listed a moment longer
    pass
print("end")
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("megabytes", [8, 14.3, 20.6, 26.9, 33.2, 40])
def test_fewer_threads_than_asked_for(megabytes: float) -> None:
    """The system refuses to make all: the pool runs with those it got, whatever memory is left."""
    run = run_python(f"import sys; sys.argv.append({str(megabytes)!r})\n{FEW_THREADS}")
    assert (run.returncode, run.stdout) == (0, "end\n"), run.stderr


def test_pool_in_c(tmp_path: Path) -> None:
    """The stand-alone test of the pool and the scratch memory."""
    compiler = shutil.which("cc")
    if compiler is None or not (ROOT / "src_c").is_dir():
        pytest.skip("needs a C compiler and the sources")
    program = tmp_path / "test_threads"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    sources = ["tests/c/test_threads.c", "src_c/threads.c", "src_c/scratch.c"]
    command = [compiler, *flags, "-Isrc_c", *sources, "-o", str(program)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    run = subprocess.run([program], capture_output=True, text=True, timeout=150)
    assert (run.returncode, run.stdout) == (0, "threads: ok\n"), run.stderr
