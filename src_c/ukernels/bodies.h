/* All kernels for one element type and ISA, and the table that exports them. FC_NARROW_PANEL is a panel narrower than a vec,
 * or NULL. */
#include "gemm_body.h"
#include "line_body.h"
#include "channels_body.h"
#include "slide_body.h"
#include "frame_body.h"
#include "depthwise_wgrad_body.h"
#include "depthwise_walk_body.h"
#include "depthwise_body.h"
#include "pool_body.h"
#include "pool_tiles_body.h"
#include "pool_window_body.h"
#include "elementwise_body.h"
#include "winograd_body.h"
#include "images_body.h"

FC_DOTS(FC_DOT_FNS)

#define FC_STRING_(s) #s
#define FC_STRING(s) FC_STRING_(s)
const fc_ukernels NAME(ukernels) = {
    .isa = FC_STRING(FC_ISA),
    .gemm = {.panel = NAME(panels),
             .panels = (int)(sizeof NAME(panels) / sizeof NAME(panels)[0]),
             .main_panel = FC_MAIN_PANEL,
             .line = NAME(gemm_line),
             .narrow = FC_NARROW_PANEL,
             .dot = {FC_DOTS(FC_DOT_ENTRY)},
             .lanes = VL},
    .depthwise = FC_DEPTHWISE_KERNELS,
    .frame = FC_FRAME_KERNELS,
    .pool = FC_POOL_KERNELS,
    .elementwise = FC_ELEMENTWISE_KERNELS,
    .winograd = FC_WINOGRAD_KERNELS,
    .images = FC_IMAGES_KERNELS,
};
#undef FC_STRING
#undef FC_STRING_
#undef FC_DEPTHWISE_KERNELS
#undef FC_FRAME_KERNELS
#undef FC_POOL_KERNELS
#undef FC_ELEMENTWISE_KERNELS
#undef FC_WINOGRAD_KERNELS
#undef FC_IMAGES_KERNELS
#undef FC_NARROW_PANEL
