/* Pooling along columns: see fc_pool_columns_args in ukernels_pool.h. Whole vectors are written: what lies beyond a row of windows is
 * overwritten by what follows; nothing follows the last. */

/* Of the first pass over a plane, the maximum with its place; of the second, the index. */
enum { NAME(columns_maximum), NAME(columns_place), NAME(columns_index), NAME(columns_mean) };

/* A vector of windows, of which n are written; of x only so many elements are read. */
FC_INLINE void NAME(columns_vector)(const int TAPS, const int KIND, const fc_pool_columns_args *const a, const ptrdiff_t count, const ptrdiff_t c,
                                    vec position, const ptrdiff_t in, const ptrdiff_t out, const ptrdiff_t n) {
    const ptrdiff_t taps = TAPS ? TAPS : count, line = a->line;
    const real *value = (const real *)a->x + in, *within = (const real *)a->within + in;
    vec best = NAME(load_channels)(value, n), where = position;
    if (KIND == NAME(columns_index)) where = v_add(v_load(within), position);
    FC_UNROLL(2)
    for (ptrdiff_t t = 1; t < taps; t++) {
        value += line, within += line;
        const vec next = NAME(load_channels)(value, n);
        if (KIND == NAME(columns_mean)) {
            best = v_add(best, next);
        } else if (KIND == NAME(columns_maximum)) {
            best = v_select(v_eq(next, next), v_max(next, best), next);
        } else {
            const vmask wins = v_beats(next, best);
            position = v_add(position, v_set1((real)a->pool_w));
            best = v_select(wins, next, best);
            where = v_select(wins, KIND == NAME(columns_index) ? v_add(v_load(within), position) : position, where);
        }
    }
    if (KIND == NAME(columns_mean) && a->elements) best = v_div(best, v_mul(v_set1((real)taps), v_load((const real *)a->elements + c)));
    NAME(store_channels)((real *)a->y + out, best, n);
    if (KIND == NAME(columns_index)) NAME(store_index)(a->index + out, where, n);
    if (KIND == NAME(columns_place)) v_store((real *)a->where + out, where);
}

/* Rows first .. of a group, in which nothing has to be spared. */
FC_INLINE void NAME(columns_rows)(const int TAPS, const int KIND, const fc_pool_columns_args *const a, const fc_pool_rows *const g,
                                  const ptrdiff_t rows, ptrdiff_t in, ptrdiff_t out) {
    const ptrdiff_t columns = g->columns, taps = g->taps;
    const vec position = v_set1((real)g->position);
    for (ptrdiff_t i = 0; i < rows; i++, in += a->step, out += a->out_step) {
        if (a->ahead) NAME(fetch)((const real *)a->x + in + a->ahead, a->step);
        for (ptrdiff_t c = 0; c < columns; c += VL) NAME(columns_vector)(TAPS, KIND, a, taps, c, position, in + c, out + c, VL);
    }
}

FC_INLINE void NAME(columns_planes)(const int KIND, const fc_pool_columns_args *const args) {
    const fc_pool_columns_args copy = *args, *const a = &copy; /* known not to change when results are written */
    const ptrdiff_t end = a->planes * a->out_plane;
    assert(a->groups > 0 && a->planes > 0);
    for (ptrdiff_t p = 0; p < a->planes; p++)
        for (ptrdiff_t k = 0; k < a->groups; k++) {
            const fc_pool_rows g = a->group[k];
            const ptrdiff_t in = p * a->in_plane + g.in, out = p * a->out_plane + g.out, columns = (g.columns + VL - 1) / VL * VL;
            ptrdiff_t rows = g.rows;
            while (rows > 0 &&
                   (out + (rows - 1) * a->out_step + columns > end || in + (rows - 1) * a->step + (g.taps - 1) * a->line + columns > a->in_end))
                rows--;
            if (g.taps == 3) NAME(columns_rows)(3, KIND, a, &g, rows, in, out);
            else if (g.taps == 2) NAME(columns_rows)(2, KIND, a, &g, rows, in, out);
            else NAME(columns_rows)(0, KIND, a, &g, rows, in, out);
            for (; rows < g.rows; rows++)
                for (ptrdiff_t c = 0; c < g.columns; c += VL)
                    NAME(columns_vector)(0, KIND, a, g.taps, c, v_set1((real)g.position), in + rows * a->step + c, out + rows * a->out_step + c,
                                         g.columns - c < VL ? g.columns - c : VL);
        }
}

static void NAME(pool_maximum_columns)(const fc_pool_columns_args *const a) { NAME(columns_planes)(NAME(columns_maximum), a); }
static void NAME(pool_place_columns)(const fc_pool_columns_args *const a) { NAME(columns_planes)(NAME(columns_place), a); }
static void NAME(pool_index_columns)(const fc_pool_columns_args *const a) { NAME(columns_planes)(NAME(columns_index), a); }
static void NAME(pool_mean_columns)(const fc_pool_columns_args *const a) { NAME(columns_planes)(NAME(columns_mean), a); }
