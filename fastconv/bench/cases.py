"""The named cases: layers of well-known networks, and the shapes that kernels find hard.

The groups are the rows of the comparison with other libraries. A convolution has a bias; its
backward pass yields all gradients.
"""

from __future__ import annotations

from fastconv.bench.case import Case, Pair

#: Group -> what it holds.
GROUPS = {
    "3x3": "3x3 stride 1, C and K >= 32, batch >= 8",
    "5x5": "5x5 stride 1, C >= 8",
    "first": "first layers, C <= 4",
    "1x1": "1x1",
    "odd": "strided 3x3 and odd shapes",
    "depthwise": "depthwise",
    "small": "batch 1 and small images",
    "pool": "max-pool",
}


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value


def _conv(
    name: str,
    group: str,
    x_shape: tuple[int, int, int, int],
    filters: int,
    kernel: int | Pair,
    stride: int = 1,
    padding: int | Pair = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Case:
    return Case(
        name,
        group,
        "conv2d",
        *x_shape,
        filters,
        _pair(kernel),
        _pair(stride),
        _pair(padding),
        _pair(dilation),
        groups,
    )


def _depthwise(
    name: str, x_shape: tuple[int, int, int, int], kernel: int, stride: int = 1, multiplier: int = 1
) -> Case:
    channels = x_shape[3]
    return Case(
        name,
        "depthwise",
        "depthwise_conv2d",
        *x_shape,
        channels * multiplier,
        _pair(kernel),
        _pair(stride),
        _pair(kernel // 2),
        groups=channels,
    )


def _pool(
    name: str, x_shape: tuple[int, int, int, int], window: int, stride: int, padding: int = 0
) -> Case:
    return Case(
        name,
        "pool",
        "max_pool2d",
        *x_shape,
        x_shape[3],
        _pair(window),
        _pair(stride),
        _pair(padding),
    )


_3X3 = [
    _conv("seed-conv2", "3x3", (32, 12, 12, 32), 64, 3, padding=1),
    _conv("mnist-conv2", "3x3", (32, 26, 26, 32), 64, 3),
    _conv("cifar-32x32-32", "3x3", (32, 32, 32, 32), 32, 3, padding=1),
    _conv("cifar-16x16-64", "3x3", (32, 16, 16, 64), 64, 3, padding=1),
    _conv("cifar-8x8-128", "3x3", (32, 8, 8, 128), 128, 3, padding=1),
    _conv("resnet18-56x56-64", "3x3", (8, 56, 56, 64), 64, 3, padding=1),
    _conv("resnet18-28x28-128", "3x3", (8, 28, 28, 128), 128, 3, padding=1),
    _conv("resnet18-14x14-256", "3x3", (8, 14, 14, 256), 256, 3, padding=1),
    _conv("resnet18-7x7-512", "3x3", (8, 7, 7, 512), 512, 3, padding=1),
    _conv("vgg-56x56-128-256", "3x3", (8, 56, 56, 128), 256, 3, padding=1),
    _conv("vgg-28x28-256-512", "3x3", (8, 28, 28, 256), 512, 3, padding=1),
    _conv("vgg-14x14-512", "3x3", (8, 14, 14, 512), 512, 3, padding=1),
    _conv("3x3-odd-40-56", "3x3", (8, 28, 28, 40), 56, 3, padding=1),
]
_5X5 = [
    _conv("lenet-conv2", "5x5", (32, 14, 14, 8), 16, 5),
    _conv("5x5-28x28-16", "5x5", (8, 28, 28, 16), 32, 5, padding=2),
    _conv("5x5-28x28-32", "5x5", (8, 28, 28, 32), 64, 5, padding=2),
    _conv("5x5-14x14-48", "5x5", (8, 14, 14, 48), 128, 5, padding=2),
    _conv("alexnet-27x27-64", "5x5", (8, 27, 27, 64), 192, 5, padding=2),
]
_FIRST = [
    _conv("seed-conv1", "first", (32, 28, 28, 1), 32, 5),
    _conv("mnist-3x3-1", "first", (32, 28, 28, 1), 32, 3),
    _conv("lenet-conv1", "first", (32, 28, 28, 1), 8, 5, padding=2),
    _conv("cifar-3x3-3", "first", (32, 32, 32, 3), 32, 3, padding=1),
    _conv("rgba-3x3-4", "first", (32, 32, 32, 4), 32, 3, padding=1),
    _conv("vgg-224x224-3", "first", (2, 224, 224, 3), 64, 3, padding=1),
    _conv("resnet-stem", "first", (4, 224, 224, 3), 64, 7, stride=2, padding=3),
    _conv("mobilenet-stem", "first", (4, 224, 224, 3), 32, 3, stride=2, padding=1),
]
_1X1 = [
    _conv("resnet50-56x56-64-256", "1x1", (8, 56, 56, 64), 256, 1),
    _conv("resnet50-56x56-256-64", "1x1", (8, 56, 56, 256), 64, 1),
    _conv("resnet50-28x28-512-128", "1x1", (8, 28, 28, 512), 128, 1),
    _conv("resnet50-14x14-256-1024", "1x1", (8, 14, 14, 256), 1024, 1),
    _conv("resnet50-7x7-2048-512", "1x1", (8, 7, 7, 2048), 512, 1),
    _conv("resnet18-1x1-s2", "1x1", (8, 56, 56, 64), 128, 1, stride=2),
    _conv("mobilenet-1x1-32-64", "1x1", (8, 112, 112, 32), 64, 1),
    _conv("mobilenet-1x1-24-144", "1x1", (8, 28, 28, 24), 144, 1),
]
_ODD = [
    _conv("resnet18-56x56-s2", "odd", (8, 56, 56, 64), 128, 3, stride=2, padding=1),
    _conv("resnet18-28x28-s2", "odd", (8, 28, 28, 128), 256, 3, stride=2, padding=1),
    _conv("resnet18-14x14-s2", "odd", (8, 14, 14, 256), 512, 3, stride=2, padding=1),
    _conv("5x5-s2-32", "odd", (8, 28, 28, 32), 64, 5, stride=2, padding=2),
    _conv("odd-8-8", "odd", (16, 28, 28, 8), 8, 3, padding=1),
    _conv("odd-10-10", "odd", (16, 28, 28, 10), 10, 3, padding=1),
    _conv("odd-13-13", "odd", (16, 28, 28, 13), 13, 3, padding=1),
    _conv("odd-24-24", "odd", (16, 28, 28, 24), 24, 3, padding=1),
    _conv("odd-29-40", "odd", (16, 28, 28, 29), 40, 3, padding=1),
    _conv("even-kernel-2x2", "odd", (16, 28, 28, 32), 32, 2),
    _conv("kernel-4x4-s2", "odd", (8, 32, 32, 64), 64, 4, stride=2, padding=1),
    _conv("inception-1x7", "odd", (8, 17, 17, 128), 192, (1, 7), padding=(0, 3)),
    _conv("inception-7x1", "odd", (8, 17, 17, 128), 192, (7, 1), padding=(3, 0)),
    _conv("speech-20x5", "odd", (4, 98, 40, 1), 64, (20, 5)),
    _conv("speech-10x4", "odd", (4, 49, 36, 64), 64, (10, 4)),
    _conv("dilated-2", "odd", (8, 28, 28, 64), 64, 3, padding=2, dilation=2),
    _conv("dilated-4", "odd", (8, 28, 28, 64), 64, 3, padding=4, dilation=4),
    _conv("grouped-2", "odd", (8, 27, 27, 96), 256, 5, padding=2, groups=2),
    _conv("resnext-32x4", "odd", (8, 56, 56, 128), 128, 3, padding=1, groups=32),
    _conv("shufflenet-3", "odd", (8, 28, 28, 240), 60, 1, groups=3),
]
_DEPTHWISE = [
    _depthwise("mobilenet-dw-112-32", (8, 112, 112, 32), 3),
    _depthwise("mobilenet-dw-112-64-s2", (8, 112, 112, 64), 3, stride=2),
    _depthwise("mobilenet-dw-28-256", (8, 28, 28, 256), 3),
    _depthwise("mobilenet-dw-14-512", (8, 14, 14, 512), 3),
    _depthwise("mobilenet-dw-7-1024", (8, 7, 7, 1024), 3),
    _depthwise("efficientnet-dw5-28-240", (8, 28, 28, 240), 5),
    _depthwise("efficientnet-dw5-56-144-s2", (8, 56, 56, 144), 5, stride=2),
    _depthwise("dw-multiplier-2", (8, 28, 28, 32), 3, multiplier=2),
    _depthwise("dw-odd-29", (8, 28, 28, 29), 3),
]
_SMALL = [
    _conv("shapes-conv1", "small", (32, 8, 8, 1), 2, 3, padding=1),
    _conv("shapes-conv2", "small", (32, 4, 4, 2), 3, 2),
    _conv("one-8x8x1", "small", (1, 8, 8, 1), 2, 3, padding=1),
    _conv("one-seed-conv1", "small", (1, 28, 28, 1), 32, 5),
    _conv("one-seed-conv2", "small", (1, 12, 12, 32), 64, 3, padding=1),
    _conv("one-cifar-32x32-3", "small", (1, 32, 32, 3), 32, 3, padding=1),
    _conv("one-4x4-64", "small", (1, 4, 4, 64), 64, 3, padding=1),
    _conv("4x4-128", "small", (8, 4, 4, 128), 128, 3, padding=1),
    _conv("7x7-64", "small", (4, 7, 7, 64), 64, 3, padding=1),
    _conv("one-56x56-64", "small", (1, 56, 56, 64), 64, 3, padding=1),
    _conv("one-14x14-256", "small", (1, 14, 14, 256), 256, 3, padding=1),
    _conv("one-7x7-512", "small", (1, 7, 7, 512), 512, 3, padding=1),
    _conv("one-vgg-112x112-64-128", "small", (1, 112, 112, 64), 128, 3, padding=1),
    _conv("one-1x1-14x14-256-1024", "small", (1, 14, 14, 256), 1024, 1),
    _conv("one-resnet-stem", "small", (1, 224, 224, 3), 64, 7, stride=2, padding=3),
]
_POOL = [
    _pool("shapes-pool1", (32, 8, 8, 2), 2, 2),
    _pool("seed-pool1", (32, 24, 24, 32), 2, 2),
    _pool("seed-pool2", (32, 12, 12, 64), 2, 2),
    _pool("vgg-pool-28-256", (2, 28, 28, 256), 2, 2),
    _pool("resnet-pool-28-64", (2, 28, 28, 64), 3, 2, padding=1),
    _pool("vgg-pool-224-64", (8, 224, 224, 64), 2, 2),
    _pool("resnet-pool-112-64", (32, 112, 112, 64), 3, 2, padding=1),
]

#: Every case, in the order of the table.
CASES: tuple[Case, ...] = (
    *_3X3,
    *_5X5,
    *_FIRST,
    *_1X1,
    *_ODD,
    *_DEPTHWISE,
    *_SMALL,
    *_POOL,
)
