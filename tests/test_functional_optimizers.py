"""Optimizer updates against Keras's golden values and formulas in float64."""

from typing import Any

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one

Array = np.ndarray[Any, Any]
LENGTHS = [0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 20000]


def _arrays(n: int, dtype: str, slots: int) -> list[Array]:
    """Weights, gradients and slots, the slots positive as mean squares are."""
    rng = np.random.default_rng(n)
    w, g = rng.standard_normal((2, n)).astype(dtype)
    return [w, g, *(rng.random((slots, n)) + 0.5).astype(dtype)]


def _assert_close(actual: Array, exact: Array, dtype: str) -> None:
    """Some ten roundings of numbers around 1."""
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(actual, exact, rtol=8 * eps, atol=8 * eps)


def test_golden_values(isa: str, dtype: str) -> None:
    g = np.array([0.1, -0.2], dtype)

    def two_steps(update: Any, slots: int) -> Array:
        w = np.array([1, 2], dtype)
        arrays = [np.zeros(2, dtype) for _ in range(slots)]
        for step in (1, 2):
            update(step, w, *arrays)
        return w

    def adam(decay: float) -> Any:
        def update(step: int, w: Array, m: Array, v: Array) -> None:
            alpha = 0.001 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
            functional.adam_update(
                w,
                g,
                m,
                v,
                None,
                learning_rate=alpha,
                beta_1=0.9,
                beta_2=0.999,
                epsilon=1e-7,
                weight_decay=0.001 * decay,
            )

        return update

    def rmsprop(step: int, w: Array, v: Array) -> None:
        functional.rmsprop_update(
            w,
            g,
            v,
            None,
            None,
            learning_rate=0.001,
            rho=0.9,
            momentum=0,
            epsilon=1e-7,
            centered=False,
        )

    def sgd(step: int, w: Array) -> None:
        functional.sgd_update(w, g, None, learning_rate=0.01)

    golden = [
        (sgd, 0, [0.998, 2.004]),
        (rmsprop, 1, [0.994544, 2.005456]),
        (adam(0), 2, [0.998, 2.002]),
        (adam(0.004), 2, [0.997992, 2.001984]),
    ]
    for update, slots, expected in golden:
        np.testing.assert_allclose(two_steps(update, slots), expected, atol=6e-7)

    for nesterov, expected in [(False, 0.9439), (True, 0.91951)]:
        w, m = np.ones(1, dtype), np.zeros(1, dtype)
        for _ in range(3):
            functional.sgd_update(w, g[:1], m, learning_rate=0.1, momentum=0.9, nesterov=nesterov)
        np.testing.assert_allclose(w, [expected], atol=1e-6)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("variant", ["plain", "momentum", "nesterov"])
def test_sgd(n: int, variant: str, isa: str, dtype: str) -> None:
    w, g, m = _arrays(n, dtype, 1)
    w0, g0, m0 = (a.astype("float64") for a in (w, g, m))
    lr, mu = 0.1, 0.9
    functional.sgd_update(
        w,
        g,
        None if variant == "plain" else m,
        learning_rate=lr,
        momentum=mu,
        nesterov=variant == "nesterov",
        weight_decay=0.05,
        scale=0.5,
    )
    w0 -= w0 * 0.05 * lr
    if variant == "plain":
        w0 -= lr * g0 * 0.5
    else:
        m0 = mu * m0 - lr * g0 * 0.5
        w0 += mu * m0 - lr * g0 * 0.5 if variant == "nesterov" else m0
    _assert_close(w, w0, dtype)
    _assert_close(m, m0, dtype)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(n: int, momentum: float, centered: bool, isa: str, dtype: str) -> None:
    w, g, v, m, mg = _arrays(n, dtype, 3)
    v += 2  # keeps v - mg**2 away from 0
    w0, g0, v0, m0, mg0 = (a.astype("float64") for a in (w, g, v, m, mg))
    lr, rho, epsilon = 0.1, 0.8, 0.25
    functional.rmsprop_update(
        w,
        g,
        v,
        m,
        mg,
        learning_rate=lr,
        rho=rho,
        momentum=momentum,
        epsilon=epsilon,
        centered=centered,
        weight_decay=0.05,
        scale=0.5,
    )
    g0 = g0 * 0.5
    w0 -= w0 * 0.05 * lr
    v0 = rho * v0 + (1 - rho) * g0**2
    variance = v0
    if centered:
        mg0 = rho * mg0 + (1 - rho) * g0
        variance = v0 - mg0**2
    step = lr * g0 / np.sqrt(variance + epsilon)
    if momentum:
        step = m0 = momentum * m0 + step
    w0 -= step
    for actual, exact in [(w, w0), (v, v0), (m, m0), (mg, mg0)]:
        _assert_close(actual, exact, dtype)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(n: int, amsgrad: bool, isa: str, dtype: str) -> None:
    w, g, m, v, vhat = _arrays(n, dtype, 3)
    w0, g0, m0, v0, vhat0 = (a.astype("float64") for a in (w, g, m, v, vhat))
    functional.adam_update(
        w,
        g,
        m,
        v,
        vhat if amsgrad else None,
        learning_rate=0.1,
        beta_1=0.8,
        beta_2=0.9,
        epsilon=0.25,
        weight_decay=0.05,
        scale=0.5,
    )
    g0 = g0 * 0.5
    w0 -= w0 * 0.05
    m0 += (g0 - m0) * (1 - 0.8)
    v0 += (g0**2 - v0) * (1 - 0.9)
    if amsgrad:
        vhat0 = np.maximum(vhat0, v0)
    w0 -= 0.1 * m0 / (np.sqrt(vhat0 if amsgrad else v0) + 0.25)
    for actual, exact in [(w, w0), (m, m0), (v, v0), (vhat, vhat0)]:
        _assert_close(actual, exact, dtype)


def test_threads_do_not_change_results(isa: str, dtype: str) -> None:
    results = []
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        w, g, m, v = _arrays(100_003, dtype, 2)
        options = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
        functional.adam_update(w, g, m, v, None, **options)
        results.append([w, m, v])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_any_shape_and_nothing_else_changes() -> None:
    buffer = np.ones(50, "float32")
    g = np.ones((6, 5), "float32")
    functional.sgd_update(buffer[10:40].reshape(6, 5), g, None, learning_rate=0.5)
    np.testing.assert_array_equal(buffer, np.r_[np.ones(10), np.full(30, 0.5), np.ones(10)])
    np.testing.assert_array_equal(g, 1)


def test_bad_arguments() -> None:
    w, g, m, v = (np.ones(4, "float32") for _ in range(4))
    adam = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    rmsprop = {"learning_rate": 0.1, "rho": 0.9, "epsilon": 1e-7}
    with pytest.raises(TypeError, match=r"`w` must be a NumPy array of float32 or float64.*list"):
        functional.sgd_update([1.0], g, None, learning_rate=0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"`w` must be a NumPy array.*int64"):
        functional.sgd_update(np.ones(4, "int64"), g, None, learning_rate=0.1)
    with pytest.raises(TypeError, match=r"same dtype"):
        functional.sgd_update(w, g.astype("float64"), None, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"`g` must have shape \(4,\)"):
        functional.sgd_update(w, g[:3], None, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"`m` must have shape \(4,\)"):
        functional.sgd_update(w, g, m[:3], learning_rate=0.1)
    with pytest.raises(ValueError, match=r"`w` must not share memory"):
        functional.sgd_update(w, w, None, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"`v` must not share memory"):
        functional.adam_update(w, g, m, m, None, **adam)
    with pytest.raises(ValueError, match=r"`v` must be an array. Received: v=None"):
        functional.adam_update(w, g, m, None, None, **adam)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`w` must be C-contiguous"):
        functional.sgd_update(np.ones(8, "float32")[::2], g, None, learning_rate=0.1)
    frozen = w.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"`w` must be writable"):
        functional.sgd_update(frozen, g, None, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"`m` is needed for momentum. Received: momentum=0.9"):
        functional.rmsprop_update(w, g, v, None, None, momentum=0.9, centered=False, **rmsprop)
    with pytest.raises(ValueError, match=r"`mg` is needed if `centered`"):
        functional.rmsprop_update(w, g, v, None, None, momentum=0.0, centered=True, **rmsprop)
    np.testing.assert_array_equal(w, 1)
