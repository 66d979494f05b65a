/* The gradient of max-pooling, window by window: each gradient is added where its maximum was. It takes one step for each gradient where
 * gathering, in vectors, takes one for every window that covers an element: for windows that overlap much, and few channels. */
#include "pool2d_internal.h"

#include <string.h>

/* Input and output elements of one task. */
enum { TASK_ELEMENTS = 1 << 15, POSITIONS = 256 };
/* Nanoseconds: to add a gradient, more for a window, and to clear an element; to gather an element, for every window that covers those of
 * a vector, and, with fewer channels than a vector holds, to bring a pixel of a phase of the stride to its place. */
static const double ADD_NS = 1.1, WINDOW_NS = 2, CLEAR_NS = 0.06, GATHER_NS = 0.08, LOOK_NS = 0.9, SPREAD_NS = 1.7;

typedef struct {
    fc_pool2d p; /* as NHWC */
    const fc_pool_kernels *kernels;
    ptrdiff_t esize, channels, chunks, images; /* channels of a task, and images */
    fc_span inside_i, inside_j;
    const void *dy;
    const uint8_t *index;
    void *dx;
} scatter_job;

int fc_pool_scatter_pays(const fc_pool2d *pool) {
    const fc_pool2d p = fc_pool_as_nhwc(pool);
    const ptrdiff_t lanes = fc_kernels(p.dtype)->pool.lanes;
    if (fc_pool_index_bytes(pool) > 1) return 0;
    const double elements = (double)(p.h * p.w), windows = (double)(p.oh * p.ow), covered = windows * (double)(p.pool_h * p.pool_w) / elements;
    const int flat = p.c < lanes || p.stride_w == 1;
    const double c = (double)p.c, filled = flat ? 1 : c / (double)fc_round_up(p.c, lanes);
    const double gather = GATHER_NS + LOOK_NS * covered / (filled * (double)lanes) + (p.c < lanes && p.stride_w > 1 ? SPREAD_NS / c : 0);
    return gather > (ADD_NS + WINDOW_NS / c) * windows / elements + CLEAR_NS;
}

/* How far from a window's corner the taps are that lie in the image. What no position may be is FC_NOWHERE. */
static void fill_offsets(const fc_pool2d *p, fc_span rows, fc_span columns, ptrdiff_t *offset) {
    for (ptrdiff_t k = 0; k < p->pool_h * p->pool_w; k++) offset[k] = FC_NOWHERE;
    for (ptrdiff_t r = rows.first; r < rows.end; r++)
        for (ptrdiff_t s = columns.first; s < columns.end; s++) offset[r * p->pool_w + s] = (r * p->w + s) * p->c;
}

static void clear(const fc_pool2d *p, ptrdiff_t channels, char *dx, ptrdiff_t esize) {
    const ptrdiff_t run = channels == p->c ? p->h * p->w * p->c : channels;
    for (ptrdiff_t at = 0; at < p->h * p->w * p->c; at += fc_max(run, p->c)) memset(dx + at * esize, 0, (size_t)(run * esize));
}

static void scatter_image(const scatter_job *job, ptrdiff_t image, ptrdiff_t channel, const ptrdiff_t *whole, ptrdiff_t *part) {
    const fc_pool2d *const p = &job->p;
    char *const dx = fc_at_mut(job->dx, image * p->h * p->w * p->c + channel, job->esize);
    fc_pool_scatter_args args = {.channels = fc_min(job->channels, p->c - channel), .out_step = p->c, .step = p->stride_w * p->c, .dx = dx};
    clear(p, args.channels, dx, job->esize);
    for (ptrdiff_t i = 0; i < p->oh; i++) {
        const ptrdiff_t top = i * p->stride_h - p->pad_top, at = (image * p->oh + i) * p->ow * p->c + channel;
        const int whole_rows = i >= job->inside_i.first && i < job->inside_i.end;
        for (ptrdiff_t j = 0; j < p->ow; j += args.windows) {
            const ptrdiff_t left = j * p->stride_w - p->pad_left;
            const int inner = whole_rows && j >= job->inside_j.first && j < job->inside_j.end;
            args.windows = inner ? job->inside_j.end - j : 1;
            args.offset = inner ? whole : part;
            if (!inner) fill_offsets(p, fc_clip(top, 1, p->pool_h, p->h), fc_clip(left, 1, p->pool_w, p->w), part);
            args.dy = fc_at(job->dy, at + j * p->c, job->esize);
            args.index = job->index + at + j * p->c;
            args.corner = (top * p->w + left) * p->c;
            job->kernels->scatter(&args);
        }
    }
}

static fc_status scatter_task(const void *context, ptrdiff_t task) {
    const scatter_job *const job = context;
    const fc_pool2d *const p = &job->p;
    const ptrdiff_t channel = task % job->chunks * job->channels, first = task / job->chunks * job->images;
    ptrdiff_t whole[POSITIONS], part[POSITIONS];
    for (ptrdiff_t k = 0; k < POSITIONS; k++) whole[k] = part[k] = FC_NOWHERE;
    fill_offsets(p, (fc_span){0, p->pool_h}, (fc_span){0, p->pool_w}, whole);
    for (ptrdiff_t image = first; image < fc_min(p->n, first + job->images); image++) scatter_image(job, image, channel, whole, part);
    return FC_OK;
}

fc_status fc_pool_scatter(const fc_pool2d *pool, const void *dy, const void *indices, void *dx) {
    scatter_job job = {
        .p = fc_pool_as_nhwc(pool), .kernels = &fc_kernels(pool->dtype)->pool, .esize = fc_esize(pool->dtype), .dy = dy, .index = indices, .dx = dx};
    const fc_pool2d *const p = &job.p;
    const ptrdiff_t line = FC_ALIGN / job.esize, elements = p->h * p->w + p->oh * p->ow;
    job.inside_i = fc_pool_inside(p->pool_h, p->stride_h, p->pad_top, p->h, p->oh);
    job.inside_j = fc_pool_inside(p->pool_w, p->stride_w, p->pad_left, p->w, p->ow);
    /* Few images are cut into channels, by whole lines of the cache, so that tasks do not write to the same. */
    const ptrdiff_t cuts = fc_ceil_div(fc_get_num_threads(), fc_max(1, p->n));
    job.channels = p->c % line ? p->c : fc_round_up(fc_ceil_div(p->c, cuts), line);
    job.chunks = fc_ceil_div(p->c, job.channels);
    job.images = fc_max(1, TASK_ELEMENTS / (elements * job.channels));
    const double work = (double)p->n * (double)p->c * (ADD_NS * (double)(p->oh * p->ow) + CLEAR_NS * (double)(p->h * p->w));
    return fc_parallel_for(fc_ceil_div(p->n, job.images) * job.chunks, work, scatter_task, &job);
}
