/* The weight gradient of many groups of few channels: rows of dy are summed in registers, one vector of channels at a time. Where
 * groups are larger than one channel, the rows of x that a band of dy sees are spread to planes, as in conv2d_grouped.c, and copied with
 * their padding, or copied as they are for kernels that make the planes; else they are read where they are, and the gradient of the input can be
 * computed along with it, band by band, so that dy comes from memory once. Tasks are chunks of channels times parts of the bands; the parts are
 * added up in order at the end. */
#include "conv2d_grouped.h"

#include <assert.h>
#include <string.h>

enum {
    COPY_BYTES = 128 << 10, /* of x: a band and its dy stay in the second-level cache, */
    LONG_BYTES = 256 << 10, /* and so they do if both are copied */
    MAX_TIMES = 8,         /* up to here planes may beat a GEMM for each group */
    CHUNK = 64,            /* channels of a task, about, if x is copied, */
    LONG_CHUNK = 128,      /* if it is copied without spreading, */
    WIDE_CHUNK = 256,      /* and if it is not copied: long runs of memory */
    TASKS = 8,             /* to aim at; like the chunks the parts depend on the shape alone */
    TILE = 12,
    WIDE_TILE = 48,
    RUN_BYTES = 3 << 10,   /* see tile_columns */
    BAND_BYTES = 32 << 10, /* of dy, if x is not copied */
    PART_PIXELS = 8,       /* of a part, for each sum of a channel, if there are more tasks than TASKS */
    LINES = 2              /* of dx that are computed at once; of dy as well */
};

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *x, *dy;
    const fc_grouped_map *input; /* the gradient of the input, computed along with it, or NULL */
    ptrdiff_t planes, times; /* channels of a group of x and of dy */
    int copies, permutes; /* x is copied; kernels make the planes of the copies, with `lanes` */
    int32_t lanes[FC_GROUPED_LANES_MAX];
    ptrdiff_t chunk, chunks, parts, slots; /* slots: elements of a chunk in acc */
    ptrdiff_t copy_w, band, bands;         /* columns of a copied row, output rows of a band, bands of an image */
    char *acc;                             /* [parts][kh * kw * planes + 1][chunks][slots], the sums of dy last; part 0 receives the total */
} wgrad;

static ptrdiff_t weight_rows(const wgrad *g) { return g->conv->kh * g->conv->kw * g->planes; }

/* The last chunk has the channels that are left. */
static ptrdiff_t chunk_channels(const wgrad *g, ptrdiff_t chunk) {
    const ptrdiff_t left = g->conv->k - chunk * g->chunk;
    return chunk == g->chunks - 1 ? left : g->chunk;
}

static ptrdiff_t acc_row(const wgrad *g) { return g->chunks * g->slots; }

static ptrdiff_t part_elements(const wgrad *g) { return (weight_rows(g) + 1) * acc_row(g); }

/* Rows of x that `rows` rows of dy see. */
static ptrdiff_t rows_seen(const wgrad *g, ptrdiff_t rows) { return (rows - 1) * g->conv->stride_h + (g->conv->kh - 1) * g->conv->dilation_h + 1; }

/* Columns of x that are taken at a time, if it is not copied: few read memory in order, if they are a long run of it; many are worth
 * the loads and stores of more sums. */
static ptrdiff_t tile_columns(const fc_conv2d *c, ptrdiff_t esize) {
    return c->kw > 3 ? WIDE_TILE : fc_max(TILE, fc_min(WIDE_TILE, RUN_BYTES / (c->c * esize)));
}

/* Elements of the copies of x, and of dy where it is copied too. */
static ptrdiff_t x_elements(const wgrad *g, ptrdiff_t step) { return rows_seen(g, g->band) * g->copy_w * step * (g->permutes ? 1 : g->planes); }

static ptrdiff_t dy_elements(const wgrad *g, ptrdiff_t step) { return g->permutes ? g->band * g->conv->ow * step : 0; }

/* Copies rows top .. top + rows - 1 of an image: [plane][row][column][channel]. */
static void copy_band(const wgrad *g, ptrdiff_t image, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t first, ptrdiff_t channels, ptrdiff_t step, void *to) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t row = g->copy_w * step;
    const fc_spread_args spread = fc_grouped_spread(channels / g->times, g->planes, g->times, g->permutes, c->c, step, rows * row);
    for (ptrdiff_t r = 0; r < rows; r++) {
        const ptrdiff_t y = top + r, at = (image * c->h + y) * c->w * c->c + first / g->times * g->planes;
        fc_spread_padded_row(&g->kernels->depthwise, &spread, y < 0 || y >= c->h ? NULL : fc_at(g->x, at, g->esize), c->w, -c->pad_left,
                             fc_at_mut(to, r * row, g->esize), g->copy_w, g->esize);
    }
}

/* Rows of dy from `row` on, whose kernel rows `taps` see the rows of x from `x` on. acc is that of the channels. */
static void add_rows(const wgrad *g, fc_depthwise_wgrad_args *args, ptrdiff_t row, ptrdiff_t first, const void *x, fc_span taps, char *acc,
                     ptrdiff_t plane) {
    const fc_conv2d *const c = g->conv;
    args->dy = fc_at(g->dy, row * c->ow * c->k + first, g->esize);
    args->x = x;
    args->rows = fc_max(0, taps.end - taps.first);
    args->acc = acc + (taps.first * c->kw * g->planes + plane) * acc_row(g) * g->esize;
    args->bias = plane ? NULL : acc + weight_rows(g) * acc_row(g) * g->esize;
    g->kernels->depthwise.wgrad(args);
}

/* The same for all planes, which kernels make of the copies; dy is copied too, for it is read for each kernel row. */
static void add_groups(const wgrad *g, fc_depthwise_wgrad_args *args, ptrdiff_t row, ptrdiff_t first, const void *copy, char *acc, void *dy) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t channels = args->channels, pixels = args->lines * c->ow;
    const fc_spread_args spread = {channels, 1, 1, c->k, args->dy_step, 0};
    g->kernels->depthwise.spread(&spread, fc_at(g->dy, row * c->ow * c->k + first, g->esize), dy, pixels);
    args->dy = dy;
    args->x = copy;
    args->rows = c->kh;
    args->acc = acc;
    g->kernels->depthwise.groups_wgrad(args);
    /* Whole vectors, the last of which may overlap the one before it, as in the rows of weights. */
    const ptrdiff_t lanes = g->kernels->gemm.lanes, whole = channels / lanes * lanes;
    void *const sums = acc + weight_rows(g) * acc_row(g) * g->esize;
    g->kernels->frame.column_sums(dy, args->dy_step, pixels, whole, sums);
    if (whole < channels)
        g->kernels->frame.column_sums(fc_at(dy, channels - lanes, g->esize), args->dy_step, pixels, lanes, fc_at_mut(sums, whole, g->esize));
}

static void add_copied(const wgrad *g, fc_depthwise_wgrad_args *args, ptrdiff_t image, ptrdiff_t i0, ptrdiff_t rows, ptrdiff_t first, char *acc,
                       void *copy) {
    const fc_conv2d *const c = g->conv;
    const fc_span taps = {0, c->kh};
    const ptrdiff_t copied = rows_seen(g, rows), line = g->copy_w * args->x_step;
    args->lines = rows;
    copy_band(g, image, i0 * c->stride_h - c->pad_top, copied, first, args->channels, args->x_step, copy);
    if (g->permutes) {
        add_groups(g, args, image * c->oh + i0, first, copy, acc, fc_at_mut(copy, x_elements(g, args->x_step), g->esize));
        return;
    }
    for (ptrdiff_t j = 0; j < g->planes; j++) add_rows(g, args, image * c->oh + i0, first, fc_at(copy, j * copied * line, g->esize), taps, acc, j);
}

/* The kernel rows of output row i that lie in the image. */
static fc_span taps_inside(const fc_conv2d *c, ptrdiff_t i) { return fc_clip(i * c->stride_h - c->pad_top, c->dilation_h, c->kh, c->h); }

static void add_in_place(const wgrad *g, fc_depthwise_wgrad_args *args, ptrdiff_t image, ptrdiff_t i0, ptrdiff_t rows, ptrdiff_t first, char *acc) {
    const fc_conv2d *const c = g->conv;
    for (ptrdiff_t i = i0; i < i0 + rows; i += args->lines) {
        const fc_span taps = taps_inside(c, i);
        for (args->lines = 1; i + args->lines < i0 + rows; args->lines++) {
            const fc_span below = taps_inside(c, i + args->lines);
            if (below.first != taps.first || below.end != taps.end) break;
        }
        if (args->lines > LINES) args->lines -= args->lines % LINES;
        const ptrdiff_t top = image * c->h + i * c->stride_h - c->pad_top, more = (args->lines - 1) * c->stride_h;
        const ptrdiff_t next = top + more + (taps.end - 1) * c->dilation_h + 1, dy_next = image * c->oh + i + args->lines;
        args->x_next = taps.end > taps.first && next + more < c->n * c->h ? fc_at(g->x, next * c->w * c->c + first, g->esize) : NULL;
        /* The gradient of the input has asked for dy already where it needs a row of it for each of its own. */
        const int asked = g->input && c->stride_h == 1;
        args->dy_next = !asked && dy_next + args->lines <= c->n * c->oh ? fc_at(g->dy, dy_next * c->ow * c->k + first, g->esize) : NULL;
        const ptrdiff_t row = top + taps.first * c->dilation_h;
        add_rows(g, args, image * c->oh + i, first, fc_at(g->x, row * c->w * c->c + first, g->esize), taps, acc, 0);
    }
}

/* The rows of dx that go with a band of dy, all of whose rows the gradient of the weights needs as well. */
static fc_status input_rows(const wgrad *g, ptrdiff_t image, ptrdiff_t i0, ptrdiff_t rows) {
    const fc_conv2d *const c = g->conv;
    return fc_grouped_input_rows(g->input, image, i0 * c->stride_h, i0 + rows == c->oh ? c->h : (i0 + rows) * c->stride_h);
}

/* A chunk of channels of a part of the bands, or, with dx, all chunks, band by band. */
static fc_status band_task(const void *context, ptrdiff_t task) {
    const wgrad *const g = context;
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t part = task % g->parts, all = c->n * g->bands, last = all * (part + 1) / g->parts;
    const ptrdiff_t first_chunk = g->input ? 0 : task / g->parts, end_chunk = g->input ? g->chunks : first_chunk + 1;
    const ptrdiff_t channels = chunk_channels(g, first_chunk);
    const ptrdiff_t spread = g->permutes ? fc_grouped_step(g->kernels, channels, g->esize) : fc_round_up(channels, g->kernels->gemm.lanes);
    const ptrdiff_t step = g->copies ? spread : c->c;
    void *copy = NULL;
    if (g->copies) {
        copy = fc_scratch(FC_SLOT_TASK, (size_t)((x_elements(g, step) + dy_elements(g, step)) * g->esize));
        if (!copy) return FC_NO_MEMORY;
    }
    char *const acc = g->acc + part * part_elements(g) * g->esize;
    for (ptrdiff_t r = 0; r <= weight_rows(g); r++)
        memset(acc + (r * acc_row(g) + first_chunk * g->slots) * g->esize, 0, (size_t)((end_chunk - first_chunk) * g->slots * g->esize));
    fc_depthwise_wgrad_args args = {
        .x_step = step,
        .x_advance = c->stride_h * step * (g->copies ? g->copy_w : c->w),
        .x_line = c->dilation_h * step * (g->copies ? g->copy_w : c->w),
        .dy_step = g->permutes ? step : c->k,
        .dy_line = c->ow * (g->permutes ? step : c->k),
        .lines = 1,
        .column = g->copies ? 0 : -c->pad_left,
        .width = g->copies ? g->copy_w : c->w,
        .advance = c->stride_w,
        .spread = c->dilation_w,
        .pixels = c->ow,
        .taps = c->kw,
        .tile = g->copies ? c->ow : fc_max(1, tile_columns(c, g->esize) / c->stride_w),
        .ldw = g->planes * acc_row(g),
        .lanes = g->lanes,
        .planes = g->planes,
        .times = g->times,
        .ld_plane = acc_row(g),
    };
    for (ptrdiff_t b = all * part / g->parts; b < last; b++) {
        const ptrdiff_t image = b / g->bands, i0 = b % g->bands * g->band, rows = b % g->bands == g->bands - 1 ? c->oh - i0 : g->band;
        const fc_status status = g->input ? input_rows(g, image, i0, rows) : FC_OK;
        if (status != FC_OK) return status;
        for (ptrdiff_t chunk = first_chunk; chunk < end_chunk; chunk++) {
            const ptrdiff_t first = chunk * g->chunk;
            char *const sums = acc + chunk * g->slots * g->esize;
            args.channels = chunk_channels(g, chunk);
            if (copy) add_copied(g, &args, image, i0, rows, first, sums, copy);
            else add_in_place(g, &args, image, i0, rows, first, sums);
        }
    }
    if (g->input && g->input->stream) g->kernels->frame.stream_end();
    return FC_OK;
}

static void plan(wgrad *g) {
    const fc_conv2d *const c = g->conv;
    const ptrdiff_t k = c->k;
    g->copies = g->planes > 1 || g->times > 1;
    /* Whole groups, and whole lines of the cache if it can be. */
    const ptrdiff_t about = g->permutes ? LONG_CHUNK : g->copies ? fc_max(1, CHUNK / g->planes) : WIDE_CHUNK;
    g->chunk = fc_min(k, fc_round_up(fc_ceil_div(k, fc_ceil_div(k, about)), FC_ALIGN / g->esize));
    if (g->times > 1) g->chunk = fc_min(k, fc_round_up(g->chunk, g->times));
    g->chunks = fc_ceil_div(k, g->chunk);
    if (g->permutes) g->chunks = k / g->chunk; /* at least a vector each */
    g->slots = fc_round_up(fc_max(g->chunk, chunk_channels(g, g->chunks - 1)), g->kernels->gemm.lanes);
    g->copy_w = (c->ow - 1) * c->stride_w + (c->kw - 1) * c->dilation_w + 1;
    const ptrdiff_t bytes = g->permutes ? LONG_BYTES : COPY_BYTES, planes = g->permutes ? 1 : g->planes, dy_w = g->permutes ? c->ow : 0;
    const ptrdiff_t pixel = g->chunk * planes * g->esize, fits = (bytes / pixel - rows_seen(g, 1) * g->copy_w) / (g->copy_w * c->stride_h + dy_w);
    g->band = fc_max(1, fc_min(c->oh, fits + 1));
    g->bands = fc_ceil_div(c->oh, g->band);
    g->band = fc_ceil_div(c->oh, g->bands);
    g->bands = fc_ceil_div(c->oh, g->band);
    g->parts = fc_max(1, fc_min(c->n * g->bands, TASKS / g->chunks));
    if (g->copies) return;
    /* Whole pairs of lines, and bands for all tasks if it can be; the last band has the rest. */
    const ptrdiff_t pairs = fc_min(BAND_BYTES / (LINES * c->ow * k * g->esize), c->n * c->oh / (LINES * TASKS));
    g->band = fc_min(c->oh, LINES * fc_max(1, pairs));
    g->bands = c->oh / g->band;
    const ptrdiff_t worth = c->n * c->oh * c->ow / (PART_PIXELS * (weight_rows(g) + 1));
    g->parts = fc_max(1, fc_min(c->n * g->bands, fc_max(TASKS / g->chunks, fc_min(worth, TASKS))));
}

/* Of few channels a vector has several parts of a sum. */
static void add_repeated(const wgrad *g) {
    const ptrdiff_t lanes = g->kernels->gemm.lanes, k = g->conv->k;
    for (ptrdiff_t r = 0; r <= weight_rows(g); r++)
        for (ptrdiff_t m = 1; m < lanes / k; m++) {
            char *const row = g->acc + r * acc_row(g) * g->esize;
            g->kernels->frame.add_into(row + m * k * g->esize, row, k);
        }
}

/* Rows of acc -> rows of dw or db. */
static void unpack(const wgrad *g, ptrdiff_t row, ptrdiff_t rows, void *to) {
    const ptrdiff_t lanes = g->kernels->gemm.lanes, k = g->conv->k;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t chunk = 0; chunk < g->chunks; chunk++) {
            const ptrdiff_t first = chunk * g->chunk, channels = chunk_channels(g, chunk);
            const ptrdiff_t rest = channels < lanes ? 0 : channels % lanes, whole = channels - rest;
            const char *const from = g->acc + ((row + r) * acc_row(g) + chunk * g->slots) * g->esize;
            char *const out = (char *)to + (r * k + first) * g->esize;
            memcpy(out, from, (size_t)(whole * g->esize));
            memcpy(out + whole * g->esize, from + (whole + lanes - rest) * g->esize, (size_t)(rest * g->esize));
        }
}

/* Whether kernels make the planes. */
static int in_registers(const fc_conv2d *conv) {
    const ptrdiff_t planes = conv->c / conv->groups, times = conv->k / conv->groups;
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    return kernels->depthwise.groups_wgrad && fc_grouped_in_registers(kernels, planes, times) && conv->kw == 3 && planes % 4 == 0 &&
           conv->ow >= FC_GROUPED_PIXELS && conv->k >= kernels->gemm.lanes &&
           (conv->stride_w == conv->dilation_w || conv->stride_w == 2 * conv->dilation_w);
}

/* Whether planes beat a GEMM for each group. Pixels that strides leave out are spread in vain; groups of dy that do not divide a vector are
 * spread from more vectors. */
static int planes_pay(const fc_conv2d *conv, ptrdiff_t planes, ptrdiff_t times) {
    const int strided = conv->stride_h * conv->stride_w > 1, single = conv->kh * conv->kw == 1;
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes;
    if (planes == 1 && times == 1) return 1;
    if (single) return planes <= 3 && planes * times < 8;
    if (planes == 1) return times <= (strided ? 8 : 24);
    if (times == 1) return planes <= (strided ? 16 : 4);
    if (times > MAX_TIMES || planes > 2 * lanes) return 0;
    if (times == 2) return planes <= 8;
    if (times == 4 || times == 8) return planes <= (4 * times <= lanes ? 9 : 2 * times <= lanes && !strided ? 6 : 4);
    return planes <= (strided && times > 3 ? 2 : 3);
}

int fc_grouped_backward_weights_applies(const fc_conv2d *conv) {
    return conv->groups > 1 && (in_registers(conv) || planes_pay(conv, conv->c / conv->groups, conv->k / conv->groups));
}

/* With `w` and `dx` the gradient of the input as well. */
static fc_status run(const fc_conv2d *conv, const void *dy, const void *x, const void *w, void *dx, void *dw, void *db) {
    fc_grouped_map input;
    wgrad g = {.conv = conv,
               .kernels = fc_kernels(conv->dtype),
               .esize = fc_esize(conv->dtype),
               .x = x,
               .dy = dy,
               .planes = conv->c / conv->groups,
               .times = conv->k / conv->groups};
    g.permutes = in_registers(conv);
    if (g.permutes) fc_grouped_lanes(g.kernels, g.planes, g.times, g.lanes);
    plan(&g);
    const double macs = (double)(conv->n * conv->oh) * (double)(conv->ow * conv->k) * (double)weight_rows(&g);
    if (dx) {
        /* With more threads than parts the gradient of the input alone has more tasks. */
        if (g.copies || g.parts < fc_get_num_threads() || conv->oh > fc_ceil_div(conv->h, conv->stride_h)) return FC_UNSUPPORTED;
        const fc_status status = fc_grouped_plan_input(conv, dy, w, dx, &input);
        if (status != FC_OK || input.held) return status == FC_OK ? FC_UNSUPPORTED : status;
        g.input = &input;
    }
    g.acc = fc_scratch(FC_SLOT_CALL2, (size_t)(g.parts * part_elements(&g) * g.esize));
    if (!g.acc) return FC_NO_MEMORY;
    const fc_status status = fc_parallel_for((dx ? 1 : g.chunks) * g.parts, (dx ? 8 : 4) * fc_macs_ns(macs), band_task, &g);
    if (status != FC_OK) return status;
    for (ptrdiff_t p = 1; p < g.parts; p++) g.kernels->frame.add_into(g.acc + p * part_elements(&g) * g.esize, g.acc, part_elements(&g));
    add_repeated(&g);
    if (dw) unpack(&g, 0, weight_rows(&g), dw);
    if (db) unpack(&g, weight_rows(&g), 1, db);
    return FC_OK;
}

fc_status fc_grouped_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    if (fc_depthwise_gradients_apply(conv)) return fc_depthwise_gradients(conv, dy, x, NULL, NULL, dw, db);
    return run(conv, dy, x, NULL, NULL, dw, db);
}

fc_status fc_grouped_backward(const fc_conv2d *conv, const void *dy, const void *x, const void *w, void *dx, void *dw, void *db) {
    assert(dx);
    if (fc_depthwise_gradients_apply(conv)) return fc_depthwise_gradients(conv, dy, x, w, dx, dw, db);
    return run(conv, dy, x, w, dx, dw, db);
}
