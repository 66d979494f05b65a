"""Damaged and hostile files: a clear error, nothing executed, memory bounded."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from fastconv import layers, models, utils


def made() -> models.Sequential:
    """Return a model with several kinds of layers, compiled."""
    utils.clear_session()
    model = models.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(2, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def rewritten(source: Path, target: Path, **parts: bytes) -> Path:
    """Copy a ``.keras`` file with some of its entries replaced."""
    names = {"config": "config.json", "weights": "model.weights.h5", "metadata": "metadata.json"}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for key, name in names.items():
            content = parts.get(key, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    made().save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def config_of(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def test_truncated_and_corrupt_archives(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    target = tmp_path / "bad.keras"
    for size in (0, 1, 30, 1000, len(content) // 2, len(content) - 30):
        target.write_bytes(content[:size])
        with pytest.raises(ValueError, match="Received: filepath="):
            models.load_model(target)
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 20):
            damaged[position] ^= 0xFF
        target.write_bytes(bytes(damaged))
        try:
            models.load_model(target)
        except ValueError:
            continue


def test_missing_and_doubled_entries(saved: Path, tmp_path: Path) -> None:
    for key in ("config", "weights"):
        with pytest.raises(ValueError, match="must hold one entry"):
            models.load_model(rewritten(saved, tmp_path / "bad.keras", **{key: None}))
    with zipfile.ZipFile(saved, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="it has 2"):
        models.load_model(saved)


def test_zip_bombs_are_not_unpacked(saved: Path, tmp_path: Path, monkeypatch) -> None:
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(config_of(saved)))
        with archive.open("model.weights.h5", "w", force_zip64=True) as stream:
            for _ in range(100):
                stream.write(bytes(2**20))
    assert bomb.stat().st_size < 2**20
    with pytest.raises(ValueError, match="would grow from"):
        models.load_model(bomb)


def test_other_entries_are_never_written_anywhere(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("../../evil.txt", "x")
        archive.writestr("/tmp/evil.txt", "x")
    before = sorted(p for p in tmp_path.rglob("*"))
    models.load_model(saved)
    assert sorted(p for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("class_name", "module"),
    [
        ("Lambda", "keras.layers"),
        ("system", "os"),
        ("Popen", "subprocess"),
        ("Functional", "keras.src.models.functional"),
        ("Trainer", "fastconv.models.trainer"),
        ("Adam", "keras.optimizers"),
    ],
)
def test_unknown_classes_are_refused(saved: Path, tmp_path: Path, class_name, module) -> None:
    config = config_of(saved)
    config["config"]["layers"][1] = {
        "module": module,
        "class_name": class_name,
        "config": {},
        "registered_name": class_name,
    }
    bad = rewritten(saved, tmp_path / "bad.keras", config=json.dumps(config).encode())
    with pytest.raises(ValueError, match=f"{class_name}"):
        models.load_model(bad)


def test_nothing_is_unpickled_or_called(saved: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "evil"),))

    payload = pickle.dumps(Evil())
    for part in ("config", "weights"):
        with pytest.raises(ValueError, match="Received"):
            models.load_model(rewritten(saved, tmp_path / "bad.keras", **{part: payload}))
    for name in ("bad.h5", "bad.weights.h5", "bad.safetensors"):
        (tmp_path / name).write_bytes(payload)
        load = models.load_model if name == "bad.h5" else made().load_weights
        with pytest.raises(ValueError, match="Received"):
            load(tmp_path / name)
    assert not (tmp_path / "evil").exists()


BAD_CONFIGS = {
    "no object": lambda c: [1, 2],
    "no class": lambda c: {"config": {}},
    "layers no list": lambda c: c["config"].update(layers=3),
    "layer no dictionary": lambda c: c["config"]["layers"].__setitem__(1, 3),
    "layer without config": lambda c: c["config"]["layers"][1].pop("config"),
    "unknown argument": lambda c: c["config"]["layers"][1]["config"].update(evil=1),
    "negative filters": lambda c: c["config"]["layers"][1]["config"].update(filters=-1),
    "filters as text": lambda c: c["config"]["layers"][1]["config"].update(filters="a"),
    "unknown activation": lambda c: c["config"]["layers"][1]["config"].update(activation="os"),
    "other filters": lambda c: c["config"]["layers"][1]["config"].update(filters=7),
    "huge layer": lambda c: c["config"]["layers"][-1]["config"].update(units=10**9),
    "many large layers": lambda c: c["config"]["layers"].extend(
        {
            "class_name": "Dense",
            "module": "keras.layers",
            "config": {"units": 30000, "name": f"d{i}"},
        }
        for i in range(50)
    ),
    "unknown loss": lambda c: c["compile_config"].update(loss="os.system"),
    "loss of another kind": lambda c: c["compile_config"].update(loss={"class_name": "Dense"}),
    "unknown optimizer": lambda c: c["compile_config"].update(optimizer="os"),
    "optimizer no object": lambda c: c["compile_config"].update(optimizer=[3]),
    "metrics of another kind": lambda c: c["compile_config"].update(metrics={"a": {"b": 1}}),
    "compile no dictionary": lambda c: c.update(compile_config=[1]),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_configurations_are_explained(saved: Path, tmp_path: Path, name: str) -> None:
    config = config_of(saved)
    changed = BAD_CONFIGS[name](config)
    content = json.dumps(config if changed is None or name != "no object" else changed)
    bad = rewritten(saved, tmp_path / "bad.keras", config=content.encode())
    if name == "no class":
        bad = rewritten(saved, tmp_path / "bad.keras", config=b'{"config": {}}')
    with pytest.raises(ValueError, match=r"[Rr]eceived|Pass `compile=False`"):
        models.load_model(bad)


def test_deeply_nested_json(saved: Path, tmp_path: Path) -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(ValueError, match="not valid JSON"):
        models.load_model(rewritten(saved, tmp_path / "bad.keras", config=text))


def test_a_claim_of_more_weights_than_the_file_holds_takes_no_memory(
    saved: Path, tmp_path: Path
) -> None:
    import tracemalloc

    config = config_of(saved)
    config["config"]["layers"][-1]["config"]["units"] = 30_000_000
    bad = rewritten(saved, tmp_path / "bad.keras", config=json.dumps(config).encode())
    tracemalloc.start()
    with pytest.raises(ValueError, match="cannot hold as many weights"):
        models.load_model(bad)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def tree(**datasets: object) -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, value in datasets.items():
            file[path.replace("__", "/")] = value
    return memory.getvalue()


def test_links_out_of_the_file_are_not_followed(saved: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.zeros((3, 3, 1, 2), "float32")
    with zipfile.ZipFile(saved) as archive:
        original = archive.read("model.weights.h5")
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(72))

    def changed(change) -> bytes:
        memory = io.BytesIO(original)
        with h5py.File(memory, "r+") as file:
            group = file["layers/conv2d/vars"]
            del group["0"]
            change(group)
        return memory.getvalue()

    layout = h5py.VirtualLayout((3, 3, 1, 2), "float32")
    layout[:] = h5py.VirtualSource(str(secret), "x", (3, 3, 1, 2))
    changes = {
        "external link": lambda g: g.__setitem__("0", h5py.ExternalLink(str(secret), "x")),
        "soft link": lambda g: g.__setitem__("0", h5py.SoftLink("/layers/conv2d/vars/1")),
        "external data": lambda g: g.create_dataset(
            "0", (3, 3, 1, 2), "float32", external=[(str(raw), 0, 72)]
        ),
        "virtual": lambda g: g.create_virtual_dataset("0", layout),
        "strings": lambda g: g.create_dataset("0", data=["a"] * 18),
        "group": lambda g: g.create_group("0"),
        "missing": lambda g: None,
        "another shape": lambda g: g.create_dataset("0", data=np.zeros((3, 3, 2, 1))),
        "huge": lambda g: g.create_dataset("0", (10**6, 10**6), "float32", chunks=(10, 10)),
    }
    for name, change in changes.items():
        bad = rewritten(saved, tmp_path / "bad.keras", weights=changed(change))
        with pytest.raises(ValueError, match="Received: "):
            print(name, models.load_model(bad))


def test_truncated_h5_and_safetensors(tmp_path: Path) -> None:
    model = made()
    for name in ("model.h5", "w.weights.h5", "w.safetensors"):
        path = tmp_path / name
        if name == "model.h5":
            model.save(path)
        else:
            model.save_weights(path)
        content = path.read_bytes()
        load = models.load_model if name == "model.h5" else model.load_weights
        for size in (0, 4, 12, 100, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:size])
            with pytest.raises(ValueError, match="Received"):
                load(path)


def test_hostile_safetensors_headers(tmp_path: Path) -> None:
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="d", use_bias=False)])
    path = tmp_path / "w.safetensors"
    good = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}
    for entry in (
        3,
        {},
        {**good, "dtype": "PICKLE"},
        {**good, "shape": [2, 3]},
        {**good, "data_offsets": [0, 2**62]},
        {**good, "data_offsets": [-24, 0]},
        {**good, "data_offsets": [8, 32]},
        {**good, "data_offsets": ["a", "b"]},
        {**good, "data_offsets": 3},
    ):
        header = json.dumps({"d/kernel": entry}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
        with pytest.raises(ValueError, match="does not fit 'd/kernel'"):
            model.load_weights(path)
    path.write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="header is damaged"):
        model.load_weights(path)
