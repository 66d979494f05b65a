/* 256-bit vectors: AVX2 and FMA. The operations are listed in kernel_prelude.h. */
#include "vec_common.h"

#define v_fnma(a, b, c) FC_MM(fnmadd)(a, b, c)
#define v_zero() FC_MM(setzero)()
#define v_set1(s) FC_MM(set1)(s)
#define v_load(p) FC_MM(loadu)(p)
#define v_store(p, v) FC_MM(storeu)(p, v)
#define v_add(a, b) FC_MM(add)(a, b)
#define v_sub(a, b) FC_MM(sub)(a, b)
#define v_mul(a, b) FC_MM(mul)(a, b)
#define v_div(a, b) FC_MM(div)(a, b)
#define v_sqrt(a) FC_MM(sqrt)(a)
#define v_fma(a, b, c) FC_MM(fmadd)(a, b, c)
#define v_max(a, b) FC_MM(max)(a, b)
#define v_min(a, b) FC_MM(min)(a, b)
#define v_gt(a, b) FC_MM(cmp)(a, b, _CMP_GT_OQ)
#define v_eq(a, b) FC_MM(cmp)(a, b, _CMP_EQ_OQ)
#define v_stream(p, v) FC_MM(stream)(p, v)
#define v_stream_end() _mm_sfence()
#define v_keep(v) __asm__("" : "+x"(v))
#define v_accumulate(acc, a, b) __asm__(FC_FMADD231 " %1, %2, %0" : "+x"(acc) : "x"(a), "x"(b))
#define v_beats(a, b) FC_MM(and)(FC_MM(cmp)(a, b, _CMP_NLE_UQ), FC_MM(cmp)(b, b, _CMP_ORD_Q))
#define v_select(m, a, b) FC_MM(blendv)(b, a, m)
#define v_load_more(v, p, m) v_select(m, v_load_lanes(p, m), v)
#define v_lanes(i, end) FC_MM(andnot)(v_first(i), v_first(end))
#define v_abs(a) FC_MM(andnot)(v_set1((real)-0.0), a)
#define v_copysign(a, b) FC_MM(or)(v_abs(a), FC_MM(and)(v_set1((real)-0.0), b))

#define vindex __m256i

#if defined(FC_F32)
#define VL 8
#define vec __m256
#define FC_FMADD231 "vfmadd231ps"
#define vmask __m256
#define FC_MM(op) FC_MM_F32(op)
#ifndef FC_VEC_AVX2_HELPERS
#define FC_VEC_AVX2_HELPERS
#define FC_MM_F32(op) _mm256_##op##_ps
#define FC_MM_F64(op) _mm256_##op##_pd
static const int32_t fc_avx2_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
FC_INLINE __m256i fc_avx2_mask32(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i *)(fc_avx2_mask + 8 - n)); }
FC_INLINE __m256i fc_avx2_mask64(ptrdiff_t n) { return _mm256_loadu_si256((const __m256i *)(fc_avx2_mask + 8 - 2 * n)); }
/* In halves: masked stores are microcode on some processors, many times slower. */
FC_INLINE void fc_avx2_store_n_f32(float *p, __m256 v, ptrdiff_t n) {
    __m128 rest = _mm256_castps256_ps128(v);
    if (n >= 8) {
        _mm256_storeu_ps(p, v);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
}
FC_INLINE void fc_avx2_store_n_f64(double *p, __m256d v, ptrdiff_t n) {
    __m128d rest = _mm256_castpd256_pd128(v);
    if (n >= 4) {
        _mm256_storeu_pd(p, v);
        return;
    }
    if (n & 2) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, rest);
}
FC_INLINE __m256 fc_avx2_pairs_f32(__m256 v) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8)); }
FC_INLINE float fc_avx2_sum_f32(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
FC_INLINE double fc_avx2_sum_f64(__m256d v) {
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}
/* 2^n is made from the bits of n plus a constant that puts n + bias where the exponent is shifted from; twice 2^(n/2),
 * so that results may overflow or be denormal. */
FC_INLINE __m256 fc_avx2_pow2_f32(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(0x1.8p23f + 127))), 23));
}
FC_INLINE __m256 fc_avx2_scale2_f32(__m256 a, __m256 n) {
    const __m256 half = _mm256_round_ps(_mm256_mul_ps(n, _mm256_set1_ps(0.5f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_mul_ps(_mm256_mul_ps(a, fc_avx2_pow2_f32(half)), fc_avx2_pow2_f32(_mm256_sub_ps(n, half)));
}
FC_INLINE __m256d fc_avx2_pow2_f64(__m256d n) {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(_mm256_add_pd(n, _mm256_set1_pd(0x1.8p52 + 1023))), 52));
}
FC_INLINE __m256d fc_avx2_scale2_f64(__m256d a, __m256d n) {
    const __m256d half = _mm256_round_pd(_mm256_mul_pd(n, _mm256_set1_pd(0.5)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm256_mul_pd(_mm256_mul_pd(a, fc_avx2_pow2_f64(half)), fc_avx2_pow2_f64(_mm256_sub_pd(n, half)));
}
FC_INLINE __m256 fc_avx2_load_u8_f32(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
FC_INLINE void fc_avx2_store_u8_f32(uint8_t *p, __m256 v) {
    const __m256i i = _mm256_cvttps_epi32(v);
    const __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(w, w));
}
FC_INLINE __m256d fc_avx2_load_u8_f64(const uint8_t *p) {
    int32_t bytes;
    memcpy(&bytes, p, 4);
    return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)));
}
FC_INLINE void fc_avx2_store_u8_f64(uint8_t *p, __m256d v) {
    const __m128i i = _mm256_cvttpd_epi32(v), w = _mm_packus_epi32(i, i);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(w, w));
    memcpy(p, &bytes, 4);
}
FC_INLINE __m256 fc_avx2_match_u8_f32(const uint8_t *p, uint8_t byte) {
    const __m128i same = _mm_cmpeq_epi8(_mm_loadl_epi64((const __m128i *)p), _mm_set1_epi8((char)byte));
    return _mm256_castsi256_ps(_mm256_cvtepi8_epi32(same));
}
FC_INLINE __m256d fc_avx2_match_u8_f64(const uint8_t *p, uint8_t byte) {
    int32_t bytes;
    memcpy(&bytes, p, 4);
    const __m128i same = _mm_cmpeq_epi8(_mm_cvtsi32_si128(bytes), _mm_set1_epi8((char)byte));
    return _mm256_castsi256_pd(_mm256_cvtepi8_epi64(same));
}
/* Bit 3 of a lane's number, in either type, says which of two vectors it is in. */
FC_INLINE __m256 fc_avx2_permute2_f32(__m256 a, __m256 b, __m256i i) {
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(a, i), _mm256_permutevar8x32_ps(b, i),
                            _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}
FC_INLINE __m256i fc_avx2_index_f64(const int32_t *lane) {
    const __m256i low = _mm256_slli_epi64(_mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)lane)), 1);
    return _mm256_or_si256(low, _mm256_slli_epi64(_mm256_add_epi64(low, _mm256_set1_epi64x(1)), 32));
}
FC_INLINE __m256d fc_avx2_permute_f64(__m256d a, __m256i i) {
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a), i));
}
FC_INLINE __m256d fc_avx2_permute2_f64(__m256d a, __m256d b, __m256i i) {
    return _mm256_castps_pd(fc_avx2_permute2_f32(_mm256_castpd_ps(a), _mm256_castpd_ps(b), i));
}
#endif
#define v_load_n(p, n) _mm256_maskload_ps(p, fc_avx2_mask32(n))
#define v_even(a, b, i) fc_avx2_pairs_f32(_mm256_shuffle_ps(a, b, 0x88))
#define v_odd(a, b, i) fc_avx2_pairs_f32(_mm256_shuffle_ps(a, b, 0xdd))
#define v_load_lanes(p, m) _mm256_maskload_ps(p, _mm256_castps_si256(m))
#define v_store_n(p, v, n) fc_avx2_store_n_f32(p, v, n)
#define v_sum(v) fc_avx2_sum_f32(v)
#define v_first(n) _mm256_castsi256_ps(fc_avx2_mask32(n))
#define v_scale2(a, n) fc_avx2_scale2_f32(a, n)
#define v_load_u8(p) fc_avx2_load_u8_f32(p)
#define v_store_4(p, v) _mm_storeu_ps(p, _mm256_castps256_ps128(v))
#define v_store_u8(p, v) fc_avx2_store_u8_f32(p, v)
#define v_match_u8(p, byte) fc_avx2_match_u8_f32(p, byte)
#define v_index(lane) _mm256_loadu_si256((const __m256i *)(lane))
#define v_permute(a, i) _mm256_permutevar8x32_ps(a, i)
#define v_permute2(a, b, i) fc_avx2_permute2_f32(a, b, i)
#else
#define VL 4
#define vec __m256d
#define FC_FMADD231 "vfmadd231pd"
#define vmask __m256d
#define FC_MM(op) FC_MM_F64(op)
#define v_load_n(p, n) _mm256_maskload_pd(p, fc_avx2_mask64(n))
#define v_even(a, b, i) _mm256_permute4x64_pd(_mm256_unpacklo_pd(a, b), 0xd8)
#define v_odd(a, b, i) _mm256_permute4x64_pd(_mm256_unpackhi_pd(a, b), 0xd8)
#define v_load_lanes(p, m) _mm256_maskload_pd(p, _mm256_castpd_si256(m))
#define v_store_n(p, v, n) fc_avx2_store_n_f64(p, v, n)
#define v_sum(v) fc_avx2_sum_f64(v)
#define v_first(n) _mm256_castsi256_pd(fc_avx2_mask64(n))
#define v_scale2(a, n) fc_avx2_scale2_f64(a, n)
#define v_load_u8(p) fc_avx2_load_u8_f64(p)
#define v_store_u8(p, v) fc_avx2_store_u8_f64(p, v)
#define v_match_u8(p, byte) fc_avx2_match_u8_f64(p, byte)
#define v_index(lane) fc_avx2_index_f64(lane)
#define v_permute(a, i) fc_avx2_permute_f64(a, i)
#define v_permute2(a, b, i) fc_avx2_permute2_f64(a, b, i)
#endif

#define FC_PANELS(X) X(4, 3, 24) X(6, 2, 16) X(10, 1, 9)
#define FC_MAIN_PANEL 1
#define FC_WINOGRAD_MR 6
#define FC_LANES_FREE
#define FC_REGISTERS 16
#define FC_PARTIAL_FREE 0
