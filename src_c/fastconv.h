/* fastconv: the C interface that the Cython layer calls.
 *
 * Arrays are dense. Layouts are in pointer names: nhwc (batch, rows, columns, channels), hwio (kernel rows, kernel columns,
 * input channels per group, output channels). Counts are in elements, never bytes. Callers validate: functions here assert
 * their preconditions and return FC_OK or a status, they never print or abort. Every function may be called from many
 * threads at once. Results do not depend on the number of threads. */
#ifndef FASTCONV_H
#define FASTCONV_H

#include <stddef.h>
#include <stdint.h>

typedef enum { FC_OK = 0, FC_NO_MEMORY = 1, FC_UNSUPPORTED = 2 } fc_status;
typedef enum { FC_F32 = 0, FC_F64 = 1, FC_DTYPES = 2 } fc_dtype;
typedef enum { FC_NHWC = 0, FC_NCHW = 1 } fc_layout;
typedef enum { FC_AUTO = 0, FC_DIRECT = 1, FC_WINOGRAD = 2 } fc_algorithm;

/* The elementwise functions that a kernel can apply to its result. */
typedef enum {
    FC_LINEAR = 0,
    FC_RELU,
    FC_SIGMOID,
    FC_TANH,
    FC_ELU,
    FC_SELU,
    FC_SOFTPLUS,
    FC_SOFTSIGN,
    FC_LEAKY_RELU,
    FC_GELU,
    FC_SILU,
    FC_EXPONENTIAL,
    FC_HARD_SIGMOID,
    FC_RELU6,
    FC_ACTIVATIONS
} fc_activation;

/* A convolution, complete: x (n, h, w, c) * w (kh, kw, c / groups, k) -> y (n, oh, ow, k), or the same arrays with channels
 * second if layout is FC_NCHW. Output pixel (i, j) starts at input row i * stride_h - pad_top, column j * stride_w - pad_left;
 * what lies outside the input is zero. Padding below and to the right follows from oh and ow. */
typedef struct {
    ptrdiff_t n, h, w, c;
    ptrdiff_t kh, kw, k;
    ptrdiff_t oh, ow;
    ptrdiff_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    ptrdiff_t groups;
    fc_dtype dtype;
    fc_layout layout;
    fc_activation activation; /* of the forward pass; the gradients are of the linear map */
    fc_algorithm algorithm;
} fc_conv2d;

/* y = activation(x * w + bias). bias may be NULL. */
fc_status fc_conv2d_forward(const fc_conv2d *conv, const void *x, const void *w_hwio, const void *bias, void *y);
/* dx from dy and w. */
fc_status fc_conv2d_backward_input(const fc_conv2d *conv, const void *dy, const void *w_hwio, void *dx);
/* dw and db from x and dy. Either may be NULL. */
fc_status fc_conv2d_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw_hwio, void *db);
/* Whether algorithm FC_WINOGRAD can compute this convolution. */
int fc_conv2d_winograd_applies(const fc_conv2d *conv);

/* Instruction sets, in order of preference. */
int fc_isa_count(void);
const char *fc_isa_name(int index);
int fc_isa_available(int index);
int fc_isa_current(void);
/* Selects the kernels for all later calls. FC_UNSUPPORTED if this processor lacks them. */
fc_status fc_isa_select(int index);

/* Threads: the size of the pool, counting the caller. */
int fc_get_num_threads(void);
void fc_set_num_threads(int n);

#endif
