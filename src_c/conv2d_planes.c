/* Convolution of NCHW along its planes: an implicit GEMM in exchanged roles.
 *
 * Rows of the GEMM are output channels, columns are neighbouring pixels of one of their planes: results are stored where they belong,
 * and what a tap reads of an input channel are runs of a plane. Those of a block of pixels are copied into panels
 * [panel][tap * c + channel][nr], which the weights of all output channels pass by. Forward, and input gradient with stride 1, whose
 * weights are read where they are. Planes whose windows reach over them, or whose columns are not taken one by one, are copied first, band
 * by band, with their padding and the columns of each remainder of the stride together. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

enum {
    BLOCK_BYTES = 256 << 10, /* of panels, about: they stay in the second-level cache */
    MOST_PANELS = 4,
    FEW = 8,        /* output channels: there are better ways for them */
    LEAST_ROWS = 4 /* of copied bands, whose border is copied twice */
};

/* In multiply-adds: to copy a number into a panel, and to transpose one. */
#define COPY 5.0
#define TURN 22.0

typedef struct {
    const fc_ukernels *kernels;
    ptrdiff_t esize, n;
    const void *in;
    ptrdiff_t h, w, c; /* of planes that are read */
    void *out;
    ptrdiff_t oh, ow, k; /* of planes that are written */
    ptrdiff_t kh, kw, stride_h, stride_w;
    ptrdiff_t first_y, first_x, step_y, step_x; /* tap (i, j) of output pixel (0, 0) reads (first_y + i * step_y, first_x + j * step_x) */
    ptrdiff_t min_y, min_x, extent_h, extent_w; /* what the taps of a pixel cover */
    fc_activation activation;

    const void **row; /* [tap][k], or [k] where a row has all taps */
    ptrdiff_t taps, depth;
    const void *ones; /* that a panel begins with where rows begin with the bias */

    int copy;
    ptrdiff_t row_ld, plane_ld, phase; /* of what panels are copied from; columns of a remainder of the stride */
    ptrdiff_t *offset;                 /* [kh * kw]: from a pixel's place there */
    ptrdiff_t block, blocks, rows;     /* pixels of a task; tasks of an image; output rows that one touches */
    fc_panels panels, last;            /* of a block, and of the last one */
} planes;

static ptrdiff_t pixels_of(const planes *p) { return p->oh * p->ow; }
static ptrdiff_t terms_of(const planes *p) { return p->taps * p->depth; }

static planes of_conv(const fc_conv2d *conv) {
    return (planes){
        .kernels = fc_kernels(conv->dtype), .esize = fc_esize(conv->dtype), .n = conv->n, .kh = conv->kh, .kw = conv->kw, .activation = FC_LINEAR};
}

static planes forward_of(const fc_conv2d *conv) {
    planes p = of_conv(conv);
    p.h = conv->h, p.w = conv->w, p.c = conv->c, p.oh = conv->oh, p.ow = conv->ow, p.k = conv->k;
    p.stride_h = conv->stride_h, p.stride_w = conv->stride_w;
    p.first_y = -conv->pad_top, p.first_x = -conv->pad_left, p.step_y = conv->dilation_h, p.step_x = conv->dilation_w;
    return p;
}

static planes gradient_of(const fc_conv2d *conv) {
    planes p = of_conv(conv);
    p.h = conv->oh, p.w = conv->ow, p.c = conv->k, p.oh = conv->h, p.ow = conv->w, p.k = conv->c;
    p.stride_h = 1, p.stride_w = 1;
    p.first_y = conv->pad_top, p.first_x = conv->pad_left, p.step_y = -conv->dilation_h, p.step_x = -conv->dilation_w;
    return p;
}

/* What follows from the sizes. */
static void plan(planes *p) {
    p->extent_h = (p->kh - 1) * fc_max(p->step_y, -p->step_y) + 1, p->extent_w = (p->kw - 1) * fc_max(p->step_x, -p->step_x) + 1;
    p->min_y = fc_min(p->first_y, p->first_y + (p->kh - 1) * p->step_y), p->min_x = fc_min(p->first_x, p->first_x + (p->kw - 1) * p->step_x);
    const ptrdiff_t height = (p->oh - 1) * p->stride_h + p->extent_h, width = (p->ow - 1) * p->stride_w + p->extent_w;
    p->copy = p->stride_w > 1 || p->min_y < 0 || p->min_x < 0 || p->min_y + height > p->h || p->min_x + width > p->w;

    const fc_gemm_kernels *const gemm = &p->kernels->gemm;
    const ptrdiff_t nr = gemm->panel[gemm->main_panel].nr, pixels = pixels_of(p), threads = fc_get_num_threads();
    const ptrdiff_t fit = fc_max(1, fc_min(MOST_PANELS, BLOCK_BYTES / (terms_of(p) * nr * p->esize)));
    const ptrdiff_t least = p->copy ? fc_ceil_div(LEAST_ROWS * p->ow, nr) : 1, each = fc_ceil_div(p->n * pixels, threads * nr);
    p->block = fc_min(pixels, fc_max(1, fc_min(fc_max(fit, least), each)) * nr);
    p->blocks = fc_ceil_div(pixels, p->block);
    p->panels = fc_panels_plan(gemm, p->block);
    p->last = fc_panels_plan(gemm, pixels - (p->blocks - 1) * p->block);
    p->rows = fc_min(p->oh, (p->block - 1 + p->ow - 1) / p->ow + 1);
    p->phase = p->copy ? fc_ceil_div(width, p->stride_w) : p->w;
    p->row_ld = p->copy ? fc_round_up(p->phase, gemm->lanes) * p->stride_w : p->w;
    if (p->copy) p->phase = p->row_ld / p->stride_w;
    p->plane_ld = p->copy ? ((p->rows - 1) * p->stride_h + p->extent_h) * p->row_ld : p->h * p->w;
}

static void find_offsets(const planes *p) {
    for (ptrdiff_t i = 0; i < p->kh; i++)
        for (ptrdiff_t j = 0; j < p->kw; j++) {
            const ptrdiff_t y = p->first_y + i * p->step_y - (p->copy ? p->min_y : 0), x = p->first_x + j * p->step_x - (p->copy ? p->min_x : 0);
            p->offset[i * p->kw + j] = y * p->row_ld + x % p->stride_w * p->phase + x / p->stride_w;
        }
}

/* Whether a row of a band is read: row i of the kernel reads every stride_h-th. */
static int is_read(const planes *p, ptrdiff_t row) {
    const ptrdiff_t step = fc_max(p->step_y, -p->step_y);
    for (ptrdiff_t i = 0; i < p->kh; i++)
        if (row >= i * step && (row - i * step) % p->stride_h == 0) return 1;
    return 0;
}

/* Rows of all planes that output rows first .. first + rows - 1 read, with their padding. With a stride those of a row that are read by taps
 * of the same remainder lie together; `row` has room for one as it is. */
static void copy_band(const planes *p, const void *in, ptrdiff_t first, ptrdiff_t rows, void *row, void *band) {
    const fc_frame_kernels *const frame = &p->kernels->frame;
    const ptrdiff_t begin = first * p->stride_h + p->min_y, count = (rows - 1) * p->stride_h + p->extent_h;
    const ptrdiff_t remainders = p->kw == 1 ? 1 : p->stride_w;
    for (ptrdiff_t r = 0; r < count; r++) {
        const ptrdiff_t y = begin + r;
        if (p->stride_h > 1 && !is_read(p, r)) continue;
        for (ptrdiff_t c = 0; c < p->c; c++) {
            const void *const from = y >= 0 && y < p->h ? fc_at(in, (c * p->h + y) * p->w, p->esize) : NULL;
            char *const to = fc_at_mut(band, c * p->plane_ld + r * p->row_ld, p->esize);
            if (p->stride_w == 1) {
                fc_copy_padded_row(frame, from, p->w, 1, p->min_x, 1, to, p->row_ld, 1, p->esize);
                continue;
            }
            fc_copy_padded_row(frame, from, p->w, 1, p->min_x, 1, row, p->row_ld, 1, p->esize);
            for (ptrdiff_t m = 0; m < remainders; m++)
                frame->take_every(fc_at(row, m, p->esize), p->stride_w, fc_at_mut(to, m * p->phase, p->esize), p->phase);
        }
    }
}

/* The panel of pixels first .. first + columns - 1; of what they read, `in` has the first row of the band that begins with output row `top`. */
static void fill_panel(const planes *p, const void *in, ptrdiff_t top, ptrdiff_t first, ptrdiff_t columns, ptrdiff_t nr, void *panel) {
    const int together = p->row_ld * p->stride_h == p->ow; /* rows follow each other in both */
    ptrdiff_t from[FC_RUNS_MAX], count[FC_RUNS_MAX], runs = 0;
    for (ptrdiff_t done = 0; done < columns; done += count[runs++]) {
        const ptrdiff_t i = (first + done) / p->ow, j = (first + done) % p->ow;
        assert(runs < FC_RUNS_MAX);
        from[runs] = (i - top) * p->stride_h * p->row_ld + j;
        count[runs] = together ? columns : fc_min(p->ow - j, columns - done);
    }
    p->kernels->frame.gather_runs(&(fc_runs_args){in, p->plane_ld, p->c, p->offset, p->kh * p->kw, from, count, runs, panel, nr});
}

static fc_status planes_task(const void *context, ptrdiff_t task) {
    const planes *const p = context;
    const ptrdiff_t n = task / p->blocks, begin = task % p->blocks * p->block, pixels = fc_min(p->block, pixels_of(p) - begin);
    const ptrdiff_t top = begin / p->ow, rows = (begin + pixels - 1) / p->ow - top + 1, esize = p->esize;
    const fc_panels *const panels = begin + p->block < pixels_of(p) ? &p->panels : &p->last;
    const ptrdiff_t lead = terms_of(p) - p->kh * p->kw * p->c; /* rows of ones for the bias */
    const size_t out_bytes = (size_t)fc_round_up(p->k * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const size_t panel_bytes = (size_t)fc_round_up(fc_panels_width(panels) * terms_of(p) * esize, FC_ALIGN);
    const size_t band_bytes = p->copy ? (size_t)((p->c * p->plane_ld + p->row_ld) * esize) : 0;
    char *const space = fc_scratch(FC_SLOT_TASK, out_bytes + panel_bytes + band_bytes);
    if (!space) return FC_NO_MEMORY;
    void **const out = (void **)space;
    const void *source = fc_at(p->in, n * p->c * p->h * p->w + (top * p->stride_h * p->w), esize);
    if (p->copy) {
        char *const row = space + out_bytes + panel_bytes, *const band = row + p->row_ld * esize;
        copy_band(p, fc_at(p->in, n * p->c * p->h * p->w, esize), top, rows, row, band);
        source = band;
    }
    fc_gemm_args args = {.row_stride = p->k, .taps = p->taps, .depth = p->depth, .relu = p->activation == FC_RELU, .fetch = 1};
    for (ptrdiff_t k = 0; k < p->k; k++) out[k] = fc_at_mut(p->out, (n * p->k + k) * pixels_of(p) + begin, esize);
    for (ptrdiff_t i = 0; i < fc_panels_count(panels); i++) {
        const fc_panel panel = fc_panels_get(panels, i);
        const ptrdiff_t nr = panel.kernels->nr;
        char *const to = fc_at_mut(space + out_bytes, panel.first * terms_of(p), esize);
        if (lead) memcpy(to, p->ones, (size_t)(nr * esize));
        fill_panel(p, source, top, begin + panel.first, panel.columns, nr, fc_at_mut(to, lead * nr, esize));
        args.w = to, args.ldw = nr, args.column = panel.first, args.columns = (int)panel.columns;
        fc_panel_tiles(panel.kernels->gemm, panel.kernels->mr, &args, p->row, out, p->k);
        if (p->activation == FC_LINEAR || p->activation == FC_RELU) continue;
        for (ptrdiff_t k = 0; k < p->k; k++) {
            void *const y = fc_at_mut(out[k], panel.first, esize);
            p->kernels->elementwise.activation[p->activation](y, y, panel.columns);
        }
    }
    return FC_OK;
}

/* Of multiply-adds, about: whether this takes less than transposing before and after what takes `share` of the time of vectors. */
static int pays(const fc_conv2d *conv, planes p) {
    if (conv->layout != FC_NCHW || conv->groups > 1 || conv->algorithm == FC_WINOGRAD || p.k < FEW) return 0;
    p.taps = p.kh * p.kw, p.depth = p.c;
    const fc_gemm_kernels *const gemm = &p.kernels->gemm;
    const fc_panels pixels = fc_panels_plan(gemm, pixels_of(&p)), channels = fc_panels_plan(gemm, p.k);
    const double terms = (double)terms_of(&p), k = (double)p.k, size = (double)pixels_of(&p);
    const double share = fc_igemm_matrix_share(conv->dtype, p.n * pixels_of(&p), p.taps, p.depth, p.k, 1, 0);
    const double along = terms * ((double)fc_panels_cost(&pixels) / size * k + COPY);
    return along < share * terms * (double)fc_panels_cost(&channels) + TURN * ((double)p.c * (double)(p.h * p.w) / size + k);
}

int fc_planes_forward_pays(const fc_conv2d *conv) { return pays(conv, forward_of(conv)); }

int fc_planes_backward_input_pays(const fc_conv2d *conv) { return conv->stride_h == 1 && conv->stride_w == 1 && pays(conv, gradient_of(conv)); }

int fc_planes_backward_weights_pays(const fc_conv2d *conv) {
    if (conv->layout != FC_NCHW || conv->groups > 1 || conv->algorithm == FC_WINOGRAD || conv->k < FEW) return 0;
    const fc_panels channels = fc_panels_plan(&fc_kernels(conv->dtype)->gemm, conv->k);
    const double pixel = (double)(conv->kh * conv->kw * conv->c) * (double)fc_panels_cost(&channels);
    fc_conv2d nhwc = *conv;
    nhwc.layout = FC_NHWC;
    return (1 - fc_wgrad_share(&nhwc)) * pixel < TURN * (double)conv->c * (double)(conv->h * conv->w) / (double)(conv->oh * conv->ow);
}

static fc_status run(planes *p) {
    plan(p);
    find_offsets(p);
    const double macs = (double)p->n * (double)pixels_of(p) * (double)p->k * (double)terms_of(p);
    return fc_parallel_for(p->n * p->blocks, fc_macs_ns(macs), planes_task, p);
}

static void put_ones(fc_dtype dtype, void *to, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (dtype == FC_F32) ((float *)to)[i] = 1;
        else ((double *)to)[i] = 1;
}

fc_status fc_planes_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    planes p = forward_of(conv);
    const ptrdiff_t lead = bias != NULL, terms = conv->kh * conv->kw * conv->c, nr = p.kernels->gemm.panel[0].nr;
    p.in = x, p.out = y, p.activation = conv->activation;
    p.taps = 1, p.depth = lead + terms;
    const ptrdiff_t tables = fc_round_up(conv->k * (ptrdiff_t)sizeof(void *) + conv->kh * conv->kw * (ptrdiff_t)sizeof(ptrdiff_t), FC_ALIGN);
    char *const space = fc_scratch(FC_SLOT_CALL, (size_t)(tables + (nr + conv->k * p.depth) * p.esize));
    if (!space) return FC_NO_MEMORY;
    char *const ones = space + tables, *const rows = fc_at_mut(ones, nr, p.esize);
    p.row = (const void **)space, p.offset = (ptrdiff_t *)(space + conv->k * (ptrdiff_t)sizeof(void *)), p.ones = ones;
    put_ones(conv->dtype, ones, nr);
    for (ptrdiff_t k = 0; k < conv->k; k++) {
        void *const row = fc_at_mut(rows, k * p.depth, p.esize);
        if (lead) memcpy(row, fc_at(bias, k, p.esize), (size_t)p.esize);
        p.row[k] = row;
    }
    p.kernels->frame.transpose(w, conv->k, fc_at_mut(rows, lead, p.esize), p.depth, terms, conv->k);
    return run(&p);
}

fc_status fc_planes_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    planes p = gradient_of(conv);
    p.in = dy, p.out = dx;
    p.taps = conv->kh * conv->kw, p.depth = conv->k;
    const ptrdiff_t rows = p.taps * conv->c;
    char *const space = fc_scratch(FC_SLOT_CALL, (size_t)(rows * (ptrdiff_t)sizeof(void *) + p.taps * (ptrdiff_t)sizeof(ptrdiff_t)));
    if (!space) return FC_NO_MEMORY;
    p.row = (const void **)space, p.offset = (ptrdiff_t *)(space + rows * (ptrdiff_t)sizeof(void *));
    for (ptrdiff_t i = 0; i < rows; i++) p.row[i] = fc_at(w, i * conv->k, p.esize);
    return run(&p);
}
