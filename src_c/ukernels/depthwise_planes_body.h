/* Depthwise convolution of planes: see ukernels_planes.h for what is computed. A walk goes down the rows of x, a vector of columns wide. The
 * sums of the output rows that the row of x at hand belongs to stay in registers: every row is loaded once for all of them, shifted by
 * each tap. Lanes outside of the row are left out of the loads, so nothing is copied to be padded. */

/* What the walks of one width share. inside: the lanes of x's loads that are, for SHIFT 1 and scatters by taps, for SHIFT 2 two vectors for
 * every two taps. first, second: how two vectors are taken apart, or put together. */
typedef struct {
    vmask inside[8];
    vindex first, second;
    ptrdiff_t from[2]; /* the columns of x that taps 0 and 1 of a scatter see */
} NAME(planes_lanes);

FC_INLINE ptrdiff_t NAME(planes_clamp)(const ptrdiff_t i, const ptrdiff_t low, const ptrdiff_t high) { return i < low ? low : i > high ? high : i; }

/* Of a vector that begins at `column`, its first `limit` lanes. */
static vmask NAME(planes_inside)(const ptrdiff_t column, const ptrdiff_t width, const ptrdiff_t limit) {
    const ptrdiff_t end = NAME(planes_clamp)(width - column < limit ? width - column : limit, 0, VL);
    return v_lanes(NAME(planes_clamp)(-column, 0, end), end);
}

/* For the taps of n outputs, the first of which sees x from `column` on. */
static void NAME(planes_mask)(const ptrdiff_t taps, const ptrdiff_t shift, const ptrdiff_t column, const ptrdiff_t spread, const ptrdiff_t width,
                              const ptrdiff_t n, NAME(planes_lanes) *const lanes) {
    for (ptrdiff_t t = 0; t < taps; t += shift) {
        lanes->inside[t] = NAME(planes_inside)(column + t * spread, width, shift * n);
        if (shift == 2) lanes->inside[t + 1] = NAME(planes_inside)(column + t * spread + VL, width, 2 * n - VL);
    }
}

static void NAME(planes_mask_scatter)(const ptrdiff_t taps, const ptrdiff_t column, const ptrdiff_t width, NAME(planes_lanes) *const lanes) {
    lanes->from[0] = (column + 1) / 2, lanes->from[1] = column / 2;
    for (ptrdiff_t t = 0; t < taps; t++) lanes->inside[t] = NAME(planes_inside)(lanes->from[t % 2] - t / 2, width, VL);
}

/* Even and odd lanes of two vectors. */
static void NAME(planes_apart)(NAME(planes_lanes) *const lanes) {
    int32_t even[VL], odd[VL];
    for (int l = 0; l < VL; l++) even[l] = 2 * l, odd[l] = 2 * l + 1;
    lanes->first = v_index(even), lanes->second = v_index(odd);
}

/* Lanes of two vectors in turn, those of the second first if asked for. */
static void NAME(planes_together)(const int swap, NAME(planes_lanes) *const lanes) {
    int32_t low[VL], high[VL];
    for (int l = 0; l < VL; l++) low[l] = l / 2 + (l + swap) % 2 * VL, high[l] = low[l] + VL / 2;
    lanes->first = v_index(low), lanes->second = v_index(high);
}

/* What taps t and, for SHIFT 2, t + 1 see of a row: the latter if it is one. */
FC_INLINE void NAME(planes_load)(const int TAPS, const int SHIFT, const int t, const real *const row, const ptrdiff_t spread,
                                 const NAME(planes_lanes) *const lanes, vec value[2]) {
    const vec low = v_load_lanes(row + t * spread, lanes->inside[t]);
    value[0] = low;
    if (SHIFT == 2) {
        const vec high = v_load_lanes(row + t * spread + VL, lanes->inside[t + 1]);
        value[0] = v_permute2(low, high, lanes->first);
        if (t + 1 < TAPS) value[1] = v_permute2(low, high, lanes->second);
    }
}

/* Which of the rows base, base + spread, ... are inside. */
typedef struct {
    ptrdiff_t first, end;
} NAME(planes_rows);
static NAME(planes_rows) NAME(planes_rows_inside)(const ptrdiff_t base, const ptrdiff_t spread, const ptrdiff_t h) {
    return (NAME(planes_rows)){base < 0 ? (spread - 1 - base) / spread : 0, base < h ? (h - 1 - base) / spread + 1 : 0};
}

/* FINISH: whether something is left to be done to the sums. */
FC_INLINE void NAME(planes_put)(const fc_planes_args *const a, int finish, real *const y, vec v, const ptrdiff_t n) {
    FC_OPAQUE(finish); /* one loop, with a branch */
    if (finish) {
        if (a->accumulate) v = v_add(v, v_load_n(y, n));
        if (a->relu) v = v_max(v_zero(), v);
    }
    if (FC_PARTIAL_FREE) v_store_n(y, v, n);
    else NAME(store_channels)(y, v, n);
}

/* The walk of n columns of y; w is [taps][taps] and the bias, x what the first tap of the first row and column sees. */
typedef void (*NAME(planes_walk))(const fc_planes_args *a, const vec *w, const NAME(planes_lanes) *lanes, const real *x, real *y, ptrdiff_t n);

FC_INLINE void NAME(planes_gather)(const int TAPS, const int SHIFT, const fc_planes_args *const a, const vec *const w,
                                   const NAME(planes_lanes) *const given, const real *const x, real *y, const ptrdiff_t n) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const NAME(planes_lanes) copy = *given, *const lanes = &copy;
    const NAME(planes_rows) inside = NAME(planes_rows_inside)(a->top, a->spread_h, a->h);
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w, y_step = a->y_step;
    const int finish = a->relu || a->accumulate;
    vec sum[7], weight[7][7];
    const vec bias = w[TAPS * TAPS];
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        sum[r] = bias;
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) weight[r][t] = w[r * TAPS + t];
    }
    ptrdiff_t q = 0;
    for (ptrdiff_t i = 0; i < steps; i++) {
        FC_UNROLL(7)
        for (int d = LIVE - 1; d > 0; d--) sum[d] = sum[d - 1];
        sum[0] = bias;
        FC_UNROLL(2)
        for (int u = 0; u < SHIFT; u++, q++) {
            if (q < inside.first || q >= inside.end) continue;
            const real *const row = x + q * x_step;
            FC_UNROLL(7)
            for (int t = 0; t < TAPS; t += SHIFT) {
                vec value[2];
                NAME(planes_load)(TAPS, SHIFT, t, row, spread, lanes, value);
                FC_UNROLL(2)
                for (int s = 0; s < SHIFT && t + s < TAPS; s++) {
                    v_keep(value[s]);
                    FC_UNROLL(7)
                    for (int d = 0; d < LIVE; d++)
                        if (u + d * SHIFT < TAPS) sum[d] = v_fma(value[s], weight[u + d * SHIFT][t + s], sum[d]);
                }
            }
        }
        if (i < LIVE - 1) continue;
        NAME(planes_put)(a, finish, y, sum[LIVE - 1], n);
        y += y_step;
    }
}

/* At most 2 * VL columns of y. Rows of y are 2 * k + r - top: those of two r are complete with each row k of x. */
FC_INLINE void NAME(planes_scatter)(const int TAPS, const fc_planes_args *const a, const vec *const w, const NAME(planes_lanes) *const given,
                                    const real *const x, real *const y, const ptrdiff_t n) {
    const NAME(planes_lanes) copy = *given, *const lanes = &copy;
    const ptrdiff_t most = (a->top + a->rows - 1) / 2, reach = a->top - (TAPS - 1), n_low = n < VL ? n : VL;
    const real *const from[2] = {x + lanes->from[0], x + lanes->from[1]};
    vec sum[7 + 1][2], weight[7][7];
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        sum[r][0] = sum[r][1] = v_zero();
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) weight[r][t] = w[r * TAPS + t];
    }
    FC_ROLLED
    for (ptrdiff_t k = reach > 0 ? (reach + 1) / 2 : 0; k <= most; k++) {
        if (k < a->h) {
            FC_UNROLL(7)
            for (int t = 0; t < TAPS; t++) {
                vec value = v_load_lanes(from[t % 2] + k * a->width - t / 2, lanes->inside[t]);
                v_keep(value);
                FC_UNROLL(7)
                for (int r = 0; r < TAPS; r++) sum[r][t % 2] = v_fma(value, weight[r][t], sum[r][t % 2]);
            }
        }
        FC_UNROLL(2)
        for (int e = 0; e < 2; e++) {
            const ptrdiff_t i = 2 * k + e - a->top;
            if (i < 0 || i >= a->rows) continue;
            real *const to = y + i * a->y_step;
            NAME(planes_put)(a, a->accumulate, to, v_permute2(sum[e][0], sum[e][1], lanes->first), n_low);
            if (n > VL) NAME(planes_put)(a, a->accumulate, to + VL, v_permute2(sum[e][0], sum[e][1], lanes->second), n - VL);
        }
        FC_UNROLL(7)
        for (int r = 0; r < TAPS; r++) {
            sum[r][0] = r + 2 < TAPS ? sum[r + 2][0] : v_zero();
            sum[r][1] = r + 2 < TAPS ? sum[r + 2][1] : v_zero();
        }
    }
}

#define FC_PLANES_GATHER(taps, shift)                                                                                                              \
    static void NAME(planes_gather_##taps##_##shift)(const fc_planes_args *a, const vec *w, const NAME(planes_lanes) *lanes, const real *x, real *y, \
                                                     ptrdiff_t n) {                                                                                 \
        NAME(planes_gather)(taps, shift, a, w, lanes, x, y, n);                                                                                     \
    }
#define FC_PLANES_SCATTER(taps)                                                                                                              \
    static void NAME(planes_scatter_##taps)(const fc_planes_args *a, const vec *w, const NAME(planes_lanes) *lanes, const real *x, real *y,    \
                                            ptrdiff_t n) {                                                                                    \
        NAME(planes_scatter)(taps, a, w, lanes, x, y, n);                                                                                     \
    }
FC_PLANES_GATHER(3, 1)
FC_PLANES_GATHER(5, 1)
FC_PLANES_GATHER(3, 2)
FC_PLANES_GATHER(5, 2)
FC_PLANES_SCATTER(3)
FC_PLANES_SCATTER(5)
#undef FC_PLANES_GATHER
#undef FC_PLANES_SCATTER

static void NAME(planes_convolve)(const fc_planes_args *const args) {
    const fc_planes_args copy = *args, *const a = &copy; /* known not to change when y is written */
    assert(a->planes >= 0 && a->rows > 0 && a->out_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0);
    assert((a->stride == 1 || a->spread_w == 1) && (!a->scatter || (a->top >= 0 && a->left >= 0)));
    const ptrdiff_t taps = a->taps, width = a->scatter ? 2 * VL : VL;
    const NAME(planes_walk) walks[2][3] = {{NAME(planes_gather_3_1), NAME(planes_gather_3_2), NAME(planes_scatter_3)},
                                           {NAME(planes_gather_5_1), NAME(planes_gather_5_2), NAME(planes_scatter_5)}};
    const NAME(planes_walk) walk = walks[taps == 5][a->scatter ? 2 : a->stride - 1];
    NAME(planes_lanes) lanes;
    if (a->scatter) NAME(planes_together)(a->left % 2, &lanes);
    else NAME(planes_apart)(&lanes);
    ptrdiff_t masked = -1;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane + (a->scatter ? 0 : a->top * a->width + a->left);
        real *const y = (real *)a->y + p * a->y_plane;
        const real *const w = (const real *)a->w + p * a->w_plane;
        vec weights[7 * 7 + 1];
        for (ptrdiff_t r = 0; r < taps; r++)
            for (ptrdiff_t t = 0; t < taps; t++) weights[r * taps + t] = v_set1(w[r * a->w_row + t * a->w_tap]);
        weights[taps * taps] = a->bias ? v_set1(((const real *)a->bias)[p * a->w_plane]) : v_zero();
        for (ptrdiff_t c = 0; c < a->out_width; c += width) {
            const ptrdiff_t n = a->out_width - c < width ? a->out_width - c : width;
            if (c != masked) {
                if (a->scatter) NAME(planes_mask_scatter)(taps, c + a->left, a->width, &lanes);
                else NAME(planes_mask)(taps, a->stride, a->left + c * a->stride, a->spread_w, a->width, n, &lanes);
            }
            masked = c;
            walk(a, weights, &lanes, a->scatter ? x : x + c * a->stride, y + c, n);
        }
    }
}

/* COUNT kernel columns of the weight gradient, n columns of dy. x and acc are those of the first one, x as above. */
typedef void (*NAME(planes_wgrad_walk))(const fc_planes_wgrad_args *a, const NAME(planes_lanes) *lanes, const real *x, const real *dy, ptrdiff_t n,
                                        real *acc);

FC_INLINE void NAME(planes_wgrad_columns)(const int TAPS, const int COUNT, const int SHIFT, const fc_planes_wgrad_args *const a,
                                          const NAME(planes_lanes) *const given, const real *const x, const real *dy, const ptrdiff_t n,
                                          real *const out) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const NAME(planes_lanes) copy = *given, *const lanes = &copy;
    const NAME(planes_rows) inside = NAME(planes_rows_inside)(a->top, a->spread_h, a->h);
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w;
    vec acc[7][7], grad[7];
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        grad[r] = v_zero();
        FC_UNROLL(7)
        for (int t = 0; t < COUNT; t++) acc[r][t] = v_load(out + (r * TAPS + t) * VL);
    }
    ptrdiff_t q = 0;
    for (ptrdiff_t i = 0; i < steps; i++, dy += a->dy_step) {
        FC_UNROLL(7)
        for (int d = LIVE - 1; d > 0; d--) grad[d] = grad[d - 1];
        grad[0] = v_zero();
        if (i < a->rows) grad[0] = v_load_n(dy, n);
        FC_UNROLL(2)
        for (int u = 0; u < SHIFT; u++, q++) {
            if (q < inside.first || q >= inside.end) continue;
            const real *const row = x + q * x_step;
            FC_UNROLL(7)
            for (int t = 0; t < COUNT; t += SHIFT) {
                vec value[2];
                NAME(planes_load)(COUNT, SHIFT, t, row, spread, lanes, value);
                FC_UNROLL(2)
                for (int s = 0; s < SHIFT && t + s < COUNT; s++) {
                    v_keep(value[s]);
                    FC_UNROLL(7)
                    for (int d = 0; d < LIVE; d++)
                        if (u + d * SHIFT < TAPS) acc[u + d * SHIFT][t + s] = v_fma(value[s], grad[d], acc[u + d * SHIFT][t + s]);
                }
            }
        }
    }
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < COUNT; t++) v_store(out + (r * TAPS + t) * VL, acc[r][t]);
    }
}

/* acc += rows of dy. */
static void NAME(planes_sum)(const fc_planes_wgrad_args *const a, const real *const dy, real *const acc) {
    const int dense = a->dy_step == a->dy_width;
    const ptrdiff_t rows = dense ? 1 : a->rows, width = dense ? a->rows * a->dy_width : a->dy_width;
    vec sum[2] = {v_load(acc), v_zero()};
    for (ptrdiff_t i = 0; i < rows; i++) {
        const real *const row = dy + i * a->dy_step;
        ptrdiff_t c = 0;
        for (; c + 2 * VL <= width; c += 2 * VL) sum[0] = v_add(sum[0], v_load(row + c)), sum[1] = v_add(sum[1], v_load(row + c + VL));
        for (; c < width; c += VL) sum[0] = v_add(sum[0], v_load_n(row + c, width - c < VL ? width - c : VL));
    }
    v_store(acc, v_add(sum[0], sum[1]));
}

#define FC_PLANES_COLUMNS (FC_REGISTERS >= 32 ? 5 : 1) /* of 5 */
#define FC_PLANES_WGRAD(taps, count, shift)                                                                                           \
    static void NAME(planes_wgrad_##taps##_##shift)(const fc_planes_wgrad_args *a, const NAME(planes_lanes) *lanes, const real *x,      \
                                                    const real *dy, ptrdiff_t n, real *acc) {                                          \
        NAME(planes_wgrad_columns)(taps, count, shift, a, lanes, x, dy, n, acc);                                                       \
    }
FC_PLANES_WGRAD(3, 3, 1)
FC_PLANES_WGRAD(5, FC_PLANES_COLUMNS, 1)
FC_PLANES_WGRAD(3, 3, 2)
FC_PLANES_WGRAD(5, FC_PLANES_COLUMNS, 2)
#undef FC_PLANES_WGRAD

static void NAME(planes_wgrad)(const fc_planes_wgrad_args *const args) {
    const fc_planes_wgrad_args copy = *args, *const a = &copy;
    assert(a->planes >= 0 && a->rows > 0 && a->dy_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0 && (a->stride == 1 || a->spread_w == 1));
    const NAME(planes_wgrad_walk) walks[2][2] = {{NAME(planes_wgrad_3_1), NAME(planes_wgrad_3_2)}, {NAME(planes_wgrad_5_1), NAME(planes_wgrad_5_2)}};
    const NAME(planes_wgrad_walk) walk = walks[a->taps == 5][a->stride - 1];
    const ptrdiff_t taps = a->taps, count = taps == 5 ? FC_PLANES_COLUMNS : taps;
    NAME(planes_lanes) lanes;
    NAME(planes_apart)(&lanes);
    ptrdiff_t masked = -1;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane + a->top * a->width + a->left, *const dy = (const real *)a->dy + p * a->dy_plane;
        real *const acc = (real *)a->acc + p * a->acc_plane * (taps * taps + 1) * VL;
        for (ptrdiff_t c = 0; c < a->dy_width; c += VL) {
            const ptrdiff_t n = a->dy_width - c < VL ? a->dy_width - c : VL;
            for (ptrdiff_t t = 0; t < taps; t += count) {
                const ptrdiff_t column = c * a->stride + t * a->spread_w;
                if (column != masked) NAME(planes_mask)(count, a->stride, a->left + column, a->spread_w, a->width, n, &lanes);
                masked = column;
                walk(a, &lanes, x + column, dy + c, n, acc + t * VL);
            }
        }
        NAME(planes_sum)(a, dy, acc + taps * taps * VL);
    }
}

static void NAME(planes_lane_sums)(const void *vectors, ptrdiff_t n, void *out, ptrdiff_t ld) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)out)[i * ld] = v_sum(v_load((const real *)vectors + i * VL));
}

#define FC_PLANES_KERNELS {.convolve = NAME(planes_convolve), .wgrad = NAME(planes_wgrad), .lane_sums = NAME(planes_lane_sums)}
