"""The integer arithmetic of shapes and padding."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import _shapes


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "expected"),
    [
        (5, 3, 2, (3, 1, 1)),
        (6, 3, 2, (3, 0, 1)),
        (224, 7, 2, (112, 2, 3)),
        (4, 2, 1, (4, 0, 1)),
        (7, 2, 3, (3, 0, 1)),
        (5, 1, 3, (2, 0, 0)),
        (1, 5, 1, (1, 2, 2)),
    ],
)
def test_same_padding_is_that_of_keras(
    n: int, kernel: int, stride: int, expected: tuple[int, int, int]
) -> None:
    assert _shapes.conv_axis(n, kernel, stride, 1, "same", "height") == expected


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "dilation", "padding", "out"),
    [
        (5, 3, 1, 1, "valid", 3),
        (5, 3, 2, 1, "valid", 2),
        (6, 3, 2, 1, "valid", 2),
        (5, 5, 7, 1, "valid", 1),
        (9, 3, 1, 4, "valid", 1),
        (9, 3, 2, 2, (1, 2), 4),
        (1, 3, 1, 1, (0, 2), 1),
        (3, 1, 1, 1, (5, 7), 15),
    ],
)
def test_output_sizes(
    n: int, kernel: int, stride: int, dilation: int, padding: Any, out: int
) -> None:
    sides = (0, 0) if padding == "valid" else padding
    assert _shapes.conv_axis(n, kernel, stride, dilation, padding, "width") == (out, *sides)


@given(
    n=st.integers(1, 60),
    kernel=st.integers(1, 12),
    stride=st.integers(1, 9),
    dilation=st.integers(1, 5),
    padding=st.one_of(
        st.sampled_from(["valid", "same"]), st.tuples(st.integers(0, 9), st.integers(0, 9))
    ),
)
def test_last_window_fits_and_the_next_would_not(
    n: int, kernel: int, stride: int, dilation: int, padding: Any
) -> None:
    extent = (kernel - 1) * dilation + 1
    sides = (0, 0) if isinstance(padding, str) else padding
    if padding != "same" and extent > n + sum(sides):
        with pytest.raises(ValueError, match="larger than the padded input"):
            _shapes.conv_axis(n, kernel, stride, dilation, padding, "height")
        return
    out, before, after = _shapes.conv_axis(n, kernel, stride, dilation, padding, "height")
    assert out >= 1
    assert (out - 1) * stride + extent <= n + before + after
    if padding == "same":
        assert out == -(-n // stride)
        assert 0 <= after - before <= 1
        if before + after:
            assert (out - 1) * stride + extent == n + before + after
    else:
        assert (before, after) == sides
        assert out * stride + extent > n + before + after


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, (3, 3)), ((1, 2), (1, 2)), ([4, 5], (4, 5)), (np.int64(6), (6, 6))],
)
def test_pairs(value: Any, expected: tuple[int, int]) -> None:
    pair = _shapes.normalize_pair(value, "strides")
    assert pair == expected
    assert [type(number) for number in pair] == [int, int]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, TypeError),
        (1.0, TypeError),
        ("2", TypeError),
        (None, TypeError),
        ((1, False), TypeError),
        ((1, 2.0), TypeError),
        ({1, 2}, TypeError),
        (np.True_, TypeError),
        (0, ValueError),
        (-1, ValueError),
        ((2, 0), ValueError),
        ((), ValueError),
        ((1,), ValueError),
        ((1, 2, 3), ValueError),
        (2**70, ValueError),
    ],
)
def test_bad_pairs(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=re.escape(f"Received: strides={value!r}") + "$") as caught:
        _shapes.normalize_pair(value, "strides")
    assert "`strides`" in str(caught.value)


def test_integers() -> None:
    assert _shapes.normalize_integer(np.int64(3), "groups") == 3
    for bad, error in [(True, TypeError), (1.0, TypeError), ((1, 1), TypeError), (0, ValueError)]:
        with pytest.raises(error, match=re.escape(f"Received: groups={bad!r}") + "$"):
            _shapes.normalize_integer(bad, "groups")


def test_minimum_of_pairs() -> None:
    assert _shapes.normalize_pair((0, 1), "padding", minimum=0) == (0, 1)
    with pytest.raises(ValueError, match=r"`size` must be at least 2\. Received: size=1$"):
        _shapes.normalize_pair(1, "size", minimum=2)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("Valid", "valid"),
        ("SAME", "same"),
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 0), ((1, 1), (0, 0))),
        ([[1, 2], [3, 4]], ((1, 2), (3, 4))),
        (((1, 2), 3), ((1, 2), (3, 3))),
        (np.int32(1), ((1, 1), (1, 1))),
    ],
)
def test_padding_forms(padding: Any, expected: Any) -> None:
    assert _shapes.normalize_padding(padding) == expected


@pytest.mark.parametrize(
    ("padding", "error"),
    [
        ("causal", ValueError),
        ("", ValueError),
        (-1, ValueError),
        ((1, -1), ValueError),
        (((0, 0), (0, -3)), ValueError),
        ((1, 2, 3), ValueError),
        ((), ValueError),
        (((1, 2, 3), 1), ValueError),
        (2**63, ValueError),
        (1.5, TypeError),
        (True, TypeError),
        (None, TypeError),
        (("same", "valid"), TypeError),
        (((1, 2), (3, 4.0)), TypeError),
    ],
)
def test_bad_padding(padding: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=re.escape(f"Received: padding={padding!r}") + "$"):
        _shapes.normalize_padding(padding)


def test_data_format() -> None:
    assert _shapes.normalize_data_format(None) == "channels_last"
    assert _shapes.normalize_data_format(None, "channels_first") == "channels_first"
    assert _shapes.normalize_data_format("CHANNELS_FIRST") == "channels_first"
    for bad in ("NHWC", "", 1):
        with pytest.raises(ValueError, match=re.escape(f"Received: data_format={bad!r}") + "$"):
            _shapes.normalize_data_format(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 1, 1, "same"), "at least 1.*height=0"),
        ((5, 0, 1, 1, "same"), "at least 1.*kernel=0"),
        ((5, 3, -1, 1, "same"), "at least 1.*stride=-1"),
        ((5, 3, 1, 0, "same"), "at least 1.*dilation=0"),
        ((5, 3, 1, 1, (0, -1)), r"`padding` must not be negative.*padding=\(0, -1\)"),
        ((5, 6, 1, 1, "valid"), "larger than the padded input along the height.*kernel=6"),
        ((5, 3, 1, 3, (0, 1)), r"spans 7 of 6.*padding=\(0, 1\)"),
        ((5, 3, 1, 2**61, "same"), "too large"),
        ((2**60, 3, 1, 1, "valid"), "too large"),
    ],
)
def test_axis_errors(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _shapes.conv_axis(*arguments, "height")


def test_both_axes() -> None:
    assert _shapes.conv_axes((6, 5), (3, 2), (2, 1), (1, 2), ((1, 0), (0, 2))) == (
        (3, 1, 0),
        (5, 0, 2),
    )
    with pytest.raises(ValueError, match="along the width"):
        _shapes.conv_axes((6, 5), (3, 6), (1, 1), (1, 1), "valid")


def test_pooling_needs_an_element_in_every_window() -> None:
    assert _shapes.pool_axes((5, 5), (3, 2), (2, 2), ((2, 2), (1, 1))) == ((4, 2, 2), (3, 1, 1))
    for padding in [((3, 0), (0, 0)), ((0, 0), (0, 2))]:
        with pytest.raises(ValueError, match="`padding` must be smaller than `pool_size`"):
            _shapes.pool_axes((5, 5), (3, 2), (1, 1), padding)
    with pytest.raises(ValueError, match="larger than the padded input"):
        _shapes.pool_axes((2, 5), (3, 2), (1, 1), "valid")


def test_image_sizes_and_shapes_are_inverse() -> None:
    assert _shapes.image_sizes((8, 3, 32, 48), "channels_first", "x") == (8, 32, 48, 3)
    assert _shapes.image_shape(8, 32, 48, 3, "channels_first") == (8, 3, 32, 48)
    assert _shapes.image_sizes((0, 4, 5, 6), "channels_last", "x") == (0, 4, 5, 6)
    assert _shapes.image_shape(0, 4, 5, 6, "channels_last") == (0, 4, 5, 6)


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 0, 2, 2), (1, 2, 2, 0), (-1, 2, 2, 2), ()])
def test_bad_image_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"Received: x.shape={shape}") + "$"):
        _shapes.image_sizes(shape, "channels_last", "x")


def test_sizes_beyond_memory_are_refused() -> None:
    assert _shapes.check_elements((2, 0, 5), "x") == 10
    for shape in [(2**30, 2**30, 2**10), (0, 2**62), (2**62, 0, 2**62)]:
        with pytest.raises(ValueError, match="`y` would be too large"):
            _shapes.check_elements(shape, "y")
    with pytest.raises(ValueError, match="`y` would be too large"):
        _shapes.image_shape(2**20, 2**20, 2**20, 2**20, "channels_last")


@pytest.mark.parametrize(
    ("channels", "kernel_shape", "groups", "message"),
    [
        (8, (3, 3, 8), 1, "must be 4-D.*kernel.shape="),
        (8, (3, 0, 8, 4), 1, "must not be empty"),
        (8, (3, 3, 4, 4), 1, r"channels / groups = 8 / 1.*kernel.shape=\(3, 3, 4, 4\)$"),
        (8, (3, 3, 2, 4), 3, "channels / groups = 8 / 3"),
        (8, (3, 3, 4, 5), 2, "5 filters.*Received: groups=2$"),
    ],
)
def test_kernels_that_do_not_fit(
    channels: int, kernel_shape: tuple[int, ...], groups: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        _shapes.check_conv_channels(channels, kernel_shape, groups)


def test_kernel_that_fits() -> None:
    assert _shapes.check_conv_channels(8, (3, 3, 4, 6), 2) is None
