/* The weight gradient of depthwise convolution of planes: part of depthwise_planes_body.h. A walk goes down the rows of x and keeps the rows
 * of dy that they belong to; the sums stay in registers. */

/* COUNT kernel columns of the weight gradient, n columns of dy. x, dy and acc are those of the first one, x as above. */
typedef void (*NAME(planes_wgrad_walk))(const fc_depthwise_planes_wgrad_args *a, const NAME(planes_lanes) * lanes, ptrdiff_t n);

/* Adds to what is in `out` v, or of PAIR its first half, and the second half to what is `other` elements behind. */
FC_INLINE void NAME(planes_add)(const int PAIR, real *const out, const vec v, const ptrdiff_t other) {
    if (PAIR) v_store(out + other, v_add(v_load(out + other), v_select(v_first(VL / 2), v_zero(), v)));
    v_store(out, v_add(v_load(out), PAIR ? v_select(v_first(VL / 2), v, v_zero()) : v));
}

FC_INLINE void NAME(planes_wgrad_columns)(const int TAPS, const int COUNT, const int SHIFT, const int PAIR,
                                          const fc_depthwise_planes_wgrad_args *const a, const NAME(planes_lanes) *const given, const ptrdiff_t n) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const NAME(planes_lanes) copy = NAME(planes_copy)(COUNT, SHIFT, PAIR, given), *const lanes = &copy;
    const ptrdiff_t begin = given->begin, end = given->end;
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w;
    const ptrdiff_t acc_plane = a->acc_plane * (TAPS * TAPS + 1) * VL;
    const vmask second = v_lanes(VL / 2, VL / 2 + (PAIR ? n : 0));
    for (ptrdiff_t p = 0; p < a->planes; p += 1 + PAIR) {
        const real *const x = (const real *)a->x + p * a->x_plane, *dy = (const real *)a->dy + p * a->dy_plane;
        real *const out = (real *)a->acc + p * acc_plane;
        vec acc[5][5], grad[5];
        FC_UNROLL(5)
        for (int r = 0; r < TAPS; r++) {
            grad[r] = v_zero();
            FC_UNROLL(5)
            for (int t = 0; t < COUNT; t++) acc[r][t] = v_zero();
        }
        ptrdiff_t q = 0;
        for (ptrdiff_t i = 0; i < steps; i++, dy += a->dy_step) {
            FC_UNROLL(5)
            for (int d = LIVE - 1; d > 0; d--) grad[d] = grad[d - 1];
            grad[0] = v_zero();
            ptrdiff_t left = a->rows - i;
            FC_OPAQUE(left);
            if (left > 0) {
                grad[0] = v_load_n(dy, n);
                __builtin_prefetch(dy + a->dy_ahead, 0, 3);
                if (PAIR) grad[0] = v_load_more(grad[0], dy + a->dy_plane - VL / 2, second);
            }
            FC_UNROLL(2)
            for (int u = 0; u < SHIFT; u++, q++) {
                if (q < begin || q >= end) continue;
                const real *const row = x + q * x_step;
                __builtin_prefetch(row + a->x_ahead, 0, 3);
                FC_UNROLL(5)
                for (int t = 0; t < COUNT; t += SHIFT) {
                    vec value[2];
                    NAME(planes_load)(COUNT, SHIFT, PAIR, t, row, spread, a->x_plane, lanes, value);
                    FC_UNROLL(2)
                    for (int s = 0; s < SHIFT; s++) {
                        if (t + s >= COUNT) continue;
                        v_keep(value[s]);
                        FC_UNROLL(5)
                        for (int d = 0; d < LIVE; d++)
                            if (u + d * SHIFT < TAPS) acc[u + d * SHIFT][t + s] = v_fma(value[s], grad[d], acc[u + d * SHIFT][t + s]);
                    }
                }
            }
        }
        FC_UNROLL(5)
        for (int r = 0; r < TAPS; r++) {
            FC_UNROLL(5)
            for (int t = 0; t < COUNT; t++) NAME(planes_add)(PAIR, out + (r * TAPS + t) * VL, acc[r][t], acc_plane);
        }
    }
}

/* acc += rows of dy. */
static void NAME(planes_sum)(const fc_depthwise_planes_wgrad_args *const a, const real *const dy, real *const acc) {
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

/* The kernel columns whose sums stay in registers. */
#define FC_PLANES_COLUMNS (FC_REGISTERS >= 32 ? 5 : 2)
#define FC_PLANES_WGRAD(name, taps, count, shift, pair)                                                                                        \
    static __attribute__((noinline)) void NAME(planes_wgrad_##name)(const fc_depthwise_planes_wgrad_args *a, const NAME(planes_lanes) * lanes, \
                                                                    ptrdiff_t n) {                                                             \
        NAME(planes_wgrad_columns)(taps, count, shift, pair, a, lanes, n);                                                                     \
    }
FC_PLANES_WGRAD(3_1, 3, 3, 1, 0)
FC_PLANES_WGRAD(3_2, 3, 3, 2, 0)
#if FC_PLANES_TAPS == 5
FC_PLANES_WGRAD(5_1, 5, FC_PLANES_COLUMNS, 1, 0)
FC_PLANES_WGRAD(5_2, 5, FC_PLANES_COLUMNS, 2, 0)
#if FC_REGISTERS < 32
FC_PLANES_WGRAD(last_1, 5, 1, 1, 0)
FC_PLANES_WGRAD(last_2, 5, 1, 2, 0)
#else
#define planes_wgrad_last_1 planes_wgrad_5_1
#define planes_wgrad_last_2 planes_wgrad_5_2
#endif
#endif
#if FC_PLANES_PAIRS
FC_PLANES_WGRAD(pair, 3, 3, 1, 1)
#else
#define planes_wgrad_pair planes_wgrad_3_1
#endif
#undef FC_PLANES_WGRAD

FC_PLANES_SMALL void NAME(planes_wgrad)(const fc_depthwise_planes_wgrad_args *const args) {
    const fc_depthwise_planes_wgrad_args *const a = args;
    assert(a->planes >= 0 && a->rows > 0 && a->dy_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0 && (a->stride == 1 || a->spread_w == 1));
    static const NAME(planes_wgrad_walk) walks[][2] = {
        {NAME(planes_wgrad_3_1), NAME(planes_wgrad_3_2)},
#if FC_PLANES_TAPS == 5
        {NAME(planes_wgrad_5_1), NAME(planes_wgrad_5_2)},
        {NAME(planes_wgrad_last_1), NAME(planes_wgrad_last_2)},
#endif
    };
    const ptrdiff_t taps = a->taps, most = taps == 5 ? FC_PLANES_COLUMNS : taps, acc_plane = a->acc_plane * (taps * taps + 1) * VL;
    const int pairs = NAME(planes_pairs)(taps, a->stride, a->dy_width);
    NAME(planes_lanes) lanes;
    NAME(planes_order)(0, a->stride, 0, &lanes);
    NAME(planes_rows)(a->top, a->spread_h, a->h, &lanes);
    const ptrdiff_t elements = a->h * a->width + a->rows * a->dy_width;
    fc_depthwise_planes_wgrad_args of = *args;
    for (ptrdiff_t p = 0, batch; p < a->planes; p += batch) {
        batch = NAME(planes_batch)(pairs, a->planes - p, a->dy_width <= VL, elements);
        for (ptrdiff_t c = 0; c < a->dy_width; c += VL)
            for (ptrdiff_t t = 0, count; t < taps; t += count) {
                count = taps - t < most ? taps - t : most;
                const ptrdiff_t n = a->dy_width - c < VL ? a->dy_width - c : VL, column = a->left + c * a->stride + t * a->spread_w;
                of.planes = batch;
                of.x = (const real *)a->x + p * a->x_plane + a->top * a->width + column;
                of.dy = (const real *)a->dy + p * a->dy_plane + c;
                of.acc = (real *)a->acc + p * acc_plane + t * VL;
                NAME(planes_mask)(0, count, a->stride, column, a->spread_w, a->width, n, &lanes);
                if (pairs && batch > 1) NAME(planes_wgrad_pair)(&of, &lanes, n);
                else walks[taps == 3 ? 0 : count == most ? 1 : 2][a->stride - 1](&of, &lanes, n);
            }
    }
    for (ptrdiff_t p = 0; p < a->planes; p++)
        NAME(planes_sum)(a, (const real *)a->dy + p * a->dy_plane, (real *)a->acc + p * acc_plane + taps * taps * VL);
}

#undef FC_PLANES_COLUMNS
#undef planes_wgrad_pair
#undef planes_wgrad_last_1
#undef planes_wgrad_last_2
