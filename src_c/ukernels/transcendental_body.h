/* exp, expm1, log1p and the normal distribution on vectors. Errors are against the exact result, in units in the last place
 * (ulp), where results are normal numbers; tests/test_activations.py holds the functions built on these to their bounds.
 *
 * exp and expm1: x = n ln 2 + r with |r| <= ln(2)/2 and ln 2 in two parts (Cody & Waite, Software Manual for the Elementary
 * Functions, 1980), then the Taylor polynomial of e^r - 1, whose truncation error is below a tenth of an ulp. */
#define FC_REAL(f32, f64) ((real)(sizeof(real) == sizeof(float) ? (f32) : (f64)))

static const real NAME(inverse_factorial)[] = {(real)1,
                                               (real)(1. / 2),
                                               (real)(1. / 6),
                                               (real)(1. / 24),
                                               (real)(1. / 120),
                                               (real)(1. / 720),
                                               (real)(1. / 5040),
                                               (real)(1. / 40320),
                                               (real)(1. / 362880),
                                               (real)(1. / 3628800),
                                               (real)(1. / 39916800),
                                               (real)(1. / 479001600),
                                               (real)(1. / 6227020800)};

/* The integer nearest to a, |a| < 2^22 (2^51). */
FC_INLINE vec NAME(nearest)(const vec a) {
    const vec magic = v_set1(FC_REAL(0x1.8p23, 0x1.8p52));
    return v_sub(v_add(a, magic), magic);
}

/* n of the split x + low = n ln 2 + r, and r; x has few bits or low is 0. */
FC_INLINE vec NAME(exp_split)(const vec x, const vec low, vec *const r) {
    const vec n = NAME(nearest)(v_mul(v_add(x, low), v_set1((real)1.4426950408889634)));
    const vec rest = v_fnma(n, v_set1(FC_REAL(0x1.63p-1, 0x1.62e42feep-1)), x);
    *r = v_add(v_fnma(n, v_set1(FC_REAL(-2.12194440054690583e-4, 1.90821492927058770e-10)), rest), low);
    return n;
}

/* e^r - 1 for a reduced r */
FC_INLINE vec NAME(expm1_reduced)(const vec r) {
    enum { TERMS = sizeof(real) == sizeof(float) ? 7 : 13 };
    vec q = v_set1(NAME(inverse_factorial)[TERMS - 1]);
    FC_UNROLL(12)
    for (int k = TERMS - 2; k >= 1; k--) q = v_fma(q, r, v_set1(NAME(inverse_factorial)[k]));
    return v_fma(v_mul(r, r), q, r);
}

/* e^x, error <= 1.5 ulp; 0 and infinity where they are due. */
FC_INLINE vec NAME(exp)(vec x) {
    x = v_max(v_set1(FC_REAL(-110, -750)), v_min(v_set1(FC_REAL(90, 711)), x));
    vec r;
    const vec n = NAME(exp_split)(x, v_zero(), &r);
    return v_scale2(v_add(v_set1(1), NAME(expm1_reduced)(r)), n);
}

/* e^x - 1 for x <= 0, error <= 2 ulp. */
FC_INLINE vec NAME(expm1_negative)(vec x) {
    x = v_max(v_set1(-50), x);
    vec r;
    const vec n = NAME(exp_split)(x, v_zero(), &r);
    const vec power = v_scale2(v_set1(1), n);
    return v_fma(power, NAME(expm1_reduced)(r), v_sub(power, v_set1(1)));
}

/* log(1 + t) for 0 <= t <= 1, error <= 3 ulp: 2 artanh(t / (2 + t)), and above sqrt(2) - 1 log 2 + log((1 + t) / 2), so that
 * the argument of artanh stays below 0.172 and few terms of its series suffice. */
FC_INLINE vec NAME(log1p_unit)(const vec t) {
    enum { TERMS = sizeof(real) == sizeof(float) ? 6 : 11 };
    const vmask large = v_gt(t, v_set1((real)0.41421356237309505));
    const vec top = v_select(large, v_sub(t, v_set1(1)), t), bottom = v_add(t, v_select(large, v_set1(3), v_set1(2)));
    const vec twice = v_div(v_add(top, top), bottom), ss = v_mul(v_set1((real)0.25), v_mul(twice, twice));
    vec q = v_set1((real)(1. / (2 * TERMS - 1)));
    FC_UNROLL(12)
    for (int k = TERMS - 2; k >= 1; k--) q = v_fma(q, ss, v_set1((real)1 / (real)(2 * k + 1)));
    const vec log_part = v_fma(v_mul(twice, ss), q, twice);
    return v_add(log_part, v_select(large, v_set1((real)0.69314718055994531), v_zero()));
}

/* The normal distribution: e^(-x^2/2), and the probability of the tail beyond |x|, error <= 6 ulp up to |x| = 12 (f32) and 37.
 *
 * tail = e^(-x^2/2) S(t) / (|x| + 4) with t = (|x| - 4) / (|x| + 4), S interpolated at the Chebyshev nodes of the range with a
 * relative error of 1.2e-8 (f32), 3.6e-17. x^2 is taken in two parts, the square of |x| rounded to few bits and the rest: the
 * idea of W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969). */
static const real NAME(tail_coefficients)[] = {
#if defined(FC_F32)
    0.7552851383f,  -0.6078966183f,  0.3871366841f,    -0.1865226849f,   0.06040668873f, -0.007529250703f,
    -0.0035261837f, 0.001572317879f, 0.0002012617303f, -0.0001201844011f
#else
    0.75528513041575148,     -0.607896641971891759,   0.387137400742218879,    -0.186521857959694163,   0.0603965748906994641,
    -0.00754018896559305902, -0.00347969236224253334, 0.0016308184418903596,   0.000133344254019049116, -0.000231094818319376211,
    -1.90786653166135743e-6, 3.51441811577609727e-5,  7.15005595521609866e-7,  -5.91889273176323645e-6, -6.25132104047868019e-7,
    1.01980485181351727e-6,  2.63682485764076251e-7,  -1.54263205367710739e-7, -7.63808205349045035e-8, 1.45785933470364597e-8,
    1.39240239935017101e-8,  7.26954547902668946e-11, -9.65342542022850467e-10
#endif
};

FC_INLINE vec NAME(normal_tail)(const vec x, vec *const bell) {
    enum { TERMS = sizeof NAME(tail_coefficients) / sizeof(real) };
    const vec a = v_min(v_set1(FC_REAL(16, 40)), v_abs(x));
    const vec magic = v_set1(FC_REAL(0x1.8p19, 0x1.8p32)), rounded = v_sub(v_add(a, magic), magic);
    const vec high = v_mul(v_set1((real)-0.5), v_mul(rounded, rounded));
    const vec low = v_mul(v_mul(v_set1((real)-0.5), v_sub(a, rounded)), v_add(a, rounded));
    vec r;
    const vec n = NAME(exp_split)(high, low, &r);
    *bell = v_scale2(v_add(v_set1(1), NAME(expm1_reduced)(r)), n);
    const vec scale = v_div(v_set1(1), v_add(a, v_set1(4))), t = v_mul(v_sub(a, v_set1(4)), scale);
    vec s = v_set1(NAME(tail_coefficients)[TERMS - 1]);
    FC_UNROLL(24)
    for (int k = TERMS - 2; k >= 0; k--) s = v_fma(s, t, v_set1(NAME(tail_coefficients)[k]));
    return v_mul(*bell, v_mul(s, scale));
}
