"""The depthwise convolutions that tests run through."""

from dataclasses import dataclass
from typing import Any

from conv_cases import Pair


@dataclass(frozen=True)
class Depthwise:
    """x (n, h, w, c) and a kernel (kh, kw, c, m)."""

    name: str
    n: int
    h: int
    w: int
    c: int
    m: int = 1
    kernel: Pair = (3, 3)
    strides: Pair = (1, 1)
    padding: Any = "same"
    dilation: Pair = (1, 1)

    def __str__(self) -> str:
        return self.name

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.h, self.w, self.c

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        return *self.kernel, self.c, self.m

    @property
    def arguments(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation}

    @property
    def reduction(self) -> int:
        """The number of products in one output."""
        return self.kernel[0] * self.kernel[1]


DEPTHWISE = (
    [Depthwise(f"c{c}", 2, 5, 6, c) for c in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65)]
    + [Depthwise(f"c{c}m{m}", 1, 5, 4, c, m) for c, m in [(1, 2), (3, 3), (8, 2), (5, 17), (16, 4)]]
    + [Depthwise(f"wide-c{c}", 1, 4, 41, c) for c in (3, 7, 8, 9, 17, 33, 40)]
    + [Depthwise(f"wide-stride2-c{c}", 1, 5, 42, c, strides=(2, 2)) for c in (7, 16, 33)]
    + [
        Depthwise(f"few-{k}x{k}-stride{s}-c{c}", 2, 11, 13, c, kernel=(k, k), strides=(s, s))
        for c, k, s in [(3, 5, 1), (5, 7, 1), (6, 3, 2), (12, 5, 2), (13, 7, 1), (4, 7, 2)]
    ]
    + [Depthwise("few-short-rows", 2, 9, 1, 12), Depthwise("few-1x5", 2, 6, 9, 6, kernel=(1, 5))]
    + [
        Depthwise("wide-5x5", 1, 6, 50, 12, kernel=(5, 5)),
        Depthwise("wide-5x5-stride2", 1, 7, 51, 12, kernel=(5, 5), strides=(2, 2)),
        Depthwise("wide-7x7", 1, 8, 60, 9, kernel=(7, 7)),
        Depthwise("wide-4x4-valid", 1, 6, 40, 17, kernel=(4, 4), padding="valid"),
        Depthwise("wide-dilation3", 1, 7, 45, 10, dilation=(2, 3)),
        Depthwise("wide-stride3-dilation2", 1, 9, 50, 10, 1, (3, 3), (3, 3), 2, (2, 2)),
        Depthwise("wide-padding", 1, 3, 60, 8, padding=((1, 0), (6, 7))),
        Depthwise("crowded", 2, 4, 20, 512),
        Depthwise("wide-9x9", 1, 10, 40, 18, kernel=(9, 9)),
        Depthwise("wide-3x8-c5", 1, 6, 33, 5, kernel=(3, 8)),
        Depthwise("flat-many-rows-c3", 2, 21, 19, 3),
        Depthwise("flat-many-rows-c6", 2, 18, 20, 6, kernel=(5, 5)),
        Depthwise("flat-padding-c2", 1, 11, 30, 2, kernel=(4, 3), padding=((3, 1), (0, 4))),
        Depthwise("bands-c24", 3, 19, 23, 24),
        Depthwise("bands-c300", 2, 9, 8, 300),
        Depthwise("bands-5x5-c320", 2, 13, 9, 320, kernel=(5, 5)),
        Depthwise("bands-stride2", 2, 15, 22, 48, strides=(2, 2)),
        Depthwise("bands-valid", 1, 17, 30, 32, padding="valid"),
        Depthwise("together-c33", 3, 20, 21, 33),
        Depthwise("together-c9", 2, 13, 3, 9, padding=((1, 0), (0, 1))),
        Depthwise("together-padding2", 2, 10, 13, 17, 1, (3, 3), (2, 2), ((2, 0), (1, 2))),
        Depthwise("together-stride2-c20", 2, 20, 26, 20, strides=(2, 2)),
        Depthwise("together-stride2-rest", 1, 12, 15, 40, 1, (3, 3), (2, 2), "valid"),
        Depthwise("7x7", 2, 9, 9, 20, kernel=(7, 7)),
        Depthwise("7x7-stride2", 2, 15, 20, 33, kernel=(7, 7), strides=(2, 2)),
        Depthwise("7x7-stride2-few", 2, 12, 40, 12, kernel=(7, 7), strides=(2, 2)),
        Depthwise("7x7-multiplied", 1, 8, 8, 6, 4, (7, 7)),
        Depthwise("stride-leaves-rest", 1, 12, 12, 9, 1, (2, 2), (5, 5), "valid"),
        Depthwise("5x5", 1, 9, 8, 12, kernel=(5, 5)),
        Depthwise("1x7", 1, 4, 9, 5, kernel=(1, 7), padding="valid"),
        Depthwise("7x1-multiplied", 1, 9, 4, 5, 2, (7, 1)),
        Depthwise("20x5", 1, 21, 6, 3, kernel=(20, 5), padding="valid"),
        Depthwise("stride2", 2, 9, 10, 9, strides=(2, 2)),
        Depthwise("stride32", 1, 9, 10, 9, 2, (2, 3), (3, 2), "valid"),
        Depthwise("dilation2", 1, 9, 10, 8, dilation=(2, 2)),
        Depthwise("dilation2-stride2", 1, 9, 10, 8, 1, (3, 3), (2, 2), 2, (2, 2)),
        Depthwise("padding-uneven", 1, 5, 6, 10, 1, (3, 2), padding=((0, 2), (3, 1))),
        Depthwise("padding-wider-than-kernel", 1, 3, 3, 4, padding=((5, 4), (6, 7))),
        Depthwise("empty-batch", 0, 5, 6, 8),
        Depthwise("image1x1", 2, 1, 1, 9, 3),
        Depthwise("large", 2, 28, 28, 48),
        Depthwise("large-multiplied", 2, 20, 20, 24, 2, (5, 5)),
        Depthwise("narrow", 3, 7, 7, 35),
        Depthwise("narrow-multiplied", 2, 8, 8, 11, 3),
        Depthwise("narrow-padding", 1, 3, 7, 6, padding=((3, 1), (4, 3))),
        Depthwise("stride2-multiplied", 2, 20, 35, 5, 3, (5, 5), (2, 2)),
        Depthwise("stride2-valid", 2, 17, 70, 4, 1, (3, 3), (2, 2), "valid"),
        Depthwise("stride2-padding-uneven", 1, 11, 37, 4, 1, (3, 3), (2, 2), ((3, 0), (1, 4))),
        Depthwise("planes-in-bands", 2, 150, 131, 3),
        Depthwise("planes-in-bands-multiplied", 1, 150, 131, 2, 2, (5, 5)),
        Depthwise("planes-in-bands-stride2", 1, 181, 131, 3, strides=(2, 2)),
        Depthwise("planes-in-bands-dilated", 1, 150, 131, 3, dilation=(3, 2)),
    ]
)
