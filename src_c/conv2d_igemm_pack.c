/* Weights of the implicit GEMM, packed for its kernels. */
#include "conv2d_igemm.h"

#include <assert.h>
#include <string.h>

enum {
    TASK_ROWS = 64, /* of weights */
    DOT_FEW = 2     /* output channels: panels of several terms are better for more */
};

typedef struct {
    const fc_igemm *g;
    void *packed;
} packing;

/* The terms of the reduction in one product where runs of pixels fill the rows of the grid about, else 0. */
static int terms_of(const fc_igemm *g) {
    const ptrdiff_t covered = fc_round_up(g->grid_w, FC_RUN_PIXELS), lanes = g->kernels->gemm.lanes;
    int terms = FC_RUN_TERMS;
    if (g->single_terms || g->taps == 0 || g->k > lanes || g->grid_w < FC_RUN_PIXELS || 2 * covered > 3 * g->grid_w) return 0;
    if (g->groups == 1 && fc_panels_get(&g->panels, 0).kernels->terms == FC_RUN_TERMS) return 0; /* with fewer loads */
    while (terms * g->k > lanes || terms > fc_igemm_terms_beside(g)) terms /= 2;
    return g->kernels->gemm.runs[terms] ? terms : 0;
}

/* Grids of one column are those of dense layers, whose pixels may be fewer than a tile of several terms has rows. */
void fc_igemm_plan_panels(fc_igemm *g) {
    static const fc_panel_kernels runs[FC_RUN_TERMS + 1] = {[2] = {.nr = 8, .mr = FC_RUN_PIXELS, .terms = 2},
                                                            [4] = {.nr = 4, .mr = FC_RUN_PIXELS, .terms = 4}};
    g->panels = fc_panels_plan(&g->kernels->gemm, g->k, g->single_terms || g->grid_w == 1 ? 1 : g->depth);
    const ptrdiff_t most = g->panels.tile_rows ? DOT_FEW : FC_DOT_MAX;
    g->dot = g->taps > 0 && g->k <= most && g->depth >= 2 * g->kernels->gemm.lanes;
    g->terms = g->dot ? 0 : terms_of(g);
    if (g->terms) g->panels.bulk = 0, g->panels.tails = 1, g->panels.tail[0] = &runs[g->terms];
    assert(!g->terms || runs[g->terms].nr * g->terms == g->kernels->gemm.lanes);
    g->packed_group = g->terms ? fc_igemm_products(g) * g->kernels->gemm.lanes : fc_panels_width(&g->panels) * fc_igemm_reduction(g);
}

double fc_igemm_cost(const fc_conv2d *conv, int transposed) {
    const double runs = 1.25; /* beside wide panels, as measured */
    fc_igemm g = fc_igemm_of(conv);
    if (transposed) {
        g.depth = conv->k / conv->groups, g.k = conv->c / conv->groups;
        g.grid_w = fc_ceil_div(conv->w, conv->stride_w), g.beside = 1;
    }
    fc_igemm_plan_panels(&g);
    if (!g.terms) return (double)fc_panels_cost(&g.panels);
    const double lanes = (double)g.packed_group / (double)fc_igemm_reduction(&g);
    return runs * lanes * g.panels.main->cost / (double)g.panels.main->nr;
}

/* The weight of an output channel of a group for a channel that a tap reads. */
static float weight_of(const fc_igemm *g, ptrdiff_t group, ptrdiff_t tap, ptrdiff_t channel, ptrdiff_t output) {
    const ptrdiff_t of_input = g->transposed ? g->k : g->depth, of_output = g->transposed ? g->depth : g->k;
    const ptrdiff_t row = g->tap[tap].source * of_input + (g->transposed ? output : channel);
    return ((const float *)g->weights)[(row * g->groups + group) * of_output + (g->transposed ? channel : output)];
}

/* One group for runs of pixels: [product][output channel][term] in vectors. Terms that are in two products have half of their weight in each. */
static fc_status pack_products(const void *context, ptrdiff_t group) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t products = fc_igemm_products_beside(g), beside = fc_igemm_terms_beside(g), last = beside - g->terms;
    float *out = (float *)job->packed + group * g->packed_group;
    memset(out, 0, (size_t)g->packed_group * sizeof *out);
    for (ptrdiff_t t = 0; t < g->taps; t += g->beside)
        for (ptrdiff_t p = 0; p < products; p++, out += g->kernels->gemm.lanes) {
            const ptrdiff_t first = fc_min(p * g->terms, last), before = p > 0 ? p * g->terms : 0, after = p == products - 2 ? last : beside;
            for (ptrdiff_t i = first; i < first + g->terms; i++)
                for (ptrdiff_t j = 0; j < g->k; j++)
                    out[j * g->terms + i - first] = (i < before || i >= after ? 0.5F : 1) * weight_of(g, group, t + i / g->depth, i % g->depth, j);
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

/* So many terms at a time, nr times as far apart. */
static void copy_terms(ptrdiff_t terms, const float *in, ptrdiff_t depth, float *out, ptrdiff_t nr) {
    assert(terms == 2 || terms == 4);
    for (ptrdiff_t i = 0; i < depth; i += terms) {
        if (terms == 2) memcpy(out + i * nr, in + i, 2 * sizeof *out);
        else memcpy(out + i * nr, in + i, 4 * sizeof *out);
    }
}

/* One panel of one group: w_hwio[tap][p.first + j][group * depth + i] -> [tap][i][j] */
static fc_status pack_transposed(const void *context, ptrdiff_t task) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t panels = fc_panels_count(&g->panels), group = task / panels;
    const fc_panel p = fc_panels_get(&g->panels, task % panels);
    const ptrdiff_t nr = p.kernels->nr, ldw = g->groups * g->depth, terms = p.kernels->terms;
    char *out = fc_at_mut(job->packed, group * g->packed_group + p.first * fc_igemm_reduction(g), g->esize);
    if (p.columns < nr) memset(out, 0, (size_t)(fc_igemm_reduction(g) * nr * g->esize));
    for (ptrdiff_t t = 0; t < g->taps; t++) {
        const void *in = fc_at(g->weights, (g->tap[t].source * g->k + p.first) * ldw + group * g->depth, g->esize);
        if (terms == 1) g->kernels->frame.transpose(in, ldw, out, nr, p.columns, g->depth);
        for (ptrdiff_t j = 0; j < p.columns && terms > 1; j++)
            copy_terms(terms, fc_at(in, j * ldw, g->esize), g->depth, fc_at_mut(out, j * terms, g->esize), nr);
        out += g->depth * nr * g->esize;
    }
    return FC_OK;
}

/* Those at the beginning that may be read where they are. */
static ptrdiff_t plain_panels(const fc_igemm *g) {
    for (ptrdiff_t i = g->panels.bulk;; i++) {
        if (i == fc_panels_count(&g->panels)) return i;
        const fc_panel p = fc_panels_get(&g->panels, i);
        if (!fc_panel_is_plain(&p)) return i;
    }
}

/* Some rows of one group, but for panels that are read where they are. */
static fc_status pack_rows(const void *context, ptrdiff_t task) {
    const packing *const job = context;
    const fc_igemm *const g = job->g;
    const ptrdiff_t ldw = g->groups * g->k, rows = fc_igemm_reduction(g);
    const ptrdiff_t group = task % g->groups, row = task / g->groups * TASK_ROWS, first = g->raw || g->steps ? plain_panels(g) : 0;
    fc_panels_pack(&g->panels, first, &g->kernels->frame, fc_at(g->weights, row * ldw + group * g->k, g->esize), ldw, fc_min(TASK_ROWS, rows - row),
                   fc_at_mut(job->packed, group * g->packed_group, g->esize), row, rows, g->esize);
    return FC_OK;
}

fc_status fc_igemm_pack(const fc_igemm *g, void *packed) {
    const packing job = {g, packed};
    if ((g->raw || g->steps) && !g->dot && plain_panels(g) == fc_panels_count(&g->panels)) return FC_OK; /* all are read where they are */
    const double work = 0.5 * (double)g->groups * (double)g->packed_group;
    if (g->dot) return fc_parallel_for(g->groups, work, pack_dot, &job);
    if (g->terms) return fc_parallel_for(g->groups, work, pack_products, &job);
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
