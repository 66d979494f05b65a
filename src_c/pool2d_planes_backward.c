/* The gradient of pooling single planes, those of NCHW, whose windows overlap: see pool2d_planes.c. A strip of dy is copied with a border
 * of zeros on all sides, so that the same windows cover all elements of a phase of the strides. Of indices beside the plane no more is
 * asked than that they can be read: zeros are added wherever they send them. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Elements of a strip, and lists of windows at most: one for each phase. */
enum { STRIP_ELEMENTS = 1 << 12, MOST_LISTS = 64 };

/* A strip of dy: rows first - above .. of a plane, columns -before .. */
typedef struct {
    char *dy;
    uint8_t *index;                  /* of the first of those columns and rows */
    ptrdiff_t above, before;         /* rows and columns of zeros before the first window */
    ptrdiff_t columns;               /* of dy; index has no border */
    ptrdiff_t first[MOST_LISTS + 1]; /* of the phases, in the lists */
    ptrdiff_t *offset, *index_offset;
    uint8_t *position;
} strip;

int fc_pool_planes_gather(const fc_pool2d *p) {
    return fc_pool_by_planes(p) && p->stride_h * p->stride_w <= MOST_LISTS &&
           fc_ceil_div(p->pool_h, p->stride_h) * fc_ceil_div(p->pool_w, p->stride_w) <= FC_PLANE_WINDOWS;
}

/* Windows that cover elements of each phase, from the row of windows that begins last above the element. */
static void list_windows(const fc_pool_planes_job *job, strip *s) {
    const fc_pool2d *const p = &job->p;
    ptrdiff_t count = 0, list = 0;
    for (ptrdiff_t ph = 0; ph < p->stride_h; ph++)
        for (ptrdiff_t q = 0; q < p->stride_w; q++) {
            s->first[list++] = count;
            const ptrdiff_t f = (q + p->pad_left) % p->stride_w, column = (q + p->pad_left) / p->stride_w + s->before;
            for (ptrdiff_t ki = ph; ki < p->pool_h; ki += p->stride_h)
                for (ptrdiff_t kj = f; kj < p->pool_w; kj += p->stride_w, count++) {
                    const ptrdiff_t row = s->above - ki / p->stride_h, at = column - kj / p->stride_w;
                    s->offset[count] = row * s->columns + at;
                    s->index_offset[count] = row * p->ow + at;
                    s->position[count] = (uint8_t)(ki * p->pool_w + kj);
                }
        }
    s->first[list] = count;
}

/* Rows first .. end - 1 of dy, to row 0 and on of the strip; those beside the plane are zero. */
static void copy_dy(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t first, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const fc_span inside = job->kind == MEAN ? fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh) : (fc_span){0, p->oh};
    for (ptrdiff_t i = first, alike; i < end; i += alike) {
        void *const to = fc_at_mut(s->dy, (i - first) * s->columns, job->esize);
        if (i < 0 || i >= p->oh) {
            alike = i < 0 ? fc_min(end, 0) - i : end - i;
            memset(to, 0, (size_t)(alike * s->columns * job->esize));
            continue;
        }
        alike = i >= inside.first && i < inside.end ? fc_min(inside.end, end) - i : 1;
        const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        const fc_border_args border = {.x = fc_at(job->in, (plane * p->oh + i) * p->ow, job->esize),
                                       .scale = job->counts,
                                       .row_scale = 1.0 / (double)(kh.end - kh.first),
                                       .rows = alike,
                                       .w = p->ow,
                                       .left = s->before,
                                       .columns = s->columns,
                                       .to = to};
        job->kernels->planes.border(&border);
    }
    const ptrdiff_t from = fc_max(first, 0), rows = fc_min(end, p->oh) - from;
    if (job->index_in && rows > 0)
        memcpy(s->index + (from - first) * p->ow + s->before, job->index_in + (plane * p->oh + from) * p->ow, (size_t)(rows * p->ow));
}

static void backward_rows(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first = (row + p->pad_top) / p->stride_h - s->above;
    copy_dy(job, s, plane, first, (end - 1 + p->pad_top) / p->stride_h + 1);
    const fc_gather_rows_args args = {.dy = s->dy,
                                      .index = s->index,
                                      .offset = s->offset,
                                      .index_offset = s->index_offset,
                                      .first = s->first,
                                      .position = s->position,
                                      .rows = end - row,
                                      .phase = (row + p->pad_top) % p->stride_h,
                                      .w = p->w,
                                      .stride_h = p->stride_h,
                                      .stride_w = p->stride_w,
                                      .dy_row = s->columns,
                                      .index_row = p->ow,
                                      .dx = fc_at_mut(job->out, (plane * p->h + row) * p->w, job->esize),
                                      .stream = job->stream};
    (job->kind == MEAN ? job->kernels->planes.mean_gather : job->kernels->planes.maximum_gather)(&args);
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const fc_pool_planes_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t line = FC_ALIGN / job->esize, beyond = 2 * job->kernels->lanes, taps = p->pool_h * p->pool_w;
    strip s = {.above = (p->pool_h - 1) / p->stride_h, .before = (p->pool_w - 1) / p->stride_w};
    s.columns = s.before + fc_max(p->ow, (p->w - 1 + p->pad_left) / p->stride_w + 1);
    const ptrdiff_t rows = s.above + (job->strip - 1) / p->stride_h + 2, dy = fc_round_up(rows * s.columns + beyond, line);
    char *const memory = fc_scratch(FC_SLOT_TASK, (size_t)(dy * (job->esize + 1) + taps * (ptrdiff_t)(2 * sizeof(ptrdiff_t) + 1)));
    if (!memory) return FC_NO_MEMORY;
    s.dy = memory;
    s.offset = (ptrdiff_t *)(void *)(memory + dy * job->esize);
    s.index_offset = s.offset + taps;
    s.position = (uint8_t *)(s.index_offset + taps);
    s.index = s.position + taps;
    if (job->index_in) memset(s.index, 0, (size_t)dy);
    list_windows(job, &s);
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->units, (task + 1) * job->task_units); u++) {
        const fc_pool_planes_unit unit = fc_pool_planes_get(job, u);
        for (ptrdiff_t plane = 0; plane < unit.planes; plane++) backward_rows(job, &s, unit.first + plane, unit.row, unit.end);
    }
    if (job->stream) fc_kernels(p->dtype)->frame.stream_end();
    return FC_OK;
}

fc_status fc_pool_planes_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx) {
    assert(fc_pool_planes_gather(pool));
    fc_pool_planes_job job = fc_pool_planes_plan(pool, kind, dy, dx, pool->h, fc_max(STRIP_ELEMENTS / pool->w, pool->pool_h));
    job.index_in = indices;
    job.stream = fc_streams(dx, pool->w * job.esize, job.p.n * pool->h * pool->w * job.esize);
    if (kind == MEAN) {
        void *const counts = fc_scratch(FC_SLOT_CALL, (size_t)(pool->ow * job.esize));
        if (!counts) return FC_NO_MEMORY;
        for (ptrdiff_t j = 0; j < pool->ow; j++) {
            const fc_span kw = fc_clip(j * pool->stride_w - pool->pad_left, 1, pool->pool_w, pool->w);
            const double share = 1.0 / (double)(kw.end - kw.first);
            if (pool->dtype == FC_F64) ((double *)counts)[j] = share;
            else ((float *)counts)[j] = (float)share;
        }
        job.counts = counts;
    }
    return fc_pool_planes_run(&job, backward_task);
}
