"""Softmax and crossentropy against long double, with their gradients."""

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one

L = np.longdouble
#: One vector less, exactly and more for every number of lanes; the seed's classes; a long row.
CLASSES = [1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 33, 1500]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x.astype(L) - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _assert_probabilities(p: np.ndarray, x: np.ndarray) -> None:
    """The exponential errs by 2 units and by its argument's rounding; the sum and the quotient."""
    info = np.finfo(x.dtype)
    exact = _softmax(x)
    shift = x.max(-1, keepdims=True) - x
    assert (np.abs(p - exact) <= (8 + shift) * info.eps * exact + info.tiny).all()


def _crossentropy(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    shifted = x.astype(L) - x.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return -(targets * log_p).sum(-1)


def _case(classes: int, dtype: str, rows: int = 13) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels and soft targets; every row of logits has its maximum twice in a tie."""
    rng = np.random.default_rng(classes)
    x = (6 * rng.standard_normal((rows, classes))).astype(dtype)
    best = rng.integers(0, classes, (2, rows))
    x[np.arange(rows), best[0]] = x[np.arange(rows), best[1]] = 9
    labels = np.where(rng.random(rows) < 0.5, best[0], rng.integers(0, classes, rows))
    targets = rng.random((rows, classes)).astype(dtype)
    return x, labels, targets / targets.sum(1, keepdims=True, dtype=dtype)


@pytest.mark.parametrize("classes", CLASSES)
def test_softmax(classes: int, isa: str, dtype: str) -> None:
    x, _, dy = _case(classes, dtype)
    eps = np.finfo(dtype).eps
    y = functional.softmax(x)
    _assert_probabilities(y, x)
    dx = functional.softmax_backward(dy, y)
    exact_dx = y.astype(L) * (dy - (y.astype(L) * dy).sum(-1, keepdims=True))
    np.testing.assert_allclose(dx, exact_dx, rtol=4 * eps, atol=4 * eps * np.abs(dy).max())
    z = x.copy()
    assert functional.softmax(z, out=z) is z
    np.testing.assert_array_equal(z, y)
    for alias in (dy.copy(), y.copy()):
        gradients = (alias, y) if np.array_equal(alias, dy) else (dy, alias)
        functional.softmax_backward(*gradients, out=alias)
        np.testing.assert_array_equal(alias, dx)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_crossentropy(classes: int, weighted: bool, isa: str, dtype: str) -> None:
    x, labels, soft = _case(classes, dtype)
    rows = len(x)
    rng = np.random.default_rng(0)
    weight = rng.random(rows).astype(dtype) if weighted else None
    w = np.ones(rows) if weight is None else weight
    eps = np.finfo(dtype).eps
    one_hot = np.eye(classes, dtype=dtype)[labels]
    for given, targets in [(labels, one_hot), (one_hot, one_hot), (soft, soft)]:
        dlogits, probs = np.full_like(x, np.nan), np.full_like(x, np.nan)
        correct = np.zeros(rows, bool)
        outputs = {"dlogits": dlogits, "probs": probs, "correct": correct}
        loss = functional.softmax_crossentropy(x, given, sample_weight=weight, **outputs)
        exact = _crossentropy(x, targets) * w
        # Logits up to 30 are subtracted, and for soft targets multiplied and summed.
        np.testing.assert_allclose(loss, exact, rtol=8 * eps, atol=40 * eps)
        _assert_probabilities(probs, x)
        p = _softmax(x)
        gradient = (p * targets.sum(-1, keepdims=True) - targets) * w[:, None] / rows
        np.testing.assert_allclose(dlogits, gradient, rtol=8 * eps, atol=8 * eps / rows)
        np.testing.assert_array_equal(correct, x.argmax(1) == targets.argmax(1))
        for alone in ("dlogits", "probs", "correct"):
            out = {alone: np.zeros_like(outputs[alone])}
            again = functional.softmax_crossentropy(x, given, sample_weight=weight, **out)
            np.testing.assert_array_equal(again, loss)
            np.testing.assert_array_equal(out[alone], outputs[alone])
        z = x.copy()
        functional.softmax_crossentropy(z, given, sample_weight=weight, dlogits=z)
        np.testing.assert_array_equal(z, dlogits)
        z = x.copy()
        functional.softmax_crossentropy(z, given, sample_weight=weight, dlogits=dlogits, probs=z)
        np.testing.assert_array_equal(z, probs)


def test_gradient_by_central_differences(isa: str) -> None:
    """Also for targets that do not sum to 1."""
    rng = np.random.default_rng(4)
    x, targets, weight = rng.standard_normal((5, 7)), rng.random((5, 7)), rng.random(5)
    dlogits = np.empty_like(x)
    functional.softmax_crossentropy(x, targets, sample_weight=weight, dlogits=dlogits)
    h = 1e-6
    for index in np.ndindex(x.shape):
        values = []
        for step in (h, -h):
            moved = x.copy()
            moved[index] += step
            loss = functional.softmax_crossentropy(moved, targets, sample_weight=weight)
            values.append(loss.mean())
        assert abs((values[0] - values[1]) / (2 * h) - dlogits[index]) < 1e-9


def test_extreme_logits(isa: str, dtype: str) -> None:
    huge = float(np.finfo(dtype).max)
    x = np.array([[huge, 0, -huge], [1e4, 1e4, 0], [-np.inf, 0, 0]], dtype)
    dlogits = np.empty_like(x)
    loss = functional.softmax_crossentropy(x, np.array([0, 1, 2]), dlogits=dlogits)
    np.testing.assert_allclose(loss, [0, np.log(2), np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(3 * dlogits, [[0, 0, 0], [0.5, -0.5, 0], [0, 0.5, -0.5]], atol=1e-6)
    targets = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]], dtype)
    soft = functional.softmax_crossentropy(x, targets, dlogits=dlogits)
    np.testing.assert_allclose(soft, [0, np.log(2), np.log(2)], rtol=1e-6)
    np.testing.assert_allclose(dlogits, 0, atol=1e-6)
    assert functional.softmax_crossentropy(x[2:], np.array([0]))[0] == np.inf
    assert functional.softmax_crossentropy(x[2:], np.eye(3)[:1])[0] == np.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 3, 16])
def test_nan_spoils_its_row_only(bad: float, column: int, isa: str, dtype: str) -> None:
    x = np.zeros((3, 17), dtype)
    x[1, column] = bad
    correct = np.ones(3, bool)
    dlogits = np.empty_like(x)
    labels = np.array([0, column, 0])
    loss = functional.softmax_crossentropy(x, labels, dlogits=dlogits, correct=correct)
    assert np.isnan(loss).tolist() == [False, True, False]
    assert np.isnan(dlogits).all(1).tolist() == [False, True, False]
    assert correct.tolist() == [True, False, True]
    assert np.isnan(functional.softmax(x)).all(1).tolist() == [False, True, False]


def test_threads_do_not_change_results(isa: str, dtype: str) -> None:
    x, labels, _ = _case(10, dtype, rows=2000)
    results = []
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        dlogits = np.empty_like(x)
        loss = functional.softmax_crossentropy(x, labels, dlogits=dlogits)
        y = functional.softmax(x)
        results.append((loss, dlogits, y, functional.softmax_backward(x, y)))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int32", "int64", "uint64", ">i4"])
def test_types_of_labels(kind: str) -> None:
    x, labels, _ = _case(10, "float32")
    loss = functional.softmax_crossentropy(x, labels.astype(kind))
    np.testing.assert_array_equal(loss, functional.softmax_crossentropy(x, labels.tolist()))


def test_types_of_targets_and_empty_batches() -> None:
    x = np.zeros((2, 4), "float32")
    one_hot = np.eye(4)[:2]
    for kind in ("float32", "float64", "int64", "uint8", "bool"):
        loss = functional.softmax_crossentropy(x, one_hot.astype(kind))
        np.testing.assert_allclose(loss, np.log(4), rtol=1e-6)
    assert functional.softmax_crossentropy(x[:0], np.empty(0, int)).shape == (0,)
    assert functional.softmax(x[:0]).shape == (0, 4)
    assert functional.softmax(np.zeros((2, 3, 4)))[1, 2, 3] == 0.25


def test_bad_arguments() -> None:
    x = np.zeros((3, 4), "float32")
    ok = np.array([0, 1, 2])
    call = functional.softmax_crossentropy
    with pytest.raises(ValueError, match=r"`labels` must lie in 0 .. 3.*labels\[1\]=4"):
        call(x, np.array([0, 4, 9]))
    with pytest.raises(ValueError, match=r"labels\[2\]=-1"):
        call(x, np.array([0, 1, -1]))
    with pytest.raises(ValueError, match=r"labels\[0\]=18446744073709551615"):
        call(x, np.array([2**64 - 1, 1, 1], "uint64"))
    with pytest.raises(TypeError, match=r"must hold integers.*float64"):
        call(x, np.zeros(3))
    with pytest.raises(TypeError, match=r"must hold real numbers.*complex"):
        call(x, np.zeros((3, 4), complex))
    with pytest.raises(ValueError, match=r"`labels` must have shape \(3,\)"):
        call(x, ok[:2])
    with pytest.raises(ValueError, match=r"`labels` must have shape \(3, 4\)"):
        call(x, np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"`logits` must have 2 dimensions"):
        call(x[0], ok)
    with pytest.raises(ValueError, match=r"`logits` must have a last axis"):
        call(x[:, :0], ok)
    with pytest.raises(TypeError, match=r"`logits` must be a float32 or float64"):
        call(x.astype(int), ok)
    with pytest.raises(ValueError, match=r"`sample_weight` must have shape \(3,\)"):
        call(x, ok, sample_weight=np.ones(4))
    with pytest.raises(TypeError, match=r"`dlogits` must have dtype float32"):
        call(x, ok, dlogits=np.empty((3, 4)))
    with pytest.raises(TypeError, match=r"`correct` must have dtype bool"):
        call(x, ok, correct=np.empty(3, "uint8"))
    with pytest.raises(ValueError, match=r"`dlogits` and `probs` must not share memory"):
        call(x, ok, dlogits=x, probs=x)
    with pytest.raises(ValueError, match=r"`dlogits` must not share memory"):
        call(x, x, dlogits=x)
    with pytest.raises(ValueError, match=r"last axis"):
        functional.softmax(np.float64(1.0))
    with pytest.raises(ValueError, match=r"`y` must have shape"):
        functional.softmax_backward(x, x[:2])
