/* Pooling: max and mean, forward and backward. The frame finds which taps of a window lie in the image and which windows cover
 * an element; kernels compare and add.
 *
 * NCHW is the same as NHWC with one channel and n * c images. With fewer channels than a vector has lanes (`flat`), columns take
 * the place of channels: the columns that one tap reads for neighbouring windows are made contiguous, if the stride has not
 * left them so, and one window of columns * channels channels is computed. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of one task: enough to make handing it out cheap. */
enum { TASK_ELEMENTS = 1 << 15 };
/* Nanoseconds per element, roughly. */
static const double ELEMENT_NS = 0.3;

typedef enum { MAXIMUM, MEAN } pool_kind;

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_pool_kernels *kernels;
    pool_kind kind;
    ptrdiff_t esize;
    int flat, stream, fetch;
    /* Windows first_j .. end_j - 1 of a row lie within the columns of the image. */
    ptrdiff_t first_j, end_j;
    ptrdiff_t task_rows, rows;
    const void *in; /* x, or dy */
    void *out;      /* y, or dx */
    uint8_t *index_out;
    const uint8_t *index_in;
} pool_job;

/* Taps t of a window that starts at `start` lie at start + t; first <= t < end are within 0 .. size - 1. */
typedef struct {
    ptrdiff_t first, end;
} span;
static span clip(ptrdiff_t start, ptrdiff_t taps, ptrdiff_t size) {
    const span s = {fc_max(0, -start), fc_min(taps, size - start)};
    return s;
}

/* Windows that cover position `at`, counted from the first window's start. */
static span covering(ptrdiff_t at, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t windows) {
    const span s = {at < taps ? 0 : (at - taps) / stride + 1, fc_min(windows, at / stride + 1)};
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
    job.esize = fc_esize(p->dtype);
    job.first_j = fc_min(p->ow, fc_ceil_div(p->pad_left, p->stride_w));
    const ptrdiff_t room = p->w + p->pad_left - p->pool_w;
    job.end_j = room < 0 ? job.first_j : fc_max(job.first_j, fc_min(p->ow, room / p->stride_w + 1));
    /* Copies for each of many phases must at least fill vectors: they are padded to lines of the cache. */
    const int lanes = job.kernels->lanes;
    job.flat = p->c < lanes && (p->stride_w <= 8 || (job.end_j - job.first_j) * p->c >= lanes);
    job.rows = p->n * rows_per_image;
    const ptrdiff_t elements = p->n * p->c * (p->h * p->w + p->oh * p->ow);
    job.fetch = !job.flat && elements * job.esize >= FC_STREAM_BYTES;
    job.stream = !job.flat && fc_streams(out, p->c * job.esize, elements * job.esize);
    job.task_rows = fc_max(1, TASK_ELEMENTS / row_elements);
    return job;
}

static fc_status run(const pool_job *job, fc_task_fn task) {
    const double work = ELEMENT_NS * (double)(job->p.n * job->p.h) * (double)(job->p.w * job->p.c);
    const unsigned saved = fc_fp_enter();
    const fc_status status = fc_parallel_for(fc_ceil_div(job->rows, job->task_rows), work, task, job);
    fc_fp_leave(saved);
    return status;
}

/* Space of one task. */
typedef struct {
    const void **pointer; /* of the taps of a window, or of the gradients of windows */
    const uint8_t **index;
    double *scale;
    uint8_t *position;
    ptrdiff_t *held; /* the rows of the image in `rows`, -1: none */
    char *rows;      /* flat: rows with the columns of each phase of the stride contiguous, row r in place r % pool_h */
    ptrdiff_t row_bytes, phase_elements;
} workspace;

static int allocate(workspace *ws, ptrdiff_t list, ptrdiff_t row_count, ptrdiff_t phases, ptrdiff_t phase_elements, ptrdiff_t esize) {
    ws->phase_elements = fc_round_up(phase_elements, FC_ALIGN / esize);
    ws->row_bytes = phases * ws->phase_elements * esize;
    const size_t lists = (size_t)fc_round_up(list * (ptrdiff_t)(sizeof(void *) * 2 + sizeof(double) + 1), FC_ALIGN);
    const size_t held = (size_t)fc_round_up(row_count * (ptrdiff_t)sizeof(ptrdiff_t), FC_ALIGN);
    char *const memory = fc_scratch(FC_SLOT_TASK, lists + held + (size_t)(row_count * ws->row_bytes));
    if (!memory) return 0;
    ws->pointer = (const void **)(void *)memory;
    ws->index = (const uint8_t **)(void *)(ws->pointer + list);
    ws->scale = (double *)(void *)(ws->index + list);
    ws->position = (uint8_t *)(ws->scale + list);
    ws->held = (ptrdiff_t *)(void *)(memory + lists);
    ws->rows = memory + lists + held;
    for (ptrdiff_t i = 0; i < row_count; i++) ws->held[i] = -1;
    return 1;
}

/* Forward. */

/* The columns that tap kj of windows first_j .. end_j - 1 reads in row r of image x. */
static const void *tap_columns(const pool_job *job, workspace *ws, const void *x, ptrdiff_t image_row, ptrdiff_t r, ptrdiff_t kj) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t start = job->first_j * p->stride_w - p->pad_left;
    const void *const row = fc_at(x, (r * p->w + start) * p->c, job->esize);
    if (!job->flat || p->stride_w == 1) return fc_at(row, kj * p->c, job->esize);
    char *const place = ws->rows + r % p->pool_h * ws->row_bytes;
    const ptrdiff_t stride = p->stride_w;
    if (ws->held[r % p->pool_h] != image_row) {
        ws->held[r % p->pool_h] = image_row;
        for (ptrdiff_t phase = 0; phase < fc_min(stride, p->pool_w); phase++)
            job->kernels->copy_columns(fc_at(row, phase * p->c, job->esize), stride * p->c,
                                       fc_at_mut(place, phase * ws->phase_elements, job->esize), p->c,
                                       job->end_j - job->first_j + (p->pool_w - 1 - phase) / stride, p->c);
    }
    return fc_at(place, kj % stride * ws->phase_elements + kj / stride * p->c, job->esize);
}

static void reduce(const pool_job *job, fc_pool_args *args, ptrdiff_t at) {
    args->y = fc_at_mut(job->out, at, job->esize);
    args->index = job->index_out ? job->index_out + at : NULL;
    args->stream = job->stream;
    if (job->kind == MEAN) job->kernels->mean(args);
    else if (job->index_out) job->kernels->maximum_index(args);
    else job->kernels->maximum(args);
}

/* Window j, which may lie partly outside of the image. */
static void border_window(const pool_job *job, workspace *ws, const void *x, ptrdiff_t i, ptrdiff_t j, ptrdiff_t at) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t r0 = i * p->stride_h - p->pad_top, s0 = j * p->stride_w - p->pad_left;
    const span kh = clip(r0, p->pool_h, p->h), kw = clip(s0, p->pool_w, p->w);
    ptrdiff_t taps = 0;
    for (ptrdiff_t ki = kh.first; ki < kh.end; ki++)
        for (ptrdiff_t kj = kw.first; kj < kw.end; kj++, taps++) {
            ws->pointer[taps] = fc_at(x, ((r0 + ki) * p->w + s0 + kj) * p->c, job->esize);
            ws->position[taps] = (uint8_t)(ki * p->pool_w + kj);
        }
    fc_pool_args args = {.tap = ws->pointer, .position = ws->position, .taps = taps, .windows = 1, .channels = p->c};
    reduce(job, &args, at + j * p->c);
}

static fc_status forward_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t inner = job->end_j - job->first_j;
    workspace ws;
    const int copies = job->flat && p->stride_w > 1;
    if (!allocate(&ws, p->pool_h * p->pool_w, copies ? p->pool_h : 0, fc_min(p->stride_w, p->pool_w),
                  (inner + (p->pool_w - 1) / p->stride_w) * p->c, job->esize))
        return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t row = task * job->task_rows; row < end; row++) {
        const ptrdiff_t image = row / p->oh, i = row % p->oh, at = row * p->ow * p->c;
        const void *const x = fc_at(job->in, image * p->h * p->w * p->c, job->esize);
        for (ptrdiff_t j = 0; j < job->first_j; j++) border_window(job, &ws, x, i, j, at);
        if (inner) {
            const ptrdiff_t r0 = i * p->stride_h - p->pad_top;
            const span kh = clip(r0, p->pool_h, p->h);
            ptrdiff_t taps = 0;
            for (ptrdiff_t ki = kh.first; ki < kh.end; ki++)
                for (ptrdiff_t kj = 0; kj < p->pool_w; kj++, taps++) {
                    ws.pointer[taps] = tap_columns(job, &ws, x, image * p->h + r0 + ki, r0 + ki, kj);
                    ws.position[taps] = (uint8_t)(ki * p->pool_w + kj);
                }
            fc_pool_args args = {
                .tap = ws.pointer,
                .position = ws.position,
                .taps = taps,
                .windows = job->flat ? 1 : inner,
                .step = p->stride_w * p->c,
                .out_step = p->c,
                .channels = job->flat ? inner * p->c : p->c,
            };
            if (job->fetch) {
                const ptrdiff_t last = image * p->h + r0 + kh.end;
                args.next = fc_at(job->in, last * p->w * p->c, job->esize);
                args.next_elements = fc_max(0, fc_min(p->stride_h, p->n * p->h - last)) * p->w * p->c;
            }
            reduce(job, &args, at + job->first_j * p->c);
        }
        for (ptrdiff_t j = job->end_j; j < p->ow; j++) border_window(job, &ws, x, i, j, at);
    }
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

static void unpool(const pool_job *job, const fc_unpool_args *args) {
    if (job->kind == MEAN) job->kernels->mean_backward(args);
    else job->kernels->maximum_backward(args);
}

/* The part of a row of dx that belongs to one phase. */
typedef struct {
    ptrdiff_t phase;
    ptrdiff_t first, end;             /* its columns m within the row */
    ptrdiff_t inner_first, inner_end; /* those that the largest number of windows covers, all of them alike */
    void *to;                         /* column m goes to `to` + m * step elements */
    ptrdiff_t step;
} phase_row;

static phase_row plan_phase(const pool_job *job, ptrdiff_t phase) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t most = phase < p->pool_w ? (p->pool_w - 1 - phase) / p->stride_w : -1;
    phase_row row = {.phase = phase};
    row.first = p->pad_left > phase ? fc_ceil_div(p->pad_left - phase, p->stride_w) : 0;
    row.end = p->w + p->pad_left > phase ? (p->w + p->pad_left - 1 - phase) / p->stride_w + 1 : row.first;
    if (most < 0) {
        row.inner_first = row.inner_end = row.end;
        return row;
    }
    const ptrdiff_t least_j = job->kind == MEAN ? job->first_j : 0, end_j = job->kind == MEAN ? job->end_j : p->ow;
    row.inner_first = fc_min(row.end, fc_max(row.first, least_j + most));
    row.inner_end = fc_max(row.inner_first, fc_min(row.end, end_j));
    return row;
}

static void border_columns(const pool_job *job, workspace *ws, const phase_row *row, ptrdiff_t image, ptrdiff_t r,
                           ptrdiff_t first, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    for (ptrdiff_t m = first; m < end; m++) {
        const span j = covering(m * p->stride_w + row->phase, p->pool_w, p->stride_w, p->ow);
        const fc_unpool_args args = {
            .dy = ws->pointer,
            .index = ws->index,
            .position = ws->position,
            .scale = ws->scale,
            .windows = list_windows(job, ws, image, r, m, row->phase, m - j.end + 1, m - j.first),
            .elements = 1,
            .channels = p->c,
            .dx = fc_at_mut(row->to, m * row->step, job->esize),
            .stream = job->stream,
        };
        unpool(job, &args);
    }
}

static void inner_columns(const pool_job *job, workspace *ws, const phase_row *row, ptrdiff_t image, ptrdiff_t r) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t columns = row->inner_end - row->inner_first;
    if (!columns) return;
    const fc_unpool_args args = {
        .dy = ws->pointer,
        .index = ws->index,
        .position = ws->position,
        .scale = ws->scale,
        .windows = list_windows(job, ws, image, r, row->inner_first, row->phase, 0, (p->pool_w - 1 - row->phase) / p->stride_w),
        .elements = job->flat ? 1 : columns,
        .step = row->step,
        .dy_step = p->c,
        .channels = job->flat ? columns * p->c : p->c,
        .dx = fc_at_mut(row->to, row->inner_first * row->step, job->esize),
        .stream = job->stream,
    };
    unpool(job, &args);
}

/* Brings the phases of a row together. */
static void merge(const pool_job *job, const workspace *ws, void *dx) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w;
    const int pairs = stride == 2 && p->c == 1;
    const void *phase[2];
    for (ptrdiff_t s = 0; s < fc_min(stride, p->w); s++) {
        const ptrdiff_t at = (s + p->pad_left) % stride * ws->phase_elements + (s + p->pad_left) / stride * p->c;
        const void *const from = fc_at(ws->rows, at, job->esize);
        if (pairs && p->w > 1) phase[s] = from;
        else
            job->kernels->copy_columns(from, p->c, fc_at_mut(dx, s * p->c, job->esize), stride * p->c,
                                       fc_ceil_div(p->w - s, stride), p->c);
    }
    if (pairs && p->w > 1) {
        job->kernels->interleave(phase[0], phase[1], dx, p->w / 2);
        if (p->w % 2)
            memcpy(fc_at_mut(dx, p->w - 1, job->esize), fc_at(phase[0], p->w / 2, job->esize), (size_t)job->esize);
    }
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w;
    const int merges = job->flat && stride > 1;
    workspace ws;
    const ptrdiff_t phases = fc_min(stride, p->w + p->pad_left);
    const ptrdiff_t list = fc_min(p->oh, fc_ceil_div(p->pool_h, p->stride_h)) * fc_min(p->ow, fc_ceil_div(p->pool_w, stride));
    if (!allocate(&ws, list, merges, phases, ((p->w + p->pad_left) / stride + 1) * p->c, job->esize)) return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t k = task * job->task_rows; k < end; k++) {
        const ptrdiff_t image = k / p->h, r = k % p->h;
        void *const dx = fc_at_mut(job->out, k * p->w * p->c, job->esize);
        const span rows = covering(r + p->pad_top, p->pool_h, p->stride_h, p->oh);
        if (rows.first >= rows.end) {
            memset(dx, 0, (size_t)(p->w * p->c * job->esize));
            continue;
        }
        for (ptrdiff_t phase = 0; phase < phases; phase++) {
            phase_row row = plan_phase(job, phase);
            row.to = merges ? fc_at_mut(ws.rows, phase * ws.phase_elements, job->esize)
                            : fc_at_mut(dx, (phase - p->pad_left) * p->c, job->esize);
            row.step = merges ? p->c : stride * p->c;
            border_columns(job, &ws, &row, image, r, row.first, row.inner_first);
            inner_columns(job, &ws, &row, image, r);
            border_columns(job, &ws, &row, image, r, row.inner_end, row.end);
        }
        if (merges) merge(job, &ws, dx);
    }
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
