"""Files: what is written can be read, here and by Keras; damaged and hostile ones are refused."""

import io
import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from fastconv import layers, metrics, models, optimizers, saving, utils
from fastconv.saving import _archive

DATA = Path(__file__).with_name("data")
FORMATS = ["model.keras", "model.h5"]

#: What ``tests/data/written_by_keras.*`` were written for.
X = np.sin(np.arange(8 * 36)).reshape(8, 6, 6, 1).astype("float32")
Y = np.arange(8) % 3
EXPECTED = json.loads((DATA / "written_by_keras.json").read_text())


@pytest.fixture(autouse=True)
def _fresh() -> None:
    utils.clear_session()
    utils.set_random_seed(0)


def made(trained: bool = True, **kwargs: object) -> models.Sequential:
    model = models.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            layers.MaxPooling2D(),
            models.Sequential([layers.Flatten(), layers.Dense(4), layers.Dense(3)]),
            layers.BatchNormalization(),
            layers.Dropout(kwargs.pop("dropout", 0.2)),
            layers.Dense(3, activation="softmax", kernel_constraint="max_norm"),
        ]
    )
    model.compile(
        kwargs.pop("optimizer", None) or optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(2)],
    )
    if trained:
        model.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    return model


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda: optimizers.RMSprop(0.01, centered=True, momentum=0.1),
        lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 50), amsgrad=True),
        lambda: optimizers.AdamW(0.01, use_ema=True, gradient_accumulation_steps=2),
        lambda: optimizers.Nadam(0.01),
        lambda: optimizers.Adamax(0.01, clipnorm=1.0),
        lambda: optimizers.Adagrad(0.01),
    ],
    ids=["sgd", "rmsprop", "adam", "adamw", "nadam", "adamax", "adagrad"],
)
def test_a_loaded_model_goes_on_as_the_saved_one(tmp_path, name: str, optimizer) -> None:
    model = made(optimizer=optimizer())
    model.save(tmp_path / name)
    loaded = models.load_model(tmp_path / name)
    np.testing.assert_array_equal(model.predict(X, verbose=0), loaded.predict(X, verbose=0))
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for a, b in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    # The dropout masks are not part of the files: without them both make the same step.
    for each in (model, loaded):
        each.layers[4].rate = 0.0
        each._plans.clear()
    assert loaded.train_on_batch(X, Y) == model.train_on_batch(X, Y)
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", FORMATS)
def test_models_that_are_not_compiled_or_trained(tmp_path, name: str) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / name)
    assert not models.load_model(tmp_path / name).compiled
    model.compile("adam", "mse", metrics=["mae"])
    model.save(tmp_path / name)
    loaded = models.load_model(tmp_path / name)
    assert loaded.compiled
    assert not models.load_model(tmp_path / name, compile=False).compiled
    loaded.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors", "model.keras", "model.h5"])
def test_weights_alone(tmp_path, name: str) -> None:
    model = made()
    if name.startswith("w."):
        model.save_weights(tmp_path / name)
    else:
        model.save(tmp_path / name)
    utils.clear_session()
    other = made(trained=False)
    other.load_weights(tmp_path / name)
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_safetensors_are_read_by_the_reference_implementation(tmp_path) -> None:
    reference = pytest.importorskip("safetensors.numpy")
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d")])
    model.save_weights(tmp_path / "w.safetensors")
    stored = reference.load_file(tmp_path / "w.safetensors")
    assert set(stored) == {"d/kernel", "d/bias"}
    np.testing.assert_array_equal(stored["d/kernel"], model.layers[0].kernel)
    stored["d/bias"] = np.array([3, 4], "float32")
    reference.save_file(stored, tmp_path / "w.safetensors")
    model.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(model.layers[0].bias, [3, 4])


@pytest.mark.parametrize("name", ["written_by_keras.keras", "written_by_keras.h5"])
def test_files_that_keras_wrote(name: str) -> None:
    model = models.load_model(DATA / name)
    # float32 in another order of additions
    np.testing.assert_allclose(
        model.predict(X, verbose=0), EXPECTED["predictions"], rtol=1e-5, atol=1e-6
    )
    assert int(model.optimizer.iterations) == 1
    np.testing.assert_allclose(model.train_on_batch(X, Y), EXPECTED["next"], rtol=1e-5)
    np.testing.assert_allclose(
        model.get_weights()[0].ravel(), EXPECTED["weight"], rtol=1e-5, atol=1e-6
    )
    model.load_weights(DATA / "written_by_keras.weights.h5")
    np.testing.assert_allclose(
        model.predict(X, verbose=0), EXPECTED["predictions"], rtol=1e-5, atol=1e-6
    )


def test_the_layout_is_that_of_keras(tmp_path) -> None:
    """The groups, data sets and entries that Keras wrote for a model are those written here."""
    model = models.load_model(DATA / "written_by_keras.keras")
    model.save(tmp_path / "again.keras")

    def parts(path: Path) -> tuple[list[str], dict, dict]:
        with zipfile.ZipFile(path) as archive:
            assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
            names = archive.namelist()
            config = json.loads(archive.read("config.json"))
            tree = {}
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                file.visititems(
                    lambda name, item: tree.update(
                        {name: (getattr(item, "shape", None), dict(item.attrs))}
                    )
                )
        return names, config, tree

    ours, theirs = parts(tmp_path / "again.keras"), parts(DATA / "written_by_keras.keras")
    assert ours[0] == theirs[0]
    assert ours[2] == theirs[2]
    assert without_ids(ours[1]) == without_ids(theirs[1])


def without_ids(value: object) -> object:
    """Drop what differs from run to run, is chosen by the back end, or says nothing."""
    if isinstance(value, dict):
        dropped = ("shared_object_id", "jit_compile", "build_config")
        kept = {k: without_ids(v) for k, v in value.items() if k not in dropped}
        return {k: v for k, v in kept.items() if v is not None and v != {}}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def test_keras_reads_what_is_written_here(tmp_path) -> None:
    keras = pytest.importorskip("keras")
    # Not Adam: it makes steps of rounding errors where the gradient vanishes, as before a
    # normalization, and those differ.
    model = made(dropout=0.0, optimizer=optimizers.SGD(0.1, momentum=0.9))
    predictions = model.predict(X, verbose=0)
    for name in FORMATS:
        model.save(tmp_path / name)
        loaded = keras.models.load_model(tmp_path / name)
        np.testing.assert_allclose(np.asarray(loaded.predict(X, verbose=0)), predictions, rtol=1e-5)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        np.asarray(loaded.train_on_batch(X, Y), float), model.train_on_batch(X, Y), rtol=1e-5
    )
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    model.save_weights(tmp_path / "w.weights.h5")
    loaded.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_files_of_keras_2(tmp_path) -> None:
    """The older configuration: `batch_input_shape`, a list as axis, `decay`, a wrapped metric."""
    common = {"trainable": True, "dtype": "float32"}
    glorot = {"class_name": "GlorotUniform", "config": {"seed": None}}
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "sequential",
            "layers": [
                {
                    "class_name": "InputLayer",
                    "config": {
                        "batch_input_shape": [None, 3],
                        "dtype": "float32",
                        "sparse": False,
                        "ragged": False,
                        "name": "dense_input",
                    },
                },
                {
                    "class_name": "Dense",
                    "config": {
                        **common,
                        "name": "dense",
                        "batch_input_shape": [None, 3],
                        "units": 2,
                        "activation": "softmax",
                        "kernel_initializer": glorot,
                    },
                },
                {
                    "class_name": "BatchNormalization",
                    "config": {**common, "name": "norm", "axis": [1]},
                },
            ],
        },
    }
    wrapped = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "accuracy", "dtype": "float32", "fn": "sparse_categorical_accuracy"},
    }
    training = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": [[wrapped]],
        "optimizer_config": {
            "class_name": "SGD",
            "config": {"name": "SGD", "learning_rate": 0.5, "decay": 0.0, "momentum": 0.0},
        },
    }
    kernel = np.arange(6, dtype="float32").reshape(3, 2)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["training_config"] = json.dumps(training).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"dense", b"norm"]
        dense = group.create_group("dense")
        dense.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        dense["dense/kernel:0"], dense["dense/bias:0"] = kernel, np.zeros(2)
        norm = group.create_group("norm")
        norm.attrs["weight_names"] = [f"norm/{i}:0".encode() for i in range(4)]
        for i in range(4):
            norm[f"norm/{i}:0"] = np.full(2, i % 2, "float32")
    model = models.load_model(tmp_path / "old.h5")
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)
    assert float(model.optimizer.learning_rate) == 0.5
    logs = model.evaluate(np.eye(3), np.zeros(3), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}


def test_nested_h5_attributes_of_many_layers(tmp_path) -> None:
    long = "a" * 200
    model = models.Sequential([layers.Input((1,))])
    for i in range(400):
        model.add(layers.ReLU(name=f"{long}{i}"), rebuild=False)
    model.build()
    model.save(tmp_path / "model.h5")
    assert len(models.load_model(tmp_path / "model.h5").layers) == 400


@pytest.mark.parametrize("name", [*FORMATS, "w.weights.h5", "w.safetensors"])
def test_an_interrupted_save_leaves_the_previous_file(tmp_path, name: str, monkeypatch) -> None:
    model = made()
    save = model.save_weights if name.startswith("w.") else model.save
    save(tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_overwriting_and_names(tmp_path) -> None:
    model = made(trained=False)
    model.save(tmp_path / "model.keras")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "model.keras", overwrite=False)
    for path in ("model.txt", "model", "weights.h5.txt"):
        with pytest.raises(ValueError, match="Invalid filepath extension"):
            model.save(tmp_path / path)
        with pytest.raises(ValueError, match=r"must end in `.weights.h5`"):
            model.save_weights(tmp_path / path)
    with pytest.raises(ValueError, match="before it is built"):
        models.Sequential([layers.Dense(1)]).save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="File not found"):
        models.load_model(tmp_path / "none.keras")
    with pytest.raises(FileNotFoundError, match="File not found"):
        model.load_weights(tmp_path / "none.weights.h5")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="format not supported"):
        models.load_model(tmp_path / "model.bin")
    with pytest.raises(TypeError, match="must be a path"):
        models.load_model(3)


def test_permissions_follow_the_mask_and_the_previous_file(tmp_path) -> None:
    model = made(trained=False)
    path = tmp_path / "model.keras"
    model.save(path)
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    model.save(path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_weights_that_do_not_fit(tmp_path) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="a"), layers.Dense(4)])
    other = models.Sequential([layers.Input((3,)), layers.Dense(2, name="a"), layers.Dense(5)])
    for name in ("w.weights.h5", "w.safetensors"):
        model.save_weights(tmp_path / name)
        before = other.get_weights()
        with pytest.raises(ValueError, match="does not fit"):
            other.load_weights(tmp_path / name)
        for a, b in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        with pytest.warns(UserWarning, match="Left out"):
            other.load_weights(tmp_path / name, skip_mismatch=True)
        np.testing.assert_array_equal(other.layers[0].kernel, model.layers[0].kernel)
        other.layers[0].kernel.assign(np.zeros((3, 2)))


def test_the_writer_names_a_version_that_keras_knows(tmp_path: Path) -> None:
    made(trained=False).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["keras_version"] == _archive.KERAS_VERSION
    assert set(metadata) == {"keras_version", "date_saved"}


def test_serialization_helpers() -> None:
    optimizer = optimizers.Adam(0.5)
    config = saving.serialize_keras_object(optimizer)
    assert config["module"] == "keras.optimizers"
    again = saving.deserialize_keras_object(config, "keras.optimizers")
    assert again.get_config() == optimizer.get_config()
    with pytest.raises(TypeError, match="lambda cannot be saved"):
        saving.serialize_keras_object(lambda x: x)
    with pytest.raises(TypeError, match="Cannot serialize"):
        saving.serialize_keras_object(object())
