/* Batch normalization: see fc_channel_block in ukernels_elementwise.h for the arrays. Where channels are last, vectors run along
 * them, up to four at a time; else along the positions of one channel. */

/* Vectors of NV * VL channels, or of fewer: the last is then partial. */
FC_INLINE vec NAME(bn_load)(const real *const p, const ptrdiff_t n) { return n >= VL ? v_load(p) : v_load_n(p, n); }
FC_INLINE void NAME(bn_store)(real *const p, const vec v, const ptrdiff_t n) {
    if (n >= VL) v_store(p, v);
    else v_store_n(p, v, n);
}

/* The sums of two terms over one block: of d = x - shift and d * d, or of d = dy and d * (x - shift). */
FC_INLINE void NAME(bn_terms)(const int gradient, const vec x, const vec dy, const vec shift, vec *const sum, vec *const dot) {
    const vec d = v_sub(x, shift), first = gradient ? dy : d;
    *sum = v_add(*sum, first);
    *dot = v_fma(first, d, *dot);
}

FC_INLINE void NAME(bn_sums_last)(const int NV, const int gradient, const fc_channel_block *const b, const real *dy, const real *x,
                                  const real *const shift, const ptrdiff_t n, real *const sum, real *const dot) {
    vec s[4], p[4], m[4];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        s[v] = p[v] = v_zero();
        m[v] = NAME(bn_load)(shift + v * VL, n - v * VL);
    }
    for (ptrdiff_t i = 0; i < b->outer; i++) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) {
            const vec g = gradient ? NAME(bn_load)(dy + v * VL, n - v * VL) : v_zero();
            NAME(bn_terms)(gradient, NAME(bn_load)(x + v * VL, n - v * VL), g, m[v], &s[v], &p[v]);
        }
        x += b->stride;
        if (gradient) dy += b->stride;
    }
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) {
        NAME(bn_store)(sum + v * VL, s[v], n - v * VL);
        NAME(bn_store)(dot + v * VL, p[v], n - v * VL);
    }
}

/* Channel c of a block whose channels are not last. */
FC_INLINE void NAME(bn_sums_inner)(const int gradient, const fc_channel_block *const b, const real *dy, const real *x, const real shift,
                                   real *const sum, real *const dot) {
    const vec m = v_set1(shift);
    vec s = v_zero(), p = v_zero(), s2 = v_zero(), p2 = v_zero();
    for (ptrdiff_t i = 0; i < b->outer; i++) {
        ptrdiff_t j = 0;
        for (; j + 2 * VL <= b->inner; j += 2 * VL) {
            NAME(bn_terms)(gradient, v_load(x + j), gradient ? v_load(dy + j) : m, m, &s, &p);
            NAME(bn_terms)(gradient, v_load(x + j + VL), gradient ? v_load(dy + j + VL) : m, m, &s2, &p2);
        }
        for (; j < b->inner; j += VL) {
            const ptrdiff_t n = b->inner - j;
            const vec value = n >= VL ? v_load(x + j) : v_select(v_first(n), v_load_n(x + j, n), m);
            NAME(bn_terms)(gradient, value, gradient ? NAME(bn_load)(dy + j, n) : m, m, &s, &p);
        }
        x += b->stride;
        if (gradient) dy += b->stride;
    }
    *sum = v_sum(v_add(s, s2));
    *dot = v_sum(v_add(p, p2));
}

FC_INLINE void NAME(bn_block_sums)(const int gradient, const fc_channel_block *const b, const real *const dy, const real *const x,
                                   const real *const shift, real *const sum, real *const dot) {
    ptrdiff_t c = 0;
    if (b->inner == 1) {
        for (; c + 4 * VL <= b->channels; c += 4 * VL)
            NAME(bn_sums_last)(4, gradient, b, gradient ? dy + c : NULL, x + c, shift + c, 4 * VL, sum + c, dot + c);
        for (; c + VL <= b->channels; c += VL) NAME(bn_sums_last)(1, gradient, b, gradient ? dy + c : NULL, x + c, shift + c, VL, sum + c, dot + c);
        if (c < b->channels) NAME(bn_sums_last)(1, gradient, b, gradient ? dy + c : NULL, x + c, shift + c, b->channels - c, sum + c, dot + c);
    } else {
        for (; c < b->channels; c++)
            NAME(bn_sums_inner)(gradient, b, gradient ? dy + c * b->inner : NULL, x + c * b->inner, shift[c], sum + c, dot + c);
    }
}

static void NAME(bn_sums)(const fc_channel_block *b, const void *dy, const void *x, const void *shift, double *sum, double *dot) {
    assert(b->channels <= FC_CHANNEL_BLOCK);
    real s[FC_CHANNEL_BLOCK], p[FC_CHANNEL_BLOCK];
    if (dy) NAME(bn_block_sums)(1, b, dy, x, shift, s, p);
    else NAME(bn_block_sums)(0, b, NULL, x, shift, s, p);
    for (ptrdiff_t c = 0; c < b->channels; c++) {
        sum[c] = (double)s[c];
        dot[c] = (double)p[c];
    }
}

/* The affine maps of the two passes: (x - mean) * a + b, and dy * a + ((x - mean) * c + b). */
FC_INLINE vec NAME(bn_map)(const int gradient, const vec dy, const vec x, const vec mean, const vec a, const vec b, const vec c) {
    const vec d = v_sub(x, mean);
    return gradient ? v_fma(dy, a, v_fma(d, c, b)) : v_fma(d, a, b);
}

FC_INLINE void NAME(bn_apply)(const int gradient, const fc_channel_block *const block, const real *dy, const real *x, const real *const mean,
                              const real *const a, const real *const b, const real *const c, real *y) {
    const ptrdiff_t channels = block->channels, inner = block->inner;
    for (ptrdiff_t i = 0; i < block->outer; i++) {
        if (inner == 1) {
            for (ptrdiff_t j = 0; j < channels; j += VL) {
                const ptrdiff_t n = channels - j;
                const vec g = gradient ? NAME(bn_load)(dy + j, n) : v_zero();
                const vec factor = gradient ? NAME(bn_load)(c + j, n) : v_zero();
                NAME(bn_store)(y + j,
                               NAME(bn_map)(gradient, g, NAME(bn_load)(x + j, n), NAME(bn_load)(mean + j, n), NAME(bn_load)(a + j, n),
                                            NAME(bn_load)(b + j, n), factor),
                               n);
            }
        } else {
            for (ptrdiff_t k = 0; k < channels; k++) {
                const vec m = v_set1(mean[k]), ak = v_set1(a[k]), bk = v_set1(b[k]), ck = v_set1(gradient ? c[k] : 0);
                for (ptrdiff_t j = k * inner; j < (k + 1) * inner; j += VL) {
                    const ptrdiff_t n = (k + 1) * inner - j;
                    const vec g = gradient ? NAME(bn_load)(dy + j, n) : v_zero();
                    NAME(bn_store)(y + j, NAME(bn_map)(gradient, g, NAME(bn_load)(x + j, n), m, ak, bk, ck), n);
                }
            }
        }
        x += block->stride;
        y += block->stride;
        if (gradient) dy += block->stride;
    }
}

static void NAME(bn_normalize)(const fc_channel_block *block, const void *x, const void *mean, const void *a, const void *b, void *y) {
    NAME(bn_apply)(0, block, NULL, x, mean, a, b, NULL, y);
}

static void NAME(bn_backward)(const fc_channel_block *block, const void *dy, const void *x, const void *mean, const void *a, const void *b,
                              const void *c, void *dx) {
    NAME(bn_apply)(1, block, dy, x, mean, a, b, c, dx);
}
