/* Pooling along columns: rows that hold what the rows of windows give, see maximum_columns in ukernels_pool.h. Rows that are no multiple of
 * a vector end with one that overlaps the one before; of narrower ones no more is written than they have. */

enum { NAME(columns_maximum), NAME(columns_index), NAME(columns_mean) };

FC_INLINE void NAME(columns_windows)(const int TAPS, const int KIND, const fc_pool_args *const args) {
    const fc_pool_args copy = *args, *const a = &copy; /* known not to change when results are written */
    const ptrdiff_t taps = TAPS ? TAPS : a->taps, channels = a->channels;
    const real *const *const tap = (const real *const *)a->tap;
    for (ptrdiff_t i = 0; i < a->windows; i++)
        for (ptrdiff_t c = 0; c < channels; c += VL) {
            const ptrdiff_t first = c + VL <= channels || channels < VL ? c : channels - VL, n = channels < VL ? channels : VL;
            const ptrdiff_t in = i * a->step + first, out = i * a->out_step + first;
            vec best = v_load(tap[0] + in), where = v_zero();
            if (KIND == NAME(columns_index)) where = v_add(v_load_u8(a->within[0] + in), v_set1((real)a->position[0]));
            for (ptrdiff_t t = 1; t < taps; t++) {
                const vec value = v_load(tap[t] + in);
                if (KIND == NAME(columns_mean)) {
                    best = v_add(best, value);
                } else if (KIND == NAME(columns_maximum)) {
                    best = v_select(v_eq(value, value), v_max(value, best), value);
                } else {
                    const vmask wins = v_beats(value, best);
                    best = v_select(wins, value, best);
                    where = v_select(wins, v_add(v_load_u8(a->within[t] + in), v_set1((real)a->position[t])), where);
                }
            }
            if (KIND == NAME(columns_mean)) best = v_div(best, v_mul(v_set1((real)taps), v_load((const real *)a->elements + first)));
            NAME(store_channels)((real *)a->y + out, best, n);
            if (KIND == NAME(columns_index)) NAME(store_index)(a->index + out, where, n);
        }
}

#define FC_POOL_COLUMNS(name, KIND)                          \
    static void NAME(name)(const fc_pool_args *const a) {    \
        assert(a->taps > 0 && a->channels > 0);              \
        if (a->taps == 3) NAME(columns_windows)(3, KIND, a); \
        else NAME(columns_windows)(0, KIND, a);              \
    }
FC_POOL_COLUMNS(pool_maximum_columns, NAME(columns_maximum))
FC_POOL_COLUMNS(pool_index_columns, NAME(columns_index))
FC_POOL_COLUMNS(pool_mean_columns, NAME(columns_mean))
#undef FC_POOL_COLUMNS
