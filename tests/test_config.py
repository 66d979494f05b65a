"""keras.json, the settings, seeds and small helpers."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastconv
from fastconv import config, initializers, layers, utils


def settings(tmp_path, text: str | None) -> subprocess.CompletedProcess[str]:
    """Print the settings in a fresh interpreter with ``text`` as keras.json."""
    if text is not None:
        (tmp_path / "keras.json").write_text(text)
    code = (
        "from fastconv import config, layers\n"
        "print(config.floatx(), config.epsilon(), config.image_data_format())\n"
        "print(layers.Dense(1).dtype, layers.Flatten().data_format)"
    )
    package = os.path.dirname(os.path.dirname(fastconv.__file__))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_HOME": str(tmp_path), "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )


def test_defaults_without_a_file(tmp_path) -> None:
    result = settings(tmp_path, None)
    assert result.stdout.split() == [
        "float32",
        "1e-07",
        "channels_last",
        "float32",
        "channels_last",
    ]
    assert not list(tmp_path.iterdir())


def test_keras_json_is_read(tmp_path) -> None:
    text = json.dumps(
        {
            "floatx": "float64",
            "epsilon": 1e-5,
            "image_data_format": "channels_first",
            "backend": "tensorflow",
        }
    )
    result = settings(tmp_path, text)
    first = ["float64", "1e-05", "channels_first"]
    assert result.stdout.split() == [*first, "float64", "channels_first"]
    assert (tmp_path / "keras.json").read_text() == text


@pytest.mark.parametrize(
    "entry",
    [{"floatx": "float16"}, {"epsilon": -1}, {"epsilon": "a"}, {"image_data_format": "nhwc"}],
)
def test_bad_values_in_keras_json_are_refused(tmp_path, entry: dict) -> None:
    result = settings(tmp_path, json.dumps(entry))
    assert result.returncode != 0
    name, value = next(iter(entry.items()))
    assert f"ValueError: `{name}` must be" in result.stderr
    assert f"Received: {name}={value!r}" in result.stderr


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_malformed_json_is_ignored_with_a_warning(tmp_path, text: str) -> None:
    result = settings(tmp_path, text)
    assert result.stdout.split()[0] == "float32"
    assert "UserWarning: Ignored" in result.stderr


def test_settings_can_be_changed() -> None:
    try:
        config.set_image_data_format("channels_first")
        config.set_epsilon(1e-3)
        config.set_floatx("float64")
        assert layers.Conv2D(2, 3).data_format == "channels_first"
        assert layers.Dense(2).dtype == "float64"
        assert config.epsilon() == 1e-3
    finally:
        config.set_image_data_format("channels_last")
        config.set_epsilon(1e-7)
        config.set_floatx("float32")
    for setter, value in (
        (config.set_floatx, "int8"),
        (config.set_epsilon, 0),
        (config.set_image_data_format, "last"),
    ):
        with pytest.raises(ValueError, match="Received"):
            setter(value)
    assert config.backend() == "fastconv"
    assert fastconv.backend.image_data_format() == "channels_last"


def test_random_seed_rules_everything() -> None:
    def draw() -> list[float]:
        utils.set_random_seed(7)
        dropout = layers.Dropout(0.5)(np.ones((1, 50), "float32"), training=True)
        kernel = initializers.GlorotUniform()((3, 3))
        return [*dropout.ravel(), *kernel.ravel(), np.random.random()]  # noqa: NPY002

    assert draw() == draw()
    for seed in (-1, 1.5, "a", True):
        with pytest.raises(ValueError, match="seed="):
            utils.set_random_seed(seed)


def test_to_categorical_and_normalize() -> None:
    # keras.utils.to_categorical([0, 2, 1], 4) and of a column vector
    expected = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    np.testing.assert_array_equal(utils.to_categorical([0, 2, 1], 4), expected)
    np.testing.assert_array_equal(utils.to_categorical(np.array([[0], [2], [1]]), 4), expected)
    assert utils.to_categorical([1, 1]).shape == (2, 2)
    for labels in ([-1], [4]):
        with pytest.raises(ValueError, match="labels from"):
            utils.to_categorical(labels, 3)
    np.testing.assert_allclose(utils.normalize([[3.0, 4.0], [0.0, 0.0]]), [[0.6, 0.8], [0, 0]])


def test_import_is_quick_and_loads_no_more_than_it_needs() -> None:
    code = (
        "import sys, numpy, fastconv; "
        "heavy = {'h5py', 'tqdm', 'matplotlib', 'PIL', 'argparse', 'fastconv.models'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules); "
        "fastconv.Sequential, fastconv.callbacks, fastconv.saving; "
        "heavy.discard('fastconv.models'); "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    package = os.path.dirname(os.path.dirname(fastconv.__file__))
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
