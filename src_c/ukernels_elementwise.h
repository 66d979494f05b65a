/* Elementwise kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_ELEMENTWISE_H
#define FC_UKERNELS_ELEMENTWISE_H

typedef struct {
    /* y[i] = f(x[i]), i < n. y may be x. A NaN gives a NaN. No entry is NULL. */
    void (*activation[FC_ACTIVATIONS])(const void *x, void *y, ptrdiff_t n);
    /* dx[i] = dy[i] * f'(.), from s = f(x), or from s = x if fc_activation_needs_input. dx may be dy or s. No entry is NULL. */
    void (*activation_backward[FC_ACTIVATIONS])(const void *dy, const void *s, void *dx, ptrdiff_t n);
} fc_elementwise_kernels;

#endif
