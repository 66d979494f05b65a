"""Layers: arguments of today and of old, errors, and what the values of Keras do not cover."""

import warnings

import numpy as np
import pytest

from fastconv import config, layers, models, reference, utils

rng = np.random.default_rng(0)
IMAGES = rng.standard_normal((2, 5, 6, 4)).astype("float32")

ERRORS = {
    "filters zero": (lambda: layers.Conv2D(0, 3), "filters=0"),
    "filters negative": (lambda: layers.Conv2D(-2, 3), "filters=-2"),
    "filters float": (lambda: layers.Conv2D(2.5, 3), "filters=2.5"),
    "filters None": (lambda: layers.Conv2D(None, 3), "filters=None"),
    "kernel zero": (lambda: layers.Conv2D(2, 0), "kernel_size=0"),
    "kernel triple": (lambda: layers.Conv2D(2, (1, 2, 3)), "kernel_size"),
    "kernel text": (lambda: layers.Conv2D(2, "3"), "kernel_size='3'"),
    "strides zero": (lambda: layers.Conv2D(2, 3, strides=0), "strides=0"),
    "padding": (lambda: layers.Conv2D(2, 3, padding="full"), "padding='full'"),
    "data format": (lambda: layers.Conv2D(2, 3, data_format="nhwc"), "data_format='nhwc'"),
    "groups": (lambda: layers.Conv2D(3, 3, groups=2), "groups=2, filters=3"),
    "groups of channels": (lambda: layers.Conv2D(3, 3, groups=3)(IMAGES), "groups=3"),
    "dilation and strides": (
        lambda: layers.Conv2D(2, 3, strides=2, dilation_rate=2),
        "not supported in conjunction",
    ),
    "depthwise dilation": (
        lambda: layers.DepthwiseConv2D(3, strides=2, dilation_rate=2),
        "not supported in conjunction",
    ),
    "depth multiplier": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=0),
        "depth_multiplier=0",
    ),
    "activation": (lambda: layers.Conv2D(2, 3, activation="nothing"), "'nothing'"),
    "initializer": (lambda: layers.Dense(2, kernel_initializer="nothing"), "'nothing'"),
    "regularizer": (lambda: layers.Dense(2, kernel_regularizer="nothing"), "'nothing'"),
    "constraint": (lambda: layers.Dense(2, bias_constraint="nothing"), "'nothing'"),
    "rank": (lambda: layers.Conv2D(2, 3)(np.zeros((2, 5, 6))), "expected ndim=4, found ndim=3"),
    "kernel larger": (lambda: layers.Conv2D(2, 6)(IMAGES), "output size would be negative"),
    "pool larger": (lambda: layers.MaxPooling2D(7)(IMAGES), "output size would be negative"),
    "pool zero": (lambda: layers.AveragePooling2D(0), "pool_size=0"),
    "units": (lambda: layers.Dense(0), "units=0"),
    "dense rank": (lambda: layers.Dense(2)(np.zeros(3)), "min_ndim=2, found ndim=1"),
    "rate": (lambda: layers.Dropout(1.5), "rate=1.5"),
    "rate text": (lambda: layers.Dropout("a"), "rate='a'"),
    "axis": (lambda: layers.BatchNormalization(axis=7)(IMAGES), "axis=7"),
    "axis of the batch": (lambda: layers.BatchNormalization(axis=0)(IMAGES), "axis=0"),
    "renorm": (lambda: layers.BatchNormalization(renorm=True), "renorm=True"),
    "reshape": (lambda: layers.Reshape((7, -1))(IMAGES), r"target_shape=\(7, -1\)"),
    "two unknown sizes": (lambda: layers.Reshape((-1, -1)), "at most one -1"),
    "zero padding": (lambda: layers.ZeroPadding2D("same"), "padding='same'"),
    "negative padding": (lambda: layers.ZeroPadding2D(-1), "padding=-1"),
    "relu maximum": (lambda: layers.ReLU(max_value=-1.0), "max_value=-1.0"),
    "relu slope": (lambda: layers.ReLU(negative_slope=-1.0), "negative_slope=-1.0"),
    "relu threshold": (lambda: layers.ReLU(threshold=-1.0), "threshold=-1.0"),
    "input without shape": (lambda: layers.Input(), "You must pass a `shape`"),
    "input with both": (lambda: layers.Input((2,), batch_shape=(1, 2)), "both"),
    "input text": (lambda: layers.Input("ab"), "shape='ab'"),
    "sparse": (lambda: layers.Input((2,), sparse=True), "sparse=True"),
    "unknown argument": (lambda: layers.Dense(2, colour="red"), "colour='red'"),
    "name": (lambda: layers.Dense(2, name="a/b"), "name='a/b'"),
    "dtype": (lambda: layers.Dense(2, dtype="float16"), "dtype='float16'"),
    "lora": (lambda: layers.Dense(2, lora_rank=3), "lora_rank"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_arguments_are_named(name: str) -> None:
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


def test_sizes_of_a_built_layer_are_fixed() -> None:
    layer = layers.Conv2D(2, 3)
    layer(IMAGES)
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 4"):
        layer(np.zeros((1, 5, 5, 3)))
    assert layer(np.zeros((1, 9, 9, 4))).shape == (1, 7, 7, 2)
    dense = layers.Dense(2)
    dense(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="to have value 3"):
        dense(np.zeros((1, 4)))


def test_padding_in_any_case() -> None:
    assert layers.Conv2D(2, 3, padding="SAME").padding == "same"
    assert layers.MaxPooling2D(padding="Valid").padding == "valid"


def test_names_of_keras_1() -> None:
    with pytest.warns(DeprecationWarning, match="use `padding`"):
        layer = layers.Convolution2D(32, (5, 5), border_mode="same")
    assert layer.padding == "same"
    with pytest.warns(DeprecationWarning, match="use `filters`"):
        assert layers.Conv2D(nb_filter=4, kernel_size=3).filters == 4
    with pytest.warns(DeprecationWarning, match="use `padding`"):
        assert layers.MaxPooling2D(border_mode="same").padding == "same"
    with pytest.raises(TypeError, match="pass one of them"):
        layers.Conv2D(filters=4, kernel_size=3, nb_filter=5)
    with pytest.raises(TypeError, match="multiple values"), pytest.warns(match="use `filters`"):
        layers.Conv2D(4, 3, nb_filter=5)
    with pytest.warns(UserWarning, match="In Keras 1 they meant a kernel"):
        layers.Convolution2D(32, 3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.Conv2D(32, 3, 2)
        layers.Conv2D(32, 2, strides=2)
        layers.Conv2D(32, (3, 3), (3, 3))


def test_where_the_input_shape_may_be_given() -> None:
    for arguments in (
        {"input_shape": (9,)},
        {"input_dim": 9},
        {"batch_input_shape": (None, 9)},
        {"batch_shape": (None, 9)},
    ):
        assert models.Sequential([layers.Dense(4, **arguments)]).count_params() == 40
    assert models.Sequential([layers.Dense(4, input_shape=(9,), batch_size=2)]).input_shape == (
        2,
        9,
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda f: layers.Conv2D(3, 3, strides=2, padding="same", data_format=f),
        lambda f: layers.DepthwiseConv2D(3, depth_multiplier=2, data_format=f),
        lambda f: layers.SeparableConv2D(3, 2, activation="relu", data_format=f),
        lambda f: layers.MaxPooling2D(2, padding="same", data_format=f),
        lambda f: layers.AveragePooling2D(2, data_format=f),
        lambda f: layers.GlobalAveragePooling2D(keepdims=True, data_format=f),
        lambda f: layers.GlobalMaxPooling2D(keepdims=True, data_format=f),
        lambda f: layers.ZeroPadding2D(((1, 2), (0, 1)), data_format=f),
    ],
)
def test_both_data_formats_agree(make) -> None:
    last, first = make("channels_last"), make("channels_first")
    expected = last(IMAGES)
    turned = np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
    first(turned)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(first(turned).transpose(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-6)
    shape = first.compute_output_shape((None, 4, 5, 6))
    assert shape == (None, *first(turned).shape[1:])


def test_flatten_gives_the_same_vector_for_both_formats() -> None:
    turned = IMAGES.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        layers.Flatten("channels_first")(turned), layers.Flatten("channels_last")(IMAGES)
    )
    assert layers.Flatten()(np.zeros(3)).shape == (3, 1)
    assert layers.Flatten().compute_output_shape((None, 4, None)) == (None, None)


def test_the_configured_format_is_the_default() -> None:
    try:
        config.set_image_data_format("channels_first")
        layer = layers.Conv2D(3, 2)
        assert layer.compute_output_shape((None, 4, 5, 6)) == (None, 3, 4, 5)
    finally:
        config.set_image_data_format("channels_last")


def test_unknown_sizes_pass_through() -> None:
    shape = (None, None, 7, 4)
    assert layers.Conv2D(3, 2).compute_output_shape(shape) == (None, None, 6, 3)
    assert layers.MaxPooling2D().compute_output_shape(shape) == (None, None, 3, 4)
    assert layers.ZeroPadding2D().compute_output_shape(shape) == (None, None, 9, 4)
    assert layers.Reshape((-1, 2)).compute_output_shape(shape) == (None, None, 2)
    with pytest.raises(ValueError, match="channel dimension"):
        layers.Conv2D(3, 2).ensure_built((None, 5, 5, None))


def test_convolution_on_float64_is_the_reference() -> None:
    layer = layers.Conv2D(3, 3, dtype="float64", padding="same", activation="tanh")
    x = rng.standard_normal((2, 5, 6, 4))
    expected = reference.conv2d(x, *_weights(layer, x), padding="same", activation="tanh")
    # float64, sums of 36 products in another order
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-13)


def _weights(layer: layers.Layer, x: np.ndarray) -> list[np.ndarray]:
    layer(x)
    return layer.get_weights()


def test_dense_acts_on_the_last_axis() -> None:
    layer = layers.Dense(3)
    y = layer(IMAGES)
    assert y.shape == (2, 5, 6, 3)
    np.testing.assert_allclose(y, IMAGES @ np.asarray(layer.kernel), rtol=1e-5, atol=1e-6)


def test_empty_batches() -> None:
    model = models.Sequential(
        [
            layers.Input((5, 6, 4)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    assert model(np.zeros((0, 5, 6, 4))).shape == (0, 2)


def test_dropout() -> None:
    x = np.ones((200, 50), "float32")
    layer = layers.Dropout(0.3, seed=1)
    np.testing.assert_array_equal(layer(x), x)
    first, second = layer(x, training=True), layer(x, training=True)
    assert (first != second).any()
    kept = np.float32(1) / np.float32(0.7)
    assert set(np.unique(first).tolist()) <= {0.0, float(kept), float(np.nextafter(kept, 2))}
    # 10,000 draws: the share of zeros has a standard deviation of 0.0046
    assert abs((first == 0).mean() - 0.3) < 0.025
    assert not layers.Dropout(1.0)(x, training=True).any()
    np.testing.assert_array_equal(layers.Dropout(0)(x, training=True), x)
    again = layers.Dropout(0.3, seed=1)(x, training=True)
    np.testing.assert_array_equal(again, first)


def test_dropout_noise_shape_drops_whole_channels() -> None:
    layer = layers.Dropout(0.5, noise_shape=(None, 1, 1, None), seed=2)
    y = layer(np.ones((8, 5, 6, 16), "float32"), training=True)
    assert (y == y[:, :1, :1]).all()
    assert set(np.unique(y).tolist()) == {0.0, 2.0}


def test_batch_normalization_moves_its_averages() -> None:
    layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    x = rng.standard_normal((50, 3)).astype("float32") * 2 + 5
    y = layer(x, training=True)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-4)
    # The biased variance goes into the average, as in Keras.
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var(0), rtol=1e-5)
    expected = (x - np.asarray(layer.moving_mean)) / np.sqrt(
        np.asarray(layer.moving_variance) + 1e-5
    )
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_nan_reaches_the_output_of_max_pooling() -> None:
    for position in range(4):
        x = np.zeros((1, 2, 2, 1), "float32")
        x.reshape(-1)[position] = np.nan
        assert np.isnan(layers.MaxPooling2D()(x)).all()


def test_ties_give_the_gradient_to_the_first() -> None:
    model = models.Sequential(
        [
            layers.Input((2, 2, 1)),
            layers.Conv2D(1, 1, use_bias=False, kernel_initializer="zeros"),
            layers.MaxPooling2D(),
        ]
    )
    model.compile("sgd", "mse")
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
    model.train_on_batch(x, np.ones((1, 1, 1, 1)))
    # All four outputs are 0; dL/dy = -2 goes to the first, whose input is 1.
    np.testing.assert_allclose(model.layers[0].kernel, [[[[0.02]]]], rtol=1e-6)


def test_layers_keep_their_weights_when_given_new_ones() -> None:
    layer = layers.Dense(2)
    layer(np.zeros((1, 3)))
    layer.set_weights([np.ones((3, 2)), np.full(2, 5.0)])
    np.testing.assert_array_equal(layer(np.ones((1, 3))), [[8.0, 8.0]])
    assert layer.kernel.name == "kernel"
    assert layer.count_params() == 8
    with pytest.raises(ValueError, match="isn't built"):
        layers.Dense(2).count_params()
    with pytest.raises(AttributeError, match="no defined output"):
        layers.Dense(2).output_shape  # noqa: B018 - the access is the test


def test_same_seed_same_layer() -> None:
    def kernel() -> np.ndarray:
        utils.set_random_seed(3)
        layer = layers.Conv2D(2, 3)
        layer(IMAGES)
        return layer.get_weights()[0]

    np.testing.assert_array_equal(kernel(), kernel())
