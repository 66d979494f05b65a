/* The kernels for avx2. */
#include "kernel_prelude.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#define FC_ISA_AVX2
#include "target_begin.h"

#define FC_F32
#define FC_ISA avx2
#include "vec_avx2.h"
#include "bodies.h"
#include "vec_undef.h"

#define FC_F64
#define FC_ISA avx2
#include "vec_avx2.h"
#include "bodies.h"
#include "vec_undef.h"

#include "target_end.h"
#else
typedef int fc_no_avx2_here;
#endif
