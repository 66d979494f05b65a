/* The kernels for neon. */
#include "kernel_prelude.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#define FC_ISA_NEON
#include "target_begin.h"

#define FC_F32
#define FC_ISA neon
#include "vec_neon.h"
#include "bodies.h"
#include "vec_undef.h"

#define FC_F64
#define FC_ISA neon
#include "vec_neon.h"
#include "bodies.h"
#include "vec_undef.h"

#include "target_end.h"
#else
typedef int fc_no_neon_here;
#endif
