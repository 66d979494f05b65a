"""Layers that are named by their shape, and random ones: what a fixed suite leaves out.

A name is ``GROUP-NxHxWxC-FILTERS-KHxKW`` and, where they are not the usual, ``-s`` strides, ``-p``
rows and columns of padding, ``-d`` dilation and ``-g`` groups:
``odd-8x14x14x512-512-3x3-s2-p1-g32``, ``depthwise-8x28x28x32-32-3x3-p1``,
``pool-8x55x55x96-96-3x3-s2``, ``odd-8x17x17x128-192-1x7-p0x3``. In the group ``depthwise`` every
channel is a group of its own; ``pool`` is max-pooling. All other groups are convolutions.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from fastconv.bench.case import Case, Op, Pair
from fastconv.bench.cases import CASES, GROUPS

_NAME = re.compile(
    r"(?P<group>\w+)-(?P<x>\d+(?:x\d+){3})-(?P<filters>\d+)-(?P<kernel>\d+x\d+)"
    r"(?:-s(?P<strides>\d+(?:x\d+)?))?(?:-p(?P<padding>\d+(?:x\d+)?))?"
    r"(?:-d(?P<dilation>\d+(?:x\d+)?))?(?:-g(?P<groups>\d+))?"
)
_OPS: dict[str, Op] = {"depthwise": "depthwise_conv2d", "pool": "max_pool2d"}
_CHANNELS = [8, 10, 12, 13, 16, 20, 24, 29, 32, 36, 40, 48, 56, 64, 72, 80, 96, 100, 112, 128]
_CHANNELS += [144, 160, 192, 200, 256, 320, 384, 512]
_SIZES = [7, 8, 10, 12, 13, 14, 16, 17, 20, 24, 26, 28, 32, 35, 38, 48, 56, 64]
_FIRST_SIZES = [28, 32, 48, 64, 96, 128, 160, 224]
_LEAST_FLOPS, _MOST_FLOPS, _MOST_BYTES = 1e4, 4e9, 2e8


def _pair(text: str | None, otherwise: int) -> Pair:
    numbers = [int(number) for number in text.split("x")] if text else [otherwise]
    return numbers[0], numbers[-1]


def parse(name: str) -> Case | None:
    """The layer that ``name`` describes, or None if it describes none.

    Examples
    --------
    >>> parse("odd-8x14x14x512-512-3x3-s2-p1-g32").y_shape
    (8, 7, 7, 512)
    >>> parse("seed-conv1") is None
    True
    """
    match = _NAME.fullmatch(name)
    if not match or match["group"] not in GROUPS:
        return None
    group, op = match["group"], _OPS.get(match["group"], "conv2d")
    n, h, w, c = (int(size) for size in match["x"].split("x"))
    case = Case(
        name,
        group,
        op,
        n,
        h,
        w,
        c,
        int(match["filters"]),
        _pair(match["kernel"], 1),
        _pair(match["strides"], 1),
        _pair(match["padding"], 0),
        _pair(match["dilation"], 1),
        c if group == "depthwise" else int(match["groups"] or 1),
    )
    return case if _is_layer(case) else None


def _is_layer(case: Case) -> bool:
    sizes = (*case.x_shape, case.filters, *case.kernel, *case.strides, *case.dilation, case.groups)
    if min(sizes) < 1 or min(case.output_size) < 1:
        return False
    if case.op == "max_pool2d":
        # every window must hold a pixel of the image
        fits = all(2 * pad <= size for pad, size in zip(case.padding, case.kernel, strict=True))
        return fits and case.filters == case.channels and case.dilation == (1, 1)
    return case.channels % case.groups == 0 and case.filters % case.groups == 0


def _check(groups: Sequence[str]) -> None:
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"`group` must be one of {list(GROUPS)}. Received: group={group!r}")


def select(names: Iterable[str] = ("*",), groups: Sequence[str] = ()) -> list[Case]:
    """The cases that one of ``names`` means and whose group is in ``groups``.

    A name is a glob over those of the suite or describes a layer. No ``groups`` means all of them.

    Raises
    ------
    ValueError
        If a group is unknown or no case is left.

    Examples
    --------
    >>> [case.name for case in select(["seed-conv*"])]
    ['seed-conv2', 'seed-conv1']
    >>> [case.shape for case in select(["1x1-8x28x28x24-144-1x1"])]
    ['8x28x28x24 -> 144, 1x1']
    """
    patterns = list(names)
    _check(groups)
    named = [case for pattern in patterns if (case := parse(pattern))]
    suite = [case for case in CASES if any(fnmatchcase(case.name, glob) for glob in patterns)]
    chosen = [case for case in (*suite, *named) if not groups or case.group in groups]
    if not chosen:
        raise ValueError(
            "`names` must match at least one benchmark case. "
            f"Received: names={patterns!r}, groups={list(groups)!r}"
        )
    return chosen


def draw(count: int, seed: int = 0, groups: Sequence[str] = ()) -> list[Case]:
    """Random layers of ``groups`` (all of them if empty), the same for the same arguments.

    They come group by group, have between ten thousand and four billion operations and at most
    200 MB.

    Raises
    ------
    ValueError
        If a group is unknown.

    Examples
    --------
    >>> [case.name for case in draw(2, seed=3, groups=["1x1"])] == [
    ...     case.name for case in draw(2, seed=3, groups=["1x1"])
    ... ]
    True
    """
    _check(groups)
    generator = random.Random(seed)
    drawn: dict[str, Case] = {}
    while len(drawn) < count:
        case = parse(_name(generator, generator.choice(list(groups or GROUPS))))
        if (
            case
            and _LEAST_FLOPS <= case.flops("forward") <= _MOST_FLOPS
            and case.bytes("forward") <= _MOST_BYTES
        ):
            drawn[case.name] = case
    order = list(GROUPS)
    return sorted(drawn.values(), key=lambda case: order.index(case.group))


def _name(generator: random.Random, group: str) -> str:
    """A name in ``group``; not all describe a layer."""

    def channels(least: int = 8, most: int = 512) -> int:
        return generator.choice([number for number in _CHANNELS if least <= number <= most])

    pick = generator.choice
    n, h = pick([8, 16, 32]), pick(_SIZES)
    w = pick([h, h, pick(_SIZES)])
    c = filters = channels()
    kernel: Pair = (3, 3)
    stride = dilation = parts = 1
    padded = pick([False, True])
    if group == "3x3":
        c, filters = channels(32), channels(32)
    elif group == "5x5":
        c, filters, kernel = channels(8, 128), channels(8, 192), (5, 5)
    elif group == "first":
        n, h, c = pick([1, 4, 8, 32]), pick(_FIRST_SIZES), pick([1, 2, 3, 3, 4])
        w, filters, stride = h, pick([8, 16, 24, 32, 32, 48, 64, 96]), pick([1, 1, 2])
        kernel = pick([(3, 3), (3, 3), (5, 5), (7, 7)])
    elif group == "1x1":
        filters, kernel, stride = channels(), (1, 1), pick([1, 1, 1, 2])
    elif group == "odd":
        c, filters = channels(8, 256), channels(8, 256)
        kernel = pick([(3, 3)] * 3 + [(size, size) for size in (2, 4, 5, 7)])
        kernel = pick([kernel, kernel, (1, 7), (7, 1), (1, 3), (3, 1), (1, 5)])
        dilation, parts = pick([1, 1, 1, 2]), pick([1, 1, 1, 2, 4, 8, 32])
        stride = pick([1, 2, 2, 3]) if dilation == 1 else 1
    elif group == "depthwise":
        kernel, stride, padded = pick([(3, 3), (3, 3), (5, 5), (7, 7)]), pick([1, 1, 2]), True
        filters = c * pick([1, 1, 1, 2])
    elif group == "small":
        n, filters, stride = pick([1, 1, 1, 2, 4]), channels(), pick([1, 1, 2])
        kernel = pick([(1, 1), (3, 3), (3, 3), (5, 5)])
    else:
        kernel = pick([(2, 2), (2, 2), (3, 3)])
        stride, padded = pick([2, 2, 1, kernel[0]]), pick([False, False, True])
    padding = [size // 2 * dilation if padded else 0 for size in kernel]
    name = f"{group}-{n}x{h}x{w}x{c}-{filters}-{kernel[0]}x{kernel[1]}"
    if stride > 1:
        name += f"-s{stride}"
    if any(padding):
        name += f"-p{padding[0]}x{padding[1]}" if padding[0] != padding[1] else f"-p{padding[0]}"
    if dilation > 1:
        name += f"-d{dilation}"
    return f"{name}-g{parts}" if parts > 1 else name
