/* The input gradient of few channels, or of few pixels of dy. As an implicit GEMM its columns would be those channels, which may fill no
 * vector, and its rows the pixels of dx, which are many more than those of dy where little is padded. Here every pixel of dy times all of
 * the kernel makes a window of products [tap][c], a GEMM with taps * c columns; windows that overlap are then added up, row by row. A task goes through bands of dy that stay in its second-level cache; the products that the next rows of dx need too are kept. */
#include "conv2d_internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TASK_ROWS = 4, FEW_PIXELS = 64 };

/* Products that pass through memory take so many times longer, adding them up included. */
#define PASSING 1.4

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize, columns;      /* of a window: taps * c */
    ptrdiff_t room;                /* rows of products that a task holds, beside those it keeps */
    ptrdiff_t images, segments;    /* images of a task; or their rows are cut into so many segments, a task each */
    const void *dy, *w;
    void *dx;
} scattered;

/* Products of rows first .. end - 1 of dy, of some images from `image` on. */
typedef struct {
    const scattered *of;
    ptrdiff_t image, first, end;
    void *z;
} products_of_rows;

/* Whether a row of few channels is added up in registers, window by window. */
static int slides(const fc_conv2d *conv) {
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes;
    return conv->dilation_w == 1 && conv->stride_w * conv->c <= lanes && conv->kw * conv->c <= FC_SLIDE_VECTORS * lanes && conv->kw >= conv->stride_w;
}

static ptrdiff_t row_size(const scattered *s) { return s->conv->ow * s->columns; }

/* Rows of dy that products are kept of for the rows of dx that follow. */
static ptrdiff_t kept_most(const fc_conv2d *conv) { return (conv->kh - 1) * conv->dilation_h / conv->stride_h + 1; }

/* Rows of products that stay in the second-level cache. */
static ptrdiff_t rows_held(const fc_conv2d *conv) { return fc_l2_bytes() / 2 / (conv->ow * conv->kh * conv->kw * conv->c * fc_esize(conv->dtype)); }

/* Rows of dy of which one reaches row y of dx for each tap, in steps of the dilation. */
static fc_span rows_reaching(const fc_conv2d *conv, ptrdiff_t y) {
    const ptrdiff_t last = y + conv->pad_top, before = last - (conv->kh - 1) * conv->dilation_h - 1;
    return (fc_span){before < 0 ? 0 : before / conv->stride_h + 1, fc_min(conv->oh, last / conv->stride_h + 1)};
}

/* The product of `rows` rows of some images. */
static fc_conv2d product_of(const scattered *s, ptrdiff_t images, ptrdiff_t rows) {
    fc_conv2d one = *s->conv;
    one.whole = fc_whole_pixels(s->conv);
    one.n = images, one.h = one.oh = rows, one.w = one.ow, one.c = s->columns;
    one.kh = one.kw = one.stride_h = one.stride_w = 1, one.pad_top = one.pad_left = 0;
    return one;
}

/* Multiplies `count` more rows of dy. */
static fc_status multiply(const scattered *s, products_of_rows *p, ptrdiff_t images, ptrdiff_t count) {
    const fc_conv2d *const conv = s->conv, one = product_of(s, images, count);
    assert(images == 1 || p->end == p->first);
    const void *const dy = fc_at(s->dy, (p->image * conv->oh + p->end) * conv->ow * conv->k, s->esize);
    void *const z = fc_at_mut(p->z, (p->end - p->first) * row_size(s), s->esize);
    p->end += count;
    return fc_igemm_backward_input(&one, dy, s->w, z);
}

/* Sums of the windows in the rows z, in `line`, which is zero. The taps of a row lie side by side, or by the dilation apart. */
static void add_windows(const scattered *s, const fc_slide_args *args, void *line) {
    const ptrdiff_t apart = s->conv->dilation_w, runs = apart > 1 ? s->conv->kw : 1, run = args->width / runs;
    for (ptrdiff_t r = 0; r < args->rows; r++)
        for (ptrdiff_t j = 0; j < args->pixels * runs; j++) {
            const ptrdiff_t pixel = j / runs, at = j % runs * run;
            s->kernels->frame.add_into(fc_at(args->z[r], pixel * args->pixel + at, s->esize),
                                       fc_at_mut(line, pixel * args->step + apart * at, s->esize), run);
        }
}

/* Row y of dx of the image-th of the images in p. */
static fc_status add_row(const scattered *s, const products_of_rows *p, ptrdiff_t image, ptrdiff_t y) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t step = conv->stride_w * conv->c, before = conv->pad_left * conv->c, width = conv->w * conv->c;
    const ptrdiff_t written = (conv->ow - 1) * step, vectors = FC_SLIDE_VECTORS * s->kernels->gemm.lanes;
    const int in_registers = slides(conv);
    const ptrdiff_t size = fc_max(written + (in_registers ? vectors : ((conv->kw - 1) * conv->dilation_w + 1) * conv->c), before + width);
    const size_t pointers = (size_t)fc_round_up(conv->kh * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    char *const space = fc_scratch(FC_SLOT_TASK, pointers + (size_t)(size * s->esize));
    if (!space) return FC_NO_MEMORY;
    const void **const z = (const void **)space;
    void *const line = space + pointers;
    const fc_span reaching = rows_reaching(conv, y);
    fc_slide_args args = {.z = z, .pixels = conv->ow, .pixel = s->columns, .width = conv->kw * conv->c, .step = step, .out = line};
    assert(reaching.end <= reaching.first || (reaching.first >= p->first && reaching.end <= p->end));
    for (ptrdiff_t i = reaching.first; i < reaching.end; i++) {
        const ptrdiff_t above = y + conv->pad_top - i * conv->stride_h, tap = above / conv->dilation_h;
        if (above % conv->dilation_h) continue;
        const ptrdiff_t row = image * (p->end - p->first) + i - p->first;
        z[args.rows++] = fc_at(p->z, row * row_size(s) + tap * args.width, s->esize);
    }
    const ptrdiff_t clear = in_registers ? written : 0;
    memset(fc_at_mut(line, clear, s->esize), 0, (size_t)((size - clear) * s->esize));
    if (in_registers) s->kernels->frame.slide(&args);
    else add_windows(s, &args, line);
    void *const to = fc_at_mut(s->dx, ((p->image + image) * conv->h + y) * width, s->esize);
    memcpy(to, fc_at(line, before, s->esize), (size_t)(width * s->esize));
    return FC_OK;
}

/* Rows of dx. */
static fc_status rows_task(const void *context, ptrdiff_t task) {
    const products_of_rows *const p = context;
    const ptrdiff_t h = p->of->conv->h, end = fc_min(p->of->conv->n * h, (task + 1) * TASK_ROWS);
    fc_status status = FC_OK;
    for (ptrdiff_t r = task * TASK_ROWS; r < end && status == FC_OK; r++) status = add_row(p->of, p, r / h, r % h);
    return status;
}

/* Few pixels, of which each weight is needed for few: they are turned, not the weights, and all threads share those. */
static fc_status few_pixels(const scattered *s, double work) {
    const fc_conv2d *const conv = s->conv, all = product_of(s, conv->n, conv->oh);
    const products_of_rows p = {.of = s, .end = conv->oh, .z = fc_scratch(FC_SLOT_WINDOWS, (size_t)(conv->n * conv->oh * row_size(s) * s->esize))};
    if (!p.z) return FC_NO_MEMORY;
    const fc_status status = fc_igemm_backward_input_exchanged(&all, s->dy, s->w, p.z);
    return status == FC_OK ? fc_parallel_for(fc_ceil_div(conv->n * conv->h, TASK_ROWS), work / (double)conv->k, rows_task, &p) : status;
}

static int are_few_pixels(const fc_conv2d *conv) {
    const scattered s = {.conv = conv, .columns = conv->kh * conv->kw * conv->c};
    const fc_conv2d all = product_of(&s, conv->n, conv->oh);
    return !conv->whole && conv->n * conv->oh * conv->ow <= FEW_PIXELS && fc_igemm_exchange_pays(&all);
}

static fc_status images_task(const scattered *s, products_of_rows *p, ptrdiff_t images) {
    fc_status status = multiply(s, p, images, s->conv->oh);
    for (ptrdiff_t r = 0; r < images * s->conv->h && status == FC_OK; r++) status = add_row(s, p, r / s->conv->h, r % s->conv->h);
    return status;
}

/* Rows y .. last - 1 of dx of one image. */
static fc_status segment_task(const scattered *s, products_of_rows *p, ptrdiff_t y, ptrdiff_t last) {
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t dy_last = fc_max(rows_reaching(conv, y).first, rows_reaching(conv, last - 1).end);
    fc_status status = FC_OK;
    p->first = p->end = rows_reaching(conv, y).first;
    while (y < last && status == FC_OK) {
        const ptrdiff_t first = fc_min(p->end, rows_reaching(conv, y).first), kept = p->end - first;
        memmove(p->z, fc_at(p->z, (first - p->first) * row_size(s), s->esize), (size_t)(kept * row_size(s) * s->esize));
        p->first = first;
        const ptrdiff_t count = fc_min(s->room, dy_last - p->end);
        if (count > 0) status = multiply(s, p, 1, count);
        const ptrdiff_t done = p->end >= dy_last ? last : fc_min(last, p->end * conv->stride_h - conv->pad_top);
        for (; y < done && status == FC_OK; y++) status = add_row(s, p, 0, y);
    }
    return status;
}

static fc_status scattered_task(const void *context, ptrdiff_t task) {
    const scattered *const s = context;
    const fc_conv2d *const conv = s->conv;
    const ptrdiff_t held = s->images > 0 ? s->images * conv->oh : s->room + kept_most(conv);
    products_of_rows p = {.z = fc_scratch(FC_SLOT_WINDOWS, (size_t)(held * row_size(s) * s->esize))};
    if (!p.z) return FC_NO_MEMORY;
    p.image = s->images > 0 ? task * s->images : task / s->segments;
    if (s->images > 0) return images_task(s, &p, fc_min(s->images, conv->n - p.image));
    const ptrdiff_t segment = task % s->segments;
    return segment_task(s, &p, conv->h * segment / s->segments, conv->h * (segment + 1) / s->segments);
}

/* Tasks are made for the threads: a row of dx is the same sum in all of them. */
fc_status fc_scattered_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    scattered s = {.conv = conv,
                   .kernels = fc_kernels(conv->dtype),
                   .esize = fc_esize(conv->dtype),
                   .columns = conv->kh * conv->kw * conv->c,
                   .dy = dy,
                   .w = w,
                   .dx = dx};
    const double work = fc_macs_ns((double)(conv->n * conv->oh * conv->ow) * (double)(conv->k * s.columns));
    if (are_few_pixels(conv)) return few_pixels(&s, work);
    const ptrdiff_t rows = fc_max(1, rows_held(conv)), threads = fc_get_num_threads();
    const ptrdiff_t each = slides(conv) ? 4 : 1, enough = threads > 1 ? each * threads : 1; /* tasks, of which each lays out the weights */
    s.images = fc_min(rows / conv->oh, fc_ceil_div(conv->n, enough));
    if (conv->n < enough && conv->h >= 8 * kept_most(conv) * conv->stride_h * enough) s.images = 0;
    s.room = fc_min(conv->oh, fc_max(rows, kept_most(conv)));
    s.segments = s.images > 0 ? 1 : fc_max(1, fc_min(fc_ceil_div(enough, conv->n), conv->h / (8 * kept_most(conv) * conv->stride_h)));
    return fc_parallel_for(s.images > 0 ? fc_ceil_div(conv->n, s.images) : conv->n * s.segments, work, scattered_task, &s);
}

/* Vectors of multiply-adds, as the kernels' cost counts them. */
static double products(const fc_conv2d *conv, const fc_panels *panels) { return (double)conv->k * (double)fc_panels_cost(panels); }

/* To lay out a weight. */
#define PACK 39.0

/* For every few rows, beyond once. */
static double packing(const fc_conv2d *conv) {
    const double times = (double)conv->oh / (double)rows_held(conv) - 1 / (double)conv->n;
    return PACK * (double)fc_kernel_elements(conv) * fmax(0, times);
}

/* Multiply-adds with those of empty lanes, or what takes as long, of an image. */
int fc_scattered_pays(const fc_conv2d *conv) {
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes, width = conv->kw * conv->c, taps = conv->kh * conv->kw, pixels = conv->oh * conv->ow;
    const int in_registers = slides(conv), dilated = conv->dilation_h * conv->dilation_w > 1;
    if (conv->algorithm == FC_WINOGRAD || conv->groups > 1 || taps == 1 || conv->n == 0) return 0;
    if (dilated && conv->stride_h * conv->stride_w > 1) return 0;
    if (!in_registers && rows_held(conv) < kept_most(conv)) return 0;
    const double runs = conv->dilation_w > 1 ? (double)conv->kw : 1, vectors = runs * (double)fc_ceil_div(width / (ptrdiff_t)runs, lanes),
                 cycle = 2.0 * (double)lanes, row = 250;
    const double adding = in_registers ? ((double)fc_ceil_div(conv->kh, conv->stride_h) * vectors + 8) * (double)conv->stride_h * cycle
                                       : ((double)conv->kh * (6 * vectors + 8 * runs) + row * (double)conv->h / (double)pixels) * cycle;
    const fc_gemm_kernels *const gemm = &fc_kernels(conv->dtype)->gemm;
    const fc_panels windows = fc_panels_plan(gemm, taps * conv->c, conv->k), channels = fc_panels_plan(gemm, conv->c, conv->k);
    const double share = fc_igemm_matrix_share(conv->dtype, conv->n * pixels, 1, conv->k, taps * conv->c, 1, 0);
    const double scattered = PASSING * (double)pixels * (share * products(conv, &windows) + adding) + (in_registers ? 0 : packing(conv));
    const ptrdiff_t rows = fc_ceil_div(conv->h, conv->stride_h), columns = fc_ceil_div(conv->w, conv->stride_w);
    const double direct_share = fc_igemm_matrix_share(conv->dtype, conv->n * rows * columns, taps, conv->k, conv->c, 1, 0);
    /* Every phase of the stride is a call, whose results lie apart. */
    const double phases = (double)(conv->stride_h * conv->stride_w), call = 150e3 / (double)conv->n, out = (double)(conv->h * conv->w);
    const int turned = are_few_pixels(conv) && !fc_igemm_exchange_pays(conv); /* weights, there only */
    const double pack = turned ? PACK * (double)fc_kernel_elements(conv) / (double)conv->n : 0;
    /* Beside their products, panels of several terms take some time for each tap and pixel. */
    const double term = fc_igemm_cost(conv, 1);
    const int several = term < (double)fc_panels_cost(&channels) || channels.tile_rows > 0;
    const double tap = several ? 0.8 * cycle : 0, pixel = several ? (phases > 1 ? 5 + (double)conv->c : 5) * cycle : 0;
    const double direct = pack + out * ((double)taps / phases * (direct_share * (double)conv->k * term + tap) + pixel) + (phases - 1) * call;
    if (scattered >= direct) return 0;
    return conv->algorithm == FC_DIRECT ||
           (!fc_folded_pays(conv, FC_BACKWARD_INPUT) && !fc_winograd_pays_for(conv, 1, 0, (double)conv->n * scattered));
}
