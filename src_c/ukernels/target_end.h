/* Closes the region that target_begin.h opened. */
#if defined(FC_ISA_AVX2) || defined(FC_ISA_AVX512) || defined(FC_ISA_AMX)
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef FC_PUSH
#undef FC_PRAGMA
#undef FC_TARGET
#endif
