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
    /* Set by the library, 0 elsewhere: weights are packed for an image or two, which take as long as weights are read; output pixels of
     * the convolution that this is a part of, which decide how it is computed. */
    int few;
    int pieces; /* of the kernel that Winograd's packed weights are made of, as they were chosen; 0: to be chosen */
    ptrdiff_t whole;
    /* And in programs: memory that is read afterwards, from far away, which a pass that has little to read itself may fetch. A second thread
     * reads what lies ahead_half bytes further on, if that is not 0. */
    const char *ahead, *ahead_end;
    ptrdiff_t ahead_half;
    /* And of fc_conv2d_forward_pooled: only maxima of outputs are written. */
    int pooled;
    uint8_t *indices;
} fc_conv2d;

/* y = activation(x * w + bias). bias may be NULL. */
fc_status fc_conv2d_forward(const fc_conv2d *conv, const void *x, const void *w_hwio, const void *bias, void *y);
/* The same with weights that were packed before, for many forward passes: bytes of what they are packed into (0: packing has no use
 * for this convolution), packing, and the pass. It is Winograd's wherever that is faster from there on. Valid for the instruction
 * set in use and for any n, but laid out for as few or as many images as `conv` has when they are packed: fc_conv2d_packed_as tells the
 * bytes of what was packed with another n, 0 if that is not what it is, from its first FC_PACKED_HEADER bytes. */
#define FC_PACKED_HEADER 64
ptrdiff_t fc_conv2d_packed_bytes(const fc_conv2d *conv);
ptrdiff_t fc_conv2d_packed_as(const fc_conv2d *conv, const void *packed);
fc_status fc_conv2d_pack(const fc_conv2d *conv, const void *w_hwio, void *packed);
fc_status fc_conv2d_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);
/* The same, from weights or packed weights, and max-pooling of windows of 2 x 2 with stride 2 at once: y is (n, oh / 2, ow / 2, k), as are
 * indices, which fc_max_pool2d describes; they may be NULL. FC_UNSUPPORTED, nothing done, where that is not faster, in float64, or where oh or ow is odd. */
fc_status fc_conv2d_forward_pooled(const fc_conv2d *conv, const void *x, const void *w_hwio, int packed, const void *bias, void *y, uint8_t *indices);
/* dx from dy and w. */
fc_status fc_conv2d_backward_input(const fc_conv2d *conv, const void *dy, const void *w_hwio, void *dx);
/* dw and db from x and dy. Either may be NULL. */
fc_status fc_conv2d_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw_hwio, void *db);
/* All of them; dw or db may be NULL. */
fc_status fc_conv2d_backward(const fc_conv2d *conv, const void *x, const void *dy, const void *w_hwio, void *dx, void *dw_hwio, void *db);
/* Whether algorithm FC_WINOGRAD can compute this convolution. */
int fc_conv2d_winograd_applies(const fc_conv2d *conv);

/* A pooling: x (n, h, w, c) -> y (n, oh, ow, c), or channels second. Window (i, j) starts at input row i * stride_h - pad_top,
 * column j * stride_w - pad_left; what lies outside the input takes no part. Every window holds at least one element. */
typedef struct {
    ptrdiff_t n, h, w, c;
    ptrdiff_t pool_h, pool_w;
    ptrdiff_t oh, ow;
    ptrdiff_t stride_h, stride_w, pad_top, pad_left;
    fc_dtype dtype;
    fc_layout layout;
} fc_pool2d;

/* y = the maximum of every window: NaN if it holds one. indices, of the shape of y, receives row * pool_w + column of the first
 * maximum (of the first NaN) within the window; it may be NULL. Indices are uint8_t, or int64_t if a window has more than 256
 * positions. */
fc_status fc_max_pool2d(const fc_pool2d *pool, const void *x, void *y, void *indices);
int fc_pool_index_bytes(const fc_pool2d *pool);
/* dx from dy: each gradient goes to the element that won, and adds up where windows overlap. */
fc_status fc_max_pool2d_backward(const fc_pool2d *pool, const void *dy, const void *indices, void *dx);
/* y = the mean of the elements of every window. */
fc_status fc_avg_pool2d(const fc_pool2d *pool, const void *x, void *y);
fc_status fc_avg_pool2d_backward(const fc_pool2d *pool, const void *dy, void *dx);

/* Functions of every element. In all of them an output may be an input of the same type and size; n counts elements. */
fc_status fc_activate(fc_dtype dtype, fc_activation activation, const void *x, void *y, ptrdiff_t n);
/* Whether the gradient is computed from the input x of the activation, not from its output y. */
int fc_activation_needs_input(fc_activation activation);
/* dx = dy * f', from s = y, or from s = x if fc_activation_needs_input. */
fc_status fc_activate_backward(fc_dtype dtype, fc_activation activation, const void *dy, const void *s, void *dx, ptrdiff_t n);
/* y[i] = x[i] / (1 - rate), or 0 with probability rate in [0, 1]; which ones depends on seed, counter and i alone. A gradient
 * goes through the same function. */
fc_status fc_dropout(fc_dtype dtype, double rate, uint64_t seed, uint64_t counter, const void *x, void *y, ptrdiff_t n);
fc_status fc_sum_squares(fc_dtype dtype, const void *x, ptrdiff_t n, double *sum);

/* out (n, row) of dtype = scale * rows indices[0 .. n - 1] of src, which has `row` elements per row. */
typedef enum { FC_SOURCE_F32 = 0, FC_SOURCE_F64 = 1, FC_SOURCE_U8 = 2, FC_SOURCES } fc_source;
fc_status fc_gather_rows(fc_source source, fc_dtype dtype, const void *src, ptrdiff_t row, const int64_t *indices, ptrdiff_t n, double scale,
                         void *out);
/* The first i with indices[i] outside 0 .. limit - 1, or -1. */
ptrdiff_t fc_find_outside(const int64_t *indices, ptrdiff_t n, int64_t limit);

/* Softmax over the last axis of (rows, cols). */
fc_status fc_softmax(fc_dtype dtype, const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);
fc_status fc_softmax_backward(fc_dtype dtype, const void *dy, const void *y, void *dx, ptrdiff_t rows, ptrdiff_t cols);
/* loss[i] = weights[i] * crossentropy of softmax(logits[i]) with the label or the distribution targets[i]; exactly one of labels
 * and targets is given, labels lie in 0 .. cols - 1. The optional outputs: dlogits, the gradient of the mean of loss (may be
 * logits); probs, the softmax; correct, 1 where the label (the first largest target) is the first largest logit; totals, the sum
 * of loss and how many are correct, which needs `correct`. */
typedef struct {
    ptrdiff_t rows, cols;
    fc_dtype dtype;
    const void *logits;
    const int64_t *labels;
    const void *targets;
    const void *weights; /* or NULL: all 1 */
    void *loss;
    void *dlogits, *probs;
    uint8_t *correct;
    double *totals; /* 2 */
} fc_crossentropy;
fc_status fc_softmax_crossentropy(const fc_crossentropy *args);

/* Optimizer updates, in place: g is multiplied by scale, w loses the fraction decay of itself, then the rule is applied.
 * m = momentum * m - learning_rate * g, w += m, or w += momentum * m - learning_rate * g; without m, w -= learning_rate * g. */
typedef struct {
    double learning_rate, momentum, decay, scale;
    double nesterov; /* 0 or 1 */
} fc_sgd;
fc_status fc_sgd_update(const fc_sgd *p, fc_dtype dtype, void *w, const void *g, void *m, ptrdiff_t n);
/* v and mg are the moving averages of g^2 and g; step = learning_rate * g / sqrt(v - mg^2 + epsilon); m = momentum * m + step and
 * w -= m. Without mg it counts as 0; without m, w -= step. */
typedef struct {
    double learning_rate, rho, momentum, epsilon, decay, scale;
} fc_rmsprop;
fc_status fc_rmsprop_update(const fc_rmsprop *p, fc_dtype dtype, void *w, const void *g, void *v, void *m, void *mg, ptrdiff_t n);
/* m and v are the moving averages of g and g^2; w -= learning_rate * m / (sqrt(v) + epsilon), with the largest v so far, vhat, in
 * place of v unless it is NULL. The caller puts the correction of the bias into learning_rate. */
typedef struct {
    double learning_rate, beta_1, beta_2, epsilon, decay, scale;
} fc_adam;
fc_status fc_adam_update(const fc_adam *p, fc_dtype dtype, void *w, const void *g, void *m, void *v, void *vhat, ptrdiff_t n);

/* Batch normalization of x (outer, channels, inner): channels last is inner = 1, channels second is outer = the batch. */
typedef struct {
    ptrdiff_t outer, channels, inner;
    fc_dtype dtype;
    double epsilon;
} fc_batchnorm;
/* The mean and the biased variance of every channel. There is at least one element per channel. */
fc_status fc_batchnorm_moments(const fc_batchnorm *bn, const void *x, void *mean, void *variance);
/* y = gamma * (x - mean) / sqrt(variance + epsilon) + beta. gamma or beta may be NULL: 1 and 0. y may be x. */
fc_status fc_batchnorm_normalize(const fc_batchnorm *bn, const void *x, const void *mean, const void *variance, const void *gamma, const void *beta,
                                 void *y);
/* The gradients of it; of mean and variance as functions of x too if `training`. dx, dgamma and dbeta may be NULL; dx may be dy. */
fc_status fc_batchnorm_backward(const fc_batchnorm *bn, int training, const void *dy, const void *x, const void *mean, const void *variance,
                                const void *gamma, void *dx, void *dgamma, void *dbeta);

/* The functions above as records, so that a whole pass of a network is one call. A record holds the arrays in the order of the
 * parameters of its function, inputs first; where the function takes a size, it is `n`, or `rows` and `cols`. Settings of an update
 * are read when the record runs. */
typedef enum {
    FC_OP_CONV2D = 0,               /* x, w, bias; y */
    FC_OP_CONV2D_PACK,              /* w; packed */
    FC_OP_CONV2D_PACKED,            /* x, packed, bias; y */
    FC_OP_CONV2D_BACKWARD_INPUT,    /* dy, w; dx */
    FC_OP_CONV2D_BACKWARD_WEIGHTS,  /* x, dy; dw, db */
    FC_OP_CONV2D_BACKWARD,          /* x, dy, w; dx, dw, db */
    FC_OP_MAX_POOL2D,               /* x; y, indices */
    FC_OP_MAX_POOL2D_BACKWARD,      /* dy, indices; dx */
    FC_OP_AVG_POOL2D,               /* x; y */
    FC_OP_AVG_POOL2D_BACKWARD,      /* dy; dx */
    FC_OP_ACTIVATE,                 /* x; y */
    FC_OP_ACTIVATE_BACKWARD,        /* dy, s; dx */
    FC_OP_DROPOUT,                  /* x, seed and counter as two uint64; y */
    FC_OP_NEXT_DRAW,                /* ; seed and counter, which is increased */
    FC_OP_SOFTMAX,                  /* x; y */
    FC_OP_SOFTMAX_BACKWARD,         /* dy, y; dx */
    FC_OP_SOFTMAX_CROSSENTROPY,     /* logits, labels, targets, weights; loss, dlogits, probs, correct, totals */
    FC_OP_BATCHNORM_MOMENTS,        /* x; mean, variance */
    FC_OP_BATCHNORM_NORMALIZE,      /* x, mean, variance, gamma, beta; y */
    FC_OP_BATCHNORM_BACKWARD,       /* dy, x, mean, variance, gamma; dx, dgamma, dbeta */
    FC_OP_GATHER_ROWS,              /* src, indices; out */
    FC_OP_SGD,                      /* g, settings; w, m */
    FC_OP_RMSPROP,                  /* g, settings; w, v, m, mg */
    FC_OP_ADAM,                     /* g, settings; w, m, v, vhat */
    FC_OPS
} fc_op_kind;

enum { FC_OP_ARRAYS = 9 };

typedef struct {
    fc_op_kind kind;
    fc_dtype dtype;
    void *arrays[FC_OP_ARRAYS]; /* NULL where the function allows it */
    ptrdiff_t n, rows, cols;
    fc_activation activation;
    double rate; /* of dropout; the scale of gathered rows */
    int training;
    fc_source source;
    ptrdiff_t sliced; /* if above 1: so many records, this one first, run on a few images after the other */
    int pooled;       /* a convolution whose result only the record after it reads, a max-pooling */
    union {
        fc_conv2d conv;
        fc_pool2d pool;
        fc_batchnorm batchnorm;
    } of;
} fc_op;

/* Runs the records one after the other; stops at the first that fails. Records that are sliced are convolutions and poolings of the
 * same images, the first of which writes what only the others read: that array is not written, a few images of it at a time lie in a
 * thread's workspace. Gradients of weights are summed over slices. */
fc_status fc_run(const fc_op *ops, ptrdiff_t count);
/* Called when a record has been added as the last of `count`: where its weights do not stay in the caches from run to run and take as long as
 * they are read, convolutions before it fetch some of them. */
void fc_look_ahead(fc_op *ops, ptrdiff_t count);

/* Place `place` of record `op` is `offset` bytes into moving array `array`. */
typedef struct {
    ptrdiff_t op;
    int place, array;
    ptrdiff_t offset;
} fc_moving;

/* Records some of whose arrays move from turn to turn. */
typedef struct {
    fc_op *ops;
    ptrdiff_t count;
    const fc_moving *moving;
    ptrdiff_t movings;
} fc_program;

/* Turns 0 .. turns - 1: moving array i of turn t is at arrays[i] + t * bytes[i]. Several programs, which do the same in memory of
 * their own, take turns beside each other, each on one thread. Stops where a turn fails. */
fc_status fc_run_turns(const fc_program *programs, int count, ptrdiff_t turns, char *const *arrays, const ptrdiff_t *bytes);

/* Instruction sets, in order of preference. */
int fc_isa_count(void);
const char *fc_isa_name(int index);
int fc_isa_available(int index);
int fc_isa_current(void);
/* Selects the kernels for all later calls. FC_UNSUPPORTED if this processor lacks them. */
fc_status fc_isa_select(int index);

/* Runs at least `count` multiply-adds on one thread and returns how many it ran: to measure the peak speed. */
double fc_multiply_adds(fc_dtype dtype, double count);

/* Threads: the size of the pool, counting the caller. */
int fc_get_num_threads(void);
void fc_set_num_threads(int n);

#endif
