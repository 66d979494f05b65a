/* Both gradients of 3x3 depthwise convolution in one pass over x and dy. Tasks are parts of the rows of x, of all images; each has sums of its
 * own, which are added up in order. Where only one gradient is asked for, the other one is computed as well, and forgotten: its bytes do not
 * depend on that. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    PARTS = 16,           /* to aim at; they depend on the shape alone */
    PART_PIXELS = 8,      /* of a part, for each sum of a channel */
    TASKS = 8,            /* if parts are fewer channels are cut, */
    CHUNK_BYTES = 256,    /* into pieces of at least so much */
    WALK = 28,            /* steps in one call, about: they are worth the loads and stores of the sums, */
    LINES = 14,           /* and lines of that */
    SUMS = 10,            /* of a channel: of 9 taps, and of dy */
    FLAT_PIXELS = 3       /* so many pixels that fill a vector are better taken together */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_depthwise_kernels *kernels;
    ptrdiff_t esize;
    const void *dy, *x, *w, *zeros;
    void *dx;
    char *acc;
    ptrdiff_t rows, steps;                  /* steps of the walk through the rows of an image, and along one */
    ptrdiff_t parts, chunk, chunks, slots, lines;
} gradients;

/* With stride 1 the gradient of the input alone is that of walks, to the last bit: images are wide enough for them. */
int fc_depthwise_gradients_apply(const fc_conv2d *conv) {
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    const ptrdiff_t s = conv->stride_h, c = conv->c, lanes = kernels->gemm.lanes;
    return kernels->depthwise.gradients && s >= (kernels->depthwise.gradients_dense ? 1 : 2) && conv->groups == c && conv->k == c && conv->kh == 3 &&
           conv->kw == 3 && conv->stride_w == s && s <= 2 && conv->dilation_h == 1 && conv->dilation_w == 1 && conv->pad_top < 3 &&
           conv->pad_left < 3 && conv->w >= 3 && conv->n > 0 && conv->oh <= fc_stride_steps(conv->h, conv->pad_top, s) &&
           conv->ow <= fc_stride_steps(conv->w, conv->pad_left, s) && conv->ow * c >= lanes &&
           (c >= lanes || (kernels->depthwise.partial && FLAT_PIXELS * c > lanes));
}

/* Steps first .. first + lines - 1 through the rows of an image, some channels. */
static void run_lines(const gradients *g, fc_depthwise_gradients_args *args, ptrdiff_t image, ptrdiff_t first, ptrdiff_t lines, ptrdiff_t channel,
                      void *scratch) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t s = c->stride_h, live = 2 / s + 1, row = c->w * c->c, dy_row = c->ow * c->c;
    const ptrdiff_t top = first * s - c->pad_top % s, dy_top = first + c->pad_top / s - (live - 1);
    const void *x[2 * LINES], *dy[LINES + 2];
    void *dx[2 * LINES];
    for (ptrdiff_t i = 0; i < lines * s; i++) {
        const int inside = top + i >= 0 && top + i < c->h;
        const ptrdiff_t at = (image * c->h + top + i) * row + channel;
        x[i] = inside && g->x ? fc_at(g->x, at, g->esize) : g->zeros;
        dx[i] = inside && g->dx ? fc_at_mut(g->dx, at, g->esize) : scratch;
    }
    for (ptrdiff_t i = 0; i < lines + live - 1; i++) {
        const int inside = dy_top + i >= 0 && dy_top + i < c->oh;
        dy[i] = inside ? fc_at(g->dy, (image * c->oh + dy_top + i) * dy_row + channel, g->esize) : g->zeros;
    }
    args->x = x, args->dy = dy, args->dx = dx;
    args->lines = lines;
    const ptrdiff_t next = image * c->h + top + lines * s, dy_next = image * c->oh + dy_top + lines + live - 1;
    args->x_next = g->x && next < c->n * c->h ? fc_at(g->x, next * row + channel, g->esize) : x[0];
    /* Narrow images have all of a call's rows in the caches while channels are gone through. */
    args->dx_next = g->dx && g->lines == 1 && next < c->n * c->h ? fc_at(g->dx, next * row + channel, g->esize) : NULL;
    args->dy_next = dy_next < c->n * c->oh ? fc_at(g->dy, dy_next * dy_row + channel, g->esize) : dy[0];
    g->kernels->gradients(args);
}

static fc_status gradients_task(const void *context, ptrdiff_t task) {
    const gradients *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t chunk = task / g->parts, part = task % g->parts, channel = chunk * g->chunk, all = c->n * g->rows;
    void *const scratch = fc_scratch(FC_SLOT_TASK, (size_t)(c->w * c->c * g->esize));
    if (!scratch) return FC_NO_MEMORY;
    fc_depthwise_gradients_args args = {
        .w = fc_at(g->w ? g->w : g->zeros, channel, g->esize),
        .acc = g->acc + (part * SUMS * g->slots + channel) * g->esize,
        .stride = c->stride_h,
        .steps = g->steps,
        .column = c->pad_left % c->stride_w,
        .width = c->w,
        .dy_row = c->pad_top / c->stride_h,
        .dy_column = c->pad_left / c->stride_w,
        .dy_width = c->ow,
        .channels = chunk == g->chunks - 1 ? c->c - channel : g->chunk,
        .step = c->c,
        .ldw = g->slots,
    };
    const ptrdiff_t end = all * (part + 1) / g->parts;
    for (ptrdiff_t i = all * part / g->parts, lines; i < end; i += lines) {
        lines = fc_min(g->lines, fc_min(end - i, g->rows - i % g->rows));
        run_lines(g, &args, i / g->rows, i % g->rows, lines, channel, scratch);
    }
    return FC_OK;
}

/* Rows of sums -> rows of dw or db. The last vector may overlap the one before it. */
static void unpack(const gradients *g, ptrdiff_t row, ptrdiff_t rows, void *to) {
    const ptrdiff_t c = g->conv->c, lanes = fc_kernels(g->conv->dtype)->gemm.lanes, rest = c < lanes ? 0 : c % lanes, whole = c - rest;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const char *const from = g->acc + (row + r) * g->slots * g->esize;
        memcpy(fc_at_mut(to, r * c, g->esize), from, (size_t)(whole * g->esize));
        memcpy(fc_at_mut(to, r * c + whole, g->esize), from + (whole + lanes - rest) * g->esize, (size_t)(rest * g->esize));
    }
}

fc_status fc_depthwise_gradients(const fc_conv2d *conv, const void *dy, const void *x, const void *w, void *dx, void *dw, void *db) {
    assert(fc_depthwise_gradients_apply(conv));
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    gradients g = {.conv = conv, .kernels = &kernels->depthwise, .esize = fc_esize(conv->dtype), .dy = dy, .x = x, .w = w, .dx = dx};
    g.rows = fc_stride_steps(conv->h, conv->pad_top, conv->stride_h);
    g.steps = fc_stride_steps(conv->w, conv->pad_left, conv->stride_w);
    g.slots = fc_round_up(conv->c, kernels->gemm.lanes);
    g.parts = fc_max(1, fc_min(conv->n * g.rows, fc_min(PARTS, conv->n * conv->oh * conv->ow / (PART_PIXELS * SUMS))));
    g.chunk = fc_round_up(fc_max(conv->c * g.parts / TASKS, CHUNK_BYTES / g.esize), FC_ALIGN / g.esize);
    g.chunks = fc_max(1, conv->c / g.chunk);
    g.lines = fc_max(1, fc_min(LINES, WALK / g.steps));
    const ptrdiff_t zeros = fc_max(9, fc_max(conv->w, conv->ow)) * conv->c * g.esize, sums = SUMS * g.slots;
    void *const memory = fc_scratch(FC_SLOT_CALL, (size_t)zeros);
    g.acc = fc_scratch(FC_SLOT_CALL2, (size_t)(g.parts * sums * g.esize));
    if (!memory || !g.acc) return FC_NO_MEMORY;
    g.zeros = memset(memory, 0, (size_t)zeros);
    memset(g.acc, 0, (size_t)(g.parts * sums * g.esize));
    const double macs = (double)(conv->n * conv->oh) * (double)(conv->ow * conv->c) * 9;
    const fc_status status = fc_parallel_for(g.chunks * g.parts, 8 * fc_macs_ns(macs), gradients_task, &g);
    if (status != FC_OK) return status;
    for (ptrdiff_t p = 1; p < g.parts; p++) kernels->frame.add_into(g.acc + p * sums * g.esize, g.acc, sums);
    if (dw) unpack(&g, 0, SUMS - 1, dw);
    if (db) unpack(&g, SUMS - 1, 1, db);
    return FC_OK;
}
