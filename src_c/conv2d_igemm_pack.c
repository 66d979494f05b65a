/* Weights of the implicit GEMM, packed for its kernels. */
#include "conv2d_igemm.h"

#include <string.h>

/* Packs one group's weights for the dot kernels: [tap][output channel][depth]. */
static void pack_dot(const fc_igemm *g, ptrdiff_t group) {
    const ptrdiff_t ldw = g->groups * (g->transposed ? g->depth : g->k), rows = g->transposed ? g->k : g->depth;
    char *out = fc_at_mut(g->packed, group * g->packed_group, g->esize);
    for (ptrdiff_t t = 0; t < g->taps; t++, out += g->k * g->depth * g->esize) {
        const void *in = fc_at(g->weights, g->tap[t].source * rows * ldw + group * ldw / g->groups, g->esize);
        if (g->transposed) g->kernels->frame.pack(in, ldw, g->k, g->depth, out, g->depth);
        else g->kernels->frame.transpose(in, ldw, out, g->depth, g->depth, g->k);
    }
}

fc_status fc_igemm_pack_task(const void *context, ptrdiff_t task) {
    const fc_igemm *const g = context;
    if (g->dot) {
        pack_dot(g, task);
        return FC_OK;
    }
    const ptrdiff_t panels = fc_panels_count(&g->panels), group = task / panels;
    const fc_panel p = fc_panels_get(&g->panels, task % panels);
    const ptrdiff_t nr = p.kernels->nr;
    if (g->raw && p.columns == nr) return FC_OK;
    const fc_frame_kernels *const frame = &g->kernels->frame;
    char *out = fc_at_mut(g->packed, group * g->packed_group + p.first * fc_igemm_reduction(g), g->esize);
    if (g->transposed) {
        /* w_hwio[tap][p.first + j][group * depth + i] -> out[tap][i][j] */
        const ptrdiff_t ldw = g->groups * g->depth;
        if (p.columns < nr) memset(out, 0, (size_t)(fc_igemm_reduction(g) * nr * g->esize));
        for (ptrdiff_t t = 0; t < g->taps; t++) {
            const void *in = fc_at(g->weights, (g->tap[t].source * g->k + p.first) * ldw + group * g->depth, g->esize);
            frame->transpose(in, ldw, out, nr, p.columns, g->depth);
            out += g->depth * nr * g->esize;
        }
    } else {
        const ptrdiff_t ldw = g->groups * g->k;
        const void *in = fc_at(g->weights, group * g->k + p.first, g->esize);
        frame->pack(in, ldw, fc_igemm_reduction(g), p.columns, out, nr);
    }
    return FC_OK;
}
