/* Convolution of NCHW by way of NHWC: images, or bands of their rows, are transposed, computed and transposed back while they stay in the
 * caches. */
#include "conv2d_internal.h"

/* Some rows of pixels of images that are NCHW on one side, in arrays of `pixels` pixels an image, and NHWC on the other, by themselves. */
typedef struct {
    ptrdiff_t images, channels, pixels, first, count;
} some_pixels;

/* Channels of a task: their planes are walked from end to end. */
enum { TASK_CHANNELS = 32 };

typedef struct {
    const fc_frame_kernels *frame;
    const some_pixels *of;
    int to_nchw;
    const char *in;
    char *out;
    ptrdiff_t esize, tasks; /* of an image */
} transposition;

static fc_status transpose_task(const void *context, ptrdiff_t task) {
    const transposition *const t = context;
    const some_pixels *const p = t->of;
    const ptrdiff_t n = task / t->tasks, c = task % t->tasks * TASK_CHANNELS, channels = fc_min(TASK_CHANNELS, p->channels - c);
    const ptrdiff_t nchw = (n * p->channels + c) * p->pixels + p->first, nhwc = n * p->channels * p->count + c;
    if (t->to_nchw) t->frame->transpose(fc_at(t->in, nhwc, t->esize), p->channels, fc_at_mut(t->out, nchw, t->esize), p->pixels, p->count, channels);
    else t->frame->transpose(fc_at(t->in, nchw, t->esize), p->pixels, fc_at_mut(t->out, nhwc, t->esize), p->channels, channels, p->count);
    return FC_OK;
}

static fc_status transpose(fc_dtype dtype, const some_pixels *p, int to_nchw, const void *in, void *out) {
    const transposition t = {&fc_kernels(dtype)->frame, p, to_nchw, in, out, fc_esize(dtype), fc_ceil_div(p->channels, TASK_CHANNELS)};
    return fc_parallel_for(p->images * t.tasks, (double)(p->images * p->channels * p->count) * 0.7, transpose_task, &t);
}

/* NCHW and NHWC are the same memory where there is one channel or one pixel. */
static int turns(ptrdiff_t pixels, ptrdiff_t channels) { return pixels > 1 && channels > 1; }

/* NHWC of some pixels: in `space`, or where they are. */
static fc_status take(fc_dtype dtype, const some_pixels *p, const void **array, char *space) {
    if (turns(p->pixels, p->channels)) {
        const fc_status status = transpose(dtype, p, 0, *array, space);
        *array = space;
        return status;
    }
    *array = fc_at(*array, p->first * p->channels, fc_esize(dtype));
    return FC_OK;
}

/* Rows first .. first + count - 1 of images. */
typedef struct {
    ptrdiff_t first, count;
} band_rows;

/* The part of a convolution that makes some rows of y: what it reads of x, and itself. Rows that are all padding read one that no
 * window covers. */
static band_rows forward_band(const fc_conv2d *conv, band_rows y, fc_conv2d *part) {
    const ptrdiff_t extent = (conv->kh - 1) * conv->dilation_h + 1, start = y.first * conv->stride_h - conv->pad_top;
    const ptrdiff_t end = start + (y.count - 1) * conv->stride_h + extent;
    band_rows x = {fc_min(fc_max(start, 0), conv->h - 1), 1};
    x.count = fc_max(1, fc_min(end, conv->h) - x.first);
    part->h = x.count, part->oh = y.count;
    part->pad_top = fc_max(0, x.first - start);
    if (start >= conv->h) x.first = 0, part->h = x.count = 1, part->pad_top = end - start;
    return x;
}

/* The part that yields some rows of dx: what it reads of dy, and itself. */
static band_rows backward_band(const fc_conv2d *conv, band_rows x, fc_conv2d *part) {
    const ptrdiff_t extent = (conv->kh - 1) * conv->dilation_h + 1, last = conv->oh - 1;
    const ptrdiff_t from = fc_max(0, fc_ceil_div(fc_max(0, x.first + conv->pad_top - extent + 1), conv->stride_h));
    const ptrdiff_t first = fc_min(fc_min(from, (x.first + conv->pad_top) / conv->stride_h), last);
    const ptrdiff_t end = fc_min((x.first + x.count - 1 + conv->pad_top) / conv->stride_h, last) + 1;
    part->h = x.count, part->oh = fc_max(1, end - first);
    part->pad_top = x.first + conv->pad_top - first * conv->stride_h;
    return (band_rows){first, part->oh};
}

typedef band_rows (*band_fn)(const fc_conv2d *conv, band_rows out, fc_conv2d *part);

/* A map from images to images. */
typedef struct {
    fc_nhwc_fn run;
    const void *context;
    band_fn band;
    ptrdiff_t in_width, in_rows, in_channels, out_width, out_rows, out_channels;
    ptrdiff_t round_bytes;
    int bands; /* whether images may be cut into bands */
} image_map;

/* Some rows of the results of some images: the convolution that yields them, and what it reads and writes. */
typedef struct {
    fc_conv2d conv;
    some_pixels read, written;
    ptrdiff_t read_bytes, bytes; /* of NHWC: what is read, and all */
} map_part;

static map_part part_of(const fc_conv2d *conv, const image_map *map, ptrdiff_t images, band_rows out) {
    const ptrdiff_t esize = fc_esize(conv->dtype);
    map_part p = {.conv = *conv};
    p.conv.whole = fc_whole_pixels(conv);
    p.conv.n = images;
    p.conv.layout = FC_NHWC;
    const band_rows in = out.count == map->out_rows ? (band_rows){0, map->in_rows} : map->band(conv, out, &p.conv);
    p.read = (some_pixels){images, map->in_channels, map->in_rows * map->in_width, in.first * map->in_width, in.count * map->in_width};
    p.written = (some_pixels){images, map->out_channels, map->out_rows * map->out_width, out.first * map->out_width, out.count * map->out_width};
    p.read_bytes = fc_round_up(images * p.read.count * map->in_channels * esize, FC_ALIGN);
    p.bytes = p.read_bytes + images * p.written.count * map->out_channels * esize;
    return p;
}

/* Pixels that need no transposition are read and written where they are; bands are those of one image then. */
static fc_status run_part(const image_map *map, const map_part *p, const void *in, void *out, char *space) {
    const fc_dtype dtype = p->conv.dtype;
    const ptrdiff_t esize = fc_esize(dtype);
    const int turn_out = turns(p->written.pixels, p->written.channels);
    void *const to = turn_out ? space + p->read_bytes : fc_at_mut(out, p->written.first * p->written.channels, esize);
    fc_status status = take(dtype, &p->read, &in, space);
    if (status == FC_OK) status = map->run(&p->conv, map->context, in, to);
    return status == FC_OK && turn_out ? transpose(dtype, &p->written, 1, to, out) : status;
}

/* Several images, or bands of `rows` rows of one. */
typedef struct {
    ptrdiff_t images, rows;
} rounds;

/* Of images of so many bytes with `rows` rows, in rounds of about round_bytes. */
static rounds plan_rounds(ptrdiff_t n, ptrdiff_t image_bytes, ptrdiff_t rows, ptrdiff_t round_bytes, int bands) {
    enum { LEAST_ROWS = 8 }; /* of a band: rows at its border are read twice */
    const ptrdiff_t most = bands ? fc_max(1, fc_min(image_bytes / round_bytes, rows / LEAST_ROWS)) : 1;
    return (rounds){fc_max(1, fc_min(n, round_bytes / image_bytes)), most > 1 ? fc_round_up(fc_ceil_div(rows, most), 4) : rows};
}

static fc_status map_images(const fc_conv2d *conv, const image_map *map, const void *in, void *out) {
    const ptrdiff_t esize = fc_esize(conv->dtype), in_image = map->in_rows * map->in_width * map->in_channels;
    const ptrdiff_t out_image = map->out_rows * map->out_width * map->out_channels;
    if (!turns(map->in_rows * map->in_width, map->in_channels) && !turns(map->out_rows * map->out_width, map->out_channels)) {
        fc_conv2d same = *conv;
        same.layout = FC_NHWC;
        return map->run(&same, map->context, in, out);
    }
    const rounds r = plan_rounds(conv->n, (in_image + out_image) * esize, map->out_rows, map->round_bytes, map->bands);
    ptrdiff_t bytes = 0;
    for (ptrdiff_t row = 0; row < map->out_rows; row += r.rows)
        bytes = fc_max(bytes, part_of(conv, map, r.images, (band_rows){row, fc_min(r.rows, map->out_rows - row)}).bytes);
    char *const space = fc_scratch(FC_SLOT_CALL3, (size_t)bytes);
    if (!space) return FC_NO_MEMORY;
    for (ptrdiff_t n = 0; n < conv->n; n += r.images)
        for (ptrdiff_t row = 0; row < map->out_rows; row += r.rows) {
            const map_part part = part_of(conv, map, fc_min(r.images, conv->n - n), (band_rows){row, fc_min(r.rows, map->out_rows - row)});
            const fc_status status = run_part(map, &part, fc_at(in, n * in_image, esize), fc_at_mut(out, n * out_image, esize), space);
            if (status != FC_OK) return status;
        }
    return FC_OK;
}

/* What stays in a large second-level cache beside the weights, or in the next level. Weights are prepared anew in every round. */
static ptrdiff_t round_bytes(const fc_conv2d *conv, int prepared) {
    return fc_max(fc_round_limit(), prepared ? 0 : 8 * fc_kernel_elements(conv) * fc_esize(conv->dtype));
}

ptrdiff_t fc_nchw_rounds(const fc_conv2d *conv) {
    const ptrdiff_t image = (conv->h * conv->w * conv->c + conv->oh * conv->ow * conv->k) * fc_esize(conv->dtype);
    return fc_ceil_div(conv->n, plan_rounds(conv->n, image, conv->oh, round_bytes(conv, 0), 0).images);
}

fc_status fc_nchw_forward(const fc_conv2d *conv, fc_nhwc_fn run, const void *context, int bands, const void *x, void *y) {
    const image_map map = {run, context, forward_band, conv->w, conv->h, conv->c, conv->ow, conv->oh, conv->k, round_bytes(conv, !bands), bands};
    return map_images(conv, &map, x, y);
}

fc_status fc_nchw_backward_input(const fc_conv2d *conv, fc_nhwc_fn run, const void *context, const void *dy, void *dx) {
    const image_map map = {run, context, backward_band, conv->ow, conv->oh, conv->k, conv->w, conv->h, conv->c, round_bytes(conv, 0), 1};
    return map_images(conv, &map, dy, dx);
}

/* The gradients of rounds are added up. */
fc_status fc_nchw_backward_weights(const fc_conv2d *conv, fc_nhwc_weights_fn run, const void *x, const void *dy, void *dw, void *db) {
    const ptrdiff_t esize = fc_esize(conv->dtype), x_image = conv->h * conv->w * conv->c, dy_image = conv->oh * conv->ow * conv->k;
    fc_conv2d nhwc = *conv;
    nhwc.layout = FC_NHWC;
    if (conv->n == 0 || (!turns(conv->h * conv->w, conv->c) && !turns(conv->oh * conv->ow, conv->k))) return run(&nhwc, x, dy, dw, db);
    const rounds r = plan_rounds(conv->n, (x_image + dy_image) * esize, conv->oh, round_bytes(conv, 0), 1);
    const ptrdiff_t extent = (conv->kh - 1) * conv->dilation_h + 1;
    const ptrdiff_t x_rows = r.rows == conv->oh ? conv->h : fc_min(conv->h, (r.rows - 1) * conv->stride_h + extent);
    const ptrdiff_t x_space = fc_round_up(r.images * x_rows * conv->w * conv->c * esize, FC_ALIGN);
    const ptrdiff_t dw_space = fc_round_up(fc_kernel_elements(conv) * esize, FC_ALIGN);
    char *const space = fc_scratch(FC_SLOT_CALL3, (size_t)(x_space + r.images * r.rows * conv->ow * conv->k * esize));
    char *const more = fc_scratch(FC_SLOT_ROUND, (size_t)(dw_space + conv->k * esize));
    if (!space || !more) return FC_NO_MEMORY;
    for (ptrdiff_t n = 0; n < conv->n; n += r.images)
        for (ptrdiff_t row = 0; row < conv->oh; row += r.rows) {
            const band_rows out = {row, fc_min(r.rows, conv->oh - row)};
            fc_conv2d part = nhwc;
            part.n = fc_min(r.images, conv->n - n);
            const band_rows in = out.count == conv->oh ? (band_rows){0, conv->h} : forward_band(conv, out, &part);
            const some_pixels x_part = {part.n, conv->c, conv->h * conv->w, in.first * conv->w, in.count * conv->w};
            const some_pixels dy_part = {part.n, conv->k, conv->oh * conv->ow, row * conv->ow, out.count * conv->ow};
            const void *x_from = fc_at(x, n * x_image, esize), *dy_from = fc_at(dy, n * dy_image, esize);
            const int first = n == 0 && row == 0;
            fc_status status = take(conv->dtype, &x_part, &x_from, space);
            if (status == FC_OK) status = take(conv->dtype, &dy_part, &dy_from, space + x_space);
            if (status == FC_OK) status = run(&part, x_from, dy_from, first || !dw ? dw : more, first || !db ? db : more + dw_space);
            if (status != FC_OK) return status;
            const fc_frame_kernels *const frame = &fc_kernels(conv->dtype)->frame;
            if (!first && dw) frame->add_into(more, dw, fc_kernel_elements(conv));
            if (!first && db) frame->add_into(more + dw_space, db, conv->k);
        }
    return FC_OK;
}
