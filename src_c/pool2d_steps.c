/* The gradient of max-pooling by 2x2 windows with stride 2, or 3x3 with stride 1 or 2, of NHWC with channels that fill a vector or a good part
 * of one. A step is as many rows of dx as the stride; a kernel makes steps of as many columns along them. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    TASK_ELEMENTS = 1 << 15, /* of dx */
    PART = 2,                /* channels are at least this part of a vector, */
    VECTORS = 8,             /* and so many vectors at most: walks pass by those of the others; */
    WHOLE_VECTORS = 4        /* so many where vectors must be whole */
};
/* Nanoseconds per element, roughly. */
static const double ELEMENT_NS = 0.2;

typedef struct {
    const fc_pool2d *p;
    const fc_ukernels *kernels;
    ptrdiff_t esize, live, rows, task_rows; /* live: rows of windows that a step sees; rows: steps of an image */
    const void *dy, *zeros;
    const uint8_t *index, *none, *first, *last; /* none: a row; first, last: copies of those, beside which may be read */
    void *dx;
} steps_job;

int fc_pool_steps_pay(const fc_pool2d *p) {
    const fc_ukernels *const kernels = fc_kernels(p->dtype);
    const ptrdiff_t lanes = kernels->pool.lanes;
    const int fills =
        kernels->depthwise.partial ? p->c * PART >= lanes && p->c <= VECTORS * lanes : p->c % lanes == 0 && p->c <= WHOLE_VECTORS * lanes;
    /* Of several vectors those that go past the caches are better written in order. */
    const int caches = p->c <= lanes || p->n * p->h * p->w * p->c * fc_esize(p->dtype) < FC_STREAM_BYTES;
    const int size = (p->pool_h == 2 && p->stride_h == 2) || (p->pool_h == 3 && p->stride_h <= 2);
    /* What is read of indices behind a row, or before it, is in the row beside it; of the first and the last row there are copies. */
    const int beside = (p->ow - 2) * p->c >= lanes;
    return kernels->pool.maximum_backward_steps && fills && caches && beside && p->layout == FC_NHWC && fc_pool_index_bytes(p) == 1 && size &&
           p->pool_w == p->pool_h && p->stride_w == p->stride_h;
}

/* Step k through the rows of an image. `unused`: a row that nobody reads. */
static void run_step(const steps_job *job, ptrdiff_t image, ptrdiff_t k, void *unused) {
    const fc_pool2d *const p = job->p;
    const ptrdiff_t stride = p->stride_h, row = p->ow * p->c;
    const void *dy[3];
    const uint8_t *index[3];
    void *dx[2];
    for (ptrdiff_t d = 0; d < job->live; d++) {
        const ptrdiff_t i = k + p->pad_top / stride - d, at = image * p->oh + i;
        const int inside = i >= 0 && i < p->oh;
        dy[d] = inside ? fc_at(job->dy, at * row, job->esize) : job->zeros;
        index[d] = !inside ? job->none : at == 0 ? job->first : at == p->n * p->oh - 1 ? job->last : job->index + at * row;
    }
    for (ptrdiff_t u = 0; u < stride; u++) {
        const ptrdiff_t r = k * stride + u - p->pad_top % stride;
        dx[u] = r >= 0 && r < p->h ? fc_at_mut(job->dx, (image * p->h + r) * p->w * p->c, job->esize) : unused;
    }
    const fc_pool_steps_args args = {
        .dy = dy,
        .index = index,
        .dx = dx,
        .taps = p->pool_h,
        .stride = stride,
        .steps = fc_stride_steps(p->w, p->pad_left, stride),
        .column = p->pad_left % stride,
        .width = p->w,
        .dy_column = p->pad_left / stride,
        .dy_width = p->ow,
        .channels = p->c,
    };
    job->kernels->pool.maximum_backward_steps(&args);
}

static fc_status steps_task(const void *context, ptrdiff_t task) {
    const steps_job *const job = context;
    void *const unused = fc_scratch(FC_SLOT_TASK, (size_t)(job->p->w * job->p->c * job->esize));
    if (!unused) return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->p->n * job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t i = task * job->task_rows; i < end; i++) run_step(job, i / job->rows, i % job->rows, unused);
    return FC_OK;
}

fc_status fc_pool_steps(const fc_pool2d *p, const void *dy, const void *indices, void *dx) {
    assert(fc_pool_steps_pay(p));
    steps_job job = {.p = p, .kernels = fc_kernels(p->dtype), .esize = fc_esize(p->dtype), .dy = dy, .index = indices, .dx = dx};
    const ptrdiff_t row = p->ow * p->c, zeros = fc_round_up(row * job.esize, FC_ALIGN), step = p->stride_h * p->w * p->c;
    const ptrdiff_t beside = 2 * p->c + job.kernels->pool.lanes, index = row + beside, last = (p->n * p->oh - 1) * row;
    char *const memory = fc_scratch(FC_SLOT_CALL, (size_t)(zeros + beside + 3 * index));
    if (!memory) return FC_NO_MEMORY;
    job.zeros = memset(memory, 0, (size_t)(zeros + beside + 3 * index));
    job.none = (uint8_t *)memory + zeros + beside;
    job.first = memcpy(memory + zeros + beside + index, job.index, (size_t)row);
    job.last = memcpy(memory + zeros + beside + 2 * index, job.index + last, (size_t)row);
    job.live = (p->pool_h - 1) / p->stride_h + 1;
    job.rows = fc_stride_steps(p->h, p->pad_top, p->stride_h);
    job.task_rows = fc_max(1, TASK_ELEMENTS / step);
    const double work = ELEMENT_NS * (double)(p->n * job.rows) * (double)step;
    return fc_parallel_for(fc_ceil_div(p->n * job.rows, job.task_rows), work, steps_task, &job);
}
