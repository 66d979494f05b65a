/* A convolution as an implicit GEMM: what planning and packing share. */
#ifndef FC_CONV2D_IGEMM_H
#define FC_CONV2D_IGEMM_H

#include "conv2d_internal.h"
#include "matrix.h"

enum { FC_CLIP_ROWS = 1, FC_CLIP_COLUMNS };

/* One kernel element: where it reads, relative to the pixel's corner, and its index in w_hwio. */
typedef struct {
    ptrdiff_t y, x, source;
    ptrdiff_t bytes; /* from the corner, in the input */
} fc_tap;

/* Output pixel (i, j) of the grid reads input pixel (i * stride_h + tap.y, j * stride_w + tap.x) and is written to output pixel
 * (y0 + i * step_h, x0 + j * step_w). */
typedef struct {
    const fc_ukernels *kernels;
    ptrdiff_t esize, n, groups;
    const void *x;
    ptrdiff_t h, w, ldx, depth; /* ldx: elements from pixel to pixel; depth: channels of one group */
    ptrdiff_t grid_h, grid_w, stride_h, stride_w;
    void *y;
    ptrdiff_t oh, ow, ldy, k, y0, x0, step_h, step_w; /* k: output channels of one group */
    const void *weights, *bias;
    int transposed; /* reduce over the output channels of w_hwio: the input gradient */
    fc_activation activation;
    int pooled; /* y has only the maxima of windows of 2 x 2 outputs, `indices` which of them they are, unless it is NULL */
    uint8_t *indices;
    int few;              /* as in fc_conv2d */
    ptrdiff_t all_pixels; /* of what this is a part of: they decide how it is computed */

    ptrdiff_t taps;
    fc_tap *tap;
    ptrdiff_t min_y, max_y, min_x, max_x;

    fc_panels panels;
    int single_terms;       /* nothing takes several terms at a time */
    const void *packed;     /* given where `weights` is NULL */
    ptrdiff_t packed_group; /* elements of one group's panels */
    int raw;                /* panels with all their columns are read from w_hwio where they are */
    int steps;              /* all are, in steps of the reduction: conv2d_igemm_steps.c */
    int far;                /* the packed weights do not stay in the second-level cache from block to block */
    const void *zero;
    int stream, fetch; /* y is written past the caches; its lines are fetched before */

    int dot; /* few output channels: vectors run along the reduction */
    int terms; /* of the reduction in one product, for runs of pixels side by side: as for fc_runs_args; 0: not so */
    ptrdiff_t beside; /* taps that follow each other and read pixels beside each other, which have no other channels: their terms do, too; or 1 */
    int by_offset, copy;
    ptrdiff_t *offset;
    ptrdiff_t copy_w, copy_ld, band; /* columns of a copy, elements from one to the next; output rows of a task */
    ptrdiff_t shares; /* tasks of a band, each of as many groups, for which rows are copied once */
    /* Where `copy` is set, bands may read rows that are inside of the image where they are, but for the pixels at their ends. */
    int in_place;
    ptrdiff_t *offset_in_place;
    ptrdiff_t left, right; /* pixels at each end whose taps reach over it */
    int clip; /* taps outside of the image are left out, of rows or of columns of the grid; then the pixels of a band go by columns */

    int matrix; /* the products are made on the matrix unit, from the parts of the weights */
    fc_matrix_pieces pieces;
    const char *parts, *operand; /* those parts, if they are packed before; and where they are */

    int alone; /* one thread has all tasks */
    ptrdiff_t block, blocks, splits, unit; /* pixels of a task; the panels are split among so many tasks, in units of so many */
} fc_igemm;

static inline ptrdiff_t fc_igemm_reduction(const fc_igemm *g) { return g->taps * g->depth; }

/* Where several terms go into one product: how many follow each other in memory, and the products of those and of a pixel. The last terms of a product
 * end with the last of them, and may be in the one before, too. */
static inline ptrdiff_t fc_igemm_terms_beside(const fc_igemm *g) { return g->beside * g->depth; }
static inline ptrdiff_t fc_igemm_products_beside(const fc_igemm *g) { return fc_ceil_div(fc_igemm_terms_beside(g), g->terms); }
static inline ptrdiff_t fc_igemm_products(const fc_igemm *g) { return g->taps / g->beside * fc_igemm_products_beside(g); }

/* The forward pass but for its arrays and taps; the taps, or 0 if there is no memory. */
fc_igemm fc_igemm_of(const fc_conv2d *conv);
int fc_igemm_find_taps(const fc_conv2d *conv, fc_igemm *g);
/* How far they reach. */
void fc_igemm_range_taps(fc_igemm *g);
/* Computes what `g` describes, complete but for what is derived; and nanoseconds of one thread for it, about. */
fc_status fc_igemm_run(fc_igemm *g);
double fc_igemm_work(const fc_igemm *g);

/* In how many parts, one or two, the sums of a forward pass are made; one of them, but for its arrays and taps, and its first input channel; and the
 * pass in two. Weights are packed half by half. */
int fc_igemm_halves(const fc_conv2d *conv);
fc_igemm fc_igemm_half(const fc_conv2d *conv, int half, ptrdiff_t *first);
fc_status fc_igemm_run_halves(const fc_conv2d *conv, const void *x, const void *w, const void *packed, const void *bias, void *y);

/* The offsets of taps, and bands. */
void fc_igemm_plan_offsets(fc_igemm *g);
/* The taps inside of the image for a row or column of the grid, as `clip` says, and the first line before `end` that has others, or `end`. */
ptrdiff_t fc_igemm_taps_inside(const fc_igemm *g, ptrdiff_t line, ptrdiff_t end, fc_span *taps);

/* The pixels of a task: where taps read, in[tap * block + pixel], or each pixel by offsets; and where pixels are written. */
typedef struct {
    ptrdiff_t group, end, begin, pixels; /* end: of the groups of a band's task, which take turns */
    const ptrdiff_t *offset;
    const void **in;
    void **out;
    void *space; /* the bytes that were asked for beside these */
} fc_igemm_rows;
/* So many pixels as whole tiles. */
static inline ptrdiff_t fc_igemm_places(const fc_igemm *g, ptrdiff_t pixels) { return fc_round_up(pixels, fc_max(1, g->panels.tile_rows)); }
fc_status fc_igemm_point_block(const fc_igemm *g, ptrdiff_t task, size_t more, fc_igemm_rows *rows);
fc_status fc_igemm_point_band(const fc_igemm *g, ptrdiff_t task, size_t more, fc_igemm_rows *rows);
/* What a block's thread will read next and this block has not, by pointers: this group's share of it, its first byte and how many. */
ptrdiff_t fc_igemm_next_input(const fc_igemm *g, const fc_igemm_rows *rows, const char **first);
ptrdiff_t fc_igemm_next_band(const fc_igemm *g, ptrdiff_t band, ptrdiff_t group, const char **first);
/* Weights in steps: whether that is the faster way for so few pixels; panels first .. last - 1 of a task, whose rows are `stride` apart, but for those at
 * the end that take several terms at a time; the bytes it needs beside them; how many panels tasks should not split. */
enum { FC_STEPS_PIXELS = 11 * FC_MR_MAX };
int fc_igemm_steps_pay(const fc_igemm *g);
void fc_igemm_run_steps(const fc_igemm *g, const fc_igemm_rows *rows, ptrdiff_t stride, ptrdiff_t first, ptrdiff_t last);
size_t fc_igemm_steps_bytes(const fc_igemm *g);
ptrdiff_t fc_igemm_steps_unit(const fc_igemm *g);
/* Activations that kernels do not know, of some columns of a group. */
void fc_igemm_activate(const fc_igemm *g, ptrdiff_t group, void *const *out, ptrdiff_t pixels, ptrdiff_t first, ptrdiff_t columns);

/* On the matrix unit: whether that is the faster way, the bytes it needs and its run, of what fc_igemm_run has planned and packed. */
int fc_igemm_matrix_pays(const fc_igemm *g);
/* Bytes of the parts of weights that are packed as such, 0 if they are not; and those parts, from weights or panels. */
ptrdiff_t fc_igemm_parts_bytes(const fc_conv2d *conv, const fc_igemm *g);
fc_status fc_igemm_make_parts(fc_igemm *g, void *operand);
size_t fc_igemm_matrix_bytes(const fc_igemm *g);
fc_status fc_igemm_matrix_run(fc_igemm *g, void *space, double work);

/* What packing depends on, but for `raw`. */
void fc_igemm_plan_panels(fc_igemm *g);
/* The weights as panels, but for those that are read where they are. */
fc_status fc_igemm_pack(const fc_igemm *g, void *packed);

#endif
