/* Convolution of NCHW along its planes: an implicit GEMM in exchanged roles.
 *
 * Rows of the GEMM are output channels, columns are neighbouring pixels of one of their planes: results are stored where they belong,
 * and what a tap reads of an input channel are runs of a plane. Those of a block of pixels are copied into panels
 * [panel][tap * c + channel][nr], which the weights of all output channels pass by. Forward, and input gradient with stride 1, whose
 * weights are read where they are. Planes whose windows reach over them, or whose columns are not taken one by one, are copied first, band
 * by band, with their padding and the columns of each remainder of the stride together. */
#include "conv2d_planes.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    GROUP_BYTES = 256 << 10, /* of panels that are filled at once, from far away or from copies that are close */
    CLOSE_BYTES = 16 << 10,
    MOST_PANELS = 8, /* of a task: runs of planes, long enough for the processor to fetch ahead */
    FEW = 8,        /* output channels: there are better ways for them */
    LEAST_ROWS = 4 /* of copied bands, whose border is copied twice */
};

/* In cycles: to copy a number into a panel, to copy one with its padding, with a stride of 2 and of more, and to transpose one; to transpose a weight,
 * and to make its parts. */
#define COPY 0.22
#define COPY_BAND 0.38
#define COPY_STRIDED 0.8
#define COPY_SINGLY 2.5
#define TURN 0.7
#define WEIGHT 0.5
#define PARTS 1.1

static ptrdiff_t pixels_of(const fc_planes *p) { return p->oh * p->ow; }
static ptrdiff_t terms_of(const fc_planes *p) { return p->taps * p->depth; }

static fc_planes of_conv(const fc_conv2d *conv) {
    return (fc_planes){
        .kernels = fc_kernels(conv->dtype), .esize = fc_esize(conv->dtype), .n = conv->n, .kh = conv->kh, .kw = conv->kw, .activation = FC_LINEAR};
}

static fc_planes forward_of(const fc_conv2d *conv) {
    fc_planes p = of_conv(conv);
    p.h = conv->h, p.w = conv->w, p.c = conv->c / conv->groups, p.in_planes = conv->c;
    p.oh = conv->oh, p.ow = conv->ow, p.k = conv->k / conv->groups, p.out_planes = conv->k;
    p.stride_h = conv->stride_h, p.stride_w = conv->stride_w;
    p.first_y = -conv->pad_top, p.first_x = -conv->pad_left, p.step_y = conv->dilation_h, p.step_x = conv->dilation_w;
    return p;
}

static fc_planes gradient_of(const fc_conv2d *conv) {
    fc_planes p = of_conv(conv);
    p.h = conv->oh, p.w = conv->ow, p.c = conv->k / conv->groups, p.in_planes = conv->k;
    p.oh = conv->h, p.ow = conv->w, p.k = conv->c / conv->groups, p.out_planes = conv->c;
    p.stride_h = 1, p.stride_w = 1;
    p.first_y = conv->pad_top, p.first_x = conv->pad_left, p.step_y = -conv->dilation_h, p.step_x = -conv->dilation_w;
    return p;
}

void fc_planes_plan(fc_planes *p) {
    p->extent_h = (p->kh - 1) * fc_max(p->step_y, -p->step_y) + 1, p->extent_w = (p->kw - 1) * fc_max(p->step_x, -p->step_x) + 1;
    p->min_y = fc_min(p->first_y, p->first_y + (p->kh - 1) * p->step_y), p->min_x = fc_min(p->first_x, p->first_x + (p->kw - 1) * p->step_x);
    const ptrdiff_t height = (p->oh - 1) * p->stride_h + p->extent_h, width = (p->ow - 1) * p->stride_w + p->extent_w;
    p->copy = p->stride_w > 1 || p->min_y < 0 || p->min_x < 0 || p->min_y + height > p->h || p->min_x + width > p->w;

    const fc_gemm_kernels *const gemm = &p->kernels->gemm;
    const ptrdiff_t nr = gemm->panel[gemm->main_panel].nr, pixels = pixels_of(p), threads = fc_get_num_threads();
    const ptrdiff_t least = p->copy ? fc_ceil_div(LEAST_ROWS * p->ow, nr) : 1, each = fc_ceil_div(p->n * pixels, threads * nr);
    p->block = fc_min(pixels, fc_max(1, fc_min(fc_max(MOST_PANELS, least), each)) * nr);
    p->blocks = fc_ceil_div(pixels, p->block);
    p->panels = fc_panels_plan(gemm, p->block);
    p->last = fc_panels_plan(gemm, pixels - (p->blocks - 1) * p->block);
    p->rows = fc_min(p->oh, (p->block - 1 + p->ow - 1) / p->ow + 1);
    p->phase = p->copy ? fc_ceil_div(width, p->stride_w) : p->w;
    p->row_ld = p->copy ? fc_round_up(p->phase, gemm->lanes) * p->stride_w : p->w;
    if (p->copy) p->phase = p->row_ld / p->stride_w;
    p->plane_ld = p->copy ? ((p->rows - 1) * p->stride_h + p->extent_h) * p->row_ld : p->h * p->w;
}

static void find_offsets(const fc_planes *p) {
    for (ptrdiff_t i = 0; i < p->kh; i++)
        for (ptrdiff_t j = 0; j < p->kw; j++) {
            const ptrdiff_t y = p->first_y + i * p->step_y - (p->copy ? p->min_y : 0), x = p->first_x + j * p->step_x - (p->copy ? p->min_x : 0);
            p->offset[i * p->kw + j] = y * p->row_ld + x % p->stride_w * p->phase + x / p->stride_w;
        }
}

/* Whether a row of a band is read: row i of the kernel reads every stride_h-th. */
static int is_read(const fc_planes *p, ptrdiff_t row) {
    const ptrdiff_t step = fc_max(p->step_y, -p->step_y);
    for (ptrdiff_t i = 0; i < p->kh; i++)
        if (row >= i * step && (row - i * step) % p->stride_h == 0) return 1;
    return 0;
}

/* Rows of all planes that output rows first .. first + rows - 1 read, with their padding. With a stride those of a row that are read by taps
 * of the same remainder lie together; `row` has room for one as it is. */
static void copy_band(const fc_planes *p, const void *in, ptrdiff_t first, ptrdiff_t rows, void *row, void *band) {
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

/* Whether rows that are read, and those that are written, follow each other. */
static int together(const fc_planes *p) { return p->row_ld * p->stride_h == p->ow; }

/* Some panels of the same width, side by side, from pixel `first` on, `step` elements apart: plane by plane, so that long runs are read. Of what they
 * read, `in` has the first row of the band that begins with output row `top`. */
static void fill_panels(const fc_planes *p, const void *in, ptrdiff_t top, ptrdiff_t first, ptrdiff_t columns, ptrdiff_t nr, ptrdiff_t step,
                        void *panels) {
    const ptrdiff_t lanes = p->kernels->gemm.lanes;
    ptrdiff_t from[FC_PIECES_MAX], to[FC_PIECES_MAX];
    fc_gather_args args = {.in = in,
                           .plane_ld = p->plane_ld,
                           .planes = p->c,
                           .offset = p->offset,
                           .taps = p->kh * p->kw,
                           .from = from,
                           .to = to,
                           .out = panels,
                           .nr = nr};
    /* Counted on, not divided: divisions take as long as a row of a panel. */
    const int runs_on = together(p);
    ptrdiff_t at = 0, panel = 0, j = first % p->ow, row = (first / p->ow - top) * p->stride_h * p->row_ld;
    for (ptrdiff_t left = columns, run; left > 0; left -= run) {
        run = fc_min(nr - at, left);
        if (!runs_on) run = fc_min(run, p->ow - j);
        for (ptrdiff_t e = 0; e < run; e += lanes, args.pieces++) {
            assert(args.pieces < FC_PIECES_MAX);
            from[args.pieces] = row + j + e, to[args.pieces] = panel + at + e;
            args.rest = fc_min(lanes, run - e);
        }
        at += run, j += run;
        if (at == nr) at = 0, panel += step;
        if (!runs_on && j == p->ow) j = 0, row += p->stride_h * p->row_ld;
    }
    p->kernels->frame.gather(&args);
}

/* The scratch memory of a task: where output channels begin, panels, what is copied, and for the matrix unit parts and sums. */
typedef struct {
    void **out;
    char *panel, *row, *band, *parts;
    float *sums;
} space;

/* Elements from a panel to the next: a vector more than it has. */
static ptrdiff_t panel_step(const fc_planes *p, ptrdiff_t nr) { return fc_round_up(nr * terms_of(p), FC_ALIGN / p->esize) + FC_ALIGN / p->esize; }

/* Panels that are filled at once, as many as stay in the second-level cache, or in the first where no long runs would be read; one on the matrix unit. */
static ptrdiff_t panels_at_once(const fc_planes *p, ptrdiff_t nr) {
    const ptrdiff_t bytes = together(p) ? GROUP_BYTES : CLOSE_BYTES,
                    pieces = FC_PIECES_MAX / (2 * nr / p->kernels->gemm.lanes + (together(p) ? 0 : nr / p->ow + 1));
    return p->matrix ? 1 : fc_max(1, fc_min(fc_min(MOST_PANELS, pieces), bytes / (panel_step(p, nr) * p->esize)));
}

static int make_space(const fc_planes *p, space *s) {
    const ptrdiff_t width = p->kernels->gemm.panel[0].nr, step = panel_step(p, width), out = fc_round_up(p->k * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const ptrdiff_t panel = fc_max(step * p->esize, p->matrix ? 0 : fc_min(MOST_PANELS * step * p->esize, GROUP_BYTES));
    const ptrdiff_t band = p->copy ? fc_round_up((p->c * p->plane_ld + p->row_ld) * p->esize, FC_ALIGN) : 0;
    const ptrdiff_t parts = p->matrix ? fc_matrix_bytes(width, terms_of(p)) : 0;
    const ptrdiff_t sums = p->matrix ? fc_matrix_groups(p->k) * FC_MATRIX_GROUP * FC_MATRIX_GROUP * (ptrdiff_t)sizeof(float) : 0;
    char *const at = fc_scratch(FC_SLOT_TASK, (size_t)(out + panel + band + parts + sums));
    if (!at) return 0;
    s->out = (void **)at, s->panel = at + out, s->row = s->panel + panel, s->band = s->row + p->row_ld * p->esize;
    s->parts = s->row + band, s->sums = (float *)(s->parts + parts);
    return 1;
}

/* On vectors: the pixels that a panel has, all output channels. Meanwhile `next_bytes` of every plane are fetched from `next` on: down the planes, two
 * lines of each with FC_STEPS steps, strip after strip. */
static void run_panel(const fc_planes *p, const space *s, const fc_panel *panel, const void *w, const char *next, ptrdiff_t next_bytes) {
    const ptrdiff_t plane = p->plane_ld * p->esize, strip = 2 * FC_ALIGN, steps = terms_of(p) / FC_STEPS;
    const ptrdiff_t each = next_bytes > 0 && steps > 0 ? fc_ceil_div(p->c, steps) * panel->kernels->mr : p->k; /* output channels beside a strip */
    fc_gemm_args args = {.row_stride = p->k,
                         .taps = p->taps,
                         .depth = p->depth,
                         .w = w,
                         .ldw = panel->kernels->nr,
                         .next_bytes = plane / FC_STEPS,
                         .column = panel->first,
                         .columns = (int)panel->columns,
                         .relu = p->activation == FC_RELU,
                         .fetch = 1};
    for (ptrdiff_t k = 0, count; k < p->k; k += count, next_bytes -= strip) {
        args.next = next_bytes > 0 ? next : NULL, args.next_end = next_bytes > 0 ? next + p->c * plane : NULL;
        count = next_bytes > 0 ? fc_min(each, p->k - k) : p->k - k;
        fc_panel_tiles(panel->kernels->gemm, panel->kernels->mr, &args, p->row + k, s->out + k, count);
        next += strip;
    }
}

/* On the matrix unit: `count` pixels whose terms are ld elements apart. */
static void run_matrix(const fc_planes *p, const space *s, const float *from, ptrdiff_t ld, ptrdiff_t first, ptrdiff_t count) {
    const fc_matrix_kernels *const kernels = p->kernels->matrix;
    const ptrdiff_t steps = fc_matrix_steps(terms_of(p));
    kernels->right(from, ld, terms_of(p), count, steps, s->parts);
    const fc_matrix_finish_args finish = {.row_bias = p->bias, .out = s->out, .column = first, .relu = p->activation == FC_RELU};
    const fc_matrix_job job = {.left = p->left,
                               .right = s->parts,
                               .rows = p->k,
                               .columns = count,
                               .steps = steps,
                               .sums = s->sums,
                               .row_group = FC_MATRIX_GROUP * FC_MATRIX_GROUP,
                               .finish = &finish};
    fc_matrix_multiply(kernels, &job, NULL);
}

/* Panels index, index + 1, ... of the same width: how many are filled at once. */
static ptrdiff_t alike(const fc_planes *p, const fc_panels *panels, ptrdiff_t index) {
    const ptrdiff_t nr = fc_panels_get(panels, index).kernels->nr, end = fc_min(fc_panels_count(panels), index + panels_at_once(p, nr));
    ptrdiff_t i = index + 1;
    while (i < end && fc_panels_get(panels, i).kernels->nr == nr) i++;
    return i - index;
}

fc_status fc_planes_block(const fc_planes *p, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t pixels, const fc_panels *panels, void *out, ptrdiff_t out_ld) {
    const ptrdiff_t top = begin / p->ow, rows = (begin + pixels - 1) / p->ow - top + 1, esize = p->esize;
    const ptrdiff_t lead = terms_of(p) - p->kh * p->kw * p->c; /* rows of ones for the bias */
    const int in_place = !p->copy && p->kh * p->kw == 1 && together(p), as_it_lies = p->matrix && in_place;
    const void *const image = fc_at(p->in, n * p->in_planes * p->h * p->w, esize), *source = fc_at(image, top * p->stride_h * p->w, esize);
    space s;
    if (!make_space(p, &s)) return FC_NO_MEMORY;
    for (ptrdiff_t k = 0; k < p->k; k++) s.out[k] = fc_at_mut(out, k * out_ld, esize);
    if (p->copy) {
        copy_band(p, image, top, rows, s.row, s.band);
        source = s.band;
    }
    if (p->matrix) p->kernels->matrix->begin();
    for (ptrdiff_t i = 0, count; i < fc_panels_count(panels); i += count) {
        const fc_panel first = fc_panels_get(panels, i);
        const ptrdiff_t nr = first.kernels->nr, step = panel_step(p, nr), bytes = nr * esize;
        count = alike(p, panels, i);
        const ptrdiff_t columns = fc_min(count * nr, pixels - first.first);
        for (ptrdiff_t j = 0; j < count && lead; j++) memcpy(fc_at_mut(s.panel, j * step, esize), p->ones, (size_t)bytes);
        if (!as_it_lies) fill_panels(p, source, top, begin + first.first, columns, nr, step, fc_at_mut(s.panel, lead * nr, esize));
        for (ptrdiff_t j = 0; j < count; j++) {
            const fc_panel panel = fc_panels_get(panels, i + j);
            const float *const pixel = (const float *)image + p->offset[0] + begin + panel.first;
            if (as_it_lies) run_matrix(p, &s, pixel, p->plane_ld, panel.first, panel.columns);
            else if (p->matrix) run_matrix(p, &s, (const float *)s.panel, nr, panel.first, panel.columns);
            else {
                /* What will be in this panel's place, in whole strips. */
                const ptrdiff_t ahead = p->offset[0] + begin + panel.first + count * nr, share = bytes >= 2 * FC_ALIGN ? bytes
                                                                                                 : j % 2               ? 0
                                                                                                                       : 2 * FC_ALIGN;
                const int more = in_place && ahead < p->offset[0] + pixels_of(p);
                run_panel(p, &s, &panel, fc_at(s.panel, j * step, esize), fc_at(image, ahead, esize), more ? share : 0);
            }
        }
    }
    if (p->matrix) p->kernels->matrix->end();
    for (ptrdiff_t k = 0; k < p->k && p->activation != FC_LINEAR && p->activation != FC_RELU; k++)
        p->kernels->elementwise.activation[p->activation](s.out[k], s.out[k], pixels);
    return FC_OK;
}

static fc_status planes_task(const void *context, ptrdiff_t task) {
    const fc_planes *const p = context;
    const ptrdiff_t n = task / p->blocks, begin = task % p->blocks * p->block, pixels = fc_min(p->block, pixels_of(p) - begin);
    const fc_panels *const panels = begin + p->block < pixels_of(p) ? &p->panels : &p->last;
    return fc_planes_block(p, n, begin, pixels, panels, fc_at_mut(p->out, n * p->out_planes * pixels_of(p) + begin, p->esize), pixels_of(p));
}

/* The parts of a group of output channels' weights. */
static fc_status left_task(const void *context, ptrdiff_t group) {
    const fc_planes *const p = context;
    const ptrdiff_t first = group * FC_MATRIX_GROUP, steps = fc_matrix_steps(terms_of(p));
    fc_matrix_left left = {.rows = (const float *const *)p->row + first,
                           .count = fc_min(FC_MATRIX_GROUP, p->k - first),
                           .steps = steps,
                           .piece = p->pieces.piece,
                           .first = p->pieces.first,
                           .whole = p->pieces.whole,
                           .out = p->left + group * steps * FC_MATRIX_STEP};
    p->kernels->matrix->left(&left);
    return FC_OK;
}

double fc_planes_matrix_share(const fc_planes *p, ptrdiff_t terms) {
    enum { FEW_TERMS = 24, MOST_ROWS = 64 * FC_MATRIX_GROUP };
    if (!p->kernels->matrix || terms < FEW_TERMS || p->k < FEW_TERMS || p->k > MOST_ROWS || fc_matrix_bytes(p->k, terms) > fc_l2_bytes() / 2)
        return 1;
    const double steps = (double)fc_matrix_steps(terms), k = (double)p->k, rows = (double)fc_ceil_div(p->k, FC_MATRIX_SIDE);
    const double matrix = steps * (rows * FC_MATRIX_PRODUCT_CYCLES + FC_MATRIX_SIDE * FC_MATRIX_RIGHT_CYCLES) + k * FC_MATRIX_SUMS_CYCLES(steps);
    return fmin(1, 1.05 * matrix * 28 / (FC_MATRIX_SIDE * k * (double)terms));
}

/* Of multiply-adds, about: whether this takes less than transposing before and after what takes `share` of the time of vectors. */
static int pays(const fc_conv2d *conv, const fc_planes *p) {
    if (conv->layout != FC_NCHW || conv->n == 0 || conv->algorithm == FC_WINOGRAD || p->k < FEW) return 0;
    const fc_gemm_kernels *const gemm = &p->kernels->gemm;
    const fc_panels pixels = fc_panels_plan(gemm, pixels_of(p)), channels = fc_panels_plan(gemm, p->k);
    const ptrdiff_t taps = p->kh * p->kw;
    const double terms = (double)(taps * p->c), k = (double)p->k, size = (double)pixels_of(p);
    const double share = fc_igemm_matrix_share(conv->dtype, p->n * pixels_of(p), taps, p->c, p->k, conv->groups, 0);
    const double read = (double)p->c * (double)(p->h * p->w) / size, matrix = fc_planes_matrix_share(p, taps * p->c);
    const double prepared = terms * k / ((double)p->n * size) * (matrix < 1 ? PARTS : WEIGHT);
    const double copied = taps > 1 || p->stride_h > 1 ? terms * COPY + read * (p->stride_w > 2   ? COPY_SINGLY
                                                                               : p->stride_w > 1 ? COPY_STRIDED
                                                                                                 : COPY_BAND)
                          : matrix < 1                ? 0
                                                      : terms * COPY;
    const double cycle = 2 * (double)gemm->lanes, along = terms * matrix * (double)fc_panels_cost(&pixels) / size * k + (copied + prepared) * cycle;
    return along < share * terms * (double)fc_panels_cost(&channels) + TURN * (read + k) * cycle;
}

int fc_planes_forward_pays(const fc_conv2d *conv) {
    const fc_planes p = forward_of(conv);
    return pays(conv, &p);
}

int fc_planes_backward_input_pays(const fc_conv2d *conv) {
    const fc_planes p = gradient_of(conv);
    return conv->stride_h == 1 && conv->stride_w == 1 && pays(conv, &p);
}

int fc_planes_backward_weights_pays(const fc_conv2d *conv) {
    const ptrdiff_t c = conv->c / conv->groups, k = conv->k / conv->groups;
    if (conv->layout != FC_NCHW || conv->algorithm == FC_WINOGRAD || k < FEW) return 0;
    const fc_panels channels = fc_panels_plan(&fc_kernels(conv->dtype)->gemm, k);
    const double pixel = (double)(conv->kh * conv->kw * c) * (double)fc_panels_cost(&channels);
    fc_conv2d nhwc = *conv;
    nhwc.layout = FC_NHWC;
    const double cycle = 2 * (double)fc_kernels(conv->dtype)->gemm.lanes;
    return fc_wgrad_share(conv) < 1 ||
           (1 - fc_wgrad_share(&nhwc)) * pixel < TURN * cycle * (double)c * (double)(conv->h * conv->w) / (double)(conv->oh * conv->ow);
}

char *fc_planes_tables(fc_planes *p, ptrdiff_t rows, ptrdiff_t more) {
    const ptrdiff_t taps = p->kh * p->kw, tables = fc_round_up(rows * (ptrdiff_t)sizeof(void *) + taps * (ptrdiff_t)sizeof(ptrdiff_t), FC_ALIGN);
    const fc_matrix_terms terms = {.runs = p->taps, .length = p->depth, .source = p->k};
    const ptrdiff_t pieces = p->matrix ? (ptrdiff_t)fc_matrix_pieces_bytes(&terms) : 0, behind = fc_round_up(more, FC_ALIGN);
    const ptrdiff_t left = p->matrix ? fc_matrix_bytes(p->k, terms_of(p)) : 0;
    char *const space = fc_scratch(FC_SLOT_CALL, (size_t)(tables + behind + pieces + left));
    if (!space) return NULL;
    p->row = (const void **)space, p->offset = (ptrdiff_t *)(space + rows * (ptrdiff_t)sizeof(void *));
    if (p->matrix) p->pieces = fc_matrix_cut(&terms, space + tables + behind), p->left = space + tables + behind + pieces;
    return space + tables;
}

fc_status fc_planes_make_parts(fc_planes *p) {
    return p->matrix ? fc_parallel_for(fc_matrix_groups(p->k), 0.2 * (double)(p->k * terms_of(p)), left_task, p) : FC_OK;
}

static fc_status run(fc_planes *p) {
    fc_planes_plan(p);
    find_offsets(p);
    const double macs = (double)p->n * (double)pixels_of(p) * (double)p->k * (double)terms_of(p);
    const fc_status status = fc_planes_make_parts(p);
    return status != FC_OK ? status : fc_parallel_for(p->n * p->blocks, fc_macs_ns(macs), planes_task, p);
}

static void put_ones(fc_dtype dtype, void *to, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (dtype == FC_F32) ((float *)to)[i] = 1;
        else ((double *)to)[i] = 1;
}

/* One group, whose first channels of x and y these arrays begin with. */
static fc_status forward_group(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    fc_planes p = forward_of(conv);
    const ptrdiff_t terms = conv->kh * conv->kw * p.c, nr = p.kernels->gemm.panel[0].nr;
    p.in = x, p.out = y, p.activation = conv->activation;
    p.matrix = fc_planes_matrix_share(&p, terms) < 1;
    /* Vectors begin with the bias times 1. */
    const ptrdiff_t lead = bias && !p.matrix;
    if (p.matrix) p.bias = bias;
    p.taps = 1, p.depth = lead + terms;
    char *const ones = fc_planes_tables(&p, p.k, (nr + p.k * p.depth) * p.esize);
    if (!ones) return FC_NO_MEMORY;
    char *const rows = fc_at_mut(ones, nr, p.esize);
    put_ones(conv->dtype, ones, nr);
    p.ones = ones;
    for (ptrdiff_t k = 0; k < p.k; k++) {
        void *const row = fc_at_mut(rows, k * p.depth, p.esize);
        if (lead) memcpy(row, fc_at(bias, k, p.esize), (size_t)p.esize);
        p.row[k] = row;
    }
    p.kernels->frame.transpose(w, conv->k, fc_at_mut(rows, lead, p.esize), p.depth, terms, p.k);
    return run(&p);
}

static fc_status backward_input_group(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    fc_planes p = gradient_of(conv);
    p.in = dy, p.out = dx;
    p.taps = conv->kh * conv->kw, p.depth = p.c;
    p.matrix = fc_planes_matrix_share(&p, terms_of(&p)) < 1;
    if (!fc_planes_tables(&p, p.taps * p.k, 0)) return FC_NO_MEMORY;
    for (ptrdiff_t i = 0; i < p.taps * p.k; i++) p.row[i] = fc_at(w, i * conv->k, p.esize);
    return run(&p);
}

fc_status fc_planes_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    const ptrdiff_t esize = fc_esize(conv->dtype), c = conv->c / conv->groups * conv->h * conv->w, k = conv->k / conv->groups;
    fc_status status = FC_OK;
    for (ptrdiff_t g = 0; g < conv->groups && status == FC_OK; g++)
        status = forward_group(conv, fc_at(x, g * c, esize), fc_at(w, g * k, esize), bias ? fc_at(bias, g * k, esize) : NULL,
                               fc_at_mut(y, g * k * conv->oh * conv->ow, esize));
    return status;
}

fc_status fc_planes_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    const ptrdiff_t esize = fc_esize(conv->dtype), c = conv->c / conv->groups * conv->h * conv->w, k = conv->k / conv->groups;
    fc_status status = FC_OK;
    for (ptrdiff_t g = 0; g < conv->groups && status == FC_OK; g++)
        status = backward_input_group(conv, fc_at(dy, g * k * conv->oh * conv->ow, esize), fc_at(w, g * k, esize), fc_at_mut(dx, g * c, esize));
    return status;
}

typedef struct {
    const fc_conv2d *conv;
    const void *dy;
    void *db;
} planes_sum;

static fc_status sum_task(const void *context, ptrdiff_t k) {
    const planes_sum *const s = context;
    const ptrdiff_t esize = fc_esize(s->conv->dtype), pixels = s->conv->oh * s->conv->ow;
    memset(fc_at_mut(s->db, k, esize), 0, (size_t)esize);
    for (ptrdiff_t n = 0; n < s->conv->n; n++)
        fc_kernels(s->conv->dtype)->frame.add_sum(fc_at(s->dy, (n * s->conv->k + k) * pixels, esize), pixels, fc_at_mut(s->db, k, esize));
    return FC_OK;
}

fc_status fc_planes_sum(const fc_conv2d *conv, const void *dy, void *db) {
    const planes_sum s = {conv, dy, db};
    return fc_parallel_for(conv->k, 0.1 * (double)(conv->n * conv->oh * conv->ow * conv->k), sum_task, &s);
}
