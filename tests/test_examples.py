"""The programs in examples/ and in the documentation: that they run and show what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from processes import PYTHON, run

import fastconv
from fastconv.datasets import fashion_mnist
from fastconv.layers import Conv2D, Dense, Flatten, Input

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# One thread: these networks are too small to share, and other programs may run beside the tests.
ENVIRONMENT = {
    "FASTCONV_NUM_THREADS": "1",
    "FASTCONV_DATA": str(fashion_mnist.source("embedded").folder),
}

pytest.importorskip("matplotlib", reason="needs the extra [plot]")


def output_of(name: str, folder: Path, *arguments: str) -> str:
    """Run an example in an empty folder; return what it printed."""
    done = run([*PYTHON, str(EXAMPLES / name), *arguments], cwd=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    picture = folder / Path(name).with_suffix(".png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in folder.iterdir()] == [picture.name]
    assert f"saved {picture.name}" in done.stdout
    return done.stdout


def percent(text: str) -> float:
    """The percentage that ends the line about accuracy."""
    return float(re.search(r"accuracy on \d+ .*: ([\d.]+)%", text)[1])


def test_layers_have_the_weights_of_the_lecture(tmp_path: Path) -> None:
    text = output_of("layers.py", tmp_path)
    rows = {line.split(":")[0].strip(): line.split() for line in text.splitlines()}
    # weights without and with the bias
    assert rows["Dense(4)"][-2:] == ["36", "40"]
    assert rows["Conv2D(1, (2, 2), 'valid')"][-2:] == ["4", "5"]
    assert rows["Conv2D(3, (2, 2), 'same')"][-2:] == ["12", "15"]
    assert "2 x 2 x 1" in text
    assert "24 x 24 x 32" in text


def test_a_filter_has_4_weights_where_a_dense_layer_has_36() -> None:
    shared = fastconv.Sequential([Input((3, 3, 1)), Conv2D(1, (2, 2), use_bias=False)])
    dense = fastconv.Sequential([Input((3, 3, 1)), Flatten(), Dense(4, use_bias=False)])
    assert (shared.count_params(), dense.count_params()) == (4, 36)
    assert np.prod(shared.output_shape[1:]) == np.prod(dense.output_shape[1:]) == 4


def test_shapes_are_told_apart(tmp_path: Path) -> None:
    text = output_of("shape_classifier.py", tmp_path)
    assert "Total params: 178" in text
    assert percent(text) >= 98


def test_wine_prices_beat_least_squares_on_both_parts(tmp_path: Path) -> None:
    text = output_of("wine_prices.py", tmp_path)
    line, network = (
        [float(value) for value in re.search(rf"{name} +([\d.]+) +([\d.]+)", text).groups()]
        for name in ("least squares", "network")
    )
    # The published fit of the straight line.
    assert line == [0.829, 0.794]
    assert network[0] > line[0]
    assert network[1] > 0.7


def test_clothing_counts_its_iterations(tmp_path: Path) -> None:
    text = output_of("clothing.py", tmp_path, "4")
    assert "2000 images in batches of 64: 32 iterations an epoch, 128 in 4 epochs" in text
    # 4 epochs over 2,000 images give about 80 %; chance gives 10 %.
    assert percent(text) > 70


def test_digits_are_read(tmp_path: Path) -> None:
    assert percent(output_of("handwritten_digits.py", tmp_path)) >= 97


def programs_in(page: str) -> list[str]:
    """The Python blocks of a page that import what they use, in order."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    return [block for block in blocks if "import" in block]


def test_the_program_of_the_readme_runs(tmp_path: Path) -> None:
    (program,) = programs_in("README.md")
    done = run([*PYTHON, "-c", program], cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    loss, accuracy = re.search(r"\[([\d.e-]+), ([\d.]+)\]\s*$", done.stdout).groups()
    assert float(loss) < 0.1
    assert float(accuracy) >= 0.98
    assert (tmp_path / "shapes.keras").is_file()


def test_the_programs_of_the_first_page_run(tmp_path: Path) -> None:
    program = "\n".join(programs_in("docs/index.md"))
    done = run([*PYTHON, "-c", program], cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clothing.keras",
        "curves.png",
        "filters.png",
        "maps.png",
        "model.png",
    ]
