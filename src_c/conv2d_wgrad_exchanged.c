/* The weight gradient of few output channels, or of many where dy would have to be turned, x and dy in exchanged roles. With stride 1
 *   dw[a][c][k] = sum over pixels p of x[p + a - pad][c] dy[p][k] = sum over pixels q of dy[q - a + pad][k] x[q][c],
 * which is the weight gradient of a convolution that reads dy and whose outputs have the gradient x, taps in reverse: its output channels
 * are the many, which fill vectors. */
#include "conv2d_internal.h"

#include <assert.h>

/* What exchanging costs beside, and what few rows of the product lose: it has to be so many times better. */
#define GAIN 1.5
#define SINGLE_GAIN 1.1
#define PLANAR_GAIN 1.25

static fc_conv2d exchanged(const fc_conv2d *conv) {
    fc_conv2d e = *conv;
    e.h = conv->oh, e.w = conv->ow, e.c = conv->k;
    e.oh = conv->h, e.ow = conv->w, e.k = conv->c;
    e.pad_top = (conv->kh - 1) * conv->dilation_h - conv->pad_top;
    e.pad_left = (conv->kw - 1) * conv->dilation_w - conv->pad_left;
    return e;
}

/* Multiply-adds, those of empty lanes included, by what they cost. */
static double products(const fc_conv2d *conv) {
    const fc_panels panels = fc_panels_plan(&fc_kernels(conv->dtype)->gemm, conv->k / conv->groups, 1);
    return (double)(conv->oh * conv->ow) * (double)(conv->c * fc_panels_cost(&panels)) * panels.main->nr / panels.main->cost;
}

/* Whether x and dy have the same pixels, which are read where they are, in either role. */
static int single(const fc_conv2d *conv) {
    return conv->layout == FC_NHWC && conv->groups == 1 && conv->kh == 1 && conv->kw == 1 && conv->pad_top == 0 && conv->pad_left == 0 &&
           conv->oh == conv->h && conv->ow == conv->w;
}

/* The same of NCHW, whose dy is turned, and whose windows are copied where they reach over x. */
static double turned(const fc_conv2d *conv) {
    const double turn = 30, copy = conv->pad_top > 0 || conv->pad_left > 0 ? 8 : 0;
    return (double)(conv->kh * conv->kw) * products(conv) + turn * (double)(conv->oh * conv->ow * conv->k) +
           copy * (double)(conv->h * conv->w * conv->c);
}

int fc_wgrad_exchange_pays(const fc_conv2d *conv) {
    if (conv->stride_h > 1 || conv->stride_w > 1 || (conv->groups > 1 && conv->layout == FC_NCHW)) return 0;
    const fc_conv2d e = exchanged(conv);
    if (e.pad_top < 0 || e.pad_left < 0) return 0;
    if (conv->layout == FC_NCHW) return e.k >= fc_kernels(conv->dtype)->gemm.panel[0].nr && turned(conv) > PLANAR_GAIN * turned(&e);
    if (single(conv)) return products(conv) > SINGLE_GAIN * products(&e);
    return conv->c > conv->k && products(conv) > GAIN * products(&e);
}

static fc_status sum_gradient(const fc_conv2d *conv, const void *x, const void *dy, void *db) {
    return conv->layout == FC_NCHW ? fc_planes_sum(conv, dy, db) : fc_wgrad(conv, x, dy, NULL, db);
}

fc_status fc_wgrad_exchanged(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    assert(fc_wgrad_exchange_pays(conv));
    const fc_conv2d e = exchanged(conv);
    const int sums_input = single(conv);
    if (!dw) return sums_input ? fc_wgrad_sum_input(&e, dy, x, NULL, db) : sum_gradient(conv, x, dy, db);
    const ptrdiff_t taps = conv->kh * conv->kw, c = conv->c / conv->groups, k = conv->k / conv->groups, tap = c * conv->k,
                    esize = fc_esize(conv->dtype);
    void *const rotated = fc_scratch(FC_SLOT_FOLDED, (size_t)(taps * tap * esize)); /* dw as [reversed tap][k of a group][c] */
    if (!rotated) return FC_NO_MEMORY;
    fc_status status = sums_input ? fc_wgrad_sum_input(&e, dy, x, rotated, db) : fc_wgrad(&e, dy, x, rotated, NULL);
    if (status == FC_OK && db && !sums_input) status = sum_gradient(conv, x, dy, db);
    for (ptrdiff_t t = 0; t < taps && status == FC_OK; t++)
        for (ptrdiff_t group = 0; group < conv->groups; group++)
            fc_kernels(conv->dtype)
                ->frame.transpose(fc_at(rotated, (taps - 1 - t) * tap + group * c, esize), conv->c, fc_at_mut(dw, t * tap + group * k, esize),
                                  conv->k, k, c);
    return status;
}
