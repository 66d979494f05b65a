/* Rows of planes with a border of zeros, for windows that reach beyond them: see fc_border_args in ukernels_pool.h. Whole vectors are
 * written: what they write beyond their elements is overwritten by what follows. */

FC_INLINE void NAME(border_zeros)(real *const to, const ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) v_store(to + i, v_zero());
}

FC_INLINE vec NAME(border_scaled)(const fc_border_args *const a, const vec v, const ptrdiff_t s, const ptrdiff_t n) {
    return a->scale ? v_mul(v, v_mul(NAME(load_channels)((const real *)a->scale + s, n), v_set1((real)a->row_scale))) : v;
}

static void NAME(pool_border)(const fc_border_args *const args) {
    const fc_border_args copy = *args, *const a = &copy; /* known not to change when rows are written */
    assert(a->w > 0 && a->columns >= a->left + a->w);
    const ptrdiff_t rest = a->w % VL;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        const real *const x = (const real *)a->x + r * a->w;
        real *const to = (real *)a->to + r * a->columns, *const row = to + a->left;
        NAME(border_zeros)(to, a->left);
        ptrdiff_t s = 0;
        for (; s + VL <= a->w; s += VL) v_store(row + s, NAME(border_scaled)(a, v_load(x + s), s, VL));
        if (s < a->w) v_store(row + s, NAME(border_scaled)(a, v_load_n(x + s, rest), s, rest));
        NAME(border_zeros)(row + a->w, a->columns - a->left - a->w);
    }
}
