/* What the passes of Winograd's convolution share. NHWC, float32. */
#ifndef FC_CONV2D_WINOGRAD_H
#define FC_CONV2D_WINOGRAD_H

#include "conv2d_internal.h"

/* Elements between the 36 positions beyond what they hold: strides that are powers of two would share few cache sets. */
enum { FC_WINOGRAD_SKEW = 16 };

/* A convolution with an r x r kernel and stride 1 of x (n, h, w, c) to y (n, oh, ow, k), cut into tiles of m x m outputs. */
typedef struct {
    const fc_winograd_kernels *kernels;
    const fc_winograd_transforms *transforms;
    ptrdiff_t r, m;
    ptrdiff_t n, h, w, c, oh, ow, k, pad_top, pad_left;
    ptrdiff_t tiles_h, tiles_w, tiles;
    ptrdiff_t lanes_c;       /* c rounded up to vectors */
    ptrdiff_t chunk;         /* channels that are summed apart, so that the error stays below that of the direct sum */
    ptrdiff_t panels, width; /* output channels are cut into panels; the sum of their widths */
} fc_winograd_plan;

typedef struct {
    const fc_winograd_panel *kernels;
    ptrdiff_t first, columns, nr; /* channels first .. first + columns - 1 */
} fc_winograd_columns;

/* A tile by its place: image, and the output pixel in its corner. */
typedef struct {
    ptrdiff_t image, y, x;
} fc_winograd_tile;

fc_winograd_plan fc_winograd_plan_forward(const fc_conv2d *conv);
fc_winograd_columns fc_winograd_panel_at(const fc_winograd_plan *plan, ptrdiff_t index);
fc_winograd_tile fc_winograd_tile_at(const fc_winograd_plan *plan, ptrdiff_t index);
void fc_winograd_next_tile(const fc_winograd_plan *plan, fc_winograd_tile *tile);
/* V of `count` tiles from tile `first` on: tile t to v + t / group * group_stride + t % group * tile_stride. */
typedef struct {
    ptrdiff_t position, block, group, group_stride, tile_stride;
} fc_winograd_v_layout;
void fc_winograd_input(const fc_winograd_plan *plan, const float *x, ptrdiff_t first, ptrdiff_t count,
                       const fc_winograd_v_layout *layout, float *v);

#endif
