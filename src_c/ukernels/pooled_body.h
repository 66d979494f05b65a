/* Max-pooling of results that are still in registers: windows of 2 x 2 with stride 2. */

FC_INLINE void NAME(store_index)(uint8_t *const p, const vec v, const ptrdiff_t n) {
    if (n == VL) {
        v_store_u8(p, v);
    } else {
        uint8_t lane[VL];
        v_store_u8(lane, v);
        for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
    }
}

/* Out of line: a part of a vector of winners and of their places. */
static __attribute__((noinline, cold)) void NAME(put_part)(const vec best, const vec where, real *const y, uint8_t *const index, const ptrdiff_t n) {
    v_store_n(y, best, n);
    if (index) NAME(store_index)(index, where, n);
}

/* The winner of a window, row by row, to the first n elements of y, and its place in the window to index unless that is NULL. The first of
 * the largest wins, or the first NaN. */
FC_INLINE void NAME(put_window)(const vec x[4], real *const y, uint8_t *const index, const ptrdiff_t n) {
    vec best = x[0], where = v_zero();
    FC_UNROLL(4)
    for (int t = 1; t < 4; t++) {
        const vmask wins = v_beats(x[t], best);
        best = v_select(wins, x[t], best);
        if (index) where = v_select(wins, v_set1((real)t), where);
    }
    if (n < VL) {
        NAME(put_part)(best, where, y, index, n);
        return;
    }
    v_store(y, best);
    if (index) v_store_u8(index, where);
}
