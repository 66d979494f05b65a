/* Pooling backward: every gradient goes to the element that won, or a share of it to all elements of the window.
 *
 * Column m * stride_w + phase of the padded input is covered by windows m - t with tap phase + t * stride_w, for all
 * t >= 0 with which window and tap exist. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Windows that cover position `at`, counted from the first window's start. */
static fc_span covering(ptrdiff_t at, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t windows) {
    const fc_span s = {at < taps ? 0 : (at - taps) / stride + 1, fc_min(windows, at / stride + 1)};
    return s;
}

/* Lists the windows m - t, least <= t <= most, of all rows that cover row r. Returns their number. */
static ptrdiff_t list_windows(const pool_job *job, workspace *ws, ptrdiff_t image, ptrdiff_t r, ptrdiff_t m, ptrdiff_t phase, ptrdiff_t least,
                              ptrdiff_t most) {
    const fc_pool2d *const p = &job->p;
    const fc_span rows = covering(r + p->pad_top, p->pool_h, p->stride_h, p->oh);
    ptrdiff_t count = 0;
    for (ptrdiff_t i = rows.end - 1; i >= rows.first; i--) {
        const ptrdiff_t r0 = i * p->stride_h - p->pad_top;
        const fc_span kh = fc_clip(r0, 1, p->pool_h, p->h);
        for (ptrdiff_t t = least; t <= most; t++, count++) {
            const ptrdiff_t j = m - t, at = ((image * p->oh + i) * p->ow + j) * p->c;
            ws->pointer[count] = fc_at(job->in, at, job->esize);
            if (job->kind == MEAN) {
                const fc_span kw = fc_clip(j * p->stride_w - p->pad_left, 1, p->pool_w, p->w);
                ws->scale[count] = 1.0 / (double)((kh.end - kh.first) * (kw.end - kw.first));
            } else {
                ws->index[count] = job->index_in + at;
                ws->position[count] = (uint8_t)((r - r0) * p->pool_w + phase + t * p->stride_w);
            }
        }
    }
    return count;
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
static fc_span alike_windows(const pool_job *job, fc_span inside, ptrdiff_t windows) {
    const fc_span all = {0, windows};
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
    const fc_span alike = alike_windows(job, job->inside_j, p->ow);
    row.inner_first = fc_min(row.end, fc_max(row.first, alike.first + most));
    row.inner_end = fc_max(row.inner_first, fc_min(row.end, alike.end));
    return row;
}

static void border_columns(const pool_job *job, workspace *ws, const phase_rows *row, ptrdiff_t first, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    for (ptrdiff_t m = first; m < end; m++) {
        const fc_span j = covering(m * p->stride_w + row->phase, p->pool_w, p->stride_w, p->ow);
        fc_unpool_args args = {
            .dy = ws->pointer,
            .index = ws->index,
            .position = ws->position,
            .scale = ws->scale,
            .windows = list_windows(job, ws, row->image, row->r, m, row->phase, m - j.end + 1, m - j.first),
            .rows = 1,
            .elements = row->rows,
            .step = row->row_step,
            .dy_step = p->ow * p->c,
            .channels = p->c,
            .dx = fc_at_mut(row->to, m * row->step, job->esize),
            .stream = job->stream,
        };
        fc_pool_unpool(job->kernels, job->kind, &args);
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
        .rows = 1,
        .elements = job->flat ? row->rows : columns,
        .step = job->flat ? row->row_step : row->step,
        .dy_step = job->flat ? p->ow * p->c : p->c,
        .channels = job->flat ? columns * p->c : p->c,
        .dx = fc_at_mut(row->to, row->inner_first * row->step, job->esize),
        .stream = job->stream,
    };
    fc_pool_unpool(job->kernels, job->kind, &args);
}

/* Brings the phases of rows first .. first + rows - 1 of the workspace together; in dx they are `row_step` elements apart. */
static void merge(const pool_job *job, const workspace *ws, ptrdiff_t first, ptrdiff_t rows, void *dx, ptrdiff_t row_step) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w;
    const int pairs = stride == 2 && p->c == 1 && p->w > 1;
    const void *phase[2];
    for (ptrdiff_t s = 0; s < fc_min(stride, p->w); s++) {
        const ptrdiff_t at = (s + p->pad_left) % stride * ws->phase_elements + (s + p->pad_left) / stride * p->c;
        const void *const from = fc_at(ws->columns, at + first * ws->row_elements, job->esize);
        const fc_columns columns = {
            .rows = rows,
            .columns = fc_ceil_div(p->w - s, stride),
            .channels = p->c,
            .from_row = ws->row_elements,
            .from_step = p->c,
            .to_row = row_step,
            .to_step = stride * p->c,
        };
        if (pairs) phase[s] = from;
        else job->kernels->copy_columns(&columns, from, fc_at_mut(dx, s * p->c, job->esize));
    }
    for (ptrdiff_t k = 0; pairs && k < rows; k++) {
        const void *const even = fc_at(phase[0], k * ws->row_elements, job->esize);
        void *const row = fc_at_mut(dx, k * row_step, job->esize);
        job->kernels->interleave(even, fc_at(phase[1], k * ws->row_elements, job->esize), row, p->w / 2);
        if (p->w % 2) memcpy(fc_at_mut(row, p->w - 1, job->esize), fc_at(even, p->w / 2, job->esize), (size_t)job->esize);
    }
}

/* How many of the rows r, r + stride_h, ... before row `end` the same taps of windows cover; not more than a batch. */
static ptrdiff_t rows_alike(const pool_job *job, ptrdiff_t r, ptrdiff_t end) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t phase = (r + p->pad_top) % p->stride_h, m = (r + p->pad_top) / p->stride_h;
    const fc_span alike = alike_windows(job, job->inside_i, p->oh);
    if (phase >= p->pool_h || m < alike.first + (p->pool_h - 1 - phase) / p->stride_h || m >= alike.end) return 1;
    return fc_min(job->batch, fc_min(alike.end - m, fc_ceil_div(end - r, p->stride_h)));
}

static void backward_rows(const pool_job *job, workspace *ws, ptrdiff_t image, ptrdiff_t r, ptrdiff_t rows) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w, row_step = p->stride_h * p->w * p->c;
    const int merges = job->flat && stride > 1;
    char *const dx = fc_at_mut(job->out, (image * p->h + r) * p->w * p->c, job->esize);
    const fc_span windows = covering(r + p->pad_top, p->pool_h, p->stride_h, p->oh);
    if (windows.first >= windows.end) {
        for (ptrdiff_t k = 0; k < rows; k++) memset(dx + k * row_step * job->esize, 0, (size_t)(p->w * p->c * job->esize));
        return;
    }
    for (ptrdiff_t phase = 0; phase < fc_min(stride, p->w + p->pad_left); phase++) {
        phase_rows row = plan_phase(job, phase);
        row.image = image;
        row.r = r;
        row.rows = rows;
        row.to = merges ? fc_at_mut(ws->columns, phase * ws->phase_elements, job->esize) : dx + (phase - p->pad_left) * p->c * job->esize;
        row.row_step = merges ? ws->row_elements : row_step;
        row.step = merges ? p->c : stride * p->c;
        border_columns(job, ws, &row, row.first, row.inner_first);
        inner_columns(job, ws, &row);
        border_columns(job, ws, &row, row.inner_end, row.end);
    }
    if (merges && !job->stream_rows) merge(job, ws, 0, rows, dx, row_step);
    for (ptrdiff_t k = 0; job->stream_rows && k < rows; k++) {
        merge(job, ws, k, 1, ws->merged, 0);
        job->kernels->stream(ws->merged, dx + k * row_step * job->esize, p->w * p->c);
    }
}

/* Rows of windows, and what of their images none of them covers. */
static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t x_row = p->w * p->c, covered = p->ow * p->pool_w * p->c, last = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t k = task * job->task_rows, rows; k < last; k += rows) {
        const ptrdiff_t image = k / p->oh, i = k % p->oh, at = k * p->ow * p->c, below = p->h - p->oh * p->pool_h;
        rows = fc_min(last - k, p->oh - i);
        char *const dx = fc_at_mut(job->out, (image * p->h + i * p->pool_h) * x_row, job->esize);
        const fc_pool_tiles_args args = {
            .x = dx,
            .y = (void *)(uintptr_t)fc_at(job->in, at, job->esize),
            .index = (uint8_t *)(uintptr_t)(job->index_in + at),
            .rows = rows,
            .windows = p->ow,
            .pool_h = p->pool_h,
            .pool_w = p->pool_w,
            .channels = p->c,
            .x_row = x_row,
            .stream = job->stream || job->stream_rows,
        };
        job->kernels->maximum_backward_tiles(&args);
        for (ptrdiff_t r = 1; covered < x_row && r <= rows * p->pool_h; r++)
            memset(dx + (r * x_row - (x_row - covered)) * job->esize, 0, (size_t)((x_row - covered) * job->esize));
        if (i + rows == p->oh) memset(dx + rows * p->pool_h * x_row * job->esize, 0, (size_t)(below * x_row * job->esize));
    }
    if (job->stream || job->stream_rows) job->stream_end();
    return FC_OK;
}

static fc_status backward_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t stride = p->stride_w, phases = job->flat && stride > 1 ? fc_min(stride, p->w + p->pad_left) : 0;
    workspace ws;
    const ptrdiff_t list = fc_min(p->oh, fc_ceil_div(p->pool_h, p->stride_h)) * fc_min(p->ow, fc_ceil_div(p->pool_w, stride));
    const ptrdiff_t row_elements = ((p->w + p->pad_left - 1) / stride + 1) * p->c;
    if (!fc_pool_allocate(&ws, list, phases, job->batch, row_elements, row_elements == p->ow * p->c, job->esize)) return FC_NO_MEMORY;
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

/* Of a window of few channels: with more, most elements win nothing, and adding to those that do is the faster way. */
enum { FEW_TAPS = 4 };

/* Whether the maxima of windows without overlap go back window by window. NHWC may have a rest that they do not cover and, in float32, any
 * number of channels of which a vector holds those of a window's row. */
static int tiled(const pool_job *job, fc_layout layout) {
    const fc_pool2d *const p = &job->p;
    const int lanes = job->kernels->lanes;
    if (fc_pool_tiled(job) && (p->c >= lanes || lanes % (p->pool_w * p->c) == 0)) return 1;
    const int apart = job->kind == MAXIMUM && p->pool_h == p->stride_h && p->pool_w == p->stride_w && !p->pad_top && !p->pad_left &&
                      p->oh * p->stride_h <= p->h && p->ow * p->stride_w <= p->w;
    return apart && layout == FC_NHWC && (p->c >= lanes || (p->dtype == FC_F32 && p->pool_w * p->c <= lanes && p->pool_h * p->pool_w <= FEW_TAPS));
}

static fc_status backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx) {
    if (!pool->n) return FC_OK;
    if (fc_pool_by_windows(pool, kind == MAXIMUM)) {
        const int scatters = kind == MAXIMUM && fc_pool_index_bytes(pool) == 1;
        return scatters ? fc_pool_scatter(pool, dy, indices, dx) : fc_pool_windows_backward(pool, kind, dy, indices, dx);
    }
    pool_job job = fc_pool_plan(pool, kind, dy, dx, pool->h, pool->w * pool->c);
    job.index_in = indices;
    const int tiles = tiled(&job, pool->layout);
    if (!tiles && kind == MAXIMUM && fc_pool_steps_pay(pool)) return fc_pool_steps(pool, dy, indices, dx);
    if (!tiles && fc_pool_planes_gather(pool)) return fc_pool_planes_backward(pool, kind, dy, indices, dx);
    if (!tiles && kind == MAXIMUM && fc_pool_scatter_pays(pool)) return fc_pool_scatter(pool, dy, indices, dx);
    if (!tiles && kind == MAXIMUM && fc_pool_padded_pays(pool)) return fc_pool_padded(pool, dy, indices, dx);
    if (!tiles) return fc_pool_run(&job, backward_task);
    job.rows = job.p.n * job.p.oh;
    job.task_rows = fc_max(1, job.task_rows / job.p.pool_h);
    return fc_pool_run(&job, tiles_task);
}

fc_status fc_max_pool2d_backward(const fc_pool2d *pool, const void *dy, const void *indices, void *dx) {
    return backward(pool, MAXIMUM, dy, indices, dx);
}

fc_status fc_avg_pool2d_backward(const fc_pool2d *pool, const void *dy, void *dx) { return backward(pool, MEAN, dy, NULL, dx); }
