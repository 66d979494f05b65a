/* All kernels for one element type and ISA, and the table that exports them. With FC_MATRIX_ISA there is a second table, of that
 * name: the same kernels, and FC_MATRIX_KERNELS. */
#if defined(FC_F64) || defined(FC_SMALL)
#define FC_RARE 0 /* whether there are kernels of their own for what is rare: float64 is for checks */
#else
#define FC_RARE 1
#endif
#include "pooled_body.h"
#include "gemm_body.h"
#include "terms_body.h"
#include "runs_body.h"
#include "line_body.h"
#include "channels_body.h"
#include "slide_body.h"
#include "frame_body.h"
#include "depthwise_wgrad_body.h"
#include "depthwise_walk_body.h"
#include "depthwise_gradients_body.h"
#include "grouped_body.h"
#include "depthwise_body.h"
#include "pool_body.h"
#include "pool_tiles_body.h"
#include "pool_steps_body.h"
#include "pool_planes_body.h"
#include "pool_window_body.h"
#include "elementwise_body.h"
#include "winograd_body.h"
#include "images_body.h"
#include "depthwise_planes_body.h"

FC_DOTS(FC_DOT_FNS)

#define FC_STRING_(s) #s
#define FC_STRING(s) FC_STRING_(s)
#define FC_TABLE(isa_, matrix_)                                                 \
    const fc_ukernels FC_PASTE(FC_TYPE, ukernels, isa_) = {                     \
        .isa = FC_STRING(isa_),                                                 \
        .gemm = {.panel = NAME(panels),                                         \
                 .panels = (int)(sizeof NAME(panels) / sizeof NAME(panels)[0]), \
                 .main_panel = FC_MAIN_PANEL,                                   \
                 .line = NAME(gemm_line),                                       \
                 .dot = {FC_DOTS(FC_DOT_ENTRY)},                                \
                 .runs = FC_RUNS_KERNELS,                                       \
                 .lanes = VL},                                                  \
        .depthwise = FC_DEPTHWISE_KERNELS,                                      \
        .frame = FC_FRAME_KERNELS,                                              \
        .pool = FC_POOL_KERNELS,                                                \
        .elementwise = FC_ELEMENTWISE_KERNELS,                                  \
        .winograd = FC_WINOGRAD_KERNELS,                                        \
        .images = FC_IMAGES_KERNELS,                                            \
        .planes = FC_PLANES_KERNELS,                                            \
        .matrix = matrix_,                                                      \
    }
FC_TABLE(FC_ISA, NULL);
#if defined(FC_MATRIX_ISA)
FC_TABLE(FC_MATRIX_ISA, FC_MATRIX_KERNELS);
#endif
#undef FC_TABLE
#undef FC_STRING
#undef FC_STRING_
#undef FC_RUNS_KERNELS
#undef FC_WINOGRAD_FEW
#undef FC_DEPTHWISE_KERNELS
#undef FC_GRADIENTS_KERNELS
#undef FC_GRADIENTS_DENSE
#undef FC_GROUPED_KERNELS
#undef FC_GROUPED_WGRAD
#undef FC_FRAME_KERNELS
#undef FC_POOL_KERNELS
#undef FC_POOL_STEPS
#undef FC_PLANE_KERNELS
#undef FC_ELEMENTWISE_KERNELS
#undef FC_WINOGRAD_KERNELS
#undef FC_IMAGES_KERNELS
#undef FC_PLANES_KERNELS
#undef FC_PLANES_TAPS
#undef FC_MATRIX_KERNELS
