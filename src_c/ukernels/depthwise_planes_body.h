/* Depthwise convolution of planes: see ukernels_planes.h for what is computed. A walk goes down the rows of x, a vector of columns wide. The
 * sums of the output rows that the row of x at hand belongs to stay in registers: every row is loaded once for all of them, shifted by
 * each tap. Lanes outside of the row are left out of the loads, so nothing is copied to be padded. */

#if defined(FC_LANES_FREE)

/* Whether there are walks of two planes side by side, for planes at most half a vector wide; their names are those of single ones where
 * there are none. */
#define FC_PLANES_PAIRS (VL == 16)
#if !FC_PLANES_PAIRS
#define planes_pair planes_3_1
#endif

/* The largest kernels. float64 is for checks, and the library is to be small. */
#if defined(FC_F32)
#define FC_PLANES_TAPS 5
#else
#define FC_PLANES_TAPS 3
#endif

/* What runs once for a walk, or less often, is compiled for size. */
#define FC_PLANES_SMALL static __attribute__((noinline, cold))

/* What the walks of one width share. inside: the lanes of x's loads that are, for SHIFT 1 and scatters by taps, for SHIFT 2 two vectors for
 * every two taps. first, second: how two vectors are taken apart, or put together. */
typedef struct {
    vmask inside[6], behind[6]; /* behind: for the second of two planes */
    vindex first, second;
    ptrdiff_t from[2];         /* the columns of x that taps 0 and 1 of a scatter see */
    ptrdiff_t begin, end;      /* of the rows that the taps of a gather see, counted from the first: those inside */
} NAME(planes_lanes);

FC_INLINE ptrdiff_t NAME(planes_clamp)(const ptrdiff_t i, const ptrdiff_t low, const ptrdiff_t high) { return i < low ? low : i > high ? high : i; }

/* Of a vector that begins at `column`, its first `limit` lanes; `on` lanes further on. */
FC_PLANES_SMALL vmask NAME(planes_inside)(const ptrdiff_t column, const ptrdiff_t width, const ptrdiff_t limit, const ptrdiff_t on) {
    const ptrdiff_t end = NAME(planes_clamp)(width - column < limit ? width - column : limit, 0, VL);
    return v_lanes(NAME(planes_clamp)(-column, 0, end) + on, end + on);
}

/* For the taps of n outputs, the first of which sees x from `column` on, or for scatters adds what is in column `column` + tap. */
FC_PLANES_SMALL void NAME(planes_mask)(const int scatter, const ptrdiff_t taps, const ptrdiff_t shift, const ptrdiff_t column, const ptrdiff_t spread,
                                       const ptrdiff_t width, const ptrdiff_t n, NAME(planes_lanes) *const lanes) {
    lanes->from[0] = (column + 1) / 2, lanes->from[1] = column / 2;
    const ptrdiff_t loads = shift == 2 ? taps + taps % 2 : taps;
    for (ptrdiff_t t = 0; t < loads; t++) {
        const ptrdiff_t second = t % 2;
        ptrdiff_t at = column + t * spread, limit = n;
        if (scatter) at = lanes->from[second] - t / 2, limit = VL;
        else if (shift == 2) at = column + t - second + second * VL, limit = 2 * n - second * VL;
        lanes->inside[t] = NAME(planes_inside)(at, width, limit, 0);
        if (FC_PLANES_PAIRS && 2 * n <= VL) lanes->behind[t] = NAME(planes_inside)(at, width, n, VL / 2);
    }
}

FC_PLANES_SMALL void NAME(planes_rows)(const ptrdiff_t top, const ptrdiff_t spread, const ptrdiff_t h, NAME(planes_lanes) *const lanes) {
    lanes->begin = top < 0 ? (spread - 1 - top) / spread : 0;
    lanes->end = top < h ? (h - 1 - top) / spread + 1 : 0;
}

/* SHIFT 2: even and odd lanes of two vectors; 1: the halves of one exchanged. Scatters: lanes of two vectors in turn, those of the second
 * first where `left` is odd. */
FC_PLANES_SMALL void NAME(planes_order)(const int scatter, const ptrdiff_t shift, const ptrdiff_t left, NAME(planes_lanes) *const lanes) {
    int32_t first[VL], second[VL];
    FC_ROLLED
    for (int l = 0; l < VL; l++) {
        first[l] = scatter ? l / 2 + (int32_t)(l + left) % 2 * VL : shift == 2 ? 2 * l : (l + VL / 2) % VL;
        second[l] = scatter ? first[l] + VL / 2 : 2 * l + 1;
    }
    lanes->first = v_index(first), lanes->second = v_index(second);
}

/* Known not to change when y is written, and element by element, as they have been written before. */
FC_INLINE NAME(planes_lanes) NAME(planes_copy)(const int TAPS, const int SHIFT, const int PAIR, const NAME(planes_lanes) *const lanes) {
    NAME(planes_lanes) copy;
    FC_UNROLL(6)
    for (int t = 0; t < (TAPS + SHIFT - 1) / SHIFT * SHIFT; t++) copy.inside[t] = lanes->inside[t];
    FC_UNROLL(5)
    for (int t = 0; t < TAPS; t++)
        if (PAIR) copy.behind[t] = lanes->behind[t];
    copy.first = lanes->first, copy.second = lanes->second;
    copy.from[0] = lanes->from[0], copy.from[1] = lanes->from[1];
    return copy;
}

/* What taps t and, for SHIFT 2, t + 1 see of a row: the latter if it is one. PAIR: with that of another row, `other` elements behind. */
FC_INLINE void NAME(planes_load)(const int TAPS, const int SHIFT, const int PAIR, const int t, const real *const row, const ptrdiff_t spread,
                                 const ptrdiff_t other, const NAME(planes_lanes) *const lanes, vec value[2]) {
    const vec low = v_load_lanes(row + t * spread, lanes->inside[t]);
    value[0] = low;
    if (PAIR) value[0] = v_load_more(low, row + t * spread + other - VL / 2, lanes->behind[t]);
    if (SHIFT == 2) {
        const vec high = v_load_lanes(row + t * spread + VL, lanes->inside[t + 1]);
        value[0] = v_even(low, high, lanes->first);
        if (t + 1 < TAPS) value[1] = v_odd(low, high, lanes->second);
    }
}

#if !FC_PARTIAL_FREE
FC_PLANES_SMALL void NAME(planes_put_part)(real *const y, const vec v, const ptrdiff_t n) { v_store_n(y, v, n); }
#endif

/* FINISH: whether something is left to be done to the sums. */
FC_INLINE void NAME(planes_put)(const fc_depthwise_planes_args *const a, int finish, real *const y, vec v, const ptrdiff_t n) {
    FC_OPAQUE(finish); /* one loop, with a branch */
    if (finish) {
        if (a->accumulate) v = v_add(v, v_load_n(y, n));
        if (a->relu) v = v_max(v_zero(), v);
    }
#if FC_PARTIAL_FREE
    v_store_n(y, v, n);
#else
    if (__builtin_expect(n == VL, 1)) v_store(y, v);
    else NAME(planes_put_part)(y, v, n);
#endif
}

/* The walks of n columns of some planes; x of the arguments is what the first tap of the first row and column sees, y the latter. */
typedef void (*NAME(planes_walk))(const fc_depthwise_planes_args *a, const NAME(planes_lanes) * lanes, ptrdiff_t n);

/* Element `at` of the weights or biases of a plane; PAIR: and of the next plane. */
FC_INLINE vec NAME(planes_weight)(const int PAIR, const real *const w, const ptrdiff_t at, const ptrdiff_t plane) {
    return PAIR ? v_select(v_first(VL / 2), v_set1(w[at]), v_set1(w[at + plane])) : v_set1(w[at]);
}

FC_INLINE void NAME(planes_weights)(const int TAPS, const int PAIR, const fc_depthwise_planes_args *const a, const ptrdiff_t p, vec weight[5][5]) {
    const real *w = (const real *)a->w + p * a->w_plane;
    FC_UNROLL(5)
    for (int r = 0; r < TAPS; r++, w += a->w_row) {
        FC_UNROLL(5)
        for (int t = 0; t < TAPS; t++) weight[r][t] = NAME(planes_weight)(PAIR, w, t * a->w_tap, a->w_plane);
    }
}

/* PAIR: of two planes in the halves of a vector. */
FC_INLINE void NAME(planes_gather)(const int TAPS, const int SHIFT, const int PAIR, const fc_depthwise_planes_args *const a,
                                   const NAME(planes_lanes) *const given, const ptrdiff_t n) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const NAME(planes_lanes) copy = NAME(planes_copy)(TAPS, SHIFT, PAIR, given), *const lanes = &copy;
    const ptrdiff_t begin = given->begin, end = given->end;
    const ptrdiff_t steps = a->rows + LIVE - 1, x_step = a->spread_h * a->width, spread = a->spread_w, y_step = a->y_step;
    const ptrdiff_t x_ahead = a->x_ahead, y_ahead = a->y_ahead;
    const int finish = a->relu || a->accumulate;
    for (ptrdiff_t p = 0; p < a->planes; p += 1 + PAIR) {
        const real *const x = (const real *)a->x + p * a->x_plane;
        real *y = (real *)a->y + p * a->y_plane;
        vec sum[5], weight[5][5];
        NAME(planes_weights)(TAPS, PAIR, a, p, weight);
        const vec bias = a->bias ? NAME(planes_weight)(PAIR, a->bias, p * a->w_plane, a->w_plane) : v_zero();
        FC_UNROLL(5)
        for (int d = 0; d < LIVE; d++) sum[d] = bias;
        ptrdiff_t q = 0;
        for (ptrdiff_t i = 0; i < steps; i++) {
            FC_UNROLL(5)
            for (int d = LIVE - 1; d > 0; d--) sum[d] = sum[d - 1];
            sum[0] = bias;
            FC_UNROLL(2)
            for (int u = 0; u < SHIFT; u++, q++) {
                if (q < begin || q >= end) continue;
                const real *const row = x + q * x_step;
                __builtin_prefetch(row + x_ahead, 0, 3);
                FC_UNROLL(5)
                for (int t = 0; t < TAPS; t += SHIFT) {
                    vec value[2];
                    NAME(planes_load)(TAPS, SHIFT, PAIR, t, row, spread, a->x_plane, lanes, value);
                    FC_UNROLL(2)
                    for (int s = 0; s < SHIFT; s++) {
                        if (t + s >= TAPS) continue;
                        v_keep(value[s]);
                        FC_UNROLL(5)
                        for (int d = 0; d < LIVE; d++)
                            if (u + d * SHIFT < TAPS) sum[d] = v_fma(value[s], weight[u + d * SHIFT][t + s], sum[d]);
                    }
                }
            }
            ptrdiff_t complete = i - (LIVE - 1);
            FC_OPAQUE(complete); /* one loop */
            if (complete < 0) continue;
            __builtin_prefetch(y + y_ahead, 1, 3);
            NAME(planes_put)(a, finish, y, sum[LIVE - 1], n);
            if (PAIR) NAME(planes_put)(a, finish, y + a->y_plane, v_permute(sum[LIVE - 1], lanes->first), n);
            y += y_step;
        }
    }
}

/* At most 2 * VL columns of y. Rows of y are 2 * k + r - top: those of two r are complete with each row k of x. */
FC_INLINE void NAME(planes_scatter)(const int TAPS, const fc_depthwise_planes_args *const a, const NAME(planes_lanes) *const given,
                                    const ptrdiff_t n) {
    const NAME(planes_lanes) copy = NAME(planes_copy)(TAPS, 1, 0, given), *const lanes = &copy;
    const ptrdiff_t most = (a->top + a->rows - 1) / 2, reach = a->top - (TAPS - 1), n_low = n < VL ? n : VL, width = a->width;
    for (ptrdiff_t p = 0; p < a->planes; p++) {
        const real *const x = (const real *)a->x + p * a->x_plane, *const from[2] = {x + lanes->from[0], x + lanes->from[1]};
        real *const y = (real *)a->y + p * a->y_plane;
        vec sum[5 + 1][2], weight[5][5];
        NAME(planes_weights)(TAPS, 0, a, p, weight);
        FC_UNROLL(6)
        for (int r = 0; r < TAPS; r++) sum[r][0] = sum[r][1] = v_zero();
        FC_ROLLED
        for (ptrdiff_t k = reach > 0 ? (reach + 1) / 2 : 0; k <= most; k++) {
            if (k < a->h) {
                __builtin_prefetch(from[0] + k * width + a->x_ahead, 0, 3);
                FC_UNROLL(5)
                for (int t = 0; t < TAPS; t++) {
                    vec value = v_load_lanes(from[t % 2] + k * width - t / 2, lanes->inside[t]);
                    v_keep(value);
                    FC_UNROLL(5)
                    for (int r = 0; r < TAPS; r++) sum[r][t % 2] = v_fma(value, weight[r][t], sum[r][t % 2]);
                }
            }
            FC_UNROLL(2)
            for (int e = 0; e < 2; e++) {
                const ptrdiff_t i = 2 * k + e - a->top;
                if (i < 0 || i >= a->rows) continue;
                real *const to = y + i * a->y_step;
                __builtin_prefetch(to + a->y_ahead, 1, 3);
                __builtin_prefetch(to + a->y_ahead + VL, 1, 3);
                NAME(planes_put)(a, a->accumulate, to, v_permute2(sum[e][0], sum[e][1], lanes->first), n_low);
                if (n > VL) NAME(planes_put)(a, a->accumulate, to + VL, v_permute2(sum[e][0], sum[e][1], lanes->second), n - VL);
            }
            FC_UNROLL(5)
            for (int r = 0; r < TAPS; r++) {
                sum[r][0] = r + 2 < TAPS ? sum[r + 2][0] : v_zero();
                sum[r][1] = r + 2 < TAPS ? sum[r + 2][1] : v_zero();
            }
        }
    }
}

#define FC_PLANES_GATHER(name, taps, shift, pair)                                                                                                 \
    static __attribute__((noinline)) void NAME(planes_##name)(const fc_depthwise_planes_args *a, const NAME(planes_lanes) * lanes, ptrdiff_t n) { \
        NAME(planes_gather)(taps, shift, pair, a, lanes, n);                                                                                      \
    }
#define FC_PLANES_SCATTER(taps)                                                                                                 \
    static void NAME(planes_scatter_##taps)(const fc_depthwise_planes_args *a, const NAME(planes_lanes) * lanes, ptrdiff_t n) { \
        NAME(planes_scatter)(taps, a, lanes, n);                                                                                \
    }
FC_PLANES_GATHER(3_1, 3, 1, 0)
FC_PLANES_GATHER(3_2, 3, 2, 0)
FC_PLANES_SCATTER(3)
#if FC_PLANES_TAPS == 5
FC_PLANES_GATHER(5_1, 5, 1, 0)
FC_PLANES_GATHER(5_2, 5, 2, 0)
FC_PLANES_SCATTER(5)
#endif
#if FC_PLANES_PAIRS
FC_PLANES_GATHER(pair, 3, 1, 1)
#endif
#undef FC_PLANES_GATHER
#undef FC_PLANES_SCATTER

/* Whether two planes fit into a vector. */
FC_INLINE int NAME(planes_pairs)(const ptrdiff_t taps, const ptrdiff_t stride, const ptrdiff_t columns) {
    return FC_PLANES_PAIRS && taps == 3 && stride == 1 && 2 * columns <= VL;
}

/* How many of some planes of so many elements, read and written, are walked down before the walks beside: all if there are none, else as
 * many as stay in the first-level cache. */
FC_INLINE ptrdiff_t NAME(planes_batch)(const int pairs, const ptrdiff_t planes, const int single, const ptrdiff_t elements) {
    if (single) return pairs && planes > 1 ? planes / 2 * 2 : planes;
    return NAME(planes_clamp)((16 << 10) / (ptrdiff_t)sizeof(real) / elements, 1, planes);
}

FC_PLANES_SMALL void NAME(planes_convolve)(const fc_depthwise_planes_args *const args) {
    const fc_depthwise_planes_args *const a = args;
    assert(a->planes >= 0 && a->rows > 0 && a->out_width > 0 && a->h > 0 && a->width > 0 && a->spread_h > 0);
    assert((a->stride == 1 || a->spread_w == 1) && (!a->scatter || (a->top >= 0 && a->left >= 0)));
    static const NAME(planes_walk) walks[][3] = {
        {NAME(planes_3_1), NAME(planes_3_2), NAME(planes_scatter_3)},
#if FC_PLANES_TAPS == 5
        {NAME(planes_5_1), NAME(planes_5_2), NAME(planes_scatter_5)},
#endif
    };
    const NAME(planes_walk) walk = walks[a->taps == 5][a->scatter ? 2 : a->stride - 1];
    const ptrdiff_t vectors = a->scatter ? 2 * VL : VL;
    const int overlaps = a->out_width >= vectors && !a->accumulate && !(a->scatter && a->out_width % 2);
    const int pairs = !a->scatter && NAME(planes_pairs)(a->taps, a->stride, a->out_width);
    NAME(planes_lanes) lanes;
    NAME(planes_order)(a->scatter, a->stride, a->left, &lanes);
    NAME(planes_rows)(a->top, a->spread_h, a->h, &lanes);
    const ptrdiff_t elements = a->h * a->width + a->rows * a->out_width;
    fc_depthwise_planes_args of = *args;
    for (ptrdiff_t p = 0, batch; p < a->planes; p += batch) {
        batch = NAME(planes_batch)(pairs, a->planes - p, a->out_width <= vectors, elements);
        for (ptrdiff_t k = 0; k < a->out_width; k += vectors) {
            /* The last vector ends where the row does: some columns are computed twice. */
            const ptrdiff_t end = a->out_width - vectors, c = k > end && overlaps ? end : k, n = c > end ? a->out_width - c : vectors;
            const ptrdiff_t column = a->scatter ? 0 : a->top * a->width + a->left + c * a->stride;
            of.planes = batch;
            of.x = (const real *)a->x + p * a->x_plane + column;
            of.y = (real *)a->y + p * a->y_plane + c;
            of.w = (const real *)a->w + p * a->w_plane;
            if (a->bias) of.bias = (const real *)a->bias + p * a->w_plane;
            NAME(planes_mask)(a->scatter, a->taps, a->stride, a->left + c * a->stride, a->spread_w, a->width, n, &lanes);
            if (pairs && batch > 1) NAME(planes_pair)(&of, &lanes, n);
            else walk(&of, &lanes, n);
        }
    }
}

#include "depthwise_planes_wgrad_body.h"

FC_PLANES_SMALL void NAME(planes_lane_sums)(const void *vectors, ptrdiff_t n, void *out, ptrdiff_t ld) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)out)[i * ld] = v_sum(v_load((const real *)vectors + i * VL));
}

#define FC_PLANES_KERNELS                                                                                                         \
    {.taps = FC_PLANES_TAPS, .convolve = NAME(planes_convolve), .wgrad = NAME(planes_wgrad), .lane_sums = NAME(planes_lane_sums)}

#undef FC_PLANES_PAIRS
#undef FC_PLANES_SMALL
#undef planes_pair
#else
#define FC_PLANES_KERNELS {0}
#endif
