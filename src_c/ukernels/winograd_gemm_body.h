/* The matrix products between Winograd's transforms, FC_WINOGRAD_MR x NV vectors: see ukernels_winograd.h. One multiply-add
 * per product, in the order of the reduction. */

FC_INLINE void NAME(winograd_gemm)(const int MR, const int NV, const real *a, const real *u, ptrdiff_t depth, real *const out) {
    vec acc[FC_MR_MAX][2];
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) acc[i][v] = v_zero();
    }
    for (; depth >= VL; depth -= VL, a += FC_WINOGRAD_MR * VL) {
        FC_UNROLL(8)
        for (int c = 0; c < VL; c++) {
            vec b[2];
            FC_UNROLL(2)
            for (int v = 0; v < NV; v++) b[v] = v_load(u + v * VL);
            u += NV * VL;
            FC_UNROLL(12)
            for (int i = 0; i < MR; i++) {
                const vec s = v_set1(a[i * VL + c]);
                FC_UNROLL(2)
                for (int v = 0; v < NV; v++) acc[i][v] = v_fma(s, b[v], acc[i][v]);
            }
        }
    }
    FC_UNROLL(1)
    for (ptrdiff_t c = 0; c < depth; c++) {
        vec b[2];
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) b[v] = v_load(u + v * VL);
        u += NV * VL;
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            const vec s = v_set1(a[i * VL + c]);
            FC_UNROLL(2)
            for (int v = 0; v < NV; v++) acc[i][v] = v_fma(s, b[v], acc[i][v]);
        }
    }
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) v_store(out + (i * NV + v) * VL, acc[i][v]);
    }
}

FC_INLINE void NAME(winograd_wgrad)(const int MR, const int NV, const real *a, ptrdiff_t step, const real *d, ptrdiff_t depth,
                                    real *const out, int accumulate) {
    vec acc[FC_MR_MAX][2];
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) acc[i][v] = accumulate ? v_load(out + (i * NV + v) * VL) : v_zero();
    }
    FC_UNROLL(4)
    for (ptrdiff_t t = 0; t < depth; t++) {
        vec b[2];
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) b[v] = v_load(d + v * VL);
        d += NV * VL;
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            const vec s = v_set1(a[i]);
            FC_UNROLL(2)
            for (int v = 0; v < NV; v++) acc[i][v] = v_fma(s, b[v], acc[i][v]);
        }
        a += step;
    }
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) v_store(out + (i * NV + v) * VL, acc[i][v]);
    }
}

/* A function of each kind for every number of rows, and the panel's entry in the table. FC_ROWS is gemm_body.h's. */
#ifndef FC_WINOGRAD_FNS
#define FC_WINOGRAD_FNS(mr, nv)                                                                                        \
    static void NAME(winograd_gemm_##mr##x##nv)(const void *a, const void *u, ptrdiff_t depth, void *out) {            \
        NAME(winograd_gemm)(mr, nv, a, u, depth, out);                                                                 \
    }                                                                                                                  \
    static void NAME(winograd_wgrad_##mr##x##nv)(const void *a, ptrdiff_t step, const void *d, ptrdiff_t depth,        \
                                                 void *acc, int accumulate) {                                          \
        NAME(winograd_wgrad)(mr, nv, a, step, d, depth, acc, accumulate);                                              \
    }
#define FC_WINOGRAD_GEMM_ENTRY(mr, nv) [mr] = NAME(winograd_gemm_##mr##x##nv),
#define FC_WINOGRAD_WGRAD_ENTRY(mr, nv) [mr] = NAME(winograd_wgrad_##mr##x##nv),
#define FC_WINOGRAD_ROWS(mr, X, nv) FC_ROWS(mr, X, nv)
#define FC_WINOGRAD_PANEL(nv)                                                                                          \
    {(nv) * VL,                                                                                                        \
     {FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_GEMM_ENTRY, nv)},                                                   \
     {FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_WGRAD_ENTRY, nv)}}
#endif

FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_FNS, 2)
FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_FNS, 1)
