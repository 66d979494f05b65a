/* Strided convolution of few channels, folded: the pixels of a stride's block lie side by side as channels ("space to depth"), which
 * makes it a convolution with stride 1, fewer taps and stride_h * stride_w times the channels. Winograd pays for that where it does
 * not for a handful of channels. Padding is part of what is folded; taps that the last block lacks are zero. Of NCHW the pixels of each place in a
 * block become a plane. */
#include "conv2d_internal.h"

#include <string.h>

/* The time to fold an element, in multiply-adds. */
enum { FOLD_COST = 12 };

static fc_conv2d folded(const fc_conv2d *conv) {
    fc_conv2d f = *conv;
    f.kh = fc_ceil_div(conv->kh, conv->stride_h);
    f.kw = fc_ceil_div(conv->kw, conv->stride_w);
    f.c = conv->c * conv->stride_h * conv->stride_w;
    f.h = conv->oh + f.kh - 1;
    f.w = conv->ow + f.kw - 1;
    f.stride_h = f.stride_w = 1;
    f.pad_top = f.pad_left = 0;
    return f;
}

/* How many times less than the direct way folding has to take, but for so few channels that the latter is far from the peak. */
static double margin(const fc_conv2d *conv, fc_pass pass) {
    enum { FEW = 8 };
    static const double wide[FC_PASSES] = {1.4, 1.4, 1.6, 1.15}, narrow[FC_PASSES] = {1.2, 1.2, 1.2, 1.15};
    const int few = conv->c < FEW || conv->algorithm != FC_AUTO;
    return few ? 1 : (fc_kernels(FC_F32)->winograd.lanes > 8 ? wide : narrow)[pass];
}

int fc_folded_pays(const fc_conv2d *conv, fc_pass pass) {
    if (conv->algorithm == FC_DIRECT || conv->dtype != FC_F32 || conv->groups > 1) return 0;
    if (conv->stride_h * conv->stride_w == 1 || conv->dilation_h * conv->dilation_w > 1) return 0;
    /* Whole vectors of channels need no folding: Winograd's pieces share them as they are. */
    if (conv->c % fc_kernels(FC_F32)->winograd.lanes == 0 || !fc_winograd_applies(conv)) return 0;
    const fc_conv2d f = folded(conv);
    const double folding = (double)conv->n * FOLD_COST * (double)(f.h * f.w * f.c);
    return fc_winograd_pays_for(&f, 0, pass == FC_FORWARD_PACKED, fc_winograd_direct_cost(conv, 0) / margin(conv, pass) - folding);
}

typedef struct {
    const fc_conv2d *conv, *folded;
    const float *from;
    float *to;
} fold_call;

/* One row of blocks from rows of pixels. */
static fc_status fold_task(const void *context, ptrdiff_t task) {
    const fold_call *const call = context;
    const fc_conv2d *const conv = call->conv, *const f = call->folded;
    const ptrdiff_t n = task / f->h, first = task % f->h * conv->stride_h - conv->pad_top;
    const ptrdiff_t part = conv->stride_w * conv->c, line = conv->w * conv->c;
    for (ptrdiff_t i = 0; i < conv->stride_h; i++) {
        const int there = first + i >= 0 && first + i < conv->h;
        const float *const from = there ? call->from + (n * conv->h + first + i) * line : NULL;
        float *to = call->to + task * f->w * f->c + i * part;
        for (ptrdiff_t j = 0, at = -conv->pad_left * conv->c; j < f->w; j++, at += part, to += f->c) {
            const fc_span span = fc_clip(at, 1, part, there ? line : 0);
            for (ptrdiff_t e = 0; e < span.first; e++) to[e] = 0;
            for (ptrdiff_t e = span.first; e < span.end; e++) to[e] = from[at + e];
            for (ptrdiff_t e = span.end; e < part; e++) to[e] = 0;
        }
    }
    return FC_OK;
}

/* Planes of NCHW: pixel i of a folded row is pixel stride * i + j - pad of a row. */
static ptrdiff_t folded_plane(const fc_conv2d *conv, const fc_conv2d *f, ptrdiff_t n, ptrdiff_t phase, ptrdiff_t c) {
    return (n * f->c + phase * conv->c + c) * f->h * f->w;
}

static fc_status fold_planes_task(const void *context, ptrdiff_t task) {
    const fold_call *const call = context;
    const fc_conv2d *const conv = call->conv, *const f = call->folded;
    const ptrdiff_t n = task / f->h, row = task % f->h, stride = conv->stride_w;
    for (ptrdiff_t phase = 0; phase < conv->stride_h * stride; phase++) {
        const ptrdiff_t y = row * conv->stride_h - conv->pad_top + phase / stride;
        for (ptrdiff_t c = 0; c < conv->c; c++) {
            const float *const from = y >= 0 && y < conv->h ? call->from + ((n * conv->c + c) * conv->h + y) * conv->w : NULL;
            float *const to = call->to + folded_plane(conv, f, n, phase, c) + row * f->w;
            fc_copy_strided_row(&fc_kernels(FC_F32)->frame, from, conv->w, stride, phase % stride - conv->pad_left, to, f->w,
                                (ptrdiff_t)sizeof(float));
        }
    }
    return FC_OK;
}

static fc_status unfold_planes_task(const void *context, ptrdiff_t task) {
    const fold_call *const call = context;
    const fc_conv2d *const conv = call->conv, *const f = call->folded;
    const ptrdiff_t n = task / conv->h, y = task % conv->h + conv->pad_top, row = y / conv->stride_h, stride = conv->stride_w;
    for (ptrdiff_t c = 0; c < conv->c; c++) {
        float *const to = call->to + ((n * conv->c + c) * conv->h + task % conv->h) * conv->w;
        if (row >= f->h || f->w * stride < conv->w + conv->pad_left) memset(to, 0, (size_t)conv->w * sizeof(float));
        for (ptrdiff_t j = 0; j < stride && row < f->h; j++) {
            const float *const from = call->from + folded_plane(conv, f, n, y % conv->stride_h * stride + j, c) + row * f->w;
            const fc_span span = fc_clip(j - conv->pad_left, stride, f->w, conv->w);
            for (ptrdiff_t i = span.first; i < span.end; i++) to[i * stride + j - conv->pad_left] = from[i];
        }
    }
    return FC_OK;
}

/* One row of pixels from a row of blocks. Pixels that no output sees are zero. */
static fc_status unfold_task(const void *context, ptrdiff_t task) {
    const fold_call *const call = context;
    const fc_conv2d *const conv = call->conv, *const f = call->folded;
    const ptrdiff_t n = task / conv->h, y = task % conv->h + conv->pad_top, row = y / conv->stride_h;
    const ptrdiff_t part = conv->stride_w * conv->c, line = conv->w * conv->c;
    float *const to = call->to + task * line;
    ptrdiff_t done = 0;
    if (row < f->h) {
        const float *from = call->from + (n * f->h + row) * f->w * f->c + y % conv->stride_h * part;
        for (ptrdiff_t j = 0, at = -conv->pad_left * conv->c; j < f->w; j++, at += part, from += f->c) {
            const fc_span span = fc_clip(at, 1, part, line);
            for (ptrdiff_t e = span.first; e < span.end; e++) to[at + e] = from[e];
            if (span.first < span.end) done = at + span.end;
        }
    }
    memset(to + done, 0, (size_t)(line - done) * sizeof(float));
    return FC_OK;
}

/* Where tap (a, b) lies in the weights of the folded convolution, c * k elements. */
static ptrdiff_t tap_at(const fc_conv2d *conv, const fc_conv2d *f, ptrdiff_t a, ptrdiff_t b) {
    const ptrdiff_t phase = a % conv->stride_h * conv->stride_w + b % conv->stride_w;
    return ((a / conv->stride_h * f->kw + b / conv->stride_w) * f->c + phase * conv->c) * conv->k;
}

static ptrdiff_t weights_size(const fc_conv2d *f) { return f->kh * f->kw * f->c * f->k; }

static void fold_weights(const fc_conv2d *conv, const fc_conv2d *f, const float *w, float *to) {
    const ptrdiff_t tap = conv->c * conv->k;
    memset(to, 0, (size_t)weights_size(f) * sizeof(float));
    for (ptrdiff_t a = 0; a < conv->kh; a++)
        for (ptrdiff_t b = 0; b < conv->kw; b++) memcpy(to + tap_at(conv, f, a, b), w + (a * conv->kw + b) * tap, (size_t)tap * sizeof(float));
}

static void unfold_weights(const fc_conv2d *conv, const fc_conv2d *f, const float *from, float *dw) {
    const ptrdiff_t tap = conv->c * conv->k;
    for (ptrdiff_t a = 0; a < conv->kh; a++)
        for (ptrdiff_t b = 0; b < conv->kw; b++) memcpy(dw + (a * conv->kw + b) * tap, from + tap_at(conv, f, a, b), (size_t)tap * sizeof(float));
}

/* The folded convolution of one round: the elements of an image, the most images, and memory for them and for weights. */
typedef struct {
    fc_conv2d folded;
    ptrdiff_t image, most;
    float *images, *weights;
} rounds;

/* With room for `sets` of weights and `more` elements each. */
static int begin(rounds *r, const fc_conv2d *conv, ptrdiff_t sets, ptrdiff_t more) {
    r->folded = folded(conv);
    const ptrdiff_t rest = sets * (weights_size(&r->folded) + more);
    r->image = r->folded.h * r->folded.w * r->folded.c;
    r->most = fc_images_per_round(conv->n, r->image * (ptrdiff_t)sizeof(float));
    const ptrdiff_t images = fc_round_up(r->most * r->image, FC_ALIGN);
    r->images = fc_scratch(FC_SLOT_FOLDED, (size_t)(images + rest) * sizeof(float));
    r->weights = r->images + images;
    return r->images != NULL;
}

static double fold_ns(const rounds *r) { return fc_macs_ns((double)(r->folded.n * r->image) * FOLD_COST); }

static fc_status fold(const rounds *r, const fc_conv2d *conv, const float *x) {
    const fold_call call = {conv, &r->folded, x, r->images};
    return fc_parallel_for(r->folded.n * r->folded.h, fold_ns(r), conv->layout == FC_NCHW ? fold_planes_task : fold_task, &call);
}

static fc_status forward(const fc_conv2d *conv, const float *x, const float *w, const void *packed, const void *bias, float *y) {
    rounds r;
    const fc_conv2d *const f = &r.folded;
    if (!begin(&r, conv, w != NULL, 0)) return FC_NO_MEMORY;
    if (w) fold_weights(conv, f, w, r.weights);
    for (ptrdiff_t n = 0; n < conv->n; n += f->n) {
        r.folded.n = fc_min(r.most, conv->n - n);
        float *const out = y + n * conv->oh * conv->ow * conv->k;
        fc_status status = fold(&r, conv, x + n * conv->h * conv->w * conv->c);
        if (status == FC_OK)
            status = w ? fc_winograd_forward(f, r.images, r.weights, bias, out) : fc_winograd_forward_packed(f, r.images, packed, bias, out);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

fc_status fc_folded_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    return forward(conv, x, w, NULL, bias, y);
}

fc_status fc_folded_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    return forward(conv, x, NULL, packed, bias, y);
}

ptrdiff_t fc_folded_weights_bytes(const fc_conv2d *conv) {
    const fc_conv2d f = folded(conv);
    return fc_winograd_weights_bytes(&f);
}

fc_status fc_folded_pack_weights(const fc_conv2d *conv, const void *w, void *packed) {
    const fc_conv2d f = folded(conv);
    float *const space = fc_scratch(FC_SLOT_FOLDED, (size_t)weights_size(&f) * sizeof(float));
    if (!space) return FC_NO_MEMORY;
    fold_weights(conv, &f, w, space);
    return fc_winograd_transform_weights(&f, space, packed);
}

fc_status fc_folded_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    rounds r;
    const fc_conv2d *const f = &r.folded;
    if (!begin(&r, conv, 1, 0)) return FC_NO_MEMORY;
    fold_weights(conv, f, w, r.weights);
    for (ptrdiff_t n = 0; n < conv->n; n += f->n) {
        r.folded.n = fc_min(r.most, conv->n - n);
        fc_status status = fc_winograd_backward_input(f, (const float *)dy + n * conv->oh * conv->ow * conv->k, r.weights, r.images);
        const fold_call call = {conv, f, r.images, (float *)dx + n * conv->h * conv->w * conv->c};
        const fc_task_fn unfold = conv->layout == FC_NCHW ? unfold_planes_task : unfold_task;
        if (status == FC_OK) status = fc_parallel_for(f->n * conv->h, fold_ns(&r), unfold, &call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* The rounds' gradients are added up. */
fc_status fc_folded_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    rounds r;
    const fc_conv2d *const f = &r.folded;
    if (!begin(&r, conv, 2, conv->k)) return FC_NO_MEMORY;
    const ptrdiff_t weights = weights_size(f), size = weights + conv->k;
    float *const sums = r.weights;
    for (ptrdiff_t n = 0; n < conv->n; n += f->n) {
        r.folded.n = fc_min(r.most, conv->n - n);
        float *const part = n == 0 ? sums : sums + size;
        fc_status status = fold(&r, conv, (const float *)x + n * conv->h * conv->w * conv->c);
        if (status == FC_OK)
            status = fc_winograd_backward_weights(f, r.images, (const float *)dy + n * conv->oh * conv->ow * conv->k, part, part + weights);
        if (status != FC_OK) return status;
        if (n > 0) fc_kernels(FC_F32)->frame.add_into(part, sums, size);
    }
    unfold_weights(conv, f, sums, dw);
    if (db) memcpy(db, sums + weights, (size_t)conv->k * sizeof(float));
    return FC_OK;
}
