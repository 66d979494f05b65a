"""Batch normalization against its definition in long double, and by central differences."""

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one

L = np.longdouble
#: (shape, axis): every tail of a vector of channels, several blocks of rows and of channels, images
#: smaller and larger than a vector, one position, channels first.
CASES = [
    *(((7, 3, 5, c), -1) for c in (1, 2, 3, 4, 5, 8, 15, 16, 17, 64, 67)),
    ((600, 300), -1),
    ((9000, 2), 1),
    ((3, 1), -1),
    *(((5, 3, h, h), 1) for h in (1, 2, 3, 4, 7, 20)),
    ((40, 70, 12, 12), 1),
    ((2, 3, 4, 5), 2),
]


def _case(shape: tuple[int, ...], axis: int, dtype: str, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((2, *shape))
    gamma, beta = rng.standard_normal((2, shape[axis]))
    return [a.astype(dtype) for a in (x + 3, dy, gamma, beta)]


def _spread(v: np.ndarray, ndim: int, axis: int) -> np.ndarray:
    """Numbers per channel against an array with the channels on `axis`."""
    return np.asarray(v, L).reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def _axes(ndim: int, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if i != axis % ndim)


@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_forward(shape: tuple[int, ...], axis: int, isa: str, dtype: str) -> None:
    x, _, gamma, beta = _case(shape, axis, dtype)
    axes, eps = _axes(x.ndim, axis), np.finfo(dtype).eps
    y, mean, variance = functional.batch_norm_forward(x, gamma, beta, axis=axis)
    exact_mean, exact_variance = x.astype(L).mean(axes), x.astype(L).var(axes)
    # Sums of up to 4096 differences to the first value; rounding errors have no common sign.
    growth = 2 * np.sqrt(min(x.size // shape[axis], 4096)) + 8
    np.testing.assert_allclose(mean, exact_mean, rtol=growth * eps)
    np.testing.assert_allclose(variance, exact_variance, rtol=growth * eps, atol=growth * eps)
    # The affine map is checked with the statistics that it was given.
    factor = gamma / np.sqrt(variance.astype(L) + L(1e-3))
    centred = x - _spread(mean, x.ndim, axis)
    exact = centred * _spread(factor, x.ndim, axis) + _spread(beta, x.ndim, axis)
    size = np.abs(centred * _spread(factor, x.ndim, axis)) + np.abs(_spread(beta, x.ndim, axis))
    assert (np.abs(y - exact) <= 3 * eps * size + np.finfo(dtype).tiny).all()


@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_inference_and_in_place(shape: tuple[int, ...], axis: int, isa: str, dtype: str) -> None:
    x, _, gamma, beta = _case(shape, axis, dtype)
    mean, variance = beta[::-1].copy(), np.abs(gamma[::-1])
    bn = {"mean": mean, "variance": variance, "epsilon": 0.5, "axis": axis}
    for g, b in [(gamma, beta), (None, beta), (gamma, None), (None, None)]:
        y, used_mean, used_variance = functional.batch_norm_forward(x, g, b, **bn)
        assert used_mean is mean
        assert used_variance is variance
        factor = (1 if g is None else g) / np.sqrt(variance.astype(L) + L(0.5))
        exact = (x - _spread(mean, x.ndim, axis)) * _spread(factor, x.ndim, axis)
        exact = exact + (0 if b is None else _spread(b, x.ndim, axis))
        tolerance = 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(y, exact, rtol=tolerance, atol=4 * tolerance)
        z = x.copy()
        assert functional.batch_norm_forward(z, g, b, **bn, out=z)[0] is z
        np.testing.assert_array_equal(z, y)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_backward(shape: tuple[int, ...], axis: int, training: bool, isa: str, dtype: str) -> None:
    x, dy, gamma, _ = _case(shape, axis, dtype)
    axes, eps, count = _axes(x.ndim, axis), np.finfo(dtype).eps, x.size // shape[axis]
    _, mean, variance = functional.batch_norm_forward(x, axis=axis)
    dx, dgamma, dbeta = functional.batch_norm_backward(
        dy, x, gamma, mean, variance, axis=axis, training=training
    )
    rstd = 1 / np.sqrt(variance.astype(L) + L(1e-3))
    normal = (x - _spread(mean, x.ndim, axis)) * _spread(rstd, x.ndim, axis)
    wide = dy.astype(L)
    exact_dbeta, exact_dgamma = wide.sum(axes), (wide * normal).sum(axes)
    # Sums of count terms around 1, in blocks of up to 4096.
    atol = eps * (4 * np.sqrt(count) * np.sqrt(min(count, 4096)) + 8) * np.maximum(rstd.max(), 1)
    np.testing.assert_allclose(dbeta, exact_dbeta, rtol=4 * eps, atol=float(atol))
    np.testing.assert_allclose(dgamma, exact_dgamma, rtol=4 * eps, atol=float(atol))
    exact = wide
    if training:
        exact = exact - _spread(exact_dbeta, x.ndim, axis) / count
        exact = exact - normal * _spread(exact_dgamma, x.ndim, axis) / count
    exact = exact * _spread(gamma * rstd, x.ndim, axis)
    scale = float(np.abs(gamma * rstd).max() * (np.abs(normal).max() + np.abs(dy).max()))
    np.testing.assert_allclose(dx, exact, rtol=8 * eps, atol=16 * eps * scale)

    z = dy.copy()
    out = (z, np.empty_like(dgamma), np.empty_like(dbeta))
    given = functional.batch_norm_backward(
        z, x, gamma, mean, variance, axis=axis, training=training, out=out
    )
    for a, b, c in zip(given, out, (dx, dgamma, dbeta), strict=True):
        assert a is b
        np.testing.assert_array_equal(a, c)
    only = functional.batch_norm_backward(
        dy, x, gamma, mean, variance, axis=axis, training=training, needs=("dx",)
    )
    np.testing.assert_array_equal(only[0], dx)
    assert only[1] is None
    assert only[2] is None


@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 2, 3), -1), ((3, 2, 2, 3), 1)])
def test_gradient_by_central_differences(shape: tuple[int, ...], axis: int, isa: str) -> None:
    x, dy, gamma, beta = _case(shape, axis, "float64")

    def loss(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> float:
        return float((functional.batch_norm_forward(x, gamma, beta, axis=axis)[0] * dy).sum())

    _, mean, variance = functional.batch_norm_forward(x, gamma, beta, axis=axis)
    gradients = functional.batch_norm_backward(dy, x, gamma, mean, variance, axis=axis)
    h = 1e-6
    arguments = [x, gamma, beta]
    for position, gradient in enumerate(gradients):
        assert gradient is not None
        for index in np.ndindex(gradient.shape):
            moved = [[a.copy() for a in arguments] for _ in range(2)]
            moved[0][position][index] += h
            moved[1][position][index] -= h
            difference = (loss(*moved[0]) - loss(*moved[1])) / (2 * h)
            assert abs(difference - gradient[index]) < 1e-7


def test_mean_far_from_zero(isa: str, dtype: str) -> None:
    """The variance of numbers that differ in their last digits keeps its own digits."""
    rng = np.random.default_rng(3)
    offset = 0.1 / np.finfo(dtype).eps ** 0.5
    x = (offset + rng.standard_normal((64, 5, 5, 20))).astype(dtype)
    _, mean, variance = functional.batch_norm_forward(x)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(mean, x.astype(L).mean((0, 1, 2)), rtol=eps)
    np.testing.assert_allclose(variance, x.astype(L).var((0, 1, 2)), rtol=200 * eps)
    same, _, zero = functional.batch_norm_forward(np.full((9, 3), offset, dtype))
    np.testing.assert_array_equal(zero, 0)
    np.testing.assert_array_equal(same, 0)


@pytest.mark.parametrize(("shape", "axis"), [((60, 9, 9, 40), -1), ((60, 40, 9, 9), 1)])
def test_threads_do_not_change_results(shape: tuple[int, ...], axis: int, isa: str) -> None:
    x, dy, gamma, beta = _case(shape, axis, "float32")
    results = []
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        forward = functional.batch_norm_forward(x, gamma, beta, axis=axis)
        backward = functional.batch_norm_backward(dy, x, gamma, *forward[1:], axis=axis)
        results.append([*forward, *backward])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nan_spoils_its_channel_only(isa: str, dtype: str) -> None:
    x = _case((4, 3, 3, 6), -1, dtype)[0]
    x[2, 1, 1, 4] = np.nan
    y, mean, variance = functional.batch_norm_forward(x)
    wrong = [False] * 4 + [True, False]
    assert np.isnan(mean).tolist() == wrong
    assert np.isnan(variance).tolist() == wrong
    assert np.isnan(y).all((0, 1, 2)).tolist() == wrong
    assert np.isnan(y).any((0, 1, 2)).tolist() == wrong


def test_empty_batches() -> None:
    x, one = np.empty((0, 2, 2, 3), "float32"), np.ones(3, "float32")
    y, _, _ = functional.batch_norm_forward(x, mean=one, variance=one)
    assert y.shape == x.shape
    dx, dgamma, dbeta = functional.batch_norm_backward(x, x, one, one, one)
    assert dx is not None
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dgamma, 0)
    np.testing.assert_array_equal(dbeta, 0)
    with pytest.raises(ValueError, match=r"`x` must not be empty to take its mean"):
        functional.batch_norm_forward(x)


def test_bad_arguments() -> None:
    x, one = np.ones((2, 4, 3), "float32"), np.ones(3, "float32")
    forward, backward = functional.batch_norm_forward, functional.batch_norm_backward
    with pytest.raises(ValueError, match=r"`axis` must be an axis of `x`.*Received: axis=3"):
        forward(x, axis=3)
    with pytest.raises(ValueError, match=r"`gamma` must have shape \(3,\)"):
        forward(x, np.ones(4, "float32"))
    with pytest.raises(TypeError, match=r"`beta` and `x` must have the same dtype"):
        forward(x, None, np.ones(3))
    with pytest.raises(ValueError, match=r"must be given together.*variance=None"):
        forward(x, mean=one)
    with pytest.raises(ValueError, match=r"empty along axes before the channels only"):
        forward(x[:, :, :0])
    with pytest.raises(TypeError, match=r"`x` must be a float32 or float64"):
        forward(x.astype(int))
    with pytest.raises(ValueError, match=r"`out` must have shape"):
        forward(x, out=np.empty((2, 4, 2), "float32"))
    with pytest.raises(ValueError, match=r"`x` must have shape \(2, 4, 3\)"):
        backward(x, x[:1], one, one, one)
    with pytest.raises(ValueError, match=r"`variance` must be an array"):
        backward(x, x, one, one, None)
    with pytest.raises(ValueError, match=r"`needs` must hold names out of"):
        backward(x, x, one, one, one, needs=("dw",))
    with pytest.raises(ValueError, match=r"`out` must be \(dx, dgamma, dbeta\)"):
        backward(x, x, one, one, one, out=(None, None))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`out\[0\]` must not share memory"):
        backward(x, x, one, one, one, out=(x.reshape(3, 4, 2).reshape(2, 4, 3), None, None))
