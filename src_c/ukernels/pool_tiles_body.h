/* Max-pooling where windows cover the image without overlap, and its gradient: see fc_pool_tiles_args in ukernels_pool.h. With few
 * channels a vector of windows is made from, or becomes, pool_w vectors of a row of the image by permutation. There whole vectors
 * reach into the row that follows, which is read anyway or written afterwards; none follows the last. */

FC_INLINE void NAME(maximum_tiles_lanes)(const int INDEX, const fc_pool_tiles_args *const a) {
    const ptrdiff_t channels = a->channels, n = a->windows * channels, row = 2 * n;
    const ptrdiff_t in_end = a->rows * a->pool_h * row, out_end = a->rows * n;
    vindex source[2];
    for (ptrdiff_t k = 0; k < 2; k++) {
        int32_t lane[VL];
        for (ptrdiff_t l = 0; l < VL; l++) lane[l] = (int32_t)((l / channels * 2 + k) * channels + l % channels);
        source[k] = v_index(lane);
    }
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t at = 0; at < n; at += VL) {
            const ptrdiff_t out = r * n + at, left = out_end - out < VL ? out_end - out : VL;
            vec best = v_zero(), where = v_zero();
            for (ptrdiff_t i = 0; i < a->pool_h; i++) {
                const ptrdiff_t in = (r * a->pool_h + i) * row + 2 * at, rest = in_end - in;
                const real *const x = (const real *)a->x + in;
                NAME(fetch)(x + 2 * a->pool_h * row, 2 * VL); /* two rows of windows ahead */
                const vec low = NAME(load_channels)(x, rest < VL ? rest : VL);
                const vec high = rest >= 2 * VL ? v_load(x + VL) : v_load_n(x + VL, rest < VL ? 0 : rest - VL);
                FC_UNROLL(2)
                for (ptrdiff_t k = 0; k < 2; k++) {
                    const vec value = v_permute2(low, high, source[k]);
                    if (i == 0 && k == 0) {
                        best = value;
                        continue;
                    }
                    const vmask wins = v_beats(value, best);
                    best = v_select(wins, value, best);
                    if (INDEX) where = v_select(wins, v_set1((real)(2 * i + k)), where);
                }
            }
            NAME(put_channels)((real *)a->y + out, best, left, a->stream);
            if (INDEX) NAME(store_index)(a->index + out, where, left);
        }
}

static void NAME(maximum_tiles)(const fc_pool_tiles_args *const args) {
    const fc_pool_tiles_args copy = *args, *const a = &copy;
    assert(a->pool_w == 2 && VL % (2 * a->channels) == 0);
    if (a->index) NAME(maximum_tiles_lanes)(1, a);
    else NAME(maximum_tiles_lanes)(0, a);
}

/* Vectors of a line of the cache. */
#define FC_LINE_VECTORS (FC_ALIGN / (VL * (ptrdiff_t)sizeof(real)))

/* NV vectors of channels of row i of a window with the gradient dy; dx is where they begin. A line is written whole: those that go
 * past the caches wait in few buffers. */
FC_INLINE void NAME(unpool_tile)(const int POOL, const int NV, const fc_pool_tiles_args *const a, const real *const dy, const uint8_t *const index,
                                 real *const dx, const ptrdiff_t i) {
    const ptrdiff_t pool_w = POOL ? POOL : a->pool_w;
    FC_UNROLL(2)
    for (ptrdiff_t k = 0; k < pool_w; k++) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const vmask won = NAME(match_index)(index + v * VL, (uint8_t)(i * pool_w + k), VL);
            NAME(put_channels)(dx + k * a->channels + v * VL, v_select(won, v_load(dy + v * VL), v_zero()), VL, a->stream);
        }
    }
}

/* Vectors along the channels, one row of the image after the other: dy stays in the first-level cache. */
FC_INLINE void NAME(unpool_tiles_channels)(const int POOL, const fc_pool_tiles_args *const a) {
    const ptrdiff_t channels = a->channels, pool_w = POOL ? POOL : a->pool_w;
    real *dx = a->x;
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t i = 0; i < a->pool_h; i++, dx += a->x_row - a->windows * pool_w * channels) {
            const real *dy = (const real *)a->y + r * a->windows * channels;
            const uint8_t *index = a->index + r * a->windows * channels;
            for (ptrdiff_t j = 0; j < a->windows; j++, dy += channels, index += channels, dx += pool_w * channels) {
                ptrdiff_t c = 0;
                for (; c + FC_LINE_VECTORS * VL <= channels; c += FC_LINE_VECTORS * VL)
                    NAME(unpool_tile)(POOL, FC_LINE_VECTORS, a, dy + c, index + c, dx + c, i);
                for (; c < channels; c += VL) {
                    const ptrdiff_t at = c + VL <= channels ? c : channels - VL;
                    NAME(unpool_tile)(POOL, 1, a, dy + at, index + at, dx + at, i);
                }
            }
        }
}

/* Few channels. WIDTH is pool_w if that is known at compile time, else 0. */
FC_INLINE void NAME(unpool_tiles_lanes)(const int WIDTH, const fc_pool_tiles_args *const a) {
    const ptrdiff_t channels = a->channels, pool_w = WIDTH ? WIDTH : a->pool_w, n = a->windows * channels, row = n * pool_w;
    vindex source[VL];
    vec position[VL];
    for (ptrdiff_t k = 0; k < pool_w; k++) {
        int32_t lane[VL];
        real tap[VL];
        for (ptrdiff_t l = 0; l < VL; l++) {
            const ptrdiff_t at = k * VL + l;
            lane[l] = (int32_t)(at / (pool_w * channels) * channels + at % channels);
            tap[l] = (real)(at / channels % pool_w);
        }
        source[k] = v_index(lane);
        position[k] = v_load(tap);
    }
    const ptrdiff_t end = a->rows * n, out_end = a->rows * a->pool_h * row;
    /* The end of a row comes first where it reaches into the row that follows, which then overwrites that. */
    const ptrdiff_t last = (n - 1) / VL * VL, first = row % VL ? last : 0, second = row % VL ? 0 : VL;
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t at = first, next = second; next <= last + second; at = next, next += VL) {
            const ptrdiff_t in = r * n + at, left = end - in < VL ? end - in : VL;
            const uint8_t *index = a->index + in;
            uint8_t few[VL] = {0};
            if (left < VL) {
                for (ptrdiff_t l = 0; l < left; l++) few[l] = index[l];
                index = few;
            }
            const vec gradient = NAME(load_channels)((const real *)a->y + in, left), winner = v_load_u8(index);
            FC_UNROLL(2)
            for (ptrdiff_t k = pool_w - 1; k >= 0; k--) {
                if (at * pool_w + k * VL >= row) continue;
                const vec wins = v_permute(winner, source[k]), spread = v_permute(gradient, source[k]);
                vec here = position[k];
                ptrdiff_t to = r * a->pool_h * row + at * pool_w + k * VL;
                for (ptrdiff_t i = 0; i < a->pool_h; i++, to += row, here = v_add(here, v_set1((real)pool_w)))
                    NAME(put_channels)((real *)a->x + to, v_select(v_eq(wins, here), spread, v_zero()), out_end - to < VL ? out_end - to : VL,
                                       a->stream);
            }
        }
}

/* Any number of channels fewer than lanes: as many windows as fit are one vector of each row. What is too much of one is written again by the
 * next; the last of a row is not whole. */
static void NAME(unpool_tiles_few)(const fc_pool_tiles_args *const a) {
    const ptrdiff_t channels = a->channels, pool_w = a->pool_w, width = pool_w * channels, n = a->windows * channels;
    const ptrdiff_t step = VL / width * channels, end = a->rows * n, x_row = a->x_row;
    int32_t lane[VL];
    real tap[VL];
    for (ptrdiff_t l = 0; l < VL; l++) {
        lane[l] = (int32_t)(l / width * channels + l % channels) % VL;
        tap[l] = (real)(l / channels % pool_w);
    }
    const vindex source = v_index(lane);
    const vec first = v_load(tap), next = v_set1((real)pool_w);
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t at = 0; at < n; at += step) {
            const ptrdiff_t in = r * n + at, left = end - in, rest = (n - at) * pool_w;
            real *dx = (real *)a->x + r * a->pool_h * x_row + at * pool_w;
            const uint8_t *index = a->index + in;
            uint8_t few[VL] = {0};
            if (left < VL) index = memcpy(few, index, (size_t)left);
            const vec gradient = v_permute(NAME(load_channels)((const real *)a->y + in, left < VL ? left : VL), source);
            const vec winner = v_permute(v_load_u8(index), source);
            vec position = first;
            for (ptrdiff_t i = 0; i < a->pool_h; i++, dx += x_row, position = v_add(position, next))
                NAME(store_channels)(dx, v_select(v_eq(winner, position), gradient, v_zero()), rest < VL ? rest : VL);
        }
}

static void NAME(unpool_tiles)(const fc_pool_tiles_args *const args) {
    const fc_pool_tiles_args copy = *args, *const a = &copy;
    const ptrdiff_t width = a->pool_w * a->channels, few = a->channels < VL;
    assert(a->x_row >= a->windows * width && (!few || width <= VL));
    if (sizeof(real) == sizeof(float) && few && (VL % width || a->x_row > a->windows * width)) NAME(unpool_tiles_few)(a);
    else if (few && a->pool_w == 2) NAME(unpool_tiles_lanes)(2, a);
    else if (few) NAME(unpool_tiles_lanes)(0, a);
    else if (a->pool_h == 2 && a->pool_w == 2) NAME(unpool_tiles_channels)(2, a);
    else NAME(unpool_tiles_channels)(0, a);
}
