"""Sequential: how models are put together, described and run."""

import json
import threading

import numpy as np
import pytest

import fastconv
from fastconv import layers, models, utils

SUMMARY = """\
Model: "shapes"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 8, 8, 2)        │            20 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ batch_normalization             │ (None, 8, 8, 2)        │             8 │
│ (BatchNormalization)            │                        │               │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 128)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 1000)           │       129,000 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 129,028 (504.02 KB)
 Trainable params: 129,024 (504.00 KB)
 Non-trainable params: 4 (16.00 B)
"""


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    utils.clear_session()
    utils.set_random_seed(0)


def small() -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_summary_is_that_of_keras(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    model = models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(1000),
        ],
        name="shapes",
    )
    model.summary()
    assert capsys.readouterr().out == SUMMARY
    text: list[str] = []
    model.summary(print_fn=text.append, line_length=60, show_trainable=True)
    lines = text[0].splitlines()
    assert {len(line) for line in lines[1:-3]} == {60}
    marks = [line.rsplit("│", 2)[1].strip() for line in lines if line.endswith("│")]
    assert [mark for mark in marks if mark] == ["Y", "Y", "-", "Y"]


def test_summary_counts_the_optimizer_and_unbuilt_layers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = small()
    model.compile("adam", "mse")
    model.train_on_batch(np.zeros((2, 8, 8, 1)), np.zeros((2, 3)))
    model.summary()
    assert " Optimizer params: 240 (960.00 B)" in capsys.readouterr().out
    models.Sequential([layers.Dense(3)]).summary()
    assert "?" in capsys.readouterr().out


def test_lecture_counts_of_weights() -> None:
    dense = models.Sequential([layers.Dense(4, input_dim=9, use_bias=False)])
    conv = models.Sequential(
        [layers.Conv2D(1, (2, 2), padding="valid", input_shape=(3, 3, 1), use_bias=False)]
    )
    assert dense.count_params() == 36
    assert conv.count_params() == 4
    assert conv.output_shape == (None, 2, 2, 1)


def test_names_count_up_per_class() -> None:
    model = models.Sequential([layers.Dense(2), layers.Dense(3), layers.ReLU()])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "re_lu"]
    assert model.name == "sequential"
    assert models.Sequential().name == "sequential_1"


def test_layers_are_found_by_name_and_index() -> None:
    model = small()
    assert model.get_layer("conv2d") is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[3]
    for arguments in ({"name": "none"}, {"index": 9}, {}, {"name": "dense", "index": 1}):
        with pytest.raises(ValueError, match="Received"):
            model.get_layer(**arguments)


def test_add_and_pop() -> None:
    model = models.Sequential()
    model.add(layers.Input((4,)))
    model.add(layers.Dense(3))
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    assert model.pop().name == "dense_1"
    assert model.output_shape == (None, 3)
    model.pop()
    with pytest.raises(ValueError, match="no layers"):
        model.pop()
    assert model.layers == []


def test_a_layer_that_does_not_fit_is_not_added() -> None:
    model = small()
    with pytest.raises(ValueError, match="incompatible with the layer"):
        model.add(layers.Conv2D(2, 3))
    assert len(model.layers) == 4
    assert model(np.zeros((1, 8, 8, 1))).shape == (1, 3)


@pytest.mark.parametrize("entry", [3, "dense", layers.Dense, None])
def test_only_layers_are_accepted(entry: object) -> None:
    with pytest.raises(ValueError, match="Only instances of `Layer`"):
        models.Sequential([entry])


def test_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unique names"):
        models.Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")])


def test_the_shape_may_come_with_the_data() -> None:
    model = models.Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ValueError, match="isn't built"):
        model.count_params()
    assert model(np.zeros((2, 5, 5, 3))).shape == (2, 1)
    assert model.input_shape == (2, 5, 5, 3)
    assert model(np.zeros((3, 5, 5, 3))).shape == (3, 1)
    with pytest.raises(ValueError, match="Invalid input shape"):
        model(np.zeros((2, 6, 5, 3)))
    predicting = models.Sequential([layers.Flatten()])
    predicting.predict(np.zeros((2, 5, 5, 3)), verbose=0)
    assert predicting.input_shape == (None, 5, 5, 3)
    assert models.Sequential([layers.Dense(2)]).build((None, 4)) is None


def test_image_sizes_may_be_unknown() -> None:
    model = models.Sequential(
        [layers.Input((None, None, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
    )
    assert model.layers[0].output_shape == (None, None, None, 2)
    assert model(np.zeros((1, 9, 7, 3))).shape == model(np.zeros((1, 5, 5, 3))).shape == (1, 2)


def test_a_missing_or_extra_axis_of_length_one_is_mended() -> None:
    model = small()
    images = np.random.default_rng(0).random((3, 8, 8, 1))
    np.testing.assert_array_equal(model(images), model(images[..., 0]))
    np.testing.assert_array_equal(model.predict(images[..., 0], verbose=0), model(images))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", "float16", "bool"])
def test_inputs_of_any_number_type_are_cast(dtype: str) -> None:
    model = small()
    images = (np.arange(3 * 64).reshape(3, 8, 8, 1) % 2).astype(dtype)
    expected = model(images.astype("float32"))
    np.testing.assert_array_equal(model(images), expected)
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
    np.testing.assert_array_equal(model.predict_on_batch(images), expected)


def test_inputs_are_left_alone() -> None:
    model = models.Sequential(
        [layers.Input((4,)), layers.ReLU(), layers.Activation("tanh"), layers.Dropout(0.5)]
    )
    x = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)
    kept = x.copy()
    model(x)
    model(x, training=True)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(x, kept)


def test_non_contiguous_and_read_only_inputs() -> None:
    model = small()
    images = np.random.default_rng(0).random((6, 8, 8, 1)).astype("float32")
    images.flags.writeable = False
    np.testing.assert_array_equal(model(images[::2]), model(images)[::2])
    fortran = np.asfortranarray(images)
    np.testing.assert_array_equal(model.predict(fortran, verbose=0), model(images))


def test_outputs_are_new_arrays() -> None:
    model = small()
    images = np.random.default_rng(0).random((2, 8, 8, 1))
    first = model(images)
    kept = first.copy()
    model(images * 2)
    np.testing.assert_array_equal(first, kept)


def test_config_round_trip() -> None:
    model = small()
    copy = models.Sequential.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert [w.shape for w in copy.get_weights()] == [w.shape for w in model.get_weights()]
    text = model.to_json()
    assert json.loads(text)["class_name"] == "Sequential"
    assert models.model_from_json(text).get_config() == model.get_config()
    assert models.clone_model(model).count_params() == model.count_params()


def test_every_layer_survives_its_config() -> None:
    made = [
        layers.Conv2D(4, (3, 2), strides=2, padding="same", groups=2, kernel_regularizer="l2"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_constraint="max_norm"),
        layers.SeparableConv2D(4, 3, dilation_rate=2, pointwise_initializer="he_normal"),
        layers.MaxPooling2D(3, 2, "same", data_format="channels_first"),
        layers.AveragePooling2D(2),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.GlobalMaxPooling2D(),
        layers.Flatten(),
        layers.Dense(5, activation="gelu", use_bias=False, bias_constraint="non_neg"),
        layers.Dropout(0.25, noise_shape=(None, 1), seed=4),
        layers.Activation("silu"),
        layers.BatchNormalization(axis=1, momentum=0.5, center=False, beta_regularizer="l1"),
        layers.ZeroPadding2D(((1, 2), (3, 4))),
        layers.ReLU(6.0, 0.1, 0.2),
        layers.LeakyReLU(0.4),
        layers.Softmax(axis=1),
        layers.Reshape((2, -1)),
        layers.Rescaling([1.0, 2.0], 0.5),
        layers.InputLayer((3, 4)),
    ]
    for layer in made:
        config = json.loads(json.dumps(layer.get_config()))
        again = json.loads(json.dumps(type(layer).from_config(config).get_config()))
        assert again == config


def test_weights_are_read_and_written_in_keras_order() -> None:
    model = models.Sequential(
        [layers.Input((3,)), layers.BatchNormalization(), layers.Dense(2, name="last")]
    )
    assert [v.path for v in model.weights] == [
        "sequential/batch_normalization/gamma",
        "sequential/batch_normalization/beta",
        "sequential/batch_normalization/moving_mean",
        "sequential/batch_normalization/moving_variance",
        "sequential/last/kernel",
        "sequential/last/bias",
    ]
    new = [np.full_like(w, i) for i, w in enumerate(model.get_weights())]
    model.set_weights(new)
    for got, wanted in zip(model.get_weights(), new, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert len(model.trainable_weights) == 4
    assert len(model.non_trainable_weights) == 2
    with pytest.raises(ValueError, match="expecting 6 weights"):
        model.set_weights(new[:3])
    with pytest.raises(ValueError, match="not compatible"):
        model.set_weights([*new[:5], np.zeros(7)])
    np.testing.assert_array_equal(model.get_weights()[5], new[5])


def test_nested_models() -> None:
    inner = models.Sequential([layers.Dense(4, activation="relu"), layers.Dropout(0.5)])
    model = models.Sequential([layers.Input((3,)), inner, layers.Dense(2)])
    x = np.random.default_rng(0).random((5, 3)).astype("float32")
    np.testing.assert_allclose(model(x), model.layers[1](inner(x)), rtol=1e-6)
    assert [v.shape for v in model.weights] == [(3, 4), (4,), (4, 2), (2,)]
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, np.ones((5, 2)), verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    inner.trainable = False
    assert len(model.trainable_weights) == 2
    np.testing.assert_allclose(
        models.Sequential.from_config(model.get_config()).count_params(), model.count_params()
    )


def test_several_threads_predict_at_once() -> None:
    model = small()
    rng = np.random.default_rng(0)
    inputs = [rng.random((size, 8, 8, 1)).astype("float32") for size in (1, 3, 8, 3)]
    expected = [model(x) for x in inputs]
    failures: list[str] = []

    def work(x: np.ndarray, wanted: np.ndarray) -> None:
        for _ in range(50):
            if not np.array_equal(model(x), wanted):
                failures.append("wrong")

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_all_layers_have_one_dtype() -> None:
    with pytest.raises(ValueError, match="same dtype"):
        models.Sequential([layers.Dense(2, input_shape=(3,)), layers.Dense(2, dtype="float64")])
    model = models.Sequential([layers.Dense(2, input_shape=(3,), dtype="float64")])
    assert model(np.ones((1, 3))).dtype == "float64"
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert model.layers[0].kernel.dtype == "float64"


def test_a_model_without_weights_can_be_fitted() -> None:
    model = models.Sequential([layers.Input((2, 2)), layers.Flatten(), layers.Softmax()])
    model.compile("adam", "mse")
    history = model.fit(np.ones((4, 2, 2)), np.full((4, 4), 0.25), verbose=0)
    assert history.history["loss"] == [0.0]


def test_layers_refuse_to_be_called_on_layers() -> None:
    with pytest.raises(TypeError, match="Sequential"):
        layers.Dense(2)(layers.Input((3,)))


def test_public_names() -> None:
    for name in fastconv.__all__:
        assert getattr(fastconv, name) is not None
    assert "Sequential" in dir(fastconv)
    with pytest.raises(AttributeError, match="no attribute"):
        fastconv.nothing  # noqa: B018 - the access is the test
    assert layers.Convolution2D is layers.Conv2D
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool2D is layers.AveragePooling2D
