/* 128-bit vectors: AArch64 Advanced SIMD. The operations are listed in kernel_prelude.h. */
#include "vec_common.h"

#define v_zero() FC_NEON(dup)(0)
#define v_set1(s) FC_NEON(dup)(s)
#define v_load(p) FC_NEON_(vld1q)(p)
#define v_store(p, v) FC_NEON_(vst1q)(p, v)
#define v_add(a, b) FC_NEON_(vaddq)(a, b)
#define v_sub(a, b) FC_NEON_(vsubq)(a, b)
#define v_mul(a, b) FC_NEON_(vmulq)(a, b)
#define v_div(a, b) FC_NEON_(vdivq)(a, b)
#define v_sqrt(a) FC_NEON_(vsqrtq)(a)
#define v_fma(a, b, c) FC_NEON_(vfmaq)(c, a, b)
#define v_fnma(a, b, c) FC_NEON_(vfmsq)(c, a, b)
#define v_gt(a, b) FC_NEON_(vcgtq)(a, b)
#define v_eq(a, b) FC_NEON_(vceqq)(a, b)
/* not (a <= b), and b is a number */
#define v_beats(a, b) FC_NEON_BIC(FC_NEON_(vceqq)(b, b), FC_NEON_(vcleq)(a, b))
#define v_select(m, a, b) FC_NEON_(vbslq)(m, a, b)
#define v_max(a, b) v_select(v_gt(a, b), a, b)
#define v_min(a, b) v_select(v_gt(b, a), a, b)
#define v_sum(v) FC_NEON_(vaddvq)(v)

#if defined(FC_F32)
#define VL 4
#define vec float32x4_t
#define vmask uint32x4_t
#define FC_NEON_(op) FC_NEON_F32(op)
#define FC_NEON(op) FC_NEON_F32_N(op)
#define FC_NEON_BIC(a, b) vbicq_u32(a, b)
#ifndef FC_VEC_NEON_HELPERS
#define FC_VEC_NEON_HELPERS
#define FC_NEON_F32(op) op##_f32
#define FC_NEON_F64(op) op##_f64
#define FC_NEON_F32_N(op) v##op##q_n_f32
#define FC_NEON_F64_N(op) v##op##q_n_f64
FC_INLINE float32x4_t fc_neon_load_n_f32(const float *p, ptrdiff_t n) {
    float lane[4] = {0, 0, 0, 0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return vld1q_f32(lane);
}
FC_INLINE void fc_neon_store_n_f32(float *p, float32x4_t v, ptrdiff_t n) {
    float lane[4];
    vst1q_f32(lane, v);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
}
FC_INLINE float64x2_t fc_neon_load_n_f64(const double *p, ptrdiff_t n) {
    double lane[2] = {0, 0};
    for (ptrdiff_t i = 0; i < n; i++) lane[i] = p[i];
    return vld1q_f64(lane);
}
FC_INLINE void fc_neon_store_n_f64(double *p, float64x2_t v, ptrdiff_t n) {
    double lane[2];
    vst1q_f64(lane, v);
    for (ptrdiff_t i = 0; i < n; i++) p[i] = lane[i];
}
FC_INLINE float32x4_t fc_neon_load_u8_f32(const uint8_t *p) {
    const float lane[4] = {p[0], p[1], p[2], p[3]};
    return vld1q_f32(lane);
}
FC_INLINE void fc_neon_store_u8_f32(uint8_t *p, float32x4_t v) {
    float lane[4];
    vst1q_f32(lane, v);
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)lane[i];
}
FC_INLINE float64x2_t fc_neon_load_u8_f64(const uint8_t *p) {
    const double lane[2] = {p[0], p[1]};
    return vld1q_f64(lane);
}
FC_INLINE void fc_neon_store_u8_f64(uint8_t *p, float64x2_t v) {
    double lane[2];
    vst1q_f64(lane, v);
    for (int i = 0; i < 2; i++) p[i] = (uint8_t)lane[i];
}
#endif
#define v_load_n(p, n) fc_neon_load_n_f32(p, n)
#define v_store_n(p, v, n) fc_neon_store_n_f32(p, v, n)
#define v_load_u8(p) fc_neon_load_u8_f32(p)
#define v_store_u8(p, v) fc_neon_store_u8_f32(p, v)
#else
#define VL 2
#define vec float64x2_t
#define vmask uint64x2_t
#define FC_NEON_(op) FC_NEON_F64(op)
#define FC_NEON(op) FC_NEON_F64_N(op)
#define FC_NEON_BIC(a, b) vreinterpretq_u64_u32(vbicq_u32(vreinterpretq_u32_u64(a), vreinterpretq_u32_u64(b)))
#define v_load_n(p, n) fc_neon_load_n_f64(p, n)
#define v_store_n(p, v, n) fc_neon_store_n_f64(p, v, n)
#define v_load_u8(p) fc_neon_load_u8_f64(p)
#define v_store_u8(p, v) fc_neon_store_u8_f64(p, v)
#endif

#define FC_PANELS(X) X(8, 2, 16) X(8, 1, 9)
#define FC_MAIN_PANEL 0
