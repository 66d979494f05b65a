/* Which kernels run: the processor is looked at once, FASTCONV_ISA or fc_isa_select may choose another. */
#ifndef FC_DISPATCH_H
#define FC_DISPATCH_H

#include "ukernels.h"

const fc_ukernels *fc_kernels(fc_dtype dtype);

/* Bytes of a core's second-level cache, 256 KB to 4 MB; 1 MB where the system does not tell. Blocks are made to fit it, and sums
 * may be made in the order of blocks. */
ptrdiff_t fc_l2_bytes(void);

#endif
