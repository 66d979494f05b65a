/* Rows of planes, into or out of a border of zeros: see fc_move_rows_args in ukernels_pool.h. Whole vectors are written, with zeros behind a
 * row: they are border, or are overwritten by what follows; nothing follows the last row. */

enum { NAME(move_values), NAME(move_indices), NAME(move_scaled) };

/* n elements from c on of row r. */
FC_INLINE void NAME(move_vector)(const int KIND, const fc_move_rows_args *const a, const ptrdiff_t r, const ptrdiff_t c, const ptrdiff_t n,
                                 const ptrdiff_t in, const ptrdiff_t out) {
    const vec v = NAME(load_channels)((const real *)a->from + in, n);
    if (KIND == NAME(move_scaled))
        v_store((real *)a->to + out, v_mul(v, v_mul(NAME(load_channels)((const real *)a->scale + c, n), v_set1((real)a->row_scale[r]))));
    else v_store((real *)a->to + out, v);
    if (KIND == NAME(move_indices)) memcpy(a->index_to + out, a->index + in, VL);
}

/* Elements of row r one by one, of which nothing follows. */
FC_INLINE void NAME(move_last)(const int KIND, const fc_move_rows_args *const a, const ptrdiff_t r, const ptrdiff_t in, const ptrdiff_t out) {
    const real scale = KIND == NAME(move_scaled) ? (real)a->row_scale[r] : 1;
    for (ptrdiff_t c = 0; c < a->w; c++) {
        const real v = ((const real *)a->from)[in + c];
        ((real *)a->to)[out + c] = KIND == NAME(move_scaled) ? v * (((const real *)a->scale)[c] * scale) : v;
        if (KIND == NAME(move_indices)) a->index_to[out + c] = a->index[in + c];
    }
}

FC_INLINE void NAME(move_planes)(const int KIND, const fc_move_rows_args *const args) {
    const fc_move_rows_args copy = *args, *const a = &copy; /* known not to change when rows are written */
    const ptrdiff_t w = a->w, rest = w % VL, whole = w - rest, span = rest ? whole + VL : w;
    const ptrdiff_t in_last = (a->planes - 1) * a->from_plane + a->row[a->rows - 1] + w - span;
    const ptrdiff_t out_last = (a->planes - 1) * a->to_plane + (a->rows - 1) * a->to_row + w - span;
    for (ptrdiff_t p = 0; p < a->planes; p++)
        for (ptrdiff_t r = 0; r < a->rows; r++) {
            const ptrdiff_t in = p * a->from_plane + a->row[r], out = p * a->to_plane + r * a->to_row;
            if (out > out_last || (KIND == NAME(move_indices) && in > in_last)) {
                NAME(move_last)(KIND, a, r, in, out);
                continue;
            }
            for (ptrdiff_t c = 0; c < whole; c += VL) NAME(move_vector)(KIND, a, r, c, VL, in + c, out + c);
            if (rest) NAME(move_vector)(KIND, a, r, whole, rest, in + whole, out + whole);
        }
}

static void NAME(pool_move_rows)(const fc_move_rows_args *const a) {
    assert(a->w > 0 && a->planes > 0 && a->rows > 0);
    if (a->scale) NAME(move_planes)(NAME(move_scaled), a);
    else if (a->index) NAME(move_planes)(NAME(move_indices), a);
    else NAME(move_planes)(NAME(move_values), a);
}
