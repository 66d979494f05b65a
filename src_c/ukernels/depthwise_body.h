/* Depthwise convolution, forward and weight gradient: see fc_depthwise_args and fc_depthwise_wgrad_args in ukernels.h for what is
 * computed. Vectors run along the channels.
 *
 * SHIFT says how far neighbouring pixels are apart, in taps: with 1 or 2 the columns of x that they share are loaded once. With
 * SHIFT 0 nothing is known. Every sum has the same order of terms whichever tile computes it. */

/* PX pixels from pixel i on, 0 < n <= VL channels from channel c on. */
FC_INLINE void NAME(depthwise_tile)(const int PX, const int TAPS, const int SHIFT, const fc_depthwise_args *const a,
                                    const ptrdiff_t i, const ptrdiff_t c, const ptrdiff_t n) {
    const ptrdiff_t tap_step = a->tap_step, x_step = a->x_step, ldw = a->ldw;
    vec acc[4];
    const vec bias = a->bias ? NAME(load_channels)((const real *)a->bias + c, n) : v_zero();
    FC_UNROLL(4)
    for (int p = 0; p < PX; p++) acc[p] = bias;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        const real *const x = (const real *)a->x[r] + i * x_step + c, *const w = (const real *)a->w[r] + c;
        if (SHIFT) {
            vec weight[5];
            FC_UNROLL(5)
            for (int t = 0; t < TAPS; t++) weight[t] = NAME(load_channels)(w + t * ldw, n);
            FC_UNROLL(11)
            for (int q = 0; q < (PX - 1) * SHIFT + TAPS; q++) {
                const vec column = NAME(load_channels)(x + q * tap_step, n);
                FC_UNROLL(4)
                for (int p = 0; p < PX; p++)
                    if (q >= p * SHIFT && q < p * SHIFT + TAPS) acc[p] = v_fma(column, weight[q - p * SHIFT], acc[p]);
            }
        } else {
            for (ptrdiff_t t = 0; t < a->taps; t++) {
                const vec weight = NAME(load_channels)(w + t * ldw, n);
                FC_UNROLL(4)
                for (int p = 0; p < PX; p++)
                    acc[p] = v_fma(NAME(load_channels)(x + p * x_step + t * tap_step, n), weight, acc[p]);
            }
        }
    }
    if (a->relu) {
        FC_UNROLL(4)
        for (int p = 0; p < PX; p++) acc[p] = v_max(v_zero(), acc[p]);
    }
    FC_UNROLL(4)
    for (int p = 0; p < PX; p++) NAME(store_channels)((real *)a->y + (i + p) * a->y_step + c, acc[p], n);
}

FC_INLINE void NAME(depthwise_channels)(const int PX, const int TAPS, const int SHIFT, const fc_depthwise_args *const a,
                                        const ptrdiff_t i) {
    const ptrdiff_t channels = a->channels;
    ptrdiff_t c = 0;
    for (; c + VL <= channels; c += VL) NAME(depthwise_tile)(PX, TAPS, SHIFT, a, i, c, VL);
    if (c < channels && channels >= VL) NAME(depthwise_tile)(PX, TAPS, SHIFT, a, i, channels - VL, VL);
    else if (c < channels) NAME(depthwise_tile)(PX, 0, 0, a, i, 0, channels);
}

FC_INLINE void NAME(depthwise_pixels)(const int TAPS, const int SHIFT, const fc_depthwise_args *const a) {
    ptrdiff_t i = 0;
    for (; i + 4 <= a->pixels; i += 4) NAME(depthwise_channels)(4, TAPS, SHIFT, a, i);
    switch (a->pixels - i) {
    case 3: NAME(depthwise_channels)(3, TAPS, SHIFT, a, i); break;
    case 2: NAME(depthwise_channels)(2, TAPS, SHIFT, a, i); break;
    case 1: NAME(depthwise_channels)(1, TAPS, SHIFT, a, i); break;
    default: break;
    }
}

static void NAME(depthwise)(const fc_depthwise_args *const a) {
    assert(a->rows >= 0 && a->taps >= 0 && a->pixels > 0 && a->channels > 0);
    const int shift = a->pixels == 1 || a->x_step == a->tap_step ? 1 : a->x_step == 2 * a->tap_step ? 2 : 0;
    switch (shift * 8 + a->taps) {
    case 8 + 1: NAME(depthwise_pixels)(1, 1, a); break;
    case 8 + 2: NAME(depthwise_pixels)(2, 1, a); break;
    case 8 + 3: NAME(depthwise_pixels)(3, 1, a); break;
    case 8 + 5: NAME(depthwise_pixels)(5, 1, a); break;
    case 16 + 3: NAME(depthwise_pixels)(3, 2, a); break;
    case 16 + 5: NAME(depthwise_pixels)(5, 2, a); break;
    default: NAME(depthwise_pixels)(0, 0, a);
    }
}

/* Adds the products of PX pixels to ROWS x TAPS sums, and dy to *bias if that is asked for. */
FC_INLINE void NAME(depthwise_wgrad_tile)(const int PX, const int ROWS, const int TAPS, const int SHIFT, const int BIAS,
                                          const fc_depthwise_wgrad_args *const a, const real *const x, const real *const dy,
                                          vec acc[3][5], vec *const bias, const ptrdiff_t n) {
    vec grad[4];
    FC_UNROLL(4)
    for (int p = 0; p < PX; p++) grad[p] = NAME(load_channels)(dy + p * a->dy_step, n);
    if (BIAS) {
        FC_UNROLL(4)
        for (int p = 0; p < PX; p++) *bias = v_add(*bias, grad[p]);
    }
    FC_UNROLL(3)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(11)
        for (int q = 0; q < (PX - 1) * SHIFT + TAPS; q++) {
            const vec column = NAME(load_channels)(x + r * a->row_step + q * a->tap_step, n);
            FC_UNROLL(4)
            for (int p = 0; p < PX; p++)
                if (q >= p * SHIFT && q < p * SHIFT + TAPS)
                    acc[r][q - p * SHIFT] = v_fma(column, grad[p], acc[r][q - p * SHIFT]);
        }
    }
}

/* ROWS kernel rows from `row` on, TAPS taps from `tap` on, 0 < n <= VL channels from channel c on. */
FC_INLINE void NAME(depthwise_wgrad_block)(const int ROWS, const int TAPS, const int SHIFT, const int BIAS,
                                           const fc_depthwise_wgrad_args *const a, const ptrdiff_t row, const ptrdiff_t tap,
                                           const ptrdiff_t c, const ptrdiff_t n) {
    real *const out = (real *)a->acc + (row * a->taps + tap) * a->ldw + c;
    vec acc[3][5], bias = v_zero();
    FC_UNROLL(3)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(5)
        for (int t = 0; t < TAPS; t++) acc[r][t] = NAME(load_channels)(out + (r * a->taps + t) * a->ldw, n);
    }
    if (BIAS) bias = NAME(load_channels)((real *)a->bias + c, n);
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const real *x = (const real *)a->x + l * a->x_line + row * a->row_step + tap * a->tap_step + c;
        const real *dy = (const real *)a->dy + l * a->dy_line + c;
        ptrdiff_t i = 0;
        if (SHIFT)
            for (; i + 4 <= a->pixels; i += 4, x += 4 * a->x_step, dy += 4 * a->dy_step)
                NAME(depthwise_wgrad_tile)(4, ROWS, TAPS, SHIFT, BIAS, a, x, dy, acc, &bias, n);
        for (; i < a->pixels; i++, x += a->x_step, dy += a->dy_step)
            NAME(depthwise_wgrad_tile)(1, ROWS, TAPS, 1, BIAS, a, x, dy, acc, &bias, n);
    }
    FC_UNROLL(3)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(5)
        for (int t = 0; t < TAPS; t++) NAME(store_channels)(out + (r * a->taps + t) * a->ldw, acc[r][t], n);
    }
    if (BIAS) NAME(store_channels)((real *)a->bias + c, bias, n);
}

/* Kernel rows in blocks of at most ROWS, all of TAPS taps. */
FC_INLINE void NAME(depthwise_wgrad_rows)(const int ROWS, const int TAPS, const int SHIFT, const fc_depthwise_wgrad_args *const a,
                                          const ptrdiff_t c) {
    ptrdiff_t r = 0;
    for (; r + ROWS <= a->rows; r += ROWS) {
        if (r == 0 && a->bias) NAME(depthwise_wgrad_block)(ROWS, TAPS, SHIFT, 1, a, r, 0, c, VL);
        else NAME(depthwise_wgrad_block)(ROWS, TAPS, SHIFT, 0, a, r, 0, c, VL);
    }
    for (; r < a->rows; r++) {
        if (r == 0 && a->bias) NAME(depthwise_wgrad_block)(1, TAPS, SHIFT, 1, a, r, 0, c, VL);
        else NAME(depthwise_wgrad_block)(1, TAPS, SHIFT, 0, a, r, 0, c, VL);
    }
}

/* Any number of taps, n <= VL channels. */
static void NAME(depthwise_wgrad_any)(const fc_depthwise_wgrad_args *const a, const ptrdiff_t c, const ptrdiff_t n) {
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        ptrdiff_t t = 0;
        if (r == 0 && a->bias) NAME(depthwise_wgrad_block)(1, 1, 0, 1, a, r, t++, c, n);
        for (; t + 4 <= a->taps; t += 4) NAME(depthwise_wgrad_block)(1, 4, 0, 0, a, r, t, c, n);
        for (; t < a->taps; t++) NAME(depthwise_wgrad_block)(1, 1, 0, 0, a, r, t, c, n);
    }
}

static void NAME(depthwise_wgrad)(const fc_depthwise_wgrad_args *const a) {
    assert(a->rows > 0 && a->taps > 0 && a->pixels > 0 && a->channels > 0);
    const int shift = a->x_step == a->tap_step ? 1 : a->x_step == 2 * a->tap_step ? 2 : 0;
    ptrdiff_t c = 0;
    for (; c + VL <= a->channels; c += VL) {
        switch (shift * 8 + a->taps) {
        case 8 + 3: NAME(depthwise_wgrad_rows)(3, 3, 1, a, c); break;
        case 8 + 5: NAME(depthwise_wgrad_rows)(2, 5, 1, a, c); break;
        case 16 + 3: NAME(depthwise_wgrad_rows)(3, 3, 2, a, c); break;
        case 16 + 5: NAME(depthwise_wgrad_rows)(2, 5, 2, a, c); break;
        default: NAME(depthwise_wgrad_any)(a, c, VL);
        }
    }
    if (c < a->channels) NAME(depthwise_wgrad_any)(a, c, a->channels - c);
}

/* to[i * times + m] = from[i], i < n, m < times */
static void NAME(depthwise_repeat)(const void *from_, void *to_, const ptrdiff_t n, const ptrdiff_t times) {
    const real *const from = from_;
    real *to = to_;
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t m = 0; m < times; m++) *to++ = from[i];
}

/* to[i] = sum over m < times of from[i * times + m], i < n */
static void NAME(depthwise_fold)(const void *from_, void *to_, const ptrdiff_t n, const ptrdiff_t times) {
    const real *from = from_;
    real *const to = to_;
    for (ptrdiff_t i = 0; i < n; i++) {
        real sum = 0;
        for (ptrdiff_t m = 0; m < times; m++) sum += *from++;
        to[i] = sum;
    }
}

#define FC_DEPTHWISE_KERNELS                                                                                           \
    {.convolve = NAME(depthwise), .wgrad = NAME(depthwise_wgrad), .repeat = NAME(depthwise_repeat), .fold = NAME(depthwise_fold)}
