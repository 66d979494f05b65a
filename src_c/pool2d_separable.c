/* Max-pooling with large windows: the maxima of the rows of all windows first, each of which many windows share, then their maxima. The
 * first of equals along a row, and then the first row, is the first of the window, so indices are the same as well. */
#include "pool2d_internal.h"

#include <assert.h>

/* How many comparisons it has to save. */
enum { GAIN = 2 };

int fc_pool_separable_pays(const fc_pool2d *p) {
    const double rows = (double)p->pool_w * (double)p->h / (double)p->oh; /* comparisons along rows, for each output */
    return p->pool_h > 1 && p->pool_w > 1 && (double)p->pool_h * (double)p->pool_w >= GAIN * (rows + (double)p->pool_h);
}

typedef struct {
    const fc_pool2d *p;
    const uint8_t *in_row; /* where in its row each maximum of pass 1 is */
    uint8_t *index;        /* the row in the window, becomes the position */
} join_call;

/* One row of windows. */
static fc_status join_task(const void *context, ptrdiff_t task) {
    const join_call *const call = context;
    const fc_pool2d *const p = call->p;
    const ptrdiff_t line = p->ow * p->c, top = task % p->oh * p->stride_h - p->pad_top;
    const uint8_t *const in_row = call->in_row + task / p->oh * p->h * line;
    uint8_t *const index = call->index + task * line;
    for (ptrdiff_t e = 0; e < line; e++) index[e] = (uint8_t)(index[e] * p->pool_w + in_row[(top + index[e]) * line + e]);
    return FC_OK;
}

fc_status fc_pool_separable(const fc_pool2d *pool, const void *x, void *y, void *indices) {
    assert(!indices || fc_pool_index_bytes(pool) == 1);
    const ptrdiff_t esize = fc_esize(pool->dtype);
    fc_pool2d p = fc_pool_as_nhwc(pool);
    const ptrdiff_t in = p.h * p.w * p.c, between = p.h * p.ow * p.c, out = p.oh * p.ow * p.c;
    const ptrdiff_t n = p.n, round = fc_images_per_round(n, (in + between + out) * esize), space = fc_round_up(round * between * esize, FC_ALIGN);
    char *const maxima = fc_scratch(FC_SLOT_CALL, (size_t)(space + (indices ? round * between : 0)));
    if (!maxima) return FC_NO_MEMORY;
    uint8_t *const in_row = indices ? (uint8_t *)maxima + space : NULL;
    for (ptrdiff_t first = 0; first < n; first += round) {
        p.n = fc_min(round, n - first);
        fc_pool2d rows = p, columns = p;
        rows.oh = p.h, rows.pool_h = rows.stride_h = 1, rows.pad_top = 0;
        columns.w = p.ow, columns.pool_w = columns.stride_w = 1, columns.pad_left = 0;
        uint8_t *const index = indices ? (uint8_t *)indices + first * out : NULL;
        fc_status status = fc_max_pool2d(&rows, fc_at(x, first * in, esize), maxima, in_row);
        if (status == FC_OK) status = fc_max_pool2d(&columns, maxima, fc_at_mut(y, first * out, esize), index);
        const join_call call = {&p, in_row, index};
        if (status == FC_OK && indices) status = fc_parallel_for(p.n * p.oh, (double)(p.n * out), join_task, &call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}
