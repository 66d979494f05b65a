/* The tile of the implicit GEMM for panels that take several terms of the reduction at a time, and the table of all panels: see fc_panel_kernels in
 * ukernels.h. A row's sums are made in two, of every other such product, which are more than it takes to hide the latency of a multiply-add. */

#ifndef FC_TERMS
#define FC_TERMS_MR 8
#define FC_TERMS(X) X(2, 10) X(4, 8)
#define FC_TERMS_FNS(terms, cost)                                                                             \
    static void NAME(gemm_terms_##terms)(const fc_gemm_args *a) { NAME(terms_tiles)(FC_TERMS_MR, terms, a); }
#define FC_TERMS_ENTRY(terms, cost)                                                                                                           \
    {VL / (terms), FC_TERMS_MR, cost, terms, {[FC_TERMS_MR] = NAME(gemm_terms_##terms)}, {[FC_TERMS_MR] = NAME(gemm_terms_##terms)}, {NULL}},
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

FC_INLINE void NAME(terms_tiles)(const int MR, const int TERMS, const fc_gemm_args *const a) {
    assert(a->depth % TERMS == 0 && a->columns > 0 && a->columns <= VL / TERMS && !a->accumulate && !a->pooled);
    const ptrdiff_t depth = a->depth, *const offset = a->offset, each = 2 * TERMS * a->next_bytes;
    const char *next = a->next;
    vindex index[3];
    NAME(terms_indices)(TERMS, index);
    const vec bias = a->bias ? v_load_n((const real *)a->bias, a->columns) : v_zero();
    const vec least = v_set1(a->relu ? 0 : -(real)INFINITY);
    void *const *out = a->out;
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++, out += MR) {
        const void *const *rows = a->rows + tile * MR;
        void *const *to = out, *const *const to_end = a->fetch ? out + MR : out;
        vec acc[FC_MR_MAX][FC_NV_MAX];
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) acc[i][0] = acc[i][1] = v_zero();
        const real *w = a->w;
        for (ptrdiff_t t = 0; t < a->taps; t++, rows += a->row_stride) {
            const real *x[FC_MR_MAX];
            FC_UNROLL(12)
            for (int i = 0; i < MR; i++) x[i] = rows[i];
            ptrdiff_t c = 0;
            FC_ROLLED
            for (; c + 2 * TERMS <= depth; c += 2 * TERMS, w += 2 * VL) {
                FC_UNROLL(2)
                for (int s = 0; s < 2; s++) {
                    const ptrdiff_t at = offset ? offset[c + s * TERMS] : c + s * TERMS;
                    const vec b = v_load(w + s * VL);
                    FC_UNROLL(12)
                    for (int i = 0; i < MR; i++) acc[i][s] = v_fma(NAME(repeat_terms)(TERMS, x[i] + at), b, acc[i][s]);
                }
                if (to < to_end) NAME(fetch_result)(1, a, *to++);
                if (next) {
                    __builtin_prefetch(next, 0, 2);
                    __builtin_prefetch(next + 64, 0, 2);
                    next += each;
                }
            }
            if (c == depth) continue;
            const ptrdiff_t at = offset ? offset[c] : c;
            const vec b = v_load(w);
            w += VL;
            FC_UNROLL(12)
            for (int i = 0; i < MR; i++) acc[i][0] = v_fma(NAME(repeat_terms)(TERMS, x[i] + at), b, acc[i][0]);
        }
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) acc[i][0] = v_add(bias, NAME(sum_terms)(TERMS, v_add(acc[i][0], acc[i][1]), index[0], index[1], index[2]));
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) v_store_n((real *)out[i] + a->column, v_max(least, acc[i][0]), a->columns);
        if (next >= (const char *)a->next_end) next = NULL;
    }
}

FC_TERMS(FC_TERMS_FNS)
static const fc_panel_kernels NAME(panels)[] = {FC_PANELS(FC_PANEL_ENTRY) FC_TERMS(FC_TERMS_ENTRY)};
#else
static const fc_panel_kernels NAME(panels)[] = {FC_PANELS(FC_PANEL_ENTRY)};
#endif
