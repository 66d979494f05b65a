/* Pooling: max and mean, forward and backward. The frame finds which taps of a window lie in the image and which windows cover
 * an element; kernels compare and add.
 *
 * NCHW is the same as NHWC with one channel and n * c images. With fewer channels than a vector has lanes (`flat`), columns take
 * the place of channels and rows the place of columns: the columns that one tap reads for neighbouring windows are made
 * contiguous, if the stride has not left them so, and a row of windows is computed as one window of columns * channels channels. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of one task, enough to make handing it out cheap; and of one batch of rows, which stay in the first-level
 * cache. */
enum { TASK_ELEMENTS = 1 << 15, BATCH_ELEMENTS = 1 << 10 };
/* Of a pixel, at most, for windows to be read nearly in order. */
enum { IN_ORDER_BYTES = 512 };
/* Nanoseconds per element, roughly. */
static const double ELEMENT_NS = 0.3;

fc_span fc_pool_inside(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t pad, ptrdiff_t size, ptrdiff_t windows) {
    const ptrdiff_t first = fc_min(windows, fc_ceil_div(pad, stride)), room = size + pad - taps;
    const fc_span s = {first, room < 0 ? first : fc_max(first, fc_min(windows, room / stride + 1))};
    return s;
}

pool_job fc_pool_plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out, ptrdiff_t rows_per_image, ptrdiff_t row_elements) {
    pool_job job = {.p = fc_pool_as_nhwc(pool), .kind = kind, .in = in, .out = out};
    fc_pool2d *const p = &job.p;
    assert(p->n >= 0 && p->h > 0 && p->w > 0 && p->c > 0 && p->oh > 0 && p->ow > 0 && p->pool_h > 0 && p->pool_w > 0);
    assert(p->stride_h > 0 && p->stride_w > 0 && p->pad_top >= 0 && p->pad_left >= 0);
    row_elements /= pool->c / p->c;
    job.rows = p->n * rows_per_image;
    /* To a single window the distance to the next means nothing. */
    if (p->oh == 1) p->stride_h = p->pool_h == p->h && !p->pad_top ? p->h : 1;
    if (p->ow == 1) p->stride_w = 1;
    if (p->pool_h == p->stride_h && !p->pad_top && p->oh * p->stride_h == p->h) {
        /* Windows that follow each other without a gap do so from image to image as well. */
        p->h *= p->n;
        p->oh *= p->n;
        p->n = 1;
    }
    job.kernels = &fc_kernels(p->dtype)->pool;
    job.stream_end = fc_kernels(p->dtype)->frame.stream_end;
    job.esize = fc_esize(p->dtype);
    job.inside_i = fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh);
    job.inside_j = fc_pool_inside(p->pool_w, p->stride_w, p->pad_left, p->w, p->ow);
    /* Copies for each of many phases must at least fill vectors: they are padded to lines of the cache. */
    const int lanes = job.kernels->lanes;
    job.flat = p->c < lanes && (p->stride_w <= 8 || (job.inside_j.end - job.inside_j.first) * p->c >= lanes);
    job.batch = job.flat ? fc_max(1, BATCH_ELEMENTS / (fc_min(p->stride_h, p->h) * p->w * p->c)) : 1;
    const ptrdiff_t elements = p->n * p->c * (p->h * p->w + p->oh * p->ow);
    /* The processor fetches by itself what is read once and nearly in order, and does it better. */
    const int in_order = p->pool_h <= p->stride_h && p->pool_w <= p->stride_w && p->c * job.esize <= IN_ORDER_BYTES;
    job.fetch = !job.flat && !in_order && elements * job.esize >= FC_STREAM_BYTES;
    job.stream_rows = job.flat && p->stride_w > 1 && fc_streams(out, p->w * p->c * job.esize, elements * job.esize);
    job.stream = !job.flat && fc_streams(out, p->c * job.esize, elements * job.esize);
    job.task_rows = fc_max(1, TASK_ELEMENTS / row_elements);
    return job;
}

fc_status fc_pool_run(const pool_job *job, fc_task_fn task) {
    const double work = ELEMENT_NS * (double)(job->p.n * job->p.h) * (double)(job->p.w * job->p.c);
    return fc_parallel_for(fc_ceil_div(job->rows, job->task_rows), work, task, job);
}

int fc_pool_allocate(workspace *ws, ptrdiff_t list, ptrdiff_t phases, ptrdiff_t rows, ptrdiff_t row_elements, int dense, ptrdiff_t esize) {
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
    const int whole = start == 0 && p->w % stride == 0 && ws->row_elements * stride == p->w * p->c;
    for (ptrdiff_t phase = 0; phase < fc_min(stride, p->pool_w); phase++) {
        const ptrdiff_t columns = job->inside_j.end - job->inside_j.first + (p->pool_w - 1 - phase) / stride;
        const fc_columns copied = {
            .rows = whole ? 1 : rows,
            .columns = whole ? rows * p->w / stride : columns,
            .channels = p->c,
            .from_row = p->w * p->c,
            .from_step = stride * p->c,
            .to_row = ws->row_elements,
            .to_step = p->c,
        };
        job->kernels->copy_columns(&copied, fc_at(x, (r * p->w + start + phase) * p->c, job->esize),
                                   fc_at_mut(ws->columns, phase * ws->phase_elements, job->esize));
    }
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
static void border_windows(const pool_job *job, const workspace *ws, const void *x, ptrdiff_t i, ptrdiff_t rows, fc_span kh, ptrdiff_t j,
                           ptrdiff_t at) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t r0 = i * p->stride_h - p->pad_top, s0 = j * p->stride_w - p->pad_left;
    const fc_span kw = fc_clip(s0, 1, p->pool_w, p->w);
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

static void inner_windows(const pool_job *job, const workspace *ws, const void *x, ptrdiff_t i, ptrdiff_t rows, fc_span kh, ptrdiff_t at) {
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
                copies ? fc_at(ws->columns, kj % p->stride_w * ws->phase_elements + k * ws->row_elements + kj / p->stride_w * p->c, job->esize)
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
    if (!fc_pool_allocate(&ws, p->pool_h * p->pool_w, copies ? fc_min(p->stride_w, p->pool_w) : 0,
                          fc_min(p->h, (job->batch - 1) * p->stride_h + p->pool_h), row_elements,
                          job->batch > 1 && row_elements * p->stride_w == p->w * p->c, job->esize))
        return FC_NO_MEMORY;
    const ptrdiff_t end = fc_min(job->rows, (task + 1) * job->task_rows);
    for (ptrdiff_t row = task * job->task_rows, rows; row < end; row += rows) {
        const ptrdiff_t image = row / p->oh, i = row % p->oh, at = row * p->ow * p->c;
        const int whole = i >= job->inside_i.first && i < job->inside_i.end;
        rows = whole ? fc_min(job->batch, fc_min(job->inside_i.end - i, end - row)) : 1;
        const fc_span kh = fc_clip(i * p->stride_h - p->pad_top, 1, p->pool_h, p->h);
        const void *const x = fc_at(job->in, image * p->h * p->w * p->c, job->esize);
        for (ptrdiff_t j = 0; j < job->inside_j.first; j++) border_windows(job, &ws, x, i, rows, kh, j, at);
        if (windows) inner_windows(job, &ws, x, i, rows, kh, at);
        for (ptrdiff_t j = job->inside_j.end; j < p->ow; j++) border_windows(job, &ws, x, i, rows, kh, j, at);
    }
    if (job->stream) job->stream_end();
    return FC_OK;
}

/* Rows of windows without overlap, of few channels. */
static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const pool_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t first = task * job->task_rows, at = first * p->ow * p->c;
    const fc_pool_tiles_args args = {
        .x = (void *)(uintptr_t)fc_at(job->in, at * p->pool_h * p->pool_w, job->esize),
        .y = fc_at_mut(job->out, at, job->esize),
        .index = job->index_out ? job->index_out + at : NULL,
        .rows = fc_min(job->task_rows, job->rows - first),
        .windows = p->ow,
        .pool_h = p->pool_h,
        .pool_w = p->pool_w,
        .channels = p->c,
        .stream = job->stream,
    };
    job->kernels->maximum_tiles(&args);
    if (job->stream) job->stream_end();
    return FC_OK;
}

static fc_status forward(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, void *indices) {
    if (!pool->n) return FC_OK;
    if (fc_pool_by_windows(pool, indices != NULL)) return fc_pool_windows(pool, kind, x, y, indices);
    pool_job job = fc_pool_plan(pool, kind, x, y, pool->oh, fc_min(pool->stride_h, pool->h) * pool->w * pool->c);
    job.index_out = indices;
    const int tiled = fc_pool_tiled(&job) && job.p.pool_w == 2 && job.kernels->lanes % (2 * job.p.c) == 0;
    /* Rows that fill vectors badly are better off as planes. */
    const int planes = fc_pool_by_planes(pool), tiles = tiled && (!planes || 4 * job.p.ow >= 3 * job.kernels->lanes);
    /* In rows that fill vectors four taps without a stride are read as they lie, and sums of pairs are cheaper than picking them where that
     * takes several instructions. */
    const int lanes = job.kernels->lanes;
    const int few = pool->stride_w == 1 ? pool->pool_h * pool->pool_w <= 4 && pool->ow >= lanes : kind == MEAN && lanes <= 8 && pool->ow >= 3 * lanes;
    if (!tiles && !few && planes) {
        const fc_status status = fc_pool_planes(pool, kind, x, y, indices);
        if (status != FC_UNSUPPORTED) return status;
    }
    if (kind == MAXIMUM && fc_pool_separable_pays(pool)) return fc_pool_separable(pool, x, y, indices);
    if (tiles) job.stream = fc_streams(y, job.p.ow * job.p.c * job.esize, job.rows * job.p.ow * job.p.c * (1 + 2 * job.p.pool_h) * job.esize);
    return fc_pool_run(&job, tiles ? tiles_task : forward_task);
}

int fc_pool_index_bytes(const fc_pool2d *pool) { return pool->pool_h <= 256 / pool->pool_w ? 1 : 8; }

fc_status fc_max_pool2d(const fc_pool2d *pool, const void *x, void *y, void *indices) { return forward(pool, MAXIMUM, x, y, indices); }

fc_status fc_avg_pool2d(const fc_pool2d *pool, const void *x, void *y) { return forward(pool, MEAN, x, y, NULL); }
