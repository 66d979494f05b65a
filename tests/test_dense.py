"""dense and its gradients against the truth."""

import numpy as np
import pytest
from guards import Output, surrounded
from reference import THREADS, magnitude, random, same_bytes, truth
from tolerances import assert_within, function_bound, sum_bound

import fastconv
from fastconv import reference, runtime

# (batch, inputs, units): around vectors and tiles, long and short sums, the networks' own layers.
SHAPES = [(1, 1, 1), (1, 3, 2), (2, 7, 8), (5, 8, 7), (6, 9, 16), (7, 16, 17), (12, 15, 24)]
SHAPES += [(13, 17, 25), (4, 33, 31), (3, 1, 65), (65, 65, 1), (0, 5, 3), (1, 1600, 128)]
SHAPES += [(32, 12, 8), (32, 8, 3), (33, 128, 10), (64, 784, 130), (1, 2048, 10)]
SHAPES += [(1, 1024, 33), (2, 1025, 5), (7, 1039, 16), (32, 2304, 128), (70, 1100, 24)]
# Weights that do not stay in a second-level cache, for few rows.
SHAPES += [(20, 1201, 600), (66, 1100, 529)]
NAMES = ("dx", "dw", "db")


def arrays(shape: tuple[int, int, int], dtype: str) -> tuple[np.ndarray, ...]:
    """Return x, the kernel, the bias and dy."""
    n, inputs, units = shape
    shapes = [(n, inputs), (inputs, units), (units,), (n, units)]
    return tuple(surrounded(random(s, dtype, i)) for i, s in enumerate(shapes))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward(shape: tuple[int, int, int], isa: str, dtype: str) -> None:
    *operands, dy = arrays(shape, dtype)
    exact = truth(reference.dense, *operands)
    bound = sum_bound(magnitude(reference.dense, *operands), shape[1], dtype)
    results = []
    for threads in THREADS:
        runtime.set_num_threads(threads)
        out = Output(dy.shape, dtype)
        results.append(fastconv.dense(*operands, out=out.array))
        assert results[-1] is out.array
        out.assert_surroundings_untouched()
        assert same_bytes(results[-1], results[0])
    assert_within(results[0], exact, bound)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packed_kernels_change_no_bit(shape: tuple[int, int, int], isa: str, dtype: str) -> None:
    *operands, _ = arrays(shape, dtype)
    packed = fastconv.pack_dense(operands[1])
    if packed is None:
        assert shape[2] <= 16
        return
    again = fastconv.pack_dense(operands[1], out=np.empty_like(packed))
    for each in (packed, again):
        assert same_bytes(fastconv.dense(*operands, packed=each), fastconv.dense(*operands))


def test_packed_kernels_are_refused_where_they_do_not_fit() -> None:
    x, kernel = np.ones((2, 8), "float32"), np.ones((8, 20), "float32")
    packed = fastconv.pack_dense(kernel)
    assert packed is not None
    with pytest.raises(ValueError, match="`packed` must have shape"):
        fastconv.dense(x, kernel, packed=packed[1:])
    with pytest.raises(TypeError, match="`packed` must have dtype uint8"):
        fastconv.dense(x, kernel, packed=packed.view("float32"))
    with pytest.raises(ValueError, match="`kernel`"):
        fastconv.pack_dense(kernel[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward(shape: tuple[int, int, int], isa: str, dtype: str) -> None:
    x, kernel, bias, dy = arrays(shape, dtype)
    exact = truth(reference.dense_backward, dy, x, kernel)
    scales = magnitude(reference.dense_backward, dy, x, kernel)
    one_thread = None
    for threads in THREADS:
        runtime.set_num_threads(threads)
        outs = [Output(a.shape, dtype) for a in (x, kernel, bias)]
        gradients = fastconv.dense_backward(dy, x, kernel, out=tuple(o.array for o in outs))
        one_thread = one_thread or gradients
        for i, out in enumerate(outs):
            assert gradients[i] is out.array
            out.assert_surroundings_untouched()
            assert same_bytes(gradients[i], one_thread[i])
    lengths = (shape[2], shape[0], shape[0])
    for i, name in enumerate(NAMES):
        assert_within(one_thread[i], exact[i], sum_bound(scales[i], lengths[i], dtype), name)


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("shape", [(5, 8, 7), (7, 16, 17), (33, 128, 10)], ids=str)
def test_activation(shape: tuple[int, int, int], activation: str, isa: str) -> None:
    x, kernel, bias, _ = arrays(shape, "float32")
    for b in (bias, None):
        exact = truth(reference.dense, x, kernel, b, activation=activation)
        scale = magnitude(reference.dense, x, kernel, b)
        bound = sum_bound(scale, shape[1], "float32") + function_bound(exact, "float32")
        assert_within(fastconv.dense(x, kernel, b, activation=activation), exact, bound)


@pytest.mark.parametrize("needs", [(), ("dx",), ("dw",), ("db",), ("dx", "dw"), ("db", "dx")])
def test_needs_chooses_without_changing(needs: tuple[str, ...]) -> None:
    x, kernel, _, dy = arrays((7, 16, 17), "float32")
    everything = fastconv.dense_backward(dy, x, kernel)
    chosen = fastconv.dense_backward(dy, x, kernel, needs=needs)
    for name, some, full in zip(NAMES, chosen, everything, strict=True):
        if name in needs:
            assert same_bytes(some, full)
        else:
            assert some is None


def test_is_a_1x1_convolution_of_a_1x1_image(isa: str, dtype: str) -> None:
    x, kernel, bias, _ = arrays((13, 17, 25), dtype)
    y = fastconv.conv2d(x.reshape(13, 1, 1, 17), kernel.reshape(1, 1, 17, 25), bias)
    bound = 2 * sum_bound(magnitude(reference.dense, x, kernel, bias), 17, dtype)
    assert_within(fastconv.dense(x, kernel, bias), y.reshape(13, 25), bound)


def test_special_values_stay_in_their_row(isa: str, dtype: str) -> None:
    x, kernel, bias, _ = (a.copy() for a in arrays((13, 17, 25), dtype))
    x[3, 4], x[5, 16], x[12, 0] = np.nan, np.inf, -np.inf
    y = fastconv.dense(x, kernel, bias)
    with np.errstate(invalid="ignore"):
        exact = truth(reference.dense, x, kernel, bias)
    special = ~np.isfinite(exact)
    assert special.any(1).nonzero()[0].tolist() == [3, 5, 12]
    assert np.isfinite(y[~special]).all()
    np.testing.assert_array_equal(y[special], exact[special].astype(dtype))
