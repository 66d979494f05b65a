/* Convolution of many groups of few channels, depthwise among them: vectors run along the channels of the output.
 *
 * With p input channels and m output channels per group it is the sum of p depthwise convolutions. The input of the j-th has channel
 * j of each group, m times over: rows of the input are spread to p such planes, copied with their padding; or they are copied as they
 * are, and kernels make the planes in registers, where the groups that fill a vector have no more channels of the input than that. A
 * depthwise convolution reads its input where it is, or copies with their padding where several pixels are a vector. Kernel rows outside
 * of the image are left out, or rows of zeros where several rows of the output are computed at once. Forward and input gradient are one
 * map from rows to rows, with two ways of finding the taps; weights are transposed for the latter. */
#include "conv2d_grouped.h"
#include "conv2d_phases.h"

#include <assert.h>
#include <string.h>

enum {
    TASK_ELEMENTS = 1 << 15, /* of the output, in one task */
    CROWDED_BYTES = 2048,
    NARROW = 6,
    STREAM_INPUTS = 2, /* results go past the caches if they are so many times their input */
    COPY_BYTES = 20 << 10, /* of copied rows: they stay in the first-level cache, */
    LONG_BYTES = 64 << 10, /* or, for long runs of memory, in the second-level cache where a row is read once for all planes */
    TILE_BYTES = 16 << 10,
    MIN_TILE = 8, /* of the input that a walk sees, and pixels of it */
    WAYS = 8,
    FLAT_LINES = 8, /* of few channels, in a call, */
    FLAT_PIXELS = 3, /* so many pixels of which fill a vector */
    SETS_BYTES = 4096 /* of a first-level cache */
};

typedef fc_grouped_map map;

static phase row_phase(const map *job, ptrdiff_t i) {
    const fc_conv2d *const c = &job->conv;
    return (job->gradient ? gradient_phase : forward_phase)(i, c->kh, c->stride_h, c->dilation_h, c->pad_top);
}

static phase column_phase(const map *job, ptrdiff_t j) {
    const fc_conv2d *const c = &job->conv;
    return (job->gradient ? gradient_phase : forward_phase)(j, c->kw, c->stride_w, c->dilation_w, c->pad_left);
}

static ptrdiff_t column_phases(const map *job) { return fc_min(column_phase(job, 0).step, job->ow); }

static ptrdiff_t phase_pixels(const map *job, const phase *p) { return (job->ow - 1 - p->first) / p->step + 1; }

/* Whether kernels make the planes. */
static int permutes(const map *job) { return job->copied < job->planes; }

/* Elements from pixel to pixel of copies of so many channels. */
static ptrdiff_t copy_step(const map *job, ptrdiff_t channels) {
    if (job->flat) return channels;
    return permutes(job) ? fc_grouped_step(job->kernels, channels, job->esize) : fc_round_up(channels, job->kernels->gemm.lanes);
}

/* Elements that may be read behind copies. */
static ptrdiff_t slack(const map *job) { return job->flat ? 4 * job->kernels->gemm.lanes : 0; }

/* One task's part of the work. */
typedef struct {
    ptrdiff_t first, channels; /* of the output */
    ptrdiff_t step;            /* elements from column to column of the input or its copies */
    const void **x, **w;       /* the kernel rows that take part in an output row, each with its planes */
    ptrdiff_t *which;          /* the rows of the input in `copies`, -1: none */
    void *copies;
    const void *weights; /* [taps][planes][ldw], of the channels */
    ptrdiff_t ldw;
} share;

static int allocate(const map *job, share *s) {
    const ptrdiff_t list = job->conv.kh * job->planes, x_list = list + (job->lines - 1) * job->conv.stride_h * job->planes;
    const ptrdiff_t lists = fc_round_up((x_list + list + job->held) * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const ptrdiff_t copies = job->held * job->copied * job->copy_w * s->step, weights = job->held && !job->flat ? list * job->conv.kw * s->step : 0;
    char *const memory = fc_scratch(FC_SLOT_TASK, (size_t)(lists + (copies + weights + slack(job)) * job->esize));
    if (!memory) return 0;
    s->x = (const void **)(void *)memory;
    s->w = s->x + x_list;
    s->which = (ptrdiff_t *)(void *)(s->w + list);
    for (ptrdiff_t i = 0; i < job->held; i++) s->which[i] = -1;
    s->copies = memory + lists;
    const void *const from = fc_at(job->weights, s->first, job->esize);
    void *const to = fc_at_mut(s->copies, copies, job->esize);
    s->weights = weights ? to : from;
    s->ldw = weights ? s->step : job->out_c;
    if (job->flat) memset(s->copies, 0, (size_t)(copies * job->esize));
    if (weights) job->kernels->frame.pack(from, job->out_c, list * job->conv.kw, s->channels, to, s->step);
    return 1;
}

/* Row r of all images of the input, as planes; from column `left` on if they are copied. */
static const void *input_row(const map *job, const share *s, ptrdiff_t r) {
    if (!job->held) return job->tail && r == job->conv.n * job->h - 1 ? job->tail : fc_at(job->in, r * job->w * job->in_c + s->first, job->esize);
    const ptrdiff_t plane = job->copy_w * s->step, slot = r % job->held;
    void *const copy = fc_at_mut(s->copies, slot * job->copied * plane, job->esize);
    if (s->which[slot] == r) return copy;
    s->which[slot] = r;
    if (job->flat) {
        /* What is outside stays zero. */
        const ptrdiff_t first = fc_max(0, job->left), end = fc_min(job->w, job->left + job->copy_w), at = (r * job->w + first) * job->in_c;
        if (first < end)
            memcpy(fc_at_mut(copy, (first - job->left) * job->in_c, job->esize), fc_at(job->in, at, job->esize),
                   (size_t)((end - first) * job->in_c * job->esize));
        return copy;
    }
    const fc_spread_args spread = fc_grouped_spread(s->channels / job->times, job->planes, job->times, permutes(job), job->in_c, s->step, plane);
    const void *const row = fc_at(job->in, r * job->w * job->in_c + s->first / job->times * job->planes, job->esize);
    fc_spread_padded_row(&job->kernels->depthwise, &spread, row, job->w, job->left, copy, job->copy_w, job->esize);
    return copy;
}

/* The row of all images of the input that follows those which `lines` output rows read, and how many of them the next ones need. */
static void fetch_next(const map *job, const share *s, const phase *vertical, ptrdiff_t last, fc_depthwise_args *args) {
    const fc_conv2d *const c = &job->conv;
    args->next = fc_at(job->in, (last + 1) * job->w * job->in_c + s->first / job->times * job->planes, job->esize);
    args->next_step = job->in_c;
    args->next_elements = fc_min(args->lines * vertical->advance / vertical->step, c->n * job->h - 1 - last) * job->w * job->in_c;
}

/* Output rows i .. i + lines - 1 of an image. */
static void run_rows(const map *job, const share *s, ptrdiff_t image, ptrdiff_t i, ptrdiff_t lines, void *to) {
    const fc_conv2d *const c = &job->conv;
    const phase vertical = row_phase(job, i);
    const ptrdiff_t line_rows = vertical.advance / vertical.spread, seen = vertical.taps + (lines - 1) * line_rows;
    const fc_span inside = fc_clip(vertical.base, vertical.spread, seen, job->h), all = {0, seen}, taken = job->zeros ? all : inside;
    const ptrdiff_t rows = fc_max(0, taken.end - taken.first - (lines - 1) * line_rows), first = image * job->h + vertical.base;
    for (ptrdiff_t r = taken.first; r < taken.end; r++) {
        const void *const row = r >= inside.first && r < inside.end ? input_row(job, s, first + r * vertical.spread) : job->zeros;
        for (ptrdiff_t j = 0; j < job->planes; j++)
            s->x[(r - taken.first) * job->planes + j] = fc_at(row, j % job->copied * job->copy_w * s->step, job->esize);
    }
    fc_depthwise_args args = {
        .x = s->x,
        .w = s->w,
        .lanes = permutes(job) ? job->lanes : NULL,
        .planes = job->planes,
        .times = job->times,
        .rows = rows * job->planes,
        .x_step = s->step,
        .few = job->flat                ? FC_FEW_FLAT
               : job->held || job->tail ? FC_FEW_WHOLE
                                        : FC_FEW_ALONE,
        .width = job->held ? job->copy_w : job->w,
        .lines = lines,
        .line_rows = line_rows * job->planes,
        .channels = s->channels,
        .bias = job->bias ? fc_at(job->bias, s->first, job->esize) : NULL,
        .y_line = job->ow * job->out_c,
        .relu = c->activation == FC_RELU,
        .stream = job->stream,
    };
    const ptrdiff_t phases = column_phases(job), last = first + (inside.end - 1) * vertical.spread;
    if (rows && (!job->held || permutes(job)) && last + 1 < c->n * job->h) fetch_next(job, s, &vertical, last, &args);
    for (ptrdiff_t phase_index = 0; phase_index < phases; phase_index++) {
        const phase p = column_phase(job, phase_index);
        for (ptrdiff_t r = 0; r < rows; r++) {
            const ptrdiff_t source = (vertical.source + (taken.first + r) * vertical.source_step) * c->kw + p.source;
            for (ptrdiff_t j = 0; j < job->planes; j++)
                s->w[r * job->planes + j] = fc_at(s->weights, (source * job->planes + j) * s->ldw, job->esize);
        }
        args.column = p.base - (job->held ? job->left : 0);
        args.taps = p.taps;
        args.ldw = p.source_step * job->planes * s->ldw;
        args.advance = p.advance;
        args.spread = p.spread;
        args.pixels = phase_pixels(job, &p);
        args.y = fc_at_mut(to, p.first * job->out_c, job->esize);
        args.y_step = p.step * job->out_c;
        (permutes(job) ? job->kernels->depthwise.groups : job->kernels->depthwise.convolve)(&args);
        args.next = NULL, args.next_elements = 0;
    }
}

/* Rows begin .. end - 1 of an image. */
static void run_part(const map *job, const share *s, ptrdiff_t image, ptrdiff_t begin, ptrdiff_t end) {
    const fc_activation activation = job->conv.activation;
    char *const to = fc_at_mut(job->out, image * job->oh * job->ow * job->out_c + s->first, job->esize);
    const ptrdiff_t row = job->ow * job->out_c;
    for (ptrdiff_t i = begin; i < end; i += job->lines) {
        /* The last row alone where there is a walk for that, else once more the row before it too. */
        const ptrdiff_t left = end - (job->walks_lines ? i : begin), lines = fc_min(job->lines, left), at = fc_min(i, end - lines);
        run_rows(job, s, image, at, lines, to + at * row * job->esize);
    }
    if (fc_in_registers(activation)) return;
    for (ptrdiff_t j = begin * job->ow; j < end * job->ow; j++) {
        void *const pixel = to + j * job->out_c * job->esize;
        job->kernels->elementwise.activation[activation](pixel, pixel, s->channels);
    }
}

static fc_status map_task(const void *context, ptrdiff_t task) {
    const map *const job = context;
    const ptrdiff_t chunk = task % job->chunks, part = task / job->chunks % job->parts;
    const ptrdiff_t first = task / job->chunks / job->parts * job->images, last = fc_min(job->conv.n, first + job->images);
    share s = {.first = chunk * job->chunk, .channels = fc_min(job->chunk, job->out_c - chunk * job->chunk)};
    s.step = job->held ? copy_step(job, s.channels) : job->in_c;
    if (!allocate(job, &s)) return FC_NO_MEMORY;
    const ptrdiff_t groups = fc_ceil_div(job->oh, job->lines), begin = groups * part / job->parts * job->lines;
    const ptrdiff_t end = fc_min(job->oh, groups * (part + 1) / job->parts * job->lines);
    for (ptrdiff_t image = first; image < last; image++) run_part(job, &s, image, begin, end);
    if (job->stream) job->kernels->frame.stream_end();
    return FC_OK;
}

/* The columns that the pixels of all phases read. */
static void plan_copies(map *job) {
    const fc_conv2d *const c = &job->conv;
    ptrdiff_t right = PTRDIFF_MIN;
    job->left = PTRDIFF_MAX;
    for (ptrdiff_t j = 0; j < column_phases(job); j++) {
        const phase p = column_phase(job, j);
        if (!p.taps) continue;
        job->left = fc_min(job->left, p.base);
        right = fc_max(right, p.base + (phase_pixels(job, &p) - 1) * p.advance + (p.taps - 1) * p.spread);
    }
    if (right < job->left) job->left = 0, right = 0;
    job->copy_w = right - job->left + 1;
    job->held = fc_min(job->h, (c->kh - 1) * c->dilation_h + 1 + (job->lines - 1) * c->stride_h);
    const ptrdiff_t column = job->held * job->copied * job->copy_w * job->esize;
    /* Whole groups, whole vectors, whole lines of the cache. */
    const ptrdiff_t line = FC_ALIGN / job->esize, unit = job->times / gcd(job->times, line) * line;
    job->chunk = fc_min(job->out_c, unit * fc_max(1, (permutes(job) ? LONG_BYTES : COPY_BYTES) / (column * unit)));
    job->chunks = fc_ceil_div(job->out_c, job->chunk);
}

/* w_hwio[tap][i][group * planes + j] -> [tap][j][group * times + i] */
static void transpose_weights(const map *job, const void *w, void *to) {
    const fc_conv2d *const c = &job->conv;
    for (ptrdiff_t tap = 0; tap < c->kh * c->kw; tap++)
        for (ptrdiff_t group = 0; group < c->groups; group++)
            job->kernels->frame.transpose(fc_at(w, tap * job->times * job->in_c + group * job->planes, job->esize), job->in_c,
                                          fc_at_mut(to, tap * job->planes * job->out_c + group * job->times, job->esize), job->out_c, job->times,
                                          job->planes);
}

/* Whether copies of rows are worth their time where nothing is spread and there is no walk: pixels so far apart fall into few sets of
 * the cache, and pixels at the border of a narrow image are many. */
static int copies_pay(const map *job) {
    const fc_conv2d *const c = &job->conv;
    return job->in_c * job->esize % CROWDED_BYTES == 0 || (c->kw - 1) * c->dilation_w * NARROW >= job->w;
}

/* Two rows of the output at once where kernels walk along both, 3x3, 5x5 or 7x7 taps as far apart in both directions, or make planes for both.
 * More of them where several pixels are one vector. */
static void plan_lines(map *job) {
    const fc_conv2d *const c = &job->conv;
    const phase rows = row_phase(job, 0), columns = column_phase(job, 0);
    const ptrdiff_t shift = columns.advance / columns.spread;
    const int shares =
        permutes(job) && c->kw == 3 && shift == 1 && columns.taps == c->kw && rows.taps == c->kh && rows.step == 1 && rows.advance == rows.spread;
    const ptrdiff_t lanes = job->kernels->gemm.lanes;
    const int single = job->planes == 1 && job->times == 1 && job->out_c < lanes;
    const int flat = single && rows.step == 1 && columns.step == 1 && columns.advance == 1 && c->kh * c->kw <= FC_FLAT_TAPS;
    /* Rows that are too short reach beyond the one after them. */
    const int whole = !single || (job->kernels->depthwise.partial && job->w * job->in_c >= lanes && !(flat && FLAT_PIXELS * job->out_c <= lanes));
    const int walks = whole && job->planes == 1 && c->kh == c->kw && (c->kh == 3 || c->kh == 5 || c->kh == 7) && rows.taps == c->kh &&
                      columns.taps == c->kw && rows.step == 1 && rows.advance == shift * rows.spread && shift <= 2;
    job->lines = (walks || shares) && job->oh > 1 ? 2 : 1;
    job->walks_lines = walks && c->kh == 3 && shift == 1;
    job->reaches = walks && single;
    if (walks || !flat) return;
    job->flat = 1;
    job->lines = rows.advance % rows.spread ? 1 : fc_min(job->oh, FLAT_LINES);
    job->walks_lines = 1;
}

static fc_status plan_map(map *job) {
    const fc_conv2d *const c = &job->conv;
    job->kernels = fc_kernels(c->dtype);
    job->esize = fc_esize(c->dtype);
    job->planes = job->in_c / c->groups;
    job->times = job->out_c / c->groups;
    job->chunk = job->out_c;
    job->chunks = 1;
    job->copied = fc_grouped_makes_planes(&job->conv, job->gradient) ? 1 : job->planes;
    if (permutes(job)) fc_grouped_lanes(job->kernels, job->planes, job->times, job->lanes);
    plan_lines(job);
    if (job->planes > 1 || job->times > 1 || job->flat || (job->lines == 1 && copies_pay(job))) plan_copies(job);
    const int transposes = job->gradient && (job->planes > 1 || job->times > 1);
    const ptrdiff_t weights = transposes ? fc_round_up(c->kh * c->kw * job->planes * job->out_c * job->esize, FC_ALIGN) : 0;
    const ptrdiff_t row = job->held ? job->copy_w * copy_step(job, job->chunk) : job->w * job->in_c;
    const ptrdiff_t reach = fc_max(slack(job), job->reaches ? job->kernels->gemm.lanes : 0);
    const ptrdiff_t zeros = job->lines > 1 ? fc_round_up((row + reach) * job->esize, FC_ALIGN) : 0;
    /* The last row of the input, behind which nothing may be read. */
    const ptrdiff_t tail = !job->held && job->reaches && c->n > 0 ? (row + reach) * job->esize : 0;
    char *const memory = weights + zeros + tail ? fc_scratch(FC_SLOT_CALL, (size_t)(weights + zeros + tail)) : NULL;
    if (weights + zeros + tail && !memory) return FC_NO_MEMORY;
    if (tail) job->tail = memcpy(memory + weights + zeros, fc_at(job->in, (c->n * job->h - 1) * row, job->esize), (size_t)(row * job->esize));
    if (transposes) {
        transpose_weights(job, job->weights, memory);
        job->weights = memory;
    }
    if (zeros) job->zeros = memset(memory + weights, 0, (size_t)zeros);
    const ptrdiff_t outputs = c->n * job->oh * job->ow * job->out_c, inputs = c->n * job->h * job->w * job->in_c;
    /* A line of the cache at a time: halves of them, which several others come between, may take six times as long. */
    job->stream = !permutes(job) && job->lines == 1 && outputs >= STREAM_INPUTS * inputs && job->kernels->gemm.lanes * job->esize == FC_ALIGN &&
                  fc_streams(job->out, job->chunk * job->esize, (outputs + inputs) * job->esize) && job->out_c * job->esize % FC_ALIGN == 0 &&
                  fc_in_registers(c->activation);
    return FC_OK;
}

static fc_status run_map(map *job) {
    const fc_conv2d *const c = &job->conv;
    const fc_status status = plan_map(job);
    if (status != FC_OK) return status;
    const ptrdiff_t image = job->oh * job->ow * job->chunk;
    job->images = fc_max(1, fc_min(c->n, TASK_ELEMENTS / image));
    job->parts = fc_max(1, fc_min(job->oh / job->lines, image / TASK_ELEMENTS));
    const double macs = (double)(c->n * job->oh * job->ow) * (double)job->out_c * (double)(c->kh * c->kw * job->planes);
    return fc_parallel_for(fc_ceil_div(c->n, job->images) * job->parts * job->chunks, 4 * fc_macs_ns(macs), map_task, job);
}

fc_status fc_grouped_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    map job = {.conv = *conv,
               .in = x,
               .weights = w,
               .bias = bias,
               .out = y,
               .h = conv->h,
               .w = conv->w,
               .oh = conv->oh,
               .ow = conv->ow,
               .in_c = conv->c,
               .out_c = conv->k};
    return run_map(&job);
}

static map input_map(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    map job = {.conv = *conv,
               .gradient = 1,
               .in = dy,
               .weights = w,
               .out = dx,
               .h = conv->oh,
               .w = conv->ow,
               .oh = conv->h,
               .ow = conv->w,
               .in_c = conv->k,
               .out_c = conv->c};
    job.conv.activation = FC_LINEAR;
    return job;
}

fc_status fc_grouped_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    /* Walks add the same terms in the same order. */
    if (conv->stride_h > 1 && fc_depthwise_gradients_apply(conv)) return fc_depthwise_gradients(conv, dy, NULL, w, dx, NULL, NULL);
    map job = input_map(conv, dy, w, dx);
    return run_map(&job);
}

fc_status fc_grouped_plan_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx, fc_grouped_map *job) {
    *job = input_map(conv, dy, w, dx);
    return plan_map(job);
}

fc_status fc_grouped_input_rows(const fc_grouped_map *job, ptrdiff_t image, ptrdiff_t begin, ptrdiff_t end) {
    share s = {.channels = job->out_c, .step = job->in_c};
    assert(!job->held);
    if (!allocate(job, &s)) return FC_NO_MEMORY;
    run_part(job, &s, image, begin, end);
    return FC_OK;
}
