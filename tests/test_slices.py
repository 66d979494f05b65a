"""Inference in slices: the same outputs, whatever the number of rows, of threads and of callers."""

import threading

import numpy as np
import pytest

import fastconv
from fastconv import functional, layers, models, runtime
from fastconv.models._slices import slice_rows

RNG = np.random.default_rng(0)
X = RNG.random((130, 12, 12, 3), dtype=np.float32)


def network() -> models.Sequential:
    return models.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def one_by_one(model: models.Sequential, x: np.ndarray) -> np.ndarray:
    return np.concatenate([model(x[i : i + 1]) for i in range(len(x))])


# Below a slice, one, two, and some with a rest; kernels differ between one image and many, so
# results differ by rounding: 1e-6 is ten units in the last place of a probability.
@pytest.mark.parametrize("rows", [1, 15, 16, 17, 31, 32, 33, 64, 127, 130])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_outputs_are_those_of_single_images(rows: int, threads: int) -> None:
    model = network()
    x = X[:rows]
    expected = one_by_one(model, x)
    with runtime.threads(threads):
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
        np.testing.assert_allclose(
            model.predict(x, batch_size=rows, verbose=0), expected, atol=1e-6
        )
        np.testing.assert_allclose(model(x), expected, atol=1e-6)
        np.testing.assert_allclose(model.predict_on_batch(x), expected, atol=1e-6)


def test_same_bits_for_every_number_of_threads() -> None:
    model = network()
    results = []
    for threads in (1, 2, 4):
        with runtime.threads(threads):
            results.append(model.predict(X, batch_size=128, verbose=0))
    assert all(np.array_equal(results[0], result) for result in results[1:])


def test_new_weights_are_used_by_all_threads() -> None:
    model = network()
    with runtime.threads(2):
        before = model.predict(X, batch_size=130, verbose=0)
        model.set_weights([-w for w in model.get_weights()[:-4]] + model.get_weights()[-4:])
        after = model.predict(X, batch_size=130, verbose=0)
    np.testing.assert_allclose(after, one_by_one(model, X), atol=1e-6)
    assert np.abs(after - before).max() > 1e-3


def test_callers_at_the_same_time() -> None:
    model = network()
    expected = one_by_one(model, X)
    worst = []

    def call() -> None:
        results = [model.predict(X, batch_size=65, verbose=0) for _ in range(10)]
        worst.append(max(float(np.abs(y - expected).max()) for y in results))

    with runtime.threads(2):
        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert len(worst) == 4
    assert max(worst) < 1e-6


class Doubled(layers.Layer):
    """Python takes part: there is no program of the pass."""

    def call(self, x: np.ndarray) -> np.ndarray:
        return x * 2


def test_layers_in_python_see_whole_batches() -> None:
    model = models.Sequential([layers.Input((12, 12, 3)), Doubled(), layers.Flatten()])
    np.testing.assert_array_equal(model.predict(X, verbose=0), 2 * X.reshape(130, -1))


def test_scaled_bytes() -> None:
    x = (X * 255).astype(np.uint8)
    model = models.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)])
    expected = model(x[:1])
    np.testing.assert_allclose(model.predict(x, batch_size=130, verbose=0)[:1], expected, atol=1e-6)


def test_a_wrong_shape_is_reported_as_it_was_given() -> None:
    with pytest.raises(ValueError, match=r"\(64, 12, 12, 4\)"):
        network().predict(np.zeros((64, 12, 12, 4), np.float32), batch_size=64, verbose=0)


def test_rows_of_a_slice() -> None:
    assert slice_rows(network().layers, (12, 12, 3), 4) == 64
    assert slice_rows([], (224, 224, 3), 4) == 16
    large = models.Sequential([layers.Input((4096,)), layers.Dense(1024)])
    assert slice_rows(large.layers, (4096,), 4) == 0, "its weights would be read too often"


def test_programs_beside_each_other_must_be_alike() -> None:
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)
    program, other = functional.Program((x, y)), functional.Program((x,))
    with program:
        fastconv.activate(x, "relu", out=y)
    many, out = np.arange(-12, 12, dtype=np.float32), np.empty(24, np.float32)
    program.repeat(4, many, out, beside=())
    np.testing.assert_array_equal(out, np.maximum(many, 0))
    with pytest.raises(ValueError, match=r"Expected programs with 2 moving arrays\. Received: 1"):
        program.repeat(4, many, out, beside=(other,))
