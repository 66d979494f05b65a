"""Data sets: what is loaded, where it is found, and what damaged files say."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from fastconv.datasets import digits, fashion_mnist, shapes, wine
from fastconv.datasets._folders import EMBEDDED, download_folder
from fastconv.datasets._idx import read_idx

STEMS = fashion_mnist.TRAIN + fashion_mnist.TEST


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any full data set, whatever this one has."""
    monkeypatch.delenv("FASTCONV_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = fashion_mnist.candidates
    monkeypatch.setattr(
        fashion_mnist,
        "candidates",
        lambda name: [c for c in real(name) if c[0] != "system package"],
    )


def idx(array: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def small_set(folder: Path, *, count: int = 3, compressed: bool = True) -> None:
    """Four files of `count` items each, to be told from the embedded ones by their number."""
    folder.mkdir(parents=True)
    for stem in STEMS:
        array = np.zeros((count, 28, 28) if "idx3" in stem else count, np.uint8)
        if compressed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / stem).write_bytes(idx(array))


def test_embedded_subset_is_balanced_and_real() -> None:
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data("embedded")
    assert x_train.shape == (2000, 28, 28)
    assert x_test.shape == (500, 28, 28)
    assert x_train.dtype == y_train.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [200] * 10
    assert np.bincount(y_test).tolist() == [50] * 10
    # The mean pixel of the full training set is 72.94 of 255.
    assert abs(x_train.mean() - 72.94) < 3
    assert len({image.tobytes() for image in x_train}) == 2000


def test_embedded_subset_is_used_last(tmp_path: Path) -> None:
    assert fashion_mnist.source().kind == "embedded subset"
    assert len(fashion_mnist.load_data()[0][0]) == 2000


@pytest.mark.parametrize("compressed", [True, False])
def test_the_variable_comes_before_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compressed: bool
) -> None:
    small_set(tmp_path / "cache" / "fastconv" / "fashion-mnist", count=4)
    assert fashion_mnist.source().kind == "user cache"
    small_set(tmp_path / "mine", count=5, compressed=compressed)
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path / "mine"))
    found = fashion_mnist.source()
    assert found.kind == "$FASTCONV_DATA"
    assert str(tmp_path / "mine") in str(found)
    assert len(fashion_mnist.load_data()[0][0]) == 5


def test_an_incomplete_folder_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_set(tmp_path / "mine" / "fashion-mnist")
    monkeypatch.setenv("FASTCONV_DATA", str(tmp_path / "mine"))
    assert fashion_mnist.source().kind == "$FASTCONV_DATA"
    (tmp_path / "mine" / "fashion-mnist" / f"{STEMS[3]}.gz").unlink()
    assert fashion_mnist.source().kind == "embedded subset"


def test_the_system_package_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastconv.datasets import _folders

    monkeypatch.setenv("FASTCONV_DATA", "/somewhere")
    places = [str(folder) for _, folder in _folders.candidates("fashion-mnist")]
    assert places[0].startswith("/somewhere")
    assert places[-1] == "/usr/share/datasets/fashion-mnist"
    assert download_folder("fashion-mnist") == Path("/somewhere/fashion-mnist")


def test_a_named_folder_is_loaded_or_refused(tmp_path: Path) -> None:
    small_set(tmp_path / "four", count=2)
    assert len(fashion_mnist.load_data(tmp_path / "four")[1][0]) == 2
    with pytest.raises(ValueError, match=r"Received: where='.*nowhere'"):
        fashion_mnist.load_data(tmp_path / "nowhere")


def test_counts_and_labels_that_disagree_are_refused(tmp_path: Path) -> None:
    small_set(tmp_path / "set", count=3)
    labels = tmp_path / "set" / f"{fashion_mnist.TRAIN[1]}.gz"
    labels.write_bytes(gzip.compress(idx(np.zeros(2, np.uint8))))
    with pytest.raises(ValueError, match=r"3 images .* 2 labels"):
        fashion_mnist.load_data(tmp_path / "set")
    labels.write_bytes(gzip.compress(idx(np.array([0, 10, 1], np.uint8))))
    with pytest.raises(ValueError, match=r"from 0 to 9\. Received: 10"):
        fashion_mnist.load_data(tmp_path / "set")


GOOD = idx(np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty", b"", "an empty file"),
        ("magic", b"PK\3\4" + GOOD[4:], "must begin with 00 00 08 03"),
        ("labels", idx(np.zeros(4, np.uint8)), "must begin with"),
        ("floats", GOOD[:2] + b"\x0d" + GOOD[3:], "must begin with"),
        ("header", GOOD[:9], "ends inside its header"),
        ("sizes", idx(np.zeros((2, 28, 27), np.uint8)), r"Received: \(28, 27\)"),
        ("short", GOOD[:-1], "is truncated: its header says 1568 bytes. Received: 1567"),
        ("long", GOOD + b"\0", "goes on after the 1568 bytes"),
        ("huge", GOOD[:4] + b"\xff" * 4 + GOOD[8:], "at most"),
        ("cut.gz", gzip.compress(GOOD)[:-30], "not a whole gzip file"),
        ("flipped.gz", gzip.compress(GOOD)[:-8] + b"\0" * 8, "not a whole gzip file"),
        ("plain.gz", GOOD, "not a whole gzip file"),
    ],
)
def test_damaged_files_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(path, item_shape=(28, 28))
    assert str(path) in str(caught.value)


def test_idx_keeps_the_order_of_elements(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(GOOD)
    images = read_idx(tmp_path / "plain", item_shape=(28, 28))
    assert images.flags.writeable
    assert images[1, 0, 3] == (28 * 28 + 3) % 256


def test_digits_are_the_known_ones() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1442, 8, 8)
    assert x_test.shape == (355, 8, 8)
    assert y_train[:10].tolist() == list(range(10))
    assert x_train[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    counts = np.bincount(np.concatenate([y_train, y_test])).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_wine_gives_the_published_regression() -> None:
    (x, y), (x_test, y_test) = wine.load_data()
    assert x.shape == (25, 4)
    assert x_test.shape == (2, 4)
    weights, *_ = np.linalg.lstsq(np.column_stack([np.ones(25), x]), y, rcond=None)
    # Coefficients of the paper's model on these vintages, to the digits given there.
    assert weights == pytest.approx(
        [-3.42998, 0.0010755, 0.607209, -0.0039715, 0.0239308], rel=1e-4
    )
    error = y_test - np.column_stack([np.ones(2), x_test]) @ weights
    r2 = 1 - (error**2).sum() / ((y_test - y.mean()) ** 2).sum()
    assert r2 == pytest.approx(0.7944, abs=1e-4)


def test_wine_takes_columns_by_name() -> None:
    (x, _), _ = wine.load_data(("FrancePop", "Age"))
    assert x[0].tolist() == [43183.569, 31]
    for bad in (("Colour",), (), "Age"):
        with pytest.raises(ValueError, match="Received: features="):
            wine.load_data(bad)


def test_shapes_are_repeatable_balanced_and_inside() -> None:
    first, again, other = (shapes.load_data(300, 30, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first[0][0], again[0][0])
    assert np.array_equal(first[1][1], again[1][1])
    assert not np.array_equal(first[0][0], other[0][0])
    (x, y), (_, y_test) = first
    assert x.shape == (300, 8, 8)
    assert x.dtype == y.dtype == np.uint8
    assert np.bincount(y).tolist() == [100] * 3
    assert np.bincount(y_test).tolist() == [10] * 3
    assert len(shapes.load_data(0, 0)[0][0]) == 0


def test_shapes_look_like_their_names() -> None:
    (x, y), _ = shapes.load_data(900, 0, noise=0)
    mean = [x[y == label].astype(float).mean(0) for label in range(3)]
    top_corner, bottom_corner = (0, 0), (7, 0)
    # Only a triangle is narrow above and wide below; only a square fills every corner.
    assert mean[0][bottom_corner] > 4 * mean[0][top_corner]
    assert mean[1][top_corner] > 4 * mean[2][top_corner]
    assert mean[1][bottom_corner] > 4 * mean[2][bottom_corner]


@pytest.mark.parametrize("name", ["train_count", "test_count", "noise", "seed"])
def test_shapes_refuse_negative_numbers(name: str) -> None:
    with pytest.raises(ValueError, match=f"Received: {name}=-1"):
        shapes.load_data(**{name: -1})


def test_attribution_lies_beside_the_data() -> None:
    text = (EMBEDDED / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for folder in ("fashion-mnist", "digits", "wine"):
        assert f"`{folder}/" in text
    assert "Zalando" in (EMBEDDED / "fashion-mnist" / "LICENSE").read_text(encoding="utf-8")
    assert sum(f.stat().st_size for f in EMBEDDED.rglob("*") if f.is_file()) < 1_300_000


def test_copies_of_the_files_load_the_same(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED / "fashion-mnist", tmp_path / "copy")
    copied, own = fashion_mnist.load_data(tmp_path / "copy"), fashion_mnist.load_data("embedded")
    assert np.array_equal(copied[0][0], own[0][0])
    assert np.array_equal(copied[1][1], own[1][1])
