/* The input gradient of few pixels, as an implicit GEMM in exchanged roles. With stride 1
 *   dx[p][c] = sum over taps a and output channels k of dy[p - a + pad][k] w[a][c][k],
 * where w has many numbers that are each needed for few pixels. As the operand on the right it would have to be turned first. Here its rows, which lie as they
 * are read, are the pixels of the product, and the pixels of dx its columns: only dy is turned, once for each tap. */
#include "conv2d_igemm.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const fc_conv2d *conv;
    const fc_igemm *g;
    const void *dy;
    void *packed; /* [panel][tap][k][nr], or [tap][pixel][k] for the dot kernels */
    void *dx;
} exchanged;

enum { TURN_CHANNELS = 128 };

/* To turn a number takes as long as so many multiply-adds. */
#define TURN 39.0

int fc_igemm_exchange_pays(const fc_conv2d *conv) {
    if (conv->groups > 1 || conv->stride_h > 1 || conv->stride_w > 1) return 0;
    const fc_gemm_kernels *const gemm = &fc_kernels(conv->dtype)->gemm;
    const ptrdiff_t pixels = fc_whole_pixels(conv) / (conv->oh * conv->ow) * conv->h * conv->w;
    if (pixels == 0 || pixels > conv->c) return 0;
    const fc_panels channels = fc_panels_plan(gemm, conv->c, conv->k), columns = fc_panels_plan(gemm, pixels, 1);
    const double c = (double)conv->c, p = (double)pixels;
    return (double)fc_panels_cost(&columns) + TURN * p / c < p * (double)fc_panels_cost(&channels) / c + TURN;
}

/* What a tap reads for row y of an image, as far as that lies inside of dy. */
static void turn_row(const exchanged *e, ptrdiff_t tap, ptrdiff_t n, ptrdiff_t y) {
    const fc_conv2d *const conv = e->conv;
    const fc_igemm *const g = e->g;
    const ptrdiff_t from_y = y + conv->pad_top - tap / conv->kw * conv->dilation_h, shift = conv->pad_left - tap % conv->kw * conv->dilation_w;
    if (from_y < 0 || from_y >= conv->oh) return;
    const ptrdiff_t begin = fc_max(0, -shift), end = fc_min(conv->w, conv->ow - shift), row = (n * conv->h + y) * conv->w;
    if (begin >= end) return;
    const void *const source = fc_at(e->dy, ((n * conv->oh + from_y) * conv->ow + shift) * conv->k, g->esize);
    if (g->dot) {
        void *const to = fc_at_mut(e->packed, (tap * g->k + row + begin) * conv->k, g->esize);
        memcpy(to, fc_at(source, begin * conv->k, g->esize), (size_t)((end - begin) * conv->k * g->esize));
        return;
    }
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels); i++) {
        const fc_panel p = fc_panels_get(&g->panels, i);
        const ptrdiff_t first = fc_max(row + begin, p.first), last = fc_min(row + end, p.first + p.columns), nr = p.kernels->nr;
        if (first >= last) continue;
        const void *const from = fc_at(source, (first - row) * conv->k, g->esize);
        char *const to = fc_at_mut(e->packed, (p.first * g->taps + tap * nr) * conv->k + first - p.first, g->esize);
        g->kernels->frame.transpose(from, conv->k, to, nr, last - first, conv->k);
    }
}

/* What one tap reads. */
static fc_status turn_task(const void *context, ptrdiff_t tap) {
    const exchanged *const e = context;
    const fc_igemm *const g = e->g;
    if (g->dot) memset(fc_at_mut(e->packed, tap * g->k * g->depth, g->esize), 0, (size_t)(g->k * g->depth * g->esize));
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels) && !g->dot; i++) {
        const fc_panel p = fc_panels_get(&g->panels, i);
        memset(fc_at_mut(e->packed, (p.first * g->taps + tap * p.kernels->nr) * g->depth, g->esize), 0,
               (size_t)(p.kernels->nr * g->depth * g->esize));
    }
    for (ptrdiff_t n = 0; n < e->conv->n; n++)
        for (ptrdiff_t y = 0; y < e->conv->h; y++) turn_row(e, tap, n, y);
    return FC_OK;
}

/* Some channels of the result, which each thread turns where it has just made them. */
static fc_status turn_back_task(const void *context, ptrdiff_t task) {
    const exchanged *const e = context;
    const fc_igemm *const g = e->g;
    const ptrdiff_t first = task * TURN_CHANNELS, count = fc_min(TURN_CHANNELS, e->conv->c - first);
    g->kernels->frame.transpose(fc_at(g->y, first * g->k, g->esize), g->k, fc_at_mut(e->dx, first, g->esize), e->conv->c, count, g->k);
    return FC_OK;
}

fc_status fc_igemm_backward_input_exchanged(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    assert(fc_igemm_exchange_pays(conv));
    const ptrdiff_t taps = conv->kh * conv->kw, esize = fc_esize(conv->dtype), pixels = conv->n * conv->h * conv->w;
    if (pixels == 0) return FC_OK;
    fc_igemm g = {
        .all_pixels = conv->c,
        .kernels = fc_kernels(conv->dtype),
        .esize = esize,
        .n = 1,
        .groups = 1,
        .x = w,
        .h = taps,
        .w = conv->c,
        .ldx = conv->k,
        .depth = conv->k,
        .grid_h = 1,
        .grid_w = conv->c,
        .stride_h = 1,
        .stride_w = 1,
        .oh = 1,
        .ow = conv->c,
        .ldy = pixels,
        .k = pixels,
        .step_h = 1,
        .step_w = 1,
        .activation = FC_LINEAR,
        .taps = taps,
        .single_terms = 1,
    };
    g.tap = fc_scratch(FC_SLOT_CALL2, (size_t)taps * sizeof *g.tap);
    fc_igemm_plan_panels(&g);
    const ptrdiff_t packed = fc_round_up(g.packed_group * esize, FC_ALIGN);
    char *const space = fc_scratch(FC_SLOT_FOLDED, (size_t)(packed + conv->c * pixels * esize));
    if (!g.tap || !space) return FC_NO_MEMORY;
    for (ptrdiff_t t = 0; t < taps; t++) g.tap[t] = (fc_tap){t, 0, t, 0};
    g.packed = space, g.y = space + packed;
    const exchanged e = {conv, &g, dy, space, dx};
    fc_status status = fc_parallel_for(taps, (double)(g.packed_group), turn_task, &e);
    if (status == FC_OK) status = fc_igemm_run(&g);
    if (status != FC_OK) return status;
    return fc_parallel_for(fc_ceil_div(conv->c, TURN_CHANNELS), 0.3 * (double)(conv->c * pixels), turn_back_task, &e);
}
