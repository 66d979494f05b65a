/* Depthwise convolution, forward and weight gradient: see fc_depthwise_args and fc_depthwise_wgrad_args in ukernels.h for what is
 * computed. Vectors run along the channels.
 *
 * SHIFT says how far neighbouring pixels are apart, in taps: with 1 or 2 the columns of x that they share are loaded once. With
 * SHIFT 0 nothing is known. Every sum has the same order of terms whichever tile computes it. */

/* PX pixels from pixel i on, of which `count` are stored; 0 < n <= VL channels from channel c on. Unless BORDER, all columns that
 * they read exist. */
FC_INLINE void NAME(depthwise_tile)(const int PX, const int TAPS, const int SHIFT, const int BORDER,
                                    const fc_depthwise_args *const a, const ptrdiff_t i, const ptrdiff_t count,
                                    const ptrdiff_t c, const ptrdiff_t n) {
    const ptrdiff_t spread = a->spread, advance = a->advance, columns = a->columns, channels = a->channels, ldw = a->ldw;
    const ptrdiff_t first = a->first_column + i * advance;
    vec acc[8];
    const vec bias = a->bias ? NAME(load_channels)((const real *)a->bias + c, n) : v_zero();
    FC_UNROLL(8)
    for (int p = 0; p < PX; p++) acc[p] = bias;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        const real *const x = (const real *)a->x[r] + c, *const w = (const real *)a->w[r] + c;
        if (SHIFT) {
            vec weight[5];
            FC_UNROLL(5)
            for (int t = 0; t < TAPS; t++) weight[t] = NAME(load_channels)(w + t * ldw, n);
            FC_UNROLL(19)
            for (int q = 0; q < (PX - 1) * SHIFT + TAPS; q++) {
                const ptrdiff_t at = first + q * spread;
                if (BORDER && (at < 0 || at >= columns)) continue;
                vec column = NAME(load_channels)(x + at * channels, n);
                v_keep(column);
                FC_UNROLL(8)
                for (int p = 0; p < PX; p++)
                    if (q >= p * SHIFT && q < p * SHIFT + TAPS) acc[p] = v_fma(column, weight[q - p * SHIFT], acc[p]);
            }
        } else {
            for (ptrdiff_t t = 0; t < a->taps; t++) {
                const vec weight = NAME(load_channels)(w + t * ldw, n);
                FC_UNROLL(8)
                for (int p = 0; p < PX; p++) {
                    const ptrdiff_t at = first + p * advance + t * spread;
                    if (BORDER && (at < 0 || at >= columns)) continue;
                    acc[p] = v_fma(NAME(load_channels)(x + at * channels, n), weight, acc[p]);
                }
            }
        }
    }
    if (a->relu) {
        FC_UNROLL(8)
        for (int p = 0; p < PX; p++) acc[p] = v_max(v_zero(), acc[p]);
    }
    real *const y = (real *)a->y + i * a->y_step + c;
    FC_UNROLL(8)
    for (int p = 0; p < PX; p++) {
        if (BORDER && p >= count) continue;
        NAME(put_channels)(y + p * a->y_step, acc[p], n, a->stream);
    }
}

FC_INLINE void NAME(depthwise_channels)(const int PX, const int TAPS, const int SHIFT, const int BORDER,
                                        const fc_depthwise_args *const a, const ptrdiff_t i, const ptrdiff_t count) {
    const ptrdiff_t channels = a->channels;
    /* This tile's share of what comes next, a bit with every vector. */
    const ptrdiff_t per_pixel = a->next_elements / a->pixels, share = per_pixel * count / channels * VL;
    const real *next = (const real *)a->next + per_pixel * i;
    ptrdiff_t c = 0;
    for (; c + VL <= channels; c += VL, next += share) {
        NAME(fetch)(next, share);
        NAME(depthwise_tile)(PX, TAPS, SHIFT, BORDER, a, i, count, c, VL);
    }
    if (c < channels && channels >= VL) NAME(depthwise_tile)(PX, TAPS, SHIFT, BORDER, a, i, count, channels - VL, VL);
    else if (c < channels) NAME(depthwise_tile)(PX, 0, 0, 1, a, i, count, 0, channels);
}

FC_INLINE void NAME(depthwise_pixels)(const int TAPS, const int SHIFT, const fc_depthwise_args *const a) {
    const ptrdiff_t advance = a->advance, reach = 7 * advance + (a->taps - 1) * a->spread;
    for (ptrdiff_t i = 0; i < a->pixels; i += 8) {
        const ptrdiff_t count = a->pixels - i, first = a->first_column + i * advance;
        if (count >= 8 && first >= 0 && first + reach < a->columns) NAME(depthwise_channels)(8, TAPS, SHIFT, 0, a, i, 8);
        else if (count > 4) NAME(depthwise_channels)(8, TAPS, SHIFT, 1, a, i, count < 8 ? count : 8);
        else NAME(depthwise_channels)(4, TAPS, SHIFT, 1, a, i, count);
    }
}

static void NAME(depthwise)(const fc_depthwise_args *const args) {
    const fc_depthwise_args copy = *args, *const a = &copy; /* known not to change when y is written */
    assert(a->rows >= 0 && a->taps >= 0 && a->pixels > 0 && a->channels > 0);
    const ptrdiff_t shift = a->advance == a->spread ? 1 : a->advance == 2 * a->spread ? 2 : 0;
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

/* Adds the products of pixels i .. i + PX - 1 of line l to ROWS x TAPS sums, and dy to *bias if that is asked for. x and dy are
 * those of the first tap and of the line. Unless BORDER, all columns that they read exist. */
FC_INLINE void NAME(depthwise_wgrad_tile)(const int PX, const int ROWS, const int TAPS, const int SHIFT, const int BORDER,
                                          const int BIAS, const fc_depthwise_wgrad_args *const a, const real *const x,
                                          const real *const dy, const int exists[3], const ptrdiff_t first, vec acc[3][5],
                                          vec *const bias, const ptrdiff_t n) {
    vec grad[4];
    FC_UNROLL(4)
    for (int p = 0; p < PX; p++) grad[p] = NAME(load_channels)(dy + p * a->dy_step, n);
    if (BIAS) {
        FC_UNROLL(4)
        for (int p = 0; p < PX; p++) *bias = v_add(*bias, grad[p]);
    }
    FC_UNROLL(3)
    for (int r = 0; r < ROWS; r++) {
        if (!exists[r]) continue;
        FC_UNROLL(11)
        for (int q = 0; q < (PX - 1) * SHIFT + TAPS; q++) {
            const ptrdiff_t at = first + q * a->spread;
            if (BORDER && (at < 0 || at >= a->columns)) continue;
            vec column = NAME(load_channels)(x + r * a->row_spread * a->x_line + at * a->x_step, n);
            v_keep(column);
            FC_UNROLL(4)
            for (int p = 0; p < PX; p++)
                if (q >= p * SHIFT && q < p * SHIFT + TAPS)
                    acc[r][q - p * SHIFT] = v_fma(column, grad[p], acc[r][q - p * SHIFT]);
        }
    }
}

/* What the band after this one reads of the same channels. */
FC_INLINE void NAME(depthwise_wgrad_fetch)(const fc_depthwise_wgrad_args *const a, const real *const x, const real *const dy,
                                           const int pixels) {
    for (int p = 0; p < pixels; p++) __builtin_prefetch(dy + p * a->dy_step + a->lines * a->dy_line, 0, 2);
    for (ptrdiff_t r = 0; r < a->row_advance; r++)
        for (ptrdiff_t q = 0; q < pixels * a->advance; q++)
            __builtin_prefetch(x + (a->lines * a->row_advance + r) * a->x_line + q * a->x_step, 0, 2);
}

/* ROWS kernel rows from `row` on, TAPS taps from `tap` on, 0 < n <= VL channels from channel c on. */
FC_INLINE void NAME(depthwise_wgrad_block)(const int ROWS, const int TAPS, const int SHIFT, const int BIAS,
                                           const fc_depthwise_wgrad_args *const a, const ptrdiff_t row, const ptrdiff_t tap,
                                           const ptrdiff_t c, const ptrdiff_t n) {
    real *const out = (real *)a->acc + (row * a->taps + tap) * a->ldw + c;
    const ptrdiff_t reach = 3 * a->advance + (TAPS - 1) * a->spread;
    vec acc[3][5], bias = v_zero();
    FC_UNROLL(3)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(5)
        for (int t = 0; t < TAPS; t++) acc[r][t] = NAME(load_channels)(out + (r * a->taps + t) * a->ldw, n);
    }
    if (BIAS) bias = NAME(load_channels)((real *)a->bias + c, n);
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const ptrdiff_t first_row = a->first_row + l * a->row_advance + row * a->row_spread;
        const real *const x = (const real *)a->x + first_row * a->x_line + c;
        const real *dy = (const real *)a->dy + l * a->dy_line + c;
        int exists[3], any = BIAS;
        FC_UNROLL(3)
        for (int r = 0; r < ROWS; r++) {
            exists[r] = first_row + r * a->row_spread >= 0 && first_row + r * a->row_spread < a->rows_of_x;
            any |= exists[r];
        }
        if (!any) continue;
        ptrdiff_t i = 0, first = a->first_column + tap * a->spread;
        if (SHIFT)
            for (; i + 4 <= a->pixels; i += 4, first += 4 * a->advance, dy += 4 * a->dy_step) {
                if (BIAS && a->fetch) NAME(depthwise_wgrad_fetch)(a, x + first * a->x_step, dy, 4);
                if (first >= 0 && first + reach < a->columns)
                    NAME(depthwise_wgrad_tile)(4, ROWS, TAPS, SHIFT, 0, BIAS, a, x, dy, exists, first, acc, &bias, n);
                else NAME(depthwise_wgrad_tile)(4, ROWS, TAPS, SHIFT, 1, BIAS, a, x, dy, exists, first, acc, &bias, n);
            }
        for (; i < a->pixels; i++, first += a->advance, dy += a->dy_step)
            NAME(depthwise_wgrad_tile)(1, ROWS, TAPS, 1, 1, BIAS, a, x, dy, exists, first, acc, &bias, n);
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
    if (a->rows >= ROWS) NAME(depthwise_wgrad_block)(ROWS, TAPS, SHIFT, 1, a, 0, 0, c, VL), r = ROWS;
    else NAME(depthwise_wgrad_block)(1, TAPS, SHIFT, 1, a, 0, 0, c, VL), r = 1;
    for (; r + ROWS <= a->rows; r += ROWS) NAME(depthwise_wgrad_block)(ROWS, TAPS, SHIFT, 0, a, r, 0, c, VL);
    for (; r < a->rows; r++) NAME(depthwise_wgrad_block)(1, TAPS, SHIFT, 0, a, r, 0, c, VL);
}

/* Any number of taps, n <= VL channels. */
static void NAME(depthwise_wgrad_any)(const fc_depthwise_wgrad_args *const a, const ptrdiff_t c, const ptrdiff_t n) {
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        ptrdiff_t t = 0;
        if (r == 0) NAME(depthwise_wgrad_block)(1, 1, 0, 1, a, r, t++, c, n);
        for (; t + 4 <= a->taps; t += 4) NAME(depthwise_wgrad_block)(1, 4, 0, 0, a, r, t, c, n);
        for (; t < a->taps; t++) NAME(depthwise_wgrad_block)(1, 1, 0, 0, a, r, t, c, n);
    }
}

static void NAME(depthwise_wgrad)(const fc_depthwise_wgrad_args *const args) {
    const fc_depthwise_wgrad_args copy = *args, *const a = &copy;
    assert(a->rows > 0 && a->taps > 0 && a->pixels > 0 && a->channels > 0);
    const ptrdiff_t shift = a->advance == a->spread ? 1 : a->advance == 2 * a->spread ? 2 : 0;
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
