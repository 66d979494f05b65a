/* The weight gradient on a matrix unit: see matrix.h. dw (taps * c, k) = X^T (taps * c, pixels) dY (pixels, k), where X has a row for every
 * pixel of dy, of what its window reads. A task takes a block of dw, whose sums stay in the second-level cache, and some pixels at a time:
 * their parts are made, then multiplied. Every sum is made in the order of the pixels, whatever the blocks. Of NCHW single pixels only, blocks of one image:
 * x has the rows of X^T, dY is turned. */
#include "conv2d_igemm.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

enum {
    PIXELS = 128,        /* at a time */
    ROWS = 256,          /* of dw, of a block; and its columns, and those of them whose parts are made at a time */
    COLUMNS = 512,
    PART_COLUMNS = 256,
    FLUSH = 8,           /* so many times PIXELS are summed apart, then added to dw: long sums round more often */
    TASK_COLUMNS = 64    /* of db alone */
};

typedef struct {
    const fc_conv2d *conv;
    fc_igemm gemm; /* the forward pass: where windows read */
    const float *dy;
    float *dw, *db;
    ptrdiff_t rows, pixels;             /* of dw; of dy */
    ptrdiff_t image_blocks;             /* of NCHW: of PIXELS pixels, in an image */
    ptrdiff_t block_rows, block_columns; /* of a task */
} wgrad_matrix;

static int applies(const fc_conv2d *conv) {
    const int single = conv->kh == 1 && conv->kw == 1 && conv->stride_h == 1 && conv->stride_w == 1 && conv->pad_top == 0 && conv->pad_left == 0;
    if (conv->layout == FC_NCHW && (!single || conv->oh != conv->h || conv->ow != conv->w)) return 0;
    return conv->dtype == FC_F32 && fc_kernels(FC_F32)->matrix && conv->groups == 1 && conv->c % FC_MATRIX_SIDE == 0 && conv->k >= FC_MATRIX_SIDE;
}

/* In cycles, as measured: all products on vectors, and dw in and out of the caches. */
static double vectors_cost(const fc_conv2d *conv) {
    const double weights = (double)fc_kernel_elements(conv);
    return weights * ((double)fc_whole_pixels(conv) / 25 + 1);
}

/* The same here: for 32 pixels the parts of a row of X^T and of a column of dY, as often as there are blocks, and the products of 32 x 32
 * weights; and what is added to dw. */
static double matrix_cost(const fc_conv2d *conv) {
    const double part = 37, product = 480, add = 1.7;
    const ptrdiff_t rows = conv->kh * conv->kw * conv->c, groups = fc_matrix_groups(rows) * fc_matrix_groups(conv->k), pixels = fc_whole_pixels(conv);
    const ptrdiff_t parts = rows * fc_ceil_div(conv->k, COLUMNS) + conv->k * fc_ceil_div(rows, ROWS);
    const double steps = (double)fc_matrix_steps(pixels), flushes = (double)fc_ceil_div(pixels, FLUSH * PIXELS);
    return steps * (part * (double)parts + product * (double)groups) + flushes * add * (double)(rows * conv->k);
}

double fc_wgrad_share(const fc_conv2d *conv) {
    const double share = applies(conv) ? matrix_cost(conv) / vectors_cost(conv) : 1;
    return share < 0.95 ? share : 1;
}

/* The parts of rows first .. first + rows - 1 of X^T, of some pixels: all of what is read of 32 pixels before the next. */
static void make_left(const wgrad_matrix *g, const fc_igemm_rows *r, ptrdiff_t first, ptrdiff_t rows, char *left) {
    const ptrdiff_t c = g->conv->c, steps = fc_matrix_steps(r->pixels);
    for (ptrdiff_t s = 0, pixel = 0; s < steps; s++, pixel += FC_MATRIX_DEPTH)
        for (ptrdiff_t i = 0; i < rows; i += FC_MATRIX_SIDE) {
            const void *const *const in = r->in + (first + i) / c * g->gemm.block + pixel;
            g->gemm.kernels->matrix->left_columns((const float *const *)in, (first + i) % c, r->pixels - pixel, 1, fc_matrix_half(left, steps, i, s));
        }
}

/* Those of `columns` columns of dY from `column` on. */
static void make_right(const wgrad_matrix *g, const fc_igemm_rows *r, ptrdiff_t column, ptrdiff_t columns, char *right) {
    const ptrdiff_t k = g->conv->k;
    g->gemm.kernels->matrix->right(g->dy + r->begin * k + column, k, r->pixels, columns, fc_matrix_steps(r->pixels), right);
}

/* Pixels first .. first + count - 1 of an image of NCHW. */
typedef struct {
    ptrdiff_t image, first, count;
} image_part;

static image_part part_of(const wgrad_matrix *g, ptrdiff_t block) {
    const ptrdiff_t first = block % g->image_blocks * PIXELS;
    return (image_part){block / g->image_blocks, first, fc_min(PIXELS, g->conv->oh * g->conv->ow - first)};
}

/* The same for those: rows of x as they lie. */
static void make_left_planes(const wgrad_matrix *g, const image_part *p, ptrdiff_t first, ptrdiff_t rows, char *left) {
    enum { PIECES_BYTES = 1024 };
    alignas(FC_ALIGN) char space[PIECES_BYTES];
    const fc_matrix_terms terms = {.runs = 1, .length = p->count};
    const ptrdiff_t plane = g->conv->h * g->conv->w;
    const float *row[ROWS];
    assert(fc_matrix_pieces_bytes(&terms) <= sizeof space && rows <= ROWS);
    for (ptrdiff_t i = 0; i < rows; i++) row[i] = (const float *)g->gemm.x + (p->image * g->conv->c + first + i) * plane + p->first;
    const fc_matrix_pieces pieces = fc_matrix_cut(&terms, space);
    fc_matrix_left work = {.rows = row,
                           .count = rows,
                           .steps = fc_matrix_steps(p->count),
                           .piece = pieces.piece,
                           .first = pieces.first,
                           .whole = pieces.whole,
                           .out = left};
    g->gemm.kernels->matrix->left(&work);
}

/* dY of some columns, turned, and its parts. */
static void make_right_planes(const wgrad_matrix *g, const image_part *p, ptrdiff_t column, ptrdiff_t columns, float *turned, char *right) {
    const ptrdiff_t plane = g->conv->oh * g->conv->ow;
    const float *const dy = g->dy + (p->image * g->conv->k + column) * plane + p->first;
    g->gemm.kernels->frame.transpose(dy, plane, turned, columns, columns, p->count);
    g->gemm.kernels->matrix->right(turned, columns, p->count, columns, fc_matrix_steps(p->count), right);
}

/* Sums to dw, or what is added to it. */
static void flush(const wgrad_matrix *g, const fc_matrix_job *job, ptrdiff_t first, ptrdiff_t column, int add) {
    const ptrdiff_t k = g->conv->k;
    for (ptrdiff_t i = 0; i < job->rows; i++)
        for (ptrdiff_t j = 0; j < job->columns; j += FC_MATRIX_GROUP) {
            const float *const from = job->sums + j / FC_MATRIX_GROUP * job->column_group + i * FC_MATRIX_GROUP;
            float *const to = g->dw + (first + i) * k + column + j;
            const ptrdiff_t n = fc_min(FC_MATRIX_GROUP, job->columns - j);
            if (!add) memcpy(to, from, (size_t)n * sizeof *to);
            else g->gemm.kernels->frame.add_into(from, to, n);
        }
}

static void add_columns(const wgrad_matrix *g, const float *dy, ptrdiff_t ld, ptrdiff_t pixels, ptrdiff_t column, ptrdiff_t columns) {
    float sums[PART_COLUMNS] = {0};
    if (!g->db) return;
    g->gemm.kernels->frame.column_sums(dy, ld, pixels, columns, sums);
    for (ptrdiff_t j = 0; j < columns; j++) g->db[column + j] += sums[j];
}

static fc_status block_task(const void *context, ptrdiff_t task) {
    const wgrad_matrix *const g = context;
    const fc_matrix_kernels *const kernels = g->gemm.kernels->matrix;
    const int planes = g->image_blocks > 0;
    const ptrdiff_t blocks = fc_ceil_div(g->rows, g->block_rows), count = planes ? g->conv->n * g->image_blocks : g->gemm.blocks, k = g->conv->k;
    const ptrdiff_t first = task % blocks * g->block_rows, rows = fc_min(g->block_rows, g->rows - first);
    const ptrdiff_t column = task / blocks * g->block_columns, end = fc_min(column + g->block_columns, k);
    const ptrdiff_t group = fc_matrix_groups(rows) * FC_MATRIX_GROUP * FC_MATRIX_GROUP; /* elements of the sums of a group of columns */
    const ptrdiff_t sums = fc_matrix_groups(end - column) * group * (ptrdiff_t)sizeof(float), left = fc_matrix_bytes(rows, PIXELS);
    const ptrdiff_t parts = fc_matrix_bytes(PART_COLUMNS, PIXELS), turned = planes ? PIXELS * PART_COLUMNS * (ptrdiff_t)sizeof(float) : 0;
    char *const space = fc_scratch(FC_SLOT_TASK2, (size_t)(sums + left + parts + turned));
    if (!space) return FC_NO_MEMORY;
    char *const right = space + sums + left;
    float *const pixels = (float *)(right + parts);
    fc_matrix_job job = {.left = space + sums, .right = right, .rows = rows, .row_group = FC_MATRIX_GROUP * FC_MATRIX_GROUP, .column_group = group};
    fc_status status = FC_OK;
    kernels->begin();
    for (ptrdiff_t i = 0; i < count && status == FC_OK; i++) {
        fc_igemm_rows r = {0};
        image_part p = {0};
        if (planes) p = part_of(g, i), r.pixels = p.count;
        else status = fc_igemm_point_block(&g->gemm, i, 0, &r);
        if (status != FC_OK) break;
        job.steps = fc_matrix_steps(r.pixels), job.accumulate = i % FLUSH > 0;
        if (planes) make_left_planes(g, &p, first, rows, space + sums);
        else make_left(g, &r, first, rows, space + sums);
        for (ptrdiff_t j = column; j < end; j += PART_COLUMNS) {
            job.columns = fc_min(PART_COLUMNS, end - j), job.sums = (float *)space + (j - column) / FC_MATRIX_GROUP * group;
            if (planes) make_right_planes(g, &p, j, job.columns, pixels, right);
            else make_right(g, &r, j, job.columns, right);
            if (first == 0) add_columns(g, planes ? pixels : g->dy + r.begin * k + j, planes ? job.columns : k, r.pixels, j, job.columns);
            fc_matrix_multiply(kernels, &job, NULL);
            if (i % FLUSH == FLUSH - 1 || i == count - 1) flush(g, &job, first, j, i >= FLUSH);
        }
    }
    kernels->end();
    return status;
}

/* db alone, as it would be beside dw. */
static fc_status bias_task(const void *context, ptrdiff_t task) {
    const wgrad_matrix *const g = context;
    const ptrdiff_t column = task * TASK_COLUMNS, columns = fc_min(TASK_COLUMNS, g->conv->k - column);
    for (ptrdiff_t pixel = 0; pixel < g->pixels; pixel += PIXELS)
        add_columns(g, g->dy + pixel * g->conv->k + column, g->conv->k, fc_min(PIXELS, g->pixels - pixel), column, columns);
    return FC_OK;
}

fc_status fc_wgrad_matrix(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    wgrad_matrix g = {.conv = conv, .gemm = fc_igemm_of(conv), .dy = dy, .dw = dw, .db = db};
    g.rows = conv->kh * conv->kw * conv->c, g.pixels = conv->n * conv->oh * conv->ow;
    if (db) memset(db, 0, (size_t)conv->k * sizeof(float));
    if (g.pixels == 0 && dw) memset(dw, 0, (size_t)fc_kernel_elements(conv) * sizeof(float));
    if (g.pixels == 0) return FC_OK;
    const double work = fc_macs_ns((double)g.pixels * (double)g.rows * (double)conv->k / 2);
    const int planes = conv->layout == FC_NCHW;
    if (!dw && planes) return fc_planes_sum(conv, dy, db);
    if (!dw) return fc_parallel_for(fc_ceil_div(conv->k, TASK_COLUMNS), (double)(g.pixels * conv->k) * 0.1, bias_task, &g);
    fc_igemm *const gemm = &g.gemm;
    if (planes) g.image_blocks = fc_ceil_div(conv->oh * conv->ow, PIXELS);
    gemm->x = x, gemm->y = (void *)dy; /* where its outputs would be, which nothing writes */
    void *const zero = fc_scratch(FC_SLOT_CALL, (size_t)conv->c * sizeof(float));
    if (!zero || !fc_igemm_find_taps(conv, gemm)) return FC_NO_MEMORY;
    memset(zero, 0, (size_t)conv->c * sizeof(float));
    gemm->zero = zero;
    fc_igemm_range_taps(gemm);
    gemm->block = PIXELS, gemm->blocks = fc_ceil_div(g.pixels, PIXELS), gemm->splits = 1;
    /* Equal blocks, and as many as threads. */
    g.block_rows = fc_round_up(fc_ceil_div(g.rows, fc_ceil_div(g.rows, ROWS)), FC_MATRIX_GROUP);
    g.block_columns = fc_round_up(fc_ceil_div(conv->k, fc_ceil_div(conv->k, COLUMNS)), FC_MATRIX_GROUP);
    const ptrdiff_t threads = fc_get_num_threads();
    while (fc_ceil_div(g.rows, g.block_rows) * fc_ceil_div(conv->k, g.block_columns) < threads &&
           fc_max(g.block_rows, g.block_columns) > FC_MATRIX_GROUP) {
        ptrdiff_t *const longer = g.block_rows >= g.block_columns ? &g.block_rows : &g.block_columns;
        *longer = fc_round_up(*longer / 2, FC_MATRIX_GROUP);
    }
    return fc_parallel_for(fc_ceil_div(g.rows, g.block_rows) * fc_ceil_div(conv->k, g.block_columns), work, block_task, &g);
}
