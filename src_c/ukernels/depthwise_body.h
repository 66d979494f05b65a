/* Depthwise convolution where there is no walk for it (see depthwise_walk_body.h): tiles of pixels. Vectors run along the channels as
 * there, and SHIFT is the same: with 1 the columns of x that neighbouring pixels share are loaded once for TAPS taps, 2 if that is all or
 * 3 at a time. With SHIFT 0 nothing is known.
 * Every sum has the same order of terms whichever tile computes it: row by row. */

/* PX pixels from pixel i on, all of whose taps are columns of x; 0 < n <= VL channels from channel c on. */
FC_INLINE void NAME(depthwise_tile)(const int PX, const int TAPS, const int SHIFT, const fc_depthwise_args *const a, const ptrdiff_t i,
                                    const ptrdiff_t c, const ptrdiff_t n) {
    const ptrdiff_t spread = a->spread * a->x_step, advance = a->advance * a->x_step, ldw = a->ldw;
    const ptrdiff_t from = a->column * a->x_step + i * advance + c;
    vec acc[8];
    const vec bias = a->bias ? NAME(load_channels)((const real *)a->bias + c, n) : v_zero();
    FC_UNROLL(8)
    for (int p = 0; p < PX; p++) acc[p] = bias;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        const real *x = (const real *)a->x[r] + from, *w = (const real *)a->w[r] + c;
        ptrdiff_t tap = 0;
        if (SHIFT) {
            do {
                vec weight[3];
                FC_UNROLL(3)
                for (int t = 0; t < TAPS; t++) weight[t] = NAME(load_channels)(w + t * ldw, n);
                FC_UNROLL(10)
                for (int q = 0; q < (PX - 1) * SHIFT + TAPS; q++, x += spread) {
                    vec column = NAME(load_channels)(x, n);
                    v_keep(column);
                    FC_UNROLL(8)
                    for (int p = 0; p < PX; p++)
                        if (q >= p * SHIFT && q < p * SHIFT + TAPS) acc[p] = v_fma(column, weight[q - p * SHIFT], acc[p]);
                }
                tap += TAPS, x -= (PX - 1) * advance, w += TAPS * ldw;
            } while (TAPS == 3 && tap + TAPS <= a->taps);
        }
        if (TAPS == 2) continue;
        for (; tap < a->taps; tap++, x += spread, w += ldw) {
            const vec weight = NAME(load_channels)(w, n);
            FC_UNROLL(8)
            for (int p = 0; p < PX; p++) acc[p] = v_fma(NAME(load_channels)(x + p * advance, n), weight, acc[p]);
        }
    }
    if (a->relu) {
        FC_UNROLL(8)
        for (int p = 0; p < PX; p++) acc[p] = v_max(v_zero(), acc[p]);
    }
    real *y = (real *)a->y + i * a->y_step + c;
    FC_UNROLL(8)
    for (int p = 0; p < PX; p++, y += a->y_step) NAME(put_channels)(y, acc[p], n, a->stream);
}

/* NV vectors of channels of one pixel, taps first .. end - 1 of it: independent sums, where neighbouring pixels have none to offer. */
FC_INLINE void NAME(depthwise_pixel)(const int NV, const fc_depthwise_args *const a, const ptrdiff_t i, const ptrdiff_t first, const ptrdiff_t end,
                                     const ptrdiff_t c, const ptrdiff_t n) {
    const ptrdiff_t spread = a->spread * a->x_step, ldw = a->ldw;
    const ptrdiff_t from = (a->column + i * a->advance) * a->x_step + first * spread + c;
    vec acc[4];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) acc[v] = a->bias ? NAME(load_channels)((const real *)a->bias + c + v * VL, n) : v_zero();
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        const real *x = (const real *)a->x[r] + from, *w = (const real *)a->w[r] + first * ldw + c;
        for (ptrdiff_t t = first; t < end; t++, x += spread, w += ldw) {
            FC_UNROLL(4)
            for (int v = 0; v < NV; v++) acc[v] = v_fma(NAME(load_channels)(x + v * VL, n), NAME(load_channels)(w + v * VL, n), acc[v]);
        }
    }
    real *const y = (real *)a->y + i * a->y_step + c;
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        if (a->relu) acc[v] = v_max(v_zero(), acc[v]);
        NAME(put_channels)(y + v * VL, acc[v], n, a->stream);
    }
}

/* The channel where the vector that begins at c does, or would if there were more. */
FC_INLINE ptrdiff_t NAME(vector_start)(const ptrdiff_t c, const ptrdiff_t channels) { return c + VL <= channels ? c : channels - VL; }

/* A pixel, some of whose taps may be no columns of x. */
static void NAME(depthwise_single)(const fc_depthwise_args *const a, const ptrdiff_t i) {
    const ptrdiff_t start = a->column + i * a->advance;
    ptrdiff_t c = 0, first = 0, end = a->taps;
    while (first < end && start + first * a->spread < 0) first++;
    while (end > first && start + (end - 1) * a->spread >= a->width) end--;
    if (a->channels < VL) {
        NAME(depthwise_pixel)(1, a, i, first, end, 0, a->channels);
        return;
    }
    for (; c + 4 * VL <= a->channels; c += 4 * VL) NAME(depthwise_pixel)(4, a, i, first, end, c, VL);
    if (c + 2 * VL <= a->channels) NAME(depthwise_pixel)(2, a, i, first, end, c, VL), c += 2 * VL;
    for (; c < a->channels; c += VL) NAME(depthwise_pixel)(1, a, i, first, end, NAME(vector_start)(c, a->channels), VL);
}

FC_INLINE void NAME(depthwise_channels)(const int PX, const int TAPS, const int SHIFT, const fc_depthwise_args *const a, const ptrdiff_t i) {
    /* This tile's share of what comes next, a bit with every vector. */
    const ptrdiff_t channels = a->channels, per_pixel = a->next_elements / a->pixels, share = per_pixel * PX / channels * VL;
    const real *next = (const real *)a->next + per_pixel * i;
    for (ptrdiff_t c = 0; c < channels; c += VL, next += share) {
        NAME(fetch)(next, share);
        NAME(depthwise_tile)(PX, TAPS, SHIFT, a, i, NAME(vector_start)(c, channels), VL);
    }
}

/* Pixels i .. end - 1, at least 4, some of them twice. */
FC_INLINE void NAME(depthwise_pixels)(const int TAPS, const int SHIFT, const fc_depthwise_args *const a, ptrdiff_t i, const ptrdiff_t end) {
    for (; i + 8 <= end; i += 8) NAME(depthwise_channels)(8, TAPS, SHIFT, a, i);
    for (; i < end; i += 4) NAME(depthwise_channels)(4, TAPS, SHIFT, a, i + 4 <= end ? i : end - 4);
}

/* Fewer channels than lanes, pixels without a gap: as many pixels as fit are one vector, with weights that are repeated. */
typedef struct {
    real weight[FC_FLAT_TAPS + 2][VL]; /* bias after them, and what the last one reaches into */
    ptrdiff_t count;
} NAME(flat_taps);

static void NAME(repeat_channels)(const real *const from, const ptrdiff_t channels, real *const to) {
    const vec v = from ? v_load_n(from, channels) : v_zero();
    for (ptrdiff_t k = 0; k < VL; k += channels) v_store(to + k, v);
}

/* A row of x for lines first .. end - 1 of two: the next kernel row of the former, for the latter that of line_rows rows before. */
FC_INLINE void NAME(flat_row)(const int first, const int end, const fc_depthwise_args *const a, const NAME(flat_taps) *const taps, const ptrdiff_t r,
                              const ptrdiff_t at, const ptrdiff_t step, vec acc[2][4]) {
    const real *x = (const real *)a->x[r] + at;
    const real(*weight)[VL] = taps->weight + r * a->taps;
    const ptrdiff_t before = a->line_rows * a->taps, spread = a->spread * a->channels;
    for (ptrdiff_t t = 0; t < a->taps; t++, x += spread, weight++) {
        FC_UNROLL(4)
        for (int v = 0; v < 4; v++) {
            vec value = v_load(x + v * step);
            v_keep(value);
            if (first == 0) acc[0][v] = v_fma(value, v_load(weight[0]), acc[0][v]);
            if (end == 2) acc[1][v] = v_fma(value, v_load(weight[-before]), acc[1][v]);
        }
    }
}

/* Four vectors, `step` elements apart, of LINES lines of `last` elements. What is written too much is written again. */
FC_INLINE void NAME(flat_vectors)(const int LINES, const fc_depthwise_args *const a, const NAME(flat_taps) *const taps, const ptrdiff_t at,
                                  const ptrdiff_t step, const ptrdiff_t last) {
    vec acc[2][4];
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        FC_UNROLL(4)
        for (int v = 0; v < 4; v++) acc[l][v] = v_load(taps->weight[taps->count]);
    }
    for (ptrdiff_t r = 0; r < a->rows + (LINES - 1) * a->line_rows; r++) {
        if (LINES == 1 || r < a->line_rows) {
            if (r < a->rows) NAME(flat_row)(0, 1, a, taps, r, at, step, acc);
        } else if (r < a->rows) NAME(flat_row)(0, 2, a, taps, r, at, step, acc);
        else NAME(flat_row)(1, 2, a, taps, r, at, step, acc);
    }
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        FC_UNROLL(4)
        for (int v = 0; v < 4; v++) {
            const ptrdiff_t left = last - at - v * step;
            real *const y = (real *)a->y + l * a->y_line + at + v * step;
            if (a->relu) acc[l][v] = v_max(v_zero(), acc[l][v]);
            if (left >= VL) v_store(y, acc[l][v]);
            else if (left > 0) v_store_n(y, acc[l][v], left);
        }
    }
}

static void NAME(depthwise_flat)(const fc_depthwise_args *const args) {
    const ptrdiff_t channels = args->channels, step = VL / channels * channels, last = args->pixels * channels;
    fc_depthwise_args copy = *args, *const a = &copy;
    NAME(flat_taps) taps;
    taps.count = 0;
    assert(channels < VL && a->rows * a->taps <= FC_FLAT_TAPS && a->x_step == channels && a->y_step == channels && a->column == 0 && a->advance == 1);
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t t = 0; t < a->taps; t++, taps.count++)
            NAME(repeat_channels)((const real *)a->w[r] + t * a->ldw, channels, taps.weight[taps.count]);
    NAME(repeat_channels)(a->bias, channels, taps.weight[taps.count]);
    /* float64 is for checks, and the library is to be small. */
    const int most = sizeof(real) == sizeof(double) ? 1 : 2;
    for (ptrdiff_t l = 0; l < args->lines; l += most, copy.x += most * copy.line_rows, copy.y = (real *)copy.y + most * copy.y_line)
        for (ptrdiff_t at = 0; at < last; at += 4 * step) {
            if (most == 2 && l + 1 < args->lines) NAME(flat_vectors)(2, a, &taps, at, step, last);
            else NAME(flat_vectors)(1, a, &taps, at, step, last);
        }
}

/* The pixels all of whose taps are columns of x: first .. end - 1, or none if they are few. */
static ptrdiff_t NAME(inner_pixels)(const fc_depthwise_args *const a, ptrdiff_t *const first_) {
    const ptrdiff_t last = (a->taps - 1) * a->spread;
    ptrdiff_t first = 0, end = a->taps ? a->pixels : 0;
    while (first < end && a->column + first * a->advance < 0) first++;
    while (end > first && a->column + (end - 1) * a->advance + last >= a->width) end--;
    if (end < first + 4) first = end = 0;
    *first_ = first;
    return end;
}

static void NAME(depthwise_line)(const fc_depthwise_args *const a) {
    ptrdiff_t first, i = 0;
    const ptrdiff_t end = NAME(inner_pixels)(a, &first);
    for (; i < first; i++) NAME(depthwise_single)(a, i);
    if (end == 0) {
    } else if (a->channels < VL) {
        const ptrdiff_t n = a->channels % VL; /* known to be no whole vector */
        for (i = first; i < end; i += 4) NAME(depthwise_tile)(4, 0, 0, a, i + 4 <= end ? i : end - 4, 0, n);
    } else switch (a->advance == a->spread ? a->taps : 0) {
        case 0:
        case 1:
            NAME(depthwise_pixels)(0, 0, a, first, end);
            break;
        case 2:
            NAME(depthwise_pixels)(2, 1, a, first, end);
            break;
        default:
            NAME(depthwise_pixels)(3, 1, a, first, end);
        }
    for (i = end; i < a->pixels; i++) NAME(depthwise_single)(a, i);
}

static void NAME(depthwise)(const fc_depthwise_args *const args) {
    assert(args->rows >= 0 && args->taps >= 0 && args->lines > 0 && args->pixels > 0 && args->channels > 0);
    if (args->few == FC_FEW_FLAT) {
        NAME(depthwise_flat)(args);
        return;
    }
    if (NAME(depthwise_walks)(args)) return;
    fc_depthwise_args copy = *args; /* known not to change when y is written */
    for (ptrdiff_t l = 0; l < args->lines; l++, copy.x += copy.line_rows, copy.y = (real *)copy.y + copy.y_line) NAME(depthwise_line)(&copy);
}

/* Elements of a pixel that a vector of the planes is made of, at most. */
static ptrdiff_t NAME(spread_span)(const fc_spread_args *const a) {
    const ptrdiff_t even = a->times & -a->times, late = a->times - (even < VL ? even : VL); /* where in a group a vector may begin */
    const ptrdiff_t groups = (late + VL - 1) / a->times + 1;
    return (groups < a->groups ? groups : a->groups) * a->planes;
}

/* By permuting the SOURCES vectors of a pixel that hold all that one vector of a plane needs: 1, 2 or 4. */
FC_INLINE void NAME(spread_lanes)(const int SOURCES, const fc_spread_args *const a, const real *const from, real *const to, const ptrdiff_t pixels) {
    const ptrdiff_t channels = a->groups * a->times, planes = a->planes, from_step = a->from_step, to_step = a->to_step;
    assert(planes <= SOURCES * VL);
    for (ptrdiff_t c = 0; c < channels; c += VL) {
        const ptrdiff_t first = c / a->times * planes, left = a->groups * planes - first;
        ptrdiff_t n[4], at = 0, m = c % a->times;
        int32_t element[VL];
        for (int l = 0; l < VL; l++) {
            element[l] = (int32_t)at;
            if (++m == a->times) m = 0, at += planes;
        }
        for (int s = 0; s < SOURCES; s++) n[s] = left < s * VL ? 0 : left < (s + 1) * VL ? left - s * VL : VL;
        vindex index[4 * VL], half[4 * VL];
        for (ptrdiff_t j = 0; j < planes; j++) {
            int32_t lane[VL], of[VL];
            for (int l = 0; l < VL; l++) {
                const int32_t e = element[l] + (int32_t)j;
                lane[l] = e % (2 * VL), of[l] = e < 2 * VL ? l : VL + l;
            }
            index[j] = v_index(lane);
            if (SOURCES > 2) half[j] = v_index(of);
        }
        for (ptrdiff_t p = 0; p < pixels; p++) {
            const real *const x = from + p * from_step + first;
            real *out = to + p * to_step + c;
            vec v[4];
            FC_UNROLL(4)
            for (int s = 0; s < SOURCES; s++) v[s] = s == 0 ? NAME(load_channels)(x, n[0]) : v_load_n(x + s * VL, n[s]);
            for (ptrdiff_t j = 0; j < planes; j++, out += a->plane) {
                vec lanes = SOURCES > 1 ? v_permute2(v[0], v[1], index[j]) : v_permute(v[0], index[j]);
                if (SOURCES > 2) lanes = v_permute2(lanes, v_permute2(v[2], v[3], index[j]), half[j]);
                v_store(out, lanes);
            }
        }
    }
}

/* Planes of groups that are not repeated: transposition. */
static void NAME(spread_transposed)(const fc_spread_args *const a, const real *from, real *to, const ptrdiff_t pixels) {
    for (ptrdiff_t p = 0; p < pixels; p++, from += a->from_step, to += a->to_step)
        NAME(transpose)(from, a->planes, to, a->plane, a->groups, a->planes);
}

FC_INLINE void NAME(spread_copies)(const fc_spread_args *const a, const real *from, real *to, const ptrdiff_t pixels) {
    const ptrdiff_t channels = a->groups;
    for (ptrdiff_t p = 0; p < pixels; p++, from += a->from_step, to += a->to_step) {
        if (channels < VL) v_store(to, v_load_n(from, channels));
        else
            for (ptrdiff_t c = 0; c < channels; c += VL) {
                const ptrdiff_t at = NAME(vector_start)(c, channels);
                v_store(to + at, v_load(from + at));
            }
    }
}

static void NAME(depthwise_spread)(const fc_spread_args *const args, const void *from, void *to, ptrdiff_t pixels) {
    const fc_spread_args copy = *args, *const a = &copy;
    assert(a->to_step % VL == 0 && a->to_step >= a->groups * a->times && a->plane >= 0);
    if (a->planes == 1 && a->times == 1) {
        NAME(spread_copies)(a, from, to, pixels);
        return;
    }
    const ptrdiff_t span = NAME(spread_span)(a);
    assert(a->times == 1 || span <= 4 * VL);
    /* float64 is for checks, and the library is to be small. */
    const int fits = sizeof(real) == sizeof(float) && VL >= 8;
    if (fits && span <= VL) NAME(spread_lanes)(1, a, from, to, pixels);
    else if (fits && span <= 2 * VL) NAME(spread_lanes)(2, a, from, to, pixels);
    else if (a->times == 1) NAME(spread_transposed)(a, from, to, pixels);
    else NAME(spread_lanes)(4, a, from, to, pixels);
}

#define FC_DEPTHWISE_KERNELS           \
    {.convolve = NAME(depthwise),      \
     .wgrad = NAME(depthwise_wgrad),   \
     .spread = NAME(depthwise_spread), \
     FC_GRADIENTS_KERNELS,             \
     .partial = FC_PARTIAL_FREE,       \
     FC_GROUPED_KERNELS}
