/* Optimizer updates with Keras's formulas, one pass over all arrays. Gradients are multiplied by p->scale first, and weights
 * lose the fraction p->decay of themselves (I. Loshchilov & F. Hutter, Decoupled weight decay regularization, 2019). */

FC_INLINE vec NAME(get)(const real *const p, const ptrdiff_t n) { return n == VL ? v_load(p) : v_load_n(p, n); }
FC_INLINE void NAME(put)(real *const p, const vec v, const ptrdiff_t n) {
    if (n == VL) v_store(p, v);
    else v_store_n(p, v, n);
}

FC_INLINE void NAME(sgd_step)(const int momentum, const int nesterov, const fc_sgd *const p, real *const w, const real *const g, real *const m,
                              const ptrdiff_t n) {
    const vec step = v_mul(NAME(get)(g, n), v_set1((real)(p->scale * p->learning_rate)));
    vec value = NAME(get)(w, n);
    value = v_fnma(value, v_set1((real)p->decay), value);
    if (!momentum) {
        NAME(put)(w, v_sub(value, step), n);
        return;
    }
    const vec mu = v_set1((real)p->momentum);
    const vec speed = v_sub(v_mul(mu, NAME(get)(m, n)), step);
    NAME(put)(m, speed, n);
    NAME(put)(w, v_add(value, nesterov ? v_sub(v_mul(mu, speed), step) : speed), n);
}

FC_INLINE void NAME(rmsprop_step)(const int momentum, const int centered, const fc_rmsprop *const p, real *const w, const real *const g_,
                                  real *const v, real *const m, real *const mg, const ptrdiff_t n) {
    const vec rho = v_set1((real)p->rho), rest = v_set1((real)(1 - p->rho));
    const vec g = v_mul(NAME(get)(g_, n), v_set1((real)p->scale));
    const vec square = v_fma(v_mul(rest, g), g, v_mul(rho, NAME(get)(v, n)));
    NAME(put)(v, square, n);
    vec variance = square;
    if (centered) {
        const vec mean = v_fma(rest, g, v_mul(rho, NAME(get)(mg, n)));
        NAME(put)(mg, mean, n);
        variance = v_fnma(mean, mean, square);
    }
    vec step = v_mul(v_set1((real)p->learning_rate), g);
    step = v_div(step, v_sqrt(v_add(variance, v_set1((real)p->epsilon))));
    if (momentum) {
        step = v_fma(v_set1((real)p->momentum), NAME(get)(m, n), step);
        NAME(put)(m, step, n);
    }
    const vec value = NAME(get)(w, n);
    NAME(put)(w, v_sub(v_fnma(value, v_set1((real)p->decay), value), step), n);
}

FC_INLINE void NAME(adam_step)(const int amsgrad, const fc_adam *const p, real *const w, const real *const g_, real *const m, real *const v,
                               real *const vhat, const ptrdiff_t n) {
    const vec g = v_mul(NAME(get)(g_, n), v_set1((real)p->scale));
    const vec m0 = NAME(get)(m, n), v0 = NAME(get)(v, n);
    const vec mean = v_fma(v_sub(g, m0), v_set1((real)(1 - p->beta_1)), m0);
    vec square = v_fma(v_sub(v_mul(g, g), v0), v_set1((real)(1 - p->beta_2)), v0);
    NAME(put)(m, mean, n);
    NAME(put)(v, square, n);
    if (amsgrad) {
        square = v_max(NAME(get)(vhat, n), square);
        NAME(put)(vhat, square, n);
    }
    const vec step = v_div(v_mul(mean, v_set1((real)p->learning_rate)), v_add(v_sqrt(square), v_set1((real)p->epsilon)));
    const vec value = NAME(get)(w, n);
    NAME(put)(w, v_sub(v_fnma(value, v_set1((real)p->decay), value), step), n);
}

FC_INLINE void NAME(sgd_loop)(const int momentum, const int nesterov, const fc_sgd *const p, real *const w, const real *const g, real *const m,
                              const ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) NAME(sgd_step)(momentum, nesterov, p, w + i, g + i, momentum ? m + i : NULL, VL);
    if (i < n) NAME(sgd_step)(momentum, nesterov, p, w + i, g + i, momentum ? m + i : NULL, n - i);
}
static void NAME(sgd)(const fc_sgd *p, void *w, const void *g, void *m, ptrdiff_t n) {
    if (!m) NAME(sgd_loop)(0, 0, p, w, g, NULL, n);
    else if (!p->nesterov) NAME(sgd_loop)(1, 0, p, w, g, m, n);
    else NAME(sgd_loop)(1, 1, p, w, g, m, n);
}

FC_INLINE void NAME(rmsprop_loop)(const int momentum, const int centered, const fc_rmsprop *const p, real *const w, const real *const g,
                                  real *const v, real *const m, real *const mg, const ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) {
        real *const mi = momentum ? m + i : NULL, *const mgi = centered ? mg + i : NULL;
        if (n - i >= VL) NAME(rmsprop_step)(momentum, centered, p, w + i, g + i, v + i, mi, mgi, VL);
        else NAME(rmsprop_step)(momentum, centered, p, w + i, g + i, v + i, mi, mgi, n - i);
    }
}
static void NAME(rmsprop)(const fc_rmsprop *p, void *w, const void *g, void *v, void *m, void *mg, ptrdiff_t n) {
    if (m && mg) NAME(rmsprop_loop)(1, 1, p, w, g, v, m, mg, n);
    else if (m) NAME(rmsprop_loop)(1, 0, p, w, g, v, m, NULL, n);
    else if (mg) NAME(rmsprop_loop)(0, 1, p, w, g, v, NULL, mg, n);
    else NAME(rmsprop_loop)(0, 0, p, w, g, v, NULL, NULL, n);
}

FC_INLINE void NAME(adam_loop)(const int amsgrad, const fc_adam *const p, real *const w, const real *const g, real *const m, real *const v,
                               real *const vhat, const ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VL) {
        real *const hi = amsgrad ? vhat + i : NULL;
        if (n - i >= VL) NAME(adam_step)(amsgrad, p, w + i, g + i, m + i, v + i, hi, VL);
        else NAME(adam_step)(amsgrad, p, w + i, g + i, m + i, v + i, hi, n - i);
    }
}
static void NAME(adam)(const fc_adam *p, void *w, const void *g, void *m, void *v, void *vhat, ptrdiff_t n) {
    if (vhat) NAME(adam_loop)(1, p, w, g, m, v, vhat, n);
    else NAME(adam_loop)(0, p, w, g, m, v, NULL, n);
}
