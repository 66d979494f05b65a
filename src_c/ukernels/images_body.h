/* Convolution with vectors along the images: see ukernels_images.h. */

/* The function for args->columns columns, which are known when it is compiled. */
#ifndef FC_BY_COLUMNS
#define FC_BY_COLUMNS(fn, args) \
    switch ((args)->columns) {  \
    case 1:                     \
        NAME(fn)(1, args);      \
        break;                  \
    case 2:                     \
        NAME(fn)(2, args);      \
        break;                  \
    case 3:                     \
        NAME(fn)(3, args);      \
        break;                  \
    default:                    \
        NAME(fn)(4, args);      \
    }
#endif

FC_INLINE void NAME(images_pixels)(const int COLUMNS, const int PIXELS, const fc_images_args *const a, const ptrdiff_t p) {
    const real *const w = a->w, *const bias = a->bias, *const x = (const real *)a->x + p * a->x_advance;
    real *const y = (real *)a->y + p * a->y_advance;
    vec low[2 * FC_IMAGES_COLUMNS], high[2 * FC_IMAGES_COLUMNS];
    FC_UNROLL(8)
    for (int j = 0; j < PIXELS * COLUMNS; j++) low[j] = high[j] = bias ? v_set1(bias[j % COLUMNS]) : v_zero();
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t s = 0; s < a->cols; s++) {
            const real *from = x + r * a->x_row + s * a->x_col, *weight = w + r * a->w_row + s * a->w_col;
            for (ptrdiff_t d = 0; d < a->depth; d++, from += a->x_depth, weight += a->ldw) {
                vec x_low[2], x_high[2];
                FC_UNROLL(2)
                for (int i = 0; i < PIXELS; i++) {
                    x_low[i] = v_load(from + i * a->x_advance);
                    x_high[i] = v_load(from + i * a->x_advance + VL);
                }
                FC_UNROLL(4)
                for (int j = 0; j < COLUMNS; j++) {
                    const vec one = v_set1(weight[j]);
                    FC_UNROLL(2)
                    for (int i = 0; i < PIXELS; i++) {
                        low[i * COLUMNS + j] = v_fma(x_low[i], one, low[i * COLUMNS + j]);
                        high[i * COLUMNS + j] = v_fma(x_high[i], one, high[i * COLUMNS + j]);
                    }
                }
            }
        }
    FC_UNROLL(2)
    for (int i = 0; i < PIXELS; i++) {
        FC_UNROLL(4)
        for (int j = 0; j < COLUMNS; j++) {
            real *const to = y + i * a->y_advance + j * a->y_depth;
            const vec first = low[i * COLUMNS + j], second = high[i * COLUMNS + j];
            v_store(to, a->relu ? v_max(v_zero(), first) : first);
            v_store(to + VL, a->relu ? v_max(v_zero(), second) : second);
        }
    }
}

/* Two pixels at a time where their sums fit into registers. */
FC_INLINE void NAME(images_columns)(const int COLUMNS, const fc_images_args *const args) {
    const fc_images_args copy = *args, *const a = &copy; /* known not to change when results are written */
    ptrdiff_t p = 0;
    if (COLUMNS <= 2)
        for (; p + 2 <= a->pixels; p += 2) NAME(images_pixels)(COLUMNS, 2, a, p);
    for (; p < a->pixels; p++) NAME(images_pixels)(COLUMNS, 1, a, p);
}

static void NAME(images_convolve)(const fc_images_args *a){FC_BY_COLUMNS(images_columns, a)}

FC_INLINE void NAME(images_wgrad_columns)(const int COLUMNS, const fc_images_wgrad_args *const a) {
    for (ptrdiff_t d = 0; d < a->depth; d++) {
        vec low[FC_IMAGES_COLUMNS], high[FC_IMAGES_COLUMNS];
        FC_UNROLL(4)
        for (int j = 0; j < COLUMNS; j++) low[j] = high[j] = v_zero();
        for (ptrdiff_t l = 0; l < a->lines; l++) {
            const real *x = a->x ? (const real *)a->x + l * a->x_line + d * a->x_depth : NULL;
            const real *dy = (const real *)a->dy + l * a->dy_line;
            for (ptrdiff_t p = 0; p < a->pixels; p++, dy += a->dy_pixel) {
                const vec x_low = x ? v_load(x) : v_set1(1), x_high = x ? v_load(x + VL) : v_set1(1);
                if (x) x += a->x_pixel;
                FC_UNROLL(4)
                for (int j = 0; j < COLUMNS; j++) {
                    low[j] = v_fma(x_low, v_load(dy + j * a->dy_depth), low[j]);
                    high[j] = v_fma(x_high, v_load(dy + j * a->dy_depth + VL), high[j]);
                }
            }
        }
        FC_UNROLL(4)
        for (int j = 0; j < COLUMNS; j++) ((real *)a->acc)[d * a->ldw + j] = v_sum(v_add(low[j], high[j]));
    }
}

static void NAME(images_wgrad)(const fc_images_wgrad_args *a){FC_BY_COLUMNS(images_wgrad_columns, a)}

#define FC_IMAGES_KERNELS {NAME(images_convolve), NAME(images_wgrad)}
