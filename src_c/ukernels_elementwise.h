/* Elementwise kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_ELEMENTWISE_H
#define FC_UKERNELS_ELEMENTWISE_H

typedef struct {
    int unused;
} fc_elementwise_kernels;

#endif
