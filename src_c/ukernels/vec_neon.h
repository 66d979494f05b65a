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
#define v_stream(p, v) v_store(p, v)
#define v_stream_end() ((void)0)
#define v_keep(v) __asm__("" : "+w"(v))
#define v_sum(v) FC_NEON_(vaddvq)(v)
#define v_abs(a) FC_NEON_(vabsq)(a)
#define vindex uint8x16_t
#define v_index(lane) fc_neon_index(lane, (int)sizeof(real))

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
FC_INLINE uint32x4_t fc_neon_first_f32(ptrdiff_t n) {
    const uint32_t lane[4] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32((uint32_t)n));
}
FC_INLINE uint64x2_t fc_neon_first_f64(ptrdiff_t n) {
    const uint64_t lane[2] = {0, 1};
    return vcltq_u64(vld1q_u64(lane), vdupq_n_u64((uint64_t)n));
}
/* 2^n is made from the bits of n plus a constant that puts n + bias where the exponent is shifted from; twice 2^(n/2),
 * so that results may overflow or be denormal. */
FC_INLINE float32x4_t fc_neon_pow2_f32(float32x4_t n) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(vaddq_f32(n, vdupq_n_f32(0x1.8p23f + 127))), 23));
}
FC_INLINE float32x4_t fc_neon_scale2_f32(float32x4_t a, float32x4_t n) {
    const float32x4_t half = vrndnq_f32(vmulq_n_f32(n, 0.5f));
    return vmulq_f32(vmulq_f32(a, fc_neon_pow2_f32(half)), fc_neon_pow2_f32(vsubq_f32(n, half)));
}
FC_INLINE float64x2_t fc_neon_pow2_f64(float64x2_t n) {
    return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(vaddq_f64(n, vdupq_n_f64(0x1.8p52 + 1023))), 52));
}
FC_INLINE float64x2_t fc_neon_scale2_f64(float64x2_t a, float64x2_t n) {
    const float64x2_t half = vrndnq_f64(vmulq_n_f64(n, 0.5));
    return vmulq_f64(vmulq_f64(a, fc_neon_pow2_f64(half)), fc_neon_pow2_f64(vsubq_f64(n, half)));
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
FC_INLINE uint32x4_t fc_neon_match_u8_f32(const uint8_t *p, uint8_t byte) {
    const uint32_t lane[4] = {p[0], p[1], p[2], p[3]};
    return vceqq_u32(vld1q_u32(lane), vdupq_n_u32(byte));
}
FC_INLINE uint64x2_t fc_neon_match_u8_f64(const uint8_t *p, uint8_t byte) {
    const uint64_t lane[2] = {p[0], p[1]};
    return vceqq_u64(vld1q_u64(lane), vdupq_n_u64(byte));
}
FC_INLINE uint8x16_t fc_neon_index(const int32_t *lane, int bytes) {
    uint8_t byte[16];
    for (int i = 0; i < 16; i++) byte[i] = (uint8_t)(lane[i / bytes] * bytes + i % bytes);
    return vld1q_u8(byte);
}
FC_INLINE uint8x16_t fc_neon_permute2(uint8x16_t a, uint8x16_t b, uint8x16_t i) {
    const uint8x16x2_t both = {{a, b}};
    return vqtbl2q_u8(both, i);
}
#endif
#define v_load_n(p, n) fc_neon_load_n_f32(p, n)
#define v_store_n(p, v, n) fc_neon_store_n_f32(p, v, n)
#define v_first(n) fc_neon_first_f32(n)
#define v_copysign(a, b) vbslq_f32(vdupq_n_u32(0x80000000u), b, a)
#define v_scale2(a, n) fc_neon_scale2_f32(a, n)
#define v_load_u8(p) fc_neon_load_u8_f32(p)
#define v_store_4(p, v) v_store(p, v)
#define v_store_u8(p, v) fc_neon_store_u8_f32(p, v)
#define v_match_u8(p, byte) fc_neon_match_u8_f32(p, byte)
#define v_permute(a, i) vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(a), i))
#define v_permute2(a, b, i) vreinterpretq_f32_u8(fc_neon_permute2(vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b), i))
#else
#define VL 2
#define vec float64x2_t
#define vmask uint64x2_t
#define FC_NEON_(op) FC_NEON_F64(op)
#define FC_NEON(op) FC_NEON_F64_N(op)
#define FC_NEON_BIC(a, b) vreinterpretq_u64_u32(vbicq_u32(vreinterpretq_u32_u64(a), vreinterpretq_u32_u64(b)))
#define v_load_n(p, n) fc_neon_load_n_f64(p, n)
#define v_store_n(p, v, n) fc_neon_store_n_f64(p, v, n)
#define v_first(n) fc_neon_first_f64(n)
#define v_copysign(a, b) vbslq_f64(vdupq_n_u64(0x8000000000000000u), b, a)
#define v_scale2(a, n) fc_neon_scale2_f64(a, n)
#define v_load_u8(p) fc_neon_load_u8_f64(p)
#define v_store_u8(p, v) fc_neon_store_u8_f64(p, v)
#define v_match_u8(p, byte) fc_neon_match_u8_f64(p, byte)
#define v_permute(a, i) vreinterpretq_f64_u8(vqtbl1q_u8(vreinterpretq_u8_f64(a), i))
#define v_permute2(a, b, i) vreinterpretq_f64_u8(fc_neon_permute2(vreinterpretq_u8_f64(a), vreinterpretq_u8_f64(b), i))
#endif

#define v_accumulate(acc, a, b) ((acc) = v_fma(a, b, acc))
#define FC_PANELS(X) X(8, 2, 16) X(8, 1, 9)
#define FC_MAIN_PANEL 0
#define FC_WINOGRAD_MR 8
#define FC_REGISTERS 32
#define FC_PARTIAL_FREE 0
