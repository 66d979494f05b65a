/* The kernels for scalar. */
#include "kernel_prelude.h"

#define FC_NARROW_PANEL NULL
#define FC_F32
#define FC_ISA scalar
#include "vec_scalar.h"
#include "bodies.h"
#include "vec_undef.h"

#define FC_NARROW_PANEL NULL
#define FC_F64
#define FC_ISA scalar
#include "vec_scalar.h"
#include "bodies.h"
#include "vec_undef.h"

