/* Depthwise convolution of planes that lie one behind the other (channels first): vectors run along the columns. Kernels are square, of 3
 * or 5 taps, strides are 1 or 2. There are none where loads of some lanes are slow. Distances are in elements. */
#ifndef FC_UKERNELS_PLANES_H
#define FC_UKERNELS_PLANES_H

/* From `planes` planes to as many: x has h rows of width columns, of y some rows are computed. x, w and y are those of the first plane,
 * the first row of y for the latter. With a bias it is added; with `accumulate` the sums are added to what is in y.
 *
 * gather, for row i < rows and column j < out_width of plane p:
 * y[p * y_plane + i * y_step + j] = act(bias[p * w_plane] + sum over r, t < taps of
 *     x[p * x_plane][top + (i * stride + r) * spread_h][left + j * stride + t * spread_w] * w[p * w_plane + r * w_row + t * w_tap]).
 * What lies outside of x is zero. spread_w is 1 if stride is 2. act is relu or the identity.
 *
 * scatter is the adjoint of gather with stride 2 and spreads of 1: the sums run over all r, t < taps, k < h, l < width with
 * 2 * k + r == top + i and 2 * l + t == left + j, of x[p * x_plane][k][l] * w[...]. There is no bias; top and left are not
 * negative. */
typedef struct {
    const void *x, *w, *bias; /* bias may be NULL */
    void *y;
    ptrdiff_t planes, x_plane, y_plane, w_plane;
    ptrdiff_t h, width, top, left, spread_h, spread_w;
    ptrdiff_t rows, y_step, out_width;
    ptrdiff_t w_row, w_tap;
    ptrdiff_t x_ahead, y_ahead; /* how far ahead what will be read and written soon is fetched */
    ptrdiff_t taps, stride;
    int scatter, relu, accumulate;
} fc_depthwise_planes_args;

/* The weight gradient of gather: acc is (planes, taps * taps + 1, lanes), and what it has is added to. The sum over the lanes of
 * [p * acc_plane][r * taps + t] is that of x[...] * dy[p * dy_plane + i * dy_step + j] over the rows and columns of dy, that of
 * [p * acc_plane][taps * taps] the sum of dy. acc_plane counts planes. */
typedef struct {
    const void *x, *dy;
    void *acc;
    ptrdiff_t planes, x_plane, dy_plane, acc_plane;
    ptrdiff_t h, width, top, left, spread_h, spread_w;
    ptrdiff_t rows, dy_step, dy_width;
    ptrdiff_t x_ahead, dy_ahead;
    ptrdiff_t taps, stride;
} fc_depthwise_planes_wgrad_args;

typedef struct {
    int taps; /* the largest kernels, 0 where there are none */
    void (*convolve)(const fc_depthwise_planes_args *args);
    void (*wgrad)(const fc_depthwise_planes_wgrad_args *args);
    /* out[i * ld] = the sum of the lanes of the i-th vector, i < n */
    void (*lane_sums)(const void *vectors, ptrdiff_t n, void *out, ptrdiff_t ld);
} fc_depthwise_planes_kernels;

#endif
