/* Single rows times FC_GEMM_LINE vectors: weights that are read once come from memory in long pieces. One tap, all columns. */
static void NAME(gemm_line)(const fc_gemm_args *a) {
    assert(a->taps == 1 && a->columns == FC_GEMM_LINE * VL && a->ldw >= a->columns);
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++) {
        real *const out = (real *)a->out[tile] + a->column;
        const real *const x = a->rows[tile], *w = a->w, *const start = a->accumulate ? out : a->bias;
        vec acc[FC_GEMM_LINE];
        FC_UNROLL(8)
        for (int v = 0; v < FC_GEMM_LINE; v++) acc[v] = start ? v_load(start + v * VL) : v_zero();
        for (ptrdiff_t c = 0; c < a->depth; c++, w += a->ldw) {
            const vec s = v_set1(x[c]);
            FC_UNROLL(8)
            for (int v = 0; v < FC_GEMM_LINE; v++) acc[v] = v_fma(s, v_load(w + v * VL), acc[v]);
        }
        FC_UNROLL(8)
        for (int v = 0; v < FC_GEMM_LINE; v++) v_store(out + v * VL, a->relu ? v_max(v_zero(), acc[v]) : acc[v]);
    }
}
