/* Elementwise kernels: see fc_elementwise_kernels in ukernels_elementwise.h. */
#include "transcendental_body.h"
#include "activation_body.h"

#define FC_ELEMENTWISE_KERNELS                                                                                         \
    {.activation = {FC_ACTIVATION_LIST(FC_ACTIVATION_ENTRY)},                                                          \
     .activation_backward = {FC_ACTIVATION_LIST(FC_ACTIVATION_BACKWARD_ENTRY)}}
