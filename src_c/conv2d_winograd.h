/* What the passes of Winograd's convolution share. float32; NHWC, or NCHW that is turned strip by strip.
 *
 * The kernel is cut into pieces of r x r taps, each a convolution with stride 1 of its own: along one axis the piece of phase f and
 * part s has the taps f + stride * (r * s + 0 .. r - 1), and reads pixels that lie `stride` apart. Taps that the kernel does not have
 * are zero. Where no phase has more taps than one, r is 1 along that axis and a tile is one pixel. The forward pass sums over all
 * pieces. The gradient of the input sums over the parts only: every phase yields the pixels of its own place among `stride` pixels.
 * Dilation cuts the pixels instead, into as many classes that have nothing to do with each other. */
#ifndef FC_CONV2D_WINOGRAD_H
#define FC_CONV2D_WINOGRAD_H

#include "conv2d_internal.h"

/* Elements between the positions beyond what they hold: strides that are powers of two would share few cache sets. */
enum { FC_WINOGRAD_SKEW = 16 };

/* Most pieces of a kernel along one axis. */
enum { FC_WINOGRAD_PIECES = 8 };

/* Rows or columns of a convolution. */
typedef struct {
    ptrdiff_t taps, stride;
    ptrdiff_t r, tile, m;          /* taps of a piece, positions and outputs of a tile */
    ptrdiff_t pieces, shares;      /* pieces of the kernel that are summed, and phases that have outputs of their own: one of them 1 */
    ptrdiff_t in, out;             /* pixels that are read, and written */
    ptrdiff_t in_step, out_step;   /* from a pixel of a tile to the next */
    ptrdiff_t in_first, out_first; /* where the first tile starts; may be outside */
    ptrdiff_t classes, tiles, full; /* tiles of each class; the first `full` of them have m outputs, the others m - 1 */
    ptrdiff_t in_offset[FC_WINOGRAD_PIECES], out_offset[FC_WINOGRAD_PIECES]; /* of pieces and of shares from the first */
} fc_winograd_axis;

/* A convolution of x (n, h, w, c) to y (n, oh, ow, k), cut into tiles; the channels are those of one group. */
typedef struct {
    const fc_winograd_kernels *kernels;
    const fc_winograd_transforms *transforms;
    fc_winograd_axis rows, cols;
    int planar;              /* x and y are NCHW */
    int transposed;          /* the gradient of the input: the kernel is read rotated, its inputs for its outputs */
    ptrdiff_t n, c, k, ldx, ldy, ldw; /* ld: channels of a pixel in memory, output channels of w in memory */
    ptrdiff_t pieces, shares; /* of rows times those of columns, numbered row by row */
    int whole;               /* no piece lacks taps */
    int registers;           /* weights are transformed in registers, and packed ones are taps: conv2d_winograd_registers.c */
    ptrdiff_t tiles, positions; /* positions of a tile */
    ptrdiff_t square;           /* tiles that have the positions of one of 6 x 6 */
    ptrdiff_t lanes_c;       /* c rounded up to vectors */
    ptrdiff_t depth, lanes;  /* pieces * c, pieces * lanes_c */
    ptrdiff_t chunk;         /* terms that are summed apart: more are faster, and less exact */
    ptrdiff_t panels;        /* the output channels of every share are cut into panels: of all shares */
    ptrdiff_t share_width, width; /* the sum of their widths, of one share and of all */
} fc_winograd_plan;

typedef struct {
    const fc_winograd_panel *kernels;
    ptrdiff_t share, first, columns, nr; /* channels first .. first + columns - 1 of a share */
    ptrdiff_t at;                        /* the widths of the panels before it */
} fc_winograd_columns;

/* A tile: image, and where its corner is in what is read and in what is written, by the first piece and share. */
typedef struct {
    ptrdiff_t image, row_class, row, col_class, col;
    ptrdiff_t in_y, in_x, out_y, out_x;
    ptrdiff_t rows, columns; /* outputs */
} fc_winograd_tile;

/* Only the last of m outputs along an axis depends on the position at infinity: tiles without that output need no product there. Some
 * consecutive tiles are placed in memory by kind: short rows, none short, short columns, both short. Those that have a position are
 * then side by side. */
enum { FC_WINOGRAD_KINDS = 4 };
typedef struct {
    ptrdiff_t count[FC_WINOGRAD_KINDS], next[FC_WINOGRAD_KINDS];
} fc_winograd_order;

/* The taps of a piece along one axis: first, first + stride, ... */
typedef struct {
    ptrdiff_t first, count;
} fc_winograd_taps;

/* The forward pass, with weights that are used once and with packed ones; and the same convolution for the gradient of the weights. */
fc_winograd_plan fc_winograd_plan_forward(const fc_conv2d *conv);
fc_winograd_plan fc_winograd_plan_packed(const fc_conv2d *conv);
fc_winograd_plan fc_winograd_plan_weights(const fc_conv2d *conv);
fc_winograd_plan fc_winograd_plan_backward_input(const fc_conv2d *conv);
fc_winograd_columns fc_winograd_panel_at(const fc_winograd_plan *plan, ptrdiff_t index);
static inline fc_winograd_columns fc_winograd_panel_from(const fc_winograd_plan *p, ptrdiff_t share, ptrdiff_t first) {
    const fc_winograd_panel *const kernels = &p->kernels->panel[p->share_width - first < p->kernels->panel[0].nr];
    return (fc_winograd_columns){.kernels = kernels,
                                 .share = share,
                                 .first = first,
                                 .columns = fc_min(kernels->nr, p->k - first),
                                 .nr = kernels->nr,
                                 .at = share * p->share_width + first};
}
static inline void fc_winograd_next_panel(const fc_winograd_plan *p, fc_winograd_columns *panel) {
    const ptrdiff_t first = panel->first + panel->nr;
    *panel = first < p->share_width ? fc_winograd_panel_from(p, panel->share, first) : fc_winograd_panel_from(p, panel->share + 1, 0);
}
fc_winograd_tile fc_winograd_tile_at(const fc_winograd_plan *plan, ptrdiff_t index);
void fc_winograd_next_tile(const fc_winograd_plan *plan, fc_winograd_tile *tile);
/* Tiles first .. first + count - 1, none of them placed. */
fc_winograd_order fc_winograd_order_of(const fc_winograd_plan *plan, ptrdiff_t first, ptrdiff_t count);
/* Places tiles first .. first + count - 1. */
void fc_winograd_skip(const fc_winograd_plan *plan, ptrdiff_t first, ptrdiff_t count, fc_winograd_order *order);
static inline int fc_winograd_kind(const fc_winograd_plan *p, const fc_winograd_tile *tile) {
    return tile->columns == p->cols.m ? tile->rows == p->rows.m : tile->rows == p->rows.m ? 2 : 3;
}
static inline ptrdiff_t fc_winograd_place(const fc_winograd_plan *p, const fc_winograd_tile *tile, fc_winograd_order *order) {
    return order->next[fc_winograd_kind(p, tile)]++;
}
/* The places of the tiles that have a position. No tile is short along an axis where it is one pixel. */
static inline fc_span fc_winograd_present(const fc_winograd_plan *p, const fc_winograd_order *order, int position) {
    const ptrdiff_t *const n = order->count;
    const int last_row = position / p->cols.tile == p->rows.tile - 1, last_column = position % p->cols.tile == p->cols.tile - 1;
    return (fc_span){last_row ? n[0] : 0, n[0] + n[1] + (last_column ? 0 : n[2] + (last_row ? 0 : n[3]))};
}
fc_winograd_taps fc_winograd_piece_rows(const fc_winograd_plan *plan, ptrdiff_t piece, ptrdiff_t share);
fc_winograd_taps fc_winograd_piece_cols(const fc_winograd_plan *plan, ptrdiff_t piece, ptrdiff_t share);
/* Whether the transformed kernel of a piece is zero at a position, because the piece has fewer taps. */
int fc_winograd_vanishes(const fc_winograd_plan *plan, ptrdiff_t piece, ptrdiff_t share, int position);

/* What tiles first .. first + count - 1 read of x, or write of y, about: tiles follow one another in memory as pixels do. Empty where they do
 * not: where the kernel is dilated, other groups' channels lie in between, or planes of NCHW. No tiles are needed, and it may reach further. */
typedef struct {
    const char *begin;
    ptrdiff_t bytes;
} fc_winograd_extent;
fc_winograd_extent fc_winograd_reads(const fc_winograd_plan *plan, const float *x, ptrdiff_t first, ptrdiff_t count);
fc_winograd_extent fc_winograd_writes(const fc_winograd_plan *plan, int pooled, const float *y, ptrdiff_t first, ptrdiff_t count);

/* V of `count` tiles from tile `first` on, some pieces and channels of them: of place t to v + t / group * group_stride + t % group *
 * tile_stride. `ahead`: pixels are fetched a tile before; unless they are already, beside products. */
typedef struct {
    ptrdiff_t position, block, group, group_stride, tile_stride;
    int ahead;
} fc_winograd_v_layout;
fc_status fc_winograd_input(const fc_winograd_plan *plan, fc_span pieces, fc_span channels, const float *x, ptrdiff_t first, ptrdiff_t count,
                            fc_winograd_order order, const fc_winograd_v_layout *layout, float *v);

/* Pixels of x or of y where channels lie side by side: pixel (i, j) of image n at base + (n - image) * image_step + (i - row) * line +
 * (j - col) * pixel. */
typedef struct {
    float *base;
    ptrdiff_t image_step, line, pixel, image, row, col;
} fc_winograd_view;
static inline float *fc_winograd_pixel(const fc_winograd_view *v, ptrdiff_t image, ptrdiff_t row, ptrdiff_t col) {
    return v->base + (image - v->image) * v->image_step + (row - v->row) * v->line + (col - v->col) * v->pixel;
}

/* Some tiles, one after the other, of one image, and the pixels that they read or write: `turned` of their channels are turned at once. Of NHWC all
 * tiles and channels, which are where they are. Rows that belong to one class lie `step` apart. */
typedef struct {
    ptrdiff_t tiles, image, turned, step;
    fc_span rows, cols;
} fc_winograd_strip;
enum { FC_WINOGRAD_READ, FC_WINOGRAD_WRITTEN };
/* The strip that begins with a tile, of at most so many tiles and channels. */
fc_winograd_strip fc_winograd_strip_at(const fc_winograd_plan *plan, int written, ptrdiff_t tile, ptrdiff_t most, ptrdiff_t channels);
/* Channels first .. first + count - 1 of its pixels: where they are, or a place for them, from array[0] on; and to or from that place. `base` is
 * NULL if there is no memory. */
fc_winograd_view fc_winograd_view_of(const fc_winograd_plan *plan, int written, const fc_winograd_strip *strip, const float *array, ptrdiff_t first,
                                     ptrdiff_t count);
void fc_winograd_turn(const fc_winograd_plan *plan, int written, const fc_winograd_strip *strip, const fc_winograd_view *view, const float *array,
                      ptrdiff_t first, ptrdiff_t count, int back);

/* D of `count` tiles from tile `first` on, some panels of them: of place t of panel i to d + i * panel + t * nr. Adds their sums, tile by tile, to
 * sums[channel]. `ahead` as above. */
typedef struct {
    ptrdiff_t position, panel;
    int ahead;
} fc_winograd_d_layout;
fc_status fc_winograd_gradient(const fc_winograd_plan *plan, fc_span panels, const float *dy, ptrdiff_t first, ptrdiff_t count,
                               fc_winograd_order order, const fc_winograd_d_layout *layout, float *d, float *sums);
/* Those sums alone, of tiles begin .. end - 1; and db, from the sums of some ranges of tiles, `width` elements each. */
fc_status fc_winograd_sum_gradient(const fc_winograd_plan *plan, const float *dy, ptrdiff_t begin, ptrdiff_t end, float *sums);
void fc_winograd_sum_ranges(const fc_winograd_plan *plan, ptrdiff_t ranges, float *sums, float *db);

/* U of all weights, [position][panel][piece][c][nr], positions fc_winograd_u_position elements apart. */
ptrdiff_t fc_winograd_u_position(const fc_winograd_plan *plan);
fc_status fc_winograd_transform_all(const fc_winograd_plan *plan, const float *w, float *u);
/* U of input channels c0 .. c1 - 1 of one piece and panel. `space` holds rows.r * cols.r * (c1 - c0) * nr elements. */
void fc_winograd_transform_some(const fc_winograd_plan *plan, const float *w, ptrdiff_t piece, const fc_winograd_columns *panel, ptrdiff_t c0,
                                ptrdiff_t c1, float *space, float *u, ptrdiff_t position);
/* The taps of a plan in registers, copy[c - c0][9][lanes]: of a vector of output channels, `first` and those after it. */
void fc_winograd_copy_taps(const fc_winograd_plan *plan, const float *w, ptrdiff_t first, ptrdiff_t c0, ptrdiff_t c1, float *copy);

/* How tiles are multiplied: in groups of `rows`, but for the last. With each step of their sums, so many bytes of a wide panel's weights
 * are fetched. Made once for a task: divisions take as long as a few tiles. */
typedef struct {
    ptrdiff_t rows, weight_bytes;
} fc_winograd_groups;

typedef struct {
    fc_winograd_plan plan;
    const float *x, *w, *bias;
    float *y;
    fc_activation activation;
    int pooled; /* y has only the maxima of windows of 2 x 2 outputs, `indices` which of them they are, unless it is NULL */
    uint8_t *indices;
    const char *ahead, *ahead_end; /* as in fc_conv2d */
    ptrdiff_t ahead_half;
    const float *packed;     /* the transformed weights, or NULL: transform them on the way */
    float *v;                /* tiles first .. first + count - 1, by panels only */
    ptrdiff_t first, count;
    fc_winograd_order order; /* of these tiles */
    fc_winograd_groups groups;
    ptrdiff_t block;         /* tiles of a task that transforms them */
    ptrdiff_t group;         /* panels of a group */
    const char *operand;     /* on a matrix unit: the parts of the weights, [position][panel] */
} fc_winograd_call;

/* Panels whose products are made before they are transformed: begin .. end - 1. */
typedef struct {
    ptrdiff_t begin, end;
    ptrdiff_t at, width; /* the widths of the panels before it, and of its own */
} fc_winograd_panels;
static inline ptrdiff_t fc_winograd_panels_count(const fc_winograd_call *call) { return fc_ceil_div(call->plan.panels, call->group); }
fc_winograd_panels fc_winograd_panels_at(const fc_winograd_call *call, ptrdiff_t index);

/* M of some tiles and panels: row t of panel i at m + t / group * group_stride + (widths of panels before it) * rows + t % group * nr. */
typedef struct {
    ptrdiff_t position, group, group_stride, rows;
    int ahead; /* as above */
} fc_winograd_m_layout;
/* y of tiles first .. first + count - 1 and some panels, from M. */
fc_status fc_winograd_output(const fc_winograd_call *call, const fc_winograd_panels *panels, ptrdiff_t first, ptrdiff_t count,
                             fc_winograd_order order, const fc_winograd_m_layout *layout, const float *m);

/* Whether the output transform can pool. */
int fc_winograd_pools(const fc_winograd_plan *plan);

/* Tiles of a task, at most so many, in whole groups of `mr` where that leaves every thread as many tasks. No result depends on it. */
static inline ptrdiff_t fc_winograd_share(ptrdiff_t tiles, ptrdiff_t most, ptrdiff_t mr) {
    const ptrdiff_t tasks = fc_round_up(fc_ceil_div(tiles, most), fc_get_num_threads());
    return fc_min(most, fc_round_up(fc_ceil_div(tiles, tasks), mr));
}

/* The same in whole rows of tiles where columns of NCHW that belong to several classes are turned back together. */
static inline ptrdiff_t fc_winograd_whole_rows(const fc_winograd_plan *p, ptrdiff_t tiles) {
    const ptrdiff_t row = p->planar && p->cols.classes > 1 ? p->cols.classes * p->cols.tiles : 1;
    return fc_max(1, tiles / row) * row;
}

/* In registers: the taps of all weights, as it reads them; the convolution. */
ptrdiff_t fc_winograd_taps_bytes(const fc_winograd_plan *plan);
fc_status fc_winograd_pack_taps(const fc_winograd_plan *plan, const float *w, float *taps);
fc_status fc_winograd_by_registers(fc_winograd_call *call);

/* Transforms all weights of a call, unless they are. */
fc_status fc_winograd_transform_call(fc_winograd_call *call);

/* Whether a matrix unit multiplies faster, the parts of all weights, which are made of U unless that is NULL, and the convolution with
 * them or with those that it makes. */
int fc_winograd_matrix_pays(const fc_winograd_plan *plan);
ptrdiff_t fc_winograd_parts_bytes(const fc_winograd_plan *plan);
fc_status fc_winograd_make_parts(const fc_winograd_plan *plan, const float *w, const float *u, void *parts);
fc_status fc_winograd_by_matrix(fc_winograd_call *call);
/* Whether weights are packed as such parts: for as many images as they are packed for the unit would be used. */
int fc_winograd_packs_parts(const fc_conv2d *conv, const fc_winograd_plan *plan);

#endif
