"""Descriptions of convolutions, resolved once for each combination of shapes and arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import _kernels, _shapes, config

#: Activations that the kernels apply to their result, and their numbers in C (`fc_activation`).
ACTIVATIONS = {
    "linear": 0,
    "relu": 1,
    "sigmoid": 2,
    "tanh": 3,
    "elu": 4,
    "selu": 5,
    "softplus": 6,
    "softsign": 7,
    "leaky_relu": 8,
    "gelu": 9,
    "silu": 10,
    "exponential": 11,
    "hard_sigmoid": 12,
    "relu6": 13,
}
_ALGORITHMS = {"auto": 0, "direct": 1, "winograd": 2}

#: Plans by the arguments of `conv2d_plan` in their normal forms.
known_plans: dict[tuple[Any, ...], _kernels.Conv2D] = {}
_MOST_PLANS = 2048


def activation_number(activation: object) -> int:
    """The number of an activation in C; None is linear."""
    if activation is None:
        return 0
    if isinstance(activation, str):
        number = ACTIVATIONS.get(activation.lower())
        if number is not None:
            return number
    raise ValueError(
        f"Argument `activation` must be None or one of {sorted(ACTIVATIONS)}. "
        f"Received: activation={activation!r}"
    )


def data_format_of(data_format: str | None) -> str:
    """`data_format`, or Keras's setting where it is None."""
    if data_format is None:
        return config.image_data_format()
    if data_format == "channels_last" or data_format == "channels_first":
        return data_format
    return _shapes.normalize_data_format(data_format, config.image_data_format())


def conv2d_plan(
    x_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    groups: Any,
    data_format: str | None,
    activation: str | None,
    algorithm: str,
) -> _kernels.Conv2D:
    """The description of a convolution, from `known_plans` when it was asked for before."""
    # Normal forms are hashable and exactly integers, so that 1, True and 1.0 are not mistaken for
    # each other.
    if type(strides) is not int:
        strides = _shapes.normalize_pair(strides, "strides")
    if type(dilation_rate) is not int:
        dilation_rate = _shapes.normalize_pair(dilation_rate, "dilation_rate")
    if type(padding) is not str:
        padding = _shapes.normalize_padding(padding)
    if type(groups) is not int:
        groups = _shapes.normalize_integer(groups, "groups")
    if activation is not None and type(activation) is not str:
        activation_number(activation)
    if type(algorithm) is not str:
        raise ValueError(
            f"Argument `algorithm` must be one of {list(_ALGORITHMS)}. Received: "
            f"algorithm={algorithm!r}"
        )
    key = (
        x_shape,
        kernel_shape,
        dtype,
        strides,
        padding,
        dilation_rate,
        groups,
        data_format_of(data_format),
        activation,
        algorithm,
    )
    plan = known_plans.get(key)
    if plan is None:
        plan = _new_plan(*key)
        if len(known_plans) >= _MOST_PLANS:
            known_plans.clear()
        known_plans[key] = plan
    return plan


def _new_plan(
    x_shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    strides: Any,
    padding: Any,
    dilation_rate: Any,
    groups: int,
    data_format: str,
    activation: str | None,
    algorithm: str,
) -> _kernels.Conv2D:
    strides = _shapes.normalize_pair(strides, "strides")
    dilation = _shapes.normalize_pair(dilation_rate, "dilation_rate")
    padding = _shapes.normalize_padding(padding)
    if groups < 1:
        raise ValueError(f"Argument `groups` must be at least 1. Received: groups={groups}")
    if algorithm not in _ALGORITHMS:
        raise ValueError(
            f"Argument `algorithm` must be one of {list(_ALGORITHMS)}. Received: "
            f"algorithm={algorithm!r}"
        )
    form = _shapes.normalize_data_format(data_format)
    n, h, w, c = _shapes.image_sizes(x_shape, form, "x")
    _shapes.check_conv_channels(c, kernel_shape, groups)
    kh, kw, _, k = kernel_shape
    vertical, horizontal = _shapes.conv_axes((h, w), (kh, kw), strides, dilation, padding)
    y_shape = _shapes.image_shape(n, vertical[0], horizontal[0], k, form)
    # Padded copies and packed weights must be countable too.
    _shapes.check_elements(
        (n, h + vertical[1] + vertical[2], w + horizontal[1] + horizontal[2], c),
        "x with its padding",
    )
    _shapes.check_elements((kh, kw, c, max(k, 64)), "kernel")
    plan = _kernels.Conv2D(
        x_shape,
        kernel_shape,
        y_shape,
        dtype,
        strides=strides,
        dilation=dilation,
        before=(vertical[1], horizontal[1]),
        groups=groups,
        channels_first=form == "channels_first",
        activation=activation_number(activation),
        algorithm=_ALGORITHMS[algorithm],
    )
    if algorithm == "winograd" and not plan.winograd_applies():
        raise ValueError(
            "Argument `algorithm`: 'winograd' computes float32 convolutions where it saves "
            "multiplications: kernels of two taps and more along some axis, with strides or "
            "dilation but not both. Received: algorithm='winograd' with "
            f"kernel.shape={kernel_shape}, dtype={dtype}, "
            f"strides={strides}, dilation_rate={dilation}, groups={groups}"
        )
    return plan
