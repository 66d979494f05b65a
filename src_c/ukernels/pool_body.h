/* Pooling, forward and backward: see fc_pool_args and fc_unpool_args in ukernels_pool.h for what is computed.
 *
 * Vectors run along the channels. Where the channels are not a multiple of the vector, the last vector overlaps the one before
 * it: those results are computed and written twice, equal both times. Fewer channels than a vector take partial loads. */

/* Calls STEP(c, n) for vectors of n channels from c on that together cover `channels`. */
#ifndef FC_FOR_VECTORS
#define FC_FOR_VECTORS(channels, STEP)                                                                                 \
    do {                                                                                                               \
        if ((channels) < VL) {                                                                                         \
            STEP(0, (channels));                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
        ptrdiff_t c_ = 0;                                                                                              \
        for (; c_ + VL <= (channels); c_ += VL) STEP(c_, VL);                                                          \
        if (c_ < (channels)) STEP((channels)-VL, VL);                                                                  \
    } while (0)
#define FC_POOL_TAPS 9
#endif

FC_INLINE void NAME(store_index)(uint8_t *const p, const vec v, const ptrdiff_t n) {
    if (n == VL) {
        v_store_u8(p, v);
    } else {
        uint8_t lane[VL];
        v_store_u8(lane, v);
        for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
    }
}

FC_INLINE vmask NAME(match_index)(const uint8_t *const p, const uint8_t position, const ptrdiff_t n) {
    if (n == VL) return v_match_u8(p, position);
    uint8_t lane[VL] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return v_match_u8(lane, position);
}

/* TAPS is the number of taps if that is known at compile time, else 0. */
FC_INLINE void NAME(maximum_windows)(const int TAPS, const int INDEX, const fc_pool_args *const a) {
    const ptrdiff_t taps = TAPS ? TAPS : a->taps, channels = a->channels;
    const real *tap[FC_POOL_TAPS];
    vec position[FC_POOL_TAPS];
    FC_UNROLL(9)
    for (int t = 0; t < TAPS; t++) {
        tap[t] = a->tap[t];
        position[t] = INDEX ? v_set1((real)a->position[t]) : v_zero();
    }
    for (ptrdiff_t i = 0; i < a->windows; i++) {
        const ptrdiff_t in = i * a->step, out = i * channels;
#define FC_STEP(c, n)                                                                                                  \
    do {                                                                                                               \
        const real *const first = TAPS ? tap[0] : (const real *)a->tap[0];                                             \
        vec best = NAME(load_channels)(first + in + (c), n);                                                           \
        vec where = !INDEX ? v_zero() : TAPS ? position[0] : v_set1((real)a->position[0]);                             \
        FC_UNROLL(9)                                                                                                   \
        for (ptrdiff_t t = 1; t < taps; t++) {                                                                         \
            const vec x = NAME(load_channels)((TAPS ? tap[t] : (const real *)a->tap[t]) + in + (c), n);                \
            const vmask wins = v_beats(x, best);                                                                       \
            best = v_select(wins, x, best);                                                                            \
            if (INDEX) where = v_select(wins, TAPS ? position[t] : v_set1((real)a->position[t]), where);               \
        }                                                                                                              \
        NAME(store_channels)((real *)a->y + out + (c), best, n);                                                       \
        if (INDEX) NAME(store_index)(a->index + out + (c), where, n);                                                  \
    } while (0)
        FC_FOR_VECTORS(channels, FC_STEP);
#undef FC_STEP
    }
}

FC_INLINE void NAME(mean_windows)(const int TAPS, const fc_pool_args *const a) {
    const ptrdiff_t taps = TAPS ? TAPS : a->taps, channels = a->channels;
    const vec count = v_set1((real)taps);
    const real *const *const tap = (const real *const *)a->tap;
    real *const y = a->y;
    for (ptrdiff_t i = 0; i < a->windows; i++) {
        const ptrdiff_t in = i * a->step, out = i * channels;
#define FC_STEP(c, n)                                                                                                  \
    do {                                                                                                               \
        vec sum = NAME(load_channels)(tap[0] + in + (c), n);                                                           \
        FC_UNROLL(9)                                                                                                   \
        for (ptrdiff_t t = 1; t < taps; t++) sum = v_add(sum, NAME(load_channels)(tap[t] + in + (c), n));              \
        NAME(store_channels)(y + out + (c), v_div(sum, count), n);                                                     \
    } while (0)
        FC_FOR_VECTORS(channels, FC_STEP);
#undef FC_STEP
    }
}

FC_INLINE void NAME(maximum_backward_elements)(const int WINDOWS, const fc_unpool_args *const a) {
    const ptrdiff_t windows = WINDOWS >= 0 ? WINDOWS : a->windows, channels = a->channels;
    const real *const *const dy = (const real *const *)a->dy;
    real *const dx = a->dx;
    for (ptrdiff_t i = 0; i < a->elements; i++) {
        const ptrdiff_t in = i * channels, out = i * a->step;
#define FC_STEP(c, n)                                                                                                  \
    do {                                                                                                               \
        vec sum = v_zero();                                                                                            \
        FC_UNROLL(4)                                                                                                   \
        for (ptrdiff_t t = 0; t < windows; t++) {                                                                      \
            const vmask won = NAME(match_index)(a->index[t] + in + (c), a->position[t], n);                            \
            const vec sent = v_select(won, NAME(load_channels)(dy[t] + in + (c), n), v_zero());                        \
            sum = t ? v_add(sum, sent) : sent;                                                                         \
        }                                                                                                              \
        NAME(store_channels)(dx + out + (c), sum, n);                                                                  \
    } while (0)
        FC_FOR_VECTORS(channels, FC_STEP);
#undef FC_STEP
    }
}

FC_INLINE void NAME(mean_backward_elements)(const int WINDOWS, const fc_unpool_args *const a) {
    const ptrdiff_t windows = WINDOWS ? WINDOWS : a->windows, channels = a->channels;
    const real *const *const dy = (const real *const *)a->dy;
    real *const dx = a->dx;
    for (ptrdiff_t i = 0; i < a->elements; i++) {
        const ptrdiff_t in = i * channels, out = i * a->step;
#define FC_STEP(c, n)                                                                                                  \
    do {                                                                                                               \
        vec sum = v_zero();                                                                                            \
        FC_UNROLL(4)                                                                                                   \
        for (ptrdiff_t t = 0; t < windows; t++)                                                                        \
            sum = v_fma(NAME(load_channels)(dy[t] + in + (c), n), v_set1((real)a->scale[t]), sum);                     \
        NAME(store_channels)(dx + out + (c), sum, n);                                                                  \
    } while (0)
        FC_FOR_VECTORS(channels, FC_STEP);
#undef FC_STEP
    }
}

/* Windows of 2x2 and 3x3, and what remains of 3x3 at a border, have kernels of their own. */
#define FC_POOL_MAXIMUM(name, INDEX)                                                                                   \
    static void NAME(name)(const fc_pool_args *const a) {                                                              \
        assert(a->taps > 0 && a->channels > 0);                                                                        \
        switch (a->taps) {                                                                                             \
        case 4: NAME(maximum_windows)(4, INDEX, a); break;                                                             \
        case 6: NAME(maximum_windows)(6, INDEX, a); break;                                                             \
        case 9: NAME(maximum_windows)(9, INDEX, a); break;                                                             \
        default: NAME(maximum_windows)(0, INDEX, a);                                                                   \
        }                                                                                                              \
    }
FC_POOL_MAXIMUM(pool_maximum, 0)
FC_POOL_MAXIMUM(pool_maximum_index, 1)
#undef FC_POOL_MAXIMUM

static void NAME(pool_mean)(const fc_pool_args *const a) {
    assert(a->taps > 0 && a->channels > 0);
    switch (a->taps) {
    case 4: NAME(mean_windows)(4, a); break;
    case 9: NAME(mean_windows)(9, a); break;
    default: NAME(mean_windows)(0, a);
    }
}

static void NAME(pool_maximum_backward)(const fc_unpool_args *const a) {
    assert(a->windows >= 0 && a->channels > 0);
    switch (a->windows) {
    case 1: NAME(maximum_backward_elements)(1, a); break;
    case 2: NAME(maximum_backward_elements)(2, a); break;
    case 4: NAME(maximum_backward_elements)(4, a); break;
    default: NAME(maximum_backward_elements)(-1, a);
    }
}

static void NAME(pool_mean_backward)(const fc_unpool_args *const a) {
    assert(a->windows >= 0 && a->channels > 0);
    switch (a->windows) {
    case 1: NAME(mean_backward_elements)(1, a); break;
    case 2: NAME(mean_backward_elements)(2, a); break;
    case 4: NAME(mean_backward_elements)(4, a); break;
    default: NAME(mean_backward_elements)(0, a);
    }
}

FC_INLINE void NAME(copy_columns_step)(const ptrdiff_t from_step, const ptrdiff_t to_step, const real *restrict const from,
                                       real *restrict const to, const ptrdiff_t columns) {
    for (ptrdiff_t i = 0; i < columns; i++) to[i * to_step] = from[i * from_step];
}

static void NAME(pool_copy_columns)(const void *from_, ptrdiff_t from_step, void *to_, ptrdiff_t to_step, ptrdiff_t columns,
                                    ptrdiff_t channels) {
    const real *const from = from_;
    real *const to = to_;
    if (channels == 1 && from_step == 2 && to_step == 1) {
        NAME(copy_columns_step)(2, 1, from, to, columns);
    } else if (channels == 1) {
        NAME(copy_columns_step)(from_step, to_step, from, to, columns);
    } else {
        for (ptrdiff_t i = 0; i < columns; i++) {
#define FC_STEP(c, n) NAME(store_channels)(to + i * to_step + (c), NAME(load_channels)(from + i * from_step + (c), n), n)
            FC_FOR_VECTORS(channels, FC_STEP);
#undef FC_STEP
        }
    }
}

static void NAME(pool_interleave)(const void *even_, const void *odd_, void *to_, ptrdiff_t n) {
    const real *restrict const even = even_, *restrict const odd = odd_;
    real *restrict const to = to_;
    for (ptrdiff_t i = 0; i < n; i++) {
        to[2 * i] = even[i];
        to[2 * i + 1] = odd[i];
    }
}

#define FC_POOL_KERNELS                                                                                                \
    {.maximum = NAME(pool_maximum),                                                                                    \
     .maximum_index = NAME(pool_maximum_index),                                                                        \
     .mean = NAME(pool_mean),                                                                                          \
     .maximum_backward = NAME(pool_maximum_backward),                                                                  \
     .mean_backward = NAME(pool_mean_backward),                                                                        \
     .copy_columns = NAME(pool_copy_columns),                                                                          \
     .interleave = NAME(pool_interleave),                                                                              \
     .lanes = VL}
