"""Dropout: the generator against its published values, the masks against the generator."""

import numpy as np
import pytest

from fastconv import functional, runtime

MATRIX_UNIT = False  # none of these kernels uses one

_ROTATIONS = [(10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20)]


def _threefry(counter: list[np.ndarray], key: tuple[int, int, int, int], rounds: int) -> np.ndarray:
    """Threefry4x32 of arrays of counters, written from the paper of Salmon et al. (2011)."""
    mask = np.uint64(0xFFFFFFFF)
    schedule = [*key, 0x1BD11BDA ^ key[0] ^ key[1] ^ key[2] ^ key[3]]
    x = [(c.astype(np.uint64) + np.uint64(k)) & mask for c, k in zip(counter, key, strict=True)]
    for r in range(rounds):
        pairs = [(0, 1), (2, 3)] if r % 2 == 0 else [(0, 3), (2, 1)]
        for (a, b), n in zip(pairs, _ROTATIONS[r % 8], strict=True):
            x[a] = (x[a] + x[b]) & mask
            x[b] = ((x[b] << np.uint64(n)) | (x[b] >> np.uint64(32 - n))) & mask
            x[b] ^= x[a]
        if r % 4 == 3:
            s = r // 4 + 1
            for i in range(4):
                added = schedule[(s + i) % 5] + (s if i == 3 else 0)
                x[i] = (x[i] + np.uint64(added)) & mask
    return np.array(x)


def _kept(n: int, rate: float, seed: int, counter: int) -> np.ndarray:
    """Which of n elements dropout keeps: 64 elements use 16 counters, word after word."""
    i = np.arange(n)
    block = 16 * (i // 64) + i % 16
    low, high = (counter & 0xFFFFFFFF, counter >> 32)
    zero = np.zeros(n, np.uint64)
    words = _threefry(
        [block.astype(np.uint64), zero, zero + np.uint64(low), zero + np.uint64(high)],
        (seed & 0xFFFFFFFF, seed >> 32, 0, 0),
        12,
    )
    return words[i // 16 % 4, i] >= round(rate * 2**32)


def test_generator_of_this_test() -> None:
    """The known answers that the authors publish with Random123, for 20 rounds."""
    cases = [
        ([0] * 4, (0,) * 4, "9c6ca96a e17eae66 fc10ecd4 5256a7d8"),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 4, "2a881696 57012287 f6c7446e a16a6732"),
    ]
    for counter, key, expected in cases:
        words = _threefry([np.array([c]) for c in counter], key, 20)[:, 0]
        assert " ".join(f"{word:08x}" for word in words) == expected


@pytest.mark.parametrize("n", [0, 1, 15, 63, 64, 65, 200, 16384 + 100])
@pytest.mark.parametrize(
    ("rate", "seed", "counter"), [(0.5, 0, 0), (0.1, 2**63 + 12345, 7), (0.9, 3, 2**40 + 1)]
)
def test_masks(n: int, rate: float, seed: int, counter: int, isa: str, dtype: str) -> None:
    x = (np.arange(n) + 1).astype(dtype)
    exact = np.where(_kept(n, rate, seed, counter), x / (1 - rate), 0)
    guarded = np.full(n + 2, 77, dtype)
    functional.dropout(x, rate, seed=seed, counter=counter, out=guarded[1 : n + 1])
    np.testing.assert_allclose(guarded[1 : n + 1], exact, rtol=2 * np.finfo(dtype).eps)
    assert guarded[0] == guarded[-1] == 77
    y = x.copy()
    functional.dropout(y, rate, seed=seed, counter=counter, out=y)
    np.testing.assert_array_equal(y, guarded[1 : n + 1])
    dx = functional.dropout_backward(x, rate, seed=seed, counter=counter)
    np.testing.assert_array_equal(dx, y)


def test_threads_do_not_change_masks(isa: str) -> None:
    x = np.ones(200_001, "float32")
    masks = []
    for threads in (1, 2, 3):
        runtime.set_num_threads(threads)
        masks.append(functional.dropout(x, 0.3, seed=9, counter=2))
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


@pytest.mark.parametrize("rate", [0.01, 0.25, 0.5, 0.8])
def test_fraction_and_mean(rate: float) -> None:
    n = 400_000
    y = functional.dropout(np.ones(n), rate, seed=5, counter=0)
    deviation = np.sqrt(rate * (1 - rate) / n)
    assert abs(np.mean(y == 0) - rate) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)


def test_masks_are_independent() -> None:
    """Of other draws, of other seeds and of their own neighbours."""
    n = 400_000

    def mask(seed: int, counter: int) -> np.ndarray:
        return functional.dropout(np.ones(n), 0.5, seed=seed, counter=counter) - 1

    first = mask(0, 0)
    others = [mask(0, 1), mask(1, 0), mask(0, 2**32), mask(2**32, 0)]
    others += [np.roll(first, shift) for shift in (1, 4, 16, 64, 16384)]
    for other in others:
        assert abs(np.mean(first * other)) < 5 / np.sqrt(n)


def test_rates_at_the_ends(isa: str, dtype: str) -> None:
    x = np.array([1, np.nan, np.inf, -2, 0], dtype)
    np.testing.assert_array_equal(functional.dropout(x, 0, seed=1, counter=1), x)
    np.testing.assert_array_equal(functional.dropout(x, 1.0, seed=1, counter=1), np.zeros(5))
    tiny = functional.dropout(x, 1e-12, seed=1, counter=1)
    np.testing.assert_array_equal(tiny, x)


def test_dropped_nan_becomes_zero(isa: str, dtype: str) -> None:
    y = functional.dropout(np.full(640, np.nan, dtype), 0.5, seed=1, counter=1)
    np.testing.assert_array_equal(y == 0, ~_kept(640, 0.5, 1, 1))
    assert np.isnan(y[y != 0]).all()


def test_bad_arguments() -> None:
    x = np.ones(4, "float32")
    for rate in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"`rate` must lie between 0 and 1. Received: rate="):
            functional.dropout(x, rate, seed=1, counter=1)
    with pytest.raises(TypeError, match=r"`x` must be a float32"):
        functional.dropout(np.ones(4, int), 0.5, seed=1, counter=1)
    with pytest.raises(TypeError, match=r"`dy` must be a float32"):
        functional.dropout_backward(np.ones(4, int), 0.5, seed=1, counter=1)
    with pytest.raises(ValueError, match=r"`out` must have shape \(4,\)"):
        functional.dropout(x, 0.5, seed=1, counter=1, out=np.empty(5, "float32"))
