"""The benchmark: its cases, its race between processes, its tables and its picture."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from fastconv import reference
from fastconv.bench import CASES, GROUPS, PASSES, Case, draw, main, plot, report, runner, select
from fastconv.bench.peers import PEERS, RIVALS, connect, environment
from fastconv.bench.runner import Result, Timing
from fastconv.bench.shapes import parse
from fastconv.bench.worker import deviation, time_calls

SMALL = Case("small", "small", "conv2d", 2, 6, 5, 3, 4, (3, 3), padding=(1, 0))
MACHINE = report.Machine("a processor", "an ISA", 2, 100.0, 10.0, "3.11", "2.0", "0.1")


def test_names_are_unique_and_groups_known():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.group for case in CASES} == set(GROUPS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output_sizes_agree_with_the_reference(case):
    tiny = replace(case, batch=0)
    inputs = tiny.inputs()
    padding = tuple((pad, pad) for pad in tiny.padding)
    if not tiny.is_convolution:
        y = reference.max_pool2d(inputs.x, tiny.kernel, tiny.strides, padding)
    else:
        y = reference.conv2d(
            inputs.x,
            inputs.kernel,
            inputs.bias,
            strides=tiny.strides,
            padding=padding,
            dilation_rate=tiny.dilation,
            groups=tiny.groups,
        )
    assert y.shape == tiny.y_shape == inputs.dy.shape


def test_operations_and_bytes_by_hand():
    # 2 images, 6x3 outputs, 4 filters, 3x3x3 taps
    assert SMALL.y_shape == (2, 6, 3, 4)
    assert SMALL.flops("forward") == 2 * (2 * 6 * 3 * 4) * 27
    assert SMALL.flops("backward") == 2 * SMALL.flops("forward")
    x, kernel, y = 2 * 6 * 5 * 3, 27 * 4, 2 * 6 * 3 * 4
    assert SMALL.bytes("forward") == 4 * (x + kernel + 4 + y)
    assert SMALL.bytes("backward") == 4 * (2 * x + 2 * kernel + 4 + y)
    pool = Case("p", "pool", "max_pool2d", 1, 4, 4, 8, 8, (2, 2), (2, 2))
    assert (pool.flops("forward"), pool.flops("backward")) == (3 * 32, 32)
    assert (pool.bytes("forward"), pool.bytes("backward")) == (4 * 160, 4 * 160 + 32)


def test_inputs_repeat_and_pooling_windows_hold_no_ties():
    for one, other in zip(SMALL.inputs(), SMALL.inputs(), strict=True):
        np.testing.assert_array_equal(one, other)
    (case,) = select(["resnet-pool-28-64"])
    x = replace(case, batch=1).inputs().x
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2)).reshape(-1, 9)
    ordered = np.sort(windows, axis=1)
    assert (ordered[:, 1:] > ordered[:, :-1]).all()


def test_cases_survive_json():
    for case in CASES:
        assert Case.from_dict(json.loads(json.dumps(case.as_dict()))) == case


def test_select():
    assert [case.name for case in select(["seed-*"], ["pool"])] == ["seed-pool1", "seed-pool2"]
    with pytest.raises(ValueError, match=r"must match at least one.*Received: names=\['nothing'\]"):
        select(["nothing"])
    with pytest.raises(ValueError, match="Received: group='odds'"):
        select(groups=["odds"])


def test_layers_are_named_by_their_shape():
    case = Case("", "odd", "conv2d", 8, 17, 16, 128, 64, (1, 7), (2, 2), (0, 3), (1, 1), 4)
    name = "odd-8x17x16x128-64-1x7-s2-p0x3-g4"
    assert parse(name) == replace(case, name=name)
    assert parse("depthwise-2x8x8x5-10-3x3-p1").groups == 5
    assert parse("pool-2x9x9x5-5-3x3-s2-p1").y_shape == (2, 5, 5, 5)
    mixed = select(["seed-conv1", name, "none"])
    assert [case.name for case in mixed] == ["seed-conv1", name]


@pytest.mark.parametrize(
    "name",
    [
        "even-8x17x17x128-64-3x3",  # no such group
        "odd-8x17x128-64-3x3",
        "odd-8x2x2x8-8-3x3",  # no output
        "odd-8x9x9x8-9-3x3-g2",
        "odd-8x9x9x8-8-3x3-s0",
        "pool-8x9x9x8-9-2x2",
        "pool-8x9x9x8-8-2x2-p2",  # windows of padding alone
    ],
)
def test_names_of_no_layer(name):
    assert parse(name) is None


def test_random_layers_repeat_and_are_named_by_their_shape():
    cases = draw(40, seed=1)
    assert len(cases) == 40
    assert cases == draw(40, seed=1) == [parse(case.name) for case in cases]
    assert cases != draw(40, seed=2)
    assert {case.group for case in draw(9, groups=["5x5", "pool"])} == {"5x5", "pool"}
    with pytest.raises(ValueError, match="Received: group='odds'"):
        draw(1, groups=["odds"])


def test_time_calls_reports_seconds_per_call():
    calls = 0

    def run():
        nonlocal calls
        calls += 1
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass

    times, cores = time_calls(run, 0.02)
    assert 0.001 <= min(times) < 0.002
    assert calls == len(times) + 2  # the warm-up and the one that sizes a batch
    assert 0 < cores < 1.5
    times, _ = time_calls(run, 0.0005)
    assert len(times) == 1
    times, _ = time_calls(lambda: time.sleep(0.005), 0.02, "cpu")
    assert min(times) < 0.002


def test_deviation_sees_values_nan_and_shapes():
    truth = (np.array([1.0, -4.0]), np.array([0.5]))
    assert deviation(truth, truth) == 0
    assert deviation((np.array([1.0, -4.0]), np.array([0.25])), truth) == 0.5
    assert math.isnan(deviation((np.array([np.nan, -4.0]), np.array([0.5])), truth))
    with pytest.raises(ValueError, match=r"shape \(1,\), expected \(2,\)"):
        deviation((np.array([1.0]), truth[1]), truth)


@pytest.mark.parametrize("case", select(["one-8x8x1", "dw-odd-29", "lenet-conv2", "seed-pool2"]))
@pytest.mark.parametrize("pass_", PASSES)
def test_fastconv_and_numpy_adapters_agree(case, pass_):
    case = replace(case, batch=2)
    peers = [connect(name, 1) for name in ("fastconv", "numpy", "numpy_blas")]
    results, names = [], []
    for peer in (peer for peer in peers if peer.supports(case, pass_)):
        variants = peer.prepare(case, pass_)
        results += [variant.to_numpy(variant.run()) for variant in variants]
        names += [variant.name for variant in variants]
    for other in results[1:]:
        assert [a.shape for a in results[0]] == [a.shape for a in other]
        # float32 sums of at most a few hundred products
        assert deviation(results[0], other) < 1e-5
    plain = 3 if case.op == "conv2d" else 2
    assert names.count("") == plain
    assert ("packed" in names) == (case.name == "lenet-conv2" and pass_ == "forward")


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'torch is missing: pip install "fastconv\[bench\]"'):
        connect("torch", 1)
    with pytest.raises(ValueError, match="Received: against='theano'"):
        connect("theano", 1)


def test_environment_gives_every_library_its_threads():
    variables = environment(3)
    for prefix in ("OMP", "OPENBLAS", "FASTCONV"):
        assert variables[f"{prefix}_NUM_THREADS"] == "3"
    assert "multi_thread_eigen=false" in environment(1)["XLA_FLAGS"]


@pytest.fixture
def odd_peers(tmp_path, monkeypatch):
    """A package of peers, each with a fault of its own."""
    (tmp_path / "odd").mkdir()
    common = """
        import os, sys, time
        from fastconv.bench.peers import Variant
        from fastconv.bench.peers.numpy import NumPy

        class Odd(NumPy):
            def supports(self, case, pass_):
                return {supports}
            def prepare(self, case, pass_):
                (variant,) = super().prepare(case, pass_)
                def run():
                    {run}
                    return variant.run()
                print("chatter on the standard output")
                return [Variant("odd", run, {to_numpy})]

        {before}
        def connect(threads):
            return Odd()
    """
    faults = {
        "slow": {"run": "time.sleep(0.02)"},
        "wrong": {"to_numpy": "lambda result: tuple(2 * a for a in variant.to_numpy(result))"},
        "crash": {"run": "os._exit(7)"},
        "raises": {"run": "raise RuntimeError('no such layer')"},
        "refuses": {"supports": "False"},
        "absent": {"before": "raise ImportError('absent is missing: pip install absent')"},
    }
    usual = {"supports": "True", "run": "pass", "to_numpy": "variant.to_numpy", "before": ""}
    for name, fault in faults.items():
        text = dedent(common).format(**(usual | fault))
        (tmp_path / "odd" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return [f"odd.{name}" for name in faults]


def test_race_between_processes(odd_peers):
    notes = []
    peers = ["numpy", *odd_peers]
    versions, results = runner.run(
        [SMALL, replace(SMALL, name="next")],
        peers,
        passes=["forward"],
        rounds=1,
        seconds=0.01,
        note=notes.append,
    )
    results = list(results)
    assert list(versions) == [peer for peer in peers if peer != "odd.absent"]
    assert notes == ["odd.absent skipped: absent is missing: pip install absent"]
    assert [result.case.name for result in results] == ["small", "next"]
    for result in results:
        timings = result.timings
        assert 0 < timings["numpy"].seconds < 0.01
        assert report.ratio(result, "odd.slow") > 1
        assert timings["odd.slow"].variant == "odd"
        assert timings["odd.slow"].error == 0
        assert timings["odd.wrong"].note.startswith("computes something else: off by 1.0e+00")
        assert "exit code 7" in timings["odd.crash"].note
        assert timings["odd.raises"].note == "RuntimeError: no such layer"
        assert timings["odd.refuses"].note == "not offered"
        assert report.best_rival(result)[0] == "odd.slow"
    problems = report.problems(results, 1)
    assert len(problems) == 2 * 3  # wrong, crash, raises


def test_repeated_race_keeps_the_fastest():
    _, results = runner.run(
        [SMALL, replace(SMALL, name="next")],
        ["numpy"],
        passes=["forward"],
        rounds=1,
        seconds=0.01,
        repeat=2,
    )
    first = [(result, result.timings["numpy"].seconds) for result in islice(results, 2)]
    second = list(results)
    assert [result.case.name for result in second] == ["small", "next"]
    for (before, seconds), result in zip(first, second, strict=True):
        assert result is before
        assert 0 < result.timings["numpy"].seconds <= seconds


def _result(case: Case, **seconds: float) -> Result:
    timings = {peer: Timing(value, value, 1.0) for peer, value in seconds.items()}
    return Result(case, "forward", timings)


RESULTS = [
    _result(SMALL, fastconv=1.0, fastconv_direct=0.1, torch=4.0, jax=8.0),
    _result(replace(SMALL, name="loss"), fastconv=2.0, fastconv_direct=9.0, torch=6.0, jax=1.0),
]


def test_ratios_are_to_other_libraries():
    assert report.best_rival(RESULTS[0]) == ("torch", 4.0)
    assert report.best_rival(RESULTS[1]) == ("jax", 0.5)
    unmeasured = Result(SMALL, "forward", {"fastconv": Timing(1.0), "torch": Timing(note="no")})
    assert report.best_rival(unmeasured) is None


def test_summary_states_means_minima_and_losses():
    (entry,) = report.summary(RESULTS)
    assert entry["group"] == "small"
    assert entry["cases"] == 2
    assert entry["geomean"] == pytest.approx(math.sqrt(4.0 * 0.5))
    assert (entry["minimum"], entry["minimum_case"], entry["minimum_rival"]) == (0.5, "loss", "jax")
    assert entry["losses"] == ["loss"]
    assert entry["geomeans"] == pytest.approx({"torch": math.sqrt(12), "jax": 2.0})
    text = report.summary_table([entry])
    assert "1.41" in text
    assert "loss (jax)" in text


def test_table_relates_speed_to_the_machine():
    table = report.Table(["fastconv", "fastconv_direct", "torch", "jax"], MACHINE)
    flops = SMALL.flops("forward")
    first = table.rows(_result(SMALL, fastconv=flops / 50e9, fastconv_direct=1, torch=1, jax=1))
    assert GROUPS["small"] in first
    row = first.splitlines()[-1].split()
    assert row[:2] == ["small", "forward"]
    assert row[3:5] == ["50.0", "50%"]
    later = table.rows(RESULTS[1])
    assert "\n" not in later
    assert later.endswith("0.50 jax SLOWER")


def test_document_is_json_without_infinities():
    failed = Result(SMALL, "backward", {"fastconv": Timing(note="broken")})
    text = json.dumps(report.document(MACHINE, {"torch": "2"}, [*RESULTS, failed]), allow_nan=False)
    document = json.loads(text)
    assert document["machine"]["isa"] == "an ISA"
    assert document["results"][0]["timings"]["torch"]["seconds"] == 4.0
    assert document["results"][2]["timings"]["fastconv"]["note"] == "broken"


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.png"
    plot.draw(RESULTS, MACHINE, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_picture_without_matplotlib_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "fastconv\[plot\]"'):
        main(["--cases", "one-8x8x1", "--plot", str(tmp_path / "x.png")])


@pytest.mark.parametrize("repeat", ["1", "2"])
def test_command_measures_and_writes_json(repeat, tmp_path, capsys):
    path = tmp_path / "bench.json"
    arguments = ["--cases", "one-8x8x1", "--against", "numpy", "--passes", "forward"]
    limits = ["--threads", "1", "--rounds", "1", "--seconds", "0.01", "--json", str(path)]
    assert main([*arguments, *limits, "--repeat", repeat]) == 0
    printed = capsys.readouterr().out
    assert printed.count("one-8x8x1  ") == 1
    assert "geomean" in printed
    (result,) = json.loads(path.read_text())["results"]
    assert result["best_rival"]["name"] == "numpy"
    assert result["timings"]["numpy"]["error"] < 1e-5
    assert result["timings"]["fastconv"]["seconds"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--clock", "cpu", "--threads", "2"],
        ["--against", "theano"],
        ["--passes", "sideways"],
        ["--threads", "0"],
        ["--rounds", "x"],
        ["--random", "0"],
    ],
)
def test_command_refuses_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_command_lists_cases(capsys):
    assert main(["--list", "--group", "first", "--cases", "seed*,cifar*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["seed-conv1", "cifar-3x3-3"]
    assert main(["--list", "--random", "7", "--seed", "3"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [case.name for case in draw(7, seed=3)]


def test_benchmarks_folder_uses_public_names_and_the_same_lists():
    folder = Path(__file__).parents[1] / "benchmarks"
    for path in [*folder.rglob("*.py"), *(Path(report.__file__).parent).rglob("*.py")]:
        assert "_kernels" not in path.read_text(), path
    assert set(RIVALS) < set(PEERS)
    sources = {path.stem for path in (Path(report.__file__).parent / "peers").glob("[a-z]*.py")}
    assert sources == set(PEERS)
