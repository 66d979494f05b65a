/* The gradient of pooling in planes, row by row: see fc_gather_rows_args in ukernels_pool.h. A vector of each phase of the columns is
 * gathered, and those are brought together. */

/* NV vectors of the elements whose windows the list from `e` to `end` tells. */
FC_INLINE void NAME(gather_phase)(const int NV, const int MAXIMUM, const fc_gather_rows_args *const a, const real *const dy,
                                  const uint8_t *const index, ptrdiff_t e, const ptrdiff_t end, vec *const sum) {
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) sum[v] = v_zero();
    for (; e < end; e++) {
        const real *const from = dy + a->offset[e];
        const uint8_t *const won = index + a->offset[e];
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const vec added = v_add(sum[v], v_load(from + v * VL));
            sum[v] = MAXIMUM ? v_select(v_match_u8(won + v * VL, a->position[e]), added, sum[v]) : added;
        }
    }
}

/* The first n lanes to p, n > 0. */
FC_INLINE void NAME(gather_put)(const fc_gather_rows_args *const a, real *const p, const vec v, const ptrdiff_t n) {
    if (n >= VL) NAME(put_channels)(p, v, VL, a->stream);
    else v_store_n(p, v, n);
}

/* STRIDE of the columns is 1 or 2; NV are the vectors of a phase whose windows are looked up together: 2, or 4 of rows that are flat. */
FC_INLINE void NAME(gather_row)(const int NV, const int STRIDE, const int MAXIMUM, const fc_gather_rows_args *const a, const real *const dy,
                                const uint8_t *const index, const ptrdiff_t *const first, real *const dx, const vindex *const lanes) {
    for (ptrdiff_t m = 0, s = 0; s < a->w; m += NV * VL, s += NV * VL * STRIDE) {
        const ptrdiff_t left = a->w - s;
        vec sum[2][4];
        FC_UNROLL(2)
        for (int q = 0; q < STRIDE; q++) NAME(gather_phase)(NV, MAXIMUM, a, dy + m, index + m, first[q], first[q + 1], sum[q]);
        FC_UNROLL(4)
        for (int v = 0; NV == 4 && v < NV; v++) {
            real *const to = dx + s + v * VL * STRIDE;
            v_store(to, STRIDE == 2 ? v_permute2(sum[0][v], sum[1][v], lanes[0]) : sum[0][v]);
            if (STRIDE == 2) v_store(to + VL, v_permute2(sum[0][v], sum[1][v], lanes[1]));
        }
        FC_UNROLL(2)
        for (int v = 0; NV == 2 && v < NV; v++) {
            const ptrdiff_t at = v * VL * STRIDE;
            if (at >= left) break;
            const vec low = STRIDE == 2 ? v_permute2(sum[0][v], sum[1][v], lanes[0]) : sum[0][v];
            NAME(gather_put)(a, dx + s + at, low, left - at);
            if (STRIDE == 2 && at + VL < left) NAME(gather_put)(a, dx + s + at + VL, v_permute2(sum[0][v], sum[1][v], lanes[1]), left - at - VL);
        }
    }
}

FC_INLINE void NAME(gather_rows)(const int NV, const int STRIDE, const int MAXIMUM, const fc_gather_rows_args *const args) {
    const fc_gather_rows_args copy = *args, *const a = &copy; /* known not to change when dx is written */
    vindex lanes[2];
    for (int k = 0; k < 2; k++) {
        int32_t lane[VL];
        for (int l = 0; l < VL; l++) lane[l] = (l + k * VL) / 2 + (l & 1) * VL;
        lanes[k] = v_index(lane);
    }
    const real *dy = a->dy;
    const uint8_t *index = a->index;
    ptrdiff_t phase = a->phase;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        NAME(gather_row)(NV, STRIDE, MAXIMUM, a, dy, index, a->first + phase * a->stride_w, (real *)a->dx + r * a->dx_row, lanes);
        if (++phase == a->stride_h) phase = 0, dy += a->dy_row, index += a->dy_row;
    }
}

#define FC_POOL_GATHER(name, MAXIMUM)                                         \
    static void NAME(name)(const fc_gather_rows_args *const a) {              \
        if (a->flat && a->stride_w == 1) NAME(gather_rows)(4, 1, MAXIMUM, a); \
        else if (a->flat) NAME(gather_rows)(4, 2, MAXIMUM, a);                \
        else if (a->stride_w == 1) NAME(gather_rows)(2, 1, MAXIMUM, a);       \
        else NAME(gather_rows)(2, 2, MAXIMUM, a);                             \
    }
FC_POOL_GATHER(pool_maximum_gather, 1)
FC_POOL_GATHER(pool_mean_gather, 0)
#undef FC_POOL_GATHER
