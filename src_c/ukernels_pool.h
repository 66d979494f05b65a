/* Pooling kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_POOL_H
#define FC_UKERNELS_POOL_H

typedef struct {
    int unused;
} fc_pool_kernels;

#endif
