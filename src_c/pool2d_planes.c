/* Pooling of single planes, those of NCHW, whose windows overlap: first along rows, for all rows of a strip or of several small planes, then
 * along columns, as in pool2d_separable.c, but all of a strip stays in the first-level cache. Vectors run along the rows, and along the
 * whole plane where rows are narrow. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of a task, and of a strip. */
enum { TASK_ELEMENTS = 1 << 15, STRIP_ELEMENTS = 1 << 11 };
/* Taps along a side, and elements of the rows of a window. */
enum { MOST_TAPS = 64, MOST_ELEMENTS = 1 << 15, MOST_STRIDE = 8 };
/* Of planes that are lines. */
enum { PLANE_WASTE = 5, PLANE_ENTRIES = 256, FEW_PLANES = 32 };
/* Nanoseconds per input element, roughly. */
static const double ELEMENT_NS = 0.3;

int fc_pool_by_planes(const fc_pool2d *p) {
    if (p->layout != FC_NCHW && p->c > 1) return 0;
    if (p->pool_h > MOST_TAPS || p->pool_w > MOST_TAPS || p->stride_h > MOST_STRIDE || p->stride_w > 2) return 0;
    if (p->w * fc_max(p->pool_h, p->stride_h) > MOST_ELEMENTS || p->ow > 2 * p->w || p->oh > 2 * p->h) return 0;
    return p->pool_w > p->stride_w && p->pool_h > p->stride_h && fc_kernels(p->dtype)->pool.planes.border;
}

/* Into units: planes of so many elements together, or strips of one. */
static void cut(fc_pool_planes_job *job, ptrdiff_t elements) {
    const fc_pool2d *const p = &job->p;
    job->together = fc_max(1, elements / (p->h * p->w));
    if (job->together > 1) job->strip = job->rows;
    job->strip = fc_min(job->rows, job->strip);
    job->strips = fc_ceil_div(job->rows, job->strip);
    job->units = fc_ceil_div(p->n, job->together) * job->strips;
    job->task_units = fc_max(1, TASK_ELEMENTS / fc_max(1, job->together * p->h * p->w / job->strips));
}

fc_pool_planes_job fc_pool_planes_plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out, ptrdiff_t rows, ptrdiff_t strip_rows) {
    fc_pool_planes_job job = {.p = fc_pool_as_nhwc(pool), .kind = kind, .in = in, .out = out, .rows = rows};
    const fc_pool2d *const p = &job.p;
    job.kernels = &fc_kernels(p->dtype)->pool;
    job.esize = fc_esize(p->dtype);
    job.strip = fc_max(1, strip_rows);
    cut(&job, STRIP_ELEMENTS);
    return job;
}

fc_status fc_pool_planes_run(const fc_pool_planes_job *job, fc_task_fn task) {
    const fc_pool2d *const p = &job->p;
    return fc_parallel_for(fc_ceil_div(job->units, job->task_units), ELEMENT_NS * (double)p->n * (double)(p->h * p->w), task, job);
}

fc_pool_planes_unit fc_pool_planes_get(const fc_pool_planes_job *job, ptrdiff_t unit) {
    const ptrdiff_t first = unit / job->strips * job->together, row = unit % job->strips * job->strip;
    return (fc_pool_planes_unit){first, fc_min(job->together, job->p.n - first), row, fc_min(job->rows, row + job->strip)};
}

/* Elements inside of the image in the row of every window, of so many rows of windows. */
static void count_elements(const fc_pool2d *p, ptrdiff_t rows, char *out, ptrdiff_t esize) {
    for (ptrdiff_t j = 0; j < p->ow; j++) {
        const fc_span kw = fc_clip(j * p->stride_w - p->pad_left, 1, p->pool_w, p->w);
        if (p->dtype == FC_F64) ((double *)(void *)out)[j] = (double)(kw.end - kw.first);
        else ((float *)(void *)out)[j] = (float)(kw.end - kw.first);
    }
    for (ptrdiff_t i = 1; i < rows; i++) memcpy(out + i * p->ow * esize, out, (size_t)(p->ow * esize));
}

/* What the rows of a strip of x give, [row][columns], and the column of each maximum within its window. */
typedef struct {
    char *lines;
    uint8_t *in_row;
    ptrdiff_t columns;
} strip;

/* `count` lines. */
static void reduce_lines(const fc_pool_planes_job *job, const strip *s, const void *x, ptrdiff_t count) {
    const fc_lines *const l = &job->lines;
    const fc_pool_lines_args args = {.x = x,
                                     .position = l->position,
                                     .lane = l->lane,
                                     .entry = l->entry,
                                     .lines = count,
                                     .blocks = l->blocks,
                                     .taps = l->taps,
                                     .group = l->group,
                                     .in_elements = l->in_elements,
                                     .out_elements = l->out_elements,
                                     .y = s->lines,
                                     .index = s->in_row};
    (job->kind == MEAN ? job->kernels->planes.lines_sum : s->in_row ? job->kernels->planes.lines_index : job->kernels->planes.lines_maximum)(&args);
}

/* Along columns: rows of windows i .. i + rows - 1, alike in their taps kh, of a plane of which `line` is row 0 in the strip. `columns` of
 * them, from `first` on: it is less than 0, or they end beyond the row, where neighbouring rows are computed later. */
static void reduce_columns(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t line, ptrdiff_t i, ptrdiff_t rows,
                           ptrdiff_t first, ptrdiff_t columns) {
    const fc_pool2d *const p = &job->p;
    const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
    const void *tap[MOST_TAPS];
    const uint8_t *within[MOST_TAPS];
    uint8_t position[MOST_TAPS];
    for (ptrdiff_t k = kh.first; k < kh.end; k++) {
        const ptrdiff_t from = (line + i * p->stride_h - p->pad_top + k) * s->columns + first;
        tap[k - kh.first] = fc_at(s->lines, from, job->esize);
        position[k - kh.first] = (uint8_t)(k * p->pool_w);
        if (s->in_row) within[k - kh.first] = s->in_row + from;
    }
    const ptrdiff_t window = i * p->ow + first, at = plane * p->oh * p->ow + window;
    const fc_pool_args args = {.tap = tap,
                               .position = position,
                               .within = within,
                               .elements = job->counts ? fc_at(job->counts, job->strips == 1 ? window : 0, job->esize) : NULL,
                               .taps = kh.end - kh.first,
                               .windows = rows,
                               .step = p->stride_h * s->columns,
                               .out_step = p->ow,
                               .channels = columns,
                               .y = fc_at_mut(job->out, at, job->esize),
                               .index = job->index_out ? job->index_out + at : NULL};
    (job->kind == MEAN ? job->kernels->planes.mean_columns
     : job->index_out  ? job->kernels->planes.index_columns
                       : job->kernels->planes.maximum_columns)(&args);
}

/* A whole plane, of which `line` is row 0 in the strip, where rows are narrower than a vector and those that are alike, `inside`, are not
 * when taken together: the others are written first, reaching into rows that follow them here. */
static void reduce_dense(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t line, fc_span inside) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t columns = fc_max(p->ow, job->kernels->lanes);
    for (ptrdiff_t i = 0; i < inside.first; i++) reduce_columns(job, s, plane, line, i, 1, 0, columns);
    for (ptrdiff_t i = p->oh - 1; i >= inside.end; i--) reduce_columns(job, s, plane, line, i, 1, p->ow - columns, columns);
    reduce_columns(job, s, plane, line, inside.first, 1, 0, (inside.end - inside.first) * p->ow);
}

static void forward_unit(const fc_pool_planes_job *job, const strip *s, const fc_pool_planes_unit *unit) {
    const fc_pool2d *const p = &job->p;
    const int whole = job->strips == 1;
    const ptrdiff_t top = whole ? 0 : fc_max(0, unit->row * p->stride_h - p->pad_top);
    const ptrdiff_t bottom = whole ? p->h : fc_min(p->h, (unit->end - 1) * p->stride_h - p->pad_top + p->pool_h), rows = bottom - top;
    const fc_span inside = fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh);
    const int dense = whole && p->stride_h == 1 && s->columns == p->ow && (inside.end - inside.first) * p->ow >= job->kernels->lanes;
    reduce_lines(job, s, fc_at(job->in, (unit->first * p->h + top) * p->w, job->esize), unit->planes * rows / job->line_rows);
    for (ptrdiff_t k = 0; k < unit->planes; k++) {
        if (dense) {
            reduce_dense(job, s, unit->first + k, k * rows, inside);
            continue;
        }
        for (ptrdiff_t i = unit->row, alike; i < unit->end; i += alike) {
            alike = i >= inside.first && i < inside.end ? fc_min(inside.end, unit->end) - i : 1;
            reduce_columns(job, s, unit->first + k, k * rows - top, i, alike, 0, p->ow);
        }
    }
}

static fc_status forward_task(const void *context, ptrdiff_t task) {
    const fc_pool_planes_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t rows = job->strips == 1 ? job->together * p->h : fc_min(p->h, (job->strip - 1) * p->stride_h + p->pool_h);
    strip s = {.columns = job->lines.out_elements / job->line_rows};
    /* A vector before and behind may be read. */
    const ptrdiff_t beside = FC_ALIGN / job->esize, elements = fc_round_up(rows * s.columns + 2 * beside, beside);
    char *const memory = fc_scratch(FC_SLOT_TASK, (size_t)(elements * (job->esize + 1)));
    if (!memory) return FC_NO_MEMORY;
    s.lines = memory + beside * job->esize;
    s.in_row = job->index_out ? (uint8_t *)memory + elements * job->esize + beside : NULL;
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->units, (task + 1) * job->task_units); u++) {
        const fc_pool_planes_unit unit = fc_pool_planes_get(job, u);
        forward_unit(job, &s, &unit);
    }
    return FC_OK;
}

/* Rows of all of a plane are a line where single ones would leave vectors partly filled. */
static fc_status plan_lines(fc_pool_planes_job *job) {
    const ptrdiff_t lanes = job->kernels->lanes;
    fc_pool2d rows = job->p;
    rows.pool_h = rows.stride_h = 1, rows.pad_top = 0, rows.oh = rows.h;
    const ptrdiff_t windows = rows.h * rows.ow, waste = fc_round_up(rows.ow, lanes) - rows.ow;
    const int narrow = waste && (rows.ow < lanes || PLANE_WASTE * waste > rows.ow);
    if (narrow && rows.h * rows.w <= STRIP_ELEMENTS && rows.n >= FEW_PLANES && windows >= lanes && windows * rows.pool_w <= PLANE_ENTRIES * lanes) {
        cut(job, 2 * STRIP_ELEMENTS);
        job->line_rows = rows.h;
        const fc_status status = fc_pool_lines(&rows, job->kind, job->index_out != NULL, windows, &job->lines);
        if (status != FC_UNSUPPORTED) return status;
    }
    job->line_rows = rows.h = rows.oh = 1;
    return fc_pool_lines(&rows, job->kind, job->index_out != NULL, fc_max(rows.ow, lanes), &job->lines);
}

fc_status fc_pool_planes(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, void *indices) {
    assert(fc_pool_by_planes(pool) && (!indices || fc_pool_index_bytes(pool) == 1));
    const ptrdiff_t strip_rows = (STRIP_ELEMENTS / pool->w - pool->pool_h) / pool->stride_h + 1;
    fc_pool_planes_job job = fc_pool_planes_plan(pool, kind, x, y, pool->oh, fc_max(strip_rows, pool->pool_h));
    job.index_out = indices;
    const fc_status status = plan_lines(&job);
    if (status != FC_OK) return status;
    if (kind == MEAN) {
        const fc_pool2d *const p = &job.p;
        const ptrdiff_t rows = job.strips == 1 ? p->oh : 1;
        char *const counts = fc_scratch(FC_SLOT_CALL2, (size_t)((rows * p->ow + job.kernels->lanes) * job.esize));
        if (!counts) return FC_NO_MEMORY;
        count_elements(p, rows, counts, job.esize);
        job.counts = counts;
    }
    return fc_pool_planes_run(&job, forward_task);
}
