/* Convolution as an implicit GEMM: any kernel, stride, dilation, padding, groups.
 *
 * Rows of the GEMM are pixels of an output grid, columns are output channels, the reduction runs over taps and input channels.
 * Weights are packed into panels [panel][taps * depth][nr]. Two ways to reach the input:
 *   - by pointers: a table gives every tap of every pixel a pointer to its channels, a row of zeros stands in for padding;
 *   - by offsets, for few channels on either side: rows are copied once with their padding, a pixel has one pointer, and one list of offsets
 *     serves all pixels. */
#include "conv2d_igemm.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK_PIXELS = 96,     /* of one task: the input of a block stays in the second-level cache */
    STREAM_REDUCTION = 64, /* products of an output during which its line is fetched for nothing, where one thread has the memory for itself */
    NARROW_BYTES = 16 << 10, /* of the input of panels that take several terms at a time: it stays in the first-level cache */
    RAW_TILES = 8,         /* weights that so few tiles use are not worth packing */
    OFFSET_MAX_DEPTH = 32, /* up to here the list of offsets beats the table of pointers */
    MATRIX_OFFSET_MAX_DEPTH = 15 /* the same on a matrix unit, for which blocks of many images are cut together */
};

/* Of weights, about, from the outer caches. */
#define BYTES_PER_NS 64.0
#define WRITTEN_PER_NS 25.0

/* From row `row` of the reduction on. */
static void panel_weights(const fc_igemm *g, ptrdiff_t group, const fc_panel *p, ptrdiff_t row, fc_gemm_args *args) {
    if (g->raw && fc_panel_is_plain(p)) {
        args->ldw = g->groups * g->k;
        args->w = fc_at(g->weights, row * args->ldw + group * g->k + p->first, g->esize);
    } else {
        args->ldw = p->kernels->nr;
        args->w = fc_at(g->packed, group * g->packed_group + p->first * fc_igemm_reduction(g) + row * args->ldw, g->esize);
    }
    args->bias = g->bias ? fc_at(g->bias, group * g->k + p->first, g->esize) : NULL;
    args->column = group * g->k + p->first;
    args->columns = (int)p->columns;
    args->fetch = g->fetch;
    args->stream = g->stream && p->kernels->nr * g->esize % FC_ALIGN == 0 && args->column * g->esize % FC_ALIGN == 0;
}

static void run_dot(const fc_igemm *g, ptrdiff_t group, fc_gemm_args *args, const void *const *rows, void *const *out, ptrdiff_t pixels) {
    const fc_dot_kernels *const kernel = &g->kernels->gemm.dot[g->k];
    args->w = fc_at(g->packed, group * g->packed_group, g->esize);
    args->bias = g->bias ? fc_at(g->bias, group * g->k, g->esize) : NULL;
    args->column = group * g->k;
    args->columns = (int)g->k;
    for (ptrdiff_t m = 0; m < pixels;) {
        const int whole = pixels - m >= kernel->mr;
        args->rows = rows + m;
        args->out = out + m;
        (whole ? kernel->tile : kernel->row)(args);
        m += whole ? kernel->mr : 1;
    }
}

/* The rows of a band, in runs of pixels: the last run of a row, and of the band, may overlap the one before it. */
static void run_runs(const fc_igemm *g, ptrdiff_t group, const fc_gemm_args *band, const void *const *rows, void *const *out, ptrdiff_t pixels) {
    const ptrdiff_t each = fc_ceil_div(g->grid_w, FC_RUN_PIXELS), runs = pixels / g->grid_w * each, tiles = fc_ceil_div(runs, FC_RUNS);
    const ptrdiff_t column = group * g->k, share = band->next ? fc_ceil_div((const char *)band->next_end - (const char *)band->next, tiles) : 0;
    fc_runs_args args = {.x_step = g->stride_w * (g->copy ? g->copy_ld : g->ldx),
                         .y_step = g->step_w * g->ldy,
                         .offset = band->offset,
                         .steps = fc_igemm_products(g),
                         .w = fc_at(g->packed, group * g->packed_group, g->esize),
                         .bias = g->bias ? fc_at(g->bias, column, g->esize) : NULL,
                         .columns = (int)g->k,
                         .relu = g->activation == FC_RELU,
                         .next = band->next};
    for (ptrdiff_t tile = 0; tile < tiles; tile++) {
        for (ptrdiff_t q = 0; q < FC_RUNS; q++) {
            const ptrdiff_t run = fc_max(0, fc_min(tile * FC_RUNS, runs - FC_RUNS)) + fc_min(q, runs - 1);
            const ptrdiff_t first = run / each * g->grid_w + fc_min(run % each * FC_RUN_PIXELS, g->grid_w - FC_RUN_PIXELS);
            args.rows[q] = rows[first];
            args.out[q] = fc_at_mut(out[first], column, g->esize);
        }
        args.next_end = args.next + share;
        g->kernels->gemm.runs[g->terms](&args);
        args.next = args.next_end;
    }
}

/* All pixels of one panel, whose weights are packed and do not stay in the caches. Of some taps at a time, whose weights stay there from tile to
 * tile: half of the tiles fetch those that follow, or `first` after the last ones; the others what args->next says. */
static void run_far_panel(const fc_igemm *g, const fc_panel *p, fc_gemm_args *args, const void *const *rows, void *const *out, ptrdiff_t pixels,
                          const void *first, int last) {
    const ptrdiff_t mr = p->kernels->mr, tap = g->depth * p->kernels->nr * g->esize, half = fc_min(pixels, fc_round_up(fc_ceil_div(pixels, 2), mr));
    const int whole = !fc_panel_is_plain(p);
    const ptrdiff_t some = whole ? g->taps : fc_max(1, fc_min(g->taps, fc_l2_bytes() / 4 / fc_max(tap, 1)));
    const void *const weights = args->w;
    const int relu = args->relu;
    for (ptrdiff_t t = 0; t < g->taps || t == 0; t += some) {
        args->taps = fc_min(some, g->taps - t), args->w = fc_at(weights, t * tap, 1);
        args->accumulate = t > 0, args->relu = relu && t + some >= g->taps;
        fc_gemm_args before = *args;
        before.next = last && t + some >= g->taps ? first : fc_at(weights, (t + args->taps) * tap, 1);
        before.next_end = (const char *)before.next + args->taps * tap;
        before.next_bytes = fc_ceil_div(p->kernels->nr * g->esize, fc_ceil_div(half, mr));
        fc_panel_tiles(p->kernels->gemm, mr, &before, rows + t * args->row_stride, out, half);
        if (pixels > half) fc_panel_tiles(p->kernels->gemm, mr, args, rows + t * args->row_stride + half, out + half, pixels - half);
    }
    args->taps = g->taps, args->accumulate = 0, args->relu = relu;
}

void fc_igemm_activate(const fc_igemm *g, ptrdiff_t group, void *const *out, ptrdiff_t pixels, ptrdiff_t first, ptrdiff_t columns) {
    if (fc_in_registers(g->activation)) return;
    for (ptrdiff_t m = 0; m < pixels; m++) {
        void *const row = fc_at_mut(out[m], group * g->k + first, g->esize);
        g->kernels->elementwise.activation[g->activation](row, row, columns);
    }
}

/* All tiles of `pixels` pixels for panels first <= i < last, from row `row` of the reduction on. */
static void run_tiles(const fc_igemm *g, ptrdiff_t group, ptrdiff_t row, fc_gemm_args *args, const void *const *rows, void *const *out,
                      ptrdiff_t pixels, ptrdiff_t first, ptrdiff_t last) {
    const void *first_weights = NULL;
    args->relu = g->activation == FC_RELU;
    if (g->dot) run_dot(g, group, args, rows, out, pixels);
    if (g->terms) run_runs(g, group, args, rows, out, pixels);
    for (ptrdiff_t i = first; i < last && !g->dot && !g->terms; i++) {
        const fc_panel p = fc_panels_get(&g->panels, i);
        if (g->steps && p.kernels->terms == 1) continue;
        panel_weights(g, group, &p, row, args);
        if (i == first) first_weights = args->w;
        if (g->far) run_far_panel(g, &p, args, rows, out, pixels, first_weights, i + 1 == last);
        else fc_panel_tiles(g->by_offset ? p.kernels->gemm_offset : p.kernels->gemm, p.kernels->mr, args, rows, out, pixels);
    }
    if (first < last) {
        const ptrdiff_t begin = fc_panels_get(&g->panels, first).first;
        const fc_panel end = fc_panels_get(&g->panels, last - 1);
        fc_igemm_activate(g, group, out, pixels, begin, end.first + end.columns - begin);
    }
}

/* The same, some pixels at a time. */
static void run_panels(const fc_igemm *g, ptrdiff_t group, ptrdiff_t row, fc_gemm_args *args, const void *const *rows, void *const *out,
                       ptrdiff_t pixels, ptrdiff_t first, ptrdiff_t last) {
    const int narrow = g->panels.tile_rows && !g->far && !g->steps && !g->dot && !g->terms;
    const ptrdiff_t fit = NARROW_BYTES / (fc_max(1, g->depth) * g->esize) / FC_TERMS_PIXELS;
    const ptrdiff_t some = narrow ? fc_max(1, fit) * FC_TERMS_PIXELS : pixels;
    for (ptrdiff_t m = 0; m < pixels; m += some) run_tiles(g, group, row, args, rows + m, out + m, fc_min(some, pixels - m), first, last);
}

/* The tiles that so many pixels are for a panel, about. */
static ptrdiff_t tiles_of(const fc_igemm *g, ptrdiff_t pixels) { return fc_ceil_div(pixels, fc_panels_get(&g->panels, 0).kernels->mr); }

/* One block of pixels by pointers. */
static fc_status pointer_task(const void *context, ptrdiff_t task) {
    const fc_igemm *const g = context;
    fc_igemm_rows r;
    const fc_status status = fc_igemm_point_block(g, task, g->steps ? fc_igemm_steps_bytes(g) : 0, &r);
    if (status != FC_OK) return status;
    const ptrdiff_t split = task % g->splits, stride = g->block, pixels = r.pixels;
    fc_gemm_args args = {.row_stride = stride, .taps = g->taps, .depth = g->depth};
    const ptrdiff_t panels = fc_panels_count(&g->panels), units = fc_ceil_div(panels, g->unit);
    const ptrdiff_t first = units * split / g->splits * g->unit, last = fc_min(panels, units * (split + 1) / g->splits * g->unit);
    if (g->steps) fc_igemm_run_steps(g, &r, stride, first, last);
    const ptrdiff_t tiles = tiles_of(g, g->far ? pixels / 2 : pixels) * (last - first);
    const char *next = NULL;
    const ptrdiff_t bytes = tiles > 0 ? fc_igemm_next_input(g, &r, &next) / g->splits : 0;
    if (bytes > 0) {
        args.next = next + split * bytes;
        args.next_end = (const char *)args.next + bytes;
        args.next_bytes = fc_ceil_div(bytes, tiles * fc_igemm_reduction(g));
    }
    run_panels(g, r.group, 0, &args, r.in, r.out, pixels, first, last);
    if (g->stream) g->kernels->frame.stream_end();
    return FC_OK;
}

/* The lines of a band, `pixels` pixels each, with those of their taps that are inside; the lines before `end` that have the same together. */
static void run_clipped(const fc_igemm *g, const fc_igemm_rows *r, fc_gemm_args *args, ptrdiff_t line, ptrdiff_t end, ptrdiff_t pixels) {
    const ptrdiff_t *const offset = args->offset;
    for (ptrdiff_t i = line, next; i < end; i = next) {
        fc_span taps;
        next = fc_igemm_taps_inside(g, i, end, &taps);
        const ptrdiff_t at = (i - line) * pixels, row = taps.first * g->depth;
        args->offset = offset + row, args->depth = (taps.end - taps.first) * g->depth;
        run_panels(g, r->group, row, args, r->in + at, r->out + at, (next - i) * pixels, 0, fc_panels_count(&g->panels));
    }
}

/* One group of a band of output rows by offsets. */
static void run_band(const fc_igemm *g, const fc_igemm_rows *r, ptrdiff_t band) {
    fc_gemm_args args = {.taps = 1, .depth = fc_igemm_reduction(g), .offset = r->offset, .pooled = g->pooled, .y = g->y, .indices = g->indices};
    if (g->dot) args.taps = g->taps, args.depth = g->depth;
    const char *next = NULL;
    const ptrdiff_t bytes = fc_igemm_next_band(g, band, r->group, &next);
    if (bytes > 0) {
        args.next = next, args.next_end = next + bytes;
        args.next_bytes = fc_ceil_div(bytes, tiles_of(g, r->pixels) * fc_panels_count(&g->panels) * args.depth);
    }
    const ptrdiff_t first = band % g->blocks * g->band, rows = r->pixels / g->grid_w;
    if (g->clip == FC_CLIP_ROWS) run_clipped(g, r, &args, first, first + rows, g->grid_w);
    else if (g->clip == FC_CLIP_COLUMNS) run_clipped(g, r, &args, 0, g->grid_w, rows);
    else run_panels(g, r->group, 0, &args, r->in, r->out, r->pixels, 0, fc_panels_count(&g->panels));
}

static fc_status offset_task(const void *context, ptrdiff_t task) {
    const fc_igemm *const g = context;
    fc_igemm_rows r;
    const fc_status status = fc_igemm_point_band(g, task, 0, &r);
    if (status != FC_OK) return status;
    const ptrdiff_t places = fc_igemm_places(g, r.pixels);
    for (; r.group < r.end; r.group++) {
        run_band(g, &r, task / g->shares);
        for (ptrdiff_t m = 0; m < places && r.group + 1 < r.end; m++) r.in[m] = fc_at(r.in[m], g->depth, g->esize);
    }
    if (g->stream) g->kernels->frame.stream_end();
    return FC_OK;
}

void fc_igemm_range_taps(fc_igemm *g) {
    g->min_y = g->min_x = PTRDIFF_MAX;
    g->max_y = g->max_x = PTRDIFF_MIN;
    for (ptrdiff_t t = 0; t < g->taps; t++) {
        g->tap[t].bytes = (g->tap[t].y * g->w + g->tap[t].x) * g->ldx * g->esize;
        g->min_y = fc_min(g->min_y, g->tap[t].y);
        g->max_y = fc_max(g->max_y, g->tap[t].y);
        g->min_x = fc_min(g->min_x, g->tap[t].x);
        g->max_x = fc_max(g->max_x, g->tap[t].x);
    }
}

/* Blocks of pixels; where those are too few for the threads the panels are split as well. An output is computed the same way
 * whatever the block, so the number of threads may decide. */
static void plan_blocks(fc_igemm *g) {
    const ptrdiff_t pixels = g->n * g->grid_h * g->grid_w, threads = fc_get_num_threads();
    const ptrdiff_t mr = g->panels.main->mr, panels = fc_panels_count(&g->panels);
    g->unit = g->steps ? fc_igemm_steps_unit(g) : 1;
    g->blocks = fc_ceil_div(pixels, BLOCK_PIXELS);
    g->splits = 1;
    const ptrdiff_t enough = threads > 1 && !g->alone ? 4 * threads : 1;
    if (g->groups * g->blocks < enough) {
        const ptrdiff_t units = fc_ceil_div(panels, g->unit);
        g->splits = fc_min(units, fc_ceil_div(enough, g->groups * g->blocks));
        while (units % g->splits) g->splits++; /* equal ones: threads get as many */
        /* Threads that share steps of weights would each read all of them. */
        if (!g->steps || g->splits % threads) g->blocks = fc_max(g->blocks, fc_min(fc_ceil_div(pixels, 2 * mr), enough / (g->groups * g->splits)));
    }
    g->block = fc_round_up(fc_ceil_div(pixels, g->blocks), g->panels.tile_rows ? FC_TERMS_PIXELS : mr);
    g->blocks = fc_ceil_div(pixels, g->block);
}

/* Weights that few pixels use take as long as they are read, few products of a pixel as long as it is written. */
double fc_igemm_work(const fc_igemm *g) {
    const double pixels = (double)(g->n * g->grid_h * g->grid_w), weights = (double)g->groups * (double)g->k * (double)fc_igemm_reduction(g);
    const double written = pixels * (double)(g->groups * g->k * g->esize);
    return fmax(fc_macs_ns(pixels * weights), weights * (double)g->esize / BYTES_PER_NS + written / WRITTEN_PER_NS);
}

fc_status fc_igemm_run(fc_igemm *g) {
    const ptrdiff_t pixels = g->n * g->grid_h * g->grid_w;
    if (pixels == 0 || g->k == 0) return FC_OK;
    fc_igemm_plan_panels(g);
    if (g->taps) fc_igemm_range_taps(g);
    g->matrix = g->parts || ((g->weights || !g->panels.tile_rows) && fc_igemm_matrix_pays(g));
    if (g->matrix && g->panels.tile_rows) {
        g->single_terms = 1; /* parts are made from panels of those */
        fc_igemm_plan_panels(g);
        g->single_terms = 0;
    }
    g->by_offset = g->taps > 0 && (g->dot || g->terms || g->depth <= (g->matrix ? MATRIX_OFFSET_MAX_DEPTH : OFFSET_MAX_DEPTH));
    if (g->pooled && (!g->by_offset || g->matrix || g->dot || g->terms || g->panels.tile_rows)) return FC_UNSUPPORTED;
    const ptrdiff_t mr = g->panels.main->mr;
    const int prepacked = !g->weights;
    g->raw = !prepacked && !g->transposed && !g->terms && (g->groups * g->k == g->panels.main->nr || pixels <= RAW_TILES * mr);
    g->steps = !prepacked && !g->transposed && !g->terms && g->taps > 0 && !g->by_offset && fc_igemm_steps_pay(g);
    const ptrdiff_t bytes_moved = (g->n * g->h * g->w * g->ldx + pixels * g->ldy) * g->esize;
    const int bound = !g->pooled && !fc_stores_through() && (fc_get_num_threads() > 1 || fc_igemm_reduction(g) < STREAM_REDUCTION);
    g->stream = bound && fc_streams(g->y, g->ldy * g->esize, bytes_moved) && !g->steps && !g->dot && fc_in_registers(g->activation);
    g->fetch = !g->stream && !g->pooled && (fc_stores_through() || !g->by_offset);

    const ptrdiff_t align = FC_ALIGN / g->esize;
    const ptrdiff_t zero = fc_round_up(g->depth, align), offsets = g->by_offset ? fc_igemm_reduction(g) : 0;
    const size_t offset_bytes = (size_t)fc_round_up(2 * offsets * (ptrdiff_t)sizeof *g->offset, FC_ALIGN);
    g->matrix &= !g->steps;
    const int in_place = (g->steps && !g->panels.tile_rows) || (g->matrix && !g->transposed); /* whose parts are made from the weights as they are */
    const int packs = !prepacked && !in_place;
    const size_t packed_bytes = (size_t)fc_round_up((zero + (packs ? g->groups * g->packed_group : 0)) * g->esize, FC_ALIGN);
    const size_t bytes = offset_bytes + packed_bytes + (g->matrix ? fc_igemm_matrix_bytes(g) : 0);
    char *const space = fc_scratch(FC_SLOT_CALL, bytes);
    if (!space) return FC_NO_MEMORY;
    g->offset = (ptrdiff_t *)space, g->offset_in_place = g->offset + offsets;
    char *const row = space + offset_bytes;
    memset(row, 0, (size_t)(zero * g->esize));
    g->zero = row;
    if (packs) {
        char *const packed = row + zero * g->esize;
        g->packed = packed;
        const fc_status status = fc_igemm_pack(g, packed);
        if (status != FC_OK) return status;
    }

    const ptrdiff_t weights_bytes = g->groups * g->packed_group * g->esize;
    g->far = !g->raw && !g->by_offset && 2 * weights_bytes > fc_l2_bytes();
    const double work = fc_igemm_work(g);
    if (g->by_offset) fc_igemm_plan_offsets(g);
    if (g->matrix) return fc_igemm_matrix_run(g, space + offset_bytes + packed_bytes, work);
    if (g->by_offset) return fc_parallel_for(g->n * g->blocks * g->shares, fc_pixels_work(g->few, work), offset_task, g);
    plan_blocks(g);
    return fc_parallel_for(g->groups * g->blocks * g->splits, work, pointer_task, g);
}

fc_igemm fc_igemm_of(const fc_conv2d *conv) {
    return (fc_igemm){
        .few = conv->few,
        .all_pixels = fc_whole_pixels(conv),
        .kernels = fc_kernels(conv->dtype),
        .esize = fc_esize(conv->dtype),
        .n = conv->n,
        .groups = conv->groups,
        .h = conv->h,
        .w = conv->w,
        .ldx = conv->c,
        .depth = conv->c / conv->groups,
        .grid_h = conv->oh,
        .grid_w = conv->ow,
        .stride_h = conv->stride_h,
        .stride_w = conv->stride_w,
        .oh = conv->oh,
        .ow = conv->ow,
        .ldy = conv->k,
        .k = conv->k / conv->groups,
        .step_h = 1,
        .step_w = 1,
        .activation = conv->activation,
        .pooled = conv->pooled,
        .indices = conv->indices,
        .taps = conv->kh * conv->kw,
        .beside = conv->groups == 1 && conv->dilation_w == 1 ? conv->kw : 1,
    };
}

int fc_igemm_find_taps(const fc_conv2d *conv, fc_igemm *g) {
    g->tap = fc_scratch(FC_SLOT_CALL2, (size_t)g->taps * sizeof *g->tap);
    if (!g->tap) return 0;
    for (ptrdiff_t a = 0, t = 0; a < conv->kh; a++)
        for (ptrdiff_t b = 0; b < conv->kw; b++, t++)
            g->tap[t] = (fc_tap){a * conv->dilation_h - conv->pad_top, b * conv->dilation_w - conv->pad_left, t, 0};
    return 1;
}

static fc_status run_forward(const fc_conv2d *conv, const void *x, const void *w, const void *packed, const void *bias, void *y) {
    if (fc_igemm_halves(conv) > 1) return fc_igemm_run_halves(conv, x, w, packed, bias, y);
    fc_igemm g = fc_igemm_of(conv);
    g.x = x, g.weights = w, g.bias = bias, g.y = y;
    if (packed) {
        fc_igemm_plan_panels(&g);
        if (fc_igemm_parts_bytes(conv, &g)) g.parts = packed;
        else g.packed = packed;
    }
    return fc_igemm_find_taps(conv, &g) ? fc_igemm_run(&g) : FC_NO_MEMORY;
}

fc_status fc_igemm_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    return run_forward(conv, x, w, NULL, bias, y);
}

fc_status fc_igemm_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    return run_forward(conv, x, NULL, packed, bias, y);
}
