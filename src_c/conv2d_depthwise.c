/* Depthwise convolution: every channel is filtered alone. Vectors run along the channels, so nothing is packed.
 *
 * Forward and input gradient are one map from rows to rows, with two ways of finding the taps. Taps outside of the image are
 * left out: whole kernel rows for all pixels of an output row, kernel columns for the pixels at its ends. With a multiplier
 * m > 1 the map runs on c * m channels: rows of x are repeated, rows of dx folded. */
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
    span s = {start < 0 ? fc_ceil_div(-start, spread) : 0, start < size ? fc_min(taps, (size - 1 - start) / spread + 1) : 0};
    s.first = fc_min(s.first, s.end);
    return s;
}

typedef struct {
    fc_conv2d conv;
    int gradient;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *in, *weights, *bias;
    void *out;
    ptrdiff_t h, w, oh, ow;      /* of `in` and `out` */
    ptrdiff_t in_c, out_c;       /* channels of `in` and `out`: conv.k, or conv.c */
    ptrdiff_t held_rows;         /* repeated rows that a task keeps */
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
    const void **row, **weight, **x, **w; /* the kernel rows that take part in an output row; the same for some of its pixels */
    ptrdiff_t *held;                      /* the rows of the input in `repeated` */
    void *repeated, *unfolded;
} workspace;

static int allocate(const map *job, workspace *ws) {
    const ptrdiff_t kh = job->conv.kh, k = job->conv.k;
    const ptrdiff_t lists = (4 * kh + job->held_rows) * (ptrdiff_t)sizeof(void *);
    const ptrdiff_t repeated = job->held_rows * job->w * k, unfolded = job->out_c < k ? job->ow * k : 0;
    char *const memory = fc_scratch(FC_SLOT_TASK, (size_t)(fc_round_up(lists, FC_ALIGN) + (repeated + unfolded) * job->esize));
    if (!memory) return 0;
    ws->row = (const void **)(void *)memory;
    ws->weight = ws->row + kh;
    ws->x = ws->weight + kh;
    ws->w = ws->x + kh;
    ws->held = (ptrdiff_t *)(void *)(ws->w + kh);
    for (ptrdiff_t i = 0; i < job->held_rows; i++) ws->held[i] = -1;
    ws->repeated = memory + fc_round_up(lists, FC_ALIGN);
    ws->unfolded = fc_at_mut(ws->repeated, repeated, job->esize);
    return 1;
}

/* Row r of an image of the input, with conv.k channels. */
static const void *input_row(const map *job, const workspace *ws, ptrdiff_t image, ptrdiff_t r) {
    const ptrdiff_t all = image * job->h + r, k = job->conv.k;
    const void *const row = fc_at(job->in, all * job->w * job->in_c, job->esize);
    if (job->in_c == k) return row;
    void *const place = fc_at_mut(ws->repeated, r % job->held_rows * job->w * k, job->esize);
    if (ws->held[r % job->held_rows] != all) {
        ws->held[r % job->held_rows] = all;
        job->kernels->depthwise.repeat(row, place, job->w * job->in_c, k / job->in_c);
    }
    return place;
}

/* Pixels first <= m < end of a phase, which have taps t.first <= t < t.end in the image, of an output row at `to`. */
static void run_pixels(const map *job, const workspace *ws, ptrdiff_t rows, const phase *p, span t, ptrdiff_t first, ptrdiff_t end,
                       void *to) {
    const ptrdiff_t k = job->conv.k, column = t.first < t.end ? p->base + first * p->advance + t.first * p->spread : 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
        ws->x[r] = fc_at(ws->row[r], column * k, job->esize);
        ws->w[r] = fc_at(ws->weight[r], (p->source + t.first * p->source_step) * k, job->esize);
    }
    const fc_depthwise_args args = {
        .x = ws->x,
        .w = ws->w,
        .rows = t.first < t.end ? rows : 0,
        .taps = t.end - t.first,
        .tap_step = p->spread * k,
        .x_step = p->advance * k,
        .ldw = p->source_step * k,
        .pixels = end - first,
        .channels = k,
        .bias = job->bias,
        .y = fc_at_mut(to, (p->first + first * p->step) * k, job->esize),
        .y_step = p->step * k,
        .relu = job->conv.activation == FC_RELU,
    };
    job->kernels->depthwise.convolve(&args);
}

static void run_row(const map *job, const workspace *ws, ptrdiff_t image, ptrdiff_t i, void *to) {
    const fc_conv2d *const c = &job->conv;
    const phase vertical = row_phase(job, i);
    const span kernel_rows = clip(vertical.base, vertical.spread, vertical.taps, job->h);
    ptrdiff_t rows = 0;
    for (ptrdiff_t t = kernel_rows.first; t < kernel_rows.end; t++, rows++) {
        ws->row[rows] = input_row(job, ws, image, vertical.base + t * vertical.spread);
        ws->weight[rows] = fc_at(job->weights, (vertical.source + t * vertical.source_step) * c->kw * c->k, job->esize);
    }
    const ptrdiff_t phases = job->gradient ? fc_min(c->stride_w, job->ow) : 1;
    for (ptrdiff_t j = 0; j < phases; j++) {
        const phase p = column_phase(job, j);
        const ptrdiff_t pixels = (job->ow - 1 - j) / p.step + 1, room = job->w - 1 - p.base - (p.taps - 1) * p.spread;
        const span all = {0, p.taps};
        const ptrdiff_t inner = p.base < 0 ? fc_min(pixels, fc_ceil_div(-p.base, p.advance)) : 0;
        const ptrdiff_t inner_end = !p.taps    ? pixels
                                    : room < 0 ? inner
                                               : fc_max(inner, fc_min(pixels, room / p.advance + 1));
        for (ptrdiff_t m = 0; m < inner; m++)
            run_pixels(job, ws, rows, &p, clip(p.base + m * p.advance, p.spread, p.taps, job->w), m, m + 1, to);
        if (inner < inner_end) run_pixels(job, ws, rows, &p, all, inner, inner_end, to);
        for (ptrdiff_t m = inner_end; m < pixels; m++)
            run_pixels(job, ws, rows, &p, clip(p.base + m * p.advance, p.spread, p.taps, job->w), m, m + 1, to);
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
    return FC_OK;
}

static fc_status run_map(map *job) {
    const fc_conv2d *const c = &job->conv;
    job->kernels = fc_kernels(c->dtype);
    job->esize = fc_esize(c->dtype);
    job->rows = c->n * job->oh;
    job->task_rows = fc_max(1, TASK_ELEMENTS / (job->ow * c->k));
    if (job->in_c < c->k) job->held_rows = fc_min(job->h, (c->kh - 1) * c->dilation_h + 1);
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
