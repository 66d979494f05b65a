"""The command line as a user meets it: in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import FASTCONV, run

import fastconv
from fastconv.cli import main
from fastconv.cli.predict import read_image
from fastconv.datasets import fashion_mnist

SMALL = ["--data", "embedded", "--limit", "128", "--epochs", "2", "--threads", "1"]


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run([*FASTCONV, *arguments], **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the JSON that one small training leaves."""
    folder = tmp_path_factory.mktemp("cli")
    done = command("train", *SMALL, "--json", "--out", str(folder / "run"))
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_train_leaves_a_model_and_pictures(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert sorted(path.name for path in folder.iterdir()) == [
        "learning_curves.png",
        "model.keras",
        "predictions.png",
    ]
    assert sorted(Path(name).name for name in result["files"]) == sorted(os.listdir(folder))
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_train_reports_what_it_measured(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert result["epochs"] == 2
    assert result["threads"] == 1
    assert result["data"] == "embedded subset"
    assert not result["interrupted"]
    assert result["images_per_second"] > 0
    assert [len(curve) for curve in result["history"].values()] == [2] * len(result["history"])
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(result["history"])
    # The last validation is over the same images as the final test.
    assert result["test_accuracy"] == pytest.approx(result["history"]["val_accuracy"][-1])
    model = fastconv.models.load_model(folder / "model.keras")
    images = fashion_mnist.load_data("embedded")[1][0][:128, :, :, None]
    right = model.predict(images / np.float32(255), verbose=0).argmax(1)
    truth = fashion_mnist.load_data("embedded")[1][1][:128]
    assert (right == truth).mean() == pytest.approx(result["test_accuracy"])


def test_train_learns_the_embedded_subset(tmp_path: Path) -> None:
    done = command("train", "--data", "embedded", "--epochs", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = next(row for row in done.stdout.splitlines() if row.startswith("test accuracy"))
    # 5 epochs over 2,000 images give 75-80 % with every seed tried; chance gives 10 %.
    assert float(line.split()[2].rstrip("%")) > 70
    assert "embedded subset" in done.stdout
    assert (tmp_path / "fastconv-run" / "model.keras").is_file()


def test_the_same_seed_trains_the_same_model_whatever_the_threads(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = ["--threads", "2"]
    assert main(["train", *SMALL, *threads, "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["history"] == trained[1]["history"]


def test_evaluate_agrees_with_train(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, result = trained
    arguments = ["evaluate", str(folder / "model.keras"), "--data", "embedded", "--limit", "128"]
    assert main([*arguments, "--json", "--plot", str(tmp_path / "c.png")]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] == pytest.approx(result["test_accuracy"])
    assert measured["loss"] == pytest.approx(result["test_loss"], rel=1e-4)
    assert measured["images"] == 128
    assert len(measured["per_class_accuracy"]) == 10
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"accuracy {measured['accuracy']:.2%}" in text
    assert "Ankle boot" in text


def test_predict_names_image_files(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the extra [plot]")
    folder, _ = trained
    pixels = fashion_mnist.load_data("embedded")[1][0][:3]
    files = [str(tmp_path / f"{index}.png") for index in range(3)]
    for file, one in zip(files, pixels, strict=True):
        image.fromarray(one).save(file)
    model = str(folder / "model.keras")
    assert main(["predict", model, *files, "--json", "--top", "2", "--invert", "no"]) == 0
    rows = json.loads(capsys.readouterr().out)
    expected = fastconv.models.load_model(model).predict(
        pixels[..., None] / np.float32(255), verbose=0
    )
    for row, file, probabilities in zip(rows, files, expected, strict=True):
        assert row["image"] == file
        assert len(row["predictions"]) == 2
        best = row["predictions"][0]
        assert best["class"] == probabilities.argmax()
        assert best["name"] == fashion_mnist.CLASS_NAMES[best["class"]]
        # The image went through a PNG file unchanged; only the batch differs.
        assert best["probability"] == pytest.approx(probabilities.max(), rel=1e-4)
    picture = tmp_path / "out.png"
    assert main(["predict", model, files[0], "--names", "a,b", "--plot", str(picture)]) == 1
    assert "--names must have 10 names. Received: 2" in capsys.readouterr().err
    assert main(["predict", model, files[0], "--names", "a,b,c,d,e,f,g,h,i,j"]) == 0
    assert capsys.readouterr().out.startswith(files[0] + ": ")
    assert main(["predict", model, files[0], "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_images_are_brought_to_the_models_shape(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the extra [plot]")
    photo = np.full((60, 50, 3), 240, np.uint8)
    photo[15:45, 12:38] = (20, 30, 40)
    image.fromarray(photo).save(tmp_path / "photo.png")
    grey = read_image(tmp_path / "photo.png", (28, 28, 1), "auto")
    assert grey.shape == (28, 28, 1)
    assert grey.dtype == np.float32
    assert grey[0, 0, 0] == pytest.approx(1 - 240 / 255)
    assert grey[14, 14, 0] > 0.8
    kept = read_image(tmp_path / "photo.png", (28, 28, 1), "no")
    assert np.allclose(kept, 1 - grey)
    image.fromarray(photo[20:40, 20:30]).save(tmp_path / "plain.png")
    colour = read_image(tmp_path / "plain.png", (10, 12, 3), "auto")
    assert colour.shape == (10, 12, 3)
    assert np.allclose(colour, np.array([20, 30, 40]) / 255)
    with pytest.raises(ValueError, match=r"must take images .*Received: \(9,\)"):
        read_image(tmp_path / "photo.png", (9,), "auto")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "absent.keras"], "absent.keras"),
        (["predict", "absent.keras", "a.png"], "absent.keras"),
        (["train", "--data", "absent"], "where='absent'"),
        (["train", "--learning-rate", "0"], "--learning-rate must be above 0"),
        (["train", "--learning-rate", "nan"], "--learning-rate must be above 0"),
        (["datasets", "download", "fashion_mnist", "--url", "http://127.0.0.1:9"], "refused"),
    ],
)
def test_failures_are_one_line_and_exit_1(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path))
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("fastconv: error: ")
    assert words in said.err


def test_a_file_that_is_no_model_or_no_image_is_refused(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.keras").write_text("text")
    assert main(["evaluate", str(tmp_path / "text.keras")]) == 1
    assert "text.keras" in capsys.readouterr().err
    assert main(["predict", str(trained[0] / "model.keras"), str(tmp_path / "text.keras")]) == 1
    assert "is not an image" in capsys.readouterr().err


def test_evaluate_refuses_a_model_of_another_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.keras"
    fastconv.Sequential([fastconv.Input((4,)), fastconv.layers.Dense(3)]).save(path)
    assert main(["evaluate", str(path)]) == 1
    assert "Received: (4,) and (3,)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["train", "--epochs", "0"],
        ["train", "--epochs", "two"],
        ["evaluate"],
        ["predict", "model.keras"],
        ["datasets"],
        ["datasets", "download", "cats"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: fastconv" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["train"],
        ["evaluate"],
        ["predict"],
        ["datasets"],
        ["datasets", "list"],
        ["datasets", "download"],
        ["info"],
        ["bench"],
    ],
)
def test_every_command_has_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code in (0, None)
    assert "usage: " in capsys.readouterr().out


def test_info_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == fastconv.__version__
    assert facts["isa"] in facts["available_isas"]
    assert facts["threads"] == fastconv.get_num_threads()
    assert 1 <= facts["cores_allowed"] <= (os.cpu_count() or 1)
    assert main(["info"]) == 0
    assert f"version              {fastconv.__version__}\n" in capsys.readouterr().out


def test_datasets_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(fashion_mnist.source("embedded").folder)
    monkeypatch.setenv("FASTCONV_DATA", folder)
    assert main(["datasets", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(rows) == ["digits", "fashion_mnist", "shapes", "wine"]
    assert rows["fashion_mnist"]["train"] == 2000
    assert folder in rows["fashion_mnist"]["where"]
    assert (rows["wine"]["train"], rows["wine"]["test"]) == (25, 2)
    assert main(["datasets", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_version_and_module_and_pipe(tmp_path: Path) -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"fastconv {fastconv.__version__}\n")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*FASTCONV, "info"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def test_ctrl_c_keeps_what_was_learned(tmp_path: Path) -> None:
    log = tmp_path / "err"
    arguments = ["train", "--data", "embedded", "--epochs", "1000", "--out", str(tmp_path / "run")]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*FASTCONV, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("data: ")
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: keeping what was learned so far" in log.read_text()
    assert "test accuracy" in out
    model = fastconv.models.load_model(tmp_path / "run" / "model.keras")
    assert model.predict(np.zeros((1, 28, 28, 1), np.float32), verbose=0).shape == (1, 10)


def test_train_without_matplotlib_says_how_to_get_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["train", *SMALL, "--json", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert [Path(name).name for name in json.loads(said.out)["files"]] == ["model.keras"]
    assert 'no pictures: pictures need matplotlib: pip install "fastconv[plot]"' in said.err
