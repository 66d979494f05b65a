"""Instruction sets: which are there, which runs, and that all of them mean the same."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference import random

import fastconv
from fastconv import runtime


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_scalar_is_always_there_and_last() -> None:
    assert runtime.available_isas()[-1] == "scalar"
    assert len(set(runtime.available_isas())) == len(runtime.available_isas())


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux's /proc/cpuinfo")
def test_detection_agrees_with_the_kernel() -> None:
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith(("flags", "features")):
            flags.update(line.split(":", 1)[1].split())
    if platform.machine() in ("x86_64", "AMD64"):
        expected = {
            "avx2": {"avx2", "fma"} <= flags,
            "avx512": {"avx512f", "avx512vl"} <= flags,
            "amx": {"avx512f", "avx512vl", "amx_bf16", "amx_tile"} <= flags,
        }
        assert {name: name in runtime.available_isas() for name in expected} == expected
    else:
        assert ("neon" in runtime.available_isas()) == (platform.machine() == "aarch64")


def test_the_best_is_the_default() -> None:
    process = run("from fastconv import runtime; print(runtime.isa())", FASTCONV_ISA="")
    assert process.stdout.strip() == runtime.available_isas()[0], process.stderr


def test_environment_variable_chooses(isa: str) -> None:
    process = run("from fastconv import runtime; print(runtime.isa())", FASTCONV_ISA=isa)
    assert process.stdout.strip() == isa, process.stderr


def test_environment_variable_of_no_instruction_set() -> None:
    process = run("import fastconv; fastconv.runtime.isa()", FASTCONV_ISA="abacus")
    assert process.returncode != 0
    assert "ValueError" in process.stderr
    assert "abacus" in process.stderr
    assert "scalar" in process.stderr


def test_set_isa(isa: str) -> None:
    assert runtime.isa() == isa


@pytest.mark.parametrize("name", ["abacus", "", "AVX2 "])
def test_set_isa_refuses_others(name: str) -> None:
    before = runtime.isa()
    with pytest.raises(ValueError, match=f"Received: name={name!r}"):
        runtime.set_isa(name)
    assert runtime.isa() == before


def test_another_instruction_set_is_another_result() -> None:
    """Different vector lengths and fused products round differently: a switch must be real."""
    x, kernel = random((2, 12, 12, 37), "float32"), random((3, 3, 37, 21), "float32")
    results = {}
    for name in runtime.available_isas():
        runtime.set_isa(name)
        results[name] = fastconv.conv2d(x, kernel, activation="sigmoid", algorithm="direct")
    scalar = results.pop("scalar")
    for name, result in results.items():
        assert not np.array_equal(result, scalar), name
        np.testing.assert_allclose(result, scalar, rtol=1e-4, atol=1e-5)
