/* Winograd kernels for one element type: see ukernels_winograd.h. Computed in float32 only: the table of float64 is empty. */
#if defined(FC_F32)
#include "winograd_gemm_body.h"
#include "winograd_transform_body.h"
#include "winograd_line_body.h"
#if FC_RARE
#include "winograd_few_body.h"
#include "winograd_few_planes_body.h"
#define FC_WINOGRAD_FEW \
    .few_input = NAME(winograd_few_input), .few = NAME(winograd_few), .few_tiles = FC_FEW_TILES, .few_depth = FC_FEW_DEPTH, FC_FEW_PLANES
#else
#define FC_WINOGRAD_FEW .few_tiles = 0
#endif
#include "winograd_registers_body.h"
#define FC_WINOGRAD_KERNELS                                                                                                                 \
    {                                                                                                                                       \
        .lanes = VL, .mr = FC_WINOGRAD_MR, .panel = {FC_WINOGRAD_PANEL(2), FC_WINOGRAD_PANEL(1)}, FC_WINOGRAD_FEW, \
        .registers = FC_WINOGRAD_REGISTERS, \
        .transforms = {[FC_WINOGRAD_SQUARE] = FC_WINOGRAD_BY_R(FC_WINOGRAD_TRANSFORMS),                                                     \
                       [FC_WINOGRAD_ROW] = FC_WINOGRAD_BY_R(FC_WINOGRAD_ROW_TRANSFORMS),                                                    \
                       [FC_WINOGRAD_COLUMN] = FC_WINOGRAD_BY_R(FC_WINOGRAD_COLUMN_TRANSFORMS)}                                              \
    }
#else
#define FC_WINOGRAD_KERNELS {0}
#endif
