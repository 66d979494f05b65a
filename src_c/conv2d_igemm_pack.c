/* Weights of the implicit GEMM, packed for its kernels. */
#include "conv2d_igemm.h"

#include <string.h>

enum { TASK_ROWS = 64 }; /* of weights */

typedef struct {
    const fc_igemm *g;
    void *packed;
} packing;

/* The terms of the reduction in one product where runs of pixels fill the rows of the grid about, else 0. */
static int terms_of(const fc_igemm *g) {
    const ptrdiff_t covered = fc_round_up(g->grid_w, FC_RUN_PIXELS), lanes = g->kernels->gemm.lanes;
    int terms = FC_RUN_TERMS;
    if (g->groups == 1 || g->taps == 0 || g->k > lanes || g->grid_w < FC_RUN_PIXELS || 2 * covered > 3 * g->grid_w) return 0;
    while (terms * g->k > lanes || g->depth % terms) terms /= 2;
    return g->kernels->gemm.runs[terms] ? terms : 0;
}

void fc_igemm_plan_panels(fc_igemm *g) {
    g->panels = fc_panels_plan(&g->kernels->gemm, g->k);
    g->dot = g->taps > 0 && g->k <= FC_DOT_MAX && g->depth >= 2 * g->kernels->gemm.lanes;
    g->terms = g->dot ? 0 : terms_of(g);
    g->packed_group = g->terms ? fc_igemm_reduction(g) / g->terms * g->kernels->gemm.lanes : fc_panels_width(&g->panels) * fc_igemm_reduction(g);
}

/* One group for runs of pixels. */
static fc_status pack_runs(const void *context, ptrdiff_t group) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const fc_frame_kernels *const frame = &g->kernels->frame;
    const ptrdiff_t ldw = g->groups * (g->transposed ? g->depth : g->k), rows = g->transposed ? g->k : g->depth, nr = g->kernels->gemm.lanes;
    char *out = fc_at_mut(job->packed, group * g->packed_group, g->esize);
    memset(out, 0, (size_t)(g->packed_group * g->esize));
    for (ptrdiff_t t = 0; t < g->taps; t++) {
        const char *const in = fc_at(g->weights, g->tap[t].source * rows * ldw + group * ldw / g->groups, g->esize);
        for (ptrdiff_t c = 0; c < g->depth; c += g->terms, out += nr * g->esize) {
            if (g->transposed) frame->pack(fc_at(in, c, g->esize), ldw, g->k, g->terms, out, g->terms);
            else frame->transpose(fc_at(in, c * ldw, g->esize), ldw, out, g->terms, g->terms, g->k);
        }
    }
    return FC_OK;
}

/* One group for the dot kernels: [tap][output channel][depth]. */
static fc_status pack_dot(const void *context, ptrdiff_t group) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t ldw = g->groups * (g->transposed ? g->depth : g->k), rows = g->transposed ? g->k : g->depth;
    char *out = fc_at_mut(job->packed, group * g->packed_group, g->esize);
    for (ptrdiff_t t = 0; t < g->taps; t++, out += g->k * g->depth * g->esize) {
        const void *in = fc_at(g->weights, g->tap[t].source * rows * ldw + group * ldw / g->groups, g->esize);
        if (g->transposed) g->kernels->frame.pack(in, ldw, g->k, g->depth, out, g->depth);
        else g->kernels->frame.transpose(in, ldw, out, g->depth, g->depth, g->k);
    }
    return FC_OK;
}

/* One panel of one group: w_hwio[tap][p.first + j][group * depth + i] -> [tap][i][j] */
static fc_status pack_transposed(const void *context, ptrdiff_t task) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t panels = fc_panels_count(&g->panels), group = task / panels;
    const fc_panel p = fc_panels_get(&g->panels, task % panels);
    const ptrdiff_t nr = p.kernels->nr, ldw = g->groups * g->depth;
    char *out = fc_at_mut(job->packed, group * g->packed_group + p.first * fc_igemm_reduction(g), g->esize);
    if (p.columns < nr) memset(out, 0, (size_t)(fc_igemm_reduction(g) * nr * g->esize));
    for (ptrdiff_t t = 0; t < g->taps; t++) {
        const void *in = fc_at(g->weights, (g->tap[t].source * g->k + p.first) * ldw + group * g->depth, g->esize);
        g->kernels->frame.transpose(in, ldw, out, nr, p.columns, g->depth);
        out += g->depth * nr * g->esize;
    }
    return FC_OK;
}

/* Some rows of one group, but for panels that are read where they are. */
static fc_status pack_rows(const void *context, ptrdiff_t task) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t ldw = g->groups * g->k, rows = fc_igemm_reduction(g);
    const ptrdiff_t group = task % g->groups, row = task / g->groups * TASK_ROWS, panels = fc_panels_count(&g->panels);
    const ptrdiff_t first = !g->raw ? 0 : panels - 1;
    fc_panels_pack(&g->panels, first, &g->kernels->frame, fc_at(g->weights, row * ldw + group * g->k, g->esize), ldw, fc_min(TASK_ROWS, rows - row),
                   fc_at_mut(job->packed, group * g->packed_group, g->esize), row, rows, g->esize);
    return FC_OK;
}

fc_status fc_igemm_pack(const fc_igemm *g, void *packed) {
    const packing job = {g, packed};
    const fc_panel last = fc_panels_get(&g->panels, fc_panels_count(&g->panels) - 1);
    if (g->raw && !g->dot && last.columns == last.kernels->nr) return FC_OK; /* all are read where they are */
    const double work = 0.5 * (double)g->groups * (double)g->packed_group;
    if (g->dot || g->terms) return fc_parallel_for(g->groups, work, g->dot ? pack_dot : pack_runs, &job);
    if (g->transposed) return fc_parallel_for(g->groups * fc_panels_count(&g->panels), work, pack_transposed, &job);
    return fc_parallel_for(g->groups * fc_ceil_div(fc_igemm_reduction(g), TASK_ROWS), work, pack_rows, &job);
}

ptrdiff_t fc_igemm_weights_bytes(const fc_conv2d *conv) {
    fc_igemm g = fc_igemm_of(conv);
    fc_igemm_plan_panels(&g);
    const ptrdiff_t parts = fc_igemm_parts_bytes(conv, &g);
    return parts ? parts : conv->k == g.panels.main->nr ? 0 : g.groups * g.packed_group * g.esize;
}

fc_status fc_igemm_pack_weights(const fc_conv2d *conv, const void *w, void *packed) {
    fc_status status = FC_OK;
    for (int half = 0; half < fc_igemm_halves(conv) && status == FC_OK; half++) {
        ptrdiff_t first;
        fc_igemm g = fc_igemm_half(conv, half, &first);
        fc_igemm_plan_panels(&g);
        g.weights = fc_at(w, first * conv->k, g.esize);
        void *const to = fc_at_mut(packed, first * fc_panels_width(&g.panels), g.esize);
        if (fc_igemm_parts_bytes(conv, &g)) status = fc_igemm_make_parts(&g, to);
        else status = fc_igemm_find_taps(conv, &g) ? fc_igemm_pack(&g, to) : FC_NO_MEMORY;
    }
    return status;
}
