/* The input gradient of few channels. As an implicit GEMM its columns would be those channels, which fill no vector. Here every pixel of
 * dy times all of the kernel makes a window of products [tap][c], a GEMM with taps * c columns; windows that overlap are then added up,
 * row by row. Bands of dy follow each other; the products that the next rows of dx need too are kept. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize, columns;    /* of a window: taps * c */
    ptrdiff_t image, first, end; /* z holds rows first .. end - 1 of dy, of this image and those after it */
    ptrdiff_t row, rows;         /* rows of dx to be written */
    void *z, *dx;
} scattered;

static ptrdiff_t row_size(const scattered *s) { return s->conv->ow * s->columns; }

/* The rows of dy that reach row y of dx. */
static fc_span rows_reaching(const fc_conv2d *conv, ptrdiff_t y) {
    const ptrdiff_t last = y + conv->pad_top, before = last - conv->kh;
    return (fc_span){before < 0 ? 0 : before / conv->stride_h + 1, fc_min(conv->oh, last / conv->stride_h + 1)};
}

static fc_status row_task(const void *context, ptrdiff_t task) {
    const scattered *const s = context;
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t image = task / s->rows, y = s->row + task % s->rows, step = conv->stride_w * conv->c;
    const ptrdiff_t before = conv->pad_left * conv->c, width = conv->w * conv->c, vectors = FC_SLIDE_VECTORS * s->kernels->gemm.lanes;
    const ptrdiff_t written = (conv->ow - 1) * step, size = fc_max(written + vectors, before + width);
    const size_t pointers = (size_t)fc_round_up(conv->kh * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    char *const space = fc_scratch(FC_SLOT_TASK, pointers + (size_t)(size * s->esize));
    if (!space) return FC_NO_MEMORY;
    const void **const z = (const void **)space;
    void *const line = space + pointers;
    const fc_span reaching = rows_reaching(conv, y);
    fc_slide_args args = {.z = z, .pixels = conv->ow, .pixel = s->columns, .width = conv->kw * conv->c, .step = step, .out = line};
    assert(reaching.end <= reaching.first || (reaching.first >= s->first && reaching.end <= s->end));
    for (ptrdiff_t i = reaching.first; i < reaching.end; i++) {
        const ptrdiff_t tap = y + conv->pad_top - i * conv->stride_h, row = image * (s->end - s->first) + i - s->first;
        z[args.rows++] = fc_at(s->z, row * row_size(s) + tap * args.width, s->esize);
    }
    memset(fc_at_mut(line, written, s->esize), 0, (size_t)((size - written) * s->esize));
    s->kernels->frame.slide(&args);
    memcpy(fc_at_mut(s->dx, ((s->image + image) * conv->h + y) * width, s->esize), fc_at(line, before, s->esize), (size_t)(width * s->esize));
    return FC_OK;
}

/* Products of `count` rows of dy, of image s->image and those after it, behind the rows that z holds; then the rows of dx up to `end`. */
static fc_status run_round(scattered *s, ptrdiff_t images, ptrdiff_t count, const void *dy, const void *w) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t kept = s->end - s->first;
    assert(kept == 0 || images == 1);
    fc_conv2d one = *conv;
    one.n = images, one.h = one.oh = count, one.w = one.ow, one.c = s->columns;
    one.kh = one.kw = one.stride_h = one.stride_w = 1, one.pad_top = one.pad_left = 0;
    const void *const from = fc_at(dy, (s->image * conv->oh + s->end) * conv->ow * conv->k, s->esize);
    fc_status status = fc_igemm_backward_input(&one, from, w, fc_at_mut(s->z, kept * row_size(s), s->esize));
    if (status != FC_OK) return status;
    s->end += count;
    const ptrdiff_t done = s->end == conv->oh ? conv->h : fc_max(s->row, fc_min(conv->h, s->end * conv->stride_h - conv->pad_top));
    s->rows = done - s->row;
    const double work = (double)(images * s->rows) * (double)(conv->ow * (conv->kh + 8)) * 0.4;
    status = fc_parallel_for(images * s->rows, work, row_task, s);
    s->row = done;
    return status;
}

fc_status fc_scattered_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    scattered s = {.conv = conv, .kernels = fc_kernels(conv->dtype), .esize = fc_esize(conv->dtype),
                   .columns = conv->kh * conv->kw * conv->c, .dx = dx};
    const ptrdiff_t line = row_size(&s) * s.esize, room = fc_max(1, fc_get_num_threads() * fc_l2_bytes() / 2 / line);
    const ptrdiff_t images = fc_min(conv->n, room / conv->oh), kept_most = (conv->kh - 1) / conv->stride_h + 1;
    const ptrdiff_t band = fc_min(conv->oh, fc_max(room, kept_most));
    const ptrdiff_t held = images > 0 ? images * conv->oh : kept_most + band;
    s.z = fc_scratch(FC_SLOT_FOLDED, (size_t)(held * line));
    if (!s.z) return FC_NO_MEMORY;
    fc_status status = FC_OK;
    for (; s.image < conv->n && status == FC_OK; s.image += fc_max(1, images)) {
        s.first = s.end = s.row = 0;
        if (images > 0) status = run_round(&s, fc_min(images, conv->n - s.image), conv->oh, dy, w);
        while (images == 0 && s.end < conv->oh && status == FC_OK) {
            const ptrdiff_t first = fc_min(s.end, rows_reaching(conv, s.row).first), kept = s.end - first;
            memmove(s.z, fc_at(s.z, (first - s.first) * row_size(&s), s.esize), (size_t)(kept * line));
            s.first = first;
            status = run_round(&s, 1, fc_min(band, conv->oh - s.end), dy, w);
        }
    }
    return status;
}

/* Vectors of multiply-adds, as the kernels' cost counts them. */
static double products(const fc_conv2d *conv, ptrdiff_t columns) {
    const fc_panels panels = fc_panels_plan(&fc_kernels(conv->dtype)->gemm, columns);
    return (double)conv->k * (double)fc_panels_cost(&panels);
}

/* Multiply-adds with those of empty lanes, or what takes as long. */
int fc_scattered_pays(const fc_conv2d *conv) {
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes, width = conv->kw * conv->c, step = conv->stride_w * conv->c;
    if (conv->algorithm == FC_WINOGRAD || conv->groups > 1 || conv->dilation_h * conv->dilation_w > 1 || conv->kh * conv->kw == 1) return 0;
    if (step > lanes || width > FC_SLIDE_VECTORS * lanes || conv->kw < conv->stride_w || conv->n == 0) return 0;
    const double vectors = (double)fc_ceil_div(width, lanes), cycle = 2.0 * (double)lanes;
    const double adding = ((double)fc_ceil_div(conv->kh, conv->stride_h) * vectors + 8) * (double)(conv->stride_h) * cycle;
    const double scattered = (double)(conv->oh * conv->ow) * (products(conv, conv->kh * conv->kw * conv->c) + adding);
    const double direct = (double)(conv->h * conv->w) / (double)(conv->stride_h * conv->stride_w) * (double)(conv->kh * conv->kw) *
                          products(conv, conv->c);
    if (scattered >= direct) return 0;
    return conv->algorithm == FC_DIRECT || (!fc_folded_pays(conv, 0) && !fc_winograd_pays_for(conv, 1, 0, (double)conv->n * scattered));
}
