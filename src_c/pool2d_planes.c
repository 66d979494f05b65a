/* Pooling of single planes, those of NCHW: first along rows, for all rows of a strip or of several small planes, then along columns, as in
 * pool2d_separable.c, but all of a strip stays in the first-level cache; with a stride columns come first. Vectors run along the rows, and
 * along whole planes where rows do not fill them. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of a task, and of a strip. */
enum { TASK_ELEMENTS = 1 << 15, STRIP_ELEMENTS = 1 << 11 };
/* Taps along a side, and elements of the rows of a window. */
enum { MOST_TAPS = 64, MOST_ELEMENTS = 1 << 15, MOST_STRIDE = 8 };
/* Groups of rows of windows: those inside of the plane are one, each of the others is one. */
enum { MOST_GROUPS = 2 * MOST_TAPS + 2 };
/* Rows that are worth fetching ahead, and how far. */
enum { FETCH_COLUMNS = 32, FETCH_AHEAD = 1 << 10 };
/* Of lines that are planes: entries of their table, planes for which it is worth making, the share of lanes that may be empty, planes of one. */
enum { PLANE_ENTRIES = 256, FEW_PLANES = 32, PLANE_WASTE = 8, MOST_PLANES = 8 };
/* Nanoseconds per input element, roughly. */
static const double ELEMENT_NS = 0.3;

int fc_pool_by_planes(const fc_pool2d *p) {
    if (p->layout != FC_NCHW && p->c > 1) return 0;
    if (p->pool_h > MOST_TAPS || p->pool_w > MOST_TAPS || p->stride_h > MOST_STRIDE || p->stride_w > 2) return 0;
    if (p->w * fc_max(p->pool_h, p->stride_h) > MOST_ELEMENTS || p->ow > 2 * p->w || p->oh > 2 * p->h) return 0;
    return p->pool_w >= p->stride_w && p->pool_h >= p->stride_h && p->pool_w > 1 && p->pool_h > 1 && fc_kernels(p->dtype)->pool.planes.move_rows;
}

/* Into units: planes of so many elements together, a multiple of `planes`, or strips of one. */
static void cut(fc_pool_planes_job *job, ptrdiff_t elements, ptrdiff_t planes) {
    const fc_pool2d *const p = &job->p;
    job->together = fc_max(planes, elements / (p->h * p->w) / planes * planes);
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
    cut(&job, STRIP_ELEMENTS, 1);
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

/* Elements inside of the image: in the row of every window, or in windows, of so many rows of windows. */
static void count_elements(const fc_pool2d *p, ptrdiff_t rows, int windows, void *out) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const fc_span kh = fc_clip(i % p->oh * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        for (ptrdiff_t j = 0; j < p->ow; j++) {
            const fc_span kw = fc_clip(j * p->stride_w - p->pad_left, 1, p->pool_w, p->w);
            const ptrdiff_t count = (kw.end - kw.first) * (windows ? kh.end - kh.first : 1);
            if (p->dtype == FC_F64) ((double *)out)[i * p->ow + j] = (double)count;
            else ((float *)out)[i * p->ow + j] = (float)count;
        }
    }
}

/* Between the two passes, and the places of maxima: in the first, what is known of them. */
typedef struct {
    void *lines, *within;
    ptrdiff_t elements;
} strip;

/* `count` lines of x. */
static void reduce_lines(const fc_pool_planes_job *job, const void *x, const void *within, ptrdiff_t count, void *y, void *where, uint8_t *index) {
    const fc_lines *const l = &job->lines;
    const fc_plane_kernels *const kernels = &job->kernels->planes;
    const fc_pool_lines_args args = {.x = x,
                                     .within = within,
                                     .position = l->position,
                                     .elements = job->columns_first ? job->counts : NULL,
                                     .lane = l->lane,
                                     .entry = l->entry,
                                     .lines = count,
                                     .blocks = l->blocks,
                                     .taps = l->taps,
                                     .group = l->group,
                                     .in_elements = l->in_elements,
                                     .out_elements = l->out_elements,
                                     .y = y,
                                     .where = where,
                                     .index = index};
    (job->kind == MEAN ? kernels->lines_sum : index ? kernels->lines_winner : where ? kernels->lines_index : kernels->lines_maximum)(&args);
}

/* Rows first .. end - 1 of windows of a plane, of which row `top` is the first of x; rows have `columns` elements, and as many of x are a
 * row. Rows that are alike and follow each other without a gap are one long one. Returns the number of groups. */
static ptrdiff_t group_rows(const fc_pool_planes_job *job, ptrdiff_t line, ptrdiff_t columns, ptrdiff_t top, ptrdiff_t first, ptrdiff_t end,
                            fc_pool_rows *group) {
    const fc_pool2d *const p = &job->p;
    const fc_span inside = fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh);
    const int dense = p->stride_h == 1 && line == columns && job->strips == 1;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = first, alike; i < end; i += alike) {
        alike = i >= inside.first && i < inside.end ? fc_min(inside.end, end) - i : 1;
        const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        assert(count < MOST_GROUPS);
        group[count++] = (fc_pool_rows){.in = (i * p->stride_h - p->pad_top + kh.first - top) * line,
                                        .out = (i - first) * columns,
                                        .rows = dense ? 1 : alike,
                                        .columns = dense ? alike * columns : columns,
                                        .taps = kh.end - kh.first,
                                        .position = kh.first * p->pool_w};
    }
    return count;
}

static void forward_unit(const fc_pool_planes_job *job, const strip *s, const fc_pool_planes_unit *unit) {
    const fc_pool2d *const p = &job->p;
    const int whole = job->strips == 1, first = job->columns_first;
    const ptrdiff_t top = whole ? 0 : fc_max(0, unit->row * p->stride_h - p->pad_top);
    const ptrdiff_t bottom = whole ? p->h : fc_min(p->h, (unit->end - 1) * p->stride_h - p->pad_top + p->pool_h), rows = bottom - top;
    const ptrdiff_t windows = unit->end - unit->row, from = (unit->first * p->h + top) * p->w, at = (unit->first * p->oh + unit->row) * p->ow;
    const ptrdiff_t line = first ? p->w : job->lines.out_elements / job->line_rows, columns = first ? p->w : p->ow;
    const void *const x = fc_at(job->in, from, job->esize);
    void *const y = fc_at_mut(job->out, at, job->esize);
    uint8_t *const index = job->index_out ? job->index_out + at : NULL;
    fc_pool_rows group[MOST_GROUPS];
    fc_pool_columns_args args = {.x = first ? x : s->lines,
                                 .within = first ? NULL : s->within,
                                 .elements = first ? NULL : job->counts,
                                 .group = group,
                                 .groups = group_rows(job, line, columns, top, unit->row, unit->end, group),
                                 .planes = unit->planes,
                                 .line = line,
                                 .pool_w = p->pool_w,
                                 .step = p->stride_h * line,
                                 .out_step = columns,
                                 .in_plane = rows * line,
                                 .out_plane = windows * columns,
                                 .in_end = first ? p->n * p->h * p->w - from : s->elements,
                                 .ahead = first && p->w >= FETCH_COLUMNS ? FETCH_AHEAD : 0,
                                 .y = first ? s->lines : y,
                                 .where = first ? s->within : NULL,
                                 .index = first ? NULL : index};
    if (args.groups == 1 && group[0].rows * args.step == args.in_plane) {
        /* Planes that follow each other like their rows. */
        group[0].rows *= args.planes;
        args.out_plane *= args.planes;
        args.planes = 1;
    }
    if (!first) reduce_lines(job, x, NULL, unit->planes * rows / job->line_rows, s->lines, s->within, NULL);
    const fc_plane_kernels *const kernels = &job->kernels->planes;
    (job->kind == MEAN ? kernels->mean_columns : !index ? kernels->maximum_columns : first ? kernels->place_columns : kernels->index_columns)(&args);
    if (first) reduce_lines(job, s->lines, s->within, unit->planes * windows / job->line_rows, y, NULL, index);
}

static fc_status forward_task(const void *context, ptrdiff_t task) {
    const fc_pool_planes_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t strip_rows = job->columns_first ? job->strip : fc_min(p->h, (job->strip - 1) * p->stride_h + p->pool_h);
    const ptrdiff_t rows = job->strips > 1 ? strip_rows : job->together * (job->columns_first ? p->oh : p->h);
    const ptrdiff_t columns = job->columns_first ? p->w : job->lines.out_elements / job->line_rows;
    strip s = {.elements = fc_round_up(rows * columns + job->kernels->lanes, FC_ALIGN / job->esize)};
    s.lines = fc_scratch(FC_SLOT_TASK, (size_t)(s.elements * job->esize * (job->index_out ? 2 : 1)));
    if (!s.lines) return FC_NO_MEMORY;
    s.within = job->index_out ? fc_at_mut(s.lines, s.elements, job->esize) : NULL;
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->units, (task + 1) * job->task_units); u++) {
        const fc_pool_planes_unit unit = fc_pool_planes_get(job, u);
        forward_unit(job, &s, &unit);
    }
    return FC_OK;
}

/* How many planes make a line, so that its vectors are filled; it divides their number. */
static ptrdiff_t planes_of_line(const fc_pool_planes_job *job, ptrdiff_t windows) {
    ptrdiff_t k = 1;
    while (k < MOST_PLANES && job->p.n % (2 * k) == 0 && PLANE_WASTE * (fc_round_up(k * windows, job->kernels->lanes) - k * windows) > k * windows)
        k *= 2;
    return k;
}

/* Rows of all of a plane, or of several, are a line where single ones would leave vectors partly filled. With a stride columns come first,
 * which leaves fewer rows. */
static fc_status plan_lines(fc_pool_planes_job *job) {
    const ptrdiff_t lanes = job->kernels->lanes;
    fc_pool2d rows = job->p;
    job->columns_first = rows.stride_h > 1;
    rows.pool_h = rows.stride_h = 1, rows.pad_top = 0;
    if (job->columns_first) rows.h = rows.oh;
    const ptrdiff_t planes = planes_of_line(job, rows.h * rows.ow), windows = planes * rows.h * rows.ow;
    if (rows.ow % lanes && job->p.h * job->p.w <= STRIP_ELEMENTS && rows.n >= FEW_PLANES && windows >= lanes &&
        windows * rows.pool_w <= PLANE_ENTRIES * lanes) {
        cut(job, 2 * STRIP_ELEMENTS, planes);
        job->line_rows = rows.h = rows.oh = planes * rows.h;
        const fc_status status = fc_pool_lines(&rows, job->kind, job->index_out != NULL, windows, &job->lines);
        if (status != FC_UNSUPPORTED) return status;
        cut(job, STRIP_ELEMENTS, 1);
    }
    if (rows.ow < lanes || job->kind == MEAN) job->columns_first = 0;
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
        const ptrdiff_t count = fc_max(p->oh, job.line_rows);
        void *const counts = fc_scratch(FC_SLOT_CALL2, (size_t)((count * p->ow + job.kernels->lanes) * job.esize));
        if (!counts) return FC_NO_MEMORY;
        count_elements(p, count, job.columns_first, counts);
        job.counts = counts;
    }
    return fc_pool_planes_run(&job, forward_task);
}
