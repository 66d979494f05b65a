/* Depthwise convolution by walks along the pixels: see fc_depthwise_args in ukernels.h for what is computed. The weights of one vector of
 * channels stay in registers, and so do the sums of the pixels that the column of x at hand belongs to: every column is loaded once
 * for all of them, and for LINES lines of the result. Where channels are not a multiple of the vector, the last vector overlaps the
 * one before it: those results are computed and written twice, equal both times. Of fewer channels whole vectors are read as well.
 *
 * SHIFT says how far neighbouring pixels are apart, in taps. The terms of a sum are added column by column, whatever the walk. */

typedef struct {
    const real *x[9], *next;
    real *y;
    ptrdiff_t at, x_step, y_step, y_line, next_step; /* x_step: from column to column */
    vec weight[7][7], sum[2][7], bias, least;
    ptrdiff_t n; /* channels of a vector that there are */
} NAME(depthwise_walk);

/* The columns that come with a pixel, for the pixels of the walk from `first` on. */
FC_INLINE void NAME(walk_columns)(const int TAPS, const int SHIFT, const int LINES, const int CHECK, const int first, const int end,
                                  const fc_depthwise_args *const a, NAME(depthwise_walk) *const walk, ptrdiff_t column) {
    FC_UNROLL(2)
    for (int u = 0; u < SHIFT; u++, walk->at += walk->x_step, column += a->spread) {
        if (u + first * SHIFT >= TAPS || (CHECK && (size_t)column >= (size_t)a->width)) continue;
        FC_UNROLL(9)
        for (int r = 0; r < TAPS + (LINES - 1) * SHIFT; r++) {
            vec value = v_load(walk->x[r] + walk->at);
            v_keep(value);
            FC_UNROLL(2)
            for (int l = 0; l < LINES; l++) {
                FC_UNROLL(7)
                for (int d = first; d < end; d++)
                    if (r >= l * SHIFT && r < l * SHIFT + TAPS && u + d * SHIFT < TAPS)
                        walk->sum[l][d] = v_fma(value, walk->weight[r - l * SHIFT][u + d * SHIFT], walk->sum[l][d]);
            }
        }
    }
}

/* The pixels before move on by one, and a new one comes. */
FC_INLINE void NAME(walk_on)(const int LIVE, const int LINES, NAME(depthwise_walk) *const walk) {
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        FC_UNROLL(7)
        for (int d = LIVE - 1; d > 0; d--) walk->sum[l][d] = walk->sum[l][d - 1];
        walk->sum[l][0] = walk->bias;
    }
}

/* The oldest pixel leaves. What the next walks read and write comes along. */
FC_INLINE void NAME(walk_put)(const int TAPS, const int SHIFT, const int LINES, NAME(depthwise_walk) *const walk) {
    const int LIVE = (TAPS - 1) / SHIFT + 1, FETCHES = LINES * SHIFT * SHIFT, LINE = 64 / (int)sizeof(real);
    FC_UNROLL(2)
    for (int l = 0; l < LINES; l++) {
        const vec v = v_max(walk->least, walk->sum[l][LIVE - 1]);
        NAME(store_free)(walk->y + l * walk->y_line, v, walk->n);
        __builtin_prefetch(walk->y + l * walk->y_line + LINE, 1, 3);
    }
    walk->y += walk->y_step;
    FC_UNROLL(8)
    for (int f = 0; f < FETCHES; f++, walk->next += walk->next_step) __builtin_prefetch(walk->next, 0, 2);
}

/* Pixels first .. end - 1, the vector of channels at c. */
FC_INLINE void NAME(walk_block)(const int TAPS, const int SHIFT, const int LINES, const fc_depthwise_args *const a, const ptrdiff_t first,
                                const ptrdiff_t end, const ptrdiff_t c, const real *const next) {
    const int LIVE = (TAPS - 1) / SHIFT + 1;
    NAME(depthwise_walk) walk;
    walk.x_step = a->spread * a->x_step, walk.y_step = a->y_step, walk.y_line = a->y_line;
    walk.n = FC_PARTIAL_FREE && a->channels < VL ? a->channels : VL;
    FC_UNROLL(7)
    for (int r = 0; r < TAPS; r++) {
        FC_UNROLL(7)
        for (int t = 0; t < TAPS; t++) walk.weight[r][t] = v_load((const real *)a->w[r] + t * a->ldw + c);
    }
    walk.bias = a->bias ? v_load((const real *)a->bias + c) : v_zero();
    FC_UNROLL(9)
    for (int r = 0; r < TAPS + (LINES - 1) * SHIFT; r++) walk.x[r] = (const real *)a->x[r] + c;
    walk.y = (real *)a->y + first * a->y_step + c;
    walk.next = next ? next : walk.x[0], walk.next_step = next ? VL : 0;
    walk.least = v_set1(a->relu ? 0 : -(real)INFINITY);
    ptrdiff_t column = a->column + first * a->advance;
    walk.at = column * a->x_step;
    if (TAPS == 7 || sizeof(real) == sizeof(double)) { /* where code of its own for the ends is too much: some sums are no pixel's */
        FC_UNROLL(7)
        for (int s = 0; s < LIVE; s++) NAME(walk_on)(s + 1, LINES, &walk);
        FC_ROLLED
        for (ptrdiff_t i = first; i < end + LIVE - 1; i++, column += a->advance) {
            NAME(walk_on)(LIVE, LINES, &walk);
            NAME(walk_columns)(TAPS, SHIFT, LINES, 1, 0, LIVE, a, &walk, column);
            if (i >= first + LIVE - 1) NAME(walk_put)(TAPS, SHIFT, LINES, &walk);
        }
        return;
    }
    FC_UNROLL(7)
    for (int s = 0; s < LIVE - 1; s++, column += a->advance) {
        NAME(walk_on)(s + 1, LINES, &walk);
        NAME(walk_columns)(TAPS, SHIFT, LINES, 1, 0, s + 1, a, &walk, column);
    }
    FC_ROLLED
    for (ptrdiff_t i = first + LIVE - 1; i < end; i++) {
        NAME(walk_on)(LIVE, LINES, &walk);
        NAME(walk_columns)(TAPS, SHIFT, LINES, 0, 0, LIVE, a, &walk, 0);
        NAME(walk_put)(TAPS, SHIFT, LINES, &walk);
    }
    column = a->column + end * a->advance;
    FC_UNROLL(7)
    for (int s = 1; s < LIVE; s++, column += a->advance) {
        NAME(walk_on)(LIVE, LINES, &walk);
        NAME(walk_columns)(TAPS, SHIFT, LINES, 1, s, LIVE, a, &walk, column);
        NAME(walk_put)(TAPS, SHIFT, LINES, &walk);
    }
}

/* All pixels, some at a time: so few that their rows of x stay in the first-level cache while the channels are gone through, which
 * reads and writes memory in order, and enough to be worth the loads of the weights. With 7 taps the ends cost more than the second-level
 * cache. */
#define FC_WALK_PIXELS 64
FC_INLINE void NAME(walk_lines)(const int TAPS, const int SHIFT, const int LINES, const fc_depthwise_args *const a) {
    const ptrdiff_t channels = a->channels, tiles = channels < VL ? 1 : (a->pixels - 1) / (TAPS == 7 ? FC_WALK_PIXELS : 4 * TAPS) + 1;
    const real *next = a->next;
    for (ptrdiff_t k = 0; k < tiles; k++) {
        const ptrdiff_t first = a->pixels * k / tiles, end = a->pixels * (k + 1) / tiles;
        const ptrdiff_t share = (end - first) * LINES * SHIFT * SHIFT * VL;
        for (ptrdiff_t c = 0; c < channels; c += VL, next += next ? share : 0)
            NAME(walk_block)(TAPS, SHIFT, LINES, a, first, end, c + VL <= channels || c == 0 ? c : channels - VL, next);
    }
}

/* Functions of their own: together they would be larger. */
#define FC_WALK_LINES(taps, shift, lines)                                                                           \
    static __attribute__((noinline)) void NAME(walk_lines_##taps##shift##lines)(const fc_depthwise_args *const a) { \
        NAME(walk_lines)(taps, shift, lines, a);                                                                    \
    }
FC_WALK_LINES(3, 1, 1)
FC_WALK_LINES(3, 1, 2)
FC_WALK_LINES(3, 2, 2)
FC_WALK_LINES(5, 1, 2)
FC_WALK_LINES(5, 2, 2)
FC_WALK_LINES(7, 1, 2)
FC_WALK_LINES(7, 2, 2)
#undef FC_WALK_LINES

/* Weights of fewer channels than a vector holds, as whole vectors: taps of each row, and the bias. */
typedef struct {
    real vector[50][VL];
    const void *rows[7];
} NAME(walk_vectors);

FC_INLINE void NAME(walk_whole)(fc_depthwise_args *const a, NAME(walk_vectors) *const whole) {
    real(*to)[VL] = whole->vector;
    for (ptrdiff_t r = 0; r < a->rows; r++) {
        whole->rows[r] = to;
        for (ptrdiff_t t = 0; t < a->taps; t++, to++) v_store(*to, v_load_n((const real *)a->w[r] + t * a->ldw, a->channels));
    }
    if (a->bias) v_store(*to, v_load_n((const real *)a->bias, a->channels)), a->bias = to;
    a->w = whole->rows, a->ldw = VL;
}

/* Whether there is a walk for it, and it is taken. */
static int NAME(depthwise_walks)(const fc_depthwise_args *const args) {
    fc_depthwise_args copy = *args, *const a = &copy;
    NAME(walk_vectors) whole;
    if (a->rows != a->taps || (a->taps != 3 && a->taps != 5 && a->taps != 7)) return 0;
    const ptrdiff_t shift = a->advance == a->spread ? 1 : a->advance == 2 * a->spread ? 2 : 0, live = shift ? (a->taps - 1) / shift + 1 : 0;
    /* Only the columns of the first and last pixels may be outside, where the others are not asked about. */
    const int inside = a->pixels >= live && a->column + (live - 1) * a->advance >= 0 && a->column + a->pixels * a->advance - a->spread < a->width;
    if (!shift || !(inside || a->taps == 7) || a->lines > 2 || (a->lines == 2 && a->line_rows != shift)) return 0;
    if (a->channels < VL && !(FC_PARTIAL_FREE && a->few == FC_FEW_WHOLE)) return 0;
    if (FC_PARTIAL_FREE && a->channels < VL) NAME(walk_whole)(a, &whole);
    switch (shift * 16 + a->taps * 2 + a->lines) {
    case 16 + 6 + 1:
        NAME(walk_lines_311)(a);
        break;
    case 16 + 6 + 2:
        NAME(walk_lines_312)(a);
        break;
    case 16 + 10 + 2:
        if (!FC_RARE) return 0;
        NAME(walk_lines_512)(a);
        break;
    case 16 + 14 + 2:
        if (!FC_RARE) return 0;
        NAME(walk_lines_712)(a);
        break;
    case 32 + 6 + 2:
        NAME(walk_lines_322)(a);
        break;
    case 32 + 10 + 2:
        if (!FC_RARE) return 0;
        NAME(walk_lines_522)(a);
        break;
    case 32 + 14 + 2:
        if (!FC_RARE) return 0;
        NAME(walk_lines_722)(a);
        break;
    default:
        return 0;
    }
    return 1;
}

#undef FC_WALK_PIXELS
