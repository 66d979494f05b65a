"""Initializers: spread, seeds, names; regularizers, constraints and activations by name."""

import numpy as np
import pytest

from fastconv import activations, constraints, initializers, regularizers
from fastconv.initializers.variance_scaling import compute_fans

SHAPE = (5, 5, 30, 40)
FAN_IN, FAN_OUT = 750, 1000

# 30,000 draws: the sample deviation is within 1% of the true one, except once in 10,000 times.
DEVIATIONS = {
    "glorot_uniform": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "glorot_normal": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "he_uniform": (2 / FAN_IN) ** 0.5,
    "he_normal": (2 / FAN_IN) ** 0.5,
    "lecun_uniform": (1 / FAN_IN) ** 0.5,
    "lecun_normal": (1 / FAN_IN) ** 0.5,
    "random_normal": 0.05,
    "random_uniform": 0.1 / 12**0.5,
    # A unit normal cut off at two deviations has a deviation of 0.8796.
    "truncated_normal": 0.05 * 0.8796,
    "variance_scaling": (1 / FAN_IN) ** 0.5,
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_spread(name: str) -> None:
    kind = type(initializers.get(name))
    values = kind(seed=3)(SHAPE)
    assert values.shape == SHAPE
    assert values.dtype == "float32"
    assert values.std() == pytest.approx(DEVIATIONS[name], rel=0.02)
    assert abs(values.mean()) < 0.02 * values.std() + 1e-3 * DEVIATIONS[name]
    if "uniform" in name:
        assert np.abs(values).max() <= DEVIATIONS[name] * 3**0.5 * (1 + 1e-6)
    if name in ("glorot_normal", "he_normal", "lecun_normal", "truncated_normal"):
        assert np.abs(values).max() <= 2 * DEVIATIONS[name] / 0.8796 * 1.001
    np.testing.assert_array_equal(kind(seed=3)(SHAPE), values)
    assert (kind(seed=4)(SHAPE) != values).any()
    unseeded = kind()
    np.testing.assert_array_equal(unseeded((3, 3)), unseeded((3, 3)))
    assert (kind()((3, 3)) != kind()((3, 3))).any()


def test_fans() -> None:
    assert compute_fans(()) == (1, 1)
    assert compute_fans((7,)) == (7, 7)
    assert compute_fans((3, 4)) == (3, 4)
    assert compute_fans((3, 3, 8, 16)) == (72, 144)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (3, 3, 4, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.Constant([1, 2])((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(3.0)((2, 3)), 3 * np.eye(2, 3))


ERRORS = {
    "name": (lambda: initializers.get("nothing"), "Unknown initializer: 'nothing'"),
    "kind": (lambda: initializers.get(3), "initializer=3"),
    "seed": (lambda: initializers.HeNormal(seed="a"), "seed='a'"),
    "scale": (lambda: initializers.VarianceScaling(scale=0), "scale=0"),
    "mode": (lambda: initializers.VarianceScaling(mode="x"), "mode='x'"),
    "distribution": (lambda: initializers.VarianceScaling(distribution="x"), "='x'"),
    "axes": (lambda: initializers.HeNormal(input_axes=(0,)), "input_axes"),
    "identity": (lambda: initializers.Identity()((3,)), r"shape=\(3,\)"),
    "orthogonal": (lambda: initializers.Orthogonal()((3,)), r"shape=\(3,\)"),
    "l1": (lambda: regularizers.L1(-1.0), "l1=-1.0"),
    "l2": (lambda: regularizers.L2("a"), "l2='a'"),
    "infinite": (lambda: regularizers.L2(float("inf")), "l2=inf"),
    "regularizer": (lambda: regularizers.get("nothing"), "Unknown regularizer"),
    "constraint": (lambda: constraints.get("nothing"), "Unknown constraint"),
    "activation": (lambda: activations.get("nothing"), "Unknown activation"),
    "activation kind": (lambda: activations.get(3), "activation=3"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_arguments_are_named(name: str) -> None:
    action, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("module", [initializers, regularizers, constraints, activations])
def test_everything_is_found_by_its_serialized_form(module) -> None:
    for name in module.__all__:
        thing = getattr(module, name)
        if name in ("get", "serialize", "deserialize") or name in (
            "Initializer",
            "Regularizer",
            "Constraint",
        ):
            continue
        target = thing() if isinstance(thing, type) else thing
        again = module.deserialize(module.serialize(target))
        assert type(again) is type(target)
        if hasattr(target, "get_config"):
            assert again.get_config() == target.get_config()
        else:
            assert again is target


def test_penalty_gradients() -> None:
    x = np.array([1.0, -2.0, 0.0])
    for regularizer, expected in (
        (regularizers.L1(0.5), [0.5, -0.5, 0.0]),
        (regularizers.L2(0.5), [1.0, -2.0, 0.0]),
        (regularizers.L1L2(0.5, 0.5), [1.5, -2.5, 0.0]),
    ):
        grad = np.ones(3)
        regularizers.apply_gradient(regularizer, x, grad)
        np.testing.assert_allclose(grad - 1, expected)
