/* Convolution with few channels and many images: vectors along the images, in blocks that are transposed so that the images lie side
 * by side. Serves both layouts: a position is where an element lies in its image. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

/* How far apart rows, columns and channels are in an image. */
typedef struct {
    ptrdiff_t row, col, channel;
} distances;

static distances distances_in(fc_layout layout, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels) {
    return layout == FC_NHWC ? (distances){width * channels, channels, 1} : (distances){width, 1, height * width};
}

/* The convolution along one axis: tap t of output o looks at o * stride + t * dilation - pad, inside 0 .. size - 1. */
typedef struct {
    ptrdiff_t size, out, taps, stride, dilation, pad;
} axis;

/* The taps of output o that look inside, and the outputs for which tap t does. */
static fc_span taps_inside(const axis *a, ptrdiff_t o) { return fc_clip(o * a->stride - a->pad, a->dilation, a->taps, a->size); }
static fc_span outputs_inside(const axis *a, ptrdiff_t t) { return fc_clip(t * a->dilation - a->pad, a->stride, a->out, a->size); }

/* A map from images to images, with its weights as (taps, channels in, channels out). */
typedef struct {
    const fc_ukernels *kernels;
    ptrdiff_t esize, lanes, block; /* images per block */
    ptrdiff_t n, c, k;
    axis vertical, horizontal;
    distances in, out;
    const void *x, *w, *bias;
    void *y, *partial;
    fc_activation activation;
} images_call;

static images_call describe(const fc_conv2d *conv) {
    const fc_ukernels *const kernels = fc_kernels(conv->dtype);
    return (images_call){
        .kernels = kernels,
        .esize = fc_esize(conv->dtype),
        .lanes = kernels->gemm.lanes,
        .block = 2 * kernels->gemm.lanes,
        .n = conv->n,
        .c = conv->c,
        .k = conv->k,
        .vertical = {conv->h, conv->oh, conv->kh, conv->stride_h, conv->dilation_h, conv->pad_top},
        .horizontal = {conv->w, conv->ow, conv->kw, conv->stride_w, conv->dilation_w, conv->pad_left},
        .in = distances_in(conv->layout, conv->h, conv->w, conv->c),
        .out = distances_in(conv->layout, conv->oh, conv->ow, conv->k),
        .activation = conv->activation,
    };
}

static ptrdiff_t in_size(const images_call *c) { return c->vertical.size * c->horizontal.size * c->c; }
static ptrdiff_t out_size(const images_call *c) { return c->vertical.out * c->horizontal.out * c->k; }
static ptrdiff_t images_in(const images_call *c, ptrdiff_t task) { return fc_min(c->block, c->n - task * c->block); }

/* The images of a task side by side: (size, block), zero where there is no image. */
static void side_by_side(const images_call *c, ptrdiff_t task, const void *images, ptrdiff_t size, void *to) {
    const ptrdiff_t count = images_in(c, task);
    if (count < c->block) memset(to, 0, (size_t)(size * c->block * c->esize));
    c->kernels->frame.transpose(fc_at(images, task * c->block * size, c->esize), size, to, c->block, count, size);
}

/* Output pixels first .. last - 1 of every row, whose taps inside of the row are the same. */
static void convolve_run(const images_call *c, const void *x, void *y, ptrdiff_t first, ptrdiff_t last) {
    const axis *const v = &c->vertical, *const h = &c->horizontal;
    const ptrdiff_t block = c->block;
    const fc_span s = taps_inside(h, first);
    const ptrdiff_t col = first * h->stride + s.first * h->dilation - h->pad;
    fc_images_args args = {
        .cols = s.end - s.first,
        .depth = c->c,
        .x_row = v->dilation * c->in.row * block,
        .x_col = h->dilation * c->in.col * block,
        .x_depth = c->in.channel * block,
        .pixels = last - first,
        .x_advance = h->stride * c->in.col * block,
        .y_advance = c->out.col * block,
        .w_row = h->taps * c->c * c->k,
        .w_col = c->c * c->k,
        .ldw = c->k,
        .y_depth = c->out.channel * block,
        .relu = c->activation == FC_RELU,
    };
    for (ptrdiff_t i = 0; i < v->out; i++) {
        const fc_span r = taps_inside(v, i);
        const ptrdiff_t row = i * v->stride + r.first * v->dilation - v->pad;
        args.rows = r.end - r.first;
        args.x = args.rows && args.cols ? fc_at(x, (row * c->in.row + col * c->in.col) * block, c->esize) : x;
        for (ptrdiff_t k = 0; k < c->k; k += FC_IMAGES_COLUMNS) {
            args.columns = (int)fc_min(FC_IMAGES_COLUMNS, c->k - k);
            args.w = fc_at(c->w, (r.first * h->taps + s.first) * c->c * c->k + k, c->esize);
            args.bias = c->bias ? fc_at(c->bias, k, c->esize) : NULL;
            args.y = fc_at_mut(y, (i * c->out.row + first * c->out.col + k * c->out.channel) * block, c->esize);
            c->kernels->images.convolve(&args);
        }
    }
}

static fc_status convolve_task(const void *context, ptrdiff_t task) {
    const images_call *const c = context;
    const axis *const h = &c->horizontal;
    const ptrdiff_t in = in_size(c), out = out_size(c);
    void *const x = fc_scratch(FC_SLOT_TASK, (size_t)((in + out) * c->block * c->esize));
    if (!x) return FC_NO_MEMORY;
    void *const y = fc_at_mut(x, in * c->block, c->esize);
    side_by_side(c, task, c->x, in, x);
    for (ptrdiff_t j = 0, next; j < h->out; j = next) {
        const fc_span taps = taps_inside(h, j);
        for (next = j + 1; next < h->out; next++) {
            const fc_span other = taps_inside(h, next);
            if (other.first != taps.first || other.end != taps.end) break;
        }
        convolve_run(c, x, y, j, next);
    }
    if (!fc_in_registers(c->activation)) c->kernels->elementwise.activation[c->activation](y, y, out * c->block);
    c->kernels->frame.transpose(y, c->block, fc_at_mut(c->y, task * c->block * out, c->esize), out, out, images_in(c, task));
    return FC_OK;
}

static double macs(const images_call *c) { return (double)c->n * (double)out_size(c) * (double)(c->vertical.taps * c->horizontal.taps * c->c); }

static fc_status convolve(const images_call *c) {
    const double moved = (double)c->n * (double)(in_size(c) + out_size(c));
    return fc_parallel_for(fc_ceil_div(c->n, c->block), fc_macs_ns(macs(c)) + 0.4 * moved, convolve_task, c);
}

fc_status fc_images_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    images_call call = describe(conv);
    call.x = x;
    call.w = w;
    call.bias = bias;
    call.y = y;
    return convolve(&call);
}

/* With stride 1, the same map from dy to dx: taps in reverse, channels exchanged. */
fc_status fc_images_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    assert(conv->stride_h == 1 && conv->stride_w == 1);
    const images_call forward = describe(conv);
    const ptrdiff_t taps = conv->kh * conv->kw, c = conv->c, k = conv->k, esize = forward.esize;
    void *const turned = fc_scratch(FC_SLOT_CALL, (size_t)(taps * c * k * esize));
    if (!turned) return FC_NO_MEMORY;
    for (ptrdiff_t t = 0; t < taps; t++)
        forward.kernels->frame.transpose(fc_at(w, (taps - 1 - t) * c * k, esize), k, fc_at_mut(turned, t * c * k, esize), c, c, k);
    images_call call = forward;
    call.c = k;
    call.k = c;
    call.in = forward.out;
    call.out = forward.in;
    call.vertical.size = conv->oh;
    call.vertical.out = conv->h;
    call.vertical.pad = (conv->kh - 1) * conv->dilation_h - conv->pad_top;
    call.horizontal.size = conv->ow;
    call.horizontal.out = conv->w;
    call.horizontal.pad = (conv->kw - 1) * conv->dilation_w - conv->pad_left;
    call.x = dy;
    call.w = turned;
    call.y = dx;
    call.activation = FC_LINEAR;
    return convolve(&call);
}

/* Elements of dw and db that a block of images yields. */
static ptrdiff_t partial_size(const images_call *c) { return c->vertical.taps * c->horizontal.taps * c->c * c->k + c->k; }

static fc_status wgrad_task(const void *context, ptrdiff_t task) {
    const images_call *const c = context;
    const axis *const v = &c->vertical, *const h = &c->horizontal;
    const ptrdiff_t block = c->block, in = in_size(c), out = out_size(c), esize = c->esize;
    void *const x = fc_scratch(FC_SLOT_TASK, (size_t)((in + out) * block * esize));
    if (!x) return FC_NO_MEMORY;
    void *const dy = fc_at_mut(x, in * block, esize);
    side_by_side(c, task, c->x, in, x);
    side_by_side(c, task, c->y, out, dy);
    void *const partial = fc_at_mut(c->partial, task * partial_size(c), esize);
    fc_images_wgrad_args args = {
        .depth = c->c,
        .x_line = v->stride * c->in.row * block,
        .x_pixel = h->stride * c->in.col * block,
        .x_depth = c->in.channel * block,
        .dy_line = c->out.row * block,
        .dy_pixel = c->out.col * block,
        .dy_depth = c->out.channel * block,
        .ldw = c->k,
    };
    for (ptrdiff_t k = 0; k < c->k; k += FC_IMAGES_COLUMNS) {
        args.columns = (int)fc_min(FC_IMAGES_COLUMNS, c->k - k);
        for (ptrdiff_t t = 0; t < v->taps * h->taps; t++) {
            const ptrdiff_t r = t / h->taps, s = t % h->taps;
            const fc_span lines = outputs_inside(v, r), pixels = outputs_inside(h, s);
            args.pixels = pixels.end - pixels.first;
            args.lines = args.pixels ? lines.end - lines.first : 0;
            const ptrdiff_t row = lines.first * v->stride + r * v->dilation - v->pad;
            const ptrdiff_t col = pixels.first * h->stride + s * h->dilation - h->pad;
            args.x = args.lines ? fc_at(x, (row * c->in.row + col * c->in.col) * block, esize) : x;
            args.dy = fc_at(dy, (lines.first * c->out.row + pixels.first * c->out.col + k * c->out.channel) * block, esize);
            args.acc = fc_at_mut(partial, t * c->c * c->k + k, esize);
            c->kernels->images.wgrad(&args);
        }
        fc_images_wgrad_args sums = args;
        sums.x = NULL;
        sums.depth = 1;
        sums.lines = v->out;
        sums.pixels = h->out;
        sums.dy = fc_at(dy, k * c->out.channel * block, esize);
        sums.acc = fc_at_mut(partial, partial_size(c) - c->k + k, esize);
        c->kernels->images.wgrad(&sums);
    }
    return FC_OK;
}

fc_status fc_images_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    images_call call = describe(conv);
    const ptrdiff_t tasks = fc_ceil_div(call.n, call.block), size = partial_size(&call), weights = size - call.k;
    call.x = x;
    call.y = (void *)(uintptr_t)dy; /* only read */
    call.partial = fc_scratch(FC_SLOT_CALL, (size_t)(fc_max(1, tasks) * size * call.esize));
    if (!call.partial) return FC_NO_MEMORY;
    if (tasks == 0) memset(call.partial, 0, (size_t)(size * call.esize));
    const double moved = (double)call.n * (double)(in_size(&call) + out_size(&call));
    const fc_status status = fc_parallel_for(tasks, fc_macs_ns(macs(&call)) + 0.4 * moved, wgrad_task, &call);
    for (ptrdiff_t t = 1; t < tasks; t++) call.kernels->frame.add_into(fc_at(call.partial, t * size, call.esize), call.partial, size);
    if (dw) memcpy(dw, call.partial, (size_t)(weights * call.esize));
    if (db) memcpy(db, fc_at(call.partial, weights, call.esize), (size_t)(call.k * call.esize));
    return status;
}

/* A vector along the outputs would be half empty at least, while the images fill one; and a block stays in the outer caches. */
static int pays(const fc_conv2d *conv, ptrdiff_t inputs, ptrdiff_t outputs) {
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes;
    const ptrdiff_t image = conv->h * conv->w * conv->c + conv->oh * conv->ow * conv->k;
    return conv->groups == 1 && conv->n >= lanes && 2 * outputs <= lanes && inputs <= 8 && conv->algorithm != FC_WINOGRAD &&
           image * 2 * lanes * fc_esize(conv->dtype) <= (1 << 18);
}

int fc_images_pay(const fc_conv2d *conv) { return pays(conv, conv->c, conv->k); }

int fc_images_pay_backward_input(const fc_conv2d *conv) { return conv->stride_h == 1 && conv->stride_w == 1 && pays(conv, conv->k, conv->c); }
