/* Pooling: max and mean, forward and backward. The frame finds which taps of a window lie in the image and which windows cover
 * an element; kernels compare and add.
 *
 * NCHW is the same as NHWC with one channel and n * c images. With fewer channels than a vector has lanes (`flat`), columns take
 * the place of channels and rows the place of columns: the columns that one tap reads for neighbouring windows are made
 * contiguous, if the stride has not left them so, and a row of windows is computed as one window of columns * channels channels. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of one task, enough to make handing it out cheap; and of one batch of rows, which stay in the first-level
 * cache. */
enum { TASK_ELEMENTS = 1 << 15, BATCH_ELEMENTS = 1 << 10 };
/* Nanoseconds per element, roughly. */
static const double ELEMENT_NS = 0.3;

typedef enum { MAXIMUM, MEAN } pool_kind;

/* From `first` to before `end`. */
typedef struct {
    ptrdiff_t first, end;
} span;

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_pool_kernels *kernels;
    void (*stream_end)(void);
    pool_kind kind;
    ptrdiff_t esize;
    int flat, stream, stream_rows, fetch; /* stream_rows: of flat dx */
    span inside_i, inside_j; /* the windows that lie within the rows and columns of the image */
    ptrdiff_t batch;         /* rows computed in one go, at most */
    ptrdiff_t task_rows, rows;
    const void *in; /* x, or dy */
    void *out;      /* y, or dx */
    uint8_t *index_out;
    const uint8_t *index_in;
} pool_job;

/* Taps t of a window that starts at `start` lie at start + t; first <= t < end are within 0 .. size - 1. */
static span clip(ptrdiff_t start, ptrdiff_t taps, ptrdiff_t size) {
    const span s = {fc_max(0, -start), fc_min(taps, size - start)};
    return s;
}

/* Windows that cover position `at`, counted from the first window's start. */
static span covering(ptrdiff_t at, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t windows) {
    const span s = {at < taps ? 0 : (at - taps) / stride + 1, fc_min(windows, at / stride + 1)};
    return s;
}

/* Windows that lie within 0 .. size - 1. */
static span inside(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t size, ptrdiff_t windows) {
    const ptrdiff_t first = fc_min(windows, fc_ceil_div(pad, stride)), room = size + pad - taps;
    const span s = {first, room < 0 ? first : fc_max(first, fc_min(windows, room / stride + 1))};
    return s;
}

static pool_job plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out, ptrdiff_t rows_per_image,
                     ptrdiff_t row_elements) {
    pool_job job = {.p = *pool, .kind = kind, .in = in, .out = out};
    fc_pool2d *const p = &job.p;
    assert(p->n >= 0 && p->h > 0 && p->w > 0 && p->c > 0 && p->oh > 0 && p->ow > 0 && p->pool_h > 0 && p->pool_w > 0);
    assert(p->stride_h > 0 && p->stride_w > 0 && p->pad_top >= 0 && p->pad_left >= 0);
    if (p->layout == FC_NCHW) {
        p->n *= p->c;
        row_elements /= p->c;
        p->c = 1;
    }
    /* To a single window the distance to the next means nothing. */
    if (p->oh == 1) p->stride_h = 1;
    if (p->ow == 1) p->stride_w = 1;
    job.kernels = &fc_kernels(p->dtype)->pool;
    job.stream_end = fc_kernels(p->dtype)->frame.stream_end;
    job.esize = fc_esize(p->dtype);
    job.inside_i = inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh);
    job.inside_j = inside(p->pool_w, p->stride_w, p->pad_left, p->w, p->ow);
    /* Copies for each of many phases must at least fill vectors: they are padded to lines of the cache. */
    const int lanes = job.kernels->lanes;
    job.flat = p->c < lanes && (p->stride_w <= 8 || (job.inside_j.end - job.inside_j.first) * p->c >= lanes);
    job.batch = job.flat ? fc_max(1, BATCH_ELEMENTS / (fc_min(p->stride_h, p->h) * p->w * p->c)) : 1;
    job.rows = p->n * rows_per_image;
    const ptrdiff_t elements = p->n * p->c * (p->h * p->w + p->oh * p->ow);
    job.fetch = !job.flat && elements * job.esize >= FC_STREAM_BYTES;
    job.stream_rows = job.flat && p->stride_w > 1 && fc_streams(out, p->w * p->c * job.esize, elements * job.esize);
    job.stream = !job.flat && fc_streams(out, p->c * job.esize, elements * job.esize);
    job.task_rows = fc_max(1, TASK_ELEMENTS / row_elements);
    return job;
}

static fc_status run(const pool_job *job, fc_task_fn task) {
    const double work = ELEMENT_NS * (double)(job->p.n * job->p.h) * (double)(job->p.w * job->p.c);
    return fc_parallel_for(fc_ceil_div(job->rows, job->task_rows), work, task, job);
}

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
static int allocate(workspace *ws, ptrdiff_t list, ptrdiff_t phases, ptrdiff_t rows, ptrdiff_t row_elements, int dense,
                    ptrdiff_t esize) {
    ws->row_elements = dense ? row_elements : fc_round_up(row_elements, FC_ALIGN / esize);
    ws->phase_elements = rows * ws->row_elements;
    const size_t lists = (size_t)fc_round_up(list * (ptrdiff_t)(sizeof(void *) * 2 + sizeof(double) + 1), FC_ALIGN);
    char *const memory = fc_scratch(FC_SLOT_TASK, lists + (size_t)(phases * ws->phase_elements * esize));
    if (!memory) return 0;
    ws->pointer = (const void **)(void *)memory;
    ws->index = (const uint8_t **)(void *)(ws->pointer + list);
    ws->scale = (double *)(void *)(ws->index + list);
    ws->position = (uint8_t *)(ws->scale + list);
    ws->columns = memory + lists;
    return 1;
}

/* Forward. */

/* Makes contiguous what each phase of the stride reads in rows r .. r + rows - 1 of image x. */
static void copy_rows(const pool_job *job, const workspace *ws, const void *x, ptrdiff_t r, ptrdiff_t rows) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w, start = job->inside_j.first * stride - p->pad_left;
    /* Rows of whole strides are one long row. */
    const int whole = start == 0 && ws->row_elements * stride == p->w * p->c;
    for (ptrdiff_t phase = 0; phase < fc_min(stride, p->pool_w); phase++)
        for (ptrdiff_t k = 0; k < (whole ? 1 : rows); k++)
            job->kernels->copy_columns(
                fc_at(x, ((r + k) * p->w + start + phase) * p->c, job->esize), stride * p->c,
                fc_at_mut(ws->columns, phase * ws->phase_elements + k * ws->row_elements, job->esize), p->c,
                whole ? rows * p->w / stride : job->inside_j.end - job->inside_j.first + (p->pool_w - 1 - phase) / stride, p->c);
}

static void reduce(const pool_job *job, fc_pool_args *args, ptrdiff_t at) {
    args->y = fc_at_mut(job->out, at, job->esize);
    args->index = job->index_out ? job->index_out + at : NULL;
    args->stream = job->stream;
    if (job->kind == MEAN) job->kernels->mean(args);
    else if (job->index_out) job->kernels->maximum_index(args);
    else job->kernels->maximum(args);
}

/* Window j, which may lie partly outside of the image, of rows i .. i + rows - 1, whose taps kh are inside. */
static void border_windows(const pool_job *job, const workspace *ws, const void *x, ptrdiff_t i, ptrdiff_t rows, span kh,
                           ptrdiff_t j, ptrdiff_t at) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t r0 = i * p->stride_h - p->pad_top, s0 = j * p->stride_w - p->pad_left;
    const span kw = clip(s0, p->pool_w, p->w);
    ptrdiff_t taps = 0;
    for (ptrdiff_t ki = kh.first; ki < kh.end; ki++)
        for (ptrdiff_t kj = kw.first; kj < kw.end; kj++, taps++) {
            ws->pointer[taps] = fc_at(x, ((r0 + ki) * p->w + s0 + kj) * p->c, job->esize);
            ws->position[taps] = (uint8_t)(ki * p->pool_w + kj);
        }
    fc_pool_args args = {
        .tap = ws->pointer,
        .position = ws->position,
        .taps = taps,
        .windows = rows,
        .step = p->stride_h * p->w * p->c,
        .out_step = p->ow * p->c,
        .channels = p->c,
    };
    reduce(job, &args, at + j * p->c);
}

static void inner_windows(const pool_job *job, const workspace *ws, const void *x, ptrdiff_t i, ptrdiff_t rows, span kh,
                          ptrdiff_t at) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first_row = i * p->stride_h - p->pad_top + kh.first, first_column = job->inside_j.first * p->stride_w - p->pad_left;
    const ptrdiff_t windows = job->inside_j.end - job->inside_j.first;
    const int copies = job->flat && p->stride_w > 1;
    if (copies) copy_rows(job, ws, x, first_row, (rows - 1) * p->stride_h + kh.end - kh.first);
    ptrdiff_t taps = 0;
    for (ptrdiff_t k = 0; k < kh.end - kh.first; k++)
        for (ptrdiff_t kj = 0; kj < p->pool_w; kj++, taps++) {
            ws->position[taps] = (uint8_t)((kh.first + k) * p->pool_w + kj);
            ws->pointer[taps] =
                copies ? fc_at(ws->columns,
                               kj % p->stride_w * ws->phase_elements + k * ws->row_elements + kj / p->stride_w * p->c, job->esize)
                       : fc_at(x, ((first_row + k) * p->w + first_column + kj) * p->c, job->esize);
        }
    fc_pool_args args = {.tap = ws->pointer, .position = ws->position, .taps = taps};
    if (job->flat) {
        args.windows = rows;
        args.step = p->stride_h * (copies ? ws->row_elements : p->w * p->c);
        args.out_step = p->ow * p->c;
        args.channels = windows * p->c;
    } else {
        args.windows = windows;
        args.step = p->stride_w * p->c;
        args.out_step = p->c;
        args.channels = p->c;
    }
    if (job->fetch) {
        args.next = fc_at(x, (first_row + kh.end - kh.first) * p->w * p->c, job->esize);
        args.next_elements = fc_max(0, fc_min(p->stride_h, p->h - first_row - kh.end + kh.first)) * p->w * p->c;
    }
    reduce(job, &args, at + job->inside_j.first * p->c);
}

static fc_status forward_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t windows = job->inside_j.end - job->inside_j.first;
    const ptrdiff_t row_elements = (windows + (p->pool_w - 1) / p->stride_w) * p->c;
    const int copies = job->flat && p->stride_w > 1;
    workspace ws;
    if (!allocate(&ws, p->pool_h * p->pool_w, copies ? fc_min(p->stride_w, p->pool_w) : 0,
                  fc_min(p->h, (job->batch - 1) * p->stride_h + p->pool_h), row_elements,
                  job->batch > 1 && row_elements * p->stride_w == p->w * p->c, job->esize))
        return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t row = task * job->task_rows, rows; row < end; row += rows) {
        const ptrdiff_t image = row / p->oh, i = row % p->oh, at = row * p->ow * p->c;
        const int whole = i >= job->inside_i.first && i < job->inside_i.end;
        rows = whole ? fc_min(job->batch, fc_min(job->inside_i.end - i, end - row)) : 1;
        const span kh = clip(i * p->stride_h - p->pad_top, p->pool_h, p->h);
        const void *const x = fc_at(job->in, image * p->h * p->w * p->c, job->esize);
        for (ptrdiff_t j = 0; j < job->inside_j.first; j++) border_windows(job, &ws, x, i, rows, kh, j, at);
        if (windows) inner_windows(job, &ws, x, i, rows, kh, at);
        for (ptrdiff_t j = job->inside_j.end; j < p->ow; j++) border_windows(job, &ws, x, i, rows, kh, j, at);
    }
    if (job->stream) job->stream_end();
    return FC_OK;
}

static fc_status forward(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, uint8_t *indices) {
    assert(!indices || pool->pool_h * pool->pool_w <= 256);
    if (!pool->n) return FC_OK;
    pool_job job = plan(pool, kind, x, y, pool->oh, fc_min(pool->stride_h, pool->h) * pool->w * pool->c);
    job.index_out = indices;
    return run(&job, forward_task);
}

fc_status fc_max_pool2d(const fc_pool2d *pool, const void *x, void *y, uint8_t *indices) {
    return forward(pool, MAXIMUM, x, y, indices);
}

fc_status fc_avg_pool2d(const fc_pool2d *pool, const void *x, void *y) { return forward(pool, MEAN, x, y, NULL); }

/* Backward. Column m * stride_w + phase of the padded input is covered by windows m - t with tap phase + t * stride_w, for all
 * t >= 0 with which window and tap exist. */

/* Lists the windows m - t, least <= t <= most, of all rows that cover row r. Returns their number. */
static ptrdiff_t list_windows(const pool_job *job, workspace *ws, ptrdiff_t image, ptrdiff_t r, ptrdiff_t m, ptrdiff_t phase,
                              ptrdiff_t least, ptrdiff_t most) {
    const fc_pool2d *const p = &job->p;
    const span rows = covering(r + p->pad_top, p->pool_h, p->stride_h, p->oh);
    ptrdiff_t count = 0;
    for (ptrdiff_t i = rows.end - 1; i >= rows.first; i--) {
        const ptrdiff_t r0 = i * p->stride_h - p->pad_top;
        const span kh = clip(r0, p->pool_h, p->h);
        for (ptrdiff_t t = least; t <= most; t++, count++) {
            const ptrdiff_t j = m - t, at = ((image * p->oh + i) * p->ow + j) * p->c;
            ws->pointer[count] = fc_at(job->in, at, job->esize);
            if (job->kind == MEAN) {
                const span kw = clip(j * p->stride_w - p->pad_left, p->pool_w, p->w);
                ws->scale[count] = 1.0 / (double)((kh.end - kh.first) * (kw.end - kw.first));
            } else {
                ws->index[count] = job->index_in + at;
                ws->position[count] = (uint8_t)((r - r0) * p->pool_w + phase + t * p->stride_w);
            }
        }
    }
    return count;
}

static void unpool(const pool_job *job, fc_unpool_args *args) {
    if (args->step == args->channels && args->dy_step == args->channels) {
        /* Elements follow each other without a gap: as one they have fewer remainders. */
        args->channels *= args->elements;
        args->elements = 1;
    }
    if (job->kind == MEAN) job->kernels->mean_backward(args);
    else job->kernels->maximum_backward(args);
}

/* Rows of dx that the same taps of windows cover, the part that belongs to one phase of the columns. */
typedef struct {
    ptrdiff_t image, r, rows;         /* rows r, r + stride_h, ... */
    ptrdiff_t phase;
    ptrdiff_t first, end;             /* its columns m within the row */
    ptrdiff_t inner_first, inner_end; /* those that the largest number of windows covers, all of them alike */
    void *to;                         /* column m of row k goes to `to` + k * row_step + m * step elements */
    ptrdiff_t row_step, step;
} phase_rows;

/* Windows that send the same share to all that they cover: of the mean, those that have all their elements. */
static span alike_windows(const pool_job *job, span inside, ptrdiff_t windows) {
    const span all = {0, windows};
    return job->kind == MEAN ? inside : all;
}

static phase_rows plan_phase(const pool_job *job, ptrdiff_t phase) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t most = phase < p->pool_w ? (p->pool_w - 1 - phase) / p->stride_w : -1;
    phase_rows row = {.phase = phase};
    row.first = p->pad_left > phase ? fc_ceil_div(p->pad_left - phase, p->stride_w) : 0;
    row.end = p->w + p->pad_left > phase ? (p->w + p->pad_left - 1 - phase) / p->stride_w + 1 : row.first;
    if (most < 0) {
        row.inner_first = row.inner_end = row.end;
        return row;
    }
    const span alike = alike_windows(job, job->inside_j, p->ow);
    row.inner_first = fc_min(row.end, fc_max(row.first, alike.first + most));
    row.inner_end = fc_max(row.inner_first, fc_min(row.end, alike.end));
    return row;
}

static void border_columns(const pool_job *job, workspace *ws, const phase_rows *row, ptrdiff_t first, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    for (ptrdiff_t m = first; m < end; m++) {
        const span j = covering(m * p->stride_w + row->phase, p->pool_w, p->stride_w, p->ow);
        fc_unpool_args args = {
            .dy = ws->pointer,
            .index = ws->index,
            .position = ws->position,
            .scale = ws->scale,
            .windows = list_windows(job, ws, row->image, row->r, m, row->phase, m - j.end + 1, m - j.first),
            .elements = row->rows,
            .step = row->row_step,
            .dy_step = p->ow * p->c,
            .channels = p->c,
            .dx = fc_at_mut(row->to, m * row->step, job->esize),
            .stream = job->stream,
        };
        unpool(job, &args);
    }
}

static void inner_columns(const pool_job *job, workspace *ws, const phase_rows *row) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t columns = row->inner_end - row->inner_first, most = (p->pool_w - 1 - row->phase) / p->stride_w;
    if (!columns) return;
    fc_unpool_args args = {
        .dy = ws->pointer,
        .index = ws->index,
        .position = ws->position,
        .scale = ws->scale,
        .windows = list_windows(job, ws, row->image, row->r, row->inner_first, row->phase, 0, most),
        .elements = job->flat ? row->rows : columns,
        .step = job->flat ? row->row_step : row->step,
        .dy_step = job->flat ? p->ow * p->c : p->c,
        .channels = job->flat ? columns * p->c : p->c,
        .dx = fc_at_mut(row->to, row->inner_first * row->step, job->esize),
        .stream = job->stream,
    };
    unpool(job, &args);
}

/* Brings the phases of row k of the workspace together. */
static void merge(const pool_job *job, const workspace *ws, ptrdiff_t k, void *dx) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w;
    const int pairs = stride == 2 && p->c == 1 && p->w > 1;
    const void *phase[2];
    for (ptrdiff_t s = 0; s < fc_min(stride, p->w); s++) {
        const ptrdiff_t at = (s + p->pad_left) % stride * ws->phase_elements + (s + p->pad_left) / stride * p->c;
        const void *const from = fc_at(ws->columns, at + k * ws->row_elements, job->esize);
        if (pairs) phase[s] = from;
        else
            job->kernels->copy_columns(from, p->c, fc_at_mut(dx, s * p->c, job->esize), stride * p->c,
                                       fc_ceil_div(p->w - s, stride), p->c);
    }
    if (!pairs) return;
    job->kernels->interleave(phase[0], phase[1], dx, p->w / 2);
    if (p->w % 2) memcpy(fc_at_mut(dx, p->w - 1, job->esize), fc_at(phase[0], p->w / 2, job->esize), (size_t)job->esize);
}

/* How many of the rows r, r + stride_h, ... before row `end` the same taps of windows cover; not more than a batch. */
static ptrdiff_t rows_alike(const pool_job *job, ptrdiff_t r, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t phase = (r + p->pad_top) % p->stride_h, m = (r + p->pad_top) / p->stride_h;
    const span alike = alike_windows(job, job->inside_i, p->oh);
    if (phase >= p->pool_h || m < alike.first + (p->pool_h - 1 - phase) / p->stride_h || m >= alike.end) return 1;
    return fc_min(job->batch, fc_min(alike.end - m, fc_ceil_div(end - r, p->stride_h)));
}

static void backward_rows(const pool_job *job, workspace *ws, ptrdiff_t image, ptrdiff_t r, ptrdiff_t rows) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w, row_step = p->stride_h * p->w * p->c;
    const int merges = job->flat && stride > 1;
    char *const dx = fc_at_mut(job->out, (image * p->h + r) * p->w * p->c, job->esize);
    const span windows = covering(r + p->pad_top, p->pool_h, p->stride_h, p->oh);
    if (windows.first >= windows.end) {
        for (ptrdiff_t k = 0; k < rows; k++) memset(dx + k * row_step * job->esize, 0, (size_t)(p->w * p->c * job->esize));
        return;
    }
    for (ptrdiff_t phase = 0; phase < fc_min(stride, p->w + p->pad_left); phase++) {
        phase_rows row = plan_phase(job, phase);
        row.image = image;
        row.r = r;
        row.rows = rows;
        row.to = merges ? fc_at_mut(ws->columns, phase * ws->phase_elements, job->esize)
                        : dx + (phase - p->pad_left) * p->c * job->esize;
        row.row_step = merges ? ws->row_elements : row_step;
        row.step = merges ? p->c : stride * p->c;
        border_columns(job, ws, &row, row.first, row.inner_first);
        inner_columns(job, ws, &row);
        border_columns(job, ws, &row, row.inner_end, row.end);
    }
    for (ptrdiff_t k = 0; merges && k < rows; k++) {
        char *const row = dx + k * row_step * job->esize;
        merge(job, ws, k, job->stream_rows ? ws->merged : row);
        if (job->stream_rows) job->kernels->stream(ws->merged, row, p->w * p->c);
    }
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w, phases = job->flat && stride > 1 ? fc_min(stride, p->w + p->pad_left) : 0;
    workspace ws;
    const ptrdiff_t list = fc_min(p->oh, fc_ceil_div(p->pool_h, p->stride_h)) * fc_min(p->ow, fc_ceil_div(p->pool_w, stride));
    const ptrdiff_t row_elements = ((p->w + p->pad_left - 1) / stride + 1) * p->c;
    if (!allocate(&ws, list, phases, job->batch, row_elements, row_elements == p->ow * p->c, job->esize)) return FC_NO_MEMORY;
    ws.merged = job->stream_rows ? fc_scratch(FC_SLOT_TASK2, (size_t)(p->w * p->c * job->esize)) : NULL;
    if (job->stream_rows && !ws.merged) return FC_NO_MEMORY;
    const ptrdiff_t last = fc_min(job->rows, (task + 1) * job->task_rows), apart = job->batch > 1 ? p->stride_h : 1;
    for (ptrdiff_t k = task * job->task_rows, end; k < last; k = end) {
        const ptrdiff_t image = k / p->h, first = k % p->h;
        end = fc_min(last, k + fc_min(job->batch * apart, p->h - first));
        const ptrdiff_t end_r = first + end - k;
        for (ptrdiff_t r0 = first; r0 < fc_min(end_r, first + apart); r0++)
            for (ptrdiff_t r = r0, rows; r < end_r; r += rows * apart) {
                rows = rows_alike(job, r, end_r);
                backward_rows(job, &ws, image, r, rows);
            }
    }
    if (job->stream || job->stream_rows) job->stream_end();
    return FC_OK;
}

static fc_status backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const uint8_t *indices, void *dx) {
    if (!pool->n) return FC_OK;
    pool_job job = plan(pool, kind, dy, dx, pool->h, pool->w * pool->c);
    job.index_in = indices;
    return run(&job, backward_task);
}

fc_status fc_max_pool2d_backward(const fc_pool2d *pool, const void *dy, const uint8_t *indices, void *dx) {
    assert(pool->pool_h * pool->pool_w <= 256);
    return backward(pool, MAXIMUM, dy, indices, dx);
}

fc_status fc_avg_pool2d_backward(const fc_pool2d *pool, const void *dy, void *dx) { return backward(pool, MEAN, dy, NULL, dx); }
