/* Convolution of groups of several channels, as many groups at a time as fill a vector: see fc_depthwise_kernels in ukernels.h. The channels of
 * x that the lanes need are brought to them in registers, where the columns that neighbouring pixels share, and those that LINES lines of the
 * result share, are permuted once. SHIFT is the same as in depthwise_walk_body.h; with 0 nothing is known. */

#if defined(FC_F32) && VL >= 8
FC_INLINE void NAME(grouped_store)(real *const y, const vec v, const ptrdiff_t n) {
    if (FC_PARTIAL_FREE) v_store_n(y, v, n);
    else NAME(store_channels)(y, v, n);
}

/* PX pixels from pixel i on; 0 < n <= VL channels from channel c on. So many pixels from `next` on are fetched, one with each row of x. */
FC_INLINE void NAME(grouped_tile)(const int PX, const int TAPS, const int SHIFT, const int LINES, const fc_depthwise_args *const a, const ptrdiff_t i,
                                  const ptrdiff_t c, const ptrdiff_t n, const real *next, const ptrdiff_t fetches) {
    const int COLUMNS = (PX - 1) * SHIFT + TAPS;
    const ptrdiff_t spread = a->spread * a->x_step, advance = a->advance * a->x_step, ldw = a->ldw, rows = a->rows, line_rows = a->line_rows;
    const ptrdiff_t from = a->column * a->x_step + i * advance + c / a->times * a->planes;
    vec acc[2][8];
    const vec bias = a->bias ? NAME(load_channels)((const real *)a->bias + c, n) : v_zero();
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        FC_UNROLL(8)
        for (int p = 0; p < PX; p++) acc[l][p] = bias;
    }
    for (ptrdiff_t r = 0, plane = 0; r < rows + (LINES - 1) * line_rows; r++, plane = plane + 1 == a->planes ? 0 : plane + 1) {
        const vindex lanes = v_index(a->lanes + plane * VL);
        if (r < fetches) __builtin_prefetch(next, 0, 2), next += a->next_step;
        const real *x = (const real *)a->x[r] + from;
        vec column[17], weight[3];
        if (LINES > 1) {
            FC_UNROLL(17)
            for (int q = 0; q < COLUMNS; q++, x += spread) column[q] = v_permute(v_load(x), lanes);
        }
        FC_UNROLL(2)
        for (int l = 0; l < LINES; l++) {
            const ptrdiff_t row = r - l * line_rows;
            if (LINES > 1 && (row < 0 || row >= rows)) continue;
            const real *w = (const real *)a->w[row] + c;
            if (SHIFT) {
                FC_UNROLL(3)
                for (int t = 0; t < TAPS; t++) weight[t] = v_load(w + t * ldw);
                FC_UNROLL(17)
                for (int q = 0; q < COLUMNS; q++) {
                    if (LINES == 1) column[q] = v_permute(v_load(x), lanes), x += spread;
                    FC_UNROLL(8)
                    for (int p = 0; p < PX; p++)
                        if (q >= p * SHIFT && q < p * SHIFT + TAPS) v_accumulate(acc[l][p], column[q], weight[q - p * SHIFT]);
                }
            } else {
                for (ptrdiff_t t = 0; t < a->taps; t++, w += ldw) {
                    weight[0] = v_load(w);
                    FC_UNROLL(8)
                    for (int p = 0; p < PX; p++) acc[l][p] = v_fma(v_permute(v_load(x + t * spread + p * advance), lanes), weight[0], acc[l][p]);
                }
            }
        }
    }
    const vec least = v_set1(a->relu ? 0 : -(real)INFINITY);
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        real *y = (real *)a->y + l * a->y_line + i * a->y_step + c;
        FC_UNROLL(8)
        for (int p = 0; p < PX; p++, y += a->y_step) NAME(grouped_store)(y, v_max(least, acc[l][p]), n);
    }
}

/* All pixels, at least PX, some of them twice. */
FC_INLINE void NAME(grouped_pixels)(const int PX, const int TAPS, const int SHIFT, const int LINES, const fc_depthwise_args *const a) {
    const ptrdiff_t channels = a->channels, pixels = a->pixels, ahead = a->next ? a->next_elements / a->next_step : 0;
    const ptrdiff_t fetches = (ahead * PX + pixels - 1) / pixels;
    for (ptrdiff_t i = 0; i < pixels; i += PX)
        for (ptrdiff_t k = 0; k < channels; k += VL) {
            const ptrdiff_t c = k + VL <= channels || k == 0 ? k : channels - VL;
            const real *const next = ahead ? (const real *)a->next + ahead * i / pixels * a->next_step + c / a->times * a->planes : NULL;
            NAME(grouped_tile)(PX, TAPS, SHIFT, LINES, a, i + PX <= pixels ? i : pixels - PX, c, channels < VL ? channels : VL, next, fetches);
        }
}

static void NAME(grouped)(const fc_depthwise_args *const args) {
    fc_depthwise_args copy = *args; /* known not to change when y is written */
    const fc_depthwise_args *const a = &copy;
    const int shifted = a->taps == 3 && a->advance == a->spread;
    assert(a->pixels >= FC_GROUPED_PIXELS && VL % a->times == 0 && a->planes <= a->times);
    assert(a->taps == 0 || a->rows == 0 || (a->column >= 0 && a->column + (a->pixels - 1) * a->advance + (a->taps - 1) * a->spread < a->width));
    if (FC_REGISTERS >= 32 && a->lines == 2 && shifted) {
        NAME(grouped_pixels)(FC_GROUPED_PIXELS, 3, 1, 2, a);
        return;
    }
    for (ptrdiff_t l = 0; l < args->lines; l++, copy.x += copy.line_rows, copy.y = (real *)copy.y + copy.y_line) {
        if (FC_REGISTERS < 32 && shifted) NAME(grouped_pixels)(FC_GROUPED_PIXELS, 3, 1, 1, a);
        else NAME(grouped_pixels)(FC_GROUPED_PIXELS, 0, 0, 1, a);
    }
}

/* The weight gradient, four planes at a time, for which there must be registers. */
#if FC_REGISTERS >= 32
FC_INLINE void NAME(wgrad_groups)(const int SHIFT, const fc_depthwise_wgrad_args *const a) {
    const ptrdiff_t channels = a->channels;
    for (ptrdiff_t slot = 0; slot < channels; slot += VL)
        for (ptrdiff_t r = 0; r < a->rows; r++)
            for (ptrdiff_t plane = 0; plane < a->planes; plane += 4) {
                const NAME(wgrad_place) place = {r, plane, 0, a->pixels, slot + VL <= channels ? slot : channels - VL, slot};
                NAME(wgrad_block)(1, 4, 3, SHIFT, 0, a, &place);
            }
}

static void NAME(grouped_wgrad)(const fc_depthwise_wgrad_args *const args) {
    const fc_depthwise_wgrad_args copy = *args, *const a = &copy;
    assert(a->taps == 3 && a->advance <= 2 * a->spread && a->advance % a->spread == 0 && a->channels >= VL && a->pixels >= FC_GROUPED_PIXELS);
    assert(!a->bias && !a->x_next && !a->dy_next && a->planes % 4 == 0 && VL % a->times == 0 && a->planes <= a->times);
    if (a->advance == a->spread) NAME(wgrad_groups)(1, a);
    else NAME(wgrad_groups)(2, a);
}
#define FC_GROUPED_WGRAD NAME(grouped_wgrad)
#else
#define FC_GROUPED_WGRAD NULL
#endif

#define FC_GROUPED_KERNELS .groups = NAME(grouped), .groups_wgrad = FC_GROUPED_WGRAD
#else
#define FC_GROUPED_KERNELS .groups = NULL, .groups_wgrad = NULL
#endif
