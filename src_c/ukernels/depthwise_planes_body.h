/* Depthwise convolution of planes: see ukernels_planes.h for what is computed. A walk goes down the rows of x, a vector of columns wide. The
 * sums of the output rows that the row of x at hand belongs to stay in registers: every row is loaded once for all of them, shifted by
 * each tap. Lanes outside of the row are left out of the loads, so nothing is copied to be padded. */

/* The lanes of a row's loads that are inside, which they are for SHIFT 1: [tap], for SHIFT 2: two vectors for every two taps. */
typedef struct {
    vmask inside[8];
    vindex even, odd;
} NAME(planes_lanes);

FC_INLINE ptrdiff_t NAME(planes_clamp)(const ptrdiff_t i, const ptrdiff_t low, const ptrdiff_t high) { return i < low ? low : i > high ? high : i; }

/* Of a vector that begins at `column`, its first `limit` lanes. */
FC_INLINE vmask NAME(planes_inside)(const ptrdiff_t column, const ptrdiff_t width, const ptrdiff_t limit) {
    const ptrdiff_t end = NAME(planes_clamp)(width - column < limit ? width - column : limit, 0, VL);
    return v_lanes(NAME(planes_clamp)(-column, 0, end), end);
}

/* For TAPS taps of n outputs, the first of which sees x from `column` on. */
FC_INLINE void NAME(planes_mask)(const int TAPS, const int SHIFT, const ptrdiff_t column, const ptrdiff_t spread, const ptrdiff_t width,
                                 const ptrdiff_t n, NAME(planes_lanes) *const lanes) {
    FC_UNROLL(8)
    for (int t = 0; t < TAPS; t += SHIFT) {
        lanes->inside[t] = NAME(planes_inside)(column + t * spread, width, SHIFT * n);
        if (SHIFT == 2) lanes->inside[t + 1] = NAME(planes_inside)(column + t * spread + VL, width, SHIFT * n - VL);
    }
}

FC_INLINE NAME(planes_lanes) NAME(planes_halves)(void) {
    int32_t even[VL], odd[VL];
    for (int l = 0; l < VL; l++) even[l] = 2 * l, odd[l] = 2 * l + 1;
    NAME(planes_lanes) lanes;
    lanes.even = v_index(even), lanes.odd = v_index(odd);
    for (int t = 0; t < 8; t++) lanes.inside[t] = v_lanes(0, 0);
    return lanes;
}

/* What taps t and, for SHIFT 2, t + 1 see of a row: the latter if it is one. */
FC_INLINE void NAME(planes_load)(const int TAPS, const int SHIFT, const int t, const real *const row, const ptrdiff_t spread,
                                 const NAME(planes_lanes) *const lanes, vec value[2]) {
    const vec low = v_load_lanes(row + t * spread, lanes->inside[t]);
    value[0] = low;
    if (SHIFT == 2) {
        const vec high = v_load_lanes(row + t * spread + VL, lanes->inside[t + 1]);
        value[0] = v_permute2(low, high, lanes->even);
        if (t + 1 < TAPS) value[1] = v_permute2(low, high, lanes->odd);
    }
}

/* The first of the rows base, base + spread, ... that is not negative, and the first that is not below h. */
FC_INLINE ptrdiff_t NAME(planes_first)(const ptrdiff_t base, const ptrdiff_t spread) { return base < 0 ? (spread - 1 - base) / spread : 0; }
FC_INLINE ptrdiff_t NAME(planes_end)(const ptrdiff_t base, const ptrdiff_t spread, const ptrdiff_t h) {
    return base < h ? (h - 1 - base) / spread + 1 : 0;
}

FC_INLINE void NAME(planes_weights)(const int TAPS, const fc_planes_args *const a, const ptrdiff_t plane, vec weight[7][7]) {
    const real *const w = (const real *)a->w + plane * a->w_plane;
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) weight[r][t] = v_set1(w[r * a->w_row + t * a->w_tap]);
    }
}

FC_INLINE void NAME(planes_put)(const fc_planes_args *const a, real *const y, vec v, const ptrdiff_t n) {
    if (a->accumulate) v = v_add(v, v_load_n(y, n));
    if (a->relu) v = v_max(v_zero(), v);
    NAME(store_channels)(y, v, n);
}

/* n columns. x and y are the first tap's of the first row and column. */
FC_INLINE void NAME(planes_gather_walk)(const int TAPS, const int SHIFT, const fc_planes_args *const a, vec weight[7][7], const vec bias,
                                        const NAME(planes_lanes) *const lanes, const real *const x, real *y, const ptrdiff_t n) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const ptrdiff_t begin = NAME(planes_first)(a->top, a->spread_h), end = NAME(planes_end)(a->top, a->spread_h, a->h);
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w;
    vec sum[7];
    FC_UNROLL(7)
    for (int d = 0; d < LIVE; d++) sum[d] = bias;
    ptrdiff_t q = 0;
    FC_ROLLED
    for (ptrdiff_t i = 0; i < steps; i++) {
        FC_UNROLL(7)
        for (int d = LIVE - 1; d > 0; d--) sum[d] = sum[d - 1];
        sum[0] = bias;
        FC_UNROLL(2)
        for (int u = 0; u < SHIFT; u++, q++) {
            if (q < begin || q >= end) continue;
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
        if (i >= LIVE - 1) NAME(planes_put)(a, y, sum[LIVE - 1], n), y += a->y_step;
    }
}

FC_INLINE void NAME(planes_gather)(const int TAPS, const int SHIFT, const fc_planes_args *const args) {
    const fc_planes_args copy = *args, *const a = &copy; /* known not to change when y is written */
    assert(a->planes >= 0 && a->rows > 0 && a->out_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0 && (SHIFT == 1 || a->spread_w == 1));
    NAME(planes_lanes) lanes = NAME(planes_halves)();
    ptrdiff_t masked = -1;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane + a->top * a->width + a->left;
        real *const y = (real *)a->y + p * a->y_plane;
        vec weight[7][7];
        NAME(planes_weights)(TAPS, a, p, weight);
        const vec bias = a->bias ? v_set1(((const real *)a->bias)[p * a->w_plane]) : v_zero();
        for (ptrdiff_t c = 0; c < a->out_width; c += VL) {
            const ptrdiff_t n = a->out_width - c < VL ? a->out_width - c : VL;
            if (c != masked) NAME(planes_mask)(TAPS, SHIFT, a->left + c * SHIFT, a->spread_w, a->width, n, &lanes);
            masked = c;
            NAME(planes_gather_walk)(TAPS, SHIFT, a, weight, bias, &lanes, x + c * SHIFT, y + c, n);
        }
    }
}

/* What the walks of a scatter share: lanes of x inside for each tap, how sums for even and odd tap columns become columns of y, and the
 * columns of x that tap 0 and tap 1 see. */
typedef struct {
    vmask inside[8];
    vindex low, high;
    ptrdiff_t from[2];
} NAME(planes_mixed);

/* At most 2 * VL columns of y, n of them. Rows of y are 2 * k + r - top: those of two r are complete with each row k. */
FC_INLINE void NAME(planes_scatter_walk)(const int TAPS, const fc_planes_args *const a, vec weight[7][7],
                                         const NAME(planes_mixed) *const mixed, const real *const x, real *const y, const ptrdiff_t n) {
    const ptrdiff_t most = (a->top + a->rows - 1) / 2, reach = a->top - (TAPS - 1), n_low = n < VL ? n : VL;
    const real *const from[2] = {x + mixed->from[0], x + mixed->from[1]};
    vec sum[7 + 1][2];
    FC_UNROLL(8)
    for (int r = 0; r < TAPS; r++) sum[r][0] = sum[r][1] = v_zero();
    FC_ROLLED
    for (ptrdiff_t k = reach > 0 ? (reach + 1) / 2 : 0; k <= most; k++) {
        if (k < a->h) {
            FC_UNROLL(7)
            for (int t = 0; t < TAPS; t++) {
                vec value = v_load_lanes(from[t % 2] + k * a->width - t / 2, mixed->inside[t]);
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
            NAME(planes_put)(a, to, v_permute2(sum[e][0], sum[e][1], mixed->low), n_low);
            if (n > VL) NAME(planes_put)(a, to + VL, v_permute2(sum[e][0], sum[e][1], mixed->high), n - VL);
        }
        FC_UNROLL(8)
        for (int r = 0; r < TAPS; r++) {
            sum[r][0] = r + 2 < TAPS ? sum[r + 2][0] : v_zero();
            sum[r][1] = r + 2 < TAPS ? sum[r + 2][1] : v_zero();
        }
    }
}

FC_INLINE void NAME(planes_scatter)(const int TAPS, const fc_planes_args *const args) {
    const fc_planes_args copy = *args, *const a = &copy;
    assert(a->planes >= 0 && a->rows > 0 && a->out_width > 0 && a->h > 0 && a->width > 0 && a->top >= 0 && a->left >= 0);
    const int swap = a->left % 2;
    int32_t low[VL], high[VL];
    for (int l = 0; l < VL; l++) low[l] = l / 2 + (l + swap) % 2 * VL, high[l] = low[l] + VL / 2;
    NAME(planes_mixed) mixed = {.low = v_index(low), .high = v_index(high), .from = {0, 0}};
    for (int t = 0; t < 8; t++) mixed.inside[t] = v_lanes(0, 0);
    ptrdiff_t masked = -1;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane;
        real *const y = (real *)a->y + p * a->y_plane;
        vec weight[7][7];
        NAME(planes_weights)(TAPS, a, p, weight);
        for (ptrdiff_t c = 0; c < a->out_width; c += 2 * VL) {
            if (c != masked) {
                mixed.from[0] = (c + a->left + 1) / 2, mixed.from[1] = (c + a->left) / 2;
                FC_UNROLL(7)
                for (int t = 0; t < TAPS; t++) mixed.inside[t] = NAME(planes_inside)(mixed.from[t % 2] - t / 2, a->width, VL);
            }
            masked = c;
            NAME(planes_scatter_walk)(TAPS, a, weight, &mixed, x, y + c, a->out_width - c < 2 * VL ? a->out_width - c : 2 * VL);
        }
    }
}

/* COUNT kernel columns, n columns of dy. x is the first one's, acc as well. */
FC_INLINE void NAME(planes_wgrad_walk)(const int TAPS, const int COUNT, const int SHIFT, const fc_planes_wgrad_args *const a,
                                       const NAME(planes_lanes) *const lanes, const real *const x, const real *dy, const ptrdiff_t n,
                                       real *const out) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const ptrdiff_t begin = NAME(planes_first)(a->top, a->spread_h), end = NAME(planes_end)(a->top, a->spread_h, a->h);
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w;
    vec acc[7][7], grad[7];
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < COUNT; t++) acc[r][t] = v_load(out + (r * TAPS + t) * VL);
    }
    FC_UNROLL(7)
    for (int d = 0; d < LIVE; d++) grad[d] = v_zero();
    ptrdiff_t q = 0;
    FC_ROLLED
    for (ptrdiff_t i = 0; i < steps; i++) {
        FC_UNROLL(7)
        for (int d = LIVE - 1; d > 0; d--) grad[d] = grad[d - 1];
        grad[0] = i < a->rows ? NAME(load_channels)(dy + i * a->dy_step, n) : v_zero();
        FC_UNROLL(2)
        for (int u = 0; u < SHIFT; u++, q++) {
            if (q < begin || q >= end) continue;
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
FC_INLINE void NAME(planes_sum)(const fc_planes_wgrad_args *const a, const real *const dy, real *const acc) {
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

/* COUNT kernel columns at a time: all, or one. */
FC_INLINE void NAME(planes_wgrad)(const int TAPS, const int COUNT, const int SHIFT, const fc_planes_wgrad_args *const args) {
    const fc_planes_wgrad_args copy = *args, *const a = &copy;
    assert(a->planes >= 0 && a->rows > 0 && a->dy_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0 && (SHIFT == 1 || a->spread_w == 1));
    NAME(planes_lanes) lanes = NAME(planes_halves)();
    ptrdiff_t masked = -1;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane + a->top * a->width + a->left, *const dy = (const real *)a->dy + p * a->dy_plane;
        real *const acc = (real *)a->acc + p * a->acc_plane * (TAPS * TAPS + 1) * VL;
        for (ptrdiff_t c = 0; c < a->dy_width; c += VL) {
            const ptrdiff_t n = a->dy_width - c < VL ? a->dy_width - c : VL;
            FC_ROLLED
            for (ptrdiff_t t = 0; t < TAPS; t += COUNT) {
                const ptrdiff_t column = c * SHIFT + t * a->spread_w;
                if (column != masked) NAME(planes_mask)(COUNT, SHIFT, a->left + column, a->spread_w, a->width, n, &lanes);
                masked = column;
                NAME(planes_wgrad_walk)(TAPS, COUNT, SHIFT, a, &lanes, x + column, dy + c, n, acc + t * VL);
            }
        }
        NAME(planes_sum)(a, dy, acc + TAPS * TAPS * VL);
    }
}

static void NAME(planes_lane_sums)(const void *vectors, ptrdiff_t n, void *out, ptrdiff_t ld) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)out)[i * ld] = v_sum(v_load((const real *)vectors + i * VL));
}

#define FC_PLANES_GATHER(taps, shift) \
    static void NAME(planes_gather_##taps##_##shift)(const fc_planes_args *a) { NAME(planes_gather)(taps, shift, a); }
#define FC_PLANES_SCATTER(taps) \
    static void NAME(planes_scatter_##taps)(const fc_planes_args *a) { NAME(planes_scatter)(taps, a); }
#define FC_PLANES_WGRAD(taps, count, shift) \
    static void NAME(planes_wgrad_##taps##_##shift)(const fc_planes_wgrad_args *a) { NAME(planes_wgrad)(taps, count, shift, a); }

FC_PLANES_GATHER(3, 1)
FC_PLANES_GATHER(5, 1)
FC_PLANES_GATHER(7, 1)
FC_PLANES_GATHER(3, 2)
FC_PLANES_GATHER(5, 2)
FC_PLANES_SCATTER(3)
FC_PLANES_SCATTER(5)
FC_PLANES_WGRAD(3, 3, 1)
FC_PLANES_WGRAD(5, (FC_REGISTERS >= 32 ? 5 : 1), 1)
FC_PLANES_WGRAD(7, 1, 1)
FC_PLANES_WGRAD(3, 3, 2)
FC_PLANES_WGRAD(5, (FC_REGISTERS >= 32 ? 5 : 1), 2)
#undef FC_PLANES_GATHER
#undef FC_PLANES_SCATTER
#undef FC_PLANES_WGRAD

#define FC_PLANES_KERNELS                                                                                                                   \
    {.gather = {[3] = {NULL, NAME(planes_gather_3_1), NAME(planes_gather_3_2)},                                                             \
                [5] = {NULL, NAME(planes_gather_5_1), NAME(planes_gather_5_2)},                                                             \
                [7] = {NULL, NAME(planes_gather_7_1)}},                                                                                     \
     .scatter = {[3] = NAME(planes_scatter_3), [5] = NAME(planes_scatter_5)},                                                               \
     .wgrad = {[3] = {NULL, NAME(planes_wgrad_3_1), NAME(planes_wgrad_3_2)},                                                                \
               [5] = {NULL, NAME(planes_wgrad_5_1), NAME(planes_wgrad_5_2)},                                                                \
               [7] = {NULL, NAME(planes_wgrad_7_1)}},                                                                                       \
     .lane_sums = NAME(planes_lane_sums)}
