"""The comparison of whole networks: their data, the race, the costs, the tables, the picture."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import numpy as np
import processes
import pytest

from fastconv import reference
from fastconv.bench import main, network_plot, network_report, network_runner, report
from fastconv.bench.installed import distributions_size, folder_size
from fastconv.bench.network_peers import NETWORK_PEERS, NETWORK_RIVALS, connect
from fastconv.bench.network_runner import Cost, NetworkResult
from fastconv.bench.networks import (
    COSTS,
    INFERENCE_BATCHES,
    NETWORKS,
    TASKS,
    Conv,
    Dense,
    Flatten,
    Network,
    Pool,
    select_networks,
)
from fastconv.bench.runner import TOLERANCE, Contender, Timing
from fastconv.bench.worker import deviation

WORKER = "fastconv.bench.network_worker"
SHAPES = NETWORKS["shapes"]
MACHINE = report.Machine("a processor", "an ISA", 2, 100.0, 10.0, "3.11", "2.0", "0.1")


def reference_predictions(network: Network, x):
    weights = iter(network.weights())
    for layer in network.layers:
        match layer:
            case Conv(_, _, padding):
                x = np.maximum(
                    reference.conv2d(x, next(weights), next(weights), padding=padding), 0
                )
            case Pool():
                x = reference.max_pool2d(x, (2, 2), (2, 2), "valid")
            case Flatten():
                x = x.reshape(len(x), -1)
            case Dense(_, activation):
                x = x @ next(weights) + next(weights)
                if activation == "relu":
                    x = np.maximum(x, 0)
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_networks_are_consistent(network):
    shapes = network.shapes()
    assert shapes[-1] == (network.classes,)
    for one, other in zip(network.weights(), network.weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    x, y = network.data(8)
    np.testing.assert_array_equal(x, network.data(8).x)
    assert x.shape == (8, *network.input_shape)
    assert y.max() < network.classes
    for batch in (32, 128, *INFERENCE_BATCHES):
        assert network.images % batch == 0


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_every_way_of_fastconv_predicts_what_the_reference_does(network):
    x = network.data(6).x
    truth = reference_predictions(network, x)
    for batch in (4, 6):
        for way in connect("fastconv", 1).inference(network, x, batch):
            # a few layers of float32 sums of at most a few thousand products
            assert deviation((way.make()(),), (truth,)) < 1e-5


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
def test_channels_first_weights_compute_the_same(network):
    place = network.layers.index(Flatten())
    h, w, c = network.shapes()[place]
    features = np.random.default_rng(0).random((2, h, w, c), np.float32)
    number = 2 * sum(isinstance(layer, Conv) for layer in network.layers)
    kernel, turned = (
        weights[number] for weights in (network.weights(), network.channels_first_weights())
    )
    flat = features.transpose(0, 3, 1, 2).reshape(2, -1)
    # float32 sums of at most 2304 products, in another order
    assert deviation((flat @ turned.T,), (features.reshape(2, -1) @ kernel,)) < 1e-5
    first, turned_first = network.weights()[0], network.channels_first_weights()[0]
    np.testing.assert_array_equal(turned_first.transpose(2, 3, 1, 0), first)


def test_select_networks():
    assert [network.name for network in select_networks(["v*", "seed"])] == ["seed", "vgg"]
    with pytest.raises(ValueError, match=r"at least one of.*Received: networks=\['lenet'\]"):
        select_networks(["lenet"])


@pytest.mark.parametrize("peer", NETWORK_RIVALS)
def test_rival_starts_from_the_same_weights_and_takes_the_same_step(peer, tmp_path):
    try:
        contender = Contender(peer, 1, WORKER)
    except ImportError as error:
        pytest.skip(str(error))
    with contender, Contender("fastconv", 1, WORKER) as ours:
        for task in ("latency", "train-32"):
            truth = str(tmp_path / f"{task}.npz")
            request = {"do": "prepare", "network": "shapes", "task": task, "images": 256}
            assert ours.ask(**request, expected="", keep=truth) == {"error": 0.0, "skipped": []}
            answer = contender.ask(**request, expected=truth, keep="")
            if "unsupported" not in answer:
                assert answer["error"] < TOLERANCE / 10
                assert [text for text in answer["skipped"] if "TooSlow" not in text] == []


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r'torch is missing: pip install "fastconv\[bench\]"'):
        connect("torch", 1)
    with pytest.raises(ValueError, match="Received: against='theano'"):
        connect("theano", 1)


def test_every_peer_has_a_module():
    folder = Path(network_runner.__file__).parent / "network_peers"
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(NETWORK_PEERS)


@pytest.fixture
def odd_peers(tmp_path, monkeypatch):
    """A package of peers that are fastconv, each with a fault of its own."""
    (tmp_path / "odd_networks").mkdir()
    common = """
        import os, time
        from fastconv.bench.network_peers import Way
        from fastconv.bench.network_peers.fastconv import FastConv

        class Changed:
            def __init__(self, trainer):
                self.trainer, self.load, self.predict = trainer, trainer.load, trainer.predict
            def epoch(self):
                {epoch}

        class Odd(FastConv):
            name = "odd"
            modules = ("math",)
            distributions = ()
            def training(self, network, batch):
                (plain,) = super().training(network, batch)
                def make():
                    {fail}
                    return Changed(plain.make())
                return {ways}
            def inference(self, network, x, batch):
                (way, _) = super().inference(network, x, batch)
                run = way.make()
                def odd():
                    {fail}
                    return {predictions}
                print("chatter on the standard output")
                return [Way("odd", lambda: odd)]

        {before}
        def connect(threads):
            return Odd(threads)
    """
    faults = {
        "wrong": {"epoch": "pass", "predictions": "1 - run()"},
        "crash": {"fail": "os._exit(7)"},
        "raises": {"fail": "raise RuntimeError('no such layer')"},
        "infers": {"ways": "[]"},
        "several": {
            "epoch": "time.sleep(0.5); return self.trainer.epoch()",
            "ways": "[Way('bad', lambda: 1 / 0), plain, Way('slow', make)]",
        },
        "absent": {"before": "raise ImportError('absent is missing: pip install absent')"},
    }
    usual = {
        "epoch": "return self.trainer.epoch()",
        "fail": "pass",
        "predictions": "run()",
        "ways": "[Way('odd', make)]",
        "before": "",
    }
    for name, fault in faults.items():
        text = dedent(common).format(**(usual | fault))
        (tmp_path / "odd_networks" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return {name: f"odd_networks.{name}" for name in faults}


def test_race_between_processes(odd_peers):
    notes = []
    peers = ["fastconv", *odd_peers.values()]
    versions, measured = network_runner.run(
        [SHAPES],
        ["latency", "train-32", "import", "size"],
        peers,
        rounds=1,
        seconds=0.01,
        images=256,
        note=notes.append,
    )
    results = list(measured)
    assert list(versions) == [peer for peer in peers if peer != odd_peers["absent"]]
    assert notes == ["odd_networks.absent skipped: absent is missing: pip install absent"]
    assert [result.task for result in results] == ["train-32", "latency", "import", "size"]
    training, latency, imports, size = results
    assert (training.images, latency.images) == (256, 1)
    for result in (training, latency):
        timings = {name: result.timings.get(peer) for name, peer in odd_peers.items()}
        assert result.timings["fastconv"].measured
        assert timings["wrong"].note.startswith("odd: computes something else: off by")
        assert "exit code 7" in timings["crash"].note
        assert timings["raises"].note == "odd: RuntimeError: no such layer"
        assert timings["infers"].measured == (result is latency)
        assert timings["several"].error == 0
        assert report.failed([result])
    assert training.timings[odd_peers["infers"]].note == "not offered"
    assert training.timings[odd_peers["several"]].variant == ""
    bad, slow = training.skipped[odd_peers["several"]]
    assert bad == "bad: ZeroDivisionError: division by zero"
    assert slow.startswith("slow: TooSlow: ")
    assert imports.values["fastconv"] > 0
    assert size.values["fastconv"] > size.values[odd_peers["wrong"]] > 0  # NumPy for both
    problems = network_report.problems(results, 1)
    assert len(problems) == 2 * 3 + 2  # wrong, crash and raises in both tasks; two ways left out


def test_memory_is_that_of_training(odd_peers):
    peers = ["fastconv", odd_peers["infers"], odd_peers["crash"]]
    _, measured = network_runner.run([], ["memory"], peers, images=256)
    (memory,) = measured
    assert memory.values["fastconv"] > 10e6
    assert memory.notes[odd_peers["infers"]] == "not offered"
    assert "exit code 7" in memory.notes[odd_peers["crash"]]
    assert list(network_report.failures(memory)) == [odd_peers["crash"]]
    assert len(network_report.problems([memory], 1)) == 1


def _result(task: str, images: int, **seconds: float) -> NetworkResult:
    timings = {peer: Timing(value, value, 1.0) for peer, value in seconds.items()}
    return NetworkResult(SHAPES, task, images, timings)


RESULTS = [
    _result("train-32", 100, fastconv=0.5, torch=2.0, jax=1.0),
    _result("latency", 1, fastconv=20e-6, torch=80e-6, jax=10e-6),
    Cost("import", {"fastconv": 0.1, "torch": 1.0, "jax": 0.4}),
    Cost("memory", {"fastconv": 50e6, "torch": 400e6}, {"jax": "broken"}),
]


def test_table_states_speed_and_ratios():
    table = network_report.NetworkTable(["fastconv", "torch", "jax"])
    training, latency, imports, memory = (table.rows(result) for result in RESULTS)
    assert training.splitlines()[1].startswith("shapes, 8x8x1: conv 2 3x3, pool")
    words = training.splitlines()[-1].split()
    assert words == ["shapes", "train-32", "200", "images/s", "4.00", "2.00", "2.00", "jax"]
    assert "\n" not in latency
    assert latency.split()[2:] == ["20.0", "us", "4.00", "0.50", "0.50", "jax", "WORSE"]
    assert imports.splitlines()[-1].split()[2:] == ["0.100", "s", "10.00", "4.00", "4.00", "jax"]
    assert memory.split()[2:] == ["50.0", "MB", "8.00", "-", "8.00", "torch"]


def test_ratios_need_both_sides():
    broken = Cost("size", {"torch": 1.0}, {"fastconv": "broken"})
    assert network_report.cost_ratios(broken, "fastconv") == {}
    row = network_report.NetworkTable(["fastconv", "torch", "jax"]).rows(broken)
    assert row.splitlines()[-1].split() == ["library", "size", "broken", "-", "-"]


def test_document_is_json_without_infinities():
    failed = NetworkResult(SHAPES, "inference", 8, {"fastconv": Timing(note="broken")})
    made = network_report.document(MACHINE, {"fastconv": "1"}, [*RESULTS, failed])
    document = json.loads(json.dumps(made, allow_nan=False))
    first, _, last = document["networks"]
    assert first["best_rival"] == {"name": "jax", "ratio": 2.0}
    assert first["timings"]["torch"]["images_per_second"] == 50
    assert last["timings"]["fastconv"]["seconds"] is None
    assert document["costs"][0]["ratios"]["torch"] == pytest.approx(10)


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for name, results in {"all": RESULTS, "networks": RESULTS[:2], "costs": RESULTS[2:]}.items():
        path = tmp_path / f"{name}.png"
        network_plot.draw(results, MACHINE, path)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_command_measures_and_writes_json(tmp_path, capsys, odd_peers):
    path = tmp_path / "networks.json"
    arguments = ["--networks", "shapes", "--tasks", "inference,size", "--threads", "1"]
    limits = ["--images", "256", "--rounds", "1", "--seconds", "0.01", "--json", str(path)]
    assert main([*arguments, *limits, "--against", odd_peers["infers"]]) == 0
    printed = capsys.readouterr().out
    assert "images/s" in printed
    document = json.loads(path.read_text())
    (result,), (size,) = document["networks"], document["costs"]
    assert result["timings"]["fastconv"]["variant"].startswith("batch ")
    assert result["best_rival"]["name"] == odd_peers["infers"]
    assert size["values"]["fastconv"] > 1e6
    assert main([*arguments, *limits, "--against", odd_peers["raises"]]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tasks", "sleeping"],
        ["--images", "100"],
        ["--against", "numpy"],
        ["--clock", "cpu", "--threads", "2"],
    ],
)
def test_command_refuses_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--networks", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_command_lists_networks_and_tasks(capsys):
    assert main(["--networks=seed,vgg", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["seed", "vgg", *TASKS, *COSTS]


def test_distributions_of_fastconv_are_its_requirements():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    names = {text.partition(">")[0] for text in project["project"]["dependencies"]}
    assert set(connect("fastconv", 1).distributions) == names


def test_installed_size_follows_requirements(tmp_path, monkeypatch):
    def install(name: str, size: int, *requires: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.dist-info"
        (tmp_path / name / "__pycache__").mkdir(parents=True)
        info.mkdir()
        (tmp_path / name / "data").write_bytes(bytes(size))
        (tmp_path / name / "__pycache__" / "x.pyc").write_bytes(bytes(1000))
        lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {text}" for text in requires)]
        (info / "METADATA").write_text("\n".join(lines))
        (info / "RECORD").write_text(f"{name}/data,,\n{name}/__pycache__/x.pyc,,\n")

    install("fc-top", 100, "fc-Low>=1", "fc-rich; extra == 'all'", "fc-absent; os_name == 'nt'")
    install("fc_low", 20, "fc-top")
    install("fc_rich", 3)
    monkeypatch.syspath_prepend(tmp_path)
    assert distributions_size(["fc-top"]) == 120
    assert distributions_size(["fc-low", "fc_rich", "fc.rich"]) == 123
    assert folder_size(tmp_path / "fc_rich") == 3


def test_peak_memory_counts_what_was_released():
    code = """
        import numpy
        from fastconv.bench.network_worker import peak_memory
        before = peak_memory()
        numpy.ones(8 << 20)
        print(peak_memory() - before)
    """
    done = processes.run([*processes.PYTHON, "-c", dedent(code)])
    assert done.returncode == 0, done.stderr
    # 64 MiB, less what the interpreter had touched and released before
    assert 48 << 20 < int(done.stdout) < 80 << 20
