/* Winograd kernels for one element type: see ukernels_winograd.h. Computed in float32 only: the table of float64 is empty. */
#if defined(FC_F32)
#include "winograd_gemm_body.h"
#include "winograd_transform_body.h"
#define FC_WINOGRAD_KERNELS                                                                                            \
    {.lanes = VL,                                                                                                      \
     .mr = FC_WINOGRAD_MR,                                                                                             \
     .panel = {FC_WINOGRAD_PANEL(2), FC_WINOGRAD_PANEL(1)},                                                            \
     .input = NAME(winograd_input),                                                                                    \
     .r3 = {NAME(winograd_weights_3), NAME(winograd_output_3), NAME(winograd_gradient_3), NAME(winograd_dw_3)},        \
     .r5 = {NAME(winograd_weights_5), NAME(winograd_output_5), NAME(winograd_gradient_5), NAME(winograd_dw_5)}}
#else
#define FC_WINOGRAD_KERNELS {0}
#endif
