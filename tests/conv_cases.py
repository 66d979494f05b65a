"""Named convolutions that together reach every tile edge, tail and border of the kernels."""

import math
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True)
class Conv:
    """x (n, h, w, c) and a kernel (kh, kw, c / groups, k)."""

    name: str
    n: int
    h: int
    w: int
    c: int
    k: int
    kernel: Pair = (3, 3)
    strides: Pair = (1, 1)
    padding: Any = "same"
    dilation: Pair = (1, 1)
    groups: int = 1

    def __str__(self) -> str:
        return self.name

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.h, self.w, self.c

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        return *self.kernel, self.c // self.groups, self.k

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation,
            "groups": self.groups,
        }

    @property
    def reduction(self) -> int:
        """The number of products in one output."""
        return self.kernel[0] * self.kernel[1] * self.c // self.groups

    @property
    def winograd(self) -> bool:
        """Whether ``algorithm="winograd"`` can compute it (in float32)."""
        if any(s > 1 and d > 1 for s, d in zip(self.strides, self.dilation, strict=True)):
            return False
        return any(self._winograd_saves(taps) for taps in range(2, 6))

    def _winograd_saves(self, most: int) -> bool:
        """Whether pieces of ``most`` taps along each axis take fewer multiplications.

        Along an axis with one tap for each stride tiles are one pixel, else six.
        """
        positions = outputs = 1
        for size, stride in zip(self.kernel, self.strides, strict=True):
            taps, tile = (1, 1) if size <= stride else (most, 6)
            parts = math.ceil(math.ceil(size / stride) / taps)
            if parts * stride > 8:
                return False
            lasts = [
                f + (p * taps + taps - 1) * stride for f in range(stride) for p in range(parts)
            ]
            positions *= sum(tile if last < size else tile - 1 for last in lasts)
            outputs *= tile + 1 - taps
        return positions < self.kernel[0] * self.kernel[1] * outputs


# One below, on and above the vector lengths (4, 8, 16) and the widest tiles (24, 32).
_LANES = [(1, 1), (2, 3), (3, 4), (4, 5), (5, 7), (7, 8), (8, 9), (9, 15), (15, 16)]
_LANES += [(16, 17), (17, 23), (23, 24), (24, 25), (31, 31), (32, 32), (33, 33), (1, 65), (65, 1)]
_CHANNELS = [Conv(f"c{c}k{k}", 2, 5, 7, c, k) for c, k in _LANES]

# 1 to 14 output pixels: every remainder of the pixel tile, within a row and across rows.
_PIXELS = [Conv(f"pixels{w}", 1, 1, w, 8, 16, (1, 1)) for w in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13)]
_PIXELS += [
    Conv(f"rows{h}x{w}", 1, h, w, 5, 16, (2, 2), padding="valid")
    for h, w in [(2, 2), (4, 3), (3, 8)]
]

# Panels narrower than a vector, which take 2 or 4 terms at a time: alone and behind others, taps by
# pointers and by offsets, halves of pairs and of fours left over, fewer pixels than a tile.
_NARROW = [
    Conv(f"narrow-c{c}k{k}", 2, 9, 7, c, k, strides=(2, 2))
    for c, k in [(40, 8), (34, 24), (36, 36), (12, 20), (6, 5), (20, 3), (100, 84), (38, 70)]
]
_NARROW += [
    Conv("narrow-many-blocks", 3, 13, 17, 36, 20, (1, 1)),
    Conv("narrow-few-pixels", 1, 1, 3, 48, 72, (1, 1)),
    Conv("narrow-many-channels", 1, 5, 5, 640, 200, strides=(2, 2)),
    Conv("narrow-groups", 1, 6, 5, 80, 72, strides=(2, 2), groups=2),
]

# Up to half a vector of outputs along rows of pixels: products of several terms, of a row of the
# kernel or of a tap, whose last one overlaps the one before or not.
_PRODUCTS = [
    Conv(f"products{kh}x{kw}c{c}k{k}", 2, 9, 15, c, k, (kh, kw))
    for kh, kw, c, k in [(5, 5, 1, 8), (3, 3, 3, 4), (3, 3, 13, 8), (2, 2, 50, 3), (1, 1, 21, 5)]
]
_PRODUCTS += [
    Conv("products-dilation", 1, 9, 16, 7, 6, (3, 2), dilation=(1, 2)),
    Conv("products-stride", 2, 13, 29, 3, 8, (5, 3), (2, 2)),
    Conv("products-groups", 2, 9, 16, 27, 24, (3, 2), groups=3),
    Conv("products-groups-stride", 1, 9, 31, 35, 30, strides=(1, 2), groups=5),
    Conv("groups4-2to12", 2, 9, 12, 8, 48, (3, 1), (2, 2), ((1, 1), (0, 2)), groups=4),
    Conv("groups4-8to20", 1, 7, 9, 32, 80, strides=(2, 2), groups=4),
]

_WINDOWS = [(1, 1, 3), (1, 7, 3), (7, 1, 3), (20, 5, 2), (5, 5, 1), (5, 5, 9)]
_WINDOWS += [(2, 2, 4), (4, 3, 2), (7, 7, 3)]
_KERNELS = [
    Conv(f"kernel{kh}x{kw}c{c}-{padding}", 1, 21, 9, c, 6, (kh, kw), padding=padding)
    for kh, kw, c in _WINDOWS
    for padding in ("valid", "same")
]

_STRIDES = [
    Conv(f"stride{sh}{sw}k{kh}{kw}-{padding}", 2, 11, 10, 3, 5, (kh, kw), (sh, sw), padding)
    for sh, sw in [(1, 2), (2, 1), (2, 2), (3, 3), (5, 2)]
    for kh, kw, padding in [(3, 3, "same"), (3, 2, "valid"), (1, 1, "same")]
]
_STRIDES += [
    Conv("stem", 1, 30, 31, 3, 16, (7, 7), (2, 2)),
    Conv("stride-leaves-rest", 1, 12, 12, 4, 8, (2, 2), (5, 5), "valid"),
]

_DILATIONS = [
    Conv("dilation2", 2, 9, 8, 5, 8, dilation=(2, 2)),
    Conv("dilation31", 1, 9, 8, 4, 6, padding="valid", dilation=(3, 1)),
    Conv("dilation2-stride2", 1, 11, 13, 3, 9, strides=(2, 2), padding=2, dilation=(2, 2)),
    Conv("dilation23-stride32", 1, 13, 14, 8, 8, (3, 2), (3, 2), "valid", (2, 3)),
    Conv("dilation-wider-than-image", 1, 3, 4, 2, 3, dilation=(4, 5)),
]

_GROUPS = [
    Conv("groups2", 2, 6, 5, 8, 16, groups=2),
    Conv("groups3-odd", 1, 6, 5, 9, 15, groups=3),
    Conv("groups4-stride2", 1, 7, 7, 16, 12, strides=(2, 2), groups=4),
    Conv("groups-all", 1, 7, 6, 9, 9, groups=9),
    Conv("groups-multiplied", 1, 6, 6, 5, 15, (5, 5), padding="valid", groups=5),
    Conv("groups2-dilation2", 1, 8, 8, 6, 34, dilation=(2, 2), groups=2),
]
# Few channels in each of many groups: in and out.
_FEW = [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (4, 8), (8, 4), (2, 3), (3, 8)]
_FEW += [(6, 1), (16, 1), (1, 6), (6, 9), (12, 12)]
_GROUPS += [Conv(f"groups7-{c}to{k}", 2, 5, 9, 7 * c, 7 * k, groups=7) for c, k in _FEW]
_GROUPS += [
    Conv("planes3-tiles-in-lanes", 2, 23, 31, 3, 9),
    Conv("planes4-tiles-in-bands", 1, 37, 70, 4, 17, padding=((0, 2), (1, 0))),
    Conv("groups5-few-stride2", 1, 9, 11, 20, 20, strides=(2, 2), groups=5),
    Conv("groups5-few-stride32-valid", 1, 9, 11, 15, 10, (3, 2), (3, 2), "valid", groups=5),
    Conv("groups3-few-dilation2", 1, 9, 12, 12, 12, dilation=(2, 2), groups=3),
    Conv("groups8-few-5x5", 1, 8, 14, 32, 32, (5, 5), groups=8),
    Conv("groups8-few-7x7", 1, 8, 9, 16, 16, (7, 7), groups=8),
    Conv("groups9-few-1x1", 2, 4, 5, 36, 18, (1, 1), groups=9),
    Conv("groups6-few-uneven", 1, 5, 6, 18, 24, (3, 2), padding=((0, 2), (3, 1)), groups=6),
    Conv("groups-few-stride-leaves-rest", 1, 12, 12, 16, 16, (2, 2), (5, 5), "valid", groups=4),
    Conv("groups40-few", 1, 6, 20, 160, 160, groups=40),
    # Some groups at a time fill a vector, whose last one may overlap the one before.
    *(Conv(f"groups3-8to8-{w}", 2, 5, w, 24, 24, groups=3) for w in (6, 7, 8, 13, 15)),
    Conv("groups5-4to4-one-row", 2, 1, 9, 20, 20, groups=5),
    Conv("groups5-4to8-5x3", 1, 9, 9, 20, 40, (5, 3), groups=5),
    Conv("groups4-8to16", 1, 7, 8, 32, 64, groups=4),
    Conv("groups4-8to4-valid", 1, 6, 10, 32, 16, padding="valid", groups=4),
    Conv("groups7-8to8-stride2", 1, 9, 15, 56, 56, strides=(2, 2), groups=7),
    Conv("groups6-4to4-stride2-even", 2, 8, 16, 24, 24, strides=(2, 2), groups=6),
    Conv("groups6-4to4-stride1x2", 1, 6, 17, 24, 24, strides=(1, 2), groups=6),
    Conv("groups6-4to4-stride3", 1, 9, 22, 24, 24, strides=(3, 3), groups=6),
    Conv("groups6-4to4-dilation2", 1, 9, 15, 24, 24, dilation=(2, 2), groups=6),
    Conv("groups5-8to8-5x5", 1, 6, 9, 40, 40, (5, 5), groups=5),
    Conv("groups9-2to2-1x1", 2, 3, 9, 18, 18, (1, 1), groups=9),
    Conv("groups20-8to8", 1, 4, 7, 160, 160, groups=20),
    Conv("groups6-4to4-5x5-stride2", 1, 9, 22, 24, 24, (5, 5), (2, 2), groups=6),
    # A plane's vector is made of up to four vectors of the input.
    *(
        Conv(f"groups9-{c}to{k}", 2, 5, 9, 9 * c, 9 * k, groups=9)
        for c, k in ((8, 2), (2, 8), (6, 3), (9, 4))
    ),
    # Many taps are outside, of columns or of rows.
    Conv("groups4-16to16-1x7-valid", 2, 9, 10, 64, 64, (1, 7), padding="valid", groups=4),
    Conv("groups4-24to16-7x1-valid", 2, 10, 9, 96, 64, (7, 1), padding="valid", groups=4),
    Conv("groups2-5x5-outside", 2, 5, 20, 32, 48, (5, 5), padding=((4, 4), (4, 4)), groups=2),
    # Several terms of the reduction fill a vector, for runs of pixels side by side; for the input
    # gradient, too.
    *(Conv(f"groups2-24to3-{w}", 2, 5, w, 48, 6, groups=2) for w in (6, 7, 10, 15)),
    Conv("groups3-10to7", 1, 3, 9, 30, 21, groups=3),
    Conv("groups8-40to7-fetched", 3, 16, 19, 320, 56, (2, 2), groups=8),
    Conv("groups2-20to8-stride2", 2, 9, 15, 40, 16, (5, 3), (2, 2), groups=2),
    Conv("groups2-8to36-dilation2", 1, 12, 13, 16, 72, (7, 1), dilation=(2, 2), groups=2),
    Conv("groups2-6to20-stride2", 1, 5, 29, 12, 40, strides=(2, 2), groups=2),
]

_PADDINGS = [
    Conv("padding-int", 1, 5, 6, 3, 8, padding=1),
    Conv("padding-pair", 1, 5, 6, 3, 8, (3, 5), padding=(1, 2)),
    Conv("padding-uneven", 2, 5, 6, 4, 9, (3, 2), padding=((0, 2), (3, 1))),
    Conv("padding-uneven-stride2", 1, 6, 5, 3, 17, (3, 3), (2, 2), ((2, 0), (0, 1))),
    Conv("padding-wider-than-kernel", 1, 4, 3, 2, 8, padding=((5, 4), (6, 7))),
    Conv("padding-makes-room", 1, 2, 2, 3, 4, (5, 4), padding=((1, 2), (0, 2))),
]

_EXTREMES = [
    Conv("empty-batch", 0, 5, 6, 3, 8),
    Conv("image1x1", 2, 1, 1, 3, 8),
    Conv("image1x1-kernel1x1", 3, 1, 1, 17, 9, (1, 1)),
    Conv("image1x1-kernel5x5", 1, 1, 1, 2, 3, (5, 5)),
    Conv("kernel-is-image", 2, 6, 5, 4, 7, (6, 5), padding="valid"),
    Conv("one-row", 1, 1, 40, 4, 8, (1, 3)),
    Conv("one-column", 1, 40, 1, 4, 8, (3, 1)),
    Conv("long-reduction", 1, 4, 4, 512, 16),
    Conv("many-filters", 1, 3, 3, 8, 260),
    Conv("few-pixels", 7, 1, 1, 700, 136, (1, 1)),
    Conv("few-tiles", 32, 1, 1, 300, 144, (1, 1)),
    Conv("one-pixel", 1, 1, 1, 1300, 40, (1, 1)),
    Conv("one-line", 1, 1, 1, 300, 200, (1, 1)),
    Conv("two-lines", 2, 1, 1, 130, 264, (1, 1)),
]

# Kernels that Winograd cuts into pieces, with and without taps missing, and tiles of each size.
_PIECES = [
    Conv(
        f"pieces{kh}x{kw}s{sh}{sw}d{dh}{dw}-{padding}",
        2,
        h,
        w,
        8,
        9,
        (kh, kw),
        (sh, sw),
        padding,
        (dh, dw),
    )
    for (kh, kw), (sh, sw), (dh, dw), (h, w) in [
        ((2, 2), (1, 1), (1, 1), (9, 12)),
        ((4, 4), (1, 1), (1, 1), (8, 13)),
        ((3, 3), (2, 2), (1, 1), (13, 12)),
        ((5, 5), (2, 2), (1, 1), (16, 11)),
        ((4, 4), (2, 2), (1, 1), (14, 9)),
        ((7, 7), (2, 2), (1, 1), (17, 18)),
        ((7, 7), (1, 1), (1, 1), (12, 15)),
        ((11, 11), (4, 4), (1, 1), (27, 30)),
        ((10, 4), (1, 2), (1, 1), (15, 14)),
        ((3, 5), (2, 1), (1, 2), (11, 13)),
        ((3, 3), (1, 1), (2, 3), (13, 17)),
        ((4, 2), (1, 1), (3, 1), (14, 9)),
        ((7, 5), (3, 3), (1, 1), (20, 17)),
    ]
    for padding in ("valid", "same")
]
_PIECES += [
    Conv("few-channels-2", 2, 9, 13, 2, 17),
    Conv("few-channels-3", 1, 12, 33, 3, 24, padding="valid"),
    Conv("few-channels-4", 2, 5, 6, 4, 7, padding=((0, 2), (3, 1))),
    Conv("few-channels-padded-far", 1, 3, 2, 3, 16, padding=((5, 4), (6, 7))),
    Conv("few-channels-3-5x5-same", 2, 9, 13, 3, 65, (5, 5)),
    Conv("few-channels-3-5x5", 1, 11, 34, 3, 33, (5, 5), padding="valid"),
    Conv("few-channels-4-5x5", 2, 6, 19, 4, 16, (5, 5), padding=((0, 2), (3, 1))),
    Conv("few-channels-4-5x6", 1, 7, 12, 4, 17, (5, 6)),
    Conv("few-channels-4-6x6", 1, 9, 8, 4, 31, (6, 6)),
    Conv("few-channels-5x5-padded-far", 1, 2, 3, 4, 32, (5, 5), padding=((5, 4), (6, 7))),
    Conv("pieces-odd-channels", 1, 15, 14, 7, 33, strides=(2, 2)),
    Conv("pieces-vector-of-channels", 2, 15, 14, 16, 24, strides=(2, 2)),
    Conv("pieces-groups", 2, 13, 11, 18, 34, strides=(2, 2), groups=2),
    Conv("pieces-groups-dilation2", 2, 13, 11, 32, 48, dilation=(2, 2), groups=2),
    Conv("pieces-padding-uneven", 1, 9, 8, 8, 16, (5, 5), (2, 2), ((0, 3), (4, 1))),
    Conv(
        "pieces-padding-wider-than-kernel", 1, 5, 4, 8, 8, padding=((5, 4), (6, 7)), strides=(2, 2)
    ),
    Conv("pieces-classes-empty", 1, 3, 4, 8, 8, dilation=(4, 5)),
]

# Kernels of one row or one column: every size of piece, edges of the vectors, strides, dilation.
_THIN = [
    Conv(f"thin{kh}x{kw}-{padding}", 2, 8, 13, 8, 9, (kh, kw), padding=padding)
    for length in (2, 3, 4, 5, 7)
    for kh, kw in [(1, length), (length, 1)]
    for padding in ("valid", "same")
]
_THIN += [
    Conv(f"thin{kh}x{kw}-c{c}k{k}", 1, 6, 7, c, k, (kh, kw))
    for c, k in [(3, 4), (4, 5), (7, 8), (8, 9), (9, 15), (15, 16), (16, 17), (17, 7), (33, 40)]
    for kh, kw in [(1, 3), (7, 1)]
]
_THIN += [
    Conv("thin1x9-stride12", 2, 6, 21, 8, 9, (1, 9), (1, 2)),
    Conv("thin7x1-stride21", 1, 19, 6, 9, 17, (7, 1), (2, 1), "valid"),
    Conv("thin1x7-stride2", 2, 7, 15, 8, 10, (1, 7), (2, 2)),
    Conv("thin7x1-stride2", 2, 16, 8, 10, 8, (7, 1), (2, 2)),
    Conv("thin2x7-stride2", 1, 9, 18, 8, 8, (2, 7), (2, 1)),
    Conv("thin11x1-stride41", 1, 31, 5, 7, 9, (11, 1), (4, 1), "valid"),
    Conv("thin1x13", 1, 4, 30, 8, 12, (1, 13)),
    Conv("thin3x1-dilation3", 2, 17, 5, 8, 8, (3, 1), dilation=(3, 1)),
    Conv("thin1x5-dilation2", 1, 6, 23, 9, 8, (1, 5), dilation=(2, 2)),
    Conv("thin1x3-groups", 2, 7, 9, 18, 34, (1, 3), groups=2),
    Conv("thin5x1-groups", 1, 14, 6, 48, 32, (5, 1), groups=2),
    Conv("thin1x7-padding-uneven", 1, 5, 8, 8, 16, (1, 7), padding=((1, 2), (4, 1))),
    Conv("thin3x1-padding-wider-than-kernel", 1, 4, 5, 8, 8, (3, 1), padding=((5, 4), (0, 3))),
]

# Strides whose blocks of pixels are folded into channels: borders, rests, rounds of several images.
FOLDED = [
    Conv("folded7x7", 5, 50, 47, 3, 64, (7, 7), (2, 2)),
    Conv("folded7x7-valid", 4, 40, 37, 3, 104, (7, 7), (2, 2), "valid"),
    Conv("folded11x11-leaves-rest", 2, 58, 61, 3, 33, (11, 11), (4, 4), "valid"),
    Conv("folded7x5-stride21", 4, 41, 48, 6, 48, (7, 5), (2, 1)),
    Conv("folded6x7-stride32", 4, 45, 37, 4, 88, (6, 7), (3, 2)),
    Conv("folded-padding-uneven", 4, 33, 30, 3, 104, (7, 7), (2, 2), ((0, 5), (9, 1))),
    Conv("folded-weights-once", 9, 16, 37, 17, 54, (6, 7), (2, 3), ((1, 3), (3, 3))),
    Conv("folded-rounds", 5, 150, 151, 4, 32, (7, 7), (2, 2), "valid"),
]

# So few output channels that the weight gradient exchanges the roles of x and dy.
_FEW_OUTPUTS = [
    Conv("few-outputs1x1", 3, 9, 8, 33, 1, (1, 1)),
    Conv("few-outputs1x1-blocks", 9, 14, 13, 100, 40, (1, 1)),
    Conv("fuller-inputs1x1", 5, 9, 8, 64, 100, (1, 1)),
    Conv("few-outputs1x1-long-sums", 2, 6, 7, 4160, 72, (1, 1)),
    Conv("few-outputs3x3", 2, 11, 9, 40, 2),
    Conv("few-outputs5x4-padding-uneven", 2, 9, 11, 24, 3, (5, 4), padding=((1, 3), (0, 2))),
    Conv("few-outputs-valid", 2, 7, 8, 48, 1, (4, 3), padding="valid"),
    Conv("few-outputs-dilation", 1, 9, 10, 32, 2, (3, 2), dilation=(2, 3)),
    Conv("few-outputs-wide-padding", 1, 5, 6, 32, 2, (2, 2), padding=3),
    Conv("few-outputs-groups", 2, 6, 9, 66, 6, (2, 3), groups=3),
]

# So few pixels that the input gradient exchanges the roles of pixels and channels.
_FEW_PIXELS = [
    Conv("few-pixels3x3", 1, 7, 7, 128, 33),
    Conv("few-pixels1x1", 2, 5, 6, 96, 64, (1, 1)),
    Conv("few-pixels-of-images", 3, 3, 4, 130, 17),
    Conv("few-pixels-crowded", 1, 14, 13, 200, 24, (2, 3)),
    Conv("few-pixels-valid", 1, 8, 6, 65, 40, (4, 3), padding="valid"),
    Conv("few-pixels-dilation", 1, 8, 9, 90, 32, (3, 2), dilation=(2, 3)),
    Conv("few-pixels-padding-uneven", 2, 4, 6, 72, 20, (3, 2), padding=((0, 2), (3, 1))),
    Conv("few-pixels-padding-wider-than-kernel", 1, 3, 3, 64, 16, (2, 2), padding=((5, 4), (6, 7))),
    Conv("few-pixels-one", 1, 1, 1, 48, 70),
]

# Windows that lie side by side, or are as large as the image: pixels become channels.
_MERGED = [
    Conv("merged-columns", 3, 9, 11, 3, 7, (3, 11), padding="valid"),
    Conv("merged-columns-stride", 2, 9, 5, 9, 8, (2, 5), (3, 4), "valid"),
    Conv("merged-columns-same-rows", 2, 8, 5, 4, 9, (3, 5), padding=((1, 1), (0, 0))),
    Conv("merged-columns-dilation", 1, 11, 6, 5, 8, (3, 6), padding="valid", dilation=(3, 1)),
    Conv("merged-image", 5, 5, 4, 7, 33, (5, 4), padding="valid"),
    Conv("merged-image-of-one", 1, 7, 7, 16, 24, (7, 7), (2, 3), "valid"),
    Conv("merged-patches", 2, 12, 8, 3, 17, (4, 4), (4, 4), "valid"),
    Conv("merged-patches-leave-rows", 2, 11, 6, 8, 9, (3, 2), (3, 2), "valid"),
    Conv("merged-patches-leave-columns", 2, 6, 11, 8, 9, (3, 2), (3, 2), "valid"),
    Conv("merged-patches-of-one-column", 3, 12, 3, 5, 8, (3, 3), (3, 1), "valid"),
    Conv("merged-rows", 2, 6, 9, 6, 10, (6, 1), (5, 1), "valid"),
]

# Few channels and one below, on and above a vector of images (2 to 16), or two of them.
_IMAGES = [
    Conv(f"images{n}c{c}k{k}", n, 5, 4, c, k, padding=padding)
    for n, padding in [(3, "same"), (4, "valid"), (9, "same"), (17, 2), (33, "same"), (64, "valid")]
    for c, k in [(1, 1), (1, 2), (2, 3), (3, 4), (8, 4), (4, 8)]
]
_IMAGES += [
    Conv("images-stride2", 17, 7, 6, 2, 3, strides=(2, 2)),
    Conv("images-stride31", 16, 8, 5, 1, 4, (2, 3), (3, 1), "valid"),
    Conv("images-dilation2", 18, 7, 8, 3, 2, dilation=(2, 2)),
    Conv("images-padding-uneven", 20, 4, 5, 2, 2, (3, 2), padding=((0, 2), (3, 1))),
    Conv("images-padding-wider-than-kernel", 16, 3, 2, 2, 1, padding=((5, 4), (6, 7))),
    Conv("images1x1", 32, 1, 1, 3, 2),
]

# Enough work for several threads and several blocks.
_LARGE = [
    Conv("large-first-layer", 4, 28, 28, 1, 32, (5, 5), padding="valid"),
    Conv("large-few-channels", 3, 46, 47, 3, 40),
    Conv("large-3x3", 2, 24, 24, 32, 48),
    Conv("large-odd", 2, 23, 21, 29, 40),
    Conv("large-1x1", 2, 20, 20, 64, 72, (1, 1)),
    Conv("large-5x5", 2, 14, 14, 24, 32, (5, 5)),
    Conv("large-stride2", 2, 28, 28, 24, 32, strides=(2, 2)),
    Conv("large-stride2-many", 2, 29, 30, 64, 72, strides=(2, 2)),
    Conv("large-weights-stride2", 1, 14, 14, 160, 136, strides=(2, 2)),
    Conv("large-dilation2", 2, 26, 27, 24, 40, dilation=(2, 2)),
    Conv("large-7x7", 1, 20, 20, 24, 32, (7, 7)),
    Conv("large-1x7", 2, 17, 17, 40, 48, (1, 7)),
    Conv("large-7x1", 2, 17, 18, 48, 40, (7, 1)),
    Conv("large-3x1-small-image", 4, 8, 8, 136, 160, (3, 1)),
    Conv("large-1x3", 3, 30, 45, 24, 32, (1, 3)),
    Conv("large-groups-wide", 2, 20, 20, 64, 64, groups=2),
    Conv("large-groups", 2, 20, 20, 32, 32, groups=4),
    Conv("large-groups-few", 3, 28, 28, 48, 48, groups=12),
    Conv("large-one-image", 1, 7, 7, 128, 128),
    Conv("large-batch-of-small", 64, 4, 4, 3, 5, (2, 2)),
]

SMALL = (
    _CHANNELS
    + _PIXELS
    + _NARROW
    + _PRODUCTS
    + _KERNELS
    + _STRIDES
    + _DILATIONS
    + _GROUPS
    + _PADDINGS
    + _EXTREMES
    + _PIECES
    + _THIN
    + FOLDED
    + _FEW_OUTPUTS
    + _FEW_PIXELS
    + _MERGED
    + _IMAGES
)
ALL = SMALL + _LARGE
BY_NAME = {case.name: case for case in ALL}
assert len(BY_NAME) == len(ALL), "two cases share a name"
