/* The implicit GEMM tile and the weight-gradient tile, for any number of rows and vectors: see fc_gemm_args and fc_wgrad_args
 * in ukernels.h for what they compute. One multiply-add per product, in the order of the reduction: an output does not
 * depend on the tile that computed it. */

FC_INLINE void NAME(gemm_store)(const int MR, const int NV, vec acc[FC_MR_MAX][FC_NV_MAX], const fc_gemm_args *const a, void *const *out) {
    real *to[FC_MR_MAX];
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) to[i] = (real *)out[i] + a->column;
    if (a->relu) {
        const vec zero = v_zero();
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) acc[i][v] = v_max(zero, acc[i][v]);
        }
    }
    if (a->columns == NV * VL && a->stream) {
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) v_stream(to[i] + v * VL, acc[i][v]);
        }
    } else if (a->columns == NV * VL) {
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) v_store(to[i] + v * VL, acc[i][v]);
        }
    } else {
        const ptrdiff_t columns = a->columns;
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) {
                const ptrdiff_t n = columns - v * VL;
                if (n >= VL) v_store(to[i] + v * VL, acc[i][v]);
                else if (n > 0) v_store_n(to[i] + v * VL, acc[i][v], n);
            }
        }
    }
}

/* The same, but for the maxima of every 4 rows. */
FC_INLINE void NAME(gemm_store_pooled)(const int MR, const int NV, vec acc[FC_MR_MAX][FC_NV_MAX], const fc_gemm_args *const a, void *const *out) {
    FC_UNROLL(3)
    for (int i = 0; i + 4 <= MR; i += 4) {
        real *const y = (real *)out[i / 4] + a->column;
        uint8_t *const index = a->indices ? a->indices + (y - (const real *)a->y) : NULL;
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const ptrdiff_t n = a->columns - v * VL;
            vec x[4];
            FC_UNROLL(4)
            for (int t = 0; t < 4; t++) x[t] = a->relu ? v_max(v_zero(), acc[i + t][v]) : acc[i + t][v];
            if (n > 0) NAME(put_window)(x, y + v * VL, index ? index + v * VL : NULL, n < VL ? n : VL);
        }
    }
}

FC_INLINE void NAME(gemm_init)(const int MR, const int NV, vec acc[FC_MR_MAX][FC_NV_MAX], const fc_gemm_args *const a, void *const *out) {
    if (a->accumulate) {
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) acc[i][v] = v_load((const real *)out[i] + a->column + v * VL);
        }
        return;
    }
    vec bias[FC_NV_MAX];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        const ptrdiff_t n = a->columns - v * VL;
        const real *const b = (const real *)a->bias + v * VL;
        bias[v] = !a->bias || n <= 0 ? v_zero() : n >= VL ? v_load(b) : v_load_n(b, n);
    }
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) acc[i][v] = bias[v];
    }
}

/* One step of the reduction: element `at` of every row times the vectors at w. */
FC_INLINE void NAME(gemm_step)(const int MR, const int NV, const real *const x[FC_MR_MAX], const ptrdiff_t at, const real *const w,
                               vec acc[FC_MR_MAX][FC_NV_MAX]) {
    vec b[FC_NV_MAX];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) b[v] = v_load(w + v * VL);
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        const vec s = v_set1(x[i][at]);
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            if (NV > 1) v_accumulate(acc[i][v], s, b[v]);
            else acc[i][v] = v_fma(s, b[v], acc[i][v]); /* which may take s from memory */
        }
    }
}

/* A row of a tile's result is far from the last one in memory: it is fetched while the sums are made. */
FC_INLINE void NAME(fetch_result)(const int NV, const fc_gemm_args *const a, const void *const out) {
    const char *const line = (const char *)((const real *)out + a->column);
    FC_UNROLL(4)
    for (int byte = 0; byte < NV * VL * (int)sizeof(real); byte += 64) __builtin_prefetch(line + byte, 1);
}

FC_INLINE void NAME(gemm_tile)(const int MR, const int NV, const fc_gemm_args *const a, const void *const *rows, void *const *out, const char *next) {
    vec acc[FC_MR_MAX][FC_NV_MAX];
    NAME(gemm_init)(MR, NV, acc, a, out);
    const ptrdiff_t next_bytes = a->next_bytes;
    void *const *to = out, *const *const to_end = a->fetch ? out + MR : out;
    const real *w = a->w;
    const ptrdiff_t ldw = a->ldw, depth = a->depth;
    for (ptrdiff_t t = 0; t < a->taps; t++, rows += a->row_stride) {
        const real *x[FC_MR_MAX];
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) x[i] = rows[i];
        ptrdiff_t c = 0;
        if (ldw == NV * VL) {
            FC_ROLLED
            for (; c + FC_STEPS <= depth; c += FC_STEPS, w += FC_STEPS * NV * VL) {
                FC_UNROLL(4)
                for (int s = 0; s < FC_STEPS; s++) NAME(gemm_step)(MR, NV, x, c + s, w + s * NV * VL, acc);
                if (to < to_end) NAME(fetch_result)(NV, a, *to++);
                if (next) {
                    __builtin_prefetch(next, 0, 2);
                    __builtin_prefetch(next + 64, 0, 2);
                    next += FC_STEPS * next_bytes;
                }
            }
        }
        FC_ROLLED
        for (; c < depth; c++, w += ldw) {
            NAME(gemm_step)(MR, NV, x, c, w, acc);
            if (next) {
                __builtin_prefetch(next, 0, 2);
                if (next_bytes > 64) {
                    FC_UNROLL(4)
                    for (int byte = 64; byte < NV * VL * (int)sizeof(real); byte += 64) __builtin_prefetch(next + byte, 0, 2);
                }
                next += next_bytes;
            }
        }
    }
    NAME(gemm_store)(MR, NV, acc, a, out);
}

FC_INLINE void NAME(gemm_tiles)(const int MR, const int NV, const fc_gemm_args *const a) {
    assert(a->taps >= 0 && a->depth >= 0 && a->columns > 0 && a->columns <= NV * VL && a->ldw >= a->columns);
    const char *next = a->next;
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++) {
        const int fetch = next && next < (const char *)a->next_end;
        NAME(gemm_tile)(MR, NV, a, a->rows + tile * MR, a->out + tile * MR, fetch ? next : NULL);
        if (fetch) next += a->taps * a->depth * a->next_bytes;
    }
}

FC_INLINE void NAME(gemm_offset_tiles)(const int MR, const int NV, const fc_gemm_args *const a) {
    assert(a->offset && a->depth >= 0 && a->columns > 0 && a->columns <= NV * VL && a->ldw >= NV * VL);
    const ptrdiff_t ldw = a->ldw, depth = a->depth, *const offset = a->offset;
    const void *const *rows = a->rows;
    void *const *out = a->out;
    const char *next = a->next;
    const int pooled = sizeof(real) == sizeof(float) && MR % 4 == 0 && a->pooled; /* float32 is what networks are made of */
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++, rows += MR, out += pooled ? MR / 4 : MR) {
        vec acc[FC_MR_MAX][FC_NV_MAX];
        NAME(gemm_init)(MR, NV, acc, a, out);
        const real *x[FC_MR_MAX], *w = a->w;
        void *const *to = out, *const *const to_end = a->fetch ? out + MR : out;
        FC_UNROLL(12)
        for (int i = 0; i < MR; i++) x[i] = rows[i];
        ptrdiff_t c = 0;
        if (ldw == NV * VL) {
            FC_ROLLED
            for (; c + FC_STEPS <= depth; c += FC_STEPS, w += FC_STEPS * NV * VL) {
                FC_UNROLL(4)
                for (int s = 0; s < FC_STEPS; s++) NAME(gemm_step)(MR, NV, x, offset[c + s], w + s * NV * VL, acc);
                if (to < to_end) NAME(fetch_result)(NV, a, *to++);
                if (next) {
                    __builtin_prefetch(next, 0, 2);
                    __builtin_prefetch(next + 64, 0, 2);
                    next += FC_STEPS * a->next_bytes;
                }
            }
        }
        FC_ROLLED
        for (; c < depth; c++, w += ldw) NAME(gemm_step)(MR, NV, x, offset[c], w, acc);
        if (pooled) NAME(gemm_store_pooled)(MR, NV, acc, a, out);
        else NAME(gemm_store)(MR, NV, acc, a, out);
    }
}

FC_INLINE void NAME(dot_tile)(const int MR, const int NC, const fc_gemm_args *const a) {
    assert(a->columns == NC && a->offset);
    vec acc[8][FC_DOT_MAX];
    FC_UNROLL(8)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(4)
        for (int j = 0; j < NC; j++) acc[i][j] = v_zero();
    }
    const real *w = a->w, *x[8];
    FC_UNROLL(8)
    for (int i = 0; i < MR; i++) x[i] = a->rows[i];
    const ptrdiff_t depth = a->depth, whole = depth / VL * VL, rest = depth - whole;
    for (ptrdiff_t t = 0; t < a->taps; t++, w += NC * depth) {
        const ptrdiff_t begin = a->offset[t * depth];
        for (ptrdiff_t c = 0; c < whole; c += VL) {
            vec b[FC_DOT_MAX];
            FC_UNROLL(4)
            for (int j = 0; j < NC; j++) b[j] = v_load(w + j * depth + c);
            FC_UNROLL(8)
            for (int i = 0; i < MR; i++) {
                const vec s = v_load(x[i] + begin + c);
                FC_UNROLL(4)
                for (int j = 0; j < NC; j++) acc[i][j] = v_fma(s, b[j], acc[i][j]);
            }
        }
        if (rest) {
            FC_UNROLL(8)
            for (int i = 0; i < MR; i++) {
                const vec s = v_load_n(x[i] + begin + whole, rest);
                FC_UNROLL(4)
                for (int j = 0; j < NC; j++) acc[i][j] = v_fma(s, v_load_n(w + j * depth + whole, rest), acc[i][j]);
            }
        }
    }
    const real *const bias = a->bias;
    FC_UNROLL(8)
    for (int i = 0; i < MR; i++) {
        real *const out = (real *)a->out[i] + a->column;
        FC_UNROLL(4)
        for (int j = 0; j < NC; j++) {
            const real s = v_sum(acc[i][j]) + (bias ? bias[j] : 0);
            out[j] = a->relu && s < 0 ? 0 : s;
        }
    }
}

FC_INLINE void NAME(wgrad_tile)(const int MR, const int NV, const fc_wgrad_args *const a) {
    vec acc[FC_MR_MAX][FC_NV_MAX];
    const real *const sums = a->acc;
    real *const out = a->out;
    const ptrdiff_t ld_acc = a->ld_acc, ld_out = a->ld_out;
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) acc[i][v] = sums ? v_load(sums + i * ld_acc + v * VL) : v_zero();
    }
    /* The next tile's sums come from far away: they are fetched while these are made. */
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(4)
        for (int byte = 0; byte < NV * VL * (int)sizeof(real); byte += 64) __builtin_prefetch((const char *)(out + (MR + i) * ld_out) + byte, 1);
    }
    const real *x[FC_MR_MAX], *dy = a->dy;
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) x[i] = (const real *)a->x + a->offset[i];
    const ptrdiff_t step = a->step, ld_dy = a->ld_dy, next_bytes = a->next_bytes;
    const int packed = ld_dy == NV * VL;
    const char *next = a->next;
    for (ptrdiff_t r = 0; r < a->lines; r++) {
        ptrdiff_t o = a->line[r], left = a->pixels;
        if (packed) {
            FC_ROLLED
            for (; left >= FC_STEPS; left -= FC_STEPS, dy += FC_STEPS * NV * VL) {
                FC_UNROLL(4)
                for (int s = 0; s < FC_STEPS; s++, o += step) {
                    NAME(gemm_step)(MR, NV, x, o, dy + s * NV * VL, acc);
                    FC_OPAQUE(o);
                }
                if (next) {
                    __builtin_prefetch(next, 0, 2);
                    __builtin_prefetch(next + 64, 0, 2);
                    next += FC_STEPS * next_bytes;
                }
            }
        }
        FC_ROLLED
        for (; left > 0; left--, dy += ld_dy, o += step) {
            NAME(gemm_step)(MR, NV, x, o, dy, acc);
            FC_OPAQUE(o);
            if (next) {
                __builtin_prefetch(next, 0, 2);
                next += next_bytes;
            }
        }
    }
    FC_UNROLL(12)
    for (int i = 0; i < MR; i++) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) v_store(out + i * ld_out + v * VL, acc[i][v]);
    }
}

/* One function of each kind for a panel's tile and for the smaller tiles that make up its remainders, and the panel's entry in the
 * table. */
#ifndef FC_ROWS
#define FC_ROWS(mr, X, nv) FC_ROWS_##mr(X, nv)
#define FC_ROWS_4(X, nv) X(1, nv) X(2, nv) X(4, nv)
#define FC_ROWS_6(X, nv) FC_ROWS_4(X, nv) X(6, nv)
#define FC_ROWS_8(X, nv) FC_ROWS_4(X, nv) X(8, nv)
#define FC_ROWS_10(X, nv) FC_ROWS_4(X, nv) X(10, nv)
#define FC_TILE_FNS(mr, nv)                                                                                  \
    static void NAME(gemm_##mr##x##nv)(const fc_gemm_args *a) { NAME(gemm_tiles)(mr, nv, a); }               \
    static void NAME(gemm_offset_##mr##x##nv)(const fc_gemm_args *a) { NAME(gemm_offset_tiles)(mr, nv, a); } \
    static void NAME(wgrad_##mr##x##nv)(const fc_wgrad_args *a) { NAME(wgrad_tile)(mr, nv, a); }
#define FC_PANEL_FNS(mr, nv, cost) FC_ROWS(mr, FC_TILE_FNS, nv)
#define FC_GEMM_ENTRY(mr, nv) [mr] = NAME(gemm_##mr##x##nv),
#define FC_GEMM_OFFSET_ENTRY(mr, nv) [mr] = NAME(gemm_offset_##mr##x##nv),
#define FC_WGRAD_ENTRY(mr, nv) [mr] = NAME(wgrad_##mr##x##nv),
#define FC_PANEL_ENTRY(mr, nv, cost)                                                                                                           \
    {(nv) * VL, mr, cost, 1, 0, {FC_ROWS(mr, FC_GEMM_ENTRY, nv)}, {FC_ROWS(mr, FC_GEMM_OFFSET_ENTRY, nv)}, {FC_ROWS(mr, FC_WGRAD_ENTRY, nv)}},
#endif

FC_PANELS(FC_PANEL_FNS)

#ifndef FC_DOTS
#define FC_DOTS(X) X(8, 1) X(6, 2) X(4, 3) X(3, 4)
#define FC_DOT_FNS(mr, nc)                                                                  \
    static void NAME(dot_##mr##x##nc)(const fc_gemm_args *a) { NAME(dot_tile)(mr, nc, a); } \
    static void NAME(dot_1x##nc)(const fc_gemm_args *a) { NAME(dot_tile)(1, nc, a); }
#define FC_DOT_ENTRY(mr, nc) [nc] = {mr, NAME(dot_##mr##x##nc), NAME(dot_1x##nc)},
#endif
