/* Pooling, forward and backward: see fc_pool_args and fc_unpool_args in ukernels_pool.h for what is computed.
 *
 * Vectors run along the channels. Where the channels are not a multiple of the vector, the last vector overlaps the one before
 * it: those results are computed and written twice, equal both times. Fewer channels than a vector take partial loads.
 * TAPS and WINDOWS are numbers known at compile time, or 0. */

/* Taps known at compile time, at most. */
#define FC_POOL_TAPS 9

FC_INLINE vmask NAME(match_index)(const uint8_t *const p, const uint8_t position, const ptrdiff_t n) {
    if (n == VL) return v_match_u8(p, position);
    uint8_t lane[VL] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return v_match_u8(lane, position);
}

/* Forward: n channels of the window whose taps are at offset `in`, to offset `out`. `tap` and `position` are those of the
 * arguments, in registers, if TAPS. */
FC_INLINE void NAME(maximum_vector)(const int TAPS, const int INDEX, const fc_pool_args *const a, const real *const *const tap,
                                    const vec *const position, const ptrdiff_t in, const ptrdiff_t out, const ptrdiff_t n) {
    const ptrdiff_t taps = TAPS ? TAPS : a->taps;
    vec best = NAME(load_channels)(tap[0] + in, n), where = v_zero();
    if (INDEX) where = TAPS ? position[0] : v_set1((real)a->position[0]);
    FC_UNROLL(9)
    for (ptrdiff_t t = 1; t < taps; t++) {
        const vec x = NAME(load_channels)(tap[t] + in, n);
        const vmask wins = v_beats(x, best);
        best = v_select(wins, x, best);
        if (INDEX) where = v_select(wins, TAPS ? position[t] : v_set1((real)a->position[t]), where);
    }
    NAME(put_channels)((real *)a->y + out, best, n, a->stream);
    if (INDEX) NAME(store_index)(a->index + out, where, n);
}

FC_INLINE void NAME(maximum_windows)(const int TAPS, const int INDEX, const fc_pool_args *const args) {
    const fc_pool_args copy = *args, *const a = &copy; /* known not to change when results are written */
    const ptrdiff_t channels = a->channels;
    const real *known[FC_POOL_TAPS];
    vec position[FC_POOL_TAPS];
    FC_UNROLL(9)
    for (int t = 0; t < TAPS; t++) {
        known[t] = a->tap[t];
        position[t] = INDEX ? v_set1((real)a->position[t]) : v_zero();
    }
    const real *const *const tap = TAPS ? known : (const real *const *)a->tap;
    const ptrdiff_t share = a->next_elements / a->windows / channels * VL; /* of what comes next, with every vector */
    const real *next = a->next;
    for (ptrdiff_t i = 0; i < a->windows; i++) {
        const ptrdiff_t in = i * a->step, out = i * a->out_step;
        for (ptrdiff_t c = 0; c < channels; c += VL, next += share) {
            const ptrdiff_t first = c + VL <= channels ? c : channels - VL;
            NAME(fetch)(next, share);
            NAME(maximum_vector)(TAPS, INDEX, a, tap, position, in + first, out + first, VL);
        }
    }
}

/* Sum of taps first .. end - 1. */
FC_INLINE vec NAME(sum_taps)(const real *const *const tap, const ptrdiff_t first, const ptrdiff_t end, const ptrdiff_t in, const ptrdiff_t n) {
    vec sum = NAME(load_channels)(tap[first] + in, n);
    FC_UNROLL(9)
    for (ptrdiff_t t = first + 1; t < end; t++) sum = v_add(sum, NAME(load_channels)(tap[t] + in, n));
    return sum;
}

/* Sums of sums of at most this many terms each: one running sum of a long window would lose digits. */
#define FC_MEAN_TERMS 64

static vec NAME(sum_many_taps)(const real *const *const tap, const ptrdiff_t taps, const ptrdiff_t in, const ptrdiff_t n) {
    const ptrdiff_t block = (ptrdiff_t)FC_MEAN_TERMS * FC_MEAN_TERMS;
    vec total = v_zero();
    for (ptrdiff_t b = 0; b < taps; b += block) {
        const ptrdiff_t end = taps - b < block ? taps : b + block;
        vec sum = v_zero();
        for (ptrdiff_t t = b; t < end; t += FC_MEAN_TERMS)
            sum = v_add(sum, NAME(sum_taps)(tap, t, end - t < FC_MEAN_TERMS ? end : t + FC_MEAN_TERMS, in, n));
        total = v_add(total, sum);
    }
    return total;
}

FC_INLINE void NAME(mean_vector)(const int TAPS, const fc_pool_args *const a, const ptrdiff_t in, const ptrdiff_t out, const ptrdiff_t n) {
    const ptrdiff_t taps = TAPS ? TAPS : a->taps;
    const real *const *const tap = (const real *const *)a->tap;
    const vec sum = taps > FC_MEAN_TERMS ? NAME(sum_many_taps)(tap, taps, in, n) : NAME(sum_taps)(tap, 0, taps, in, n);
    NAME(put_channels)((real *)a->y + out, v_div(sum, v_set1((real)taps)), n, a->stream);
}

FC_INLINE void NAME(mean_windows)(const int TAPS, const fc_pool_args *const args) {
    const fc_pool_args copy = *args, *const a = &copy;
    const ptrdiff_t channels = a->channels, share = a->next_elements / a->windows / channels * VL;
    const real *next = a->next;
    for (ptrdiff_t i = 0; i < a->windows; i++) {
        const ptrdiff_t in = i * a->step, out = i * a->out_step;
        for (ptrdiff_t c = 0; c < channels; c += VL, next += share) {
            const ptrdiff_t first = c + VL <= channels ? c : channels - VL;
            NAME(fetch)(next, share);
            NAME(mean_vector)(TAPS, a, in + first, out + first, VL);
        }
    }
}

/* Gradients and indices of windows, with their lists in registers if WINDOWS. */
typedef struct {
    const real *const *dy;
    const uint8_t *const *index;
    const uint8_t *position;
    const vec *scale;
} NAME(windows_t);

/* Backward: n channels of the element at offset `out`, whose windows are at offset `in`. */
FC_INLINE void NAME(unpool_vector)(const int WINDOWS, const int MAXIMUM, const fc_unpool_args *const a, const NAME(windows_t) *const list,
                                   const ptrdiff_t in, const ptrdiff_t out, const ptrdiff_t n) {
    vec sum = v_zero();
    FC_UNROLL(4)
    for (ptrdiff_t t = 0; t < WINDOWS; t++) {
        vec sent = NAME(load_channels)(list->dy[t] + in, n);
        if (MAXIMUM) sent = v_select(NAME(match_index)(list->index[t] + in, list->position[t], n), sent, v_zero());
        else sent = v_mul(sent, list->scale[t]);
        sum = t ? v_add(sum, sent) : sent;
    }
    NAME(put_channels)((real *)a->dx + out, sum, n, a->stream);
}

/* The same of any number of windows: NV vectors of n channels, for which windows are looked up together. */
FC_INLINE void NAME(unpool_vectors)(const int MAXIMUM, const int NV, const fc_unpool_args *const a, const ptrdiff_t in, const ptrdiff_t out,
                                    const ptrdiff_t n) {
    vec sum[4];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) sum[v] = v_zero();
    for (ptrdiff_t t = 0; t < a->windows; t++) {
        const real *const dy = (const real *)a->dy[t] + in;
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const vec gradient = NAME(load_channels)(dy + v * VL, n);
            if (MAXIMUM) sum[v] = v_select(NAME(match_index)(a->index[t] + in + v * VL, a->position[t], n), v_add(sum[v], gradient), sum[v]);
            else sum[v] = v_fma(gradient, v_set1((real)a->scale[t]), sum[v]);
        }
    }
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) NAME(put_channels)((real *)a->dx + out + v * VL, sum[v], n, a->stream);
}

/* Channels that are computed one by one: partial vectors would cost more. */
#define FC_UNPOOL_SINGLE 2

FC_INLINE void NAME(unpool_single)(const int MAXIMUM, const fc_unpool_args *const a, const ptrdiff_t in, const ptrdiff_t out) {
    real sum = 0;
    for (ptrdiff_t t = 0; t < a->windows; t++) {
        const real gradient = ((const real *)a->dy[t])[in];
        if (!MAXIMUM) sum += gradient * (real)a->scale[t];
        else if (a->index[t][in] == a->position[t]) sum += gradient;
    }
    ((real *)a->dx)[out] = sum;
}

FC_INLINE void NAME(unpool_element)(const int WINDOWS, const int MAXIMUM, const fc_unpool_args *const a, const NAME(windows_t) *const list,
                                    const ptrdiff_t in, const ptrdiff_t out) {
    const ptrdiff_t channels = a->channels, last = channels < VL ? channels : VL;
    ptrdiff_t c = 0;
    for (; !WINDOWS && c + 4 * VL <= channels; c += 4 * VL) NAME(unpool_vectors)(MAXIMUM, 4, a, in + c, out + c, VL);
    for (; c + VL <= channels; c += VL) {
        if (WINDOWS) NAME(unpool_vector)(WINDOWS, MAXIMUM, a, list, in + c, out + c, VL);
        else NAME(unpool_vectors)(MAXIMUM, 1, a, in + c, out + c, VL);
    }
    if (c == channels) return;
    c = channels - last;
    if (WINDOWS && last == VL) NAME(unpool_vector)(WINDOWS, MAXIMUM, a, list, in + c, out + c, VL);
    else NAME(unpool_vectors)(MAXIMUM, 1, a, in + c, out + c, last);
}

FC_INLINE void NAME(unpool_elements)(const int WINDOWS, const int MAXIMUM, const fc_unpool_args *const args) {
    const fc_unpool_args copy = *args, *const a = &copy; /* known not to change when dx is written */
    const ptrdiff_t channels = a->channels;
    const real *dy[4];
    const uint8_t *index[4];
    uint8_t position[4];
    vec scale[4];
    FC_UNROLL(4)
    for (int t = 0; t < WINDOWS; t++) {
        dy[t] = a->dy[t];
        if (MAXIMUM) index[t] = a->index[t], position[t] = a->position[t];
        else scale[t] = v_set1((real)a->scale[t]);
    }
    const NAME(windows_t) list = {dy, index, position, scale};
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t i = 0; i < a->elements; i++) {
            const ptrdiff_t in = r * a->dy_row + i * a->dy_step, out = r * a->row_step + i * a->step;
            if (channels > FC_UNPOOL_SINGLE) NAME(unpool_element)(WINDOWS, MAXIMUM, a, &list, in, out);
            else
                for (ptrdiff_t c = 0; c < channels; c++) NAME(unpool_single)(MAXIMUM, a, in + c, out + c);
        }
}

/* Windows of 2x2 and 3x3, and what remains of 3x3 at a border, have kernels of their own. */
#define FC_POOL_MAXIMUM(name, INDEX)                                                                                             \
    static void NAME(name)(const fc_pool_args *const a) {                                                                        \
        assert(a->taps > 0 && a->channels > 0);                                                                                  \
        switch (a->channels < VL ? 0 : a->taps) {                                                                                \
        case 0:                                                                                                                  \
            for (ptrdiff_t i = 0; i < a->windows; i++)                                                                           \
                NAME(maximum_vector)(0, INDEX, a, (const real *const *)a->tap, NULL, i * a->step, i * a->out_step, a->channels); \
            break;                                                                                                               \
        case 4:                                                                                                                  \
            NAME(maximum_windows)(4, INDEX, a);                                                                                  \
            break;                                                                                                               \
        case 6:                                                                                                                  \
            NAME(maximum_windows)(6, INDEX, a);                                                                                  \
            break;                                                                                                               \
        case 9:                                                                                                                  \
            NAME(maximum_windows)(9, INDEX, a);                                                                                  \
            break;                                                                                                               \
        default:                                                                                                                 \
            NAME(maximum_windows)(0, INDEX, a);                                                                                  \
        }                                                                                                                        \
    }
FC_POOL_MAXIMUM(pool_maximum, 0)
FC_POOL_MAXIMUM(pool_maximum_index, 1)
#undef FC_POOL_MAXIMUM

static void NAME(pool_mean)(const fc_pool_args *const a) {
    assert(a->taps > 0 && a->channels > 0);
    switch (a->channels < VL ? 0 : a->taps) {
    case 0:
        for (ptrdiff_t i = 0; i < a->windows; i++) NAME(mean_vector)(0, a, i * a->step, i * a->out_step, a->channels);
        break;
    case 4:
        NAME(mean_windows)(4, a);
        break;
    case 9:
        NAME(mean_windows)(9, a);
        break;
    default:
        NAME(mean_windows)(0, a);
    }
}

/* An element of a 2x2 pool is covered by one window, of a 3x3 pool with stride 2 by up to four. float64 is for checks, and the library is to be
 * small. */
static void NAME(pool_maximum_backward)(const fc_unpool_args *const a) {
    assert(a->windows >= 0 && a->channels > 0);
    switch (sizeof(real) == sizeof(float) ? a->windows : 0) {
    case 1:
        NAME(unpool_elements)(1, 1, a);
        break;
    case 2:
        NAME(unpool_elements)(2, 1, a);
        break;
    case 4:
        NAME(unpool_elements)(4, 1, a);
        break;
    default:
        NAME(unpool_elements)(0, 1, a);
    }
}

static void NAME(pool_mean_backward)(const fc_unpool_args *const a) {
    assert(a->windows >= 0 && a->channels > 0);
    if (a->windows == 1 && sizeof(real) == sizeof(float)) NAME(unpool_elements)(1, 0, a);
    else NAME(unpool_elements)(0, 0, a);
}

/* CHANNELS is the number of channels if that is known at compile time, else 0. */
FC_INLINE void NAME(copy_few)(const int CHANNELS, const ptrdiff_t from_step, const ptrdiff_t to_step, const real *restrict const from,
                              real *restrict const to, const ptrdiff_t columns) {
    for (ptrdiff_t i = 0; i < columns; i++)
        for (int c = 0; c < CHANNELS; c++) to[i * to_step + c] = from[i * from_step + c];
}

static void NAME(pool_copy_columns)(const fc_columns *const columns, const void *from_, void *to_) {
    const fc_columns copy = *columns, *const a = &copy;
    const real *from = from_;
    real *to = to_;
    for (ptrdiff_t r = 0; r < a->rows; r++, from += a->from_row, to += a->to_row) {
        switch (a->channels) {
        case 1:
            if (a->from_step == 2 && a->to_step == 1) NAME(copy_few)(1, 2, 1, from, to, a->columns);
            else NAME(copy_few)(1, a->from_step, a->to_step, from, to, a->columns);
            break;
        case 2:
            NAME(copy_few)(2, a->from_step, a->to_step, from, to, a->columns);
            break;
        case 3:
            NAME(copy_few)(3, a->from_step, a->to_step, from, to, a->columns);
            break;
        case 4:
            NAME(copy_few)(4, a->from_step, a->to_step, from, to, a->columns);
            break;
        default:
            for (ptrdiff_t i = 0; i < a->columns; i++) {
                if (a->channels <= VL) v_store_n(to + i * a->to_step, v_load_n(from + i * a->from_step, a->channels), a->channels);
                else memcpy(to + i * a->to_step, from + i * a->from_step, (size_t)a->channels * sizeof(real));
            }
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

static void NAME(pool_stream)(const void *from_, void *to_, ptrdiff_t n) {
    const real *const from = from_;
    real *const to = to_;
    for (ptrdiff_t i = 0; i < n; i += VL) v_stream(to + i, v_load(from + i));
}

#undef FC_POOL_TAPS
#undef FC_MEAN_TERMS
#undef FC_UNPOOL_SINGLE
static void NAME(pool_scatter)(const fc_pool_scatter_args *const args) {
    const fc_pool_scatter_args copy = *args, *const a = &copy; /* known not to change when dx is written */
    const real *dy = a->dy;
    const uint8_t *index = a->index;
    real *dx = a->dx;
    ptrdiff_t corner = a->corner;
    for (ptrdiff_t j = 0; j < a->windows; j++, dy += a->out_step, index += a->out_step, corner += a->step) {
        FC_UNROLL(4)
        for (ptrdiff_t c = 0; c < a->channels; c++) {
            const ptrdiff_t offset = a->offset[index[c]];
            if (offset != FC_NOWHERE) dx[corner + offset + c] += dy[c];
        }
    }
}

#define FC_POOL_KERNELS                                  \
    {.maximum = NAME(pool_maximum),                      \
     .maximum_index = NAME(pool_maximum_index),          \
     .mean = NAME(pool_mean),                            \
     .maximum_backward = NAME(pool_maximum_backward),    \
     .mean_backward = NAME(pool_mean_backward),          \
     .maximum_tiles = NAME(maximum_tiles),               \
     .maximum_backward_tiles = NAME(unpool_tiles),       \
     .scatter = NAME(pool_scatter),                      \
     .maximum_backward_steps = FC_POOL_STEPS,            \
     .copy_columns = NAME(pool_copy_columns),            \
     .interleave = NAME(pool_interleave),                \
     .stream = NAME(pool_stream),                        \
     .window_maximum = NAME(window_maximum),             \
     .window_mean = NAME(window_mean),                   \
     .window_mean_backward = NAME(window_mean_backward), \
     .window_scatter = NAME(window_scatter),             \
     .planes = FC_PLANE_KERNELS,                         \
     .lanes = VL}
