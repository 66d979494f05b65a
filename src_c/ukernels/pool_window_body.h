/* Pooling of whole windows, one at a time: see fc_window_args in ukernels_pool.h for what is computed. Pixels are reduced in rows of
 * up to FC_WINDOW_COLUMNS elements: some of the channels, or several pixels of all channels where these are few. */

#define FC_WINDOW_COLUMNS 32
/* Row numbers are kept as reals, which are exact up to here. */
#define FC_WINDOW_ROWS (1 << 20)
/* Rows added up one after the other: one running sum of many would lose digits. */
#define FC_WINDOW_TERMS 512
/* Rows that are fetched ahead of their use. */
#define FC_WINDOW_AHEAD 16

FC_INLINE ptrdiff_t NAME(window_group)(const fc_window_args *const a) {
    return a->step == a->channels && a->channels <= FC_WINDOW_COLUMNS / 2 ? FC_WINDOW_COLUMNS / a->channels : 1;
}

/* NV vectors of n columns of rows 0 .. rows - 1: the largest, and its row. */
FC_INLINE void NAME(window_maximum_vectors)(const int NV, const int INDEX, const real *x, const ptrdiff_t step, const ptrdiff_t rows,
                                            real *const best_, real *const where_, const ptrdiff_t n) {
    vec best[4], where[4], row = v_zero();
    const vec one = v_set1(1);
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) best[v] = NAME(load_channels)(x + v * VL, n), where[v] = v_zero();
    for (ptrdiff_t r = 1; r < rows; r++) {
        x += step;
        row = v_add(row, one);
        if (NV > 1 && r + FC_WINDOW_AHEAD < rows) NAME(fetch)(x + FC_WINDOW_AHEAD * step, NV * VL);
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const vec value = NAME(load_channels)(x + v * VL, n);
            const vmask wins = v_beats(value, best[v]);
            best[v] = v_select(wins, value, best[v]);
            if (INDEX) where[v] = v_select(wins, row, where[v]);
        }
    }
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        v_store(best_ + v * VL, best[v]);
        if (INDEX) v_store(where_ + v * VL, where[v]);
    }
}

FC_INLINE void NAME(window_maximum_rows)(const int INDEX, const real *const x, const ptrdiff_t step, const ptrdiff_t rows, const ptrdiff_t columns,
                                         real *const best, real *const where) {
    ptrdiff_t c = 0;
    for (; c + 4 * VL <= columns; c += 4 * VL) NAME(window_maximum_vectors)(4, INDEX, x + c, step, rows, best + c, where + c, VL);
    for (; c + VL <= columns; c += VL) NAME(window_maximum_vectors)(1, INDEX, x + c, step, rows, best + c, where + c, VL);
    if (c < columns) NAME(window_maximum_vectors)(1, INDEX, x + c, step, rows, best + c, where + c, columns - c);
}

/* Whether v at position `at` wins over `best` at position `best_at`. */
FC_INLINE int NAME(window_wins)(const real v, const int64_t at, const real best, const int64_t best_at) {
    if (best != best) return v != v && at < best_at;
    return !(v <= best) || (v == best && at < best_at);
}

FC_INLINE vec NAME(window_larger)(const vec value, const vec best) { return v_select(v_beats(value, best), value, best); }

/* The first of n elements that lie side by side that is a NaN if v is, or else equals it, which one does. */
static ptrdiff_t NAME(window_find)(const real *const x, const ptrdiff_t n, const real v) {
    const vec wanted = v_set1(v), one = v_set1(1);
    ptrdiff_t i = 0;
    if (v == v)
        for (; i + 4 * VL <= n; i += 4 * VL) {
            vec found = v_zero();
            FC_UNROLL(4)
            for (int k = 0; k < 4; k++) found = v_select(v_eq(v_load(x + i + k * VL), wanted), one, found);
            if (v_sum(found) > 0) break;
        }
    while (i < n - 1 && (v == v ? x[i] != v : x[i] == x[i])) i++;
    return i;
}

/* The largest of n elements that lie side by side. */
static real NAME(window_maximum_line)(const real *const x, const ptrdiff_t n) {
    real largest = x[0];
    if (n < VL) {
        for (ptrdiff_t i = 1; i < n; i++) largest = largest != largest || x[i] <= largest ? largest : x[i];
        return largest;
    }
    vec best = v_load(x);
    const ptrdiff_t rows = n / (4 * VL);
    if (rows) {
        real column[4 * VL];
        NAME(window_maximum_vectors)(4, 0, x, 4 * VL, rows, column, NULL, VL);
        best = v_load(column);
        for (int k = 1; k < 4; k++) best = NAME(window_larger)(v_load(column + k * VL), best);
    }
    for (ptrdiff_t i = rows * 4 * VL; i < n; i += VL) best = NAME(window_larger)(v_load(x + (i + VL <= n ? i : n - VL)), best);
    int32_t lane[2 * VL];
    for (int l = 0; l < 2 * VL; l++) lane[l] = l;
    for (int half = VL / 2; half > 0; half /= 2) best = NAME(window_larger)(v_permute2(best, best, v_index(lane + half)), best);
    real all[VL];
    v_store(all, best);
    return all[0];
}

static void NAME(window_maximum)(const fc_window_args *const args) {
    const fc_window_args copy = *args, *const a = &copy;
    assert(a->pixels > 0 && a->channels > 0 && a->channels <= FC_WINDOW_CHANNELS);
    if (a->step == 1) {
        const real v = NAME(window_maximum_line)(a->x, a->pixels);
        const int64_t at = a->index ? a->first + NAME(window_find)(a->x, a->pixels, v) : a->first;
        if (a->more && !NAME(window_wins)(v, at, *(real *)a->y, a->index ? *a->index : 0)) return;
        *(real *)a->y = v;
        if (a->index) *a->index = at;
        return;
    }
    const ptrdiff_t group = NAME(window_group)(a), columns = group * a->channels;
    const real *x = a->x;
    real best[FC_WINDOW_CHANNELS], where[FC_WINDOW_CHANNELS], *const y = a->y;
    int more = a->more;
    for (ptrdiff_t pixel = 0; pixel < a->pixels;) {
        const ptrdiff_t left = a->pixels - pixel, whole = left / group;
        const ptrdiff_t rows = whole > FC_WINDOW_ROWS ? FC_WINDOW_ROWS : whole ? whole : 1, part = whole ? group : left;
        const ptrdiff_t width = whole ? columns : left * a->channels;
        if (a->index) NAME(window_maximum_rows)(1, x, group * a->step, rows, width, best, where);
        else NAME(window_maximum_rows)(0, x, group * a->step, rows, width, best, where);
        for (ptrdiff_t g = 0; g < part; g++)
            for (ptrdiff_t c = 0; c < a->channels; c++) {
                const real v = best[g * a->channels + c];
                const int64_t at = a->index ? a->first + pixel + (int64_t)where[g * a->channels + c] * group + g : a->first + pixel + g;
                if ((more || g) && !NAME(window_wins)(v, at, y[c], a->index ? a->index[c] : 0)) continue;
                y[c] = v;
                if (a->index) a->index[c] = at;
            }
        more = 1;
        pixel += rows * part;
        x += rows * part * a->step;
    }
}

FC_INLINE void NAME(window_sum_vectors)(const int NV, const real *x, const ptrdiff_t step, const ptrdiff_t rows, real *const sum, const ptrdiff_t n) {
    vec total[4], part[4];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) total[v] = v_zero();
    for (ptrdiff_t first = 0; first < rows; first += FC_WINDOW_TERMS) {
        const ptrdiff_t end = rows - first < FC_WINDOW_TERMS ? rows : first + FC_WINDOW_TERMS;
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) part[v] = v_zero();
        for (ptrdiff_t r = first; r < end; r++, x += step) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) part[v] = v_add(part[v], NAME(load_channels)(x + v * VL, n));
        }
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) total[v] = v_add(total[v], part[v]);
    }
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) v_store(sum + v * VL, total[v]);
}

static void NAME(window_sum_rows)(const real *const x, const ptrdiff_t step, const ptrdiff_t rows, const ptrdiff_t columns, real *const sum) {
    ptrdiff_t c = 0;
    for (; c + 4 * VL <= columns; c += 4 * VL) NAME(window_sum_vectors)(4, x + c, step, rows, sum + c, VL);
    for (; c + VL <= columns; c += VL) NAME(window_sum_vectors)(1, x + c, step, rows, sum + c, VL);
    if (c < columns) NAME(window_sum_vectors)(1, x + c, step, rows, sum + c, columns - c);
}

/* The sum of n elements that lie side by side. */
static real NAME(window_sum_line)(const real *const x, const ptrdiff_t n) {
    real sum[4 * VL];
    const ptrdiff_t rows = n / (4 * VL);
    ptrdiff_t i = rows * 4 * VL;
    NAME(window_sum_vectors)(4, x, 4 * VL, rows, sum, VL);
    vec all = v_add(v_add(v_load(sum), v_load(sum + VL)), v_add(v_load(sum + 2 * VL), v_load(sum + 3 * VL)));
    for (; i + VL <= n; i += VL) all = v_add(all, v_load(x + i));
    real total = v_sum(all);
    for (; i < n; i++) total += x[i];
    return total;
}

static void NAME(window_mean)(const fc_window_args *const args) {
    const fc_window_args copy = *args, *const a = &copy;
    assert(a->pixels > 0 && a->channels > 0 && a->channels <= FC_WINDOW_CHANNELS);
    if (a->step == 1) {
        real *const mean = a->y;
        const real sum = NAME(window_sum_line)(a->x, a->pixels), total = a->more ? *mean + sum : sum;
        *mean = a->count ? total / (real)a->count : total;
        return;
    }
    const ptrdiff_t group = NAME(window_group)(a), channels = a->channels, rows = a->pixels / group, rest = a->pixels % group;
    const real *const x = a->x;
    real sum[FC_WINDOW_CHANNELS], tail[FC_WINDOW_CHANNELS], *const y = a->y;
    NAME(window_sum_rows)(x, group * a->step, rows, group * channels, sum);
    if (rest) {
        NAME(window_sum_rows)(x + rows * group * a->step, a->step, 1, rest * channels, tail);
        for (ptrdiff_t c = 0; c < rest * channels; c++) sum[c] += tail[c];
    }
    for (ptrdiff_t width = group; width > 1; width = (width + 1) / 2)
        for (ptrdiff_t c = 0; c < width / 2 * channels; c++) sum[c] += sum[(width + 1) / 2 * channels + c];
    for (ptrdiff_t c = 0; c < channels; c++) {
        const real total = a->more ? y[c] + sum[c] : sum[c];
        y[c] = a->count ? total / (real)a->count : total;
    }
}

/* The pixels of the window receive their share of the gradient y. */
static void NAME(window_mean_backward)(const fc_window_args *const args, void *dx_) {
    const fc_window_args copy = *args, *const a = &copy;
    assert(a->pixels > 0 && a->channels > 0 && a->channels <= FC_WINDOW_CHANNELS);
    const ptrdiff_t channels = a->channels;
    const real *const dy = a->y, scale = 1 / (real)a->count;
    real *dx = dx_;
    if (a->step == 1) {
        const vec share = v_set1(dy[0] * scale);
        ptrdiff_t i = 0;
        for (; i + VL <= a->pixels; i += VL) v_store(dx + i, share);
        for (; i < a->pixels; i++) dx[i] = dy[0] * scale;
        return;
    }
    const ptrdiff_t group = NAME(window_group)(a), columns = group * channels;
    real pattern[FC_WINDOW_CHANNELS];
    for (ptrdiff_t g = 0; g < group; g++)
        for (ptrdiff_t c = 0; c < channels; c++) pattern[g * channels + c] = dy[c] * scale;
    for (ptrdiff_t pixel = 0; pixel < a->pixels; pixel += group, dx += group * a->step) {
        const ptrdiff_t left = (a->pixels - pixel) * channels, n = left < columns ? left : columns;
        ptrdiff_t c = 0;
        for (; c + VL <= n; c += VL) NAME(put_channels)(dx + c, v_load(pattern + c), VL, a->stream);
        for (; c < n; c++) dx[c] = pattern[c];
    }
}

/* The gradients y of a window with corner (row, column) are added to the elements that won: those of the image. */
static void NAME(window_scatter)(const fc_window_args *const a, const fc_window_place *const place, void *dx_) {
    const real *const dy = a->y;
    real *const dx = dx_;
    for (ptrdiff_t c = 0; c < a->channels; c++) {
        const int64_t row = place->row + a->index[c] / place->window_w, column = place->column + a->index[c] % place->window_w;
        if (a->index[c] < 0 || a->index[c] / place->window_w >= place->window_h) continue;
        if (row < 0 || row >= place->h || column < 0 || column >= place->w) continue;
        dx[(row * place->w + column) * a->step + c] += dy[c];
    }
}

#undef FC_WINDOW_COLUMNS
#undef FC_WINDOW_ROWS
#undef FC_WINDOW_TERMS
#undef FC_WINDOW_AHEAD
