/* The gradient of max-pooling where windows overlap, or leave a rest: see fc_pool_steps_args in ukernels_pool.h for what is computed. A walk
 * along the steps holds the gradients of the windows that the elements at hand may belong to. Vectors of channels as in pool_body.h. */

FC_INLINE void NAME(pool_walk)(const int TAPS, const int STRIDE, const fc_pool_steps_args *const a, const ptrdiff_t c) {
    const int LIVE = (TAPS - 1) / STRIDE + 1, LINE = 64 / (int)sizeof(real);
    const ptrdiff_t channels = a->channels, n = FC_PARTIAL_FREE && channels < VL ? channels : VL, width = a->width;
    const ptrdiff_t dy_column = a->dy_column, inside = a->dy_width - dy_column, steps = a->steps;
    const real *dy[3];
    const uint8_t *index[3];
    real *dx[2];
    vec gradient[3][3];
    FC_UNROLL(2)
    for (int u = 0; u < STRIDE; u++) dx[u] = (real *)a->dx[u] + c - a->column * channels;
    FC_UNROLL(3)
    for (int d = 0; d < LIVE; d++) {
        dy[d] = (const real *)a->dy[d] + c + dy_column * channels;
        index[d] = a->index[d] + c + dy_column * channels;
        FC_UNROLL(3)
        for (int e = 0; e < LIVE - 1; e++)
            gradient[d][e] = e < dy_column && -1 - e < inside ? NAME(load_free)(dy[d] - (1 + e) * channels, n) : v_zero();
    }
    ptrdiff_t at = 0;
    FC_ROLLED
    for (ptrdiff_t k = 0; k < steps; k++, at += channels) {
        FC_UNROLL(3)
        for (int d = 0; d < LIVE; d++) {
            FC_UNROLL(3)
            for (int e = LIVE - 1; e > 0; e--) gradient[d][e] = gradient[d][e - 1];
            gradient[d][0] = v_zero();
        }
        ptrdiff_t left = inside - k;
        FC_OPAQUE(left); /* one loop */
        if (left > 0) {
            FC_UNROLL(3)
            for (int d = 0; d < LIVE; d++) gradient[d][0] = NAME(load_free)(dy[d] + at, n);
        }
        FC_UNROLL(2)
        for (int v = 0; v < STRIDE; v++) {
            if (STRIDE > 1 && (size_t)(STRIDE * k + v - a->column) >= (size_t)width) continue;
            FC_UNROLL(2)
            for (int u = 0; u < STRIDE; u++) {
                real *const out = dx[u] + STRIDE * at + v * channels;
                vec sum = v_zero();
                FC_UNROLL(3)
                for (int d = 0; d < LIVE; d++) {
                    FC_UNROLL(3)
                    for (int e = 0; e < LIVE; e++) {
                        const int row = u + d * STRIDE, column = v + e * STRIDE;
                        if (row >= TAPS || column >= TAPS) continue;
                        const vmask won = v_match_u8(index[d] + at - e * channels, row * TAPS + column);
                        sum = v_select(won, v_add(sum, gradient[d][e]), sum);
                    }
                }
                __builtin_prefetch(out + LINE, 1, 3);
                NAME(store_free)(out, sum, n);
            }
        }
    }
}

#if !FC_RARE
#define FC_POOL_STEPS NULL
#else
#define FC_POOL_STEPS NAME(pool_steps)
#define FC_POOL_WALK(taps, stride)                                                                                               \
    static __attribute__((noinline)) void NAME(pool_walk_##taps##stride)(const fc_pool_steps_args *const a, const ptrdiff_t c) { \
        NAME(pool_walk)(taps, stride, a, c);                                                                                     \
    }
FC_POOL_WALK(2, 2)
FC_POOL_WALK(3, 1)
FC_POOL_WALK(3, 2)
#undef FC_POOL_WALK

static void NAME(pool_steps)(const fc_pool_steps_args *const a) {
    const ptrdiff_t channels = a->channels;
    assert(a->taps >= a->stride && a->steps > 0 && (channels >= VL || FC_PARTIAL_FREE));
    for (ptrdiff_t at = 0; at < channels; at += VL) {
        const ptrdiff_t c = at + VL <= channels || at == 0 ? at : channels - VL;
        if (a->taps == 2) NAME(pool_walk_22)(a, c);
        else if (a->stride == 2) NAME(pool_walk_32)(a, c);
        else NAME(pool_walk_31)(a, c);
    }
}
#endif
