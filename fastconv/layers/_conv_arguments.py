"""Checks that all convolution and pooling layers make of their arguments."""

from typing import Any

from fastconv import _shapes, config
from fastconv._shapes import DataFormat, Pair


def positive(value: Any, name: str) -> int:
    """Return ``value`` as a positive int."""
    from operator import index

    try:
        number = index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number <= 0:
        raise ValueError(
            f"Invalid value for argument `{name}`. Expected a strictly positive integer. "
            f"Received: {name}={value!r}"
        )
    return number


def pair(value: Any, name: str) -> Pair:
    """Return ``value`` as a pair of positive ints; bad values of any kind are ValueErrors."""
    try:
        return _shapes.normalize_pair(value, name)
    except TypeError as error:
        raise ValueError(str(error)) from error


def word_padding(padding: Any) -> str:
    """Return 'valid' or 'same'."""
    word = padding.lower() if isinstance(padding, str) else padding
    if word not in ("valid", "same"):
        raise ValueError(
            f"The `padding` argument must be 'valid' or 'same'. Received: padding={padding!r}"
        )
    return str(word)


def data_format_of(data_format: Any) -> DataFormat:
    """Return ``data_format`` or the configured default."""
    return _shapes.normalize_data_format(data_format, config.image_data_format())


def spatial(shape: tuple[int | None, ...], data_format: DataFormat) -> tuple[int | None, ...]:
    """Return (height, width) of an image batch's shape."""
    return tuple(shape[1:3] if data_format == "channels_last" else shape[2:4])


def channel_axis(data_format: DataFormat) -> int:
    """Return where the channels are: -1 or 1."""
    return -1 if data_format == "channels_last" else 1


def image_shape(
    batch: int | None,
    size: tuple[int | None, ...],
    channels: int | None,
    data_format: DataFormat,
) -> tuple[int | None, ...]:
    """Return the shape of an image batch."""
    if data_format == "channels_last":
        return (batch, *size, channels)
    return (batch, channels, *size)


def window_size(
    size: tuple[int | None, ...],
    window: Pair,
    strides: Pair,
    dilation: Pair,
    padding: str,
    owner: str,
) -> tuple[int | None, ...]:
    """Return (height, width) of the output, None where the input's is not known.

    Raises
    ------
    ValueError
        If the window is larger than the padded input.
    """
    out: list[int | None] = []
    for n, k, s, d, name in zip(size, window, strides, dilation, ("height", "width"), strict=True):
        if n is None:
            out.append(None)
            continue
        if padding == "valid" and (k - 1) * d + 1 > n:
            raise ValueError(
                f"Computed output size would be negative: the window of layer {owner!r} spans "
                f"{(k - 1) * d + 1} but the input has {name} {n}. Received: inputs size={size}, "
                f"window={window}, dilation_rate={dilation}"
            )
        out.append(_shapes.conv_axis(n, k, s, d, "same" if padding == "same" else "valid", name)[0])
    return tuple(out)


def check_strides_and_dilation(strides: Pair, dilation_rate: Pair) -> None:
    """Refuse strides together with dilation, as Keras does."""
    if max(strides) > 1 and max(dilation_rate) > 1:
        raise ValueError(
            "`strides > 1` not supported in conjunction with `dilation_rate > 1`. "
            f"Received: strides={strides} and dilation_rate={dilation_rate}"
        )
