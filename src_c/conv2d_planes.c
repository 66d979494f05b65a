/* Convolution of NCHW along its planes: an implicit GEMM in exchanged roles.
 *
 * Rows of the GEMM are output channels, columns are neighbouring pixels of one of their planes: results are stored where they belong,
 * and what a tap reads of an input channel are runs of a plane. Those of a block of pixels are copied into panels
 * [panel][tap * c + channel][nr], which the weights of all output channels pass by. Forward, and input gradient with stride 1, whose
 * weights are read where they are. Planes whose windows reach over them, or whose columns are not taken one by one, are copied first, band
 * by band, with their padding and the columns of each remainder of the stride together. */
#include "conv2d_planes.h"

#include <math.h>
#include <string.h>

enum {
    FEW = 8,       /* output channels: there are better ways for them */
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
    const ptrdiff_t nr = gemm->panel[gemm->main_panel].nr, pixels = fc_planes_pixels(p), threads = fc_get_num_threads();
    const ptrdiff_t least = p->copy ? fc_ceil_div(LEAST_ROWS * p->ow, nr) : 1, each = fc_ceil_div(p->n * pixels, threads * nr);
    p->block = fc_min(pixels, fc_max(1, fc_min(fc_max(FC_PLANES_PANELS, least), each)) * nr);
    p->blocks = fc_ceil_div(pixels, p->block);
    p->panels = fc_panels_plan(gemm, p->block, 1);
    p->last = fc_panels_plan(gemm, pixels - (p->blocks - 1) * p->block, 1);
    p->rows = fc_min(p->oh, (p->block - 1 + p->ow - 1) / p->ow + 1);
    /* Single pixels are copied side by side. */
    const int single = p->kh * p->kw == 1;
    p->phase = !p->copy ? p->w : single ? p->ow : fc_round_up(fc_ceil_div(width, p->stride_w), gemm->lanes);
    p->row_ld = p->copy && !single ? p->phase * p->stride_w : p->phase;
    p->step_ld = p->copy && single ? p->row_ld : p->stride_h * p->row_ld;
    p->plane_ld = p->copy ? (p->rows - 1) * p->step_ld + p->extent_h * p->row_ld : p->h * p->w;
}

static void find_offsets(const fc_planes *p) {
    for (ptrdiff_t i = 0; i < p->kh; i++)
        for (ptrdiff_t j = 0; j < p->kw; j++) {
            const ptrdiff_t y = p->first_y + i * p->step_y - (p->copy ? p->min_y : 0), x = p->first_x + j * p->step_x - (p->copy ? p->min_x : 0);
            p->offset[i * p->kw + j] = y * p->row_ld + x % p->stride_w * p->phase + x / p->stride_w;
        }
}

static fc_status planes_task(const void *context, ptrdiff_t task) {
    const fc_planes *const p = context;
    const ptrdiff_t n = task / p->blocks, begin = task % p->blocks * p->block, pixels = fc_min(p->block, fc_planes_pixels(p) - begin);
    const fc_panels *const panels = begin + p->block < fc_planes_pixels(p) ? &p->panels : &p->last;
    return fc_planes_block(p, n, begin, pixels, panels, fc_at_mut(p->out, n * p->out_planes * fc_planes_pixels(p) + begin, p->esize),
                           fc_planes_pixels(p));
}

/* The parts of a group of output channels' weights. */
static fc_status left_task(const void *context, ptrdiff_t group) {
    const fc_planes *const p = context;
    const ptrdiff_t first = group * FC_MATRIX_GROUP, steps = fc_matrix_steps(fc_planes_terms(p));
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
static int pays(const fc_conv2d *conv, const fc_planes *p, int gradient) {
    if (conv->layout != FC_NCHW || conv->n == 0 || conv->algorithm == FC_WINOGRAD || p->k < FEW) return 0;
    const fc_gemm_kernels *const gemm = &p->kernels->gemm;
    const fc_panels pixels = fc_panels_plan(gemm, fc_planes_pixels(p), 1);
    const double channels = fc_igemm_cost(conv, gradient);
    const ptrdiff_t taps = p->kh * p->kw;
    const double terms = (double)(taps * p->c), k = (double)p->k, size = (double)fc_planes_pixels(p);
    const double share = fc_igemm_matrix_share(conv->dtype, p->n * fc_planes_pixels(p), taps, p->c, p->k, conv->groups, 0);
    const double read = (double)p->c * (double)(p->h * p->w) / size, matrix = fc_planes_matrix_share(p, taps * p->c);
    const double prepared = terms * k / ((double)p->n * size) * (matrix < 1 ? PARTS : WEIGHT);
    const double band = p->stride_w > 2 ? COPY_SINGLY : p->stride_w > 1 ? COPY_STRIDED : COPY_BAND;
    /* Single pixels need no panel on the matrix unit; side by side they need no band. */
    const int single = taps == 1, in_place = single && p->stride_h == 1;
    const double copied = (single && matrix < 1 ? 0 : terms * COPY) + (in_place ? 0 : read / (single ? (double)p->stride_h : 1) * band);
    const double cycle = 2 * (double)gemm->lanes, along = terms * matrix * (double)fc_panels_cost(&pixels) / size * k + (copied + prepared) * cycle;
    return along < share * terms * channels + TURN * (read + k) * cycle;
}

int fc_planes_forward_pays(const fc_conv2d *conv) {
    const fc_planes p = forward_of(conv);
    return pays(conv, &p, 0);
}

int fc_planes_backward_input_pays(const fc_conv2d *conv) {
    const fc_planes p = gradient_of(conv);
    return conv->stride_h == 1 && conv->stride_w == 1 && pays(conv, &p, 1);
}

int fc_planes_backward_weights_pays(const fc_conv2d *conv) {
    const ptrdiff_t c = conv->c / conv->groups, k = conv->k / conv->groups;
    if (conv->layout != FC_NCHW || conv->algorithm == FC_WINOGRAD || k < FEW) return 0;
    const fc_panels channels = fc_panels_plan(&fc_kernels(conv->dtype)->gemm, k, c);
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
    const ptrdiff_t left = p->matrix ? fc_matrix_bytes(p->k, fc_planes_terms(p)) : 0;
    char *const space = fc_scratch(FC_SLOT_CALL, (size_t)(tables + behind + pieces + left));
    if (!space) return NULL;
    p->row = (const void **)space, p->offset = (ptrdiff_t *)(space + rows * (ptrdiff_t)sizeof(void *));
    if (p->matrix) p->pieces = fc_matrix_cut(&terms, space + tables + behind), p->left = space + tables + behind + pieces;
    return space + tables;
}

fc_status fc_planes_make_parts(fc_planes *p) {
    return p->matrix ? fc_parallel_for(fc_matrix_groups(p->k), 0.2 * (double)(p->k * fc_planes_terms(p)), left_task, p) : FC_OK;
}

static fc_status run(fc_planes *p) {
    fc_planes_plan(p);
    find_offsets(p);
    const double macs = (double)p->n * (double)fc_planes_pixels(p) * (double)p->k * (double)fc_planes_terms(p);
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
    p.matrix = fc_planes_matrix_share(&p, fc_planes_terms(&p)) < 1;
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
