/* Winograd's convolution of NCHW images with 3 or 4 channels, 3x3, stride 1: vectors run along the tiles, of some rows of them one after the other. */
#include "conv2d_winograd.h"

enum {
    STEP = 4, /* outputs of a tile along an axis, and columns that lie apart */
    HALO = FC_WINOGRAD_TILE - STEP,
    MOST_TILES = 128 /* of a task: what they are transformed to stays in the inner caches */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_winograd_kernels *kernels;
    const float *x, *u, *bias;
    float *y;
    ptrdiff_t across, down; /* tiles of a row of them, with those that fill the last vector of its pixels; rows of tiles */
    ptrdiff_t rows, bands; /* rows of tiles of a task, tasks of an image */
    ptrdiff_t padded, phase; /* elements of what is copied of a row of pixels, and of every fourth of them */
} planes_call;

/* Tiles whose pixels of a row fill a vector. */
static ptrdiff_t tiles_of_run(const fc_winograd_kernels *kernels) { return kernels->lanes / STEP; }

static planes_call call_of(const fc_conv2d *conv) {
    const fc_winograd_kernels *const kernels = &fc_kernels(FC_F32)->winograd;
    planes_call call = {.conv = conv, .kernels = kernels, .down = fc_ceil_div(conv->oh, STEP)};
    call.across = fc_round_up(fc_ceil_div(conv->ow, STEP), tiles_of_run(kernels));
    call.rows = fc_max(1, fc_min(MOST_TILES / call.across, call.down));
    call.bands = fc_ceil_div(call.down, call.rows);
    call.rows = fc_ceil_div(call.down, call.bands); /* about equal ones */
    call.phase = fc_round_up(call.across + 1, kernels->lanes) + kernels->lanes;
    call.padded = fc_round_up(call.across + 1, kernels->lanes) * STEP;
    return call;
}

/* In vector operations for an output channel and an input channel, as measured: those of the direct way take longer than its products, those of vectors
 * that have few tiles yield as many results less. */
int fc_winograd_few_planes_pay(const fc_conv2d *conv) {
    enum { LEAST_OUTPUTS = 8, TRANSFORM = 210, DIRECT = 190 };
    if (conv->layout != FC_NCHW || conv->c < 3 || conv->kh != 3 || conv->kw != 3 || conv->k < LEAST_OUTPUTS) return 0;
    if (!fc_winograd_few_applies(conv) || !fc_kernels(FC_F32)->winograd.few_planes) return 0;
    const planes_call call = call_of(conv);
    const ptrdiff_t lanes = call.kernels->lanes, vectors = call.bands * fc_ceil_div(call.rows * call.across, lanes);
    const ptrdiff_t taken = vectors * (FC_WINOGRAD_POSITIONS * conv->c + TRANSFORM) * STEP * STEP * lanes;
    return taken < DIRECT * conv->c * conv->oh * conv->ow;
}

/* What a task holds on its way from x to y. */
typedef struct {
    float *padded, *lines, *v;
    ptrdiff_t position, vectors;
    fc_winograd_few_run *run; /* four of each vector */
} space;

/* V of one channel: rows of tiles first .. first + rows - 1 of an image. */
static void transform_plane(const planes_call *call, const float *plane, ptrdiff_t first, ptrdiff_t rows, const space *s, float *v) {
    const fc_conv2d *const conv = call->conv;
    for (ptrdiff_t i = 0; i < rows * STEP + HALO; i++) {
        const ptrdiff_t row = first * STEP + i - conv->pad_top;
        const float *const from = row >= 0 && row < conv->h ? plane + row * conv->w : NULL;
        fc_copy_padded_row(&fc_kernels(FC_F32)->frame, from, conv->w, 1, -conv->pad_left, 1, s->padded + i * call->padded, call->padded, 1,
                           sizeof(float));
    }
    call->kernels->few_planes_input(&(fc_winograd_few_planes_input_args){.x = s->padded,
                                                                         .x_row = call->padded,
                                                                         .rows = rows,
                                                                         .tiles = call->across,
                                                                         .lines = s->lines,
                                                                         .phase = call->phase,
                                                                         .v = v,
                                                                         .position = s->position});
}

/* The memory of a task for so many rows of tiles. From position to position of V lies an odd number of lines: they share no cache set. */
static int make_space(const planes_call *call, ptrdiff_t rows, space *s) {
    const ptrdiff_t line = FC_ALIGN / (ptrdiff_t)sizeof(float), pixels = rows * STEP + HALO;
    const ptrdiff_t padded = fc_round_up(pixels * call->padded, line), lines = fc_round_up(pixels * STEP * call->phase, line);
    s->position = (fc_ceil_div(rows * call->across + call->kernels->lanes, line) | 1) * line;
    s->vectors = fc_ceil_div(rows * call->across, call->kernels->lanes);
    const size_t elements = (size_t)(padded + lines + call->conv->c * FC_WINOGRAD_POSITIONS * s->position);
    s->padded = fc_scratch(FC_SLOT_TASK, elements * sizeof(float) + (size_t)(4 * s->vectors) * sizeof *s->run);
    if (!s->padded) return 0;
    s->lines = s->padded + padded, s->v = s->lines + lines, s->run = (fc_winograd_few_run *)(s->padded + elements);
    return 1;
}

/* The pixels of a run that begins with some tile of rows of them from `first` on. */
static fc_winograd_few_run run_at(const planes_call *call, ptrdiff_t tile, ptrdiff_t first, ptrdiff_t rows) {
    const fc_conv2d *const conv = call->conv;
    const ptrdiff_t row = tile / call->across, y = (first + row) * STEP, x = tile % call->across * STEP;
    if (row >= rows || x >= conv->ow) return (fc_winograd_few_run){0};
    return (fc_winograd_few_run){y * conv->ow + x, conv->ow - x, (int)fc_min(STEP, conv->oh - y)};
}

static fc_status planes_task(const void *context, ptrdiff_t task) {
    const planes_call *const call = context;
    const fc_conv2d *const conv = call->conv;
    const ptrdiff_t image = task / call->bands, first = task % call->bands * call->rows, rows = fc_min(call->rows, call->down - first);
    const ptrdiff_t size = conv->h * conv->w, out = conv->oh * conv->ow;
    space s;
    if (!make_space(call, rows, &s)) return FC_NO_MEMORY;
    for (ptrdiff_t c = 0; c < conv->c; c++)
        transform_plane(call, call->x + (image * conv->c + c) * size, first, rows, &s, s.v + c * FC_WINOGRAD_POSITIONS * s.position);
    for (ptrdiff_t q = 0; q < 4 * s.vectors; q++) s.run[q] = run_at(call, q * tiles_of_run(call->kernels), first, rows);
    float *const y = call->y + image * conv->k * out;
    call->kernels->few_planes(&(fc_winograd_few_planes_args){.v = s.v,
                                                             .u = call->u,
                                                             .position = s.position,
                                                             .bias = call->bias,
                                                             .y = y,
                                                             .plane = out,
                                                             .row = conv->ow,
                                                             .channels = conv->c,
                                                             .columns = conv->k,
                                                             .vectors = s.vectors,
                                                             .run = s.run,
                                                             .relu = conv->activation == FC_RELU});
    if (fc_in_registers(conv->activation)) return FC_OK;
    const ptrdiff_t begin = first * STEP * conv->ow, pixels = fc_min(rows * STEP, conv->oh - first * STEP) * conv->ow;
    for (ptrdiff_t k = 0; k < conv->k; k++) {
        float *const run = y + k * out + begin;
        fc_kernels(FC_F32)->elementwise.activation[conv->activation](run, run, pixels);
    }
    return FC_OK;
}

fc_status fc_winograd_few_planes_forward(const fc_conv2d *conv, const float *x, const float *u, const float *bias, float *y) {
    planes_call call = call_of(conv);
    call.x = x, call.u = u, call.bias = bias, call.y = y;
    const double outputs = (double)(conv->n * conv->oh * conv->ow) * (double)conv->k;
    return fc_parallel_for(conv->n * call.bands, fc_pixels_work(conv->few, fc_macs_ns(outputs * (double)(3 * conv->c + 12))), planes_task, &call);
}
