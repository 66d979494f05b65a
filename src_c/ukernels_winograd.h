/* Winograd kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_WINOGRAD_H
#define FC_UKERNELS_WINOGRAD_H

typedef struct {
    int unused;
} fc_winograd_kernels;

#endif
