/* Sums of windows that lie side by side: see fc_slide_args in ukernels.h. The window stays in registers and slides on: what its first
 * lanes hold is complete, the others are stored again with the next pixel. */
FC_INLINE void NAME(slide_vectors)(const int NV, const fc_slide_args *const a) {
    int32_t lane[VL];
    for (int l = 0; l < VL; l++) lane[l] = (int32_t)(l + a->step);
    const vindex next = v_index(lane);
    const ptrdiff_t rows = a->rows, last = a->width - (NV - 1) * VL, step = a->step;
    real *out = a->out;
    vec window[4];
    FC_UNROLL(4)
    for (int v = 0; v < 4; v++) window[v] = v_zero();
    for (ptrdiff_t p = 0, at = 0; p < a->pixels; p++, at += a->pixel, out += step) {
        vec sum[3];
        FC_UNROLL(3)
        for (int v = 0; v < NV; v++) sum[v] = v_zero();
        for (ptrdiff_t r = 0; r < rows; r++) {
            const real *const z = (const real *)a->z[r] + at;
            FC_UNROLL(3)
            for (int v = 0; v < NV; v++) sum[v] = v_add(sum[v], v + 1 < NV ? v_load(z + v * VL) : v_load_n(z + v * VL, last));
        }
        FC_UNROLL(3)
        for (int v = 0; v < NV; v++) {
            window[v] = v_add(v_permute2(window[v], window[v + 1], next), sum[v]);
            v_store(out + v * VL, window[v]);
        }
    }
}

static void NAME(slide)(const fc_slide_args *const a) {
    assert(a->step > 0 && a->step <= VL && a->width > 0 && a->width <= FC_SLIDE_VECTORS * VL);
    if (a->width <= VL) NAME(slide_vectors)(1, a);
    else if (a->width <= 2 * VL) NAME(slide_vectors)(2, a);
    else NAME(slide_vectors)(3, a);
}
