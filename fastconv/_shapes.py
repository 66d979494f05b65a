"""Shapes, strides and padding as pure integer arithmetic.

Nothing here touches an array. Every function either returns integers that are safe to hand to C
or raises an error that names the argument and says what was received. Padding follows Keras
(https://keras.io/api/layers/convolution_layers/convolution2d/): with
``e = (kernel - 1) * dilation + 1``,

- 'valid': ``out = (n - e) // stride + 1``, no padding;
- 'same': ``out = ceil(n / stride)``, ``total = max((out - 1) * stride + e - n, 0)``,
  ``before = total // 2``, ``after = total - before``;
- explicit: ``out = (n + before + after - e) // stride + 1``.
"""

from collections.abc import Iterable, Sequence
from operator import index
from typing import Literal, TypeAlias, cast

DataFormat: TypeAlias = Literal["channels_last", "channels_first"]
Pair: TypeAlias = tuple[int, int]
AxisPadding: TypeAlias = Literal["valid", "same"] | Pair
Padding: TypeAlias = Literal["valid", "same"] | tuple[Pair, Pair]
Axis: TypeAlias = tuple[int, int, int]

#: Element counts at or below this keep every byte offset inside a signed 64-bit integer.
MAX_ELEMENTS = 2**62 // 8

_PADDING_FORMS = "'valid', 'same', an int, (height, width) or ((top, bottom), (left, right))"


def _integer(value: object, name: str, minimum: int, received: object) -> int:
    """Return ``value`` as an int of at least ``minimum``; bools and floats are refused."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"`{name}` must hold integers only. Received: {name}={received!r}"
        ) from None
    if number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}. Received: {name}={received!r}")
    if number > MAX_ELEMENTS:
        raise ValueError(f"`{name}` is too large. Received: {name}={received!r}")
    return number


def normalize_integer(value: object, name: str, minimum: int = 1) -> int:
    """Return ``value`` as an int; TypeError for bools and floats, ValueError below ``minimum``.

    Examples
    --------
    >>> normalize_integer(3, "groups")
    3
    """
    return _integer(value, name, minimum, value)


def normalize_pair(value: object, name: str, minimum: int = 1) -> Pair:
    """Return ``value``, an integer or a pair of integers, as a (height, width) pair.

    Raises
    ------
    TypeError
        If ``value`` is neither, or holds bools or floats.
    ValueError
        If ``value`` has the wrong length or an entry below ``minimum``.

    Examples
    --------
    >>> normalize_pair(2, "strides"), normalize_pair([2, 1], "strides")
    ((2, 2), (2, 1))
    """
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(
                f"`{name}` must be an integer or a pair of integers. Received: {name}={value!r}"
            )
        return _integer(value[0], name, minimum, value), _integer(value[1], name, minimum, value)
    number = _integer(value, name, minimum, value)
    return number, number


def normalize_padding(padding: object, name: str = "padding") -> Padding:
    """Return ``padding`` as 'valid', 'same' or ((top, bottom), (left, right)).

    Strings are compared without regard to case. Integers count rows and columns of zeros on each
    side, so ``2`` is ``((2, 2), (2, 2))`` and ``(1, 0)`` is ``((1, 1), (0, 0))``.

    Raises
    ------
    TypeError
        If ``padding`` is none of these or holds bools or floats.
    ValueError
        If the string is unknown, a length is wrong or a number is negative.

    Examples
    --------
    >>> normalize_padding("SAME"), normalize_padding((1, 0)), normalize_padding(((0, 1), 2))
    ('same', ((1, 1), (0, 0)), ((0, 1), (2, 2)))
    """
    if isinstance(padding, str):
        word = padding.lower()
        if word in ("valid", "same"):
            return cast(Literal["valid", "same"], word)
        raise ValueError(f"`{name}` must be {_PADDING_FORMS}. Received: {name}={padding!r}")
    if isinstance(padding, list | tuple):
        if len(padding) != 2:
            raise ValueError(f"`{name}` must be {_PADDING_FORMS}. Received: {name}={padding!r}")
        vertical, horizontal = padding
    else:
        vertical = horizontal = padding
    return _sides(vertical, name, padding), _sides(horizontal, name, padding)


def _sides(value: object, name: str, received: object) -> Pair:
    """Return the (before, after) padding of one axis."""
    if not isinstance(value, list | tuple):
        both = _integer(value, name, 0, received)
        return both, both
    if len(value) != 2:
        raise ValueError(f"`{name}` must be {_PADDING_FORMS}. Received: {name}={received!r}")
    return _integer(value[0], name, 0, received), _integer(value[1], name, 0, received)


def normalize_data_format(
    data_format: object, default: DataFormat = "channels_last", name: str = "data_format"
) -> DataFormat:
    """Return ``data_format`` in lower case, or ``default`` where it is None.

    Examples
    --------
    >>> normalize_data_format(None), normalize_data_format("Channels_First")
    ('channels_last', 'channels_first')
    """
    if data_format is None:
        return default
    if isinstance(data_format, str):
        word = data_format.lower()
        if word in ("channels_last", "channels_first"):
            return cast(DataFormat, word)
    raise ValueError(
        f"`{name}` must be 'channels_last' or 'channels_first'. Received: {name}={data_format!r}"
    )


def conv_axis(
    n: int, kernel: int, stride: int, dilation: int, padding: AxisPadding, axis_name: str
) -> Axis:
    """Return (out, before, after) of a convolution or a pooling along one axis.

    Parameters
    ----------
    n, kernel, stride, dilation : int
        Size of the input and of the kernel, step of the window, distance between taps.
    padding : 'valid', 'same' or (before, after)
    axis_name : str
        The name in error messages: "height" or "width".

    Raises
    ------
    ValueError
        If a size is not positive, a padding negative, or the dilated kernel larger than the padded
        input, or if the padded sizes are too large to index.

    Examples
    --------
    >>> conv_axis(224, 7, 2, 1, "same", "height")
    (112, 2, 3)
    """
    if n < 1 or kernel < 1 or stride < 1 or dilation < 1:
        raise ValueError(
            f"Sizes, strides and dilation rates along the {axis_name} must be at least 1. "
            f"Received: {axis_name}={n}, kernel={kernel}, stride={stride}, dilation={dilation}"
        )
    extent = (kernel - 1) * dilation + 1
    if padding == "same":
        out = -(-n // stride)
        total = max((out - 1) * stride + extent - n, 0)
        before = total // 2
        after = total - before
    else:
        before, after = (0, 0) if padding == "valid" else padding
        if before < 0 or after < 0:
            raise ValueError(
                f"`padding` must not be negative along the {axis_name}. "
                f"Received: padding={(before, after)}"
            )
        if extent > n + before + after:
            raise ValueError(
                f"The kernel is larger than the padded input along the {axis_name}: "
                f"it spans {extent} of {n + before + after}. Received: {axis_name}={n}, "
                f"kernel={kernel}, dilation={dilation}, padding={padding!r}"
            )
        out = (n + before + after - extent) // stride + 1
    if max(extent, n + before + after, (out - 1) * stride + extent) > MAX_ELEMENTS:
        raise ValueError(
            f"The padded {axis_name} is too large. Received: {axis_name}={n}, kernel={kernel}, "
            f"stride={stride}, dilation={dilation}, padding={padding!r}"
        )
    return out, before, after


def conv_axes(
    size: Pair, kernel: Pair, strides: Pair, dilation: Pair, padding: Padding
) -> tuple[Axis, Axis]:
    """Return :func:`conv_axis` for the height and the width.

    Examples
    --------
    >>> conv_axes((6, 5), (3, 3), (2, 2), (1, 1), "same")
    ((3, 0, 1), (3, 1, 1))
    """
    vertical, horizontal = (padding, padding) if isinstance(padding, str) else padding
    return (
        conv_axis(size[0], kernel[0], strides[0], dilation[0], vertical, "height"),
        conv_axis(size[1], kernel[1], strides[1], dilation[1], horizontal, "width"),
    )


def pool_axes(size: Pair, pool_size: Pair, strides: Pair, padding: Padding) -> tuple[Axis, Axis]:
    """Return (out, before, after) of a pooling for the height and the width.

    Raises
    ------
    ValueError
        As :func:`conv_axis`, and if an explicit padding is not smaller than the pool: a window
        would hold nothing but padding.

    Examples
    --------
    >>> pool_axes((3, 3), (2, 2), (2, 2), "same")
    ((2, 0, 1), (2, 0, 1))
    """
    if not isinstance(padding, str):
        for sides, pool in zip(padding, pool_size, strict=True):
            if max(sides) >= pool:
                raise ValueError(
                    f"`padding` must be smaller than `pool_size`, here {pool_size}, on every side. "
                    f"Received: padding={padding!r}"
                )
    return conv_axes(size, pool_size, strides, (1, 1), padding)


def image_sizes(
    shape: Sequence[int], data_format: DataFormat, name: str
) -> tuple[int, int, int, int]:
    """Return (batch, height, width, channels) of a 4-D ``shape``; only the batch may be empty.

    Examples
    --------
    >>> image_sizes((8, 3, 32, 48), "channels_first", "x")
    (8, 32, 48, 3)
    """
    if len(shape) != 4:
        order = "batch, height, width, channels"
        if data_format == "channels_first":
            order = "batch, channels, height, width"
        raise ValueError(f"`{name}` must be 4-D: ({order}). Received: {name}.shape={tuple(shape)}")
    if shape[0] < 0 or min(shape[1:]) < 1:
        raise ValueError(
            f"`{name}` must have height, width and channels of at least 1. "
            f"Received: {name}.shape={tuple(shape)}"
        )
    if data_format == "channels_last":
        return shape[0], shape[1], shape[2], shape[3]
    return shape[0], shape[2], shape[3], shape[1]


def image_shape(
    batch: int, height: int, width: int, channels: int, data_format: DataFormat, name: str = "y"
) -> tuple[int, int, int, int]:
    """Return the shape of an image batch in ``data_format``, refusing sizes beyond memory.

    Examples
    --------
    >>> image_shape(8, 32, 48, 3, "channels_first")
    (8, 3, 32, 48)
    """
    check_elements((batch, height, width, channels), name)
    if data_format == "channels_last":
        return batch, height, width, channels
    return batch, channels, height, width


def check_elements(shape: Iterable[int], name: str) -> int:
    """Return the number of elements of ``shape``, refusing products that overflow 64-bit offsets.

    Empty axes count as one, so that an array with strides of such a shape is safe too.

    Examples
    --------
    >>> check_elements((2, 3), "x")
    6
    """
    sizes = tuple(shape)
    elements = 1
    for size in sizes:
        elements *= max(size, 1)
    if elements > MAX_ELEMENTS:
        raise ValueError(f"`{name}` would be too large. Received: {name}.shape={sizes}")
    return elements


def check_conv_channels(channels: int, kernel_shape: Sequence[int], groups: int) -> None:
    """Refuse a (kh, kw, in / groups, out) kernel that does not fit ``channels`` and ``groups``.

    Examples
    --------
    >>> check_conv_channels(8, (3, 3, 4, 6), 2)
    """
    if len(kernel_shape) != 4:
        raise ValueError(
            "`kernel` must be 4-D: (height, width, channels / groups, filters). "
            f"Received: kernel.shape={tuple(kernel_shape)}"
        )
    if min(kernel_shape) < 1:
        raise ValueError(
            f"`kernel` must not be empty. Received: kernel.shape={tuple(kernel_shape)}"
        )
    if groups * kernel_shape[2] != channels:
        raise ValueError(
            f"`kernel` must have channels / groups = {channels} / {groups} on its third axis. "
            f"Received: kernel.shape={tuple(kernel_shape)}"
        )
    if kernel_shape[3] % groups:
        raise ValueError(
            f"The {kernel_shape[3]} filters of `kernel` must be divisible by `groups`. "
            f"Received: groups={groups}"
        )


def pool_index_type(pool: tuple[int, int]) -> str:
    """Return the name of the type of indices into windows: bytes, while these tell them apart."""
    return "uint8" if pool[0] * pool[1] <= 256 else "int64"
