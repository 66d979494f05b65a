/* The weight gradient of depthwise convolution: bands of output rows are summed in registers, one vector of channels at a time.
 * Padding is copied with the band of x, and the channels of x are repeated there if the multiplier is above 1.
 *
 * Tasks are chunks of channels times parts of the bands; the parts are added up in order at the end. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    BAND_ELEMENTS = 1 << 15, /* of x: a band stays in the second-level cache */
    CHUNK = 64,              /* channels of a task, about */
    TASKS = 8                /* to aim at; like the chunks the parts depend on the shape alone */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *x, *dy;
    ptrdiff_t multiplier;
    ptrdiff_t chunk, chunks, parts;
    ptrdiff_t band, bands;          /* output rows of a band, bands of an image */
    ptrdiff_t copy_h, copy_w;       /* rows and columns of x that a band reads, with padding */
    int copies;
    char *acc;                      /* [parts][kh * kw + 1][k], the sums of dy last; part 0 receives the total */
} wgrad;

static ptrdiff_t part_elements(const wgrad *g) { return (g->conv->kh * g->conv->kw + 1) * g->conv->k; }

/* Copies channels first .. first + channels - 1 (of k) of the rows that start at row `top`, with padding. */
static void copy_band(const wgrad *g, const void *x, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t channels, char *to) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t row = g->copy_w * channels * g->esize, before = fc_min(c->pad_left, g->copy_w);
    const ptrdiff_t inside = fc_min(c->w, g->copy_w - before);
    for (ptrdiff_t r = top; r < top + rows; r++, to += row) {
        if (r < 0 || r >= c->h || !inside) {
            memset(to, 0, (size_t)row);
            continue;
        }
        const void *const from = fc_at(x, r * c->w * c->c + first / g->multiplier, g->esize);
        char *const columns = to + before * channels * g->esize, *const after = columns + inside * channels * g->esize;
        memset(to, 0, (size_t)(columns - to));
        if (g->multiplier == 1) {
            g->kernels->pool.copy_columns(from, c->c, columns, channels, inside, channels);
        } else {
            for (ptrdiff_t s = 0; s < inside; s++)
                g->kernels->depthwise.repeat(fc_at(from, s * c->c, g->esize), columns + s * channels * g->esize,
                                             channels / g->multiplier, g->multiplier);
        }
        memset(after, 0, (size_t)(to + row - after));
    }
}

static fc_status band_task(const void *context, ptrdiff_t task) {
    const wgrad *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t chunk = task / g->parts, part = task % g->parts, all = c->n * g->bands;
    const ptrdiff_t first = chunk * g->chunk, channels = fc_min(g->chunk, c->k - first);
    char *copy = NULL;
    if (g->copies) {
        copy = fc_scratch(FC_SLOT_TASK, (size_t)(g->copy_h * g->copy_w * channels * g->esize));
        if (!copy) return FC_NO_MEMORY;
    }
    char *const acc = g->acc + (part * part_elements(g) + first) * g->esize;
    for (ptrdiff_t t = 0; t <= c->kh * c->kw; t++) memset(acc + t * c->k * g->esize, 0, (size_t)(channels * g->esize));
    fc_depthwise_wgrad_args args = {
        .pixels = c->ow,
        .dy_step = c->k,
        .dy_line = c->ow * c->k,
        .rows = c->kh,
        .taps = c->kw,
        .channels = channels,
        .acc = acc,
        .ldw = c->k,
        .bias = acc + c->kh * c->kw * c->k * g->esize,
    };
    const ptrdiff_t pixel = g->copies ? channels : c->c, row = (g->copies ? g->copy_w : c->w) * pixel;
    args.x_step = c->stride_w * pixel;
    args.tap_step = c->dilation_w * pixel;
    args.x_line = c->stride_h * row;
    args.row_step = c->dilation_h * row;
    for (ptrdiff_t b = all * part / g->parts; b < all * (part + 1) / g->parts; b++) {
        const ptrdiff_t image = b / g->bands, i0 = b % g->bands * g->band, top = i0 * c->stride_h - c->pad_top;
        const void *const x = fc_at(g->x, image * c->h * c->w * c->c, g->esize);
        args.lines = fc_min(g->band, c->oh - i0);
        args.dy = fc_at(g->dy, (image * c->oh + i0) * c->ow * c->k + first, g->esize);
        if (g->copies) {
            copy_band(g, x, top, (args.lines - 1) * c->stride_h + (c->kh - 1) * c->dilation_h + 1, first, channels, copy);
            args.x = copy;
        } else {
            args.x = fc_at(x, top * row + first, g->esize);
        }
        g->kernels->depthwise.wgrad(&args);
    }
    return FC_OK;
}

fc_status fc_depthwise_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    assert(conv->groups == conv->c && conv->k % conv->c == 0);
    const ptrdiff_t taps = conv->kh * conv->kw, k = conv->k;
    wgrad g = {.conv = conv, .kernels = fc_kernels(conv->dtype), .esize = fc_esize(conv->dtype), .x = x, .dy = dy};
    g.multiplier = k / conv->c;
    /* Whole vectors, and whole channels of x. */
    g.chunk = fc_min(k, fc_round_up(fc_ceil_div(k, fc_ceil_div(k, CHUNK)), 16));
    if (g.multiplier > 1) g.chunk = fc_round_up(g.chunk, g.multiplier);
    g.chunks = fc_ceil_div(k, g.chunk);
    g.copy_w = (conv->ow - 1) * conv->stride_w + (conv->kw - 1) * conv->dilation_w + 1;
    g.band = fc_max(1, fc_min(conv->oh, BAND_ELEMENTS / (conv->stride_h * g.copy_w * g.chunk)));
    g.bands = fc_ceil_div(conv->oh, g.band);
    g.copy_h = (g.band - 1) * conv->stride_h + (conv->kh - 1) * conv->dilation_h + 1;
    const ptrdiff_t bottom = (conv->oh - 1) * conv->stride_h - conv->pad_top + (conv->kh - 1) * conv->dilation_h;
    g.copies = g.multiplier > 1 || conv->pad_top || conv->pad_left || bottom >= conv->h || g.copy_w > conv->w;
    g.parts = fc_max(1, fc_min(conv->n * g.bands, TASKS / g.chunks));
    g.acc = fc_scratch(FC_SLOT_CALL, (size_t)(g.parts * part_elements(&g) * g.esize));
    if (!g.acc) return FC_NO_MEMORY;
    const double macs = (double)(conv->n * conv->oh) * (double)(conv->ow * k) * (double)taps;
    const fc_status status = fc_parallel_for(g.chunks * g.parts, 4 * fc_macs_ns(macs), band_task, &g);
    if (status != FC_OK) return status;
    for (ptrdiff_t p = 1; p < g.parts; p++)
        g.kernels->frame.add_into(g.acc + p * part_elements(&g) * g.esize, g.acc, part_elements(&g));
    if (dw) memcpy(dw, g.acc, (size_t)(taps * k * g.esize));
    if (db) memcpy(db, g.acc + taps * k * g.esize, (size_t)(k * g.esize));
    return FC_OK;
}
