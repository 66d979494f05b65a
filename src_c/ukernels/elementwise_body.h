/* Elementwise kernels: see fc_elementwise_kernels in ukernels_elementwise.h. */
#include "transcendental_body.h"
#include "activation_body.h"
#include "softmax_body.h"
#include "optimizer_body.h"
#include "stream_body.h"
#include "batchnorm_body.h"

#define FC_ELEMENTWISE_KERNELS                                                                                             \
    {.activation = {FC_ACTIVATION_LIST(FC_ACTIVATION_ENTRY)},                                                              \
     .activation_backward = {FC_ACTIVATION_LIST(FC_ACTIVATION_BACKWARD_ENTRY)},                                            \
     .softmax = NAME(softmax),                                                                                             \
     .softmax_backward = NAME(softmax_backward),                                                                           \
     .crossentropy = NAME(crossentropy),                                                                                   \
     .dropout = NAME(dropout),                                                                                             \
     .sum_squares = NAME(sum_squares),                                                                                     \
     .scaled = {[FC_SOURCE_F32] = NAME(scaled_f32), [FC_SOURCE_F64] = NAME(scaled_f64), [FC_SOURCE_U8] = NAME(scaled_u8)}, \
     .sgd = NAME(sgd),                                                                                                     \
     .rmsprop = NAME(rmsprop),                                                                                             \
     .adam = NAME(adam),                                                                                                   \
     .bn_sums = NAME(bn_sums),                                                                                             \
     .bn_normalize = NAME(bn_normalize),                                                                                   \
     .bn_backward = NAME(bn_backward)}
