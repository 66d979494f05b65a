/* The kernels for scalar. */
#include "kernel_prelude.h"

/* For processors without any of the others. Small code: few run it, all install it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

#define FC_F32
#define FC_ISA scalar
#include "vec_scalar.h"
#include "bodies.h"
#include "vec_undef.h"

#define FC_F64
#define FC_ISA scalar
#include "vec_scalar.h"
#include "bodies.h"
#include "vec_undef.h"
