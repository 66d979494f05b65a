/* The weight gradient of depthwise convolution: see fc_depthwise_wgrad_args in ukernels.h for what is computed. Vectors run along the
 * channels; vector v has its sums at v * VL, the last one too where it overlaps the one before it. */

/* What a walk along the pixels holds: dy of the pixels that the columns of x at hand belong to, and the sums. */
typedef struct {
    const real *x, *dy, *next, *dy_next;
    ptrdiff_t at;
    vec grad[7], bias;
    vindex lanes[4]; /* of the planes of groups, which then take the place of kernel rows */
} NAME(wgrad_walk);

FC_INLINE void NAME(wgrad_columns)(const int PLANES, const int ROWS, const int TAPS, const int SHIFT, const int CHECK, const int first, const int end,
                                   const fc_depthwise_wgrad_args *const a, NAME(wgrad_walk) *const walk, ptrdiff_t column, vec acc[5][7]) {
    FC_UNROLL(2)
    for (int u = 0; u < SHIFT; u++, walk->at += a->spread * a->x_step, column += a->spread) {
        if (u + first * SHIFT >= TAPS || (CHECK && (size_t)column >= (size_t)a->width)) continue;
        if (walk->next) __builtin_prefetch(walk->next + walk->at, 0, 2);
        const real *x = walk->x + walk->at;
        FC_UNROLL(5)
        for (int r = 0; r < ROWS; r++, x += PLANES ? 0 : a->x_line) {
            vec value = PLANES ? v_permute(v_load(x), walk->lanes[r]) : v_load(x);
            v_keep(value);
            FC_UNROLL(7)
            for (int d = first; d < end; d++)
                if (u + d * SHIFT < TAPS) acc[r][u + d * SHIFT] = v_fma(value, walk->grad[d], acc[r][u + d * SHIFT]);
        }
    }
}

/* The pixels before move on by one; the next one comes if there are more. */
FC_INLINE void NAME(wgrad_on)(const int LIVE, const int MORE, const int BIAS, const fc_depthwise_wgrad_args *const a, NAME(wgrad_walk) *const walk) {
    FC_UNROLL(7)
    for (int d = LIVE - 1; d > 0; d--) walk->grad[d] = walk->grad[d - 1];
    if (!MORE) return;
    walk->grad[0] = v_load(walk->dy);
    if (walk->dy_next) __builtin_prefetch(walk->dy_next, 0, 2), walk->dy_next += a->dy_step;
    walk->dy += a->dy_step;
    if (BIAS) walk->bias = v_add(walk->bias, walk->grad[0]);
}

/* ROWS kernel rows from `row` on, `pixels` pixels from `first` on; the vector of channels at c, with its sums at `slot`. */
FC_INLINE void NAME(wgrad_block)(const int PLANES, const int ROWS, const int TAPS, const int SHIFT, const int BIAS,
                                 const fc_depthwise_wgrad_args *const a, const ptrdiff_t row, const ptrdiff_t plane, const ptrdiff_t first,
                                 const ptrdiff_t pixels, const ptrdiff_t c, const ptrdiff_t slot) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const ptrdiff_t ld = PLANES ? a->ld_plane : TAPS * a->ldw;
    real *const out = (real *)a->acc + row * TAPS * a->ldw + plane * a->ld_plane + slot, *const bias = (real *)a->bias + slot;
    NAME(wgrad_walk) walk;
    vec acc[5][7];
    FC_UNROLL(5)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) acc[r][t] = v_load(out + r * ld + t * a->ldw);
        if (PLANES) walk.lanes[r] = v_index(a->lanes + (plane + r) * VL);
    }
    if (BIAS) walk.bias = v_load(bias);
    const int fetches = !PLANES && row == 0 && slot * (ptrdiff_t)sizeof(real) % 64 == 0; /* once for a line of the cache */
    walk.next = fetches && a->x_next ? (const real *)a->x_next + c : NULL;
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const ptrdiff_t from = first * a->dy_step + c;
        ptrdiff_t column = a->column + first * a->advance;
        walk.x = (const real *)a->x + row * a->x_line + l * a->x_advance + (PLANES ? c / a->times * a->planes : c);
        walk.at = column * a->x_step;
        walk.dy = (const real *)a->dy + l * a->dy_line + from;
        walk.dy_next = fetches && a->dy_next ? (const real *)a->dy_next + from : NULL;
        FC_UNROLL(7)
        for (int s = 0; s < LIVE - 1; s++, column += a->advance) {
            NAME(wgrad_on)(LIVE, 1, BIAS, a, &walk);
            NAME(wgrad_columns)(PLANES, ROWS, TAPS, SHIFT, !PLANES, 0, s + 1, a, &walk, column, acc);
        }
        for (ptrdiff_t i = LIVE - 1; i < pixels; i++) {
            NAME(wgrad_on)(LIVE, 1, BIAS, a, &walk);
            NAME(wgrad_columns)(PLANES, ROWS, TAPS, SHIFT, 0, 0, LIVE, a, &walk, 0, acc);
        }
        column = a->column + (first + pixels) * a->advance;
        FC_UNROLL(7)
        for (int s = 1; s < LIVE; s++, column += a->advance) {
            NAME(wgrad_on)(LIVE, 0, 0, a, &walk);
            NAME(wgrad_columns)(PLANES, ROWS, TAPS, SHIFT, !PLANES, s, LIVE, a, &walk, column, acc);
        }
    }
    FC_UNROLL(5)
    for (int r = 0; r < ROWS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) v_store(out + r * ld + t * a->ldw, acc[r][t]);
    }
    if (BIAS) v_store(bias, walk.bias);
}

/* Kernel rows in blocks of at most ROWS, all of TAPS taps; tiles of pixels that stay in the first-level cache while the channels are
 * walked through. */
FC_INLINE void NAME(wgrad_walks)(const int ROWS, const int TAPS, const int SHIFT, const fc_depthwise_wgrad_args *const a) {
    const ptrdiff_t tiles = (a->pixels - 1) / a->tile + 1, channels = a->channels;
    for (ptrdiff_t k = 0; k < tiles; k++) {
        const ptrdiff_t first = a->pixels * k / tiles, pixels = a->pixels * (k + 1) / tiles - first;
        for (ptrdiff_t slot = 0; slot < channels; slot += VL) {
            const ptrdiff_t c = slot + VL <= channels ? slot : channels - VL;
            ptrdiff_t r = 0;
            if (ROWS == 5 || a->bias) {
                if (ROWS == 5 || r + ROWS <= a->rows) NAME(wgrad_block)(0, ROWS, TAPS, SHIFT, 1, a, r, 0, first, pixels, c, slot), r += ROWS;
                else NAME(wgrad_block)(0, 1, TAPS, SHIFT, 1, a, r, 0, first, pixels, c, slot), r++;
            }
            for (; ROWS < 5 && r + ROWS <= a->rows; r += ROWS) NAME(wgrad_block)(0, ROWS, TAPS, SHIFT, 0, a, r, 0, first, pixels, c, slot);
            for (; ROWS < 5 && r < a->rows; r++) NAME(wgrad_block)(0, 1, TAPS, SHIFT, 0, a, r, 0, first, pixels, c, slot);
        }
    }
}

/* The vectors of channels one after the other, tap by tap, 0 < n <= VL channels. */
static void NAME(wgrad_tap)(const fc_depthwise_wgrad_args *const a, const real *const x, const real *const dy, real *const acc,
                            const ptrdiff_t column) {
    const ptrdiff_t channels = a->channels, n = channels < VL ? channels : VL, advance = a->advance;
    ptrdiff_t first = 0, end = a->pixels;
    if (column < 0) first = (-column + advance - 1) / advance;
    if (column + (end - 1) * advance >= a->width) end = column < a->width ? (a->width - 1 - column) / advance + 1 : 0;
    for (ptrdiff_t slot = 0; slot < channels; slot += VL) {
        const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
        vec sum = v_load(acc + slot);
        for (ptrdiff_t i = first; i < end; i++)
            sum = v_fma(NAME(load_channels)(x + (column + i * advance) * a->x_step + c, n), NAME(load_channels)(dy + i * a->dy_step + c, n), sum);
        v_store(acc + slot, sum);
    }
}

static void NAME(wgrad_any)(const fc_depthwise_wgrad_args *const a) {
    const ptrdiff_t channels = a->channels, n = channels < VL ? channels : VL;
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const real *const dy = (const real *)a->dy + l * a->dy_line;
        for (ptrdiff_t r = 0; r < a->rows; r++)
            for (ptrdiff_t t = 0; t < a->taps; t++)
                NAME(wgrad_tap)(a, (const real *)a->x + l * a->x_advance + r * a->x_line, dy, (real *)a->acc + (r * a->taps + t) * a->ldw,
                                a->column + t * a->spread);
        for (ptrdiff_t slot = 0; a->bias && slot < channels; slot += VL) {
            const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
            vec sum = v_load((real *)a->bias + slot);
            for (ptrdiff_t i = 0; i < a->pixels; i++) sum = v_add(sum, NAME(load_channels)(dy + i * a->dy_step + c, n));
            v_store((real *)a->bias + slot, sum);
        }
    }
}

static void NAME(depthwise_wgrad)(const fc_depthwise_wgrad_args *const args) {
    const fc_depthwise_wgrad_args copy = *args, *const a = &copy;
    assert(a->rows >= 0 && a->taps > 0 && a->pixels > 0 && a->channels > 0 && a->tile > 0);
    const ptrdiff_t shift = a->advance == a->spread ? 1 : a->advance == 2 * a->spread ? 2 : 0;
    const ptrdiff_t live = shift ? (a->taps - 1) / shift + 1 : 0, last = a->pixels * a->advance - a->spread;
    const int walks = a->rows > 0 && a->channels >= VL && a->pixels >= live && a->tile >= 2 * live && a->column + (live - 1) * a->advance >= 0 &&
                      a->column + last < a->width;
    /* The first and last rows of images have code of their own in float32; float64 is for checks, and the library is to be small. */
    const int pairs = a->rows == 2 && sizeof(real) == sizeof(float);
    const int whole = a->rows == 5 && a->bias && FC_REGISTERS >= 32 && sizeof(real) == sizeof(float);
    switch (walks ? shift * 8 + a->taps : 0) {
    case 8 + 3:
        if (pairs) NAME(wgrad_walks)(2, 3, 1, a);
        else NAME(wgrad_walks)(3, 3, 1, a);
        break;
    case 8 + 5:
        if (whole) NAME(wgrad_walks)(5, 5, 1, a);
        else NAME(wgrad_walks)(2, 5, 1, a);
        break;
    case 8 + 7:
        NAME(wgrad_walks)(1, 7, 1, a);
        break;
    case 16 + 3:
        if (pairs) NAME(wgrad_walks)(2, 3, 2, a);
        else NAME(wgrad_walks)(3, 3, 2, a);
        break;
    case 16 + 5:
        NAME(wgrad_walks)(2, 5, 2, a);
        break;
    default:
        NAME(wgrad_any)(a);
    }
}
