/* The kernels for avx512, and for amx: the same with a matrix unit, see isa_amx.c. */
#include "kernel_prelude.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

#define FC_ISA_AVX512
#include "target_begin.h"
#if defined(FC_AMX)
#define FC_MATRIX_ISA amx
#endif

#define FC_MATRIX_KERNELS &fc_matrix_amx
#define FC_F32
#define FC_ISA avx512
#include "vec_avx512.h"
#include "bodies.h"
#include "vec_undef.h"

#define FC_MATRIX_KERNELS NULL
#define FC_F64
#define FC_ISA avx512
#include "vec_avx512.h"
#include "bodies.h"
#include "vec_undef.h"

#include "target_end.h"
#else
typedef int fc_no_avx512_here;
#endif
