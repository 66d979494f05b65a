/* Activations, dropout, sums of squares and gathering: one pass over memory each. */
#include "chunks.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

typedef struct {
    fc_dtype dtype;
    fc_activation activation;
    const void *dy, *x;
    void *y;
    ptrdiff_t n;
} activation_call;

/* Nanoseconds per element, roughly. */
static double activation_cost(fc_activation activation) {
    switch (activation) {
    case FC_LINEAR:
    case FC_RELU:
    case FC_LEAKY_RELU:
    case FC_HARD_SIGMOID:
    case FC_RELU6:
        return 0.15;
    default:
        return 0.8;
    }
}

static fc_status activation_task(const void *context, ptrdiff_t task) {
    const activation_call *const c = context;
    const ptrdiff_t begin = task * FC_CHUNK;
    fc_kernels(c->dtype)->elementwise.activation[c->activation](fc_at(c->x, begin, fc_esize(c->dtype)), fc_at_mut(c->y, begin, fc_esize(c->dtype)),
                                                                fc_chunk_length(c->n, task));
    return FC_OK;
}

fc_status fc_activate(fc_dtype dtype, fc_activation activation, const void *x, void *y, ptrdiff_t n) {
    assert(n >= 0 && activation < FC_ACTIVATIONS);
    const activation_call call = {.dtype = dtype, .activation = activation, .x = x, .y = y, .n = n};
    return fc_parallel_for(fc_chunks(n), activation_cost(activation) * (double)n, activation_task, &call);
}

int fc_activation_needs_input(fc_activation activation) { return activation == FC_GELU || activation == FC_SILU; }

static fc_status activation_backward_task(const void *context, ptrdiff_t task) {
    const activation_call *const c = context;
    const ptrdiff_t begin = task * FC_CHUNK;
    fc_kernels(c->dtype)->elementwise.activation_backward[c->activation](fc_at(c->dy, begin, fc_esize(c->dtype)),
                                                                         fc_at(c->x, begin, fc_esize(c->dtype)),
                                                                         fc_at_mut(c->y, begin, fc_esize(c->dtype)), fc_chunk_length(c->n, task));
    return FC_OK;
}

fc_status fc_activate_backward(fc_dtype dtype, fc_activation activation, const void *dy, const void *s, void *dx, ptrdiff_t n) {
    assert(n >= 0 && activation < FC_ACTIVATIONS);
    const activation_call call = {dtype, activation, dy, s, dx, n};
    return fc_parallel_for(fc_chunks(n), activation_cost(activation) * (double)n, activation_backward_task, &call);
}

typedef struct {
    fc_dtype dtype;
    const void *x;
    void *y;
    ptrdiff_t n;
    fc_dropout_mask mask;
} dropout_call;

static fc_status dropout_task(const void *context, ptrdiff_t task) {
    const dropout_call *const c = context;
    const ptrdiff_t begin = task * FC_CHUNK;
    fc_kernels(c->dtype)->elementwise.dropout(&c->mask, fc_at(c->x, begin, fc_esize(c->dtype)), fc_at_mut(c->y, begin, fc_esize(c->dtype)), begin,
                                              fc_chunk_length(c->n, task));
    return FC_OK;
}

fc_status fc_dropout(fc_dtype dtype, double rate, uint64_t seed, uint64_t counter, const void *x, void *y, ptrdiff_t n) {
    assert(n >= 0 && rate >= 0 && rate <= 1);
    const size_t bytes = (size_t)(n * fc_esize(dtype));
    const double dropped_words = nearbyint(rate * 4294967296.0);
    if (dropped_words == 0) {
        if (n > 0 && x != y) memcpy(y, x, bytes);
        return FC_OK;
    }
    if (dropped_words == 4294967296.0) {
        if (n > 0) memset(y, 0, bytes);
        return FC_OK;
    }
    const dropout_call call = {dtype, x, y, n, {seed, counter, (uint32_t)(dropped_words - 1), 1 / (1 - rate)}};
    return fc_parallel_for(fc_chunks(n), 0.6 * (double)n, dropout_task, &call);
}

typedef struct {
    fc_dtype dtype;
    const void *x;
    ptrdiff_t n;
    double *sums;
} sum_squares_call;

static fc_status sum_squares_task(const void *context, ptrdiff_t task) {
    const sum_squares_call *const c = context;
    c->sums[task] = fc_kernels(c->dtype)->elementwise.sum_squares(fc_at(c->x, task * FC_CHUNK, fc_esize(c->dtype)), fc_chunk_length(c->n, task));
    return FC_OK;
}

fc_status fc_sum_squares(fc_dtype dtype, const void *x, ptrdiff_t n, double *sum) {
    assert(n >= 0);
    const ptrdiff_t chunks = fc_chunks(n);
    *sum = 0;
    if (chunks == 0) return FC_OK;
    double *const sums = fc_scratch(FC_SLOT_CALL, (size_t)chunks * sizeof(double));
    if (!sums) return FC_NO_MEMORY;
    const sum_squares_call call = {dtype, x, n, sums};
    const fc_status status = fc_parallel_for(chunks, 0.15 * (double)n, sum_squares_task, &call);
    for (ptrdiff_t i = 0; i < chunks; i++) *sum += sums[i];
    return status;
}

typedef struct {
    fc_source source;
    fc_dtype dtype;
    const char *src;
    ptrdiff_t row;
    const int64_t *indices;
    ptrdiff_t n, rows_per_task;
    double scale;
    void *out;
} gather_call;

static fc_status gather_task(const void *context, ptrdiff_t task) {
    static const ptrdiff_t size[FC_SOURCES] = {[FC_SOURCE_F32] = 4, [FC_SOURCE_F64] = 8, [FC_SOURCE_U8] = 1};
    const gather_call *const c = context;
    const ptrdiff_t begin = task * c->rows_per_task;
    const ptrdiff_t end = c->n - begin < c->rows_per_task ? c->n : begin + c->rows_per_task;
    const ptrdiff_t src_bytes = c->row * size[c->source];
    const int copy = c->scale == 1 && (int)c->source == (int)c->dtype;
    for (ptrdiff_t i = begin; i < end; i++) {
        const void *const from = c->src + (ptrdiff_t)c->indices[i] * src_bytes;
        void *const to = fc_at_mut(c->out, i * c->row, fc_esize(c->dtype));
        if (copy) memcpy(to, from, (size_t)src_bytes);
        else fc_kernels(c->dtype)->elementwise.scaled[c->source](from, to, c->row, c->scale);
    }
    return FC_OK;
}

fc_status fc_gather_rows(fc_source source, fc_dtype dtype, const void *src, ptrdiff_t row, const int64_t *indices, ptrdiff_t n, double scale,
                         void *out) {
    assert(n >= 0 && row >= 0);
    if (row == 0) return FC_OK;
    const ptrdiff_t rows = fc_chunk_rows(row);
    const gather_call call = {source, dtype, src, row, indices, n, rows, scale, out};
    return fc_parallel_for((n + rows - 1) / rows, 0.2 * (double)n * (double)row, gather_task, &call);
}

ptrdiff_t fc_find_outside(const int64_t *indices, ptrdiff_t n, int64_t limit) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (indices[i] < 0 || indices[i] >= limit) return i;
    return -1;
}
