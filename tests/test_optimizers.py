"""Optimizers: the golden values, segments of the flat buffers, settings and errors."""

import numpy as np
import pytest

import fastconv
from fastconv import layers, models, optimizers
from fastconv.optimizers import schedules

# keras.optimizers.*().apply twice on w=[1, 2] with g=[.1, -.2]
GOLDEN = {
    "SGD": [0.998, 2.004],
    "RMSprop": [0.994544, 2.005456],
    "Adam": [0.998, 2.002],
    "AdamW": [0.997992, 2.001984],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_two_steps_with_defaults(name: str) -> None:
    variable = fastconv.Variable([1.0, 2.0])
    optimizer = getattr(optimizers, name)()
    for _ in range(2):
        optimizer.apply_gradients([(np.array([0.1, -0.2]), variable)])
    np.testing.assert_allclose(variable, GOLDEN[name], atol=6e-7)  # given with 6 decimals
    assert int(optimizer.iterations) == 2


def test_momentum_and_nesterov() -> None:
    for nesterov, expected in ((False, 0.9439), (True, 0.91951)):
        variable = fastconv.Variable([1.0])
        optimizer = optimizers.SGD(0.1, momentum=0.9, nesterov=nesterov)
        for _ in range(3):
            optimizer.apply([np.array([0.1])], [variable])
        np.testing.assert_allclose(variable, [expected], rtol=1e-6)


def test_the_learning_rate_can_be_set() -> None:
    optimizer = optimizers.SGD(0.5)
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = 0.25
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate.assign(0.125)
    variable = fastconv.Variable([1.0])
    optimizer.apply([np.array([1.0])], [variable])
    assert variable.numpy() == 0.875
    optimizer = optimizers.SGD(lambda: 0.5)
    optimizer.apply([np.array([1.0])], [variable])
    assert variable.numpy() == 0.375


def test_schedules_count_updates() -> None:
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25]))
    variable = fastconv.Variable([4.0])
    seen = []
    for _ in range(3):
        seen.append(float(optimizer.learning_rate))
        optimizer.apply([np.array([1.0])], [variable])
    assert seen == [1.0, 0.5, 0.25]
    assert variable.numpy() == 2.25
    with pytest.raises(TypeError, match="not settable"):
        optimizer.learning_rate = 0.1


def test_excluded_variables_do_not_decay() -> None:
    kernel = fastconv.Variable([1.0], name="kernel")
    bias = fastconv.Variable([1.0], name="bias")
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.zeros(1), np.zeros(1)], [kernel, bias])
    np.testing.assert_allclose([kernel[0], bias[0]], [0.95, 1.0], rtol=1e-6)
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_decay_and_clipping_in_a_model_are_those_of_single_variables() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 5)), rng.random((8, 3))

    def weights(single: bool, **settings: object) -> list[np.ndarray]:
        model = models.Sequential(
            [layers.Input((5,)), layers.Dense(4, activation="tanh"), layers.Dense(3)]
        )
        for i, variable in enumerate(model.weights):
            variable.assign(np.sin(np.arange(variable.size) + i).reshape(variable.shape))
        optimizer = optimizers.Adam(0.1, weight_decay=0.1, **settings)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, "mse")
        if single:
            model._prepare_training((8, 5))
            optimizer.built = False
            slots = [variable.slot for variable in model.trainable_weights]
            for variable in model.trainable_weights:
                variable.slot = None
            model.optimizer.build(model.trainable_weights)
            assert all(slot is not None for slot in slots)
        for _ in range(3):
            model.train_on_batch(x, y)
        return model.get_weights()

    for settings in ({}, {"clipnorm": 0.01}, {"clipvalue": 0.01}, {"global_clipnorm": 0.01}):
        for a, b in zip(weights(False, **settings), weights(True, **settings), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_names_and_dictionaries() -> None:
    assert isinstance(optimizers.get("ADAM"), optimizers.Adam)
    assert isinstance(optimizers.get(optimizers.SGD), optimizers.SGD)
    made = optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.5}})
    assert float(made.learning_rate) == 0.5
    schedule = schedules.ExponentialDecay(0.1, 10, 0.5)
    for optimizer in (optimizers.RMSprop(schedule, centered=True), optimizers.Nadam(0.25)):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
        assert again.get_config() == optimizer.get_config()
        assert type(again) is type(optimizer)


def test_weights_of_an_optimizer() -> None:
    variable = fastconv.Variable([1.0, 2.0])
    optimizer = optimizers.Adam()
    with pytest.raises(ValueError, match="not yet been built"):
        optimizer.set_weights([])
    optimizer.apply([np.ones(2)], [variable])
    assert [v.shape for v in optimizer.variables] == [(), (), (2,), (2,)]
    assert [v.name for v in optimizer.variables[:2]] == ["iteration", "learning_rate"]
    saved = [v.numpy() for v in optimizer.variables]
    other = optimizers.Adam()
    other.build([fastconv.Variable([1.0, 2.0])])
    other.set_weights(saved)
    for a, b in zip(other.variables, saved, strict=True):
        np.testing.assert_array_equal(a, b)


ERRORS = {
    "two clips": (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "At most one"),
    "negative clip": (lambda: optimizers.SGD(clipnorm=-1.0), "clipnorm=-1.0"),
    "momentum": (lambda: optimizers.SGD(momentum=2.0), "momentum=2.0"),
    "rate": (lambda: optimizers.SGD("fast"), "learning_rate='fast'"),
    "ema": (lambda: optimizers.SGD(use_ema=True, ema_momentum=2.0), "ema_momentum=2.0"),
    "ema frequency": (lambda: optimizers.SGD(ema_overwrite_frequency=-1), "frequency=-1"),
    "accumulation": (lambda: optimizers.SGD(gradient_accumulation_steps=1), "steps=1"),
    "unknown": (lambda: optimizers.SGD(colour="red"), "colour"),
    "adamw": (lambda: optimizers.AdamW(weight_decay=None), "weight_decay=None"),
    "steps": (lambda: schedules.CosineDecay(0.1, 0), "decay_steps=0"),
    "values": (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "1 less than"),
    "no variables": (lambda: optimizers.SGD().apply([np.ones(1)]), "already be built"),
    "numbers": (
        lambda: optimizers.SGD().apply([np.ones(1)], [fastconv.Variable([1.0])] * 2),
        "1 gradients for 2",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_settings_are_named(name: str) -> None:
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


def test_other_variables_are_refused() -> None:
    optimizer = optimizers.SGD()
    optimizer.apply([np.ones(1)], [fastconv.Variable([1.0])])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply([np.ones(1)], [fastconv.Variable([1.0])])
