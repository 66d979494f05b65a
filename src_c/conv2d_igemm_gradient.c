/* The input gradient as implicit GEMMs. With stride s it splits into s * s phases: the input pixels of one phase see the same taps. */
#include "conv2d_igemm.h"

#include <string.h>

/* Rows y0, y0 + step_h, ... of one image of the output. */
static fc_status clear_task(const void *context, ptrdiff_t n) {
    const fc_igemm *const g = context;
    const ptrdiff_t row = g->ow * g->ldy;
    for (ptrdiff_t i = g->y0; i < g->oh; i += g->step_h) memset(fc_at_mut(g->y, (n * g->oh + i) * row, g->esize), 0, (size_t)(row * g->esize));
    return FC_OK;
}

/* Whether some tap reaches the rows y0, y0 + stride_h, ... of the input. */
static int row_is_read(const fc_conv2d *conv, ptrdiff_t y0) {
    for (ptrdiff_t a = 0; a < conv->kh; a++)
        if ((y0 + conv->pad_top - a * conv->dilation_h) % conv->stride_h == 0) return 1;
    return 0;
}

/* dx at input pixel y is the sum over taps a with (y + pad - a * dilation) divisible by the stride of dy at the quotient. */
fc_status fc_igemm_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    fc_igemm g = {
        .all_pixels = fc_whole_pixels(conv),
        .kernels = fc_kernels(conv->dtype),
        .esize = fc_esize(conv->dtype),
        .n = conv->n,
        .groups = conv->groups,
        .x = dy,
        .h = conv->oh,
        .w = conv->ow,
        .ldx = conv->k,
        .depth = conv->k / conv->groups,
        .stride_h = 1,
        .stride_w = 1,
        .y = dx,
        .oh = conv->h,
        .ow = conv->w,
        .ldy = conv->c,
        .k = conv->c / conv->groups,
        .step_h = conv->stride_h,
        .step_w = conv->stride_w,
        .weights = w,
        .transposed = 1,
        .beside = 1,
        .activation = FC_LINEAR,
    };
    g.tap = fc_scratch(FC_SLOT_CALL2, (size_t)(conv->kh * conv->kw) * sizeof *g.tap);
    if (!g.tap) return FC_NO_MEMORY;
    for (g.y0 = 0; g.y0 < fc_min(conv->stride_h, conv->h); g.y0++) {
        if (!row_is_read(conv, g.y0)) {
            const fc_status status = fc_parallel_for(g.n, (double)(g.n * g.oh * g.ow) * (double)g.ldy * 0.1, clear_task, &g);
            if (status != FC_OK) return status;
            continue;
        }
        for (g.x0 = 0; g.x0 < fc_min(conv->stride_w, conv->w); g.x0++) {
            g.grid_h = fc_ceil_div(conv->h - g.y0, conv->stride_h);
            g.grid_w = fc_ceil_div(conv->w - g.x0, conv->stride_w);
            g.taps = 0;
            for (ptrdiff_t a = conv->kh - 1; a >= 0; a--)
                for (ptrdiff_t b = conv->kw - 1; b >= 0; b--) {
                    const ptrdiff_t y = g.y0 + conv->pad_top - a * conv->dilation_h;
                    const ptrdiff_t x = g.x0 + conv->pad_left - b * conv->dilation_w;
                    if (y % conv->stride_h || x % conv->stride_w) continue;
                    g.tap[g.taps++] = (fc_tap){y / conv->stride_h, x / conv->stride_w, a * conv->kw + b, 0};
                }
            const fc_status status = fc_igemm_run(&g);
            if (status != FC_OK) return status;
        }
    }
    return FC_OK;
}
