/* Depthwise convolution: every channel is filtered alone. Vectors run along the channels, so nothing is packed.
 *
 * Forward and input gradient are one map from rows to rows, with two ways of finding the taps. Kernel rows outside of the image
 * are left out here, kernel columns by the kernel. With a multiplier m > 1 the map runs on c * m channels: rows of x are repeated
 * first, rows of dx folded at the end. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

/* Output elements of one task. */
enum { TASK_ELEMENTS = 1 << 15 };

/* The taps, along one axis, of the output positions first + m * step, m >= 0: tap t is at input position
 * base + m * advance + t * spread and has the weight source + t * source_step. */
typedef struct {
    ptrdiff_t first, step;
    ptrdiff_t base, advance, spread, taps;
    ptrdiff_t source, source_step;
} phase;

static ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) {
    while (b) {
        const ptrdiff_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static phase forward_phase(ptrdiff_t first, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad) {
    const phase p = {first, 1, first * stride - pad, stride, dilation, taps, 0, 1};
    return p;
}

/* Position s of dx receives from position (s + pad - tap * dilation) / stride of dy by the taps for which that is an integer:
 * from some tap on, every (stride / gcd(stride, dilation))th. They are taken last tap first. */
static phase gradient_phase(ptrdiff_t first, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad) {
    const ptrdiff_t g = gcd(stride, dilation), every = stride / g;
    phase p = {.first = first, .step = stride, .advance = 1, .spread = dilation / g, .source_step = -every};
    ptrdiff_t tap = 0;
    while (tap < fc_min(taps, every) && (first + pad - tap * dilation) % stride) tap++;
    if (tap == fc_min(taps, every)) return p;
    p.taps = (taps - 1 - tap) / every + 1;
    p.source = tap + (p.taps - 1) * every;
    p.base = (first + pad - p.source * dilation) / stride;
    return p;
}

/* Taps first <= t < end at start + t * spread are within 0 .. size - 1. */
typedef struct {
    ptrdiff_t first, end;
} span;
static span clip(ptrdiff_t start, ptrdiff_t spread, ptrdiff_t taps, ptrdiff_t size) {
    const span s = {start < 0 ? fc_ceil_div(-start, spread) : 0, start < size ? fc_min(taps, (size - 1 - start) / spread + 1) : 0};
    return s;
}

typedef struct {
    fc_conv2d conv;
    int gradient, stream;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *in, *weights, *bias;
    void *out;
    ptrdiff_t h, w, oh, ow; /* of `in` and `out` */
    ptrdiff_t in_c, out_c;  /* channels of `in` and `out`: conv.k, or conv.c */
    ptrdiff_t held;         /* rows of repeated channels that a task keeps, 0: nothing is repeated */
    ptrdiff_t rows, task_rows;
} map;

static phase row_phase(const map *job, ptrdiff_t i) {
    const fc_conv2d *const c = &job->conv;
    return (job->gradient ? gradient_phase : forward_phase)(i, c->kh, c->stride_h, c->dilation_h, c->pad_top);
}

static phase column_phase(const map *job, ptrdiff_t j) {
    const fc_conv2d *const c = &job->conv;
    return (job->gradient ? gradient_phase : forward_phase)(j, c->kw, c->stride_w, c->dilation_w, c->pad_left);
}

/* Space of one task. */
typedef struct {
    const void **x, **w; /* the kernel rows that take part in an output row */
    ptrdiff_t *which;    /* the rows of the input in `repeated`, -1: none */
    void *repeated, *unfolded;
} workspace;

static int allocate(const map *job, workspace *ws) {
    const ptrdiff_t kh = job->conv.kh, k = job->conv.k;
    const ptrdiff_t lists = fc_round_up((2 * kh + job->held) * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const ptrdiff_t repeated = job->held * job->w * k, unfolded = job->out_c < k ? job->ow * k : 0;
    char *const memory = fc_scratch(FC_SLOT_TASK, (size_t)(lists + (repeated + unfolded) * job->esize));
    if (!memory) return 0;
    ws->x = (const void **)(void *)memory;
    ws->w = ws->x + kh;
    ws->which = (ptrdiff_t *)(void *)(ws->w + kh);
    for (ptrdiff_t i = 0; i < job->held; i++) ws->which[i] = -1;
    ws->repeated = memory + lists;
    ws->unfolded = fc_at_mut(ws->repeated, repeated, job->esize);
    return 1;
}

/* Row r of all images of the input, with conv.k channels. */
static const void *input_row(const map *job, const workspace *ws, ptrdiff_t r) {
    const void *const row = fc_at(job->in, r * job->w * job->in_c, job->esize);
    if (!job->held) return row;
    void *const copy = fc_at_mut(ws->repeated, r % job->held * job->w * job->conv.k, job->esize);
    if (ws->which[r % job->held] != r) job->kernels->depthwise.repeat(row, copy, job->w * job->in_c, job->conv.k / job->in_c);
    ws->which[r % job->held] = r;
    return copy;
}

static void run_row(const map *job, const workspace *ws, ptrdiff_t image, ptrdiff_t i, void *to) {
    const fc_conv2d *const c = &job->conv;
    const phase vertical = row_phase(job, i);
    const span taps = clip(vertical.base, vertical.spread, vertical.taps, job->h);
    const ptrdiff_t rows = fc_max(0, taps.end - taps.first), first = image * job->h + vertical.base;
    const ptrdiff_t phases = job->gradient ? fc_min(c->stride_w, job->ow) : 1;
    for (ptrdiff_t r = 0; r < rows; r++) ws->x[r] = input_row(job, ws, first + (taps.first + r) * vertical.spread);
    fc_depthwise_args args = {
        .x = ws->x,
        .w = ws->w,
        .rows = rows,
        .columns = job->w,
        .channels = c->k,
        .bias = job->bias,
        .relu = c->activation == FC_RELU,
        .stream = job->stream,
    };
    if (rows && !job->held) {
        /* The rows that the output row after this one reads first. */
        const ptrdiff_t last = first + (taps.end - 1) * vertical.spread;
        args.next = fc_at(job->in, (last + 1) * job->w * c->k, job->esize);
        args.next_elements = fc_min(vertical.advance, c->n * job->h - 1 - last) * job->w * c->k / phases;
    }
    for (ptrdiff_t j = 0; j < phases; j++) {
        const phase p = column_phase(job, j);
        for (ptrdiff_t r = 0; r < rows; r++) {
            const ptrdiff_t source = (vertical.source + (taps.first + r) * vertical.source_step) * c->kw + p.source;
            ws->w[r] = fc_at(job->weights, source * c->k, job->esize);
        }
        args.taps = p.taps;
        args.ldw = p.source_step * c->k;
        args.first_column = p.base;
        args.advance = p.advance;
        args.spread = p.spread;
        args.pixels = (job->ow - 1 - j) / p.step + 1;
        args.y = fc_at_mut(to, j * c->k, job->esize);
        args.y_step = p.step * c->k;
        job->kernels->depthwise.convolve(&args);
    }
}

static fc_status map_task(const void *context, ptrdiff_t task) {
    const map *const job = context;
    const ptrdiff_t k = job->conv.k;
    const fc_activation activation = job->conv.activation;
    workspace ws;
    if (!allocate(job, &ws)) return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t row = task * job->task_rows; row < end; row++) {
        void *const out = fc_at_mut(job->out, row * job->ow * job->out_c, job->esize);
        void *const to = job->out_c == k ? out : ws.unfolded;
        run_row(job, &ws, row / job->oh, row % job->oh, to);
        if (job->out_c < k) job->kernels->depthwise.fold(to, out, job->ow * job->out_c, k / job->out_c);
        if (activation != FC_LINEAR && activation != FC_RELU)
            job->kernels->elementwise.activation[activation](out, out, job->ow * job->out_c);
    }
    if (job->stream) job->kernels->frame.stream_end();
    return FC_OK;
}

static fc_status run_map(map *job) {
    const fc_conv2d *const c = &job->conv;
    job->kernels = fc_kernels(c->dtype);
    job->esize = fc_esize(c->dtype);
    if (job->in_c < c->k) job->held = fc_min(job->h, (c->kh - 1) * c->dilation_h + 1);
    job->rows = c->n * job->oh;
    job->task_rows = fc_max(1, TASK_ELEMENTS / (job->ow * c->k));
    const ptrdiff_t bytes = (job->rows * job->ow * job->out_c + c->n * job->h * job->w * job->in_c) * job->esize;
    job->stream = fc_streams(job->out, c->k * job->esize, bytes) && job->out_c == c->k &&
                  (c->activation == FC_LINEAR || c->activation == FC_RELU);
    const double macs = (double)(c->n * c->oh) * (double)(c->ow * c->k) * (double)(c->kh * c->kw);
    return fc_parallel_for(fc_ceil_div(job->rows, job->task_rows), 4 * fc_macs_ns(macs), map_task, job);
}

fc_status fc_depthwise_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    assert(conv->groups == conv->c && conv->k % conv->c == 0);
    map job = {.conv = *conv, .in = x, .weights = w, .bias = bias, .out = y, .h = conv->h, .w = conv->w, .oh = conv->oh,
               .ow = conv->ow, .in_c = conv->c, .out_c = conv->k};
    return run_map(&job);
}

fc_status fc_depthwise_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    assert(conv->groups == conv->c && conv->k % conv->c == 0);
    map job = {.conv = *conv, .gradient = 1, .in = dy, .weights = w, .out = dx, .h = conv->oh, .w = conv->ow, .oh = conv->h,
               .ow = conv->w, .in_c = conv->k, .out_c = conv->c};
    job.conv.activation = FC_LINEAR;
    return run_map(&job);
}
