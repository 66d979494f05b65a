/* The tile of the implicit GEMM for panels that take several terms of the reduction at a time, and the table of all panels: see fc_panel_kernels in
 * ukernels.h. Where output channels fill no more than a vector, each multiply-add would need a load of its own, and loads take longer: the terms of a
 * row are loaded once for two vectors of sums, of half as many channels each. */

#ifndef FC_TERMS
#define FC_TERMS(X) X(2, 2, 12, 16, 33) X(4, 2, 8, 9, 4) X(4, 1, 8, 6, 4)
#define FC_TERMS_FNS(terms, nv, mr, cost, least)                                                                 \
    static void NAME(gemm_terms_##terms##x##nv)(const fc_gemm_args *a) { NAME(terms_tiles)(mr, nv, terms, a); }
#define FC_TERMS_ENTRY(terms, nv, mr, cost, least) \
    {(nv) * VL / (terms), mr, cost, terms, least, {[mr] = NAME(gemm_terms_##terms##x##nv)}, {[mr] = NAME(gemm_terms_##terms##x##nv)}, {NULL}},
#endif

#if defined(FC_F32) && VL == 16
FC_INLINE vec NAME(repeat_terms)(const int TERMS, const void *const x) { return TERMS == 2 ? v_repeat_2(x) : v_repeat_4(x); }

/* The sums of lanes side by side, together: those of lane l * TERMS at l. */
FC_INLINE vec NAME(sum_terms)(const int TERMS, vec sum, const vindex across, const vindex pair, const vindex every) {
    if (TERMS > 2) sum = v_add(sum, v_permute(sum, across));
    return v_permute(v_add(sum, v_permute(sum, pair)), every);
}

FC_INLINE void NAME(terms_indices)(const int TERMS, vindex index[3]) {
    int32_t lanes[3][VL];
    for (int l = 0; l < VL; l++) lanes[0][l] = l ^ 2, lanes[1][l] = l ^ 1, lanes[2][l] = l * TERMS % VL;
    for (int i = 0; i < 3; i++) index[i] = v_index(lanes[i]);
}

FC_INLINE void NAME(terms_tiles)(const int MR, const int NV, const int TERMS, const fc_gemm_args *const a) {
    assert(a->depth % TERMS == 0 && a->columns > 0 && a->columns <= NV * VL / TERMS && !a->accumulate && !a->pooled);
    const ptrdiff_t depth = a->depth, *const offset = a->offset, each = FC_STEPS * a->next_bytes;
    const char *next = a->next;
    vindex index[3];
    NAME(terms_indices)(TERMS, index);
    vec bias[FC_NV_MAX];
    ptrdiff_t columns[FC_NV_MAX];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        const ptrdiff_t left = a->columns - v * (VL / TERMS);
        columns[v] = left < 0 ? 0 : left < VL / TERMS ? left : VL / TERMS;
        bias[v] = a->bias ? v_load_n((const real *)a->bias + v * (VL / TERMS), columns[v]) : v_zero();
    }
    const vec least = v_set1(a->relu ? 0 : -(real)INFINITY);
    void *const *out = a->out;
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++, out += MR) {
        const void *const *rows = a->rows + tile * MR;
        void *const *to = out, *const *const to_end = a->fetch ? out + MR : out;
        vec acc[FC_MR_MAX][FC_NV_MAX];
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) acc[i][v] = v_zero();
        }
        const real *w = a->w;
        for (ptrdiff_t t = 0; t < a->taps; t++, rows += a->row_stride) {
            const real *x[FC_MR_MAX];
            FC_UNROLL(12)
            for (int i = 0; i < MR; i++) x[i] = rows[i];
            FC_ROLLED
            for (ptrdiff_t c = 0; c < depth; c += TERMS, w += NV * VL) {
                const ptrdiff_t at = offset ? offset[c] : c;
                vec b[FC_NV_MAX];
                FC_UNROLL(4)
                for (int v = 0; v < NV; v++) b[v] = v_load(w + v * VL);
                FC_UNROLL(12)
                for (int i = 0; i < MR; i++) {
                    const vec s = NAME(repeat_terms)(TERMS, x[i] + at);
                    FC_UNROLL(4)
                    for (int v = 0; v < NV; v++) v_accumulate(acc[i][v], s, b[v]);
                }
                if (c % FC_STEPS) continue;
                if (to < to_end) NAME(fetch_result)(1, a, *to++);
                if (next) {
                    __builtin_prefetch(next, 0, 2);
                    __builtin_prefetch(next + 64, 0, 2);
                    next += each;
                }
            }
        }
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) {
                const vec sum = v_add(bias[v], NAME(sum_terms)(TERMS, acc[i][v], index[0], index[1], index[2]));
                v_store_n((real *)out[i] + a->column + v * (VL / TERMS), v_max(least, sum), columns[v]);
            }
        }
        if (next >= (const char *)a->next_end) next = NULL;
    }
}

FC_TERMS(FC_TERMS_FNS)
static const fc_panel_kernels NAME(panels)[] = {FC_PANELS(FC_PANEL_ENTRY) FC_TERMS(FC_TERMS_ENTRY)};
#else
static const fc_panel_kernels NAME(panels)[] = {FC_PANELS(FC_PANEL_ENTRY)};
#endif
