/* Pooling kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_POOL_H
#define FC_UKERNELS_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Windows side by side that all have the same taps. Tap t of window i, channel c is tap[t][i * step + c]. The results,
 * y[i * channels + c] and index[i * channels + c], are dense. */
typedef struct {
    const void *const *tap;
    const uint8_t *position; /* of each tap in the window: what index receives */
    ptrdiff_t taps;          /* at least 1 */
    ptrdiff_t windows, step, channels;
    void *y;
    uint8_t *index;
} fc_pool_args;

/* Elements of the input side by side that are all covered by windows in the same way:
 * dx[i * step + c] = sum over t < windows of what window t sends to element i, channel c, where window t has the gradient
 * dy[t][i * channels + c]: all of it if index[t][i * channels + c] == position[t] (maximum), or scale[t] of it (mean). */
typedef struct {
    const void *const *dy;
    const uint8_t *const *index;
    const uint8_t *position;
    const double *scale;
    ptrdiff_t windows; /* 0: dx is zero */
    ptrdiff_t elements, step, channels;
    void *dx;
} fc_unpool_args;

typedef struct {
    /* The maximum: a NaN beats every number, the first of equals wins. `maximum` writes no index. */
    void (*maximum)(const fc_pool_args *args);
    void (*maximum_index)(const fc_pool_args *args);
    void (*mean)(const fc_pool_args *args);
    void (*maximum_backward)(const fc_unpool_args *args);
    void (*mean_backward)(const fc_unpool_args *args);
    /* Columns of `channels` elements: to[i * to_step + c] = from[i * from_step + c], i < columns, c < channels. Between them
     * nothing is written. */
    void (*copy_columns)(const void *from, ptrdiff_t from_step, void *to, ptrdiff_t to_step, ptrdiff_t columns,
                         ptrdiff_t channels);
    /* to[2 * i] = even[i], to[2 * i + 1] = odd[i], i < n */
    void (*interleave)(const void *even, const void *odd, void *to, ptrdiff_t n);
    int lanes;
} fc_pool_kernels;

#endif
