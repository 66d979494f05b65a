/* The matrix products between Winograd's transforms, FC_WINOGRAD_MR x NV vectors: see ukernels_winograd.h. One multiply-add
 * per product; chunks of the reduction are summed apart and then added up, for the transforms amplify the rounding errors
 * of these sums, which grow with their length. */
#ifndef FC_WINOGRAD_TILES
#define FC_WINOGRAD_TILES 32    /* of a chunk of the weight gradient */
#endif

FC_INLINE void NAME(winograd_zero)(const int MR, const int NV, vec acc[FC_MR_MAX][2]) {
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) acc[i][v] = v_zero();
    }
}

FC_INLINE void NAME(winograd_step)(const int MR, const int NV, const real *a, const int stride, const real *b, vec acc[FC_MR_MAX][2]) {
    vec row[2];
    FC_UNROLL(2)
    for (int v = 0; v < NV; v++) row[v] = v_load(b + v * VL);
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        const vec s = v_set1(a[i * stride]);
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) acc[i][v] = v_fma(s, row[v], acc[i][v]);
    }
}

FC_INLINE void NAME(winograd_flush)(const int MR, const int NV, vec acc[FC_MR_MAX][2], real *out, int accumulate) {
    if (accumulate) {
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(2)
            for (int v = 0; v < NV; v++) acc[i][v] = v_add(v_load(out + (i * NV + v) * VL), acc[i][v]);
        }
    }
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) v_store(out + (i * NV + v) * VL, acc[i][v]);
    }
}

FC_INLINE void NAME(winograd_gemm)(const int MR, const int NV, const real *a, const real *u, ptrdiff_t depth, const ptrdiff_t chunk, real *const out,
                                   int accumulate, const char *next, const ptrdiff_t next_bytes) {
    do {
        vec acc[FC_MR_MAX][2];
        NAME(winograd_zero)(MR, NV, acc);
        ptrdiff_t n = depth < chunk ? depth : chunk;
        depth -= n;
        for (; n >= VL; n -= VL, a += FC_WINOGRAD_MR * VL) {
            FC_UNROLL(8)
            for (int c = 0; c < VL; c++, u += NV * VL) {
                __builtin_prefetch(next, 0, 2);
                next += next_bytes;
                NAME(winograd_step)(MR, NV, a + c, VL, u, acc);
            }
        }
        FC_ROLLED
        for (ptrdiff_t c = 0; c < n; c++, u += NV * VL) NAME(winograd_step)(MR, NV, a + c, VL, u, acc);
        NAME(winograd_flush)(MR, NV, acc, out, accumulate);
        accumulate = 1;
    } while (depth > 0);
}

/* Where the rows lie in one vector, `step` is a vector and next_bytes a line: as constants they take no additions, which would keep
 * multiply-adds from their ports. */
FC_INLINE void NAME(winograd_wgrad)(const int MR, const int NV, const real *a, ptrdiff_t step, const real *d, ptrdiff_t depth, real *const out,
                                    int accumulate, const char *next, ptrdiff_t next_bytes) {
    if (VL % FC_WINOGRAD_MR == 0) step = VL, next_bytes = VL * sizeof(real);
    do {
        vec acc[FC_MR_MAX][2];
        NAME(winograd_zero)(MR, NV, acc);
        ptrdiff_t n = depth < FC_WINOGRAD_TILES ? depth : FC_WINOGRAD_TILES;
        depth -= n;
        for (; n >= 8; n -= 8, a += 8 * step, d += 8 * NV * VL, next += 8 * next_bytes) {
            FC_UNROLL(8)
            for (ptrdiff_t t = 0; t < 8; t++) {
                __builtin_prefetch(next + t * next_bytes, 0, 2);
                NAME(winograd_step)(MR, NV, a + t * step, 1, d + t * NV * VL, acc);
            }
        }
        FC_ROLLED
        for (; n > 0; n--, a += step, d += NV * VL, next += next_bytes) {
            __builtin_prefetch(next, 0, 2);
            NAME(winograd_step)(MR, NV, a, 1, d, acc);
        }
        NAME(winograd_flush)(MR, NV, acc, out, accumulate);
        accumulate = 1;
    } while (depth > 0);
}

/* A function of each kind for every number of rows, and the panel's entry in the table. */
#ifndef FC_WINOGRAD_FNS
#define FC_WINOGRAD_FNS(mr, nv)                                                                                                            \
    static void NAME(winograd_gemm_##mr##x##nv)(const void *a, const void *u, ptrdiff_t depth, ptrdiff_t chunk, void *out, int accumulate, \
                                                const void *next, ptrdiff_t next_bytes) {                                                  \
        NAME(winograd_gemm)(mr, nv, a, u, depth, chunk, out, accumulate, next, next_bytes);                                                \
    }                                                                                                                                      \
    static void NAME(winograd_wgrad_##mr##x##nv)(const void *a, ptrdiff_t step, const void *d, ptrdiff_t depth, void *acc, int accumulate, \
                                                 const void *next, ptrdiff_t next_bytes) {                                                 \
        NAME(winograd_wgrad)(mr, nv, a, step, d, depth, acc, accumulate, next, next_bytes);                                                \
    }
#define FC_WINOGRAD_GEMM_ENTRY(mr, nv) [mr] = NAME(winograd_gemm_##mr##x##nv),
#define FC_WINOGRAD_WGRAD_ENTRY(mr, nv) [mr] = NAME(winograd_wgrad_##mr##x##nv),
#define FC_WINOGRAD_ROWS(mr, X, nv) FC_WINOGRAD_ROWS_(mr, X, nv)
#define FC_WINOGRAD_ROWS_(mr, X, nv) FC_WINOGRAD_ROWS_##mr(X, nv)
#define FC_WINOGRAD_ROWS_4(X, nv) X(1, nv) X(2, nv) X(3, nv) X(4, nv)
#define FC_WINOGRAD_ROWS_6(X, nv) FC_WINOGRAD_ROWS_4(X, nv) X(5, nv) X(6, nv)
#define FC_WINOGRAD_ROWS_8(X, nv) FC_WINOGRAD_ROWS_6(X, nv) X(7, nv) X(8, nv)
#define FC_WINOGRAD_PANEL(nv)                                                                                                                        \
    {                                                                                                                                                \
        (nv) * VL, {FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_GEMM_ENTRY, nv)}, { FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_WGRAD_ENTRY, nv) } \
    }
#endif

FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_FNS, 2)
FC_WINOGRAD_ROWS(FC_WINOGRAD_MR, FC_WINOGRAD_FNS, 1)
