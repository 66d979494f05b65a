/* Winograd's transforms of tiles that are one row or one column of 6 pixels: those of winograd_transform_body.h along one axis. `step`
 * is what lies from a pixel of the tile to the next, of which first .. end - 1 exist. */

/* Channels c .. c + n - 1 of one tile: n lanes if TAIL, else all. */
FC_INLINE void NAME(winograd_line_input_lanes)(const int FULL, const int TAIL, const real *x, ptrdiff_t step, int first, int end, ptrdiff_t n,
                                               real *v, ptrdiff_t position) {
    vec d[6], t[6];
    FC_UNROLL(6)
    for (int i = 0; i < 6; i++) {
        d[i] = v_zero();
        if (FULL || (i >= first && i < end)) d[i] = TAIL ? v_load_n(x + (i - first) * step, n) : v_load(x + (i - first) * step);
    }
    NAME(winograd_bt)(d, t);
    FC_UNROLL(6)
    for (int i = 0; i < 6; i++) v_store(v + i * position, t[i]);
}

FC_INLINE void NAME(winograd_line_input)(const fc_winograd_input_args *const a, ptrdiff_t step, int first, int end) {
    const real *const x = a->x;
    real *v = a->v;
    ptrdiff_t c = 0;
    if (first == 0 && end == 6)
        for (; c + VL <= a->channels; c += VL, v += a->block) NAME(winograd_line_input_lanes)(1, 0, x + c, step, 0, 6, VL, v, a->position);
    else
        for (; c + VL <= a->channels; c += VL, v += a->block) NAME(winograd_line_input_lanes)(0, 0, x + c, step, first, end, VL, v, a->position);
    if (c < a->channels) NAME(winograd_line_input_lanes)(0, 1, x + c, step, first, end, a->channels - c, v, a->position);
}
static void NAME(winograd_row_input)(const fc_winograd_input_args *a) { NAME(winograd_line_input)(a, a->pixel, a->col0, a->col1); }
static void NAME(winograd_column_input)(const fc_winograd_input_args *a) { NAME(winograd_line_input)(a, a->row, a->row0, a->row1); }

FC_INLINE void NAME(winograd_line_weights)(const int R, const fc_winograd_weights_args *const a) {
    for (ptrdiff_t c = 0; c < a->rows; c++) {
        for (ptrdiff_t k = 0; k < a->nr; k += VL) {
            const ptrdiff_t n = a->columns - k;
            const real *const w = (const real *)a->w + c * a->ld + (n > 0 ? k : 0);
            real *const u = (real *)a->u + c * a->nr + k;
            vec t[5], out[6];
            FC_UNROLL(5)
            for (int i = 0; i < R; i++) t[i] = n >= VL ? v_load(w + i * a->tap) : n > 0 ? v_load_n(w + i * a->tap, n) : v_zero();
            NAME(winograd_g)(R, t, out);
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) v_store(u + i * a->position, out[i]);
        }
    }
}

FC_INLINE void NAME(winograd_line_output)(const int M, const fc_winograd_output_args *const a, ptrdiff_t step, int first, int end) {
    const vec zero = v_zero();
    for (ptrdiff_t k = 0; k < a->columns; k += VL) {
        const ptrdiff_t n = a->columns - k;
        const real *const m = (const real *)a->m + k;
        real *const y = (real *)a->y + k;
        const vec bias = !a->bias ? zero : n >= VL ? v_load((const real *)a->bias + k) : v_load_n((const real *)a->bias + k, n);
        const int full = first == 0 && end == M && n >= VL;
        vec t[6], out[5];
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) t[i] = v_load(m + i * a->position);
        NAME(winograd_at)(M, t, out);
        FC_UNROLL(5)
        for (int i = 0; i < M; i++) {
            out[i] = v_add(out[i], bias);
            if (a->relu) out[i] = v_max(zero, out[i]);
            if (full) {
                v_store(y + i * step, out[i]);
            } else if (i >= first && i < end) {
                if (n >= VL) v_store(y + (i - first) * step, out[i]);
                else v_store_n(y + (i - first) * step, out[i], n);
            }
        }
    }
}

FC_INLINE void NAME(winograd_line_gradient)(const int M, const fc_winograd_gradient_args *const a, ptrdiff_t step, int pixels) {
    for (ptrdiff_t k = 0; k < a->nr; k += VL) {
        const ptrdiff_t n = a->columns - k;
        const real *const dy = (const real *)a->dy + (n > 0 ? k : 0);
        real *const d = (real *)a->d + k;
        vec y[5], t[6], sum = v_zero();
        FC_UNROLL(5)
        for (int i = 0; i < M; i++) {
            y[i] = i >= pixels || n <= 0 ? v_zero() : n >= VL ? v_load(dy + i * step) : v_load_n(dy + i * step, n);
            sum = v_add(sum, y[i]);
        }
        v_store((real *)a->sum + k, v_add(v_load((real *)a->sum + k), sum));
        NAME(winograd_a)(M, y, t);
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) v_store(d + i * a->position, t[i]);
    }
}

FC_INLINE void NAME(winograd_line_dw)(const int R, const fc_winograd_dw_args *const a, ptrdiff_t tap, int taps) {
    for (ptrdiff_t c = 0; c < a->rows; c++) {
        for (ptrdiff_t k = 0; k < a->columns; k += VL) {
            const ptrdiff_t n = a->columns - k;
            const real *const u = (const real *)a->u + c * a->nr + k;
            real *const w = (real *)a->w + c * a->ld + k;
            vec t[6], out[5];
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) t[i] = v_load(u + i * a->position);
            NAME(winograd_gt)(R, t, out);
            FC_UNROLL(5)
            for (int i = 0; i < R; i++) {
                if (i >= taps) break;
                if (n >= VL) v_store(w + i * tap, out[i]);
                else v_store_n(w + i * tap, out[i], n);
            }
        }
    }
}
#undef C_
#undef FC_PREFETCH

/* The transforms for kernels of r taps, along rows and along columns, and their entries in the table. */
#ifndef FC_WINOGRAD_LINE_FNS
#define FC_WINOGRAD_LINE_FNS(r)                                                                                                       \
    static void NAME(winograd_line_weights_##r)(const fc_winograd_weights_args *a) { NAME(winograd_line_weights)(r, a); }             \
    static void NAME(winograd_row_output_##r)(const fc_winograd_output_args *a) {                                                     \
        NAME(winograd_line_output)(7 - r, a, a->pixel, a->col0, a->col1);                                                             \
    }                                                                                                                                 \
    static void NAME(winograd_column_output_##r)(const fc_winograd_output_args *a) {                                                  \
        NAME(winograd_line_output)(7 - r, a, a->row, a->row0, a->row1);                                                               \
    }                                                                                                                                 \
    static void NAME(winograd_row_gradient_##r)(const fc_winograd_gradient_args *a) {                                                 \
        NAME(winograd_line_gradient)(7 - r, a, a->pixel, a->rows > 0 ? a->cols : 0);                                                  \
    }                                                                                                                                 \
    static void NAME(winograd_column_gradient_##r)(const fc_winograd_gradient_args *a) {                                              \
        NAME(winograd_line_gradient)(7 - r, a, a->row, a->cols > 0 ? a->rows : 0);                                                    \
    }                                                                                                                                 \
    static void NAME(winograd_row_dw_##r)(const fc_winograd_dw_args *a) { NAME(winograd_line_dw)(r, a, a->tap, a->taps); }            \
    static void NAME(winograd_column_dw_##r)(const fc_winograd_dw_args *a) { NAME(winograd_line_dw)(r, a, a->row_tap, a->row_taps); }
#define FC_WINOGRAD_ROW_TRANSFORMS(r)                                                                       \
    {NAME(winograd_row_input),        NAME(winograd_line_weights_##r), NAME(winograd_row_output_##r), NULL, \
     NAME(winograd_row_gradient_##r), NAME(winograd_row_dw_##r)}
#define FC_WINOGRAD_COLUMN_TRANSFORMS(r)                                                                          \
    {NAME(winograd_column_input),        NAME(winograd_line_weights_##r), NAME(winograd_column_output_##r), NULL, \
     NAME(winograd_column_gradient_##r), NAME(winograd_column_dw_##r)}
#endif
FC_WINOGRAD_LINE_FNS(2)
FC_WINOGRAD_LINE_FNS(3)
FC_WINOGRAD_LINE_FNS(4)
FC_WINOGRAD_LINE_FNS(5)
