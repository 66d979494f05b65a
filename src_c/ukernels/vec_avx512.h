/* 512-bit vectors: AVX-512 F, BW, DQ, VL. The operations are listed in kernel_prelude.h. */
#include "vec_common.h"

#define v_zero() FC_MM512(setzero)()
#define v_set1(s) FC_MM512(set1)(s)
#define v_load(p) FC_MM512(loadu)(p)
#define v_store(p, v) FC_MM512(storeu)(p, v)
#define v_load_n(p, n) FC_MM512(maskz_loadu)(FC_LANES(n), p)
#define v_store_n(p, v, n) FC_MM512(mask_storeu)(p, FC_LANES(n), v)
#define v_add(a, b) FC_MM512(add)(a, b)
#define v_sub(a, b) FC_MM512(sub)(a, b)
#define v_mul(a, b) FC_MM512(mul)(a, b)
#define v_div(a, b) FC_MM512(div)(a, b)
#define v_sqrt(a) FC_MM512(sqrt)(a)
#define v_fma(a, b, c) FC_MM512(fmadd)(a, b, c)
#define v_fnma(a, b, c) FC_MM512(fnmadd)(a, b, c)
#define v_max(a, b) FC_MM512(max)(a, b)
#define v_min(a, b) FC_MM512(min)(a, b)
#define v_select(m, a, b) FC_MM512(mask_mov)(b, m, a)
#define v_first(n) FC_LANES(n)
#define v_lanes(i, end) ((vmask)(FC_LANES(end) & ~FC_LANES(i)))
#define v_load_lanes(p, m) FC_MM512(maskz_loadu)(m, p)
#define v_even(a, b, i) v_permute2(a, b, i)
#define v_odd(a, b, i) v_permute2(a, b, i)
#define v_load_more(v, p, m) FC_MM512(mask_loadu)(v, m, p)
#define v_abs(a) FC_MM512(andnot)(v_set1((real)-0.0), a)
#define v_copysign(a, b) FC_MM512(or)(v_abs(a), FC_MM512(and)(v_set1((real)-0.0), b))
#define v_scale2(a, n) FC_MM512(scalef)(a, n)
#define v_stream(p, v) FC_MM512(stream)(p, v)
#define v_stream_end() _mm_sfence()
#define v_keep(v) __asm__("" : "+v"(v))
#define v_accumulate(acc, a, b) __asm__(FC_FMADD231 " %1, %2, %0" : "+v"(acc) : "v"(a), "v"(b))
#define v_sum(v) FC_MM512(reduce_add)(v)

#define vindex __m512i
#define v_permute(a, i) FC_MM512(permutexvar)(i, a)
#define v_permute2(a, b, i) FC_MM512(permutex2var)(a, i, b)

#if defined(FC_F32)
#define VL 16
#define vec __m512
#define FC_FMADD231 "vfmadd231ps"
#define vmask __mmask16
#define FC_LANES(n) ((__mmask16)((1u << (n)) - 1u))
#define FC_MM512(op) FC_MM512_F32(op)
#ifndef FC_VEC_AVX512_HELPERS
#define FC_VEC_AVX512_HELPERS
#define FC_MM512_F32(op) _mm512_##op##_ps
#define FC_MM512_F64(op) _mm512_##op##_pd
#endif
#define v_index(lane) _mm512_loadu_si512(lane)
#define v_gt(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define v_eq(a, b) _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define v_beats(a, b) _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(b, b, _CMP_ORD_Q), a, b, _CMP_NLE_UQ)
typedef double fc_pair __attribute__((aligned(4), may_alias)); /* of floats */
#define v_repeat_2(p) _mm512_castpd_ps(_mm512_set1_pd(*(const fc_pair *)(const void *)(p)))
#define v_repeat_4(p) _mm512_broadcast_f32x4(_mm_loadu_ps((const float *)(const void *)(p)))
#define v_store_4(p, v) _mm_storeu_ps(p, _mm512_castps512_ps128(v))
#define v_load_u8(p) _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(p))))
#define v_store_u8(p, v) _mm_storeu_si128((__m128i *)(p), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)))
#define FC_PANELS(X) X(6, 4, 62) X(8, 3, 48) X(8, 2, 32) X(8, 1, 18)
#define v_match_u8(p, byte) _mm_cmpeq_epi8_mask(_mm_loadu_si128((const __m128i *)(p)), _mm_set1_epi8((char)(byte)))
#else
#define VL 8
#define vec __m512d
#define FC_FMADD231 "vfmadd231pd"
#define vmask __mmask8
#define FC_LANES(n) ((__mmask8)((1u << (n)) - 1u))
#define FC_MM512(op) FC_MM512_F64(op)
#define v_index(lane) _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(lane)))
#define v_gt(a, b) _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ)
#define v_eq(a, b) _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ)
#define v_beats(a, b) _mm512_mask_cmp_pd_mask(_mm512_cmp_pd_mask(b, b, _CMP_ORD_Q), a, b, _CMP_NLE_UQ)
#define v_load_u8(p) _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(p))))
#define v_store_u8(p, v) _mm_storel_epi64((__m128i *)(p), _mm256_cvtepi32_epi8(_mm512_cvttpd_epi32(v)))
#define FC_PANELS(X) X(6, 4, 62) X(8, 2, 32) X(8, 1, 18)
#define v_match_u8(p, byte)                                                                                            \
    ((__mmask8)_mm_cmpeq_epi8_mask(_mm_loadl_epi64((const __m128i *)(p)), _mm_set1_epi8((char)(byte))))
#endif

#define FC_MAIN_PANEL 0
#define FC_WINOGRAD_MR 8
#define FC_TRANSPOSE_SQUARES
#define FC_LANES_FREE
#define FC_REGISTERS 32
#define FC_PARTIAL_FREE (VL == 16)
