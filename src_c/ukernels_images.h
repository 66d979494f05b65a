/* Convolution with few channels, vectors along the images: arrays are (positions, images), a block of `2 * lanes` images side by side.
 * Distances are in elements. */
#ifndef FC_UKERNELS_IMAGES_H
#define FC_UKERNELS_IMAGES_H

/* Outputs that a kernel computes at a time. */
#define FC_IMAGES_COLUMNS 4

/* y[p * y_advance + j * y_depth] = bias[j] + sum over r < rows, s < cols, d < depth of
 * x[p * x_advance + r * x_row + s * x_col + d * x_depth] * w[r * w_row + s * w_col + d * ldw + j], p < pixels, j < columns, each for
 * the block of images there; relu of it if asked for. */
typedef struct {
    const void *x;
    ptrdiff_t rows, cols, depth, x_row, x_col, x_depth;
    ptrdiff_t pixels, x_advance, y_advance;
    const void *w;
    ptrdiff_t w_row, w_col, ldw;
    const void *bias; /* or NULL */
    void *y;
    ptrdiff_t y_depth;
    int columns; /* at most FC_IMAGES_COLUMNS */
    int relu;
} fc_images_args;

/* acc[d * ldw + j] = sum over l < lines, p < pixels and the images of
 * x[l * x_line + p * x_pixel + d * x_depth] * dy[l * dy_line + p * dy_pixel + j * dy_depth]; x counts as 1 if it is NULL. */
typedef struct {
    const void *x, *dy;
    ptrdiff_t lines, pixels, depth;
    ptrdiff_t x_line, x_pixel, x_depth;
    ptrdiff_t dy_line, dy_pixel, dy_depth;
    void *acc;
    ptrdiff_t ldw;
    int columns; /* at most FC_IMAGES_COLUMNS */
} fc_images_wgrad_args;

typedef struct {
    void (*convolve)(const fc_images_args *args);
    void (*wgrad)(const fc_images_wgrad_args *args);
} fc_images_kernels;

#endif
