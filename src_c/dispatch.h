/* Which kernels run: the processor is looked at once, FASTCONV_ISA or fc_isa_select may choose another. */
#ifndef FC_DISPATCH_H
#define FC_DISPATCH_H

#include "ukernels.h"

const fc_ukernels *fc_kernels(fc_dtype dtype);

#endif
