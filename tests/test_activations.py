"""Activations and their gradients, against long double and the limits at the ends of the range."""

import math

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one

L = np.longdouble
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

#: name: (the function in long double, the bound in units in the last place). Each polynomial,
#: division, product and sum adds half a unit or one; see src_c/ukernels/transcendental_body.h.
EXACT = {
    "linear": (lambda x: x, 0),
    "relu": (lambda x: np.maximum(x, 0), 0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 3),
    "tanh": (np.tanh, 3),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 2),
    "selu": (
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        3,
    ),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))), 3),
    "softsign": (lambda x: x / (1 + abs(x)), 2),
    "leaky_relu": (lambda x: np.where(x > 0, x, x * L(0.2)), 1),
    "gelu": (lambda x: x * _normal(x), 6),
    "silu": (lambda x: x / (1 + np.exp(-x)), 3),
    "exponential": (np.exp, 2),
    "hard_sigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, 2),
    "relu6": (lambda x: np.clip(x, 0, 6), 0),
}
NAMES = list(EXACT)
NEED_INPUT = ("gelu", "silu")
KINKS = {"relu": [0], "leaky_relu": [0], "relu6": [0, 6], "hard_sigmoid": [-3, 3], "selu": [0]}


def _normal(x: np.ndarray) -> np.ndarray:
    return np.array([math.erfc(-float(v) / math.sqrt(2)) / 2 for v in x], L)


def _points(name: str, dtype: str) -> np.ndarray:
    """Numbers of all magnitudes and, densely, those at which the function is neither 0 nor 1."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    end = float(np.log(info.max)) * 0.99
    if name == "gelu":
        # _normal multiplies the rounding of x / sqrt(2) by x**2: no truth for float64 beyond 1.
        end = 12.0 if dtype == "float32" else 1.0
    sizes = np.geomspace(float(info.tiny), end, 500)
    parts = [rng.uniform(-end, end, 2000), rng.uniform(-1, 1, 1000), sizes, -sizes]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_accuracy(name: str, isa: str, dtype: str) -> None:
    function, ulps = EXACT[name]
    x = _points(name, dtype)
    y = functional.activate(x, name)
    exact = function(x.astype(L))
    # Denormal numbers are flushed to zero.
    bound = ulps * np.spacing(np.abs(exact).astype(dtype)) + np.finfo(dtype).tiny
    error = np.abs(y - exact)
    worst = np.argmax(error - bound)
    assert error[worst] <= bound[worst], (x[worst], y[worst], exact[worst])


def test_gelu_in_the_far_tail(isa: str) -> None:
    """Exact values of x * Phi(x) from 40 digits of mpmath."""
    x = np.array([3.0, -1.5, -2.5, -3.5, -5.0, -10.0, -20.0, -30.25, -37.0])
    exact = [
        2.9959503059051097,
        -0.1002108019032871,
        -0.015524163314440338,
        -0.00081420177662433763,
        -1.4332578593959696e-06,
        -7.6198530241605261e-23,
        -5.5072482372124674e-88,
        -7.891136864367313e-200,
        -2.1184613523340934e-298,
    ]
    np.testing.assert_allclose(functional.activate(x, "gelu"), exact, rtol=2e-15)


@pytest.mark.parametrize("name", NAMES)
def test_limits(name: str, isa: str, dtype: str) -> None:
    """NaN stays NaN, and infinities give the limits of the function."""
    huge = float(np.finfo(dtype).max)
    lower = {
        "linear": -np.inf,
        "elu": -1,
        "selu": -SELU_SCALE * SELU_ALPHA,
        "tanh": -1,
        "softsign": -1,
        "leaky_relu": -np.inf,
    }.get(name, 0)
    upper = {
        "sigmoid": 1,
        "tanh": 1,
        "softsign": 1,
        "hard_sigmoid": 1,
        "relu6": 6,
    }.get(name, np.inf)
    y = functional.activate(np.array([np.nan, -np.inf, np.inf, 0.0], dtype), name)
    assert np.isnan(y[0])
    np.testing.assert_allclose(y[1:3], [lower, upper], rtol=4 * np.finfo(dtype).eps)
    middle = {"sigmoid": 0.5, "softplus": np.log(2), "exponential": 1, "hard_sigmoid": 0.5}
    np.testing.assert_allclose(y[3], middle.get(name, 0), rtol=4 * np.finfo(dtype).eps)
    # selu of the largest number is above it, exponential far above: infinity is the right answer.
    end = functional.activate(np.array([-huge, huge], dtype), name)
    assert not np.isnan(end).any()


def test_exponential_at_its_ends(isa: str, dtype: str) -> None:
    info = np.finfo(dtype)
    top, bottom = np.log(L(info.max)), np.log(L(info.tiny))
    x = np.array([top * L(1 - 1e-6), top * L(1 + 1e-6), bottom * L(1 - 1e-6)], dtype)
    y = functional.activate(x, "exponential")
    assert np.isfinite(y[0])
    assert np.isinf(y[1])
    np.testing.assert_allclose(y[[0, 2]], np.exp(x[[0, 2]].astype(L)), rtol=4 * info.eps)


@pytest.mark.parametrize("name", NAMES)
def test_every_length(name: str, isa: str, dtype: str) -> None:
    """Tails of every length at unaligned addresses, writing nothing beside the output."""
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((2, 80)).astype(dtype)
    y = functional.activate(x, name)
    dx = functional.activate_backward(dy, y, name, x=x)
    for n in range(36):
        part = slice(1, n + 1)
        for result, whole in [("y", y), ("dx", dx)]:
            guarded = np.full(n + 8, 77, dtype)
            out = guarded[3 : n + 3]
            if result == "y":
                functional.activate(x[part], name, out=out)
            else:
                functional.activate_backward(dy[part], y[part], name, x=x[part], out=out)
            np.testing.assert_array_equal(out, whole[part])
            assert (guarded[:3] == 77).all()
            assert (guarded[n + 3 :] == 77).all()


@pytest.mark.parametrize("name", NAMES)
def test_in_place_and_threads(name: str, isa: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    x, dy = rng.standard_normal((2, 4, 12345)).astype(dtype)
    y = functional.activate(x, name)
    dx = functional.activate_backward(dy, y, name, x=x)
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        z, dz = x.copy(), dy.copy()
        assert functional.activate(z, name, out=z) is z
        assert functional.activate_backward(dz, y, name, x=x, out=dz) is dz
        np.testing.assert_array_equal(z, y)
        np.testing.assert_array_equal(dz, dx)
        source = x.copy() if name in NEED_INPUT else y.copy()
        functional.activate_backward(dy, source, name, x=source, out=source)
        np.testing.assert_array_equal(source, dx)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_by_central_differences(name: str, isa: str) -> None:
    h = 1e-6
    x = np.random.default_rng(11).uniform(-8, 8, 2000)
    for kink in KINKS.get(name, []):
        x = x[np.abs(x - kink) > 2 * h]
    dy = np.linspace(-2, 2, len(x))
    slope = functional.activate(x + h, name) - functional.activate(x - h, name)
    dx = functional.activate_backward(dy, functional.activate(x, name), name, x=x)
    # Differences err by h**2 times the third derivative and by eps / h times the value;
    # the latter dominates.
    scale = 1 + np.abs(functional.activate(x, name))
    assert (np.abs(dx - dy * slope / (2 * h)) <= 2e-9 * scale).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_between_types(name: str, isa: str) -> None:
    x = np.linspace(-8, 8, 1001).astype("float32")
    wide = x.astype("float64")
    dy = np.ones_like(x)
    dx = functional.activate_backward(dy, functional.activate(x, name), name, x=x)
    exact = functional.activate_backward(
        dy.astype("float64"), functional.activate(wide, name), name, x=wide
    )
    # From y: where 1 - y**2 or the like cancels, the rounding of y remains.
    atol = 4 * np.finfo("float32").eps
    np.testing.assert_allclose(dx, exact, rtol=4 * np.finfo("float32").eps, atol=atol)


def test_slope_at_kinks(isa: str, dtype: str) -> None:
    """Keras's choices where a function has no derivative."""
    one = np.ones(1, dtype)
    for name, y, slope in [
        ("relu", 0, 0),
        ("relu", -0.0, 0),
        ("leaky_relu", 0, 0.2),
        ("relu6", 0, 0),
        ("relu6", 6, 0),
        ("hard_sigmoid", 0, 0),
        ("hard_sigmoid", 1, 0),
        ("elu", 0, 1),
        ("selu", 0, SELU_SCALE),
    ]:
        dx = functional.activate_backward(one, np.array([y], dtype), name)
        np.testing.assert_allclose(dx, [slope], rtol=np.finfo(dtype).eps, err_msg=name)


def test_gradient_at_infinity(isa: str, dtype: str) -> None:
    x = np.array([-np.inf, np.inf], dtype)
    for name in NAMES:
        if name in ("linear", "leaky_relu", "exponential"):
            continue
        dx = functional.activate_backward(
            np.ones(2, dtype), functional.activate(x, name), name, x=x
        )
        upper = {"selu": SELU_SCALE}.get(name, 1)
        if name in ("sigmoid", "tanh", "softsign", "hard_sigmoid", "relu6"):
            upper = 0
        np.testing.assert_allclose(dx, [0, upper], atol=4 * np.finfo(dtype).eps, err_msg=name)


def test_bad_arguments() -> None:
    x = np.ones((2, 3), "float32")
    with pytest.raises(ValueError, match=r"`name` must be one of .* Received: name='swish'"):
        functional.activate(x, "swish")
    with pytest.raises(ValueError, match=r"Received: name=None"):
        functional.activate(x, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`x` must be a float32 or float64 array"):
        functional.activate(np.ones(3, int), "relu")
    with pytest.raises(ValueError, match=r"`out` must have shape \(2, 3\)"):
        functional.activate(x, "relu", out=np.empty(6, "float32"))
    with pytest.raises(ValueError, match=r"`out` must not share memory"):
        functional.activate(x[0, :2], "relu", out=x[0, 1:])
    with pytest.raises(ValueError, match=r"`x` is needed for the gradient of 'gelu'"):
        functional.activate_backward(x, x, "gelu")
    with pytest.raises(ValueError, match=r"`y` is needed for the gradient of 'relu'"):
        functional.activate_backward(x, None, "relu", x=x)
    with pytest.raises(ValueError, match=r"`y` must have shape \(2, 3\)"):
        functional.activate_backward(x, x[0], "relu")
    with pytest.raises(TypeError, match=r"same dtype"):
        functional.activate_backward(x, x.astype("float64"), "relu")
