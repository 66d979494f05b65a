/* The gradient of pooling single planes, those of NCHW, whose windows overlap: see pool2d_planes.c. A strip of dy is copied with a border
 * of zeros on all sides, its indices beside it, so that the same windows cover all elements of a phase of the strides: each phase of dx is
 * gathered row by row, and the phases of its columns are brought together. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

enum { STRIP_ELEMENTS = 1 << 12 };

/* A strip of dy: rows first - above .. of a plane at a time, columns -before .. */
typedef struct {
    char *dy, *phases;          /* and the phases of the columns of a row of dx */
    uint8_t *index;
    ptrdiff_t above, before;    /* rows and columns of zeros before the first window */
    ptrdiff_t row;              /* elements of a row, of dy and of index */
    ptrdiff_t phase;            /* elements of a phase of dx */
} strip;

/* Rows first .. end - 1 of dy, to row 0 and on of the strip; those beside the plane are zero. */
static void copy_dy(const fc_planes *job, const strip *s, ptrdiff_t plane, ptrdiff_t first, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const fc_span inside = job->kind == MEAN ? fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh) : (fc_span){0, p->oh};
    for (ptrdiff_t i = first, alike; i < end; i += alike) {
        void *const to = fc_at_mut(s->dy, (i - first) * s->row, job->esize);
        if (i < 0 || i >= p->oh) {
            alike = i < 0 ? fc_min(end, 0) - i : end - i;
            memset(to, 0, (size_t)(alike * s->row * job->esize));
            continue;
        }
        alike = i >= inside.first && i < inside.end ? fc_min(inside.end, end) - i : 1;
        const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        const ptrdiff_t at = (plane * p->oh + i) * p->ow;
        const fc_border_args border = {.x = fc_at(job->in, at, job->esize),
                                       .scale = job->counts,
                                       .row_scale = 1.0 / (double)(kh.end - kh.first),
                                       .rows = alike,
                                       .w = p->ow,
                                       .left = s->before,
                                       .stride = 1,
                                       .columns = s->row,
                                       .row = s->row,
                                       .to = to};
        job->kernels->border(&border);
        for (ptrdiff_t k = 0; job->index_in && k < alike; k++)
            memcpy(s->index + (i - first + k) * s->row + s->before, job->index_in + at + k * p->ow, (size_t)p->ow);
    }
}

/* Rows r, r + stride_h, ... of dx, `rows` of them, which lie in phase `ph` of the rows; windows `m` and before cover the first. Row 0 of the
 * strip is window `first`. */
static void gather_rows(const fc_planes *job, const strip *s, ptrdiff_t m, ptrdiff_t ph, ptrdiff_t rows, ptrdiff_t first, void *dx) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t phases = fc_min(p->stride_w, p->w);
    for (ptrdiff_t q = 0; q < phases; q++) {
        const ptrdiff_t f = (q + p->pad_left) % p->stride_w, column = (q + p->pad_left) / p->stride_w;
        const void *dy[FC_PLANE_WINDOWS];
        const uint8_t *index[FC_PLANE_WINDOWS];
        uint8_t position[FC_PLANE_WINDOWS];
        double scale[FC_PLANE_WINDOWS];
        ptrdiff_t count = 0;
        for (ptrdiff_t ki = ph; ki < p->pool_h; ki += p->stride_h)
            for (ptrdiff_t kj = f; kj < p->pool_w; kj += p->stride_w, count++) {
                const ptrdiff_t at = (m - (ki - ph) / p->stride_h - first) * s->row + s->before + column - (kj - f) / p->stride_w;
                dy[count] = fc_at(s->dy, at, job->esize);
                index[count] = s->index + at;
                position[count] = (uint8_t)(ki * p->pool_w + kj);
                scale[count] = 1;
            }
        const fc_unpool_args args = {.dy = dy,
                                     .index = index,
                                     .position = position,
                                     .scale = scale,
                                     .windows = count,
                                     .elements = rows,
                                     .step = phases > 1 ? s->phase : p->stride_h * p->w,
                                     .dy_step = s->row,
                                     .channels = fc_ceil_div(p->w - q, p->stride_w),
                                     .dx = phases > 1 ? fc_at_mut(s->phases, q * rows * s->phase, job->esize) : dx};
        (job->kind == MEAN ? job->kernels->mean_backward : job->kernels->maximum_backward)(&args);
    }
    for (ptrdiff_t k = 0; phases > 1 && k < rows; k++) {
        char *const to = fc_at_mut(dx, k * p->stride_h * p->w, job->esize);
        const char *const even = fc_at(s->phases, k * s->phase, job->esize), *const odd = fc_at(even, rows * s->phase, job->esize);
        if (p->stride_w == 2) {
            job->kernels->interleave(even, odd, to, p->w / 2);
            if (p->w % 2) memcpy(to + (p->w - 1) * job->esize, even + p->w / 2 * job->esize, (size_t)job->esize);
            continue;
        }
        for (ptrdiff_t q = 0; q < phases; q++) {
            const fc_columns columns = {
                .rows = 1, .columns = fc_ceil_div(p->w - q, p->stride_w), .channels = 1, .from_step = 1, .to_step = p->stride_w};
            job->kernels->copy_columns(&columns, fc_at(even, q * rows * s->phase, job->esize), to + q * job->esize);
        }
    }
}

static void backward_rows(const fc_planes *job, const strip *s, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first = (row + p->pad_top) / p->stride_h - s->above;
    copy_dy(job, s, plane, first, (end - 1 + p->pad_top) / p->stride_h + 1);
    for (ptrdiff_t r = row; r < fc_min(end, row + p->stride_h); r++)
        gather_rows(job, s, (r + p->pad_top) / p->stride_h, (r + p->pad_top) % p->stride_h, fc_ceil_div(end - r, p->stride_h), first,
                    fc_at_mut(job->out, (plane * p->h + r) * p->w, job->esize));
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const fc_planes *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t line = FC_ALIGN / job->esize;
    strip s = {.above = (p->pool_h - 1) / p->stride_h, .before = (p->pool_w - 1) / p->stride_w};
    s.row = s.before + fc_max(p->ow, (p->w - 1 + p->pad_left) / p->stride_w + 1);
    s.phase = fc_round_up(fc_ceil_div(p->w, p->stride_w), line);
    const ptrdiff_t rows = s.above + (job->strip - 1) / p->stride_h + 2, dy = fc_round_up(rows * s.row + job->kernels->lanes, line);
    const ptrdiff_t phases = fc_ceil_div(job->strip, p->stride_h) * s.phase * p->stride_w;
    s.dy = fc_scratch(FC_SLOT_TASK, (size_t)((dy + phases) * job->esize + dy));
    if (!s.dy) return FC_NO_MEMORY;
    s.phases = s.dy + dy * job->esize;
    s.index = (uint8_t *)s.phases + phases * job->esize;
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->units, (task + 1) * job->task_units); u++) {
        const fc_planes_unit unit = fc_planes_get(job, u);
        for (ptrdiff_t plane = 0; plane < unit.planes; plane++) backward_rows(job, &s, unit.first + plane, unit.row, unit.end);
    }
    return FC_OK;
}

fc_status fc_pool_planes_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx) {
    assert(fc_pool_by_planes(pool) && fc_ceil_div(pool->pool_h, pool->stride_h) * fc_ceil_div(pool->pool_w, pool->stride_w) <= FC_PLANE_WINDOWS);
    fc_planes job = fc_planes_plan(pool, kind, dy, dx, pool->h, fc_max(STRIP_ELEMENTS / pool->w, pool->pool_h));
    job.index_in = indices;
    if (kind == MEAN) {
        void *const counts = fc_scratch(FC_SLOT_CALL, (size_t)(pool->ow * job.esize));
        if (!counts) return FC_NO_MEMORY;
        fc_planes_counts(pool->dtype, pool->ow, pool->stride_w, pool->pad_left, pool->pool_w, pool->w, 1, counts);
        job.counts = counts;
    }
    return fc_planes_run(&job, backward_task);
}
