"""Pictures: what is drawn where, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import PYTHON, run

import fastconv
from fastconv import plotting
from fastconv.layers import Conv2D, Dense, Flatten, MaxPooling2D

pytest.importorskip("matplotlib", reason="needs the extra [plot]")


def png_size(axes: Any, path: Path) -> int:
    """Save the figure and return the number of bytes, which checks that it can be drawn."""
    axes.figure.savefig(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    return len(content)


@pytest.fixture
def model() -> fastconv.Sequential:
    return fastconv.Sequential(
        [
            fastconv.Input((8, 8, 1)),
            Conv2D(4, (3, 3), activation="relu", name="edges"),
            MaxPooling2D((2, 2), name="halved"),
            Flatten(),
            Dense(3, activation="softmax"),
        ],
        name="small",
    )


def test_history_has_a_panel_for_each_metric_and_two_curves(tmp_path: Path) -> None:
    curves = {
        "loss": [1.0, 0.5],
        "accuracy": [0.6, 0.8],
        "val_loss": [1.1, 0.7],
        "val_accuracy": [0.5, 0.7],
    }
    axes = plotting.plot_history(curves)
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy"]
    drawn = [[list(line.get_ydata()) for line in ax.lines] for ax in axes]
    assert drawn == [[[1.0, 0.5], [1.1, 0.7]], [[0.6, 0.8], [0.5, 0.7]]]
    assert list(axes[0].lines[0].get_xdata()) == [1, 2]
    assert png_size(axes[0], tmp_path / "h.png") > 2000


def test_history_takes_what_fit_returns(model: fastconv.Sequential) -> None:
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.zeros((6, 8, 8, 1), np.float32), np.zeros(6, np.int64)
    history = model.fit(x, y, epochs=3, verbose=0)
    (ax,) = plotting.plot_history(history, metrics=["loss"])
    assert list(ax.lines[0].get_ydata()) == history.history["loss"]


def test_history_without_curves_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one curve"):
        plotting.plot_history({})
    with pytest.raises(ValueError, match=r"\['auc'\]. Received: curves=\['loss'\]"):
        plotting.plot_history({"loss": [1.0]}, ["auc"])


def test_filters_show_the_weights_around_zero(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(5, 5, 2, 12))
    axes = plotting.plot_filters(kernel, channel=1, count=10, columns=4)
    assert axes.shape == (10,)
    for index, ax in enumerate(axes):
        (image,) = ax.images
        assert np.array_equal(image.get_array(), kernel[:, :, 1, index])
        assert image.norm.vmin == -image.norm.vmax == -np.abs(kernel[:, :, 1, :10]).max()
    assert "input channel 1 of 2" in axes[0].figure.get_suptitle()
    assert png_size(axes[0], tmp_path / "f.png") > 2000


def test_filters_of_a_layer(model: fastconv.Sequential) -> None:
    axes = plotting.plot_filters(model.layers[0])
    kernel = model.layers[0].get_weights()[0]
    assert np.array_equal(axes[3].images[0].get_array(), kernel[:, :, 0, 3])
    assert "edges" in axes[0].figure.get_suptitle()


@pytest.mark.parametrize("bad", [np.zeros((3, 3)), Flatten(), np.zeros((3, 3, 1, 0))])
def test_filters_need_a_kernel(bad: Any) -> None:
    with pytest.raises(ValueError, match="built convolution"):
        plotting.plot_filters(bad)


def test_filters_need_a_channel_that_exists() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1. Received: channel=2"):
        plotting.plot_filters(np.ones((3, 3, 2, 4)), channel=2)


def test_feature_maps_are_what_the_layer_gives(model: fastconv.Sequential) -> None:
    image = np.random.default_rng(0).random((8, 8, 1), dtype=np.float32)
    axes = plotting.plot_feature_maps(model, image, "halved")
    part = fastconv.Sequential([fastconv.Input((8, 8, 1)), *model.layers[:2]])
    expected = np.asarray(part.predict(image[None], verbose=0))
    assert axes.shape == (4,)
    for channel, ax in enumerate(axes):
        assert np.array_equal(ax.images[0].get_array(), expected[0, :, :, channel])
    by_position = plotting.plot_feature_maps(model, image[None], 1)
    assert np.array_equal(by_position[2].images[0].get_array(), expected[0, :, :, 2])


def test_feature_maps_refuse_other_layers_and_images(model: fastconv.Sequential) -> None:
    image = np.zeros((8, 8, 1), np.float32)
    with pytest.raises(ValueError, match=r"layer must be one of .*Received: layer='none'"):
        plotting.plot_feature_maps(model, image, "none")
    with pytest.raises(ValueError, match="layer must give images"):
        plotting.plot_feature_maps(model, image, -1)
    with pytest.raises(ValueError, match=r"one input of shape \(8, 8, 1\)"):
        plotting.plot_feature_maps(model, np.zeros((2, 8, 8, 1), np.float32))


def test_predictions_are_named_and_coloured(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    axes = plotting.plot_predictions(images, probabilities, [0, 1, 0], class_names=["cat", "dog"])
    assert [ax.get_title() for ax in axes] == ["cat 90%", "dog 80%", "dog 70%\nnot cat"]
    colours = [ax.title.get_color() for ax in axes]
    assert colours[0] == colours[1] != colours[2]
    assert np.array_equal(axes[1].images[0].get_array(), images[1, :, :, 0])
    assert png_size(axes[0], tmp_path / "p.png") > 2000


def test_predictions_take_labels_one_hot_and_colour() -> None:
    axes = plotting.plot_predictions(np.zeros((2, 4, 4, 3)), [5, 1], np.eye(6)[[5, 0]])
    assert [ax.get_title() for ax in axes] == ["5", "1\nnot 0"]


def test_predictions_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="Received: 2, 3 and None"):
        plotting.plot_predictions(np.zeros((2, 4, 4)), [0, 1, 2])
    with pytest.raises(ValueError, match=r"\(rows, columns, 3\). Received: shape=\(4, 4, 2\)"):
        plotting.plot_predictions(np.zeros((1, 4, 4, 2)), [0])
    with pytest.raises(ValueError, match="at least one image"):
        plotting.plot_predictions(np.zeros((0, 4, 4)), np.zeros(0))


@pytest.mark.parametrize("normalize", [False, True])
def test_confusion_matrix_counts(normalize: bool, tmp_path: Path) -> None:
    truth, predicted = [0, 0, 0, 2], [0, 1, 0, 2]
    ax = plotting.plot_confusion_matrix(
        truth, predicted, class_names=["a", "b", "c"], normalize=normalize
    )
    table = np.array([[2, 1, 0], [0, 0, 0], [0, 0, 1]], float)
    if normalize:
        table[0] /= 3
    assert np.array_equal(ax.images[0].get_array(), table)
    assert ax.get_title() == "75.0% right"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert png_size(ax, tmp_path / "c.png") > 2000


def test_confusion_matrix_draws_where_it_is_told_and_takes_probabilities() -> None:
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert plotting.plot_confusion_matrix([1], [[0.2, 0.8]], ax=ax) is ax
    assert np.array_equal(ax.images[0].get_array(), [[0, 0], [0, 1]])


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        ([0, 1], [0], "Received: 2 and 1"),
        ([], [], "Received: 0 and 0"),
        ([0, 3], [0, 1], "from 0 to 1"),
        ([0, -1], [0, 1], "from 0 to 1"),
        ([0.5], [0], "y_true must be labels"),
        ([0], [[[0]]], "y_pred must be labels"),
    ],
)
def test_confusion_matrix_refuses(truth: Any, predicted: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plotting.plot_confusion_matrix(truth, predicted, class_names=["a", "b"])


def test_model_shows_shapes_and_parameters(model: fastconv.Sequential, tmp_path: Path) -> None:
    ax = plotting.plot_model(model)
    texts = [text.get_text() for text in ax.texts]
    for expected in ("Conv2D", "edges", "6 x 6 x 4", "40", "3 x 3 x 4", "36", "Dense", "111"):
        assert expected in texts
    assert ax.get_title() == "small: 151 parameters"
    assert png_size(ax, tmp_path / "m.png") > 2000


def test_model_must_be_built() -> None:
    with pytest.raises(ValueError, match="model must be built"):
        plotting.plot_model(fastconv.Sequential([Dense(3)]))


def test_neither_pyplot_nor_a_display_is_touched(tmp_path: Path) -> None:
    code = (
        "import sys, fastconv, fastconv.plotting as p\n"
        "assert 'matplotlib' not in sys.modules\n"
        "p.plot_history({'loss': [1, 2]})[0].figure.savefig(sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    picture = tmp_path / "loss.png"
    done = run([*PYTHON, "-c", code, str(picture)])
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"fastconv\[plot\]"):
        plotting.plot_history({"loss": [1.0]})
