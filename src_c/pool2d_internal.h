/* What the parts of pooling share. All of it is NHWC: plan turns NCHW into that. */
#ifndef FC_POOL2D_INTERNAL_H
#define FC_POOL2D_INTERNAL_H

#include "conv2d_internal.h"

typedef enum { MAXIMUM, MEAN } pool_kind;

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_pool_kernels *kernels;
    void (*stream_end)(void);
    pool_kind kind;
    ptrdiff_t esize;
    int flat, stream, stream_rows, fetch; /* stream_rows: of flat dx */
    fc_span inside_i, inside_j; /* the windows that lie within the rows and columns of the image */
    ptrdiff_t batch;         /* rows computed in one go, at most */
    ptrdiff_t task_rows, rows;
    const void *in; /* x, or dy */
    void *out;      /* y, or dx */
    uint8_t *index_out;
    const uint8_t *index_in;
} pool_job;

pool_job fc_pool_plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out, ptrdiff_t rows_per_image, ptrdiff_t row_elements);
/* Whether the maxima of windows are sought that cover the image without overlap and without a rest. */
static inline int fc_pool_tiled(const pool_job *job) {
    const fc_pool2d *const p = &job->p;
    return job->kind == MAXIMUM && p->pool_h == p->stride_h && p->pool_w == p->stride_w && !p->pad_top && !p->pad_left &&
           p->oh * p->stride_h == p->h && p->ow * p->stride_w == p->w;
}
/* NCHW is the same memory as NHWC with one channel and n * c images. */
static inline fc_pool2d fc_pool_as_nhwc(const fc_pool2d *pool) {
    fc_pool2d p = *pool;
    if (p.layout == FC_NCHW) p.n *= p.c, p.c = 1, p.layout = FC_NHWC;
    return p;
}
/* Windows that lie within 0 .. size - 1. */
fc_span fc_pool_inside(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t size, ptrdiff_t windows);
fc_status fc_pool_run(const pool_job *job, fc_task_fn task);

/* Whether windows are taken one at a time; if so, forward and backward. Indices may be NULL in the former, and are int64_t in the latter. */
int fc_pool_by_windows(const fc_pool2d *pool, int indices);
fc_status fc_pool_windows(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, void *indices);
fc_status fc_pool_windows_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx);

/* Maxima along rows, then along columns, and whether that is the faster way. Indices may be NULL, and are bytes. */
int fc_pool_separable_pays(const fc_pool2d *pool);
fc_status fc_pool_separable(const fc_pool2d *pool, const void *x, void *y, void *indices);

/* Gradients added where the maxima were, and whether that is the faster way. */
int fc_pool_scatter_pays(const fc_pool2d *pool);
fc_status fc_pool_scatter(const fc_pool2d *pool, const void *dy, const void *indices, void *dx);

/* Gradients gathered from copies of rows with their padding, and whether that is the faster way. */
int fc_pool_padded_pays(const fc_pool2d *pool);
fc_status fc_pool_padded(const fc_pool2d *pool, const void *dy, const void *indices, void *dx);

/* The gradient of overlapping maxima of NHWC, and whether that is the way. */
int fc_pool_steps_pay(const fc_pool2d *pool);
fc_status fc_pool_steps(const fc_pool2d *pool, const void *dy, const void *indices, void *dx);

/* Elements that follow each other without a gap are one: that has fewer remainders. */
static inline void fc_pool_unpool(const fc_pool_kernels *kernels, pool_kind kind, fc_unpool_args *args) {
    if (args->step == args->channels && args->dy_step == args->channels) args->channels *= args->elements, args->elements = 1;
    (kind == MEAN ? kernels->mean_backward : kernels->maximum_backward)(args);
}

/* Tables for pooling along lines: see fc_pool_lines_args. */
typedef struct {
    fc_line_entry *entry;
    int32_t *lane;
    void *position;
    ptrdiff_t lanes, blocks, taps, group, in_elements, out_elements;
    ptrdiff_t patterns, places; /* in use */
} fc_lines;
/* Tables for an image of one channel as a line, in FC_SLOT_CALL; its windows are one row high, one for every row. Of out_elements, those beyond the windows become anything. FC_UNSUPPORTED
 * where taps of windows side by side lie too far apart, or for too many. */
fc_status fc_pool_lines(const fc_pool2d *pool, pool_kind kind, int index, ptrdiff_t out_elements, fc_lines *lines);

/* Planes, one or several small ones at a time, in strips of rows of windows (forward) or of dx (backward). */
typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_pool_kernels *kernels;
    pool_kind kind;
    ptrdiff_t esize, rows, strip, strips; /* rows of a plane and of a strip, strips of a plane */
    ptrdiff_t together;                   /* planes that make a unit; if one does, its strips are units */
    ptrdiff_t units, task_units;
    const void *in, *counts; /* of the mean: elements in the columns of windows or in windows, or 1 by the former */
    const double *row_scale; /* 1 by the elements in the rows of windows */
    void *out;
    uint8_t *index_out;
    const uint8_t *index_in;
    int stream;
    int columns_first;   /* columns are pooled before rows */
    ptrdiff_t line_rows; /* rows that are a line: all of a plane, or 1 */
    fc_lines lines;
} fc_pool_planes_job;
typedef struct {
    ptrdiff_t first, planes, row, end; /* rows row .. end - 1 of the planes */
} fc_pool_planes_unit;
fc_pool_planes_job fc_pool_planes_plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out, ptrdiff_t rows, ptrdiff_t strip_rows);
fc_pool_planes_unit fc_pool_planes_get(const fc_pool_planes_job *job, ptrdiff_t unit);
fc_status fc_pool_planes_run(const fc_pool_planes_job *job, fc_task_fn task);
/* Of so many windows that cover an element dx is gathered, at most. */
enum { FC_PLANE_WINDOWS = 64 };
/* Whether that is the way for planes; if so, forward; and backward. Indices are bytes; forward they may be NULL. */
int fc_pool_by_planes(const fc_pool2d *pool);
int fc_pool_planes_gather(const fc_pool2d *pool);
fc_status fc_pool_planes(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, void *indices);
fc_status fc_pool_planes_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx);

/* Space of one task. */
typedef struct {
    const void **pointer; /* of the taps of a window, or of the gradients of windows */
    const uint8_t **index;
    double *scale;
    uint8_t *position;
    void *columns; /* flat: columns of each phase of the stride, [phase][row][row_elements] */
    ptrdiff_t row_elements, phase_elements;
    void *merged; /* a row of dx, if rows are streamed */
} workspace;

/* `dense`: rows follow each other without a gap, else they begin with a cache line. */
int fc_pool_allocate(workspace *ws, ptrdiff_t list, ptrdiff_t phases, ptrdiff_t rows, ptrdiff_t row_elements, int dense, ptrdiff_t esize);

#endif
