/* Opens a region in which the compiler may use the instructions of the ISA that the stub named: FC_ISA_AVX2, FC_ISA_AVX512
 * or FC_ISA_AMX.
 * Nothing to open for NEON and scalar. Include immintrin.h before. */
#if defined(FC_ISA_AVX2) || defined(FC_ISA_AVX512) || defined(FC_ISA_AMX)
#if defined(FC_ISA_AVX2)
#define FC_TARGET "avx2,fma"
#elif defined(FC_ISA_AMX)
#define FC_TARGET "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16"
#else
#define FC_TARGET "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"
#endif
#define FC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FC_PUSH(features) FC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
FC_PUSH(FC_TARGET)
#else
#define FC_PUSH(features) FC_PRAGMA(GCC target(features))
#pragma GCC push_options
FC_PUSH(FC_TARGET)
#endif
#endif
