/* Winograd's transforms, see ukernels_winograd.h: Toom-Cook with the points 0, +-a, +-b and infinity, a * b = 1. These points
 * amplify rounding errors least; the usual 0, +-1, +-2 cost a digit. Compare B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg,
 * "Error analysis and improving the accuracy of Winograd convolution for deep neural networks", ACM TOMS 46(4), 2020, and
 * A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
 *
 * Each transform is separable. The first pass goes column by column into a buffer on the stack, the second row by row out of
 * it; the loops over columns and rows stay rolled, for unrolled they keep more addresses and vectors alive than there are registers. */
#ifndef FC_WINOGRAD_A
#define FC_WINOGRAD_A (2.0 / 3)
#define FC_WINOGRAD_B 1.5
#define FC_WINOGRAD_A2 (FC_WINOGRAD_A * FC_WINOGRAD_A)
#define FC_WINOGRAD_B2 (FC_WINOGRAD_B * FC_WINOGRAD_B)
/* One over the product of a point's differences to the others; for point 0 it is 1. */
#define FC_WINOGRAD_GA (1 / (2 * FC_WINOGRAD_A2 * (FC_WINOGRAD_A2 - FC_WINOGRAD_B2)))
#define FC_WINOGRAD_GB (1 / (2 * FC_WINOGRAD_B2 * (FC_WINOGRAD_B2 - FC_WINOGRAD_A2)))
#endif
/* Fetches what lies `elements` from p; it need not exist. */
#define FC_PREFETCH(p, elements) __builtin_prefetch((const void *)((uintptr_t)(p) + (uintptr_t)((elements) * (ptrdiff_t)sizeof(real))))
#define C_(x) v_set1((real)(x))

/* out = B^T d */
FC_INLINE void NAME(winograd_bt)(const vec d[6], vec out[6]) {
    const vec a = C_(FC_WINOGRAD_A), b = C_(FC_WINOGRAD_B), a2 = C_(FC_WINOGRAD_A2), b2 = C_(FC_WINOGRAD_B2);
    const vec sum = C_(FC_WINOGRAD_A2 + FC_WINOGRAD_B2);
    out[0] = v_fnma(sum, d[2], v_add(d[0], d[4]));
    out[5] = v_fnma(sum, d[3], v_add(d[1], d[5]));
    const vec even_a = v_fnma(b2, d[2], d[4]), odd_a = v_fnma(b2, d[1], d[3]);
    const vec even_b = v_fnma(a2, d[2], d[4]), odd_b = v_fnma(a2, d[1], d[3]);
    out[1] = v_fma(a, odd_a, even_a);
    out[2] = v_fnma(a, odd_a, even_a);
    out[3] = v_fma(b, odd_b, even_b);
    out[4] = v_fnma(b, odd_b, even_b);
}

/* out = G w, but for the points' factors GA and GB, which are left to A^T: fewer roundings. */
FC_INLINE void NAME(winograd_g)(const int R, const vec w[5], vec out[6]) {
    const vec a = C_(FC_WINOGRAD_A), b = C_(FC_WINOGRAD_B);
    vec even_a = w[0], odd_a = w[1], even_b = w[0], odd_b = w[1];
    if (R >= 3) even_a = v_fma(C_(FC_WINOGRAD_A2), w[2], even_a), even_b = v_fma(C_(FC_WINOGRAD_B2), w[2], even_b);
    if (R >= 4) odd_a = v_fma(C_(FC_WINOGRAD_A2), w[3], odd_a), odd_b = v_fma(C_(FC_WINOGRAD_B2), w[3], odd_b);
    if (R >= 5) even_a = v_fma(C_(FC_WINOGRAD_A2 * FC_WINOGRAD_A2), w[4], even_a), even_b = v_fma(C_(FC_WINOGRAD_B2 * FC_WINOGRAD_B2), w[4], even_b);
    out[0] = w[0];
    out[1] = v_fma(a, odd_a, even_a);
    out[2] = v_fnma(a, odd_a, even_a);
    out[3] = v_fma(b, odd_b, even_b);
    out[4] = v_fnma(b, odd_b, even_b);
    out[5] = w[R - 1];
}

/* out = G^T u */
FC_INLINE void NAME(winograd_gt)(const int R, const vec u[6], vec out[5]) {
    const double a = FC_WINOGRAD_A, b = FC_WINOGRAD_B, a2 = FC_WINOGRAD_A2, b2 = FC_WINOGRAD_B2, ga = FC_WINOGRAD_GA, gb = FC_WINOGRAD_GB;
    const vec even_a = v_add(u[1], u[2]), odd_a = v_sub(u[1], u[2]), even_b = v_add(u[3], u[4]), odd_b = v_sub(u[3], u[4]);
    out[0] = v_add(u[0], v_fma(C_(ga), even_a, v_mul(C_(gb), even_b)));
    out[1] = v_fma(C_(ga * a), odd_a, v_mul(C_(gb * b), odd_b));
    if (R >= 3) out[2] = v_fma(C_(ga * a2), even_a, v_mul(C_(gb * b2), even_b));
    if (R >= 4) out[3] = v_fma(C_(ga * a2 * a), odd_a, v_mul(C_(gb * b2 * b), odd_b));
    if (R >= 5) out[4] = v_fma(C_(ga * a2 * a2), even_a, v_mul(C_(gb * b2 * b2), even_b));
    out[R - 1] = v_add(out[R - 1], u[5]);
}

/* out = A^T m, with the points' factors of G. */
FC_INLINE void NAME(winograd_at)(const int M, const vec m[6], vec out[5]) {
    const double a = FC_WINOGRAD_A, b = FC_WINOGRAD_B, a2 = FC_WINOGRAD_A2, b2 = FC_WINOGRAD_B2, ga = FC_WINOGRAD_GA, gb = FC_WINOGRAD_GB;
    const vec even_a = v_add(m[1], m[2]), odd_a = v_sub(m[1], m[2]), even_b = v_add(m[3], m[4]), odd_b = v_sub(m[3], m[4]);
    out[0] = v_fma(C_(gb), even_b, v_fma(C_(ga), even_a, m[0]));
    out[1] = v_fma(C_(gb * b), odd_b, M == 2 ? v_fma(C_(ga * a), odd_a, m[5]) : v_mul(C_(ga * a), odd_a));
    if (M >= 3) out[2] = v_fma(C_(gb * b2), even_b, M == 3 ? v_fma(C_(ga * a2), even_a, m[5]) : v_mul(C_(ga * a2), even_a));
    if (M >= 4) out[3] = v_fma(C_(gb * b2 * b), odd_b, M == 4 ? v_fma(C_(ga * a2 * a), odd_a, m[5]) : v_mul(C_(ga * a2 * a), odd_a));
    if (M >= 5) out[4] = v_fma(C_(gb * b2 * b2), even_b, v_fma(C_(ga * a2 * a2), even_a, m[5]));
}

/* out = A y */
FC_INLINE void NAME(winograd_a)(const int M, const vec y[5], vec out[6]) {
    const double a = FC_WINOGRAD_A, b = FC_WINOGRAD_B, a2 = FC_WINOGRAD_A2, b2 = FC_WINOGRAD_B2;
    vec even_a = y[0], odd_a = v_mul(C_(a), y[1]), even_b = y[0], odd_b = v_mul(C_(b), y[1]);
    if (M >= 3) even_a = v_fma(C_(a2), y[2], even_a), even_b = v_fma(C_(b2), y[2], even_b);
    if (M >= 4) odd_a = v_fma(C_(a2 * a), y[3], odd_a), odd_b = v_fma(C_(b2 * b), y[3], odd_b);
    if (M >= 5) even_a = v_fma(C_(a2 * a2), y[4], even_a), even_b = v_fma(C_(b2 * b2), y[4], even_b);
    out[0] = y[0];
    out[1] = v_add(even_a, odd_a);
    out[2] = v_sub(even_a, odd_a);
    out[3] = v_add(even_b, odd_b);
    out[4] = v_sub(even_b, odd_b);
    out[5] = y[M - 1];
}

/* The second pass of the input transform. */
FC_INLINE void NAME(winograd_input_rows)(const vec (*const buffer)[6], real *v, const ptrdiff_t position) {
    FC_ROLLED
    for (int i = 0; i < 6; i++, v += 6 * position) {
        vec t[6];
        NAME(winograd_bt)(buffer[i], t);
        FC_UNROLL(6)
        for (int j = 0; j < 6; j++) v_store(v + j * position, t[j]);
    }
}

/* Channels c .. c + n - 1 of one tile: n lanes if TAIL, else all. FULL: no pixel lies outside. */
FC_INLINE void NAME(winograd_input_lanes)(const int FULL, const int TAIL, const fc_winograd_input_args *const a, const real *x, ptrdiff_t n,
                                          real *v) {
    static const real zeros[VL];
    vec buffer[6][6];
    const ptrdiff_t row = a->row, pixel = a->pixel, position = a->position;
    const real *at[6]; /* the rows, but for FULL: those outside stay at zeros */
    ptrdiff_t step[6];
    for (int i = 0; !FULL && i < 6; i++) {
        const int inside = i >= a->row0 && i < a->row1;
        at[i] = inside ? x + (i - a->row0) * row : zeros;
        step[i] = inside ? pixel : 0;
    }
    FC_ROLLED
    for (int j = 0; j < 6; j++) {
        vec d[6], t[6];
        if (!FULL && (j < a->col0 || j >= a->col1)) {
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) buffer[i][j] = v_zero();
            continue;
        }
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) {
            const real *const p = FULL ? x + i * row : at[i];
            d[i] = TAIL ? v_load_n(p, n) : v_load(p);
            if (!FULL) at[i] += step[i];
        }
        if (a->ahead && j >= 6 - a->m) {
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) FC_PREFETCH(x, (i - (FULL ? 0 : a->row0)) * row + a->m * pixel);
        }
        x += pixel;
        if (VL * sizeof(real) == FC_ALIGN) { /* the lines that will be written: stores would wait for one after the other */
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) __builtin_prefetch(v + (6 * j + i) * position, 1);
        }
        NAME(winograd_bt)(d, t);
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) buffer[i][j] = t[i];
    }
    NAME(winograd_input_rows)((const vec(*)[6])buffer, v, position);
}

static void NAME(winograd_input)(const fc_winograd_input_args *const a) {
    const real *const x = a->x;
    real *v = a->v;
    const int full = a->row0 == 0 && a->row1 == 6 && a->col0 == 0 && a->col1 == 6;
    ptrdiff_t c = 0;
    if (full)
        for (; c + VL <= a->channels; c += VL, v += a->block) NAME(winograd_input_lanes)(1, 0, a, x + c, VL, v);
    else
        for (; c + VL <= a->channels; c += VL, v += a->block) NAME(winograd_input_lanes)(0, 0, a, x + c, VL, v);
    if (c < a->channels) NAME(winograd_input_lanes)(0, 1, a, x + c, a->channels - c, v);
}

FC_INLINE void NAME(winograd_weights)(const int R, const fc_winograd_weights_args *const a) {
    const ptrdiff_t tap = a->tap, position = a->position;
    for (ptrdiff_t c = 0; c < a->rows; c++) {
        for (ptrdiff_t k = 0; k < a->nr; k += VL) {
            const ptrdiff_t n = a->columns - k;
            const real *const w = (const real *)a->w + c * a->ld + (n > 0 ? k : 0);
            vec buffer[6][5];
            FC_ROLLED
            for (int j = 0; j < R; j++) {
                vec t[5], out[6];
                FC_UNROLL(5)
                for (int i = 0; i < R; i++) {
                    const real *const p = w + (i * R + j) * tap;
                    t[i] = n >= VL ? v_load(p) : n > 0 ? v_load_n(p, n) : v_zero();
                    FC_PREFETCH(p, 8 * a->ld);
                }
                NAME(winograd_g)(R, t, out);
                FC_UNROLL(6)
                for (int i = 0; i < 6; i++) buffer[i][j] = out[i];
            }
            real *u = (real *)a->u + c * a->nr + k;
            FC_ROLLED
            for (int i = 0; i < 6; i++, u += 6 * position) {
                vec out[6];
                NAME(winograd_g)(R, buffer[i], out);
                FC_UNROLL(6)
                for (int j = 0; j < 6; j++) v_store(u + j * position, out[j]);
            }
        }
    }
}

/* The first pass of the output transform. */
FC_INLINE void NAME(winograd_output_columns)(const int M, const real *m, const ptrdiff_t position, vec (*const buffer)[6]) {
    FC_ROLLED
    for (int j = 0; j < 6; j++, m += position) {
        vec t[6], out[5];
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) t[i] = v_load(m + 6 * i * position);
        NAME(winograd_at)(M, t, out);
        FC_UNROLL(5)
        for (int i = 0; i < M; i++) buffer[i][j] = out[i];
    }
}

/* A row of the second, with bias and activation. */
FC_INLINE void NAME(winograd_output_row)(const int M, const vec row[6], const vec bias, const int relu, vec out[5]) {
    NAME(winograd_at)(M, row, out);
    FC_UNROLL(5)
    for (int j = 0; j < M; j++) {
        out[j] = v_add(out[j], bias);
        if (relu) out[j] = v_max(v_zero(), out[j]);
    }
}

FC_INLINE void NAME(winograd_output)(const int M, const fc_winograd_output_args *const a) {
    const int row0 = a->row0, row1 = a->row1, col0 = a->col0, col1 = a->col1, full = col0 == 0 && col1 == M;
    const vec zero = v_zero();
    for (ptrdiff_t k = 0; k < a->columns; k += VL) {
        const ptrdiff_t n = a->columns - k;
        vec buffer[5][6];
        NAME(winograd_output_columns)(M, (const real *)a->m + k, a->position, buffer);
        const vec bias = !a->bias ? zero : n >= VL ? v_load((const real *)a->bias + k) : v_load_n((const real *)a->bias + k, n);
        real *p = (real *)a->y + k;
        FC_ROLLED
        for (int i = row0; i < row1; i++, p += a->row) {
            vec out[5];
            NAME(winograd_output_row)(M, buffer[i], bias, a->relu, out);
            if (a->ahead) {
                FC_UNROLL(5)
                for (int j = 0; j < M; j++) FC_PREFETCH(p, (j + M - col0) * a->pixel);
            }
            if (full && n >= VL) {
                FC_UNROLL(5)
                for (int j = 0; j < M; j++) v_store(p + j * a->pixel, out[j]);
            } else {
                FC_UNROLL(5)
                for (int j = 0; j < M; j++) {
                    if (j < col0 || j >= col1) continue;
                    if (n >= VL) v_store(p + (j - col0) * a->pixel, out[j]);
                    else v_store_n(p + (j - col0) * a->pixel, out[j], n);
                }
            }
        }
    }
}

FC_INLINE void NAME(winograd_output_pooled)(const int M, const fc_winograd_output_args *const a) {
    for (ptrdiff_t k = 0; k < a->columns; k += VL) {
        const ptrdiff_t n = a->columns - k < VL ? a->columns - k : VL;
        vec buffer[4][6];
        NAME(winograd_output_columns)(M, (const real *)a->m + k, a->position, buffer);
        const vec bias = a->bias ? v_load_n((const real *)a->bias + k, n) : v_zero();
        FC_ROLLED
        for (int i = 0; i < M; i += 2) {
            vec out[2][5];
            FC_UNROLL(2)
            for (int r = 0; r < 2; r++) NAME(winograd_output_row)(M, buffer[i + r], bias, a->relu, out[r]);
            FC_UNROLL(2)
            for (int j = 0; j < M; j += 2) {
                const vec window[4] = {out[0][j], out[0][j + 1], out[1][j], out[1][j + 1]};
                const ptrdiff_t at = i / 2 * a->row + j / 2 * a->pixel + k;
                NAME(put_window)(window, (real *)a->y + at, a->index ? a->index + at : NULL, n);
            }
        }
    }
}

/* Columns k .. of one tile, n of them; FULL: all pixels of the tile, and a whole vector. */
FC_INLINE void NAME(winograd_gradient_lanes)(const int M, const int FULL, const fc_winograd_gradient_args *const a, const real *dy, const ptrdiff_t n,
                                             real *d, real *const total) {
    const ptrdiff_t row = a->row, pixel = a->pixel, position = a->position;
    vec buffer[6][5], sum = v_zero();
    FC_ROLLED
    for (int j = 0; j < M; j++, dy += pixel) {
        vec y[5], t[6];
        FC_UNROLL(5)
        for (int i = 0; i < M; i++) {
            if (FULL) y[i] = v_load(dy + i * row);
            else if (j < a->cols && i < a->rows && n > 0) y[i] = n >= VL ? v_load(dy + i * row) : v_load_n(dy + i * row, n);
            else y[i] = v_zero();
            sum = v_add(sum, y[i]);
        }
        if (a->ahead) {
            FC_UNROLL(5)
            for (int i = 0; i < M; i++) FC_PREFETCH(dy, i * row + M * pixel);
        }
        NAME(winograd_a)(M, y, t);
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) buffer[i][j] = t[i];
    }
    v_store(total, v_add(v_load(total), sum));
    FC_ROLLED
    for (int i = 0; i < 6; i++, d += 6 * position) {
        vec t[6];
        NAME(winograd_a)(M, buffer[i], t);
        FC_UNROLL(6)
        for (int j = 0; j < 6; j++) v_store(d + j * position, t[j]);
    }
}

FC_INLINE void NAME(winograd_gradient)(const int M, const fc_winograd_gradient_args *const a) {
    const int full = a->rows == M && a->cols == M;
    for (ptrdiff_t k = 0; k < a->nr; k += VL) {
        const ptrdiff_t n = a->columns - k;
        const real *const dy = (const real *)a->dy + (n > 0 ? k : 0);
        real *const d = (real *)a->d + k, *const sum = (real *)a->sum + k;
        if (full && n >= VL) NAME(winograd_gradient_lanes)(M, 1, a, dy, n, d, sum);
        else NAME(winograd_gradient_lanes)(M, 0, a, dy, n, d, sum);
    }
}

/* NV vectors of columns from k on, of row c. Vectors of one tap are stored together: they may be parts of a line, and with taps a
 * power of two apart the lines of all taps do not stay in the cache side by side. */
FC_INLINE void NAME(winograd_dw_vectors)(const int R, const int NV, const fc_winograd_dw_args *const a, const ptrdiff_t c, const ptrdiff_t k) {
    const ptrdiff_t position = a->position, columns = a->columns - k;
    vec buffer[2][5][6];
    FC_UNROLL(2)
    for (int v = 0; v < NV; v++) {
        const real *u = (const real *)a->u + c * a->nr + k + v * VL;
        FC_ROLLED
        for (int j = 0; j < 6; j++, u += position) {
            vec t[6], out[5];
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) t[i] = v_load(u + 6 * i * position);
            NAME(winograd_gt)(R, t, out);
            FC_UNROLL(5)
            for (int i = 0; i < R; i++) buffer[v][i][j] = out[i];
        }
    }
    FC_ROLLED
    for (int i = 0; i < a->row_taps; i++) {
        real *w = (real *)a->w + i * a->row_tap + c * a->ld + k;
        vec out[2][5];
        FC_UNROLL(2)
        for (int v = 0; v < NV; v++) NAME(winograd_gt)(R, buffer[v][i], out[v]);
        FC_UNROLL(5)
        for (int j = 0; j < R; j++, w += a->tap) {
            if (j >= a->taps) break;
            FC_UNROLL(2)
            for (int v = 0; v < NV; v++) {
                if (NV == 2 && a->stream) v_stream(w + v * VL, out[v][j]);
                else if (columns >= (v + 1) * VL) v_store(w + v * VL, out[v][j]);
                else v_store_n(w + v * VL, out[v][j], columns - v * VL);
            }
        }
    }
}

FC_INLINE void NAME(winograd_dw)(const int R, const fc_winograd_dw_args *const a) {
    for (ptrdiff_t c = 0; c < a->rows; c++) {
        ptrdiff_t k = 0;
        for (; k + VL < a->columns; k += 2 * VL) NAME(winograd_dw_vectors)(R, 2, a, c, k);
        if (k < a->columns) NAME(winograd_dw_vectors)(R, 1, a, c, k);
    }
    if (a->stream) v_stream_end();
}

/* The transforms for r x r kernels, and their entry in the table. */
#ifndef FC_WINOGRAD_TRANSFORM_FNS
#define FC_WINOGRAD_TRANSFORM_FNS(r)                                                                                   \
    static void NAME(winograd_weights_##r)(const fc_winograd_weights_args *a) { NAME(winograd_weights)(r, a); }        \
    static void NAME(winograd_output_##r)(const fc_winograd_output_args *a) { NAME(winograd_output)(7 - r, a); }       \
    static void NAME(winograd_gradient_##r)(const fc_winograd_gradient_args *a) { NAME(winograd_gradient)(7 - r, a); } \
    static void NAME(winograd_dw_##r)(const fc_winograd_dw_args *a) { NAME(winograd_dw)(r, a); }
#define FC_WINOGRAD_TRANSFORMS(r)                                                    \
    {NAME(winograd_input),   NAME(winograd_weights_##r),  NAME(winograd_output_##r), \
     FC_WINOGRAD_POOLED_##r, NAME(winograd_gradient_##r), NAME(winograd_dw_##r)}
#define FC_WINOGRAD_POOLED_2 NULL
#define FC_WINOGRAD_POOLED_3 NAME(winograd_output_pooled_3)
#define FC_WINOGRAD_POOLED_4 NULL
#define FC_WINOGRAD_POOLED_5 NAME(winograd_output_pooled_5)
#define FC_WINOGRAD_BY_R(X) {X(2), X(3), X(4), X(5)}
#endif
static void NAME(winograd_output_pooled_3)(const fc_winograd_output_args *a) { NAME(winograd_output_pooled)(4, a); }
static void NAME(winograd_output_pooled_5)(const fc_winograd_output_args *a) { NAME(winograd_output_pooled)(2, a); }
FC_WINOGRAD_TRANSFORM_FNS(2)
FC_WINOGRAD_TRANSFORM_FNS(3)
FC_WINOGRAD_TRANSFORM_FNS(4)
FC_WINOGRAD_TRANSFORM_FNS(5)
