"""fit, evaluate, predict: data in all forms, weights of samples and classes, what is returned."""

import numpy as np
import pytest

import fastconv
from fastconv import callbacks, layers, losses, models, optimizers, utils

rng = np.random.default_rng(0)
X = rng.random((50, 6, 6, 1)).astype("float32")
Y = (np.arange(50) * 7 % 3).astype("int64")


@pytest.fixture(autouse=True)
def _seed() -> None:
    utils.set_random_seed(1)


def made(
    loss: object = "sparse_categorical_crossentropy",
    optimizer: object = "sgd",
    metrics: object = None,
    **kwargs: object,
) -> models.Sequential:
    utils.set_random_seed(1)
    model = models.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss, metrics=metrics, **kwargs)
    return model


def test_fit_returns_the_history() -> None:
    history = made(metrics=["accuracy"]).fit(
        X, Y, batch_size=16, epochs=3, verbose=0, validation_split=0.2
    )
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 3 for values in history.history.values())
    assert all(type(value) is float for value in history.history["loss"])
    assert history.epoch == [0, 1, 2]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 3}


def test_training_learns() -> None:
    points = rng.standard_normal((300, 2)).astype("float32")
    labels = (points[:, 0] * points[:, 1] > 0).astype("int64")
    model = models.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(16, activation="tanh"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    model.fit(points, labels, epochs=40, verbose=0)
    assert model.evaluate(points, labels, verbose=0)[1] > 0.95


def test_shuffling_follows_the_seed() -> None:
    def weights(seed: int) -> np.ndarray:
        model = made()
        utils.set_random_seed(seed)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        return model.get_weights()[0]

    np.testing.assert_array_equal(weights(3), weights(3))
    assert (weights(3) != weights(4)).any()


def test_shuffling_draws_every_row_once() -> None:
    seen: list[float] = []

    class Note(layers.Layer):
        def call(self, x, training=False):
            if training:
                seen.extend(np.asarray(getattr(x, "value", x))[:, 0].tolist())
            return x

    model = models.Sequential([layers.Input((1,)), Note(), layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = np.arange(10, dtype="float32")[:, None]
    model.fit(rows, rows, batch_size=3, epochs=2, verbose=0)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]
    seen.clear()
    model.fit(rows, rows, batch_size=3, verbose=0, shuffle=False)
    assert seen == list(range(10))


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int32", "float16"])
def test_data_of_other_types_train_alike(dtype: str) -> None:
    values = (X * 10).astype(dtype)

    def loss(x: np.ndarray) -> float:
        return made().fit(x, Y, batch_size=16, verbose=0).history["loss"][0]

    assert loss(values) == loss(values.astype("float32"))


def test_memory_mapped_data_are_not_copied(tmp_path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    expected = made().fit(X, Y, verbose=0).history
    assert made().fit(mapped, Y, verbose=0).history == expected


def batches(size: int = 10, weights: bool = False):
    for start in range(0, 50, size):
        part = slice(start, start + size)
        yield (X[part], Y[part], np.ones(size)) if weights else (X[part], Y[part])


def test_generators_and_iterables_of_batches() -> None:
    expected = made().fit(X, Y, batch_size=10, shuffle=False, verbose=0).history["loss"]
    assert made().fit(batches(), verbose=0).history["loss"] == expected
    assert made().fit(batches(weights=True), verbose=0).history["loss"] == expected
    assert made().fit(list(batches()), shuffle=False, verbose=0).history["loss"] == expected

    class Loader(utils.PyDataset):
        ended = 0

        def __len__(self) -> int:
            return 5

        def on_epoch_end(self) -> None:
            self.ended += 1

        def __getitem__(self, i: int):
            return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]

    loader = Loader()
    history = made().fit(loader, epochs=2, shuffle=False, verbose=0)
    assert loader.ended == 2
    assert history.history["loss"][0] == expected[0]
    assert history.params["steps"] == 5
    model = made()
    assert model.evaluate(batches(), verbose=0) == model.evaluate(X, Y, batch_size=10, verbose=0)
    np.testing.assert_array_equal(
        model.predict((X[i : i + 10] for i in range(0, 50, 10)), verbose=0),
        model.predict(X, verbose=0, batch_size=10),
    )


def test_a_generator_may_serve_several_epochs() -> None:
    def forever():
        while True:
            yield from batches()

    history = made().fit(forever(), steps_per_epoch=5, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    expected = made().fit(X, Y, batch_size=10, epochs=3, shuffle=False, verbose=0)
    assert history.history["loss"] == expected.history["loss"]


def test_a_generator_that_ends_early_is_told() -> None:
    with pytest.warns(UserWarning, match="ran out of data"):
        history = made().fit(batches(), steps_per_epoch=4, epochs=3, verbose=0)
    assert len(history.epoch) == 2


def test_steps_per_epoch_with_arrays() -> None:
    model = made()
    with pytest.warns(UserWarning, match="ran out of data"):
        history = model.fit(X, Y, batch_size=10, steps_per_epoch=2, epochs=3, verbose=0)
    assert history.params["steps"] == 2
    # An epoch ends with the data: of five batches, the third has one.
    assert int(model.optimizer.iterations) == 5


def test_initial_epoch_and_validation_data() -> None:
    history = made().fit(
        X,
        Y,
        epochs=4,
        initial_epoch=2,
        verbose=0,
        validation_data=(X[:5], Y[:5]),
        validation_freq=2,
    )
    assert history.epoch == [2, 3]
    assert len(history.history["val_loss"]) == 1
    history = made().fit(X, Y, verbose=0, validation_data=batches(), validation_steps=2)
    assert "val_loss" in history.history


def test_validation_split_takes_the_last_rows() -> None:
    model = made()
    history = model.fit(X, Y, validation_split=0.3, verbose=0)
    assert history.history["val_loss"][0] == pytest.approx(
        model.evaluate(X[35:], Y[35:], verbose=0), rel=1e-6
    )


def test_sample_weight_and_class_weight() -> None:
    weights = np.where(Y == 0, 2.0, np.where(Y == 1, 1.0, 0.5)).astype("float32")
    by_class = made().fit(X, Y, class_weight={0: 2.0, 2: 0.5}, verbose=0, shuffle=False)
    by_sample = made().fit(X, Y, sample_weight=weights, verbose=0, shuffle=False)
    assert by_class.history["loss"] == by_sample.history["loss"]
    one_hot = utils.to_categorical(Y, 3)
    model = made("categorical_crossentropy")
    again = model.fit(X, one_hot, class_weight={0: 2.0, 2: 0.5}, verbose=0, shuffle=False)
    np.testing.assert_allclose(again.history["loss"], by_class.history["loss"], rtol=1e-6)
    with pytest.raises(ValueError, match="class_weight"):
        made().fit(X, Y, class_weight={0: 1.0}, sample_weight=weights, verbose=0)


def test_weighted_metrics_take_weights_into_account() -> None:
    model = made(metrics=["accuracy"], weighted_metrics=["accuracy"])
    weights = (np.arange(50) < 10).astype("float32")
    logs = model.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)
    hits = model.predict(X, verbose=0).argmax(1) == Y
    assert logs["accuracy"] == pytest.approx(hits.mean(), rel=1e-6)
    assert logs["weighted_accuracy"] == pytest.approx(hits[:10].mean(), rel=1e-6)


def test_evaluate_returns_the_loss_and_the_metrics() -> None:
    model = made(metrics=["accuracy"])
    result = model.evaluate(X, Y, verbose=0)
    assert len(result) == 2
    assert model.metrics_names == ["loss", "accuracy"]
    probabilities = model.predict(X, verbose=0)
    expected = -np.log(probabilities[np.arange(50), Y]).mean()
    assert result[0] == pytest.approx(expected, rel=1e-5)
    assert type(made().evaluate(X, Y, verbose=0)) is float
    assert set(model.evaluate(X, Y, verbose=0, return_dict=True)) == {"loss", "accuracy"}


def test_accuracy_is_told_by_the_shapes() -> None:
    binary = models.Sequential([layers.Input((2,)), layers.Dense(1, activation="sigmoid")])
    binary.compile("sgd", "binary_crossentropy", metrics=["accuracy", "crossentropy"])
    points = rng.standard_normal((20, 2)).astype("float32")
    logs = binary.evaluate(points, np.arange(20) % 2, verbose=0, return_dict=True)
    assert logs["crossentropy"] == pytest.approx(logs["loss"], rel=1e-5)
    one_hot = made("categorical_crossentropy", metrics=["acc"])
    sparse = made(metrics=["acc"])
    assert (
        one_hot.evaluate(X, utils.to_categorical(Y), verbose=0)[1]
        == (sparse.evaluate(X, Y, verbose=0)[1])
    )


def test_one_batch_at_a_time() -> None:
    whole, single = made(metrics=["accuracy"]), made(metrics=["accuracy"])
    history = whole.fit(X, Y, batch_size=25, shuffle=False, verbose=0).history
    figures = [single.train_on_batch(X[:25], Y[:25]), single.train_on_batch(X[25:], Y[25:])]
    # Each is that of its batch alone, as in Keras 3.15; both halves have 25 rows.
    np.testing.assert_allclose(
        np.mean(figures, axis=0), [history["loss"][0], history["accuracy"][0]], rtol=1e-6
    )
    assert single.test_on_batch(X, Y) == whole.evaluate(X, Y, batch_size=50, verbose=0)
    np.testing.assert_array_equal(single.predict_on_batch(X), single.predict(X, verbose=0))
    logs = single.train_on_batch(X, Y, class_weight={0: 2.0}, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}


@pytest.mark.parametrize("kind", ["sparse", "categorical", "binary"])
def test_the_fused_loss_is_that_of_the_parts(kind: str) -> None:
    """Softmax and sigmoid computed with the loss, and after the layer."""
    labels = {
        "sparse": Y,
        "categorical": utils.to_categorical(Y),
        "binary": utils.to_categorical(Y),
    }
    activation = "sigmoid" if kind == "binary" else "softmax"
    name = {"sparse": "sparse_categorical_crossentropy"}.get(kind, f"{kind}_crossentropy")

    def curve(last: layers.Layer, loss: object) -> list[float]:
        utils.set_random_seed(2)
        model = models.Sequential([layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
        model.add(last)
        model.compile(optimizers.SGD(0.5), loss)
        weights = np.linspace(0.5, 2, 50)
        return model.fit(
            X, labels[kind], epochs=3, sample_weight=weights, shuffle=False, verbose=0
        ).history["loss"]

    fused = curve(layers.Activation(activation), name)

    class Unfused(type(losses.as_loss(name))):
        """A subclass is not recognized, so that the layer's own activation runs."""

    np.testing.assert_allclose(curve(layers.Activation(activation), Unfused()), fused, rtol=2e-5)
    np.testing.assert_allclose(
        curve(layers.Activation("linear"), type(losses.as_loss(name))(from_logits=True)),
        fused,
        rtol=2e-5,
    )


def test_probabilities_that_underflow_still_have_a_gradient() -> None:
    model = models.Sequential(
        [layers.Input((1,)), layers.Dense(2, activation="softmax", kernel_initializer="ones")]
    )
    model.compile(optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model.layers[0].kernel.assign([[1000.0, 0.0]])
    loss = model.train_on_batch(np.ones((1, 1)), np.array([1]))
    assert loss == 1000
    np.testing.assert_array_equal(model.layers[0].kernel, [[999.0, 1.0]])


def test_images_as_targets() -> None:
    model = models.Sequential(
        [layers.Input((6, 6, 1)), layers.Conv2D(3, 3, padding="same", activation="softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    labels = rng.integers(0, 3, (50, 6, 6))
    loss, accuracy = model.evaluate(X, labels, verbose=0)
    p = model.predict(X, verbose=0)
    assert loss == pytest.approx(
        -np.log(np.take_along_axis(p, labels[..., None], -1)).mean(), rel=1e-5
    )
    assert accuracy == pytest.approx((p.argmax(-1) == labels).mean(), rel=1e-6)
    history = model.fit(X, labels, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_ema_weights_replace_the_weights_at_the_end() -> None:
    model = made(optimizer=optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))
    noted: list[np.ndarray] = []
    model.fit(
        X,
        Y,
        batch_size=25,
        verbose=0,
        callbacks=[
            callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: noted.append(model.get_weights()[0])
            )
        ],
    )
    expected = 0.9 * noted[0] + 0.1 * noted[1]
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5, atol=1e-6)


def test_frozen_layers_stay_and_can_be_thawed() -> None:
    model = made(optimizer="adam")
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[2] != after[2]).any()
    model.layers[0].trainable = True
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    assert (model.get_weights()[0] != after[0]).any()


def test_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    fastconv.config.set_floatx("float64")
    try:
        model = made(optimizer="adam", metrics=["accuracy"])
        model.fit(X, Y, verbose=0)
        assert model.predict(X, verbose=0).dtype == "float64"
        assert model.weights[0].dtype == "float64"
    finally:
        fastconv.config.set_floatx("float32")
