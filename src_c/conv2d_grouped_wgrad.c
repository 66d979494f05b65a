/* The weight gradient of many groups of few channels: bands of output rows are summed in registers, one vector of channels at a time.
 * The rows of x that a band reads are spread to planes, as in conv2d_grouped.c, and copied with their padding. Tasks are chunks of
 * channels times parts of the bands; the parts are added up in order at the end. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    COPY_BYTES = 128 << 10, /* of x: a band and its dy stay in the second-level cache */
    MAX_PLANES = 4,        /* up to here planes beat a GEMM for each group, */
    MAX_TIMES = 8,         /* if the groups of dy are small as well */
    CHUNK = 64,            /* channels of a task, about */
    TASKS = 8              /* to aim at; like the chunks the parts depend on the shape alone */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *x, *dy;
    ptrdiff_t planes, times; /* channels of a group of x and of dy */
    ptrdiff_t chunk, chunks, parts;
    ptrdiff_t copy_w, band, bands; /* columns of a copied row, output rows of a band, bands of an image */
    char *acc;                     /* [parts][kh * kw * planes + 1][k], the sums of dy last; part 0 receives the total */
} wgrad;

static ptrdiff_t weight_rows(const wgrad *g) { return g->conv->kh * g->conv->kw * g->planes; }

static ptrdiff_t part_elements(const wgrad *g) { return (weight_rows(g) + 1) * g->conv->k; }

/* Rows of x that `rows` rows of dy see. */
static ptrdiff_t rows_seen(const wgrad *g, ptrdiff_t rows) {
    return (rows - 1) * g->conv->stride_h + (g->conv->kh - 1) * g->conv->dilation_h + 1;
}

/* Copies rows top .. top + rows - 1 of an image: [plane][row][column][channel]. */
static void copy_band(const wgrad *g, ptrdiff_t image, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t channels, ptrdiff_t step, void *to) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t row = g->copy_w * step;
    const fc_spread_args spread = {channels / g->times, g->planes, g->times, c->c, step, rows * row};
    for (ptrdiff_t r = 0; r < rows; r++) {
        const ptrdiff_t y = top + r, at = (image * c->h + y) * c->w * c->c + first / g->times * g->planes;
        fc_spread_padded_row(&g->kernels->depthwise, &spread, y < 0 || y >= c->h ? NULL : fc_at(g->x, at, g->esize), c->w,
                             -c->pad_left, fc_at_mut(to, r * row, g->esize), g->copy_w, g->esize);
    }
}

static fc_status band_task(const void *context, ptrdiff_t task) {
    const wgrad *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t chunk = task / g->parts, part = task % g->parts, all = c->n * g->bands;
    const ptrdiff_t first = chunk * g->chunk, channels = fc_min(g->chunk, c->k - first);
    const ptrdiff_t step = fc_round_up(channels, g->kernels->gemm.lanes);
    void *const copy = fc_scratch(FC_SLOT_TASK, (size_t)(rows_seen(g, g->band) * g->copy_w * step * g->planes * g->esize));
    if (!copy) return FC_NO_MEMORY;
    char *const acc = g->acc + (part * part_elements(g) + first) * g->esize;
    for (ptrdiff_t r = 0; r <= weight_rows(g); r++) memset(acc + r * c->k * g->esize, 0, (size_t)(channels * g->esize));
    fc_depthwise_wgrad_args args = {
        .x_step = step,
        .x_line = g->copy_w * step,
        .dy_step = c->k,
        .dy_line = c->ow * c->k,
        .row_advance = c->stride_h,
        .row_spread = c->dilation_h,
        .advance = c->stride_w,
        .spread = c->dilation_w,
        .pixels = c->ow,
        .rows = c->kh,
        .taps = c->kw,
        .channels = channels,
        .ldw = g->planes * c->k,
    };
    const ptrdiff_t last = all * (part + 1) / g->parts;
    for (ptrdiff_t b = all * part / g->parts; b < last; b++) {
        const ptrdiff_t image = b / g->bands, i0 = b % g->bands * g->band, rows = fc_min(g->band, c->oh - i0);
        const ptrdiff_t copied = rows_seen(g, rows);
        copy_band(g, image, i0 * c->stride_h - c->pad_top, copied, first, channels, step, copy);
        args.dy = fc_at(g->dy, (image * c->oh + i0) * c->ow * c->k + first, g->esize);
        args.lines = rows;
        for (ptrdiff_t j = 0; j < g->planes; j++) {
            args.x = fc_at(copy, j * copied * args.x_line, g->esize);
            args.acc = acc + j * c->k * g->esize;
            args.bias = j ? NULL : acc + weight_rows(g) * c->k * g->esize;
            g->kernels->depthwise.wgrad(&args);
        }
    }
    return FC_OK;
}

static void plan(wgrad *g) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t k = c->k;
    /* Whole groups, and whole lines of the cache if it can be. */
    const ptrdiff_t about = fc_max(1, CHUNK / g->planes);
    g->chunk = fc_min(k, fc_round_up(fc_ceil_div(k, fc_ceil_div(k, about)), FC_ALIGN / g->esize));
    if (g->times > 1) g->chunk = fc_min(k, fc_round_up(g->chunk, g->times));
    g->chunks = fc_ceil_div(k, g->chunk);
    g->copy_w = (c->ow - 1) * c->stride_w + (c->kw - 1) * c->dilation_w + 1;
    const ptrdiff_t row_bytes = g->copy_w * g->chunk * g->planes * g->esize, fits = COPY_BYTES / row_bytes - rows_seen(g, 1);
    g->band = fc_max(1, fc_min(c->oh, fits / c->stride_h + 1));
    g->bands = fc_ceil_div(c->oh, g->band);
    g->band = fc_ceil_div(c->oh, g->bands);
    g->bands = fc_ceil_div(c->oh, g->band);
    g->parts = fc_max(1, fc_min(c->n * g->bands, TASKS / g->chunks));
}

int fc_grouped_backward_weights_applies(const fc_conv2d *conv) {
    const ptrdiff_t planes = conv->c / conv->groups, times = conv->k / conv->groups;
    return conv->groups > 1 && (planes == 1 || (planes <= MAX_PLANES && times <= MAX_TIMES));
}

fc_status fc_grouped_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    wgrad g = {.conv = conv, .kernels = fc_kernels(conv->dtype), .esize = fc_esize(conv->dtype), .x = x, .dy = dy,
               .planes = conv->c / conv->groups, .times = conv->k / conv->groups};
    plan(&g);
    g.acc = fc_scratch(FC_SLOT_CALL, (size_t)(g.parts * part_elements(&g) * g.esize));
    if (!g.acc) return FC_NO_MEMORY;
    const double macs = (double)(conv->n * conv->oh) * (double)(conv->ow * conv->k) * (double)weight_rows(&g);
    const fc_status status = fc_parallel_for(g.chunks * g.parts, 4 * fc_macs_ns(macs), band_task, &g);
    if (status != FC_OK) return status;
    for (ptrdiff_t p = 1; p < g.parts; p++)
        g.kernels->frame.add_into(g.acc + p * part_elements(&g) * g.esize, g.acc, part_elements(&g));
    if (dw) memcpy(dw, g.acc, (size_t)(weight_rows(&g) * conv->k * g.esize));
    if (db) memcpy(db, g.acc + weight_rows(&g) * conv->k * g.esize, (size_t)(conv->k * g.esize));
    return FC_OK;
}
