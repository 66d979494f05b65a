/* The implicit GEMM on a matrix unit: see matrix.h. The weights of a call are split into parts once, pixels by the tasks, some at a
 * time: their parts and those of the weights stay in the second-level cache. */
#include "conv2d_igemm.h"

#include <math.h>

enum {
    BLOCK_PIXELS = 64, /* that are split at once */
    FAR_PIXELS = 192,  /* the same where weights pass through the cache */
    ROUND_PIXELS = 224, /* of a round of steps only */
    TASK_BLOCKS = 4    /* of one task */
};

static ptrdiff_t steps_of(const fc_igemm *g) { return fc_matrix_steps(fc_igemm_reduction(g)); }

/* Bytes of the parts of one group's weights. */
static ptrdiff_t operand_bytes(const fc_igemm *g) { return fc_matrix_bytes(g->k, fc_igemm_reduction(g)); }

/* Whether the parts of all weights, so many bytes, pass through the cache with every block of pixels. */
static int too_many(ptrdiff_t bytes) { return bytes > fc_l2_bytes() / 2; }
static int far_weights(const fc_igemm *g) { return too_many(g->groups * operand_bytes(g)); }

double fc_igemm_matrix_share(fc_dtype dtype, ptrdiff_t pixels, ptrdiff_t taps, ptrdiff_t depth, ptrdiff_t k, ptrdiff_t groups, int packed) {
    enum { FEW = 24 };
    const double MOST = 0.82; /* more is not worth it: at times the unit takes nearly twice as long */
    const fc_ukernels *const kernels = fc_kernels(dtype);
    const ptrdiff_t reduction = taps * depth;
    if (!kernels->matrix || pixels < FEW || reduction < FEW || k < FEW) return 1;
    /* In cycles, as measured: a product, the parts of a line of a pixel, which are put together where taps do not end with a
     * vector, and of weights, which go to the outer caches and back where they are many, and the sums of a pixel. */
    const int far = too_many(groups * fc_matrix_bytes(k, reduction));
    const double product = far ? 193 : FC_MATRIX_PRODUCT_CYCLES, line = depth % FC_MATRIX_SIDE ? 50 : 20, call = 3000;
    const double weights = packed ? (far ? 28 : 5) : far ? 120 : FC_MATRIX_RIGHT_CYCLES;
    const double rows = (double)fc_round_up(pixels, FC_MATRIX_SIDE), steps = (double)fc_matrix_steps(reduction);
    const double sums = FC_MATRIX_SUMS_CYCLES(steps);
    const double columns = (double)fc_ceil_div(k, FC_MATRIX_SIDE);
    const double matrix =
        steps * columns * (rows / FC_MATRIX_SIDE * product + FC_MATRIX_SIDE * weights) + rows * (steps * line + columns * sums) + call;
    const fc_panels panels = fc_panels_plan(&kernels->gemm, k, depth);
    const double vectors = (double)pixels * (double)reduction * (double)fc_panels_cost(&panels) / 28;
    const double share = 1.05 * matrix / vectors;
    return share < (far ? 1 : MOST) ? share : 1;
}

int fc_igemm_matrix_pays(const fc_igemm *g) {
    const fc_dtype dtype = g->esize == sizeof(float) ? FC_F32 : FC_F64;
    return !g->dot && fc_igemm_matrix_share(dtype, g->all_pixels, g->taps, g->depth, g->k, g->groups, 0) < 1;
}

static fc_matrix_terms terms_of(const fc_igemm *g) {
    if (g->by_offset) return (fc_matrix_terms){.runs = g->taps, .length = g->depth, .step = g->depth, .offset = g->offset};
    return (fc_matrix_terms){.runs = g->taps, .length = g->depth, .source = g->block};
}

size_t fc_igemm_matrix_bytes(const fc_igemm *g) {
    const fc_matrix_terms terms = terms_of(g);
    return fc_matrix_pieces_bytes(&terms) + (g->parts ? 0 : (size_t)(g->groups * operand_bytes(g)));
}

ptrdiff_t fc_igemm_parts_bytes(const fc_conv2d *conv, const fc_igemm *g) {
    enum { LEAST = FC_MATRIX_SIDE }; /* pixels of an image: one that has fewer would need all parts for a few rows of products */
    const ptrdiff_t image = conv->oh * conv->ow, pixels = fc_packed_images(conv) * image;
    const int pays = !g->dot && image >= LEAST && fc_igemm_matrix_share(conv->dtype, pixels, g->taps, g->depth, g->k, g->groups, 1) < 1;
    return pays ? g->groups * operand_bytes(g) : 0;
}

/* One step of one group's weights. */
static fc_status weights_task(const void *context, ptrdiff_t task) {
    const fc_igemm *const g = context;
    const ptrdiff_t steps = steps_of(g), group = task / steps, s = task % steps, row = s * FC_MATRIX_DEPTH, reduction = fc_igemm_reduction(g);
    char *const operand = (char *)g->operand + group * operand_bytes(g);
    const int where_they_are = g->weights && !g->transposed;
    fc_panel p = fc_panels_get(&g->panels, 0);
    for (ptrdiff_t j = 0, panel = 0; j < g->k; j += FC_MATRIX_SIDE) {
        while (p.first + p.columns <= j) p = fc_panels_get(&g->panels, ++panel);
        const ptrdiff_t ld = where_they_are ? g->groups * g->k : p.kernels->nr;
        const float *const w = where_they_are ? (const float *)g->weights + group * g->k + j
                                              : (const float *)g->packed + group * g->packed_group + p.first * reduction + j - p.first;
        g->kernels->matrix->right(w + row * ld, ld, reduction - row, fc_min(FC_MATRIX_SIDE, g->k - j), 1, fc_matrix_half(operand, steps, j, s));
    }
    return FC_OK;
}

/* Pixels that are split at once, and steps. Parts of all steps take up a sixth of the cache; where weights pass through, most of it, or
 * those of a round, beside all sums, where that leaves room for as many pixels: weights pass as often as there are blocks of those. */
typedef struct {
    ptrdiff_t pixels, steps;
} at_once;

static ptrdiff_t whole_groups(ptrdiff_t pixels) { return fc_max(1, pixels / FC_MATRIX_GROUP) * FC_MATRIX_GROUP; }

static at_once plan_at_once(const fc_igemm *g) {
    const ptrdiff_t steps = steps_of(g), pixel = steps * FC_MATRIX_STEP / FC_MATRIX_GROUP, cache = fc_l2_bytes(), most = cache / 16 * 11;
    if (!far_weights(g)) return (at_once){whole_groups(fc_min(BLOCK_PIXELS, cache / 6 / pixel)), steps};
    const at_once all = {whole_groups(fc_min(FAR_PIXELS, most / pixel)), steps};
    const ptrdiff_t sums = fc_matrix_groups(g->k) * FC_MATRIX_GROUP * (ptrdiff_t)sizeof(float);
    const at_once round = {whole_groups(fc_min(ROUND_PIXELS, most / 2 / sums)), fc_min(steps, FC_MATRIX_ROUND)};
    return round.pixels < all.pixels ? all : round;
}

/* Pixels of a task, `most` at a time, a chunk of steps after the other. */
typedef struct {
    const fc_igemm *g;
    const fc_matrix_kernels *kernels;
    at_once most;
    ptrdiff_t steps;
    int far, beside; /* weights pass through the cache; parts are made while those before are multiplied, in a place of their own */
    fc_igemm_rows rows;
    ptrdiff_t column_group; /* elements of the sums of a group of columns, 0: each takes the place of the one before */
    char *left, *other;
    const char *next;       /* what the thread will read afterwards, so many bytes for a pixel */
    ptrdiff_t next_pixel;
    fc_matrix_left parts;   /* of what comes next */
    ptrdiff_t pixel, first; /* where that begins */
} pixels_walk;

static void begin_parts(pixels_walk *w, void *to) {
    const fc_igemm *const g = w->g;
    fc_matrix_left *const parts = &w->parts;
    parts->rows = (const float *const *)w->rows.in + w->pixel;
    parts->count = fc_min(w->most.pixels, w->rows.pixels - w->pixel), parts->steps = fc_min(w->most.steps, w->steps - w->first);
    parts->piece = g->pieces.piece, parts->first = g->pieces.first + 2 * w->first, parts->whole = g->pieces.whole + w->first;
    parts->out = to, parts->row = parts->step = 0;
}

/* The pixels and the memory of a task, and its first parts. */
static fc_status begin_pixels(pixels_walk *w, const fc_igemm *g, ptrdiff_t task) {
    *w = (pixels_walk){.g = g, .kernels = g->kernels->matrix, .most = plan_at_once(g), .steps = steps_of(g), .far = far_weights(g)};
    const int chunked = w->most.steps < w->steps;
    w->beside = !w->far || chunked;
    w->column_group = chunked ? w->most.pixels * FC_MATRIX_GROUP : 0;
    const ptrdiff_t sums_bytes = w->most.pixels * FC_MATRIX_GROUP * (chunked ? fc_matrix_groups(g->k) : 1) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t parts_bytes = w->most.pixels / FC_MATRIX_GROUP * w->most.steps * FC_MATRIX_STEP;
    const size_t more = (size_t)(sums_bytes + (w->beside ? 2 : 1) * parts_bytes);
    const fc_status status = g->by_offset ? fc_igemm_point_band(g, task, more, &w->rows) : fc_igemm_point_block(g, task, more, &w->rows);
    if (status != FC_OK) return status;
    w->left = (char *)w->rows.space + sums_bytes, w->other = w->beside ? w->left + parts_bytes : w->left;
    w->next_pixel = fc_igemm_next_input(g, &w->rows, &w->next) / w->rows.pixels;
    begin_parts(w, w->left);
    return FC_OK;
}

/* Multiplies a chunk, whose parts are made, and makes those of the next, if there is one. */
static void multiply_chunk(pixels_walk *w) {
    const fc_igemm *const g = w->g;
    const ptrdiff_t m = w->pixel, count = w->parts.count, first = w->first, steps = w->parts.steps, column = w->rows.group * g->k;
    const int last = first + steps == w->steps;
    if (last) w->pixel += count, w->first = 0;
    else w->first += steps;
    if (w->pixel < w->rows.pixels) begin_parts(w, w->other);
    else w->parts.row = w->parts.count;
    const fc_matrix_finish_args finish = {
        .bias = g->bias ? (const float *)g->bias + column : NULL, .out = w->rows.out + m, .column = column, .relu = g->activation == FC_RELU};
    const ptrdiff_t products = fc_matrix_groups(count) * fc_matrix_groups(g->k) * steps * FC_MATRIX_PRODUCTS;
    const fc_matrix_job job = {.left = w->left,
                               .right = g->operand + w->rows.group * operand_bytes(g) + first * FC_MATRIX_STEP,
                               .rows = count,
                               .columns = g->k,
                               .steps = steps,
                               .right_skip = (w->steps - steps) * FC_MATRIX_STEP,
                               .sums = w->rows.space,
                               .row_group = FC_MATRIX_GROUP * FC_MATRIX_GROUP,
                               .column_group = w->column_group,
                               .accumulate = first > 0,
                               .finish = last ? &finish : NULL,
                               .left_each = w->beside ? fc_ceil_div((w->parts.count - w->parts.row) * w->parts.steps, products) : 0,
                               .next = w->next + m * w->next_pixel,
                               .next_bytes = count * w->next_pixel,
                               .far = w->far};
    fc_matrix_multiply(w->kernels, &job, w->beside ? &w->parts : NULL);
    w->kernels->left(&w->parts);
    char *const made = w->other;
    w->other = w->left, w->left = made;
}

static fc_status pixels_task(const void *context, ptrdiff_t task) {
    const fc_igemm *const g = context;
    pixels_walk w;
    const fc_status status = begin_pixels(&w, g, task);
    if (status != FC_OK) return status;
    w.kernels->begin();
    w.kernels->left(&w.parts);
    while (w.pixel < w.rows.pixels) multiply_chunk(&w);
    w.kernels->end();
    fc_igemm_activate(g, w.rows.group, w.rows.out, w.rows.pixels, 0, g->k);
    return FC_OK;
}

fc_status fc_igemm_make_parts(fc_igemm *g, void *operand) {
    g->operand = operand;
    return fc_parallel_for(g->groups * steps_of(g), 0.2 * (double)(g->groups * g->k * fc_igemm_reduction(g)), weights_task, g);
}

fc_status fc_igemm_matrix_run(fc_igemm *g, void *space, double work) {
    const ptrdiff_t pixels = g->n * g->grid_h * g->grid_w, threads = fc_get_num_threads();
    const at_once most = plan_at_once(g);
    if (!g->by_offset) {
        const ptrdiff_t fit = (far_weights(g) ? 1 : TASK_BLOCKS) * most.pixels,
                        blocks = fc_max(fc_ceil_div(pixels, fit), fc_ceil_div(2 * threads, g->groups));
        g->splits = 1;
        g->block = fc_round_up(fc_ceil_div(pixels, blocks), FC_MATRIX_GROUP); /* about equal ones */
        g->blocks = fc_ceil_div(pixels, g->block);
    }
    const fc_matrix_terms terms = terms_of(g);
    g->pieces = fc_matrix_cut(&terms, space);
    for (ptrdiff_t s = 0; s < steps_of(g); s++) g->pieces.whole[s] = fc_min(g->pieces.whole[s], most.steps - s % most.steps); /* of a chunk */
    if (g->parts) {
        g->operand = g->parts;
    } else {
        const fc_status status = fc_igemm_make_parts(g, (char *)space + fc_matrix_pieces_bytes(&terms));
        if (status != FC_OK) return status;
    }
    return fc_parallel_for(g->groups * g->blocks * (g->by_offset ? g->n : 1), work, pixels_task, g);
}
