/* The gradient of pooling single planes, those of NCHW, whose windows overlap: see pool2d_planes.c. dy is copied with a border of zeros on all
 * sides, so that the same windows cover all elements of a phase of the strides; the border behind a row is the one before the next, that below
 * a plane the one above the next. Of indices in the border no more is asked than that they can be read: zeros are added wherever they send them.
 * Narrow planes are gathered as if they were one row each, whose rows are brought together then. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Elements of a strip, and lists of windows at most: one for each phase. */
enum { STRIP_ELEMENTS = 1 << 12, MOST_LISTS = 64 };
/* Of windows that cover an element. */
enum { NARROW_COST = 2 };

/* Of dy: rows first - above .. of a plane, or of several, columns -before .. */
typedef struct {
    char *dy;
    uint8_t *index;
    ptrdiff_t above, before;         /* rows and columns of zeros before the first window */
    ptrdiff_t columns, plane;        /* of a row, and elements of a plane */
    ptrdiff_t first[MOST_LISTS + 1]; /* of the phases, in the lists */
    ptrdiff_t *offset;
    ptrdiff_t *dy_row;    /* rows of dy in their plane */
    uint8_t *position;
    /* Narrow planes: what is gathered of each phase of the rows, [phase][gathered], and where rows of dx of the first plane are there. */
    char *rows;
    ptrdiff_t gathered, *dx_row;
} strip;

int fc_pool_planes_gather(const fc_pool2d *p) {
    return fc_pool_by_planes(p) && p->stride_h * p->stride_w <= MOST_LISTS &&
           fc_ceil_div(p->pool_h, p->stride_h) * fc_ceil_div(p->pool_w, p->stride_w) <= FC_PLANE_WINDOWS;
}

/* Whether vectors along single rows would be partly filled, and that costs more than rows that are brought together. */
static int narrow(const fc_pool_planes_job *job) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t waste = fc_round_up(p->w, 2 * job->kernels->lanes * p->stride_w) - p->w;
    return job->strips == 1 && waste * p->pool_h * p->pool_w > NARROW_COST * p->w * p->stride_h * p->stride_w;
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
                    s->offset[count] = (s->above - ki / p->stride_h) * s->columns + column - kj / p->stride_w;
                    s->position[count] = (uint8_t)(ki * p->pool_w + kj);
                }
        }
    s->first[list] = count;
}

/* Rows first .. end - 1 of dy of planes, those that exist, to row `to` and on. */
static void copy_dy(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t planes, ptrdiff_t first, ptrdiff_t end, ptrdiff_t to) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t from = (plane * p->oh + first) * p->ow, at = to * s->columns + s->before;
    const fc_move_rows_args args = {.from = fc_at(job->in, from, job->esize),
                                    .scale = job->counts,
                                    .row_scale = job->row_scale ? job->row_scale + first : NULL,
                                    .row = s->dy_row,
                                    .planes = planes,
                                    .rows = end - first,
                                    .w = p->ow,
                                    .from_plane = p->oh * p->ow,
                                    .to_row = s->columns,
                                    .to_plane = s->plane,
                                    .to = fc_at_mut(s->dy, at, job->esize),
                                    .index = job->index_in ? job->index_in + from : NULL,
                                    .index_to = s->index + at};
    if (first < end) job->kernels->planes.move_rows(&args);
}

static void gather(const fc_pool_planes_job *job, fc_gather_rows_args *args) {
    (job->kind == MEAN ? job->kernels->planes.mean_gather : job->kernels->planes.maximum_gather)(args);
}

/* Rows row .. end - 1 of dx of a plane. */
static void backward_rows(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first = (row + p->pad_top) / p->stride_h - s->above, last = (end - 1 + p->pad_top) / p->stride_h + 1;
    const ptrdiff_t inside = fc_max(0, -first), past = fc_max(inside, fc_min(last, p->oh) - first), rows = last - first;
    memset(s->dy, 0, (size_t)(inside * s->columns * job->esize));
    copy_dy(job, s, plane, 1, first + inside, first + past, inside);
    memset(s->dy + past * s->columns * job->esize, 0, (size_t)(((rows - past) * s->columns + s->before) * job->esize));
    fc_gather_rows_args args = {.dy = s->dy,
                                .index = s->index,
                                .offset = s->offset,
                                .first = s->first,
                                .position = s->position,
                                .rows = end - row,
                                .phase = (row + p->pad_top) % p->stride_h,
                                .w = p->w,
                                .stride_h = p->stride_h,
                                .stride_w = p->stride_w,
                                .dy_row = s->columns,
                                .dx_row = p->w,
                                .dx = fc_at_mut(job->out, (plane * p->h + row) * p->w, job->esize),
                                .stream = job->stream};
    gather(job, &args);
}

/* Narrow planes. */
static void backward_planes(const fc_pool_planes_job *job, const strip *s, ptrdiff_t plane, ptrdiff_t planes) {
    const fc_pool2d *const p = &job->p;
    copy_dy(job, s, plane, planes, 0, p->oh, s->above);
    fc_gather_rows_args args = {.dy = s->dy,
                                .index = s->index,
                                .offset = s->offset,
                                .position = s->position,
                                .rows = 1,
                                .w = planes * s->plane * p->stride_w,
                                .stride_h = 1,
                                .stride_w = p->stride_w,
                                .flat = 1};
    for (ptrdiff_t ph = 0; ph < p->stride_h; ph++) {
        args.first = s->first + ph * p->stride_w;
        args.dx = fc_at_mut(s->rows, ph * s->gathered, job->esize);
        gather(job, &args);
    }
    const fc_move_rows_args out = {.from = s->rows,
                                   .row = s->dx_row,
                                   .planes = planes,
                                   .rows = p->h,
                                   .w = p->w,
                                   .from_plane = s->plane * p->stride_w,
                                   .to_row = p->w,
                                   .to_plane = p->h * p->w,
                                   .to = fc_at_mut(job->out, plane * p->h * p->w, job->esize)};
    job->kernels->planes.move_rows(&out);
}

/* Places the parts of a strip one after the other. Returns how many bytes it takes; there is no memory yet if `memory` is NULL. */
static size_t place(const fc_pool_planes_job *job, strip *s, char *memory) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t line = FC_ALIGN / job->esize, beyond = 8 * job->kernels->lanes, taps = p->pool_h * p->pool_w;
    const ptrdiff_t below = (p->h - 1 + p->pad_top) / p->stride_h + 1, behind = (p->w - 1 + p->pad_left) / p->stride_w + 1;
    s->above = (p->pool_h - 1) / p->stride_h, s->before = (p->pool_w - 1) / p->stride_w;
    s->columns = fc_max(p->ow + s->before, behind);
    s->plane = fc_max(p->oh + s->above, below) * s->columns;
    const int flat = narrow(job);
    const ptrdiff_t elements = flat ? job->together * s->plane + s->above * s->columns : (s->above + (job->strip - 1) / p->stride_h + 2) * s->columns;
    const ptrdiff_t dy = fc_round_up(elements + s->before + beyond, line);
    s->gathered = flat ? fc_round_up(job->together * s->plane * p->stride_w, 8 * job->kernels->lanes) : 0;
    const ptrdiff_t rows = s->gathered * p->stride_h;
    const ptrdiff_t word = (ptrdiff_t)sizeof(ptrdiff_t);
    const ptrdiff_t at_rows = dy * job->esize, at_offset = at_rows + fc_round_up(rows, line) * job->esize, at_dy_row = at_offset + taps * word;
    const ptrdiff_t at_dx_row = at_dy_row + p->oh * word, at_position = at_dx_row + (flat ? p->h * word : 0), at_index = at_position + taps;
    if (!memory) return (size_t)(at_index + dy);
    s->dy = memory, s->rows = memory + at_rows;
    s->offset = (ptrdiff_t *)(void *)(memory + at_offset);
    s->dy_row = (ptrdiff_t *)(void *)(memory + at_dy_row);
    s->dx_row = (ptrdiff_t *)(void *)(memory + at_dx_row);
    s->position = (uint8_t *)memory + at_position;
    s->index = (uint8_t *)memory + at_index;
    memset(s->dy, 0, (size_t)(dy * job->esize));
    memset(s->index, 0, (size_t)dy);
    for (ptrdiff_t i = 0; i < p->oh; i++) s->dy_row[i] = i * p->ow;
    for (ptrdiff_t r = 0; flat && r < p->h; r++) {
        const ptrdiff_t m = (r + p->pad_top) / p->stride_h, ph = (r + p->pad_top) % p->stride_h;
        s->dx_row[r] = ph * s->gathered + m * s->columns * p->stride_w;
    }
    list_windows(job, s);
    return (size_t)(at_index + dy);
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const fc_pool_planes_job *const job = context;
    strip s;
    char *const memory = fc_scratch(FC_SLOT_TASK, place(job, &s, NULL));
    if (!memory) return FC_NO_MEMORY;
    place(job, &s, memory);
    const int flat = narrow(job);
    for (ptrdiff_t u = task * job->task_units; u < fc_min(job->units, (task + 1) * job->task_units); u++) {
        const fc_pool_planes_unit unit = fc_pool_planes_get(job, u);
        if (flat) backward_planes(job, &s, unit.first, unit.planes);
        else
            for (ptrdiff_t plane = 0; plane < unit.planes; plane++) backward_rows(job, &s, unit.first + plane, unit.row, unit.end);
    }
    if (job->stream) fc_kernels(job->p.dtype)->frame.stream_end();
    return FC_OK;
}

/* 1 by the elements that windows have in each of their columns, and in each of their rows. */
static int count_shares(fc_pool_planes_job *job) {
    const fc_pool2d *const p = &job->p;
    double *const rows = fc_scratch(FC_SLOT_CALL, (size_t)(p->oh + p->ow) * sizeof(double));
    if (!rows) return 0;
    void *const columns = rows + p->oh;
    for (ptrdiff_t i = 0; i < p->oh; i++) {
        const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        rows[i] = 1.0 / (double)(kh.end - kh.first);
    }
    for (ptrdiff_t j = 0; j < p->ow; j++) {
        const fc_span kw = fc_clip(j * p->stride_w - p->pad_left, 1, p->pool_w, p->w);
        const double share = 1.0 / (double)(kw.end - kw.first);
        if (p->dtype == FC_F64) ((double *)columns)[j] = share;
        else ((float *)columns)[j] = (float)share;
    }
    job->row_scale = rows, job->counts = columns;
    return 1;
}

fc_status fc_pool_planes_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx) {
    assert(fc_pool_planes_gather(pool));
    fc_pool_planes_job job = fc_pool_planes_plan(pool, kind, dy, dx, pool->h, fc_max(STRIP_ELEMENTS / pool->w, pool->pool_h));
    job.index_in = indices;
    job.stream = !narrow(&job) && fc_streams(dx, pool->w * job.esize, job.p.n * pool->h * pool->w * job.esize);
    if (kind == MEAN && !count_shares(&job)) return FC_NO_MEMORY;
    return fc_pool_planes_run(&job, backward_task);
}
