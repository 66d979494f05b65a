/* Both gradients of 3x3 depthwise convolution: see fc_depthwise_gradients_args in ukernels.h for what is computed. A walk along the steps holds
 * the elements of dy that the pixels of x at hand belong to, the weights of one vector of channels and the sums of their gradients: x and dy are
 * read, and dx is written, once. Vectors of channels, and where their sums are, as in depthwise_wgrad_body.h. A term of dx is added column by
 * column, as walks do. */

/* With stride 1 weights and sums and what is held of dy take more than 16 registers. */
#define FC_GRADIENTS_DENSE (FC_REGISTERS >= 32)
#if !FC_RARE
#define FC_GRADIENTS_KERNELS .gradients = NULL
#else
#define FC_GRADIENTS_KERNELS .gradients = NAME(depthwise_gradients), .gradients_dense = FC_GRADIENTS_DENSE

FC_INLINE void NAME(gradients_walk)(const int SHIFT, const fc_depthwise_gradients_args *const a, const ptrdiff_t c, const ptrdiff_t slot,
                                    const ptrdiff_t fetched, const real *dy_next) {
    const int LIVE = 2 / SHIFT + 1, LINE = 64 / (int)sizeof(real);
    const real *x_next = (const real *)a->x_next + fetched, *dx_next = (const real *)a->dx_next + (a->dx_next ? fetched : 0);
    const ptrdiff_t step = a->step, ld = a->ldw, steps = a->steps, dy_column = a->dy_column, dy_width = a->dy_width, width = a->width;
    const ptrdiff_t column = a->column, from = c - column * step;
    const ptrdiff_t n = FC_PARTIAL_FREE && a->channels < VL ? a->channels : VL;
    real *const out = (real *)a->acc + slot;
    vec weight[3][3], acc[3][3], sum = v_load(out + 9 * ld);
    FC_UNROLL(3)
    for (int r = 0; r < 3; r++) {
        FC_UNROLL(3)
        for (int t = 0; t < 3; t++) {
            weight[r][t] = NAME(load_free)((const real *)a->w + (3 * r + t) * step + c, n);
            acc[r][t] = v_load(out + (3 * r + t) * ld);
        }
    }
    for (ptrdiff_t l = 0; l < a->lines; l++) {
        const real *dy[3], *x[2], *const summed = (const real *)a->dy[l + LIVE - 1 - a->dy_row] + c;
        real *dx[2];
        vec grad[3][3];
        FC_UNROLL(2)
        for (int u = 0; u < SHIFT; u++) x[u] = (const real *)a->x[l * SHIFT + u] + from, dx[u] = (real *)a->dx[l * SHIFT + u] + from;
        FC_UNROLL(3)
        for (int d = 0; d < LIVE; d++) {
            dy[d] = (const real *)a->dy[l + LIVE - 1 - d] + c + dy_column * step;
            FC_UNROLL(2)
            for (int e = 0; e < LIVE - 1; e++)
                grad[d][e] = e < dy_column && dy_column - 1 - e < dy_width ? NAME(load_free)(dy[d] - (1 + e) * step, n) : v_zero();
        }
        FC_ROLLED
        for (ptrdiff_t k = 0, at = 0; k < steps; k++, at += step, dy_next += VL) {
            __builtin_prefetch(dy_next, 0, 2);
            FC_UNROLL(3)
            for (int d = 0; d < LIVE; d++) {
                FC_UNROLL(2)
                for (int e = LIVE - 1; e > 0; e--) grad[d][e] = grad[d][e - 1];
                grad[d][0] = v_zero();
            }
            ptrdiff_t column_left = dy_width - k;
            FC_OPAQUE(column_left); /* one loop */
            if (column_left > dy_column) {
                FC_UNROLL(3)
                for (int d = 0; d < LIVE; d++) grad[d][0] = NAME(load_free)(dy[d] + at, n);
            }
            if (column_left > 0) sum = v_add(sum, NAME(load_free)(summed + at, n));
            FC_UNROLL(2)
            for (int v = 0; v < SHIFT; v++) {
                if (SHIFT == 2 && (size_t)(SHIFT * k + v - column) >= (size_t)width) continue;
                int far = a->dx_next != NULL;
                FC_OPAQUE(far); /* one loop, with a branch */
                const ptrdiff_t here = SHIFT * at + v * step;
                FC_UNROLL(2)
                for (int u = 0; u < SHIFT; u++, x_next += VL, dx_next += far ? VL : 0) {
                    const vec value = NAME(load_free)(x[u] + here, n);
                    vec s = v_zero();
                    __builtin_prefetch(x_next, 0, 2);
                    __builtin_prefetch(far ? dx_next : dx[u] + here + LINE, 1, 2);
                    FC_UNROLL(3)
                    for (int e = LIVE - 1; e >= 0; e--) {
                        FC_UNROLL(3)
                        for (int d = LIVE - 1; d >= 0; d--) {
                            if (u + d * SHIFT > 2 || v + e * SHIFT > 2) continue;
                            s = v_fma(grad[d][e], weight[u + d * SHIFT][v + e * SHIFT], s);
                            acc[u + d * SHIFT][v + e * SHIFT] = v_fma(grad[d][e], value, acc[u + d * SHIFT][v + e * SHIFT]);
                        }
                    }
                    NAME(store_free)(dx[u] + here, s, n);
                }
            }
        }
    }
    FC_UNROLL(3)
    for (int r = 0; r < 3; r++) {
        FC_UNROLL(3)
        for (int t = 0; t < 3; t++) v_store(out + (3 * r + t) * ld, acc[r][t]);
    }
    v_store(out + 9 * ld, sum);
}

/* Functions of their own, short of registers as they are. */
#define FC_GRADIENTS_WALK(shift)                                                                                                             \
    static __attribute__((noinline)) void NAME(gradients_walk_##shift)(const fc_depthwise_gradients_args *const a, const ptrdiff_t c,        \
                                                                       const ptrdiff_t slot, const ptrdiff_t fetched, const real *dy_next) { \
        NAME(gradients_walk)(shift, a, c, slot, fetched, dy_next);                                                                           \
    }
#if FC_GRADIENTS_DENSE
FC_GRADIENTS_WALK(1)
#else
#define gradients_walk_1 gradients_walk_2
#endif
FC_GRADIENTS_WALK(2)
#undef FC_GRADIENTS_WALK

static void NAME(depthwise_gradients)(const fc_depthwise_gradients_args *const a) {
    const ptrdiff_t channels = a->channels, share = a->lines * a->steps * VL;
    const real *dy_next = a->dy_next;
    ptrdiff_t fetched = 0;
    assert(a->lines > 0 && (a->stride == 1 || a->stride == 2) && (channels >= VL || FC_PARTIAL_FREE));
    for (ptrdiff_t slot = 0; slot < channels; slot += VL, fetched += share * a->stride * a->stride, dy_next += share) {
        const ptrdiff_t c = slot + VL <= channels || slot == 0 ? slot : channels - VL;
        (a->stride == 1 ? NAME(gradients_walk_1) : NAME(gradients_walk_2))(a, c, slot, fetched, dy_next);
    }
}
#undef gradients_walk_1
#endif
