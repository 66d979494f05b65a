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
    if (walk->dy_next) __builtin_prefetch(walk->dy_next, 0, 2);
    if (BIAS) walk->bias = v_add(walk->bias, walk->grad[0]);
    walk->dy += a->dy_step;
    if (walk->dy_next) walk->dy_next += a->dy_step;
}

/* Where a block is: kernel rows from `row` on, or planes of groups, of one row; the columns that come with pixels first .. end - 1 and, after the last pixel, the rest; the
 * vector of channels at c, with its sums at `slot`. */
typedef struct {
    ptrdiff_t row, plane, first, end, c, slot;
} NAME(wgrad_place);
typedef void (*NAME(wgrad_block_fn))(const fc_depthwise_wgrad_args *a, const NAME(wgrad_place) * at);

/* ROWS kernel rows, or PLANES. */
FC_INLINE void NAME(wgrad_block)(const int PLANES, const int ROWS, const int TAPS, const int SHIFT, const int BIAS,
                                 const fc_depthwise_wgrad_args *const a, const NAME(wgrad_place) *const place) {
    const ptrdiff_t row = place->row, plane = place->plane, first = place->first, end = place->end, c = place->c, slot = place->slot;
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    const ptrdiff_t ld = PLANES ? a->ld_plane : TAPS * a->ldw;
    real *const out = (real *)a->acc + row * TAPS * a->ldw + plane * a->ld_plane + slot, none[VL] = {0};
    real *const bias = a->bias && row == 0 ? (real *)a->bias + slot : none;
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
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const ptrdiff_t from = first * a->dy_step + c;
        ptrdiff_t column = a->column + first * a->advance, i = first;
        walk.x = (const real *)a->x + row * a->x_line + l * a->x_advance + (PLANES ? c / a->times * a->planes : c);
        walk.at = column * a->x_step;
        walk.dy = (const real *)a->dy + l * a->dy_line + from;
        walk.next = fetches && a->x_next ? (const real *)a->x_next + l * a->x_advance + c : NULL;
        walk.dy_next = fetches && a->dy_next ? (const real *)a->dy_next + l * a->dy_line + from : NULL;
        if (first == 0) {
            FC_UNROLL(7)
            for (int s = 0; s < LIVE - 1; s++, i++, column += a->advance) {
                NAME(wgrad_on)(LIVE, 1, BIAS, a, &walk);
                NAME(wgrad_columns)(PLANES, ROWS, TAPS, SHIFT, !PLANES, 0, s + 1, a, &walk, column, acc);
            }
        } else {
            FC_UNROLL(7)
            for (int d = 0; d < LIVE - 1; d++) walk.grad[d] = v_load(walk.dy - (d + 1) * a->dy_step);
        }
        for (; i < end; i++) {
            NAME(wgrad_on)(LIVE, 1, BIAS, a, &walk);
            NAME(wgrad_columns)(PLANES, ROWS, TAPS, SHIFT, 0, 0, LIVE, a, &walk, 0, acc);
        }
        if (end < a->pixels) continue;
        column = a->column + end * a->advance;
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

/* Functions of their own: within another one the loop along the pixels is short of registers. With 3 taps what is more of them costs
 * more than sums that nobody asks for. */
#define FC_WGRAD_BLOCK(rows, taps, shift, bias)                                                                               \
    static __attribute__((noinline)) void NAME(wgrad_block_##rows##taps##shift##bias)(const fc_depthwise_wgrad_args *const a, \
                                                                                      const NAME(wgrad_place) *const place) { \
        NAME(wgrad_block)(0, rows, taps, shift, bias, a, place);                                                              \
    }
FC_WGRAD_BLOCK(1, 3, 1, 1)
FC_WGRAD_BLOCK(2, 3, 1, 1)
FC_WGRAD_BLOCK(3, 3, 1, 1)
FC_WGRAD_BLOCK(1, 3, 2, 1)
FC_WGRAD_BLOCK(2, 3, 2, 1)
FC_WGRAD_BLOCK(3, 3, 2, 1)
FC_WGRAD_BLOCK(1, 5, 1, 0)
FC_WGRAD_BLOCK(1, 5, 1, 1)
FC_WGRAD_BLOCK(2, 5, 1, 0)
FC_WGRAD_BLOCK(2, 5, 1, 1)
FC_WGRAD_BLOCK(5, 5, 1, 1)
FC_WGRAD_BLOCK(1, 5, 2, 0)
FC_WGRAD_BLOCK(1, 5, 2, 1)
FC_WGRAD_BLOCK(2, 5, 2, 0)
FC_WGRAD_BLOCK(2, 5, 2, 1)
FC_WGRAD_BLOCK(1, 7, 1, 0)
FC_WGRAD_BLOCK(1, 7, 1, 1)
#undef FC_WGRAD_BLOCK

/* Kernel rows in blocks of `rows`, and what is left one by one; [1] sums dy as well. Tiles of pixels stay in the first-level cache while the
 * channels are walked through. */
static void NAME(wgrad_walks)(const int rows, const NAME(wgrad_block_fn) block[2], const NAME(wgrad_block_fn) one[2],
                              const fc_depthwise_wgrad_args *const a) {
    const ptrdiff_t tiles = (a->pixels - 1) / a->tile + 1, channels = a->channels;
    for (ptrdiff_t k = 0; k < tiles; k++)
        for (ptrdiff_t slot = 0; slot < channels; slot += VL) {
            NAME(wgrad_place) place = {.first = a->pixels * k / tiles, .end = a->pixels * (k + 1) / tiles, .slot = slot};
            place.c = slot + VL <= channels ? slot : channels - VL;
            while (place.row < a->rows) {
                const int sums = a->bias && place.row == 0, whole = place.row + rows <= a->rows;
                (whole ? block : one)[sums](a, &place);
                place.row += whole ? rows : 1;
            }
        }
}

/* The vectors of channels one after the other, tap by tap, 0 < n <= VL channels, of pixels first .. end - 1. */
static void NAME(wgrad_tap)(const fc_depthwise_wgrad_args *const a, const real *const x, const real *const dy, real *const acc,
                            const ptrdiff_t column, ptrdiff_t first, ptrdiff_t end) {
    const ptrdiff_t channels = a->channels, n = channels < VL ? channels : VL, advance = a->advance;
    if (column + first * advance < 0) first = (-column + advance - 1) / advance;
    if (column + (end - 1) * advance >= a->width) end = column < a->width ? (a->width - 1 - column) / advance + 1 : 0;
    for (ptrdiff_t slot = 0; slot < channels; slot += VL) {
        const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
        vec sum = v_load(acc + slot);
        for (ptrdiff_t i = first; i < end; i++)
            sum = v_fma(NAME(load_channels)(x + (column + i * advance) * a->x_step + c, n), NAME(load_channels)(dy + i * a->dy_step + c, n), sum);
        v_store(acc + slot, sum);
    }
}

/* All taps of pixels first .. end - 1. */
static void NAME(wgrad_pixels)(const fc_depthwise_wgrad_args *const a, const ptrdiff_t first, const ptrdiff_t end) {
    for (ptrdiff_t l = 0; l < a->lines; l++)
        for (ptrdiff_t r = 0; r < a->rows; r++)
            for (ptrdiff_t t = 0; t < a->taps; t++)
                NAME(wgrad_tap)(a, (const real *)a->x + l * a->x_advance + r * a->x_line, (const real *)a->dy + l * a->dy_line,
                                (real *)a->acc + (r * a->taps + t) * a->ldw, a->column + t * a->spread, first, end);
}

static void NAME(wgrad_sums)(const fc_depthwise_wgrad_args *const a, const ptrdiff_t first, const ptrdiff_t end) {
    const ptrdiff_t channels = a->channels, n = channels < VL ? channels : VL;
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const real *const dy = (const real *)a->dy + l * a->dy_line;
        for (ptrdiff_t slot = 0; slot < channels; slot += VL) {
            const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
            vec sum = v_load((real *)a->bias + slot);
            for (ptrdiff_t i = first; i < end; i++) sum = v_add(sum, NAME(load_channels)(dy + i * a->dy_step + c, n));
            v_store((real *)a->bias + slot, sum);
        }
    }
}

/* Vectors of n elements of x and dy that belong together, `count` of them in a row of dy: the k-th begins x_step * k and dy_step * k on. */
typedef struct {
    ptrdiff_t x, dy, count, x_step, dy_step, n;
} NAME(wgrad_run);

/* Kernel taps `tap` .. `tap` + 8, of those that there are, of a run in all lines: dy is loaded once for them. With `sums` dy is summed, too. */
static void NAME(wgrad_taps)(const fc_depthwise_wgrad_args *const a, const NAME(wgrad_run) *const run, const ptrdiff_t tap, const ptrdiff_t slot,
                             const int sums) {
    const ptrdiff_t count = a->rows * a->taps, x_step = run->x_step, dy_step = run->dy_step, n = run->n;
    real none[VL] = {0}, *const bias = sums ? (real *)a->bias + slot : none;
    const int fetches = tap == 0 && a->x_next;
    const real *x[9];
    vec acc[9], sum = v_load(bias);
    FC_UNROLL(9)
    for (int q = 0; q < 9; q++) {
        /* The last one stands for those that there are not. */
        const ptrdiff_t k = tap + q < count ? tap + q : count - 1;
        x[q] = (const real *)a->x + run->x + k / a->taps * a->x_line + (a->column + k % a->taps * a->spread) * a->x_step;
        acc[q] = v_load((real *)a->acc + k * a->ldw + slot);
    }
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const real *const dy = (const real *)a->dy + run->dy + l * a->dy_line;
        const real *const x_next = fetches ? (const real *)a->x_next + run->x : NULL;
        const real *const dy_next = fetches && a->dy_next ? (const real *)a->dy_next + run->dy + l * a->dy_line : NULL;
        ptrdiff_t at = l * a->x_advance;
        if (n == VL) {
            for (ptrdiff_t i = 0; i < run->count; i++, at += x_step) {
                if (x_next) __builtin_prefetch(x_next + at, 0, 2);
                if (dy_next) __builtin_prefetch(dy_next + i * dy_step, 0, 2);
                const vec grad = v_load(dy + i * dy_step);
                FC_UNROLL(9)
                for (int q = 0; q < 9; q++) acc[q] = v_fma(v_load(x[q] + at), grad, acc[q]);
                sum = v_add(sum, grad);
            }
        } else {
            for (ptrdiff_t i = 0; i < run->count; i++, at += x_step) {
                const vec grad = v_load_n(dy + i * dy_step, n);
                FC_UNROLL(9)
                for (int q = 0; q < 9; q++) acc[q] = v_fma(v_load_n(x[q] + at, n), grad, acc[q]);
                sum = v_add(sum, grad);
            }
        }
    }
    FC_UNROLL(9)
    for (int q = 0; q < 9; q++)
        if (tap + q < count) v_store((real *)a->acc + (tap + q) * a->ldw + slot, acc[q]);
    v_store(bias, sum);
}

static __attribute__((noinline)) void NAME(wgrad_all_taps)(const fc_depthwise_wgrad_args *const a, const NAME(wgrad_run) *const run,
                                                           const ptrdiff_t slot) {
    for (ptrdiff_t tap = 0; tap < a->rows * a->taps; tap += 9) NAME(wgrad_taps)(a, run, tap, slot, a->bias && tap == 0);
}

/* Any convolution. Pixels at the ends, some of whose taps are no columns of x, tap by tap. Of few channels without a gap as many pixels as
 * fit are one vector. */
static void NAME(wgrad_any)(const fc_depthwise_wgrad_args *const a) {
    const ptrdiff_t channels = a->channels, last = a->width - 1 - a->column - (a->taps - 1) * a->spread;
    ptrdiff_t first = a->column < 0 ? (-a->column + a->advance - 1) / a->advance : 0, end = last < 0 ? 0 : last / a->advance + 1;
    if (end > a->pixels) end = a->pixels;
    if (end <= first || a->rows == 0) first = end = 0;
    NAME(wgrad_pixels)(a, 0, first);
    NAME(wgrad_pixels)(a, end, a->pixels);
    if (a->bias) {
        NAME(wgrad_sums)(a, 0, first);
        NAME(wgrad_sums)(a, end, a->pixels);
    }
    const int flat = channels < VL && a->advance == 1 && a->x_step == channels && a->dy_step == channels;
    NAME(wgrad_run)
    run = {.x = first * a->advance * a->x_step,
           .dy = first * a->dy_step,
           .count = end - first,
           .x_step = a->advance * a->x_step,
           .dy_step = a->dy_step,
           .n = channels < VL ? channels : VL};
    for (ptrdiff_t slot = 0; !flat && slot < channels; slot += VL) {
        const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
        NAME(wgrad_run) part = run;
        part.x += c, part.dy += c;
        NAME(wgrad_all_taps)(a, &part, slot);
    }
    if (!flat || end == first) return;
    /* Whole vectors as long as they do not reach behind the pixels, of which elements behind a whole number of pixels have no meaning. */
    const ptrdiff_t step = VL / channels * channels, elements = run.count * channels;
    run.x_step = run.dy_step = step;
    run.n = VL;
    run.count = elements < VL ? 0 : (elements - VL) / step + 1;
    NAME(wgrad_all_taps)(a, &run, 0);
    for (ptrdiff_t at = run.count * step; at < elements; at += step) {
        const NAME(wgrad_run) rest = {.x = run.x + at, .dy = run.dy + at, .count = 1, .n = elements - at < step ? elements - at : step};
        NAME(wgrad_all_taps)(a, &rest, 0);
    }
}

static void NAME(depthwise_wgrad)(const fc_depthwise_wgrad_args *const args) {
    const fc_depthwise_wgrad_args copy = *args, *const a = &copy;
    assert(a->rows >= 0 && a->taps > 0 && a->pixels > 0 && a->channels > 0 && a->tile > 0);
    const ptrdiff_t shift = a->advance == a->spread ? 1 : a->advance == 2 * a->spread ? 2 : 0;
    const ptrdiff_t live = shift ? (a->taps - 1) / shift + 1 : 0, last = a->pixels * a->advance - a->spread;
    const int walks = a->rows > 0 && a->channels >= VL && a->pixels >= live && a->tile >= 2 * live && a->column + (live - 1) * a->advance >= 0 &&
                      a->column + last < a->width;
#define FC_WGRAD_WALKS(rows, taps, shift, none)                                                                                                     \
    NAME(wgrad_walks)(rows, (const NAME(wgrad_block_fn)[2]){NAME(wgrad_block_##rows##taps##shift##none), NAME(wgrad_block_##rows##taps##shift##1)}, \
                      (const NAME(wgrad_block_fn)[2]){NAME(wgrad_block_1##taps##shift##none), NAME(wgrad_block_1##taps##shift##1)}, a)
    switch (walks ? shift * 8 + a->taps : 0) {
    case 8 + 3:
        if (a->rows == 2) FC_WGRAD_WALKS(2, 3, 1, 1);
        else FC_WGRAD_WALKS(3, 3, 1, 1);
        break;
    case 8 + 5:
        if (!FC_RARE) NAME(wgrad_any)(a);
        else if (a->rows == 5 && a->bias && FC_REGISTERS >= 32) FC_WGRAD_WALKS(5, 5, 1, 1);
        else FC_WGRAD_WALKS(2, 5, 1, 0);
        break;
    case 8 + 7:
        if (!FC_RARE) NAME(wgrad_any)(a);
        else FC_WGRAD_WALKS(1, 7, 1, 0);
        break;
    case 16 + 3:
        if (a->rows == 2) FC_WGRAD_WALKS(2, 3, 2, 1);
        else FC_WGRAD_WALKS(3, 3, 2, 1);
        break;
    case 16 + 5:
        if (!FC_RARE) NAME(wgrad_any)(a);
        else FC_WGRAD_WALKS(2, 5, 2, 0);
        break;
    default:
        NAME(wgrad_any)(a);
    }
}
#undef FC_WGRAD_WALKS
