/* Pooling window by window: the one window of a global pooling, and maxima in windows of so many positions that bytes cannot tell
 * them apart. A window is taken row by row, or all at once where its rows follow each other in memory. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

/* Input elements of one task. */
enum { TASK_ELEMENTS = 1 << 15 };

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_ukernels *kernels;
    pool_kind kind;
    ptrdiff_t esize, channels, chunks; /* channels that are worked on at a time */
    ptrdiff_t task_windows, windows, stream;
    const void *in;
    void *out;
    void *index_out;
    const void *index_in;
    int bytes; /* indices are bytes, otherwise int64_t */
} windows_job;

/* The part of a window that lies in its image. */
typedef struct {
    ptrdiff_t image, top, left; /* the window's corner, which may lie outside */
    fc_span rows, columns;         /* of the window */
} window;

static window locate(const fc_pool2d *p, ptrdiff_t index) {
    window win = {.image = index, .top = -p->pad_top, .left = -p->pad_left};
    if (p->oh > 1 || p->ow > 1) {
        win.image = index / (p->oh * p->ow);
        win.top += index / p->ow % p->oh * p->stride_h;
        win.left += index % p->ow * p->stride_w;
    }
    win.rows = fc_clip(win.top, 1, p->pool_h, p->h);
    win.columns = fc_clip(win.left, 1, p->pool_w, p->w);
    return win;
}

/* Rows of the window that can be taken at once. */
static ptrdiff_t rows_together(const fc_pool2d *p, const window *win) {
    const int whole = win->columns.end - win->columns.first == p->w && (p->pool_w == p->w || win->rows.end - win->rows.first == 1);
    return whole ? win->rows.end - win->rows.first : 1;
}

static ptrdiff_t first_element(const fc_pool2d *p, const window *win, ptrdiff_t row) {
    return ((win->image * p->h + win->top + row) * p->w + win->left + win->columns.first) * p->c;
}

static void reduce_window(const windows_job *job, const window *win, ptrdiff_t channel, fc_window_args *args) {
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t together = rows_together(p, win), width = win->columns.end - win->columns.first;
    const ptrdiff_t count = (win->rows.end - win->rows.first) * width;
    args->pixels = together * width;
    for (ptrdiff_t row = win->rows.first; row < win->rows.end; row += together) {
        args->x = fc_at(job->in, first_element(p, win, row) + channel, job->esize);
        args->first = row * p->pool_w + win->columns.first;
        args->more = row > win->rows.first;
        args->count = row + together == win->rows.end ? count : 0;
        (job->kind == MEAN ? job->kernels->pool.window_mean : job->kernels->pool.window_maximum)(args);
    }
}

static fc_status forward_task(const void *context, ptrdiff_t task) {
    const windows_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t channel = task % job->chunks * job->channels, first = task / job->chunks * job->task_windows;
    const ptrdiff_t channels = fc_min(job->channels, p->c - channel);
    int64_t index[FC_WINDOW_CHANNELS];
    for (ptrdiff_t i = first; i < fc_min(job->windows, first + job->task_windows); i++) {
        const window win = locate(p, i);
        const ptrdiff_t at = i * p->c + channel;
        fc_window_args args = {.step = p->c, .channels = channels, .y = fc_at_mut(job->out, at, job->esize)};
        if (job->index_out) args.index = job->bytes ? index : (int64_t *)job->index_out + at;
        reduce_window(job, &win, channel, &args);
        for (ptrdiff_t c = 0; job->index_out && job->bytes && c < channels; c++) ((uint8_t *)job->index_out)[at + c] = (uint8_t)index[c];
    }
    return FC_OK;
}

/* One chunk of the channels of one image: all of dx. */
static fc_status backward_task(const void *context, ptrdiff_t task) {
    const windows_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t channel = task % job->chunks * job->channels, channels = fc_min(job->channels, p->c - channel);
    const ptrdiff_t per_image = p->oh * p->ow, pixels = p->h * p->w;
    const ptrdiff_t first = task / job->chunks * job->task_windows;
    for (ptrdiff_t image = first; image < fc_min(p->n, first + job->task_windows); image++) {
        char *const dx = fc_at_mut(job->out, image * pixels * p->c + channel, job->esize);
        const window only = locate(p, image * per_image);
        const int all = job->kind == MEAN && only.columns.end - only.columns.first == p->w && rows_together(p, &only) == p->h;
        if (channels == p->c && !all) memset(dx, 0, (size_t)(pixels * p->c * job->esize));
        for (ptrdiff_t i = 0; channels < p->c && !all && i < pixels; i++) memset(dx + i * p->c * job->esize, 0, (size_t)(channels * job->esize));
        for (ptrdiff_t i = image * per_image; i < (image + 1) * per_image; i++) {
            const window win = locate(p, i);
            const ptrdiff_t at = i * p->c + channel;
            fc_window_args args = {
                .step = p->c, .channels = channels, .y = (void *)(uintptr_t)fc_at(job->in, at, job->esize), .stream = all && job->stream};
            if (job->kind == MEAN) {
                const ptrdiff_t together = rows_together(p, &win), width = win.columns.end - win.columns.first;
                args.pixels = together * width;
                args.count = (win.rows.end - win.rows.first) * width;
                for (ptrdiff_t row = win.rows.first; row < win.rows.end; row += together)
                    job->kernels->pool.window_mean_backward(&args, fc_at_mut(job->out, first_element(p, &win, row) + channel, job->esize));
                continue;
            }
            const fc_window_place place = {win.top, win.left, p->pool_h, p->pool_w, p->h, p->w};
            args.index = (int64_t *)(uintptr_t)((const int64_t *)job->index_in + at);
            job->kernels->pool.window_scatter(&args, &place, dx);
        }
    }
    if (job->stream) job->kernels->frame.stream_end();
    return FC_OK;
}

static windows_job plan(const fc_pool2d *pool, pool_kind kind, const void *in, void *out) {
    windows_job job = {.p = fc_pool_as_nhwc(pool),
                       .kernels = fc_kernels(pool->dtype),
                       .kind = kind,
                       .esize = fc_esize(pool->dtype),
                       .in = in,
                       .out = out,
                       .bytes = fc_pool_index_bytes(pool) == 1};
    const fc_pool2d *const p = &job.p;
    job.channels = fc_min(p->c, FC_WINDOW_CHANNELS);
    job.chunks = fc_ceil_div(p->c, job.channels);
    job.windows = p->n * p->oh * p->ow;
    return job;
}

static fc_status run(windows_job *job, ptrdiff_t units, ptrdiff_t unit_elements, fc_task_fn task) {
    job->task_windows = fc_max(1, TASK_ELEMENTS / unit_elements);
    const double work = 0.3 * (double)units * (double)unit_elements * (double)job->chunks;
    return fc_parallel_for(fc_ceil_div(units, job->task_windows) * job->chunks, work, task, job);
}

int fc_pool_by_windows(const fc_pool2d *pool, int indices) { return (pool->oh == 1 && pool->ow == 1) || (indices && fc_pool_index_bytes(pool) > 1); }

fc_status fc_pool_windows(const fc_pool2d *pool, pool_kind kind, const void *x, void *y, void *indices) {
    windows_job job = plan(pool, kind, x, y);
    job.index_out = indices;
    const ptrdiff_t pixels = fc_min(pool->pool_h, pool->h) * fc_min(pool->pool_w, pool->w);
    return run(&job, job.windows, pixels * job.channels, forward_task);
}

fc_status fc_pool_windows_backward(const fc_pool2d *pool, pool_kind kind, const void *dy, const void *indices, void *dx) {
    windows_job job = plan(pool, kind, dy, dx);
    job.index_in = indices;
    const fc_pool2d *const p = &job.p;
    const ptrdiff_t lines = p->c % job.channels ? 1 : job.channels;
    job.stream = kind == MEAN && fc_streams(dx, lines * job.esize, p->n * p->h * p->w * p->c * job.esize);
    return run(&job, p->n, (p->h * p->w + p->oh * p->ow) * job.channels, backward_task);
}
