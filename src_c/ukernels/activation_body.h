/* Activations and their gradients. Which one is a constant after inlining. Definitions and constants are Keras's. */

#define FC_SELU_SCALE 1.0507009873554804934193349852946
#define FC_SELU_ALPHA 1.6732632423543772848170429916717
#define FC_LEAKY_SLOPE 0.2

FC_INLINE vec NAME(sigmoid)(const vec x) { return v_div(v_set1(1), v_add(v_set1(1), NAME(exp)(v_sub(v_zero(), x)))); }

FC_INLINE vec NAME(tanh)(const vec x) {
    const vec e = NAME(expm1_negative)(v_mul(v_set1(-2), v_abs(x)));
    return v_copysign(v_div(e, v_add(v_set1(2), e)), x);
}

/* The probability that a normal variable is below x, and e^(-x^2/2). */
FC_INLINE vec NAME(normal)(const vec x, vec *const bell) {
    const vec tail = NAME(normal_tail)(x, bell);
    return v_select(v_gt(x, v_zero()), v_sub(v_set1(1), tail), tail);
}

FC_INLINE vec NAME(activate)(const fc_activation f, const vec x) {
    const vec zero = v_zero(), one = v_set1(1);
    vec bell;
    switch (f) {
    case FC_RELU:
        return v_max(zero, x);
    case FC_SIGMOID:
        return NAME(sigmoid)(x);
    case FC_TANH:
        return NAME(tanh)(x);
    case FC_ELU:
        return v_select(v_gt(x, zero), x, NAME(expm1_negative)(x));
    case FC_SELU:
        return v_select(v_gt(x, zero), v_mul(v_set1((real)FC_SELU_SCALE), x),
                        v_mul(v_set1((real)(FC_SELU_SCALE * FC_SELU_ALPHA)), NAME(expm1_negative)(x)));
    case FC_SOFTPLUS:
        return v_add(v_max(zero, x), NAME(log1p_unit)(NAME(exp)(v_sub(zero, v_abs(x)))));
    case FC_SOFTSIGN: {
        const vec a = v_min(v_set1((real)1e30), v_abs(x));
        return v_copysign(v_div(a, v_add(one, a)), x);
    }
    case FC_LEAKY_RELU:
        return v_max(v_mul(v_set1((real)FC_LEAKY_SLOPE), x), x);
    case FC_GELU:
        return v_mul(v_max(v_set1(-100), x), NAME(normal)(x, &bell));
    case FC_SILU:
        return v_div(v_max(v_set1(-1000), x), v_add(one, NAME(exp)(v_sub(zero, x))));
    case FC_EXPONENTIAL:
        return NAME(exp)(x);
    case FC_HARD_SIGMOID:
        return v_mul(v_set1((real)(1. / 6)), v_min(v_set1(6), v_max(zero, v_add(x, v_set1(3)))));
    case FC_RELU6:
        return v_min(v_set1(6), v_max(zero, x));
    default:
        return x;
    }
}

/* dy * f'(x), from s = f(x); from s = x for the functions of fc_activation_needs_input. At a kink the slope is Keras's. */
FC_INLINE vec NAME(activate_backward)(const fc_activation f, const vec dy, const vec s) {
    const vec zero = v_zero(), one = v_set1(1);
    switch (f) {
    case FC_RELU:
        return v_select(v_gt(s, zero), dy, zero);
    case FC_SIGMOID:
        return v_mul(v_mul(dy, s), v_sub(one, s));
    case FC_TANH:
        return v_mul(v_mul(dy, v_sub(one, s)), v_add(one, s));
    case FC_ELU:
        return v_select(v_gt(zero, s), v_fma(dy, s, dy), dy);
    case FC_SELU:
        return v_mul(dy, v_select(v_gt(zero, s), v_add(s, v_set1((real)(FC_SELU_SCALE * FC_SELU_ALPHA))), v_set1((real)FC_SELU_SCALE)));
    case FC_SOFTPLUS:
        return v_sub(zero, v_mul(dy, NAME(expm1_negative)(v_sub(zero, s))));
    case FC_SOFTSIGN: {
        const vec d = v_sub(one, v_abs(s));
        return v_mul(dy, v_mul(d, d));
    }
    case FC_LEAKY_RELU:
        return v_select(v_gt(s, zero), dy, v_mul(v_set1((real)FC_LEAKY_SLOPE), dy));
    case FC_GELU: {
        vec bell;
        const vec below = NAME(normal)(s, &bell);
        const vec x = v_max(v_set1(-100), v_min(v_set1(100), s));
        return v_mul(dy, v_fma(x, v_mul(bell, v_set1((real)0.39894228040143268)), below));
    }
    case FC_SILU: {
        const vec p = NAME(sigmoid)(s), x = v_max(v_set1(-1000), v_min(v_set1(1000), s));
        return v_mul(dy, v_mul(p, v_fma(x, v_sub(one, p), one)));
    }
    case FC_EXPONENTIAL:
        return v_mul(dy, s);
    case FC_HARD_SIGMOID:
        return v_select(v_gt(s, zero), v_select(v_gt(one, s), v_mul(v_set1((real)(1. / 6)), dy), zero), zero);
    case FC_RELU6:
        return v_select(v_gt(s, zero), v_select(v_gt(v_set1(6), s), dy, zero), zero);
    default:
        return dy;
    }
}

FC_INLINE void NAME(activation_loop)(const fc_activation f, const real *const x, real *const y, const ptrdiff_t n) {
    assert(n >= 0);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, NAME(activate)(f, v_load(x + i)));
    if (i < n) v_store_n(y + i, NAME(activate)(f, v_load_n(x + i, n - i)), n - i);
}

FC_INLINE void NAME(activation_backward_loop)(const fc_activation f, const real *const dy, const real *const s, real *const dx, const ptrdiff_t n) {
    assert(n >= 0);
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) v_store(dx + i, NAME(activate_backward)(f, v_load(dy + i), v_load(s + i)));
    if (i < n) v_store_n(dx + i, NAME(activate_backward)(f, v_load_n(dy + i, n - i), v_load_n(s + i, n - i)), n - i);
}

#ifndef FC_ACTIVATION_FNS
#define FC_ACTIVATION_LIST(X)                                                                                                                       \
    X(FC_LINEAR)                                                                                                                                    \
    X(FC_RELU) X(FC_SIGMOID) X(FC_TANH) X(FC_ELU) X(FC_SELU) X(FC_SOFTPLUS) X(FC_SOFTSIGN) X(FC_LEAKY_RELU) X(FC_GELU) X(FC_SILU) X(FC_EXPONENTIAL) \
        X(FC_HARD_SIGMOID) X(FC_RELU6)
#define FC_ACTIVATION_FNS(f)                                                                                     \
    static void NAME(activation_##f)(const void *x, void *y, ptrdiff_t n) { NAME(activation_loop)(f, x, y, n); } \
    static void NAME(activation_backward_##f)(const void *dy, const void *s, void *dx, ptrdiff_t n) {            \
        NAME(activation_backward_loop)(f, dy, s, dx, n);                                                         \
    }
#define FC_ACTIVATION_ENTRY(f) [f] = NAME(activation_##f),
#define FC_ACTIVATION_BACKWARD_ENTRY(f) [f] = NAME(activation_backward_##f),
#endif
FC_ACTIVATION_LIST(FC_ACTIVATION_FNS)
