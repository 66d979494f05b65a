"""Gathering rows and summing squares."""

import math

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one


@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
@pytest.mark.parametrize("row", [(), (1,), (3, 5), (28, 28), (4, 70, 64)])
def test_gather_rows(source: str, scale: float, row: tuple[int, ...], isa: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    src = rng.integers(0, 256, (9, *row)).astype(source)
    if source != "uint8":
        src = src * src.dtype.type(1.1)
    indices = rng.integers(0, 9, 25)
    out = np.full((25, *row), np.nan, dtype)
    assert functional.gather_rows(src, indices, out=out, scale=scale) is out
    exact = src[indices].astype("float64") * scale
    np.testing.assert_allclose(out, exact, rtol=2 * np.finfo(dtype).eps)
    if scale == 1 and source == dtype:
        np.testing.assert_array_equal(out, src[indices])


def test_gather_rows_forms(isa: str) -> None:
    """Other shapes of out, other integers, read-only, strided and empty arrays, threads."""
    rng = np.random.default_rng(2)
    src = rng.random((600, 20, 3)).astype("float32")
    indices = rng.permutation(600)
    out = np.empty((600, 60), "float32")
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        out[...] = np.nan
        functional.gather_rows(src, indices.astype("uint16"), out=out)
        np.testing.assert_array_equal(out, src.reshape(600, 60)[indices])
    src.flags.writeable = False
    half = functional.gather_rows(src[::2], [3, 0], out=np.empty((2, 20, 3), "float64"), scale=0.5)
    np.testing.assert_array_equal(half, src[[6, 0]] * 0.5)
    assert functional.gather_rows(src, indices[:0], out=np.empty((0, 60), "float32")).size == 0
    assert functional.gather_rows(src[:, :0], [1], out=np.empty((1, 0), "float32")).size == 0


def test_gather_rows_refuses() -> None:
    src, out = np.zeros((5, 4), "uint8"), np.empty((2, 4), "float32")
    gather = functional.gather_rows
    with pytest.raises(ValueError, match=r"`indices` must lie in 0 .. 4.*indices\[1\]=5"):
        gather(src, [4, 5], out=out)
    with pytest.raises(ValueError, match=r"indices\[0\]=-1"):
        gather(src, [-1, 5], out=out)
    with pytest.raises(TypeError, match=r"`indices` must be an array of integers"):
        gather(src, [0.0, 1.0], out=out)
    with pytest.raises(ValueError, match=r"`indices` must have 1 dimension"):
        gather(src, [[0, 1]], out=out)
    with pytest.raises(TypeError, match=r"`src` must be an array of uint8, float32 or float64"):
        gather(src.astype("int16"), [0, 1], out=out)
    with pytest.raises(ValueError, match=r"`src` must have rows"):
        gather(np.float32(1), [0, 1], out=out)
    with pytest.raises(TypeError, match=r"`out` must be float32 or float64"):
        gather(src, [0, 1], out=np.empty((2, 4), int))
    with pytest.raises(TypeError, match=r"`out` must be a NumPy array"):
        gather(src, [0, 1], out=[0.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`out` must have 2 rows of 4 elements"):
        gather(src, [0, 1], out=np.empty((4, 2), "float32"))
    with pytest.raises(ValueError, match=r"`out` must have 2 rows of 4 elements"):
        gather(src, [0, 1], out=np.empty((2, 5), "float32"))


@pytest.mark.parametrize("n", [0, 1, 5, 16, 17, 100, 16384, 100_001])
def test_sum_squares(n: int, isa: str, dtype: str) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(dtype)
    exact = math.fsum(float(v) ** 2 for v in x)
    results = set()
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        results.add(functional.sum_squares(x))
    assert len(results) == 1
    # Positive terms, added in double precision along chains of at most 1024 + log2(n).
    np.testing.assert_allclose(results.pop(), exact, rtol=1100 * np.finfo("float64").eps)


def test_sum_squares_of_large_numbers_and_nan(isa: str) -> None:
    assert functional.sum_squares(np.full(4, 1e30, "float32")) == pytest.approx(4e60, rel=1e-6)
    assert math.isnan(functional.sum_squares(np.array([1.0, np.nan])))
    with pytest.raises(TypeError, match=r"`x` must be a float32 or float64 array"):
        functional.sum_squares(np.ones(3, int))
