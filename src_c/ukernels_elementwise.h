/* Elementwise kernels: part of the table in ukernels.h. The structures with parameters are those of fastconv.h; the kernels
 * take from them numbers and pointers to optional arrays. Arrays of n elements need no alignment. */
#ifndef FC_UKERNELS_ELEMENTWISE_H
#define FC_UKERNELS_ELEMENTWISE_H

/* Elements that share the counters of the dropout generator: kernels are called on multiples of this many. */
#define FC_DROPOUT_GROUP 64

/* The generator's key and counter; which of its 32-bit words drop an element, and what the others are scaled by. */
typedef struct {
    uint64_t seed, counter;
    uint32_t last_dropped;
    double scale;
} fc_dropout_mask;

/* Channels of a block, at most. */
#define FC_CHANNEL_BLOCK 256

/* A block of an array for batch normalization: element j of channel c at outer position i lies at
 * i * stride + c * inner + j, i < outer, c < channels, j < inner. */
typedef struct {
    ptrdiff_t outer, stride, channels, inner;
} fc_channel_block;

typedef struct {
    /* y[i] = f(x[i]), i < n. y may be x. A NaN gives a NaN. No entry is NULL. */
    void (*activation[FC_ACTIVATIONS])(const void *x, void *y, ptrdiff_t n);
    /* dx[i] = dy[i] * f'(.), from s = f(x), or from s = x if fc_activation_needs_input. dx may be dy or s. No entry is NULL. */
    void (*activation_backward[FC_ACTIVATIONS])(const void *dy, const void *s, void *dx, ptrdiff_t n);

    /* Rows of cols elements, one after the other; y may be x, dx may be dy or y. */
    void (*softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);
    void (*softmax_backward)(const void *dy, const void *y, void *dx, ptrdiff_t rows, ptrdiff_t cols);
    /* Rows begin .. end - 1 of fc_softmax_crossentropy. */
    void (*crossentropy)(const fc_crossentropy *args, ptrdiff_t begin, ptrdiff_t end);

    /* Elements first .. first + n - 1 of fc_dropout, at x and y; first is a multiple of FC_DROPOUT_GROUP. */
    void (*dropout)(const fc_dropout_mask *mask, const void *x, void *y, ptrdiff_t first, ptrdiff_t n);
    /* The sum of x[i]^2, in double precision and in an order that depends on n alone. */
    double (*sum_squares)(const void *x, ptrdiff_t n);
    /* y[i] = x[i] * scale; x is of the entry's type. */
    void (*scaled[FC_SOURCES])(const void *x, void *y, ptrdiff_t n, double scale);

    void (*sgd)(const fc_sgd *p, void *w, const void *g, void *m, ptrdiff_t n);
    void (*rmsprop)(const fc_rmsprop *p, void *w, const void *g, void *v, void *m, void *mg, ptrdiff_t n);
    void (*adam)(const fc_adam *p, void *w, const void *g, void *m, void *v, void *vhat, ptrdiff_t n);

    /* Per channel: the sum of dy and of dy * (x - shift); with NULL for dy, of x - shift and its square. */
    void (*bn_sums)(const fc_channel_block *block, const void *dy, const void *x, const void *shift, double *sum, double *dot);
    /* y = (x - mean) * a + b. y may be x. */
    void (*bn_normalize)(const fc_channel_block *block, const void *x, const void *mean, const void *a, const void *b, void *y);
    /* dx = dy * a + (x - mean) * c + b. dx may be dy. */
    void (*bn_backward)(const fc_channel_block *block, const void *dy, const void *x, const void *mean, const void *a, const void *b, const void *c,
                        void *dx);
} fc_elementwise_kernels;

#endif
