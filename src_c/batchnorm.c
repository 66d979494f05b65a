/* Batch normalization. An array is (outer, channels, inner): channels last is inner = 1. It is cut into blocks of outer positions
 * and channels; the sums of the blocks are put together in order, in double precision. */
#include "chunks.h"
#include "scratch.h"

#include <math.h>

typedef struct {
    const fc_batchnorm *bn;
    const void *dy, *x, *mean, *a, *b, *c;
    void *y;
    double *sums; /* (row blocks, 2, channels) */
    ptrdiff_t rows_per_block, row_blocks, channel_blocks;
} bn_call;

typedef struct {
    fc_channel_block block;
    ptrdiff_t first_channel, offset; /* of the block's first element */
    ptrdiff_t row_block;
} bn_task;

/* A block holds about FC_CHUNK elements; no channel is summed over more than FC_CHUNK / 4 of them at once. */
static void cut(bn_call *call) {
    const fc_batchnorm *const bn = call->bn;
    assert(bn->outer >= 0 && bn->channels > 0 && bn->inner > 0);
    const ptrdiff_t channels = bn->channels < FC_CHANNEL_BLOCK ? bn->channels : FC_CHANNEL_BLOCK;
    const ptrdiff_t summed = FC_CHUNK / (channels < 4 ? 4 : channels);
    call->rows_per_block = bn->inner < summed ? summed / bn->inner : 1;
    call->row_blocks = (bn->outer + call->rows_per_block - 1) / call->rows_per_block;
    call->channel_blocks = (bn->channels + FC_CHANNEL_BLOCK - 1) / FC_CHANNEL_BLOCK;
}

static bn_task task_of(const bn_call *call, ptrdiff_t task) {
    const fc_batchnorm *const bn = call->bn;
    bn_task t = {.row_block = task / call->channel_blocks};
    const ptrdiff_t row = t.row_block * call->rows_per_block, rows = bn->outer - row;
    t.first_channel = task % call->channel_blocks * FC_CHANNEL_BLOCK;
    const ptrdiff_t channels = bn->channels - t.first_channel;
    t.block.outer = rows < call->rows_per_block ? rows : call->rows_per_block;
    t.block.stride = bn->channels * bn->inner;
    t.block.channels = channels < FC_CHANNEL_BLOCK ? channels : FC_CHANNEL_BLOCK;
    t.block.inner = bn->inner;
    t.offset = row * t.block.stride + t.first_channel * bn->inner;
    return t;
}

/* Nanoseconds per element. */
static fc_status run(const bn_call *call, double cost, fc_task_fn fn) {
    const fc_batchnorm *const bn = call->bn;
    const double elements = (double)bn->outer * (double)bn->channels * (double)bn->inner;
    return fc_parallel_for(call->row_blocks * call->channel_blocks, cost * elements, fn, call);
}

static double *sums_of_block(const bn_call *call, ptrdiff_t row_block) { return call->sums + row_block * 2 * call->bn->channels; }

static fc_status sums_task(const void *context, ptrdiff_t task) {
    const bn_call *const c = context;
    const fc_dtype dtype = c->bn->dtype;
    const bn_task t = task_of(c, task);
    double *const sums = sums_of_block(c, t.row_block) + t.first_channel;
    fc_kernels(dtype)->elementwise.bn_sums(&t.block, c->dy ? fc_at(c->dy, t.offset, fc_esize(dtype)) : NULL, fc_at(c->x, t.offset, fc_esize(dtype)),
                                           fc_at(c->mean, t.first_channel, fc_esize(dtype)), sums, sums + c->bn->channels);
    return FC_OK;
}

/* The sums of all blocks, 2 * channels of them; NULL without memory. */
static double *total_sums(bn_call *call) {
    const ptrdiff_t n = 2 * call->bn->channels;
    call->sums = fc_scratch(FC_SLOT_CALL, (size_t)((call->row_blocks + 1) * n) * sizeof(double));
    if (!call->sums) return NULL;
    if (run(call, 0.4, sums_task) != FC_OK) return NULL;
    double *const total = sums_of_block(call, call->row_blocks);
    for (ptrdiff_t i = 0; i < n; i++) total[i] = 0;
    for (ptrdiff_t r = 0; r < call->row_blocks; r++)
        for (ptrdiff_t i = 0; i < n; i++) total[i] += sums_of_block(call, r)[i];
    return total;
}

static void put(void *p, ptrdiff_t i, fc_dtype dtype, double value) {
    if (dtype == FC_F64) ((double *)p)[i] = value;
    else ((float *)p)[i] = (float)value;
}

static double get(const void *p, ptrdiff_t i, fc_dtype dtype) { return dtype == FC_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }

/* Sums are taken of differences to the first value of a channel, so that a mean far from zero costs no digits: T. F. Chan,
 * G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, The American Statistician 37 (1983). */
fc_status fc_batchnorm_moments(const fc_batchnorm *bn, const void *x, void *mean, void *variance) {
    assert(bn->outer > 0);
    void *const shift = fc_scratch(FC_SLOT_CALL2, (size_t)(bn->channels * fc_esize(bn->dtype)));
    if (!shift) return FC_NO_MEMORY;
    for (ptrdiff_t c = 0; c < bn->channels; c++) put(shift, c, bn->dtype, get(x, c * bn->inner, bn->dtype));
    bn_call call = {.bn = bn, .x = x, .mean = shift};
    cut(&call);
    const double *const sum = total_sums(&call);
    if (!sum) return FC_NO_MEMORY;
    const double count = (double)bn->outer * (double)bn->inner;
    for (ptrdiff_t c = 0; c < bn->channels; c++) {
        const double offset = sum[c] / count, v = sum[bn->channels + c] / count - offset * offset;
        put(mean, c, bn->dtype, get(shift, c, bn->dtype) + offset);
        put(variance, c, bn->dtype, v < 0 ? 0 : v);
    }
    return FC_OK;
}

static fc_status normalize_task(const void *context, ptrdiff_t task) {
    const bn_call *const c = context;
    const fc_dtype dtype = c->bn->dtype;
    const bn_task t = task_of(c, task);
    fc_kernels(dtype)->elementwise.bn_normalize(&t.block, fc_at(c->x, t.offset, fc_esize(dtype)), fc_at(c->mean, t.first_channel, fc_esize(dtype)),
                                                fc_at(c->a, t.first_channel, fc_esize(dtype)), fc_at(c->b, t.first_channel, fc_esize(dtype)),
                                                fc_at_mut(c->y, t.offset, fc_esize(dtype)));
    return FC_OK;
}

static double rstd(const fc_batchnorm *bn, const void *variance, ptrdiff_t c) { return 1 / sqrt(get(variance, c, bn->dtype) + bn->epsilon); }

fc_status fc_batchnorm_normalize(const fc_batchnorm *bn, const void *x, const void *mean, const void *variance, const void *gamma, const void *beta,
                                 void *y) {
    bn_call call = {.bn = bn, .x = x, .mean = mean, .y = y};
    cut(&call);
    void *const a = fc_scratch(FC_SLOT_CALL, (size_t)(2 * bn->channels * fc_esize(bn->dtype)));
    if (!a) return FC_NO_MEMORY;
    void *const b = fc_at_mut(a, bn->channels, fc_esize(bn->dtype));
    for (ptrdiff_t c = 0; c < bn->channels; c++) {
        put(a, c, bn->dtype, (gamma ? get(gamma, c, bn->dtype) : 1) * rstd(bn, variance, c));
        put(b, c, bn->dtype, beta ? get(beta, c, bn->dtype) : 0);
    }
    call.a = a;
    call.b = b;
    return run(&call, 0.3, normalize_task);
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const bn_call *const c = context;
    const fc_dtype dtype = c->bn->dtype;
    const bn_task t = task_of(c, task);
    fc_kernels(dtype)->elementwise.bn_backward(&t.block, fc_at(c->dy, t.offset, fc_esize(dtype)), fc_at(c->x, t.offset, fc_esize(dtype)),
                                               fc_at(c->mean, t.first_channel, fc_esize(dtype)), fc_at(c->a, t.first_channel, fc_esize(dtype)),
                                               fc_at(c->b, t.first_channel, fc_esize(dtype)), fc_at(c->c, t.first_channel, fc_esize(dtype)),
                                               fc_at_mut(c->y, t.offset, fc_esize(dtype)));
    return FC_OK;
}

fc_status fc_batchnorm_backward(const fc_batchnorm *bn, int training, const void *dy, const void *x, const void *mean, const void *variance,
                                const void *gamma, void *dx, void *dgamma, void *dbeta) {
    bn_call call = {.bn = bn, .dy = dy, .x = x, .mean = mean, .y = dx};
    cut(&call);
    const ptrdiff_t channels = bn->channels;
    void *const a = fc_scratch(FC_SLOT_CALL2, (size_t)(3 * channels * fc_esize(bn->dtype)));
    if (!a) return FC_NO_MEMORY;
    void *const b = fc_at_mut(a, channels, fc_esize(bn->dtype)), *const slope = fc_at_mut(a, 2 * channels, fc_esize(bn->dtype));
    const int sums_needed = training || dgamma || dbeta;
    const double *const sum = sums_needed ? total_sums(&call) : NULL, *const dot = sum ? sum + channels : NULL;
    if (sums_needed && !sum) return FC_NO_MEMORY;
    const double count = (double)bn->outer * (double)bn->inner;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const double r = rstd(bn, variance, c), scale = (gamma ? get(gamma, c, bn->dtype) : 1) * r;
        const int through = training && count > 0;
        if (dbeta) put(dbeta, c, bn->dtype, sum[c]);
        if (dgamma) put(dgamma, c, bn->dtype, dot[c] * r);
        put(a, c, bn->dtype, scale);
        put(b, c, bn->dtype, through ? -scale / count * sum[c] : 0);
        put(slope, c, bn->dtype, through ? -scale / count * r * r * dot[c] : 0);
    }
    call.a = a;
    call.b = b;
    call.c = slope;
    return dx ? run(&call, 0.4, backward_task) : FC_OK;
}
