/* The forward pass of dense layers with many inputs, as an implicit GEMM: their sums are made in two halves, then added. Two threads take one each
 * and read weights of their own. If they shared the panels instead, or the rows, both would fetch the same lines at the same time, which takes longer
 * than one thread with all of it. Results do not depend on the number of threads: the sums are always made so. */
#include "chunks.h"
#include "conv2d_igemm.h"

/* Inputs for which two calls are worth it. */
enum { LEAST_INPUTS = 1024 };

typedef struct {
    const fc_conv2d *conv;
    const void *x, *w, *packed, *bias;
    void *y, *second; /* the second half's sums */
    int alone;
} halves_call;

int fc_igemm_halves(const fc_conv2d *conv) {
    const int dense = conv->h == 1 && conv->w == 1 && conv->oh == 1 && conv->ow == 1 && conv->kh == 1 && conv->kw == 1 && conv->groups == 1;
    return dense && conv->c >= LEAST_INPUTS && conv->k > FC_DOT_MAX ? 2 : 1;
}

ptrdiff_t fc_igemm_second_half(const fc_conv2d *conv) {
    return fc_igemm_halves(conv) > 1 ? fc_round_up(conv->c / 2, FC_ALIGN / fc_esize(conv->dtype)) : 0;
}

fc_igemm fc_igemm_half(const fc_conv2d *conv, int half, ptrdiff_t *first) {
    fc_igemm g = fc_igemm_of(conv);
    *first = 0;
    const ptrdiff_t inputs = fc_igemm_second_half(conv);
    if (inputs == 0) return g;
    *first = half * inputs;
    g.depth = half ? conv->c - inputs : inputs;
    g.activation = FC_LINEAR;
    return g;
}

static fc_status half_task(const void *context, ptrdiff_t half) {
    const halves_call *const call = context;
    const fc_conv2d *const conv = call->conv;
    ptrdiff_t first;
    fc_igemm g = fc_igemm_half(conv, (int)half, &first);
    g.x = fc_at(call->x, first, g.esize), g.y = half ? call->second : call->y;
    g.bias = half ? NULL : call->bias;
    g.alone = call->alone;
    if (call->w) g.weights = fc_at(call->w, first * conv->k, g.esize);
    fc_igemm_plan_panels(&g);
    if (call->packed) g.packed = fc_at(call->packed, first * fc_panels_width(&g.panels), g.esize);
    return fc_igemm_find_taps(conv, &g) ? fc_igemm_run(&g) : FC_NO_MEMORY;
}

static fc_status add_task(const void *context, ptrdiff_t chunk) {
    const halves_call *const call = context;
    const fc_conv2d *const conv = call->conv;
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    const ptrdiff_t esize = fc_esize(conv->dtype), n = fc_chunk_length(conv->n * conv->k, chunk), begin = chunk * FC_CHUNK;
    void *const y = fc_at_mut(call->y, begin, esize);
    kernels->frame.add_into(fc_at(call->second, begin, esize), y, n);
    if (conv->activation != FC_LINEAR) kernels->elementwise.activation[conv->activation](y, y, n);
    return FC_OK;
}

fc_status fc_igemm_run_halves(const fc_conv2d *conv, const void *x, const void *w, const void *packed, const void *bias, void *y) {
    const ptrdiff_t sums = conv->n * conv->k;
    halves_call call = {.conv = conv, .x = x, .w = w, .packed = packed, .bias = bias, .y = y};
    call.second = fc_scratch(FC_SLOT_FOLDED, (size_t)(sums * fc_esize(conv->dtype)));
    if (!call.second) return FC_NO_MEMORY;
    call.alone = fc_get_num_threads() == 2;
    const fc_igemm whole = fc_igemm_of(conv);
    fc_status status = FC_OK;
    if (call.alone) status = fc_parallel_for(2, fc_igemm_work(&whole), half_task, &call);
    else
        for (int half = 0; half < 2 && status == FC_OK; half++) status = half_task(&call, half);
    return status == FC_OK ? fc_parallel_for(fc_chunks(sums), (double)sums, add_task, &call) : status;
}
