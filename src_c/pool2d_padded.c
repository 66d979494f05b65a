/* The gradient of max-pooling of few channels or small images, gathered: dy is copied, strip by strip, with a border of zeros on all sides, so that
 * the same windows cover all elements of a phase of the strides, and all of its rows are one call. Of indices in the border no more is asked than
 * that they can be read: zeros are added wherever they send them. Channels fewer than a vector are gathered without a gap, and then spread. */
#include "pool2d_internal.h"

#include <string.h>

/* Elements of a row, at most; of a strip of dx; and of one task. */
enum { ROW_ELEMENTS = 800, STRIP_ELEMENTS = 1 << 13, TASK_ELEMENTS = 1 << 16 };
/* Nanoseconds per element, roughly. */
static const double ELEMENT_NS = 0.3;

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_ukernels *kernels;
    ptrdiff_t esize, strip, strips, task_units; /* rows of dx of a strip, strips of an image */
    ptrdiff_t above, before, columns; /* rows and columns of zeros before dy, and columns of a row in all */
    int spreads, stream;
    const void *dy;
    const uint8_t *index;
    void *dx;
} padded_job;

/* Of one task: rows of dy and their indices, what is gathered, and the windows that cover elements of a phase. */
typedef struct {
    char *dy;
    uint8_t *index;
    char *gathered;
    const void **from;
    const uint8_t **index_from;
    uint8_t *position;
} padded_strip;

int fc_pool_padded_pays(const fc_pool2d *pool) {
    const fc_pool2d p = fc_pool_as_nhwc(pool);
    return fc_pool_index_bytes(pool) == 1 && fc_max(p.w, p.ow) * p.c <= ROW_ELEMENTS && p.stride_w <= p.w + p.pad_left && p.ow <= 2 * p.w;
}

static ptrdiff_t strip_rows(const padded_job *job) { return job->above + (job->strip - 1) / job->p.stride_h + 2; }

/* Places the parts of a strip one after the other. Returns how many bytes it takes; there is no memory yet if `memory` is NULL. */
static size_t place(const padded_job *job, padded_strip *s, char *memory) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t taps = fc_ceil_div(p->pool_h, p->stride_h) * fc_ceil_div(p->pool_w, p->stride_w), word = (ptrdiff_t)sizeof(void *);
    const ptrdiff_t dy = fc_round_up(strip_rows(job) * job->columns * p->c * job->esize, FC_ALIGN);
    const ptrdiff_t gathered = job->spreads ? fc_round_up(fc_ceil_div(job->strip, p->stride_h) * job->columns * p->c * job->esize, FC_ALIGN) : 0;
    const ptrdiff_t lists = dy + gathered;
    if (memory)
        *s = (padded_strip){.dy = memory,
                            .gathered = memory + dy,
                            .from = (const void **)(void *)(memory + lists),
                            .index_from = (const uint8_t **)(void *)(memory + lists + taps * word),
                            .position = (uint8_t *)memory + lists + 2 * taps * word,
                            .index = (uint8_t *)memory + lists + 2 * taps * word + taps};
    return (size_t)(lists + 2 * taps * word + taps + dy / job->esize);
}

/* Lists the windows that cover elements of phase (ki, kj) from row `row` and column `column` of windows on, those in the copy. Returns their number. */
static ptrdiff_t list_windows(const padded_job *job, padded_strip *s, ptrdiff_t ki, ptrdiff_t kj, ptrdiff_t row, ptrdiff_t column) {
    const fc_pool2d *const p = &job->p;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = ki; i < p->pool_h; i += p->stride_h)
        for (ptrdiff_t j = kj; j < p->pool_w; j += p->stride_w, count++) {
            const ptrdiff_t at = ((row - i / p->stride_h) * job->columns + job->before + column - j / p->stride_w) * p->c;
            s->from[count] = s->dy + at * job->esize;
            s->index_from[count] = s->index + at;
            s->position[count] = (uint8_t)(i * p->pool_w + j);
        }
    return count;
}

/* Rows r, r + stride_h, ... < end of dx, and columns q, q + stride_w, ...; `first` is the first row of dy in the copy. */
static void gather(const padded_job *job, padded_strip *s, ptrdiff_t r, ptrdiff_t end, ptrdiff_t q, ptrdiff_t first, char *dx) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t c = p->c, rows = fc_ceil_div(end - r, p->stride_h), elements = fc_ceil_div(p->w - q, p->stride_w),
                    row_step = p->stride_h * p->w * c;
    void *const to = fc_at_mut(dx, (r * p->w + q) * c, job->esize);
    const ptrdiff_t ki = (r + p->pad_top) % p->stride_h, kj = (q + p->pad_left) % p->stride_w;
    fc_unpool_args args = {
        .dy = s->from,
        .index = s->index_from,
        .position = s->position,
        .windows = list_windows(job, s, ki, kj, (r + p->pad_top) / p->stride_h - first, (q + p->pad_left) / p->stride_w),
        .rows = rows,
        .row_step = job->spreads ? elements * c : row_step,
        .dy_row = job->columns * c,
        .elements = elements,
        .step = job->spreads ? c : p->stride_w * c,
        .dy_step = c,
        .channels = c,
        .dx = job->spreads ? s->gathered : to,
        .stream = job->stream,
    };
    fc_pool_unpool(&job->kernels->pool, MAXIMUM, &args);
    const fc_columns apart = {
        .rows = rows, .columns = elements, .channels = c, .from_row = elements * c, .from_step = c, .to_row = row_step, .to_step = p->stride_w * c};
    if (job->spreads) job->kernels->pool.copy_columns(&apart, s->gathered, to);
}

static void run_strip(const padded_job *job, padded_strip *s, ptrdiff_t image, ptrdiff_t row, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first = (row + p->pad_top) / p->stride_h - job->above, rows = (end - 1 + p->pad_top) / p->stride_h + 1 - first;
    const ptrdiff_t line = job->columns * p->c, run = p->ow * p->c;
    for (ptrdiff_t i = first; i < first + rows; i++) {
        if (i < 0 || i >= p->oh) {
            memset(s->dy + (i - first) * line * job->esize, 0, (size_t)(line * job->esize));
            continue;
        }
        const ptrdiff_t at = (image * p->oh + i) * run, to = (i - first) * line + job->before * p->c;
        memcpy(s->dy + to * job->esize, fc_at(job->dy, at, job->esize), (size_t)(run * job->esize));
        memcpy(s->index + to, job->index + at, (size_t)run);
    }
    char *const dx = fc_at_mut(job->dx, image * p->h * p->w * p->c, job->esize);
    for (ptrdiff_t r = row; r < fc_min(end, row + p->stride_h); r++)
        for (ptrdiff_t q = 0; q < fc_min(p->w, p->stride_w); q++) gather(job, s, r, end, q, first, dx);
}

static fc_status padded_task(const void *context, ptrdiff_t task) {
    const padded_job *const job = context;
    padded_strip s;
    char *const memory = fc_scratch(FC_SLOT_TASK, place(job, &s, NULL));
    if (!memory) return FC_NO_MEMORY;
    place(job, &s, memory);
    const size_t elements = (size_t)(strip_rows(job) * job->columns * job->p.c);
    memset(s.dy, 0, elements * (size_t)job->esize);
    memset(s.index, 0, elements);
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->p.n * job->strips, (task + 1) * job->task_units); u++) {
        const ptrdiff_t row = u % job->strips * job->strip;
        run_strip(job, &s, u / job->strips, row, fc_min(job->p.h, row + job->strip));
    }
    if (job->stream) job->kernels->frame.stream_end();
    return FC_OK;
}

fc_status fc_pool_padded(const fc_pool2d *pool, const void *dy, const void *indices, void *dx) {
    padded_job job = {
        .p = fc_pool_as_nhwc(pool), .kernels = fc_kernels(pool->dtype), .esize = fc_esize(pool->dtype), .dy = dy, .index = indices, .dx = dx};
    const fc_pool2d *const p = &job.p;
    const ptrdiff_t row = p->w * p->c, bytes = p->n * p->h * row * job.esize;
    job.above = (p->pool_h - 1) / p->stride_h, job.before = (p->pool_w - 1) / p->stride_w;
    job.columns = job.before + fc_max(p->ow, (p->w - 1 + p->pad_left) / p->stride_w + 1);
    job.spreads = p->c < job.kernels->pool.lanes && p->stride_w > 1;
    job.stream = !job.spreads && fc_streams(dx, p->c * job.esize, bytes);
    job.strip = fc_max(1, fc_min(p->h, STRIP_ELEMENTS / row));
    job.strips = fc_ceil_div(p->h, job.strip);
    job.task_units = fc_max(1, TASK_ELEMENTS / (job.strip * row));
    return fc_parallel_for(fc_ceil_div(p->n * job.strips, job.task_units), ELEMENT_NS * (double)(p->n * p->h) * (double)row, padded_task, &job);
}
