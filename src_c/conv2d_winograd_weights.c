/* Winograd's convolution: the transform of the weights. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <string.h>

ptrdiff_t fc_winograd_u_position(const fc_winograd_plan *p) { return p->width * p->depth + FC_WINOGRAD_SKEW; }

/* Fetches n elements that lie `elements` from p; they need not exist. */
static void fetch(const float *p, ptrdiff_t elements, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += FC_ALIGN / (ptrdiff_t)sizeof(float))
        __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)(elements + i) * sizeof(float)));
}

/* Rows of weights that are fetched ahead. */
enum { FETCH_AHEAD = 12 };

/* One tap of output channels `columns`, input channels c0 .. c1 - 1, to copy[c * ld + k], from w, which is the tap. */
static void copy_tap(const fc_winograd_plan *p, const float *w, fc_span columns, ptrdiff_t c0, ptrdiff_t c1, float *copy, ptrdiff_t ld) {
    const ptrdiff_t count = columns.end - columns.first;
    if (p->transposed) {
        const float *const from = w + columns.first * p->ldw + c0;
        for (ptrdiff_t k = 0; k < count; k++) fetch(from, (p->k + k) * p->ldw, c1 - c0);
        fc_kernels(FC_F32)->frame.transpose(from, p->ldw, copy, ld, count, c1 - c0);
        return;
    }
    for (ptrdiff_t c = c0; c < c1; c++, copy += ld) {
        const float *const from = w + c * p->ldw + columns.first;
        fetch(from, FETCH_AHEAD * p->ldw, count);
        if (count == 32) memcpy(copy, from, 32 * sizeof(float));
        else if (count == 16) memcpy(copy, from, 16 * sizeof(float));
        else memcpy(copy, from, (size_t)count * sizeof(float));
    }
}

/* The taps of a piece, in the order of the transform: tap t to copy + t * step, as above. What it does not have is zero. */
static void copy_taps(const fc_winograd_plan *p, const float *w, ptrdiff_t piece, ptrdiff_t share, fc_span columns, ptrdiff_t c0, ptrdiff_t c1,
                      float *copy, ptrdiff_t step, ptrdiff_t ld) {
    const fc_winograd_taps rows = fc_winograd_piece_rows(p, piece, share), cols = fc_winograd_piece_cols(p, piece, share);
    const ptrdiff_t tap = (p->transposed ? p->k : p->c) * p->ldw;
    for (ptrdiff_t i = 0; i < p->rows.r; i++)
        for (ptrdiff_t j = 0; j < p->cols.r; j++) {
            const ptrdiff_t index = i * p->cols.r + j, to = p->transposed ? p->rows.r * p->cols.r - 1 - index : index;
            const ptrdiff_t row = rows.first + i * p->rows.stride, col = cols.first + j * p->cols.stride;
            if (i < rows.count && j < cols.count) copy_tap(p, w + (row * p->cols.taps + col) * tap, columns, c0, c1, copy + to * step, ld);
            else memset(copy + to * step, 0, (size_t)((c1 - c0) * ld) * sizeof(float));
        }
}

void fc_winograd_copy_taps(const fc_winograd_plan *p, const float *w, ptrdiff_t first, ptrdiff_t c0, ptrdiff_t c1, float *copy) {
    const ptrdiff_t lanes = p->kernels->lanes, taps = p->rows.r * p->cols.r, end = fc_min(first + lanes, p->k);
    assert(p->pieces == 1 && p->shares == 1 && p->whole); /* taps that are not there would be zeroed across others */
    if (end < first + lanes) memset(copy, 0, (size_t)((c1 - c0) * taps * lanes) * sizeof(float));
    if (first < end) copy_taps(p, w, 0, 0, (fc_span){first, end}, c0, c1, copy, lanes, taps * lanes);
}

/* Taps are copied first. What is read lies in pieces of a panel's width, often a power of two apart: read more than once where it
 * is, it would evict itself. */
void fc_winograd_transform_some(const fc_winograd_plan *p, const float *w, ptrdiff_t piece, const fc_winograd_columns *panel, ptrdiff_t c0,
                                ptrdiff_t c1, float *space, float *u, ptrdiff_t position) {
    const ptrdiff_t tap_size = (c1 - c0) * panel->nr;
    copy_taps(p, w, piece, panel->share, (fc_span){panel->first, panel->first + panel->columns}, c0, c1, space, tap_size, panel->nr);
    const fc_winograd_weights_args args = {
        .w = space, .tap = tap_size, .ld = panel->nr, .rows = c1 - c0, .columns = panel->columns, .nr = panel->nr, .u = u, .position = position};
    p->transforms->weights(&args);
}

/* Input channels of one task. */
enum { WEIGHTS_CHUNK = 16 };

typedef struct {
    const fc_winograd_plan *plan;
    const float *w;
    float *u;
} weights_call;

static fc_status weights_task(const void *context, ptrdiff_t task) {
    const weights_call *const call = context;
    const fc_winograd_plan *const p = call->plan;
    const ptrdiff_t chunks = fc_ceil_div(p->c, WEIGHTS_CHUNK), c0 = task % chunks * WEIGHTS_CHUNK, c1 = fc_min(c0 + WEIGHTS_CHUNK, p->c);
    const ptrdiff_t piece = task / chunks % p->pieces;
    const fc_winograd_columns panel = fc_winograd_panel_at(p, task / chunks / p->pieces);
    float *const space = fc_scratch(FC_SLOT_TASK, (size_t)(p->rows.r * p->cols.r * WEIGHTS_CHUNK * panel.nr) * sizeof(float));
    if (!space) return FC_NO_MEMORY;
    float *const u = call->u + panel.at * p->depth + (piece * p->c + c0) * panel.nr;
    fc_winograd_transform_some(p, call->w, piece, &panel, c0, c1, space, u, fc_winograd_u_position(p));
    return FC_OK;
}

fc_status fc_winograd_transform_all(const fc_winograd_plan *p, const float *w, float *u) {
    const weights_call call = {p, w, u};
    return fc_parallel_for(p->panels * p->pieces * fc_ceil_div(p->c, WEIGHTS_CHUNK), (double)(p->depth * p->width) * 4, weights_task, &call);
}

fc_status fc_winograd_transform_call(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (call->packed) return FC_OK;
    float *const u = fc_scratch(FC_SLOT_CALL, (size_t)(p->positions * fc_winograd_u_position(p)) * sizeof(float));
    if (!u) return FC_NO_MEMORY;
    call->packed = u;
    return fc_winograd_transform_all(p, call->w, u);
}

int fc_winograd_packs_parts(const fc_conv2d *conv, const fc_winograd_plan *plan) {
    fc_winograd_plan many = *plan;
    many.tiles = fc_packed_images(conv) * many.rows.classes * many.rows.tiles * many.cols.classes * many.cols.tiles;
    return !plan->registers && fc_winograd_matrix_pays(&many);
}

/* Bytes of one group's. */
static ptrdiff_t packed_bytes(const fc_conv2d *conv, const fc_winograd_plan *plan) {
    if (plan->registers) return fc_winograd_taps_bytes(plan);
    return fc_winograd_packs_parts(conv, plan) ? fc_winograd_parts_bytes(plan)
                                               : plan->positions * fc_winograd_u_position(plan) * (ptrdiff_t)sizeof(float);
}

ptrdiff_t fc_winograd_weights_bytes(const fc_conv2d *conv) {
    const fc_winograd_plan plan = fc_winograd_plan_packed(conv);
    return conv->groups * packed_bytes(conv, &plan);
}

fc_status fc_winograd_transform_weights(const fc_conv2d *conv, const void *w, void *packed) {
    const fc_winograd_plan plan = fc_winograd_plan_packed(conv);
    const int parts = fc_winograd_packs_parts(conv, &plan);
    const ptrdiff_t step = packed_bytes(conv, &plan);
    fc_status status = FC_OK;
    for (ptrdiff_t g = 0; g < conv->groups && status == FC_OK; g++) {
        const float *const of_group = (const float *)w + g * plan.k;
        void *const to = (char *)packed + g * step;
        if (plan.registers) status = fc_winograd_pack_taps(&plan, of_group, to);
        else status = parts ? fc_winograd_make_parts(&plan, of_group, NULL, to) : fc_winograd_transform_all(&plan, of_group, to);
    }
    return status;
}
