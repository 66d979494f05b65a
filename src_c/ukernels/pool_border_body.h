/* Rows of planes with a border, for windows that reach beyond them: see fc_border_args in ukernels_pool.h. Whole vectors are written: what
 * they write beyond their elements is overwritten by what follows. */

FC_INLINE void NAME(border_fill)(real *const to, const ptrdiff_t n, const real value) {
    const vec v = v_set1(value);
    for (ptrdiff_t i = 0; i < n; i += VL) v_store(to + i, v);
}

/* n elements of a row from element s on, 0 < n <= VL. */
FC_INLINE vec NAME(border_load)(const int SCALED, const fc_border_args *const a, const real *const x, const ptrdiff_t s, const ptrdiff_t n) {
    const vec v = NAME(load_channels)(x + s, n);
    if (!SCALED) return v;
    return v_mul(v, v_mul(NAME(load_channels)((const real *)a->scale + s, n), v_set1((real)a->row_scale)));
}

FC_INLINE void NAME(border_row)(const int SCALED, const fc_border_args *const a, const real *const x, real *const to) {
    const real first = a->repeat ? x[0] : 0, last = a->repeat ? x[a->w - 1] : 0;
    NAME(border_fill)(to, a->left, first);
    real *const row = to + a->left;
    ptrdiff_t s = 0;
    for (; s + VL <= a->w; s += VL) v_store(row + s, NAME(border_load)(SCALED, a, x, s, VL));
    if (s < a->w) v_store(row + s, NAME(border_load)(SCALED, a, x, s, a->w - s));
    NAME(border_fill)(row + a->w, a->columns - a->left - a->w, last);
}

/* Elements 0, 2, ... of a row, which begin at `even`, and 1, 3, ..., at `odd`. */
FC_INLINE void NAME(border_pairs)(const ptrdiff_t w, const real *const x, real *const even, real *const odd, const vindex *const lanes) {
    for (ptrdiff_t s = 0; s < w; s += 2 * VL) {
        const ptrdiff_t left = w - s;
        const vec low = left >= VL ? v_load(x + s) : v_load_n(x + s, left);
        const vec high = left >= 2 * VL ? v_load(x + s + VL) : v_load_n(x + s + VL, left > VL ? left - VL : 0);
        v_store(even + s / 2, v_permute2(low, high, lanes[0]));
        v_store(odd + s / 2, v_permute2(low, high, lanes[1]));
    }
}

/* Where element s of a row lies in the row of its phase; s may be less than 0. */
FC_INLINE ptrdiff_t NAME(border_at)(const fc_border_args *const a, const ptrdiff_t s) {
    return (s + a->left) % a->stride * a->phase + (s + a->left) / a->stride;
}

FC_INLINE void NAME(border_phases)(const fc_border_args *const a, const real *const x, real *const to, const vindex *const pairs) {
    const real first = a->repeat ? x[0] : 0, last = a->repeat ? x[a->w - 1] : 0;
    const ptrdiff_t stride = a->stride, left = a->left, end = left + a->w;
    for (ptrdiff_t f = 0; f < stride; f++) NAME(border_fill)(to + f * a->phase, left > f ? (left - f + stride - 1) / stride : 0, first);
    if (stride == 2) NAME(border_pairs)(a->w, x, to + NAME(border_at)(a, 0), to + NAME(border_at)(a, 1), pairs);
    for (ptrdiff_t s = 0; stride != 2 && s < a->w; s++) to[NAME(border_at)(a, s)] = x[s];
    for (ptrdiff_t f = 0; f < stride; f++) {
        const ptrdiff_t from = end > f ? (end - f + stride - 1) / stride : 0;
        NAME(border_fill)(to + f * a->phase + from, a->columns - from, last);
    }
}

static void NAME(pool_border)(const fc_border_args *const args) {
    const fc_border_args copy = *args, *const a = &copy; /* known not to change when rows are written */
    assert(a->w > 0 && a->stride > 0 && a->columns * a->stride >= a->left + a->w && !(a->scale && a->stride > 1));
    const real *x = a->x;
    real *to = a->to;
    if (a->stride == 1) {
        for (ptrdiff_t r = 0; !a->scale && r < a->rows; r++) NAME(border_row)(0, a, x + r * a->w, to + r * a->row);
        for (ptrdiff_t r = 0; a->scale && r < a->rows; r++) NAME(border_row)(1, a, x + r * a->w, to + r * a->row);
        return;
    }
    vindex pairs[2];
    for (int k = 0; k < 2; k++) {
        int32_t lane[VL];
        for (int l = 0; l < VL; l++) lane[l] = 2 * l + k;
        pairs[k] = v_index(lane);
    }
    for (ptrdiff_t r = 0; r < a->rows; r++) NAME(border_phases)(a, x + r * a->w, to + r * a->row, pairs);
}
