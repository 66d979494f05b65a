/* Winograd kernels for one element type: see ukernels_winograd.h. Computed in float32 only: the table of float64 is empty. */
#if defined(FC_F32)
#include "winograd_gemm_body.h"
#include "winograd_transform_body.h"
#include "winograd_few_body.h"
#define FC_WINOGRAD_KERNELS                                                                                            \
    {.lanes = VL,                                                                                                      \
     .mr = FC_WINOGRAD_MR,                                                                                             \
     .panel = {FC_WINOGRAD_PANEL(2), FC_WINOGRAD_PANEL(1)},                                                            \
     .input = NAME(winograd_input),                                                                                    \
     .few_input = NAME(winograd_few_input),                                                                            \
     .few = NAME(winograd_few),                                                                                        \
     .few_tiles = FC_FEW_TILES,                                                                                        \
     .transforms = {FC_WINOGRAD_TRANSFORMS(2), FC_WINOGRAD_TRANSFORMS(3), FC_WINOGRAD_TRANSFORMS(4),               \
                    FC_WINOGRAD_TRANSFORMS(5)}}
#else
#define FC_WINOGRAD_KERNELS {0}
#endif
