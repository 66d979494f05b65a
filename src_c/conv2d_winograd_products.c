/* Winograd's products on vectors: see conv2d_winograd_products.h. */
#include "conv2d_winograd_products.h"

fc_status fc_winograd_input_tiles(const fc_winograd_call *call, ptrdiff_t first, ptrdiff_t count, const fc_winograd_groups *groups,
                                  fc_winograd_order order, ptrdiff_t position, int ahead, float *v) {
    const fc_winograd_kernels *const kernels = call->plan.kernels;
    const fc_winograd_v_layout layout = {.position = position,
                                         .block = (ptrdiff_t)kernels->mr * kernels->lanes,
                                         .group = groups->rows,
                                         .group_stride = kernels->mr * call->plan.lanes,
                                         .tile_stride = kernels->lanes,
                                         .ahead = ahead};
    return fc_winograd_input(&call->plan, (fc_span){0, call->plan.pieces}, (fc_span){0, call->plan.c}, call->x, first, count, order, &layout, v);
}

void fc_winograd_multiply(const fc_winograd_plan *p, const fc_winograd_columns *panel, fc_winograd_placed at, const float *v, const float *u,
                          ptrdiff_t depth, float *m, ptrdiff_t m_group, int accumulate, fc_winograd_fetching *fetch) {
    const ptrdiff_t mr = p->kernels->mr;
    for (ptrdiff_t group = at.places.first ? at.places.first / at.rows : 0; group * at.rows < at.places.end; group++) {
        const float *const tiles = v + group * at.step;
        const void *const next = fetch->u_bytes ? fetch->u : (const void *)(tiles + fetch->v_ahead);
        panel->kernels->gemm[fc_min(at.rows, at.places.end - group * at.rows)](tiles, u, depth, p->chunk, m + group * m_group, accumulate, next,
                                                                               fetch->u_bytes ? fetch->u_bytes : mr * (ptrdiff_t)sizeof(float));
        fetch->u += depth * fetch->u_bytes;
    }
}

void fc_winograd_multiply_pieces(const fc_winograd_plan *p, const fc_winograd_columns *panel, int q, fc_winograd_placed at, const float *v,
                                 const float *u, float *m, ptrdiff_t m_group, fc_winograd_fetching *fetch) {
    for (ptrdiff_t piece = 0, end; piece < p->pieces; piece = end) {
        end = piece + 1;
        const int vanishes = fc_winograd_vanishes(p, piece, panel->share, q);
        if (vanishes && piece > 0) continue;
        while (!vanishes && p->c == p->lanes_c && end < p->pieces && !fc_winograd_vanishes(p, end, panel->share, q)) end++;
        fc_winograd_multiply(p, panel, at, v + piece * p->lanes_c * p->kernels->mr, u + piece * p->c * panel->nr, vanishes ? 0 : (end - piece) * p->c,
                             m, m_group, piece > 0, fetch);
    }
}
