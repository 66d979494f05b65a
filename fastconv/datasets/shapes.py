"""Triangles, squares and circles drawn on 8x8 pixels, as many as asked for.

Every image is one outline of random place, size, tilt and brightness, with a little noise. The
same seed draws the same images on every machine that has the same NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CLASS_NAMES = ("triangle", "square", "circle")
SIZE = 8
RADIUS = (2.8, 3.5)
TILT = 0.1

Pair = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def load_data(
    train_count: int = 6000, test_count: int = 1500, *, noise: float = 0.03, seed: int = 0
) -> tuple[Pair, Pair]:
    """Draw the shapes.

    Parameters
    ----------
    train_count, test_count : int, default=6000 and 1500
        Numbers of images; the three classes are equally frequent.
    noise : float, default=0.03
        Standard deviation of the noise, as a part of the brightest pixel.
    seed : int, default=0
        Draws other images.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images: uint8 of shape (n, 8, 8), 0 is the background. Labels: uint8 of shape (n,), the
        index into ``CLASS_NAMES``.

    Raises
    ------
    ValueError
        If a count, the noise or the seed is negative.

    Examples
    --------
    >>> (x_train, y_train), (x_test, y_test) = load_data(600, 90)
    >>> x_train.shape, x_test.shape
    ((600, 8, 8), (90, 8, 8))
    """
    for name, value in (
        ("train_count", train_count),
        ("test_count", test_count),
        ("noise", noise),
        ("seed", seed),
    ):
        if value < 0:
            raise ValueError(f"{name} must not be negative. Received: {name}={value}")
    rng = np.random.default_rng(seed)
    return _draw(train_count, noise, rng), _draw(test_count, noise, rng)


def _draw(count: int, noise: float, rng: np.random.Generator) -> Pair:
    labels = rng.permutation(np.arange(count) % len(CLASS_NAMES))

    def each(low: float, high: float) -> npt.NDArray[np.float64]:
        return rng.uniform(low, high, (count, 1, 1))

    radius = each(*RADIUS)
    room = SIZE / 2 - 0.4 - radius
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    x = axis[None, None, :] - room * each(-1, 1)
    y = axis[None, :, None] - room * each(-1, 1)
    tilt = each(-TILT, TILT)
    u = np.cos(tilt) * x + np.sin(tilt) * y
    v = np.cos(tilt) * y - np.sin(tilt) * x
    # Signed distances to the edges, negative inside; the triangle stands on its base.
    triangle = np.maximum(v - radius, (2 * np.abs(u) - v - radius) / np.sqrt(5))
    square = np.maximum(np.abs(u), np.abs(v)) - 0.9 * radius
    circle = np.hypot(u, v) - radius
    distance = np.choose(labels[:, None, None], [triangle, square, circle])
    # A line about one pixel wide just inside the edge, with soft borders.
    images = np.clip(1 - np.abs(distance + 0.5), 0, 1) * each(0.7, 1)
    images += rng.normal(0, noise, images.shape)
    pixels = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return pixels, labels.astype(np.uint8)
