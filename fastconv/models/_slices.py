"""How inference is cut into slices of a few images.

What passes between the layers for a slice stays in the caches, and threads that take a slice each
through all layers need not wait for each other after every one.
"""

import math
from collections.abc import Sequence

from fastconv.layers.layer import Layer, known_shape

#: Inputs and outputs of a layer together that a slice may have: about a second-level cache.
_BYTES = 512 << 10
#: Rows of a slice at least: fewer would not fill the kernels, which look at up to 16 images.
LEAST_ROWS = 16
#: Weights are read for each slice, and each thread keeps them packed: not more than so many bytes.
_WEIGHTS_BYTES = 8 << 20


def slice_rows(layers: Sequence[Layer], sample: tuple[int, ...], itemsize: int) -> int:
    """Return the rows of a slice for samples of this shape; 0 where slices do not pay.

    Examples
    --------
    >>> slice_rows([], (28, 28, 1), 4)
    64
    """
    weights = sum(v.value.nbytes for layer in layers for v in layer.weights)
    if weights > _WEIGHTS_BYTES:
        return 0
    shape: tuple[int, ...] = (1, *sample)
    largest = 2 * math.prod(shape)
    for layer in layers:
        out = known_shape(layer.compute_output_shape(shape))
        largest = max(largest, math.prod(shape) + math.prod(out))
        shape = out
    rows = LEAST_ROWS
    while 2 * rows * largest * itemsize <= _BYTES:
        rows *= 2
    return rows
