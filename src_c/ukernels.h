/* The kernels of one instruction set and element type: pointers with their tile sizes beside them.
 *
 * The frame (conv2d.c, pool2d.c, elementwise.c) loops, blocks, packs and threads; kernels only compute. Kernels never
 * allocate, thread, pad or validate. Element type is given by the table: void pointers are float or double. */
#ifndef FC_UKERNELS_H
#define FC_UKERNELS_H

#include "fastconv.h"

/* A tile's largest number of rows (output pixels, or rows of a weight gradient). */
#define FC_MR_MAX 12
/* Steps of the reduction between which memory is fetched, where weights are packed. */
#define FC_STEPS 4
/* The largest number of vectors side by side in one. */
#define FC_NV_MAX 4
/* Alignment of packed buffers, bytes. */
#define FC_ALIGN 64

/* Tiles of an implicit GEMM, mr pixels x nr output channels each: for the rows of each tile, i < tiles * mr,
 * out[i][column + j] = act(bias[j] + sum over t < taps, c < depth of rows[t * row_stride + i][c] * w[(t * depth + c) * ldw + j]).
 * With `offset` given, taps is 1 and rows[i][offset[c]] takes the place of rows[i][c].
 * Columns j < columns are loaded from bias and stored; w has nr readable columns in every row. */
typedef struct {
    const void *const *rows;
    ptrdiff_t row_stride;
    ptrdiff_t taps, depth;
    const ptrdiff_t *offset;
    const void *w;
    ptrdiff_t ldw; /* rows are read in whole vectors, which may reach into those that follow */
    ptrdiff_t tiles;
    const void *next, *next_end; /* what will be read soon, or NULL: fetched by so many bytes a step of the reduction, two lines every FC_STEPS */
    ptrdiff_t next_bytes;
    int accumulate;       /* the sums go on from what is in out: all columns of it */
    const void *bias; /* or NULL */
    void *const *out;
    ptrdiff_t column;
    int columns;
    int relu;
    int stream; /* out goes past the caches, if all columns are stored: aligned to FC_ALIGN, whole lines */
    int fetch;  /* its lines are fetched while the sums are made */
    /* By offsets only, for tiles of a multiple of 4 rows: every 4 rows are a window, and out has an entry for each, which receives their
     * maximum. Element i of y has its winner's number at indices[i], unless that is NULL. */
    int pooled;
    const void *y;
    uint8_t *indices;
} fc_gemm_args;
typedef void (*fc_gemm_fn)(const fc_gemm_args *args);

/* The same with few output channels, by offsets: vectors run along the reduction. Tap t is at rows[i] + offset[t * depth], w is
 * [taps][columns][depth]; ldw is not used. */
typedef struct {
    int mr;
    fc_gemm_fn tile, row; /* mr rows, one row */
} fc_dot_kernels;
#define FC_DOT_MAX 4
#define FC_GEMM_LINE 8

/* The same by offsets, with at most a vector of output channels: FC_RUNS runs of FC_RUN_PIXELS pixels that are x_step elements apart in the input and
 * y_step in the output. As many `terms` of the reduction as the vector has room for go into one product: those follow each other in memory, from each
 * of `steps` offsets on, and w is [step][output channel][term] in vectors. */
#define FC_RUNS 4
#define FC_RUN_PIXELS 7
#define FC_RUN_TERMS 4
typedef struct {
    const void *rows[FC_RUNS];
    void *out[FC_RUNS]; /* the first of the columns */
    ptrdiff_t x_step, y_step;
    const ptrdiff_t *offset;
    ptrdiff_t steps;
    const void *w;
    const void *bias; /* or NULL */
    int columns, relu;
    const char *next, *next_end; /* fetched, a line with each product */
} fc_runs_args;
typedef void (*fc_runs_fn)(const fc_runs_args *args);

/* One tile of a weight gradient: mr rows (taps x input channels) x nr output channels, summed over pixels,
 * out[i * ld_out + j] = acc[i * ld_acc + j] + sum over r < lines, p < pixels of x[line[r] + p * step + offset[i]] * dy[(r * pixels + p) * ld_dy + j]. */
typedef struct {
    const void *x;
    const ptrdiff_t *offset;
    const ptrdiff_t *line;
    ptrdiff_t lines, pixels, step;
    const void *dy;
    ptrdiff_t ld_dy;
    const void *acc; /* or NULL: zeros */
    ptrdiff_t ld_acc;
    void *out;
    ptrdiff_t ld_out;
    const void *next; /* as for fc_gemm_args, or NULL */
    ptrdiff_t next_bytes;
} fc_wgrad_args;
typedef void (*fc_wgrad_fn)(const fc_wgrad_args *args);

/* The GEMM kernels for panels of nr output channels; entry [m] computes m rows: m is 1, 2, 4 or mr (see fc_tile_rows). Narrow panels take several
 * terms of the reduction at a time, side by side in x, of which depth is a multiple: w is [taps * depth / terms][output channel][term], sums begin
 * with the bias, and there is an entry for mr rows only, which divides FC_TERMS_PIXELS. */
#define FC_TERMS_PIXELS 24
typedef struct {
    int nr, mr;
    int cost; /* time of one row and one step of the reduction, relative to the other panels of the table */
    int terms, least; /* terms side by side at a time, and for the least depth that is worth it */
    fc_gemm_fn gemm[FC_MR_MAX + 1];
    fc_gemm_fn gemm_offset[FC_MR_MAX + 1];
    fc_wgrad_fn wgrad[FC_MR_MAX + 1];
} fc_panel_kernels;

typedef struct {
    const fc_panel_kernels *panel; /* widest first */
    int panels;
    int main_panel; /* index of the panel that wide layers are cut into */
    fc_gemm_fn line;                /* one row, FC_GEMM_LINE vectors of columns, one tap */
    fc_dot_kernels dot[FC_DOT_MAX + 1]; /* entry [k] for k output channels, k > 0 */
    fc_runs_fn runs[FC_RUN_TERMS + 1]; /* entry [terms], or NULL */
    int lanes;
} fc_gemm_kernels;

/* Depthwise convolution of pixels side by side, summed over rows of x:
 * y[l * y_line + i * y_step + c] = act(bias[c] + sum over r < rows, t < taps of
 *     x[l * line_rows + r][(column + i * advance + t * spread) * x_step + c] * w[r][t * ldw + c]), l < lines, i < pixels, c < channels.
 * Columns outside of 0 .. width - 1 are left out. act is relu or the identity. Where channels
 * are fewer than a vector, `few` says what of x may be read besides them: nothing, or a whole vector at every column, or four vectors behind all of
 * them; then columns lie side by side (x_step and y_step are as many as channels), column is 0 and advance 1, all taps are inside, and rows * taps
 * are at most FC_FLAT_TAPS. */
enum { FC_FEW_ALONE, FC_FEW_WHOLE, FC_FEW_FLAT };
#define FC_FLAT_TAPS 49
typedef struct {
    const void *const *x, *const *w;
    const int32_t *lanes; /* for groups of several channels, see fc_depthwise_kernels */
    ptrdiff_t planes, times;
    ptrdiff_t rows, taps, ldw;
    ptrdiff_t x_step, column, width, advance, spread;
    ptrdiff_t lines, line_rows, pixels, channels;
    int few;
    const void *bias; /* or NULL */
    void *y;
    ptrdiff_t y_step, y_line;
    int relu;
    int stream;       /* y goes past the caches, if lines is 1: every pixel of it is aligned to FC_ALIGN and a multiple of that long */
    const void *next; /* what will be read soon, or NULL: fetched along with the pixels */
    ptrdiff_t next_elements, next_step; /* the latter, from pixel to pixel, where these channels of it are copied */
} fc_depthwise_args;

/* Its weight gradient, from `lines` rows of dy: acc[(r * taps + t) * ldw + slot(c)] += sum over l < lines, i < pixels of
 * x[l * x_advance + r * x_line + (column + i * advance + t * spread) * x_step + c] * dy[l * dy_line + i * dy_step + c],
 * r < rows, t < taps, c < channels.
 * Columns outside of 0 .. width - 1 are left out. bias[slot(c)] += the sum of dy. slot(c) is c; but where channels are at least a
 * vector and not a multiple of it, those of the vector that ends with them begin at the multiple of the vector that is next: the last
 * of its elements are theirs. Where channels are fewer than a vector, its element c + m * channels may have a part of the sum of channel c, for
 * all m < the number of elements / channels. acc and bias have whole vectors. */
typedef struct {
    const void *x, *dy;
    ptrdiff_t x_advance, x_line, x_step, dy_line, dy_step;
    ptrdiff_t lines;
    ptrdiff_t column, width, advance, spread;
    ptrdiff_t pixels, rows, taps, channels;
    ptrdiff_t tile; /* pixels that are taken at a time, about: with their rows of x they stay in the first-level cache */
    void *acc;
    ptrdiff_t ldw;
    void *bias; /* or NULL */
    const void *x_next, *dy_next; /* rows that will be read soon, as many as lines, or NULL: fetched along with these */
    const int32_t *lanes;         /* the same, and from plane to plane of acc */
    ptrdiff_t planes, times, ld_plane;
} fc_depthwise_wgrad_args;

/* Both gradients of 3x3 depthwise convolution with stride 1 or 2, without dilation. Pixels of x are those of steps along both axes, `stride` of them
 * in each: step k of line l has columns stride * k - column + v of rows l * stride + u, u, v < stride, as far as they are columns of x; rows outside of
 * x are rows of zeros, and of dx any memory. The taps (u + d * stride, v + e * stride) of those pixels see column k + dy_column - e of dy[l + live - 1 - d],
 * d, e < live, where there is one; live = 2 / stride + 1.
 *   dx[pixel][c] = sum over taps of dy * w[(3 * row + column of the tap) * step + c]
 *   acc[(3 * row + column of the tap) * ldw + slot(c)] += sum over pixels of x * dy
 *   acc[9 * ldw + slot(c)] += sum over l < lines, k < dy_width of dy[l + live - 1 - dy_row][k]
 * slot(c) is that of fc_depthwise_wgrad_args. Pixels of x, dx and dy have `step` elements. */
typedef struct {
    const void *const *x, *const *dy;
    void *const *dx;
    const void *w;
    void *acc;
    ptrdiff_t stride, lines, steps, column, width, dy_row, dy_column, dy_width, channels, step, ldw;
    const void *x_next, *dx_next, *dy_next; /* will be read or written soon: fetched along with these; of dx the next channels where it is NULL */
} fc_depthwise_gradients_args;

/* Pixels of `groups` groups of `planes` channels become planes: plane j has, in the place of each group, its channel j, repeated.
 * to[j * plane + p * to_step + g * times + m] = from[p * from_step + g * planes + j], g < groups, j < planes, m < times.
 * to_step is a multiple of the vector; what is left of it has no meaning. */
typedef struct {
    ptrdiff_t groups, planes, times;
    ptrdiff_t from_step, to_step, plane;
} fc_spread_args;

/* convolve and wgrad take channels as they are. The other two, either of which may be NULL, are for groups of several channels of x, and make the planes (see
 * fc_spread_args) in registers: channel c of x is then channel c0 / times * planes + lanes[j * vector + c - c0] for plane j and the vector that
 * begins at channel c0. `times` divides the vector and is not below `planes`. There are FC_GROUPED_PIXELS pixels or more, all columns are inside,
 * and x has whole vectors.
 * groups: row r is of plane r % planes, w has whole vectors too, nothing is streamed. groups_wgrad: every row of x has all planes, whose sums are
 * ld_plane apart; 3 taps with advance = spread or twice that, a vector of channels or more, planes by fours; no bias, nothing is fetched. */
#define FC_GROUPED_PIXELS 7
#define FC_GROUPED_LANES_MAX 128
typedef struct {
    void (*convolve)(const fc_depthwise_args *args);
    void (*wgrad)(const fc_depthwise_wgrad_args *args);
    void (*spread)(const fc_spread_args *args, const void *from, void *to, ptrdiff_t pixels);
    void (*groups)(const fc_depthwise_args *args);
    void (*groups_wgrad)(const fc_depthwise_wgrad_args *args);
    void (*gradients)(const fc_depthwise_gradients_args *args); /* or NULL */
    int partial; /* whether convolve makes use of FC_FEW_WHOLE, and gradients takes fewer channels than a vector */
    int gradients_dense; /* whether gradients takes stride 1 */
} fc_depthwise_kernels;

/* Sums of windows of `width` elements, `step` apart, pixel by pixel:
 * out[p * step + e] = sum over the pixels q and rows r < rows of z[r][q * pixel + e + (p - q) * step], as long as that is in the window.
 * step is at most a vector, width FC_SLIDE_VECTORS of them; out has room for so many from the last pixel's on. */
#define FC_SLIDE_VECTORS 3
typedef struct {
    const void *const *z;
    ptrdiff_t rows, pixels, pixel, width, step;
    void *out;
} fc_slide_args;

/* Pixels of planes, piece by piece: rows of `nr` elements, row t * planes + c from piece p on
 *   out[(t * planes + c) * nr + to[p] + e] = in[c * plane_ld + offset[t] + from[p] + e], e < a vector,
 * t < taps, c < planes, in the order of t, c, p: what a piece writes beyond its part is overwritten by those after it, but for a vector behind all.
 * Of piece i, count[i] elements are read. */
#define FC_PIECES_MAX 128
typedef struct {
    const void *in;
    ptrdiff_t plane_ld, planes;
    const ptrdiff_t *offset;
    ptrdiff_t taps;
    const ptrdiff_t *from, *to;
    const ptrdiff_t *count;
    ptrdiff_t pieces;
    void *out;
    ptrdiff_t nr;
} fc_gather_args;

/* Small services of the frame. */
typedef struct {
    /* out (rows, width) = in (rows, cols) with leading dimension ld_in; columns cols .. width - 1 are zero, cols <= width */
    void (*pack)(const void *in, ptrdiff_t ld_in, ptrdiff_t rows, ptrdiff_t cols, void *out, ptrdiff_t width);
    /* out (cols, rows) = transpose of in (rows, cols), leading dimensions ld_in, ld_out */
    void (*transpose)(const void *in, ptrdiff_t ld_in, void *out, ptrdiff_t ld_out, ptrdiff_t rows, ptrdiff_t cols);
    /* acc[j] += sum over i < rows of x[i * ld + j], j < cols */
    void (*column_sums)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, void *acc);
    /* *acc += sum over i < n of x[i] */
    void (*add_sum)(const void *x, ptrdiff_t n, void *acc);
    void (*slide)(const fc_slide_args *args);
    /* out[i] = in[i * step], i < n */
    void (*take_every)(const void *in, ptrdiff_t step, void *out, ptrdiff_t n);
    /* out[i * step] = in[i], the others zero, i * step < n */
    void (*put_every)(const void *in, ptrdiff_t step, void *out, ptrdiff_t n);
    /* to[i] = from + i * step bytes, i < n */
    void (*point)(const void *from, ptrdiff_t step, const void **to, ptrdiff_t n);
    void (*gather)(const fc_gather_args *args);
    /* acc[i] += x[i], i < n */
    void (*add_into)(const void *x, void *acc, ptrdiff_t n);
    /* After kernels that wrote past the caches, before other threads may read. */
    void (*stream_end)(void);
    /* Independent multiply-adds and nothing else: to measure the peak. Returns how many it did, at least `count`. */
    double (*multiply_adds)(double count);
} fc_frame_kernels;

#include "ukernels_pool.h"
#include "ukernels_elementwise.h"
#include "ukernels_winograd.h"
#include "ukernels_images.h"
#include "ukernels_planes.h"
#include "ukernels_matrix.h"

typedef struct {
    const char *isa;
    fc_gemm_kernels gemm;
    fc_depthwise_kernels depthwise;
    fc_frame_kernels frame;
    fc_pool_kernels pool;
    fc_elementwise_kernels elementwise;
    fc_winograd_kernels winograd;
    fc_images_kernels images;
    fc_depthwise_planes_kernels planes;
    const fc_matrix_kernels *matrix; /* or NULL; float32 only */
} fc_ukernels;

/* AMX takes the system's leave as well as a compiler that knows it. */
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define FC_AMX
extern const fc_matrix_kernels fc_matrix_amx;
#endif

#define FC_ISA_ENTRY(name, condition) extern const fc_ukernels fc_f32_ukernels__##name, fc_f64_ukernels__##name;
#include "isa_list.inc"
#undef FC_ISA_ENTRY

#endif
