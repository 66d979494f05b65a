/* Depthwise convolution of NCHW where it is: planes of channels, vectors along their columns. The gradient of the input is the same map
 * with the kernel turned, or its adjoint where there are strides. With m output channels per group there are m maps from every mth plane,
 * or to every mth. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    TASK_BYTES = 64 << 10, /* of planes, read and written: they stay in the second-level cache for all m maps */
    BAND_BYTES = 16 << 10, /* of the rows of large planes: they stay in the first-level cache while walks go down them, */
    BAND_ROWS = 16,        /* which begin with rows that the walks above ended with */
    SUMS_BYTES = 32 << 10, /* of the weight gradient's sums in one task */
    AHEAD = 1024,          /* elements */
    TASKS = 8              /* to aim at, whatever the number of threads */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *in, *weights, *bias;
    void *out;
    fc_depthwise_planes_args args;                   /* those of the first group's first row */
    ptrdiff_t in_planes, out_planes;       /* of a group: 1 on one side, m on the other */
    ptrdiff_t out_rows, stride, step;      /* rows of out; how far on one of them moves `top`, and how many of them a walk does */
    ptrdiff_t chunk, chunks, bands;        /* groups of a task; tasks of an image, and of its rows */
    fc_activation activation;
} planes_map;

/* How far ahead elements are fetched: those of the next plane or band, or of one behind, which follow in memory. */
static ptrdiff_t ahead(ptrdiff_t plane, ptrdiff_t band, ptrdiff_t bands) { return bands > 1 ? band : fc_max(plane, AHEAD); }

/* Rows first .. first + count - 1 of some groups of an image. */
static void run_rows(const planes_map *job, ptrdiff_t image, ptrdiff_t group, ptrdiff_t groups, ptrdiff_t first, ptrdiff_t count) {
    const fc_conv2d *const c = job->conv;
    const ptrdiff_t times = job->in_planes * job->out_planes, in_plane = job->args.h * job->args.width,
                    out_plane = job->out_rows * job->args.out_width;
    const ptrdiff_t in = (image * c->groups + group) * job->in_planes, out = (image * c->groups + group) * job->out_planes;
    for (ptrdiff_t j = 0; j < times; j++)
        for (ptrdiff_t row = first; row < first + fc_min(count, job->step); row++) {
            fc_depthwise_planes_args args = job->args;
            args.planes = groups;
            args.x = fc_at(job->in, (in + (job->in_planes > 1 ? j : 0)) * in_plane, job->esize);
            args.y = fc_at_mut(job->out, (out + (job->out_planes > 1 ? j : 0)) * out_plane + row * args.out_width, job->esize);
            args.w = fc_at(job->weights, group * times + j, job->esize);
            args.bias = job->bias ? fc_at(job->bias, group * times + j, job->esize) : NULL;
            args.top += row * job->stride;
            args.rows = (first + count - 1 - row) / job->step + 1;
            args.x_ahead = ahead(args.x_plane, (args.scatter ? count / 2 : count * job->stride) * args.width, job->bands);
            args.y_ahead = ahead(args.y_plane, count * args.out_width, job->bands);
            args.accumulate = j > 0 && job->in_planes > 1;
            job->kernels->planes.convolve(&args);
        }
    if (fc_in_registers(job->activation)) return;
    for (ptrdiff_t p = 0; p < groups * job->out_planes; p++) {
        void *const y = fc_at_mut(job->out, (out + p) * out_plane + first * job->args.out_width, job->esize);
        job->kernels->elementwise.activation[job->activation](y, y, count * job->args.out_width);
    }
}

static fc_status map_task(const void *context, ptrdiff_t task) {
    const planes_map *const job = context;
    const ptrdiff_t band = task % job->bands, chunk = task / job->bands % job->chunks, image = task / job->bands / job->chunks;
    const ptrdiff_t first = job->out_rows * band / job->bands, end = job->out_rows * (band + 1) / job->bands, group = chunk * job->chunk;
    run_rows(job, image, group, fc_min(job->chunk, job->conv->groups - group), first, end - first);
    return FC_OK;
}

/* Bands of planes of `rows` rows, `row_bytes` for each with what it is made of. */
static ptrdiff_t count_bands(ptrdiff_t rows, ptrdiff_t row_bytes) {
    return rows * row_bytes <= 2 * BAND_BYTES ? 1 : fc_max(1, fc_min(rows * row_bytes / BAND_BYTES, rows / BAND_ROWS));
}

static fc_status run_map(planes_map *job) {
    const fc_conv2d *const c = job->conv;
    const ptrdiff_t in_plane = job->args.h * job->args.width, out_plane = job->out_rows * job->args.out_width;
    job->kernels = fc_kernels(c->dtype);
    job->esize = fc_esize(c->dtype);
    job->step = c->dilation_h;
    job->args.taps = c->kh;
    job->args.spread_h = c->dilation_h, job->args.spread_w = c->dilation_w;
    job->args.y_step = job->step * job->args.out_width;
    job->args.x_plane = job->in_planes * in_plane, job->args.y_plane = job->out_planes * out_plane;
    job->args.w_plane = job->in_planes * job->out_planes;
    const ptrdiff_t group_bytes = (in_plane * job->in_planes + out_plane * job->out_planes) * job->esize;
    job->bands = count_bands(job->out_rows, group_bytes / job->out_rows);
    job->chunk = fc_max(1, fc_min(c->groups, TASK_BYTES / group_bytes));
    job->chunks = fc_ceil_div(c->groups, job->chunk);
    const double macs = (double)(c->n * c->oh) * (double)(c->ow * c->k) * (double)(c->kh * c->kw);
    return fc_parallel_for(c->n * job->chunks * job->bands, 4 * fc_macs_ns(macs), map_task, job);
}

int fc_depthwise_planes_apply(const fc_conv2d *conv) {
    const int walks = conv->kh == conv->kw && (conv->kh == 3 || conv->kh == 5) && conv->stride_h == conv->stride_w &&
                      (conv->stride_h == 1 || (conv->stride_h == 2 && conv->dilation_h == 1 && conv->dilation_w == 1));
    return walks && conv->layout == FC_NCHW && conv->groups > 1 && conv->groups == conv->c && conv->algorithm != FC_WINOGRAD &&
           conv->kh <= fc_kernels(conv->dtype)->planes.taps;
}

fc_status fc_depthwise_planes_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    assert(fc_depthwise_planes_apply(conv));
    planes_map job = {
        .conv = conv,
        .in = x,
        .weights = w,
        .bias = bias,
        .out = y,
        .args = {.h = conv->h,
                 .width = conv->w,
                 .top = -conv->pad_top,
                 .left = -conv->pad_left,
                 .out_width = conv->ow,
                 .w_row = conv->kw * conv->k,
                 .w_tap = conv->k,
                 .stride = conv->stride_h,
                 .relu = conv->activation == FC_RELU},
        .in_planes = 1,
        .out_planes = conv->k / conv->groups,
        .out_rows = conv->oh,
        .stride = conv->stride_h,
        .activation = conv->activation,
    };
    return run_map(&job);
}

fc_status fc_depthwise_planes_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    assert(fc_depthwise_planes_apply(conv));
    const int turned = conv->stride_h == 1;
    planes_map job = {
        .conv = conv,
        .in = dy,
        .weights = turned ? fc_at(w, (conv->kh * conv->kw - 1) * conv->k, fc_esize(conv->dtype)) : w,
        .out = dx,
        .args = {.h = conv->oh,
                 .width = conv->ow,
                 .top = conv->pad_top - (turned ? (conv->kh - 1) * conv->dilation_h : 0),
                 .left = conv->pad_left - (turned ? (conv->kw - 1) * conv->dilation_w : 0),
                 .out_width = conv->w,
                 .w_row = turned ? -conv->kw * conv->k : conv->kw * conv->k,
                 .w_tap = turned ? -conv->k : conv->k,
                 .stride = 1,
                 .scatter = !turned},
        .in_planes = conv->k / conv->groups,
        .out_planes = 1,
        .out_rows = conv->h,
        .stride = 1,
        .activation = FC_LINEAR,
    };
    return run_map(&job);
}

typedef struct {
    const fc_conv2d *conv;
    const fc_depthwise_planes_kernels *kernels;
    ptrdiff_t esize, times, rows, lanes; /* rows: of dw and db together */
    const void *x, *dy;
    ptrdiff_t chunk, chunks, parts, bands; /* groups of a task; parts of the images */
    char *sums;                            /* [parts][rows][k] */
} planes_wgrad;

/* Rows first .. first + count - 1 of dy of some groups of an image. acc: [channel][rows][lanes] */
static void add_rows(const planes_wgrad *g, ptrdiff_t image, ptrdiff_t group, ptrdiff_t groups, ptrdiff_t first, ptrdiff_t count, char *acc) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t x_plane = c->h * c->w, dy_plane = c->oh * c->ow, in = image * c->groups + group;
    for (ptrdiff_t j = 0; j < g->times; j++)
        for (ptrdiff_t row = first; row < first + fc_min(count, c->dilation_h); row++) {
            const fc_depthwise_planes_wgrad_args args = {
                .x = fc_at(g->x, in * x_plane, g->esize),
                .dy = fc_at(g->dy, (in * g->times + j) * dy_plane + row * c->ow, g->esize),
                .acc = acc + j * g->rows * g->lanes * g->esize,
                .planes = groups,
                .x_plane = x_plane,
                .dy_plane = g->times * dy_plane,
                .acc_plane = g->times,
                .h = c->h,
                .width = c->w,
                .top = row * c->stride_h - c->pad_top,
                .left = -c->pad_left,
                .spread_h = c->dilation_h,
                .spread_w = c->dilation_w,
                .rows = (first + count - 1 - row) / c->dilation_h + 1,
                .dy_step = c->dilation_h * c->ow,
                .dy_width = c->ow,
                .x_ahead = ahead(x_plane, count * c->stride_h * c->w, g->bands),
                .dy_ahead = ahead(g->times * dy_plane, count * c->ow, g->bands),
                .taps = c->kh,
                .stride = c->stride_h,
            };
            g->kernels->wgrad(&args);
        }
}

static fc_status wgrad_task(const void *context, ptrdiff_t task) {
    const planes_wgrad *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t chunk = task / g->parts, part = task % g->parts, group = chunk * g->chunk, groups = fc_min(g->chunk, c->groups - group);
    const ptrdiff_t channels = groups * g->times;
    const size_t bytes = (size_t)(channels * g->rows * g->lanes * g->esize);
    char *const acc = fc_scratch(FC_SLOT_TASK, bytes);
    if (!acc) return FC_NO_MEMORY;
    memset(acc, 0, bytes);
    for (ptrdiff_t image = c->n * part / g->parts; image < c->n * (part + 1) / g->parts; image++)
        if (g->bands == 1) add_rows(g, image, group, groups, 0, c->oh, acc);
        else
            for (ptrdiff_t i = 0; i < groups; i++)
                for (ptrdiff_t band = 0; band < g->bands; band++) {
                    const ptrdiff_t first = c->oh * band / g->bands, end = c->oh * (band + 1) / g->bands;
                    add_rows(g, image, group + i, 1, first, end - first, acc + i * g->times * g->rows * g->lanes * g->esize);
                }
    char *const sums = g->sums + (part * g->rows * c->k + group * g->times) * g->esize;
    for (ptrdiff_t i = 0; i < channels; i++) g->kernels->lane_sums(acc + i * g->rows * g->lanes * g->esize, g->rows, sums + i * g->esize, c->k);
    return FC_OK;
}

fc_status fc_depthwise_planes_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    assert(fc_depthwise_planes_apply(conv));
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    planes_wgrad g = {
        .conv = conv,
        .kernels = &kernels->planes,
        .esize = fc_esize(conv->dtype),
        .times = conv->k / conv->groups,
        .rows = conv->kh * conv->kw + 1,
        .lanes = kernels->gemm.lanes,
        .x = x,
        .dy = dy,
    };
    const ptrdiff_t row_bytes = (conv->h * conv->w / conv->oh + conv->ow) * g.esize;
    g.bands = count_bands(conv->oh, row_bytes);
    g.chunk = fc_max(1, fc_min(conv->groups, SUMS_BYTES / (g.times * g.rows * g.lanes * g.esize)));
    g.chunks = fc_ceil_div(conv->groups, g.chunk);
    g.parts = fc_max(1, fc_min(conv->n, TASKS / g.chunks));
    const ptrdiff_t part = g.rows * conv->k;
    g.sums = fc_scratch(FC_SLOT_CALL, (size_t)(g.parts * part * g.esize));
    if (!g.sums) return FC_NO_MEMORY;
    const double macs = (double)(conv->n * conv->oh) * (double)(conv->ow * conv->k) * (double)(conv->kh * conv->kw);
    const fc_status status = fc_parallel_for(g.chunks * g.parts, 4 * fc_macs_ns(macs), wgrad_task, &g);
    if (status != FC_OK) return status;
    for (ptrdiff_t p = 1; p < g.parts; p++) kernels->frame.add_into(g.sums + p * part * g.esize, g.sums, part);
    if (dw) memcpy(dw, g.sums, (size_t)((part - conv->k) * g.esize));
    if (db) memcpy(db, g.sums + (part - conv->k) * g.esize, (size_t)(conv->k * g.esize));
    return FC_OK;
}
