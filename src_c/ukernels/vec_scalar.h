/* Portable vectors of 16 bytes, in the vector extension that gcc and clang share: plain C where the target has none.
 * The operations are listed in kernel_prelude.h. */
#include "vec_common.h"

#define vec NAME(vec_t)
#define vmask NAME(mask_t)
#if defined(FC_F32)
#define VL 4
typedef int32_t NAME(int_t);
#else
#define VL 2
typedef int64_t NAME(int_t);
#endif
typedef real vec __attribute__((vector_size(16)));
typedef NAME(int_t) vmask __attribute__((vector_size(16)));

FC_INLINE vec NAME(set1)(real s) {
    vec v;
    for (int i = 0; i < VL; i++) v[i] = s;
    return v;
}
FC_INLINE vec NAME(load)(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
FC_INLINE void NAME(store)(real *p, vec v) { memcpy(p, &v, sizeof v); }
FC_INLINE vec NAME(load_n)(const real *p, ptrdiff_t n) {
    vec v = {0};
    for (int i = 0; i < VL; i++)
        if (i < n) v[i] = p[i];
    return v;
}
FC_INLINE void NAME(store_n)(real *p, vec v, ptrdiff_t n) {
    for (int i = 0; i < VL; i++)
        if (i < n) p[i] = v[i];
}
FC_INLINE vec NAME(select)(vmask m, vec a, vec b) { return (vec)((m & (vmask)a) | (~m & (vmask)b)); }
FC_INLINE vec NAME(sqrt)(vec a) {
    for (int i = 0; i < VL; i++) a[i] = (real)sqrt((double)a[i]);
    return a;
}
FC_INLINE vmask NAME(first)(ptrdiff_t n) {
    vmask m;
    for (int i = 0; i < VL; i++) m[i] = -(i < n);
    return m;
}
FC_INLINE vec NAME(abs)(vec a) { return (vec)((vmask)a & ~(vmask)NAME(set1)((real)-0.0)); }
FC_INLINE vec NAME(copysign)(vec a, vec b) {
    return (vec)((vmask)NAME(abs)(a) | ((vmask)b & (vmask)NAME(set1)((real)-0.0)));
}
/* 2^n is made from the bits of n plus a constant that puts n + bias where the exponent is shifted from; twice 2^(n/2),
 * so that results may overflow or be denormal. */
FC_INLINE vec NAME(pow2)(vec n) {
    const real offset = (real)(VL == 4 ? 0x1.8p23 + 127 : 0x1.8p52 + 1023);
    return (vec)((vmask)(n + offset) << (VL == 4 ? 23 : 52));
}
FC_INLINE vec NAME(scale2)(vec a, vec n) {
    const real magic = (real)(VL == 4 ? 0x1.8p23 : 0x1.8p52);
    const vec half = n * (real)0.5 + magic - magic;
    return a * NAME(pow2)(half) * NAME(pow2)(n - half);
}
FC_INLINE real NAME(sum)(vec v) {
    real s = v[0];
    for (int i = 1; i < VL; i++) s += v[i];
    return s;
}
FC_INLINE vec NAME(load_u8)(const uint8_t *p) {
    vec v;
    for (int i = 0; i < VL; i++) v[i] = (real)p[i];
    return v;
}
FC_INLINE void NAME(store_u8)(uint8_t *p, vec v) {
    for (int i = 0; i < VL; i++) p[i] = (uint8_t)v[i];
}
FC_INLINE vmask NAME(match_u8)(const uint8_t *p, uint8_t byte) {
    vmask m;
    for (int i = 0; i < VL; i++) m[i] = p[i] == byte ? -1 : 0;
    return m;
}

FC_INLINE vmask NAME(index)(const int32_t *lane) {
    vmask v;
    for (int i = 0; i < VL; i++) v[i] = lane[i];
    return v;
}
FC_INLINE vec NAME(permute2)(vec a, vec b, vmask index) {
    vec v;
    real both[2 * VL];
    memcpy(both, &a, sizeof a);
    memcpy(both + VL, &b, sizeof b);
    for (int i = 0; i < VL; i++) v[i] = both[index[i]];
    return v;
}

#define vindex vmask
#define v_index(lane) NAME(index)(lane)
#define v_permute(a, i) NAME(permute2)(a, a, i)
#define v_permute2(a, b, i) NAME(permute2)(a, b, i)
#define v_zero() NAME(set1)(0)
#define v_set1(s) NAME(set1)(s)
#define v_load(p) NAME(load)(p)
#define v_store(p, v) NAME(store)(p, v)
#define v_load_n(p, n) NAME(load_n)(p, n)
#define v_store_n(p, v, n) NAME(store_n)(p, v, n)
#define v_add(a, b) ((a) + (b))
#define v_sub(a, b) ((a) - (b))
#define v_mul(a, b) ((a) * (b))
#define v_div(a, b) ((a) / (b))
#define v_sqrt(a) NAME(sqrt)(a)
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_fnma(a, b, c) ((c) - (a) * (b))
#define v_gt(a, b) ((a) > (b))
#define v_eq(a, b) ((a) == (b))
#define v_beats(a, b) (~((a) <= (b)) & ((b) == (b)))
#define v_select(m, a, b) NAME(select)(m, a, b)
#define v_max(a, b) NAME(select)((a) > (b), a, b)
#define v_min(a, b) NAME(select)((a) < (b), a, b)
#define v_sum(v) NAME(sum)(v)
#define v_first(n) NAME(first)(n)
#define v_abs(a) NAME(abs)(a)
#define v_copysign(a, b) NAME(copysign)(a, b)
#define v_scale2(a, n) NAME(scale2)(a, n)
#define v_load_u8(p) NAME(load_u8)(p)
#define v_store_4(p, v) v_store(p, v)
#define v_store_u8(p, v) NAME(store_u8)(p, v)
#define v_match_u8(p, byte) NAME(match_u8)(p, byte)
#define v_stream(p, v) v_store(p, v)
#define v_stream_end() ((void)0)
#define v_keep(v) ((void)0)

#define v_accumulate(acc, a, b) ((acc) = v_fma(a, b, acc))
#define FC_PANELS(X) X(4, 2, 16) X(4, 1, 9)
#define FC_MAIN_PANEL 0
#define FC_WINOGRAD_MR 4
#define FC_REGISTERS 16
#define FC_SMALL
#define FC_PARTIAL_FREE 0
