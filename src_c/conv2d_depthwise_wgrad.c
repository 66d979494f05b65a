/* The weight gradient of depthwise convolution: bands of output rows are summed in registers, one vector of channels at a time.
 * Tasks are chunks of channels times parts of the bands; the parts are added up in order at the end. If the multiplier is above 1,
 * the rows of x that a band reads are copied with their channels repeated. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    BAND_ELEMENTS = 1 << 16, /* of x or dy: a band and the one after it stay in the second-level cache */
    CHUNK = 256,             /* channels of a task, about */
    TASKS = 8                /* to aim at; like the chunks the parts depend on the shape alone */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *x, *dy;
    ptrdiff_t multiplier;
    ptrdiff_t chunk, chunks, parts;
    ptrdiff_t band, bands; /* output rows of a band, bands of an image */
    char *acc;             /* [parts][kh * kw + 1][k], the sums of dy last; part 0 receives the total */
} wgrad;

static ptrdiff_t part_elements(const wgrad *g) { return (g->conv->kh * g->conv->kw + 1) * g->conv->k; }

static ptrdiff_t band_rows(const wgrad *g) {
    const fc_conv2d *const c = g->conv;
    return fc_min(c->h, (g->band - 1) * c->stride_h + (c->kh - 1) * c->dilation_h + 1);
}

/* Reads from rows first .. end - 1 of an image, repeated to channels of the output. */
static void repeat_band(const wgrad *g, ptrdiff_t image, ptrdiff_t first, ptrdiff_t end, ptrdiff_t channel, ptrdiff_t channels, char *to) {
    const fc_conv2d *const c = g->conv;
    const void *const from = fc_at(g->x, (image * c->h + first) * c->w * c->c + channel / g->multiplier, g->esize);
    for (ptrdiff_t pixel = 0; pixel < (end - first) * c->w; pixel++)
        g->kernels->depthwise.repeat(fc_at(from, pixel * c->c, g->esize), to + pixel * channels * g->esize, channels / g->multiplier,
                                     g->multiplier);
}

static fc_status band_task(const void *context, ptrdiff_t task) {
    const wgrad *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t chunk = task / g->parts, part = task % g->parts, all = c->n * g->bands;
    const ptrdiff_t first = chunk * g->chunk, channels = fc_min(g->chunk, c->k - first);
    char *copy = NULL;
    if (g->multiplier > 1) {
        copy = fc_scratch(FC_SLOT_TASK, (size_t)(band_rows(g) * c->w * channels * g->esize));
        if (!copy) return FC_NO_MEMORY;
    }
    char *const acc = g->acc + (part * part_elements(g) + first) * g->esize;
    for (ptrdiff_t t = 0; t <= c->kh * c->kw; t++) memset(acc + t * c->k * g->esize, 0, (size_t)(channels * g->esize));
    fc_depthwise_wgrad_args args = {
        .x_step = copy ? channels : c->c,
        .x_line = c->w * (copy ? channels : c->c),
        .dy_step = c->k,
        .dy_line = c->ow * c->k,
        .row_advance = c->stride_h,
        .row_spread = c->dilation_h,
        .first_column = -c->pad_left,
        .advance = c->stride_w,
        .spread = c->dilation_w,
        .columns = c->w,
        .pixels = c->ow,
        .rows = c->kh,
        .taps = c->kw,
        .channels = channels,
        .acc = acc,
        .ldw = c->k,
        .bias = acc + c->kh * c->kw * c->k * g->esize,
    };
    const ptrdiff_t last = all * (part + 1) / g->parts;
    for (ptrdiff_t b = all * part / g->parts; b < last; b++) {
        const ptrdiff_t image = b / g->bands, i0 = b % g->bands * g->band, lines = fc_min(g->band, c->oh - i0);
        const ptrdiff_t top = i0 * c->stride_h - c->pad_top, end = top + (lines - 1) * c->stride_h + (c->kh - 1) * c->dilation_h + 1;
        args.dy = fc_at(g->dy, (image * c->oh + i0) * c->ow * c->k + first, g->esize);
        args.lines = lines;
        args.first_row = top;
        args.rows_of_x = c->h;
        if (copy) {
            const ptrdiff_t from = fc_min(fc_max(0, top), c->h), rows = fc_max(0, fc_min(c->h, end) - from);
            repeat_band(g, image, from, from + rows, first, channels, copy);
            args.x = copy;
            args.first_row = top - from;
            args.rows_of_x = rows;
        } else {
            args.x = fc_at(g->x, image * c->h * c->w * c->c + first, g->esize);
            args.fetch = b + 1 < last;
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
    g.band = fc_max(1, fc_min(conv->oh, BAND_ELEMENTS / (fc_max(conv->stride_h * conv->w, conv->ow) * g.chunk)));
    g.bands = fc_ceil_div(conv->oh, g.band);
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
