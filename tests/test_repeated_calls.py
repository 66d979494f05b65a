"""The short way of calls like an earlier one gives what the long way gives, errors included."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import functional, layers, models

SHAPE = (2, 9, 8, 24)
rng = np.random.default_rng(12)


def arrays(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal(SHAPE).astype(dtype)
    kernel = rng.standard_normal((3, 3, SHAPE[3], 40)).astype(dtype)
    return x, kernel, rng.standard_normal(40).astype(dtype)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "numbers": {"strides": 2, "padding": "same", "dilation_rate": 1, "groups": 2},
    "tuples": {"strides": (2, 1), "padding": ((1, 0), (2, 1)), "dilation_rate": (1, 2)},
    "channels_first": {"data_format": "channels_first"},
    "activation": {"activation": "relu", "algorithm": "direct"},
}


def in_format(x: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    first = options.get("data_format") == "channels_first"
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if first else x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIONS)
def test_forward(name: str, dtype: str) -> None:
    x, kernel, bias = arrays(dtype)
    options = OPTIONS[name]
    x = in_format(x, options)
    kernel = np.ascontiguousarray(kernel[:, :, : SHAPE[3] // options.get("groups", 1)])
    first = fastconv.conv2d(x, kernel, bias, **options)
    np.testing.assert_array_equal(fastconv.conv2d(x, kernel, bias, **options), first)
    out = np.full_like(first, np.nan)
    assert fastconv.conv2d(x, kernel, bias, out=out, **options) is out
    np.testing.assert_array_equal(out, first)
    # A strided view takes the long way.
    doubled = np.repeat(x, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(fastconv.conv2d(doubled, kernel, bias, **options), first)


@pytest.mark.parametrize("name", ["plain", "numbers", "tuples", "channels_first"])
def test_backward(name: str) -> None:
    x, kernel, _ = arrays()
    options = OPTIONS[name]
    x = in_format(x, options)
    kernel = np.ascontiguousarray(kernel[:, :, : SHAPE[3] // options.get("groups", 1)])
    dy = np.ones_like(fastconv.conv2d(x, kernel, **options))
    every = ("dx", "dw", "db")
    long = fastconv.conv2d_backward(dy, x, kernel, needs=list(every), **options)
    short = fastconv.conv2d_backward(dy, x, kernel, **options)
    for a, b in zip(short, long, strict=True):
        np.testing.assert_array_equal(a, b)


def test_packed() -> None:
    x, kernel, bias = arrays()
    packed = fastconv.pack_conv2d(x.shape, kernel, padding="same")
    assert packed is not None
    options: dict[str, Any] = {"packed": packed, "padding": "same"}
    first = fastconv.conv2d(x, kernel, bias, **options)
    np.testing.assert_array_equal(fastconv.conv2d(x, kernel, bias, **options), first)
    for wrong in (packed[:-1], packed[:10], packed.view(np.int8), packed[None], packed.tolist()):
        with pytest.raises((ValueError, TypeError), match="packed"):
            fastconv.conv2d(x, kernel, bias, packed=wrong, padding="same")
    other = packed.copy()
    other[:64] = 7
    with pytest.raises(ValueError, match="packed"):
        fastconv.conv2d(x, kernel, bias, packed=other, padding="same")


def calls() -> dict[str, tuple[Callable[..., Any], type[Exception], str]]:
    """Calls that find what a valid one left, if they are mistaken for it."""
    x, kernel, bias = arrays()
    y = fastconv.conv2d(x, kernel, bias, padding="same")
    dy = np.ones_like(y)
    conv, backward = fastconv.conv2d, fastconv.conv2d_backward
    frozen = np.empty_like(y)
    frozen.flags.writeable = False
    memory = np.zeros(x.size + y.size, np.float32)
    shared = memory[: x.size].reshape(x.shape)
    onto = memory[10 : 10 + y.size].reshape(y.shape)
    same: dict[str, Any] = {"padding": "same"}
    return {
        "strides=True": (lambda: conv(x, kernel, strides=True, **same), TypeError, "strides"),
        "strides=1.0": (lambda: conv(x, kernel, strides=1.0, **same), TypeError, "strides"),
        "pair": (lambda: conv(x, kernel, strides=(1, True), **same), TypeError, "strides"),
        "groups": (lambda: conv(x, kernel, groups=True, **same), TypeError, "groups"),
        "padding": (lambda: conv(x, kernel, padding=((1.0, 1), (1, 1))), TypeError, "padding"),
        "unhashable": (lambda: conv(x, kernel, algorithm=[], **same), ValueError, "algorithm"),
        "kernel dtype": (lambda: conv(x, kernel.astype("d"), **same), TypeError, "kernel"),
        "bias shape": (lambda: conv(x, kernel, bias[1:], **same), ValueError, "bias"),
        "bias dtype": (lambda: conv(x, kernel, bias.astype("d"), **same), TypeError, "bias"),
        "out shape": (lambda: conv(x, kernel, out=y[:1], **same), ValueError, "out"),
        "out dtype": (lambda: conv(x, kernel, out=y.astype("d"), **same), TypeError, "out"),
        "frozen": (lambda: conv(x, kernel, out=frozen, **same), ValueError, "out"),
        "shared": (lambda: conv(shared, kernel, out=onto, **same), ValueError, "share memory"),
        "strided": (lambda: conv(x, kernel, out=y[..., ::-1], **same), ValueError, "contiguous"),
        "dy": (lambda: backward(dy[:, 1:], x, kernel, **same), ValueError, "dy"),
        "dy dtype": (lambda: backward(dy.astype("d"), x, kernel, **same), TypeError, "dy"),
    }


@pytest.mark.parametrize("name", calls())
def test_errors_name_the_argument(name: str) -> None:
    x, kernel, bias = arrays()
    y = fastconv.conv2d(x, kernel, bias, padding="same")
    fastconv.conv2d(x, kernel, padding=((1, 1), (1, 1)), strides=(1, 1))
    fastconv.conv2d_backward(y, x, kernel, padding="same")
    call, error, message = calls()[name]
    for _ in range(2):
        with pytest.raises(error, match=message):
            call()


def test_arrays_that_are_converted() -> None:
    x, kernel, bias = arrays()
    first = fastconv.conv2d(x, kernel, bias)
    swapped = x.astype(x.dtype.newbyteorder())
    memory = bytearray(x.nbytes + 1)
    crooked = np.frombuffer(memory, np.float32, x.size, 1).reshape(x.shape)
    crooked[...] = x

    class Kind(np.ndarray):
        pass

    for like in (swapped, crooked, x.view(Kind), np.asfortranarray(x)):
        np.testing.assert_array_equal(fastconv.conv2d(like, kernel, bias), first)


def test_a_change_of_keras_format_is_seen() -> None:
    x, kernel, bias = arrays()
    first = fastconv.conv2d(x, kernel, bias)
    planes = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    try:
        fastconv.config.set_image_data_format("channels_first")
        y = fastconv.conv2d(planes, kernel, bias)
    finally:
        fastconv.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(y.transpose(0, 2, 3, 1), first, rtol=1e-5, atol=1e-4)


def test_large_results_begin_with_a_cache_line() -> None:
    x = np.zeros((4, 64, 64, 8), np.float32)
    kernel = np.zeros((1, 1, 8, 32), np.float32)
    for _ in range(2):
        y = functional.conv2d(x, kernel)
        assert y.ctypes.data % 64 == 0


def small_model() -> models.Sequential:
    model = models.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def one_by_one(model: models.Sequential, x: Any) -> Any:
    for layer in model.layers:
        x = layer(x)
    return np.asarray(x)


@pytest.mark.parametrize("rows", [1, 3, 16, 17, 40])
def test_a_model_called_again_sees_its_weights_as_they_are(rows: int) -> None:
    model = small_model()
    x = rng.random((rows, 6, 6, 2), np.float32)
    first = model(x)
    np.testing.assert_allclose(first, one_by_one(model, x), rtol=0, atol=1e-6)
    again = model(x)
    np.testing.assert_array_equal(again, first)
    assert again is not first
    assert not np.shares_memory(again, first)
    model.set_weights([w + 0.5 for w in model.get_weights()])
    np.testing.assert_allclose(model(x), one_by_one(model, x), rtol=0, atol=1e-6)
    model.fit(x, np.zeros(rows), verbose=0)  # moves the weights
    np.testing.assert_allclose(model(x), one_by_one(model, x), rtol=0, atol=1e-6)
    assert (model(x) != first).any()


def test_a_model_called_again_with_other_arrays() -> None:
    model = small_model()
    x = rng.random((4, 6, 6, 2), np.float32)
    expected = model(x)
    mirrored = np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    unaligned = np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    swapped = x.astype(x.dtype.newbyteorder())
    read_only = x.copy()
    read_only.flags.writeable = False
    for other in (x.astype(np.float64), mirrored, unaligned, swapped, read_only, x.tolist()):
        np.testing.assert_allclose(model(other), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model(x), expected)
    with pytest.raises(ValueError, match="incompatible shape"):
        model(x[:, :5])
    with pytest.raises(ValueError, match="at least one axis"):
        model(np.float32(1) * np.ones(()))


def test_training_is_not_taken_for_a_call_like_an_earlier_one() -> None:
    model = models.Sequential([layers.Input((50,)), layers.Dropout(0.5, seed=1)])
    x = np.ones((2, 50), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(model(x), x)
        assert (model(x, training=True) == 0).any()


def test_results_of_a_model_called_again_stay_as_they_are() -> None:
    model = small_model()
    inputs = [rng.random((2, 6, 6, 2), np.float32) for _ in range(5)]
    results = [model(x) for x in inputs for _ in range(3)]
    expected = [one_by_one(model, x) for x in inputs for _ in range(3)]
    np.testing.assert_allclose(results, expected, rtol=0, atol=1e-6)
    part = model(inputs[0])[0]  # refers to the whole
    frozen = part.copy()
    for x in inputs:
        model(x)
    np.testing.assert_array_equal(part, frozen)


def test_a_result_that_was_dropped_may_have_been_changed() -> None:
    model = small_model()
    x = rng.random((2, 6, 6, 2), np.float32)
    expected = model(x).copy()
    for _ in range(4):
        y = model(x)
        y.flags.writeable = False
        del y
        y = model(x)
        y.shape = (3, 2)
        del y
        np.testing.assert_array_equal(model(x), expected)


def test_shapes_in_turn_and_layers_that_are_added() -> None:
    model = small_model()
    few, more = rng.random((1, 6, 6, 2), np.float32), rng.random((3, 6, 6, 2), np.float32)
    expected = [one_by_one(model, few), one_by_one(model, more)]
    for x, y in zip([few, more, more, few, few], [0, 1, 1, 0, 0], strict=True):
        np.testing.assert_allclose(model(x), expected[y], rtol=0, atol=1e-6)
    model.add(layers.Dense(5))
    for _ in range(3):
        assert model(few).shape == (1, 5)


def test_threads_that_call_a_model_at_once() -> None:
    model = small_model()
    inputs = [rng.random((1, 6, 6, 2), np.float32) for _ in range(4)]
    expected = [model(x).copy() for x in inputs]

    def wrong(i: int) -> int:
        return sum(not np.array_equal(model(inputs[i]), expected[i]) for _ in range(300))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(wrong, range(4))) == [0, 0, 0, 0]
