/* The input gradient of few channels of NCHW, along the planes. The products of dy with the weights of all taps come first, one plane for each tap and
 * channel,
 *   z[a][c][p] = sum over k of w[a][c][k] dy[k][p],
 * then those of a pixel of dx are added up: runs of planes that are shifted against each other. With a stride those of the columns of each remainder are
 * added up apart. So is the gradient of single pixels with a stride, of any number of channels. */
#include "conv2d_planes.h"

#include <string.h>

enum { MOST_CHANNELS = 7, Z_BYTES = 512 << 10 /* of a task, about: they stay in the second-level cache */ };

typedef struct {
    const fc_conv2d *conv;
    fc_planes products;
    void *dx;
    ptrdiff_t band, bands; /* rows of dx of a task; tasks of an image */
} scattered;

/* Rows of dy and dx that lie as far apart are added up by runs of them. */
static int by_runs(const fc_conv2d *conv) { return conv->stride_h == 1 && conv->stride_w == 1 && conv->ow == conv->w; }

/* Single pixels with a stride, every one inside: nothing is added up, zeros lie between. */
static int apart(const fc_conv2d *conv) {
    const int inside =
        conv->pad_top == 0 && conv->pad_left == 0 && (conv->oh - 1) * conv->stride_h < conv->h && conv->ow == fc_ceil_div(conv->w, conv->stride_w);
    return conv->kh * conv->kw == 1 && conv->stride_w > 1 && inside;
}

/* Where the products take longer than adding them up, as measured. */
int fc_planes_scattered_pays(const fc_conv2d *conv) {
    enum { FEW_PLANES = 9, FEW_COLUMNS = 8 };
    const ptrdiff_t planes = conv->kh * conv->kw * conv->c;
    if (conv->layout != FC_NCHW || conv->groups > 1 || conv->algorithm == FC_WINOGRAD || planes < FEW_PLANES) return 0;
    if (apart(conv)) return 1;
    return conv->c <= MOST_CHANNELS && 5 * conv->k >= 4 * planes && conv->ow >= FEW_COLUMNS && (by_runs(conv) || conv->stride_w == 2);
}

/* Rows of dy that rows first .. first + count - 1 of dx receive from. */
static fc_span rows_of_dy(const fc_conv2d *conv, ptrdiff_t first, ptrdiff_t count) {
    const ptrdiff_t reach = (conv->kh - 1) * conv->dilation_h, begin = fc_max(0, first + conv->pad_top - reach);
    const fc_span rows = {fc_ceil_div(begin, conv->stride_h), fc_min(conv->oh, (first + count - 1 + conv->pad_top) / conv->stride_h + 1)};
    return rows.first < rows.end ? rows : (fc_span){0, 0};
}

/* Of a task: z, whose planes lie ld apart and begin with row rows.first of dy; and the sums of a row, `line` elements for each remainder. */
typedef struct {
    ptrdiff_t n, first, count;
    fc_span rows;
    void *z, *sums;
    ptrdiff_t ld, line;
} piece;

static void *z_row(const scattered *s, const piece *t, ptrdiff_t i, ptrdiff_t j, ptrdiff_t c, ptrdiff_t row) {
    const ptrdiff_t plane = (i * s->conv->kw + j) * s->conv->c + c;
    return fc_at_mut(t->z, plane * t->ld + (row - t->rows.first) * s->conv->ow, s->products.esize);
}

static void *dx_row(const scattered *s, const piece *t, ptrdiff_t c, ptrdiff_t y) {
    const fc_conv2d *const conv = s->conv;
    return fc_at_mut(s->dx, ((t->n * conv->c + c) * conv->h + y) * conv->w, s->products.esize);
}

/* Where rows of dy and dx are as long and lie as far apart: a run of rows at once. What a shift takes beyond the end of a row is set to zero. */
static void add_planes(const scattered *s, const piece *t, ptrdiff_t c) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t esize = s->products.esize, w = conv->w;
    memset(dx_row(s, t, c, t->first), 0, (size_t)(t->count * w * esize));
    for (ptrdiff_t i = 0; i < conv->kh; i++) {
        const ptrdiff_t down = i * conv->dilation_h - conv->pad_top;
        const ptrdiff_t first = fc_max(t->rows.first, t->first - down), end = fc_min(t->rows.end, t->first + t->count - down);
        for (ptrdiff_t j = 0; j < conv->kw && first < end; j++) {
            const ptrdiff_t shift = j * conv->dilation_w - conv->pad_left, beyond = fc_min(w, fc_max(shift, -shift));
            if (beyond == w) continue;
            char *const z = z_row(s, t, i, j, c, first);
            for (ptrdiff_t r = 0; r < end - first && beyond > 0; r++)
                memset(fc_at_mut(z, r * w + (shift > 0 ? w - beyond : 0), esize), 0, (size_t)(beyond * esize));
            s->products.kernels->frame.add_into(fc_at(z, fc_max(0, -shift), esize), fc_at_mut(dx_row(s, t, c, first + down), fc_max(0, shift), esize),
                                                (end - first) * w - beyond);
        }
    }
}

/* Adds a row of a plane of z, that of column j of the kernel, to a row of dx, or of its columns of one remainder. */
static void add_row(const scattered *s, const piece *t, ptrdiff_t j, const void *z, void *sums) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t stride = conv->stride_w, esize = s->products.esize, shift = j * conv->dilation_w - conv->pad_left;
    const ptrdiff_t remainder = (shift % stride + stride) % stride, at = (shift - remainder) / stride;
    const ptrdiff_t columns = (conv->w - remainder + stride - 1) / stride, from = fc_max(0, -at), count = fc_min(conv->ow, columns - at) - from;
    if (count > 0) s->products.kernels->frame.add_into(fc_at(z, from, esize), fc_at_mut(sums, remainder * t->line + at + from, esize), count);
}

/* out[i * stride + m] = in[m * line + i] */
static void merge(const scattered *s, const void *in, ptrdiff_t line, void *out) {
    const ptrdiff_t stride = s->conv->stride_w, w = s->conv->w;
    for (ptrdiff_t m = 0; m < stride; m++)
        for (ptrdiff_t i = 0, x = m; x < w; i++, x += stride) {
            if (s->conv->dtype == FC_F32) ((float *)out)[x] = ((const float *)in)[m * line + i];
            else ((double *)out)[x] = ((const double *)in)[m * line + i];
        }
}

static void add_rows(const scattered *s, const piece *t, ptrdiff_t c) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t esize = s->products.esize;
    for (ptrdiff_t y = t->first; y < t->first + t->count; y++) {
        void *const row = dx_row(s, t, c, y), *const to = conv->stride_w > 1 ? t->sums : row;
        memset(to, 0, (size_t)((conv->stride_w > 1 ? conv->stride_w * t->line : conv->w) * esize));
        for (ptrdiff_t i = 0; i < conv->kh; i++) {
            const ptrdiff_t at = y + conv->pad_top - i * conv->dilation_h, r = at / conv->stride_h;
            if (at < 0 || at % conv->stride_h || r < t->rows.first || r >= t->rows.end) continue;
            for (ptrdiff_t j = 0; j < conv->kw; j++) add_row(s, t, j, z_row(s, t, i, j, c, r), to);
        }
        if (conv->stride_w > 1) merge(s, to, t->line, row);
    }
}

static void put_rows(const scattered *s, const piece *t, ptrdiff_t c) {
    const fc_conv2d *const conv = s->conv;
    for (ptrdiff_t y = t->first; y < t->first + t->count; y++) {
        void *const row = dx_row(s, t, c, y);
        const ptrdiff_t r = y / conv->stride_h;
        if (y % conv->stride_h || r >= conv->oh) memset(row, 0, (size_t)(conv->w * s->products.esize));
        else s->products.kernels->frame.put_every(z_row(s, t, 0, 0, c, r), conv->stride_w, row, conv->w);
    }
}

static fc_status scatter_task(const void *context, ptrdiff_t task) {
    const scattered *const s = context;
    const fc_conv2d *const conv = s->conv;
    const fc_planes *const p = &s->products;
    const ptrdiff_t esize = p->esize, line = FC_ALIGN / esize;
    piece t = {.n = task / s->bands, .first = task % s->bands * s->band, .line = fc_round_up(fc_ceil_div(conv->w, conv->stride_w), line)};
    t.count = fc_min(s->band, conv->h - t.first), t.rows = rows_of_dy(conv, t.first, t.count);
    const ptrdiff_t pixels = (t.rows.end - t.rows.first) * conv->ow;
    t.ld = fc_round_up(pixels, line) + line;
    t.z = fc_scratch(FC_SLOT_TASK2, (size_t)((p->k * t.ld + conv->stride_w * t.line) * esize));
    if (!t.z) return FC_NO_MEMORY;
    t.sums = fc_at_mut(t.z, p->k * t.ld, esize);
    if (pixels > 0) {
        const fc_panels panels = fc_panels_plan(&p->kernels->gemm, pixels, 1);
        const fc_status status = fc_planes_block(p, t.n, t.rows.first * conv->ow, pixels, &panels, t.z, t.ld);
        if (status != FC_OK) return status;
    }
    for (ptrdiff_t c = 0; c < conv->c; c++) (apart(conv) ? put_rows : by_runs(conv) ? add_planes : add_rows)(s, &t, c);
    return FC_OK;
}

fc_status fc_planes_scattered_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    scattered s = {.conv = conv, .dx = dx};
    fc_planes *const p = &s.products;
    *p = (fc_planes){.kernels = fc_kernels(conv->dtype),
                     .esize = fc_esize(conv->dtype),
                     .n = conv->n,
                     .in = dy,
                     .h = conv->oh,
                     .w = conv->ow,
                     .c = conv->k,
                     .in_planes = conv->k,
                     .oh = conv->oh,
                     .ow = conv->ow,
                     .k = conv->kh * conv->kw * conv->c,
                     .kh = 1,
                     .kw = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .activation = FC_LINEAR,
                     .taps = 1,
                     .depth = conv->k};
    p->matrix = fc_planes_matrix_share(p, conv->k) < 1;
    if (!fc_planes_tables(p, p->k, 0)) return FC_NO_MEMORY;
    for (ptrdiff_t i = 0; i < p->k; i++) p->row[i] = fc_at(w, i * conv->k, p->esize);
    fc_planes_plan(p);
    p->offset[0] = 0;
    const ptrdiff_t threads = fc_get_num_threads(), reach = (conv->kh - 1) * conv->dilation_h / conv->stride_h;
    const ptrdiff_t fit = fc_max(1, Z_BYTES / (p->k * conv->ow * p->esize) - reach) * conv->stride_h, each = fc_ceil_div(conv->n * conv->h, threads);
    s.bands = fc_ceil_div(conv->h, fc_max(1, fc_min(fit, each)));
    s.band = fc_ceil_div(conv->h, s.bands), s.bands = fc_ceil_div(conv->h, s.band);
    const fc_status status = fc_planes_make_parts(p);
    const double macs = (double)(conv->n * conv->oh * conv->ow) * (double)(p->k * conv->k);
    return status != FC_OK ? status : fc_parallel_for(conv->n * s.bands, fc_macs_ns(macs), scatter_task, &s);
}
