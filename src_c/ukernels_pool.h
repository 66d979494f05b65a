/* Pooling kernels: part of the table in ukernels.h. */
#ifndef FC_UKERNELS_POOL_H
#define FC_UKERNELS_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Windows that all have the same taps. Tap t of window i, channel c is tap[t][i * step + c]; the results are
 * y[i * out_step + c] and index[i * out_step + c]. */
typedef struct {
    const void *const *tap;
    const uint8_t *position; /* of each tap in the window: what index receives */
    ptrdiff_t taps;          /* at least 1 */
    ptrdiff_t windows, step, out_step, channels;
    void *y;
    uint8_t *index;
    const void *next; /* what will be read soon: fetched along with the windows */
    ptrdiff_t next_elements;
    int stream; /* y goes past the caches: every window of it is aligned to FC_ALIGN and a multiple of that long */
} fc_pool_args;

/* Rows of elements of the input that are all covered by windows in the same way:
 * dx[r * row_step + i * step + c] = sum over t < windows of what window t sends to element i, channel c, of row r, where window t has the gradient
 * dy[t][at], at = r * dy_row + i * dy_step + c: all of it if index[t][at] == position[t] (maximum), or scale[t] of it (mean). */
typedef struct {
    const void *const *dy;
    const uint8_t *const *index;
    const uint8_t *position;
    const double *scale;
    ptrdiff_t windows; /* 0: dx is zero */
    ptrdiff_t rows, row_step, dy_row;
    ptrdiff_t elements, step, dy_step, channels;
    void *dx;
    int stream; /* as above, of dx */
} fc_unpool_args;

/* Windows without overlap: rows of `windows` windows, which lie densely in y and index. y and index receive the maxima of x, which they cover
 * without a rest, or y is their gradient and
 * dx[(r * pool_h + i) * x_row + (j * pool_w + k) * channels + c] =
 * y[(r * windows + j) * channels + c] if index says i * pool_w + k there, else 0. */
typedef struct {
    void *x; /* or dx */
    void *y;
    uint8_t *index; /* or NULL */
    ptrdiff_t rows, windows, pool_h, pool_w, channels, x_row;
    int stream; /* y, or dx, goes past the caches: every row of it is aligned to FC_ALIGN and a multiple of that long */
} fc_pool_tiles_args;

/* The gradient of max-pooling by windows of taps x taps, `stride` apart: steps along `stride` rows of dx. Step k has columns stride * k - column + v,
 * v < stride, as far as they are columns of dx, and the window with tap (u + d * stride, v + e * stride) there is column k + dy_column - e of
 * dy[d] and index[d], where there is one. Of index a vector is read in place of two columns before the first and behind the last, too. taps and stride are 2 and 2, 3 and 2, or 3 and 1. */
typedef struct {
    const void *const *dy;
    const uint8_t *const *index;
    void *const *dx;
    ptrdiff_t taps, stride, steps, column, width, dy_column, dy_width, channels;
} fc_pool_steps_args;

/* Windows of a row, `step` elements of dx apart, whose gradients are added where index says:
 * dx[corner + j * step + offset[index[j * out_step + c]] + c] += dy[j * out_step + c], j < windows, c < channels, but for those whose
 * offset, of 256, is FC_NOWHERE. */
#define FC_NOWHERE PTRDIFF_MIN
typedef struct {
    const void *dy;
    const uint8_t *index;
    const ptrdiff_t *offset;
    ptrdiff_t windows, channels, out_step, corner, step;
    void *dx;
} fc_pool_scatter_args;

/* Pixels of one window, `step` elements apart; at most FC_WINDOW_CHANNELS channels. */
enum { FC_WINDOW_CHANNELS = 128 };
typedef struct {
    const void *x;
    ptrdiff_t pixels, step, channels;
    void *y;        /* the maximum, the mean, or their gradient */
    int64_t *index; /* or NULL: where the maximum is; the first pixel has the number `first` */
    int64_t first;
    int more;        /* y and index hold what other pixels of the window have given */
    ptrdiff_t count; /* of pixels in the window; 0: y is to be the sum, other pixels follow */
    int stream;      /* as above, of dx */
} fc_window_args;

/* Where a window lies in its image. */
typedef struct {
    ptrdiff_t row, column, window_h, window_w;
    ptrdiff_t h, w;
} fc_window_place;

/* Rows of columns of `channels` elements: to[r * to_row + i * to_step + c] = from[r * from_row + i * from_step + c], r < rows,
 * i < columns, c < channels. Between them nothing is written. */
typedef struct {
    ptrdiff_t rows, columns, channels;
    ptrdiff_t from_row, from_step, to_row, to_step;
} fc_columns;

/* Where a tap of a block of windows reads: lane[pattern * VL + l] picks the element for window l from the 2 VL that begin at element
 * `from` of the line, or from all that the line has. */
typedef struct {
    ptrdiff_t from;
    int32_t pattern, place;
} fc_line_entry;

/* Lines of in_elements and out_elements elements. Block b is VL windows from b * VL on, the last block those that end the line. Their tap t
 * is entry[b * taps + t]. The place of a maximum, which goes to `where`, or, of winners, to index, is position[place * VL + l] of its tap;
 * of winners `within` adds to that what it has for the element. A sum leaves out the lanes whose position is 0, and is divided by
 * elements, as many as out_elements, if there are any. out_elements is VL or more. */
typedef struct {
    const void *x, *within, *position, *elements;
    const int32_t *lane;
    const fc_line_entry *entry;
    ptrdiff_t lines, blocks, taps, in_elements, out_elements;
    ptrdiff_t group; /* taps 0 .. group - 1 of a block, and so on, have the same `from` */
    void *y, *where;
    uint8_t *index;
} fc_pool_lines_args;

/* Rows of windows of a plane that are alike, and lie together: the first tap of element c of the first of them is x[in + c], its results
 * go to y[out + c], c < columns. The place of its first tap is `position`. */
typedef struct {
    ptrdiff_t in, out, rows, columns, taps, position;
} fc_pool_rows;

/* Pooling along columns. A tap is `line` elements after the one before and pool_w places; the next row of a group is `step` and `out_step`
 * elements on, the next plane in_plane and out_plane. The place of a maximum goes to `where`, or, with what `within` has for the element
 * added, to index. Sums are divided by the number of taps and by elements[c] if there are any. Groups ascend in y, of which not more
 * than all planes is written, nor more of index; of x no more is read than in_end; of the others, a vector more. */
typedef struct {
    const void *x, *within, *elements;
    const fc_pool_rows *group;
    ptrdiff_t groups, planes, line, pool_w, step, out_step, in_plane, out_plane, in_end, ahead;
    void *y, *where;
    uint8_t *index;
} fc_pool_columns_args;

/* Rows of w elements: row r of plane p, at from[p * from_plane + row[r]], goes to to[p * to_plane + r * to_row], and index, if it is not NULL,
 * to index_to in the same way. Rows ascend. Behind one of `to` a vector of zeros may be written, and of index as much read, but not
 * behind the last. Element c of row r is multiplied by row_scale[r] * scale[c] if scale is not NULL. */
typedef struct {
    const void *from, *scale;
    const double *row_scale;
    const ptrdiff_t *row;
    ptrdiff_t planes, rows, w, from_plane, to_row, to_plane;
    void *to;
    const uint8_t *index;
    uint8_t *index_to;
} fc_move_rows_args;

/* Rows of dx of a plane, w elements each, dx_row apart, the first of which lies in phase `phase` of stride_h; a row in the last phase is followed
 * by one that begins the next row of windows, dy_row elements on. Element l * stride_w + q of a row in phase p is the sum over
 * first[p * stride_w + q] <= e < first[p * stride_w + q + 1] of dy[offset[e] + l]; of the maximum, of those with
 * index[offset[e] + l] == position[e]. stride_w is 1 or 2. More of dy and of index may be read, as for elements up to 2 VL * stride_w on. */
typedef struct {
    const void *dy;
    const uint8_t *index;
    const ptrdiff_t *offset, *first;
    const uint8_t *position;
    ptrdiff_t rows, phase, w, stride_h, stride_w, dy_row, dx_row;
    void *dx;
    int flat;   /* up to a multiple of 8 VL may be written of a row, and more be read accordingly */
    int stream; /* rows go past the caches: they are aligned to FC_ALIGN and a multiple of that long */
} fc_gather_rows_args;

/* Kernels for planes; all of them are NULL where there are none. */
typedef struct {
    void (*maximum_columns)(const fc_pool_columns_args *args);
    void (*place_columns)(const fc_pool_columns_args *args);
    void (*index_columns)(const fc_pool_columns_args *args);
    void (*mean_columns)(const fc_pool_columns_args *args);
    void (*lines_maximum)(const fc_pool_lines_args *args);
    void (*lines_index)(const fc_pool_lines_args *args);
    void (*lines_winner)(const fc_pool_lines_args *args);
    void (*lines_sum)(const fc_pool_lines_args *args);
    void (*move_rows)(const fc_move_rows_args *args);
    void (*maximum_gather)(const fc_gather_rows_args *args);
    void (*mean_gather)(const fc_gather_rows_args *args);
} fc_plane_kernels;

typedef struct {
    /* The maximum: a NaN beats every number, the first of equals wins. `maximum` writes no index. */
    void (*maximum)(const fc_pool_args *args);
    void (*maximum_index)(const fc_pool_args *args);
    void (*mean)(const fc_pool_args *args);
    void (*maximum_backward)(const fc_unpool_args *args);
    void (*mean_backward)(const fc_unpool_args *args);
    /* Lanes are a multiple of pool_w * channels; to the former pool_w is 2, to the latter channels may be as many as lanes or more. */
    void (*maximum_tiles)(const fc_pool_tiles_args *args);
    void (*maximum_backward_tiles)(const fc_pool_tiles_args *args);
    void (*scatter)(const fc_pool_scatter_args *args);
    void (*maximum_backward_steps)(const fc_pool_steps_args *args); /* or NULL */
    void (*copy_columns)(const fc_columns *columns, const void *from, void *to);
    /* to[2 * i] = even[i], to[2 * i + 1] = odd[i], i < n */
    void (*interleave)(const void *even, const void *odd, void *to, ptrdiff_t n);
    /* to[i] = from[i], i < n, past the caches; to and n are multiples of FC_ALIGN bytes */
    void (*stream)(const void *from, void *to, ptrdiff_t n);
    /* Whole windows: the maximum, the mean, the gradient of the mean, and gradients added where the maxima were. */
    void (*window_maximum)(const fc_window_args *args);
    void (*window_mean)(const fc_window_args *args);
    void (*window_mean_backward)(const fc_window_args *args, void *dx);
    void (*window_scatter)(const fc_window_args *args, const fc_window_place *place, void *dx);
    fc_plane_kernels planes;
    int lanes;
} fc_pool_kernels;

#endif
