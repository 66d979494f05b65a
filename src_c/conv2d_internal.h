/* What the parts of the convolution share. NHWC, but for what takes NCHW as it is (planes, Winograd's strips); conv2d_nchw.c turns the rest. */
#ifndef FC_CONV2D_INTERNAL_H
#define FC_CONV2D_INTERNAL_H

#include "dispatch.h"
#include "scratch.h"
#include "sizes.h"
#include "threads.h"

/* From so many bytes on a call's arrays do not stay in the caches. */
#define FC_STREAM_BYTES (16 << 20)

/* Whether to write results past the caches: they are many bytes, together with what they are made of, and runs of `run` bytes can
 * be written whole. */
static inline int fc_streams(const void *out, ptrdiff_t run, ptrdiff_t bytes) {
    return bytes >= FC_STREAM_BYTES && (uintptr_t)out % FC_ALIGN == 0 && run % FC_ALIGN == 0;
}

/* Whether results come in and go out while the next are computed, faster than past the caches: where the second-level cache is large,
 * fetching them ahead costs nothing, and stores past it wait for few buffers. */
static inline int fc_stores_through(void) { return fc_l2_bytes() >= (1 << 20); }

/* Whether kernels apply an activation before they store: others follow, row by row. */
static inline int fc_in_registers(fc_activation activation) { return activation == FC_LINEAR || activation == FC_RELU; }

/* So many images that no choice depends on how many; and for how many weights are packed. */
enum { FC_MANY_IMAGES = 64 };
static inline ptrdiff_t fc_packed_images(const fc_conv2d *conv) { return conv->few ? 1 : FC_MANY_IMAGES; }

/* How `k` output channels are cut into panels: `bulk` of the main width, then a tail of at most 4. */
typedef struct {
    const fc_panel_kernels *main, *tail[4];
    ptrdiff_t k, bulk;
    int tails;
    int tile_rows; /* which rows come in multiples of where some panels take several terms: FC_TERMS_PIXELS, else 0 */
} fc_panels;
typedef struct {
    const fc_panel_kernels *kernels;
    ptrdiff_t first, columns; /* channels first .. first + columns - 1; the panels before it have `first` columns of packed weights */
} fc_panel;
/* Panels take as many terms of the reduction at a time as divide `depth`. */
fc_panels fc_panels_plan(const fc_gemm_kernels *gemm, ptrdiff_t k, ptrdiff_t depth);
fc_panel fc_panels_get(const fc_panels *panels, ptrdiff_t index);
/* Whether a panel's weights may be read where they are, and sums go on from those in memory. */
static inline int fc_panel_is_plain(const fc_panel *p) { return p->columns == p->kernels->nr && p->kernels->terms == 1; }
static inline ptrdiff_t fc_panels_count(const fc_panels *panels) { return panels->bulk + panels->tails; }
/* Sum of the widths of all panels, and of their costs: 2 vectors of multiply-adds cost as much as they have lanes. */
ptrdiff_t fc_panels_width(const fc_panels *panels);
ptrdiff_t fc_panels_cost(const fc_panels *panels);
/* Packs `rows` rows of k channels, ld elements apart, for the panels from `first` on: they are rows row, row + 1, ...
 * of [panel][panel_rows][nr]. */
void fc_panels_pack(const fc_panels *panels, ptrdiff_t first, const fc_frame_kernels *frame, const void *in, ptrdiff_t ld, ptrdiff_t rows, void *out,
                    ptrdiff_t row, ptrdiff_t panel_rows, ptrdiff_t esize);

/* The rows of the next tile where `left` rows remain: what the kernel tables have entries for. Tiles below 4 rows take as long as 4,
 * which it takes to hide the latency of a multiply-add: 8 rows are 4 and 4, not 6 and 2. */
static inline ptrdiff_t fc_tile_rows(ptrdiff_t left, ptrdiff_t mr) {
    if (mr < 8 && (left == 8 || left == 9)) return 4;
    return left >= mr ? mr : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* Tiles of `pixels` pixels for one panel, by its kernels for so many rows. With no kernel for one row there are pointers for all rows of the
 * last tile, to some of those pixels. What lies from args->next to args->next_end is fetched. */
void fc_panel_tiles(const fc_gemm_fn *kernel, ptrdiff_t mr, fc_gemm_args *args, const void *const *rows, void *const *out, ptrdiff_t pixels);

/* Bytes to rearrange at once: they stay in a large second-level cache, or in the next level behind a small one. */
static inline ptrdiff_t fc_round_limit(void) { return fc_l2_bytes() < 1 << 20 ? (ptrdiff_t)4 << 20 : fc_l2_bytes() / 4; }

/* Images to rearrange at once, of so many bytes each. */
static inline ptrdiff_t fc_images_per_round(ptrdiff_t n, ptrdiff_t image_bytes) { return fc_max(1, fc_min(n, fc_round_limit() / image_bytes)); }

/* Nanoseconds of one thread for that many multiply-adds, roughly: for the work argument of fc_parallel_for. */
static inline double fc_macs_ns(double macs) { return macs / (fc_kernels(FC_F32)->gemm.lanes > 8 ? 80.0 : 24.0); }

/* The work of a call by pixels. Where weights are packed for an image or two, a network's next call is likely to take the pixels in the same
 * shares: what is made here by its thread need not come from another core then, so that less work is worth sharing. */
static inline double fc_pixels_work(int few, double work_ns) { return few ? 3 * work_ns : work_ns; }

/* Pixels first .. first + pixels - 1 of an image row, `depth` elements each, to `to`, where they are `ld` elements apart. The row has
 * `width` pixels, `ldx` elements apart; pixels outside of it are zero, all of them if row is NULL. */
void fc_copy_padded_row(const fc_frame_kernels *frame, const void *row, ptrdiff_t width, ptrdiff_t ldx, ptrdiff_t first, ptrdiff_t depth, void *to,
                        ptrdiff_t pixels, ptrdiff_t ld, ptrdiff_t esize);

/* The same of a plane: pixels first, first + stride, ... of a row. */
void fc_copy_strided_row(const fc_frame_kernels *frame, const void *row, ptrdiff_t width, ptrdiff_t stride, ptrdiff_t first, void *to,
                         ptrdiff_t pixels, ptrdiff_t esize);

/* The same for pixels that are turned into planes: pixels first .. first + pixels - 1 of every plane, zero outside of the row. */
void fc_spread_padded_row(const fc_depthwise_kernels *kernels, const fc_spread_args *spread, const void *row, ptrdiff_t width, ptrdiff_t first,
                          void *to, ptrdiff_t pixels, ptrdiff_t esize);

/* NCHW by way of NHWC: `run` computes part of a convolution in NHWC. `bands`: it may be given some rows of the images. */
typedef fc_status (*fc_nhwc_fn)(const fc_conv2d *conv, const void *context, const void *in, void *out);
typedef fc_status (*fc_nhwc_weights_fn)(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
/* Rounds of whole images that fc_nchw_forward would take, each with weights of its own. */
ptrdiff_t fc_nchw_rounds(const fc_conv2d *conv);
fc_status fc_nchw_forward(const fc_conv2d *conv, fc_nhwc_fn run, const void *context, int bands, const void *x, void *y);
fc_status fc_nchw_backward_input(const fc_conv2d *conv, fc_nhwc_fn run, const void *context, const void *dy, void *dx);
fc_status fc_nchw_backward_weights(const fc_conv2d *conv, fc_nhwc_weights_fn run, const void *x, const void *dy, void *dw, void *db);

/* NCHW along its planes, and whether that is the faster way. */
int fc_planes_forward_pays(const fc_conv2d *conv);
int fc_planes_backward_input_pays(const fc_conv2d *conv);
fc_status fc_planes_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
fc_status fc_planes_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
/* The same for few input channels and any stride. */
int fc_planes_scattered_pays(const fc_conv2d *conv);
fc_status fc_planes_scattered_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);

fc_status fc_igemm_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
/* With weights packed before; 0 bytes: they are as good where they are. */
ptrdiff_t fc_igemm_weights_bytes(const fc_conv2d *conv);
fc_status fc_igemm_pack_weights(const fc_conv2d *conv, const void *w, void *packed);
fc_status fc_igemm_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);
fc_status fc_igemm_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
/* The same with the roles of pixels and channels exchanged: whether that is faster. */
int fc_igemm_exchange_pays(const fc_conv2d *conv);
fc_status fc_igemm_backward_input_exchanged(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
/* The first input of the second half, of dense layers whose sums are made in two, one for each of two threads; 0 of others. */
ptrdiff_t fc_igemm_second_half(const fc_conv2d *conv);
/* What the implicit GEMM takes on vectors for a term of a pixel's sums, as fc_panels_cost counts it, less where products take several terms; of the
 * forward pass or the input gradient. */
double fc_igemm_cost(const fc_conv2d *conv, int transposed);
/* The time that a matrix unit takes for an implicit GEMM of these sizes, its weights packed before or not, as a share of what vectors take; 1
 * where there is none, or it takes no less. */
double fc_igemm_matrix_share(fc_dtype dtype, ptrdiff_t pixels, ptrdiff_t taps, ptrdiff_t depth, ptrdiff_t k, ptrdiff_t groups, int packed);
fc_status fc_wgrad(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
/* The same for NCHW, x along its planes, and whether that is the faster way. dw is not NULL. */
int fc_planes_backward_weights_pays(const fc_conv2d *conv);
/* db of NCHW. */
fc_status fc_planes_sum(const fc_conv2d *conv, const void *dy, void *db);
/* The same on a matrix unit, and its time as a share of what vectors take; 1 where there is none, or it takes no less. */
double fc_wgrad_share(const fc_conv2d *conv);
fc_status fc_wgrad_matrix(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
/* The same with the sums of x's channels in place of db: 1 x 1, stride 1, no padding, one group, NHWC. */
fc_status fc_wgrad_sum_input(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *sums);
/* The same for few output channels, and whether that is the faster way. */
int fc_wgrad_exchange_pays(const fc_conv2d *conv);
fc_status fc_wgrad_exchanged(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);

/* The gradient of the input with few channels, and whether that is the faster way. */
int fc_scattered_pays(const fc_conv2d *conv);
fc_status fc_scattered_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);

/* Vectors along the images, in either layout; the gradient of the input with stride 1. Whether that is the faster way: the rule for
 * the forward pass holds for the weight gradient too. */
fc_status fc_images_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
fc_status fc_images_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
fc_status fc_images_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
int fc_images_pay(const fc_conv2d *conv);
int fc_images_pay_backward_input(const fc_conv2d *conv);

/* Several groups of few channels as sums of depthwise convolutions, and whether that is the way. */
int fc_grouped_forward_applies(const fc_conv2d *conv);
int fc_grouped_backward_input_applies(const fc_conv2d *conv);
int fc_grouped_backward_weights_applies(const fc_conv2d *conv);
fc_status fc_grouped_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
fc_status fc_grouped_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
fc_status fc_grouped_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
/* All gradients in one pass over x and dy: FC_UNSUPPORTED, nothing done, unless each channel is a group of its own, or where that is not
 * the way. */
fc_status fc_grouped_backward(const fc_conv2d *conv, const void *dy, const void *x, const void *w, void *dx, void *dw, void *db);

/* 3x3 depthwise convolution of NHWC: all gradients in one pass over x and dy, and whether that is the way. Any of dx, dw and db may be NULL; w where
 * dx is, and x where dw and db are. */
int fc_depthwise_gradients_apply(const fc_conv2d *conv);
fc_status fc_depthwise_gradients(const fc_conv2d *conv, const void *dy, const void *x, const void *w, void *dx, void *dw, void *db);

/* Depthwise convolution of NCHW without transposing it, and whether that is the way. */
int fc_depthwise_planes_apply(const fc_conv2d *conv);
fc_status fc_depthwise_planes_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
fc_status fc_depthwise_planes_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
fc_status fc_depthwise_planes_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);

typedef enum { FC_FORWARD, FC_FORWARD_PACKED, FC_BACKWARD_INPUT, FC_BACKWARD_WEIGHTS, FC_PASSES } fc_pass;

/* Strided convolution of few channels by Winograd, its blocks of pixels folded into channels, and whether that is the faster way of a
 * pass. dw is not NULL. */
int fc_folded_pays(const fc_conv2d *conv, fc_pass pass);
fc_status fc_folded_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
ptrdiff_t fc_folded_weights_bytes(const fc_conv2d *conv);
fc_status fc_folded_pack_weights(const fc_conv2d *conv, const void *w, void *packed);
fc_status fc_folded_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);
fc_status fc_folded_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
fc_status fc_folded_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);

/* Whether Winograd can compute the convolution, and its three passes. */
int fc_winograd_applies(const fc_conv2d *conv);
fc_status fc_winograd_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
fc_status fc_winograd_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx);
fc_status fc_winograd_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db);
/* Whether Winograd applies and is the faster way: for the gradient of the input (transposed) or the forward pass, with weights that
 * were transformed before or not, and for the gradient of the weights. */
int fc_winograd_pays(const fc_conv2d *conv, int transposed);
int fc_winograd_pays_weights(const fc_conv2d *conv);
/* The same, where the direct way takes the time of so many multiply-adds; and how many that is for a convolution itself. */
int fc_winograd_pays_for(const fc_conv2d *conv, int transposed, int packed, double direct);
double fc_winograd_direct_cost(const fc_conv2d *conv, int transposed);
/* The pieces of a forward pass with packed weights, for fc_conv2d, or 0 if that is not the way: unless it pays, with FC_AUTO. */
int fc_winograd_pieces(const fc_conv2d *conv);
/* Weights transformed once for many forward passes, in a layout of the instruction set in use. */
ptrdiff_t fc_winograd_weights_bytes(const fc_conv2d *conv);
fc_status fc_winograd_transform_weights(const fc_conv2d *conv, const void *w, void *packed);
fc_status fc_winograd_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);

/* The forward pass of 2 to 4 channels, and whether that is the way. */
int fc_winograd_few_applies(const fc_conv2d *conv);
fc_status fc_winograd_few_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y);
ptrdiff_t fc_winograd_few_weights_bytes(const fc_conv2d *conv);
fc_status fc_winograd_few_transform_weights(const fc_conv2d *conv, const void *w, void *packed);
fc_status fc_winograd_few_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);
/* Along the planes of NCHW, which the passes above are then: whether that is the way, and the pass with those packed weights. */
int fc_winograd_few_planes_pay(const fc_conv2d *conv);
fc_status fc_winograd_few_planes_forward(const fc_conv2d *conv, const float *x, const float *u, const float *bias, float *y);

#endif
