/* Convolution: which algorithm, and NCHW by transposing around NHWC where nothing else is for it. */
#include "conv2d_internal.h"

#include <assert.h>
#include <string.h>

int fc_conv2d_winograd_applies(const fc_conv2d *conv) { return fc_winograd_applies(conv); }

static int use_winograd(const fc_conv2d *conv, int transposed) {
    if (conv->algorithm == FC_AUTO) return fc_winograd_pays(conv, transposed);
    return conv->algorithm == FC_WINOGRAD && fc_winograd_applies(conv);
}

static int winograd_pays_weights(const fc_conv2d *conv) {
    return conv->algorithm == FC_AUTO ? fc_winograd_pays_weights(conv) : use_winograd(conv, 0);
}

static int use_few(const fc_conv2d *conv) { return conv->algorithm != FC_DIRECT && fc_winograd_few_applies(conv); }
static int use_few_planes(const fc_conv2d *conv) { return conv->algorithm != FC_DIRECT && fc_winograd_few_planes_pay(conv); }

static int use_grouped(const fc_conv2d *conv, int applies) { return applies && conv->algorithm != FC_WINOGRAD; }

static void check_conv(const fc_conv2d *conv) {
    assert(conv->n >= 0 && conv->h > 0 && conv->w > 0 && conv->c > 0 && conv->kh > 0 && conv->kw > 0 && conv->k > 0);
    assert(conv->oh > 0 && conv->ow > 0 && conv->stride_h > 0 && conv->stride_w > 0);
    assert(conv->dilation_h > 0 && conv->dilation_w > 0 && conv->pad_top >= 0 && conv->pad_left >= 0);
    assert(conv->groups > 0 && conv->c % conv->groups == 0 && conv->k % conv->groups == 0);
    (void)conv;
}

/* Whether along one axis the kernel's taps are all of the input, or the windows lie side by side and leave nothing out. */
static int windows_tile(ptrdiff_t size, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad) {
    return out * taps == size && pad == 0 && dilation == 1 && (out == 1 || stride == taps);
}

/* The same convolution of the same memory with fewer taps: the pixels of a row that make up a window are the channels of one pixel.
 * Where that leaves one column, the rows follow. NHWC. */
static fc_conv2d merge_windows(const fc_conv2d *conv) {
    fc_conv2d m = *conv;
    if (m.groups > 1 || m.algorithm == FC_WINOGRAD || !windows_tile(m.w, m.ow, m.kw, m.stride_w, m.dilation_w, m.pad_left)) return m;
    m.c *= m.kw, m.w = m.ow, m.kw = 1, m.stride_w = 1;
    if (m.ow > 1 || !windows_tile(m.h, m.oh, m.kh, m.stride_h, m.dilation_h, m.pad_top)) return m;
    m.c *= m.kh, m.h = m.oh, m.kh = 1, m.stride_h = 1;
    return m;
}

static int merges(const fc_conv2d *conv) { return merge_windows(conv).kw < conv->kw; }

/* Whether Winograd can turn NCHW strip by strip, and NHWC would not go another way. */
static int winograd_turns(const fc_conv2d *conv, int gradient) {
    enum { WIDE = 256 };
    const int plain = conv->groups == 1 && (!gradient || (conv->stride_h == 1 && conv->stride_w == 1)) && (conv->dilation_w == 1 || conv->w < WIDE);
    if (conv->layout != FC_NCHW || !plain || merges(conv) || fc_folded_pays(conv, gradient ? FC_BACKWARD_INPUT : FC_FORWARD)) return 0;
    return gradient ? !fc_scattered_pays(conv) : !use_few(conv);
}

/* Whether NCHW is folded, as NHWC is. */
static int folds(const fc_conv2d *conv, fc_pass pass) { return !merges(conv) && fc_folded_pays(conv, pass); }

static fc_status forward_nhwc(const fc_conv2d *given, const void *x, const void *w, const void *bias, void *y) {
    const fc_conv2d merged = merge_windows(given), *const conv = &merged;
    if (use_grouped(conv, fc_grouped_forward_applies(conv))) return fc_grouped_forward(conv, x, w, bias, y);
    if (use_few(conv)) return fc_winograd_few_forward(conv, x, w, bias, y);
    if (fc_folded_pays(conv, FC_FORWARD)) return fc_folded_forward(conv, x, w, bias, y);
    if (use_winograd(conv, 0)) return fc_winograd_forward(conv, x, w, bias, y);
    return fc_igemm_forward(conv, x, w, bias, y);
}

static fc_status backward_input_nhwc(const fc_conv2d *given, const void *dy, const void *w, void *dx) {
    const fc_conv2d merged = merge_windows(given), *const conv = &merged;
    if (use_grouped(conv, fc_grouped_backward_input_applies(conv))) return fc_grouped_backward_input(conv, dy, w, dx);
    if (fc_scattered_pays(conv)) return fc_scattered_backward_input(conv, dy, w, dx);
    if (fc_folded_pays(conv, FC_BACKWARD_INPUT)) return fc_folded_backward_input(conv, dy, w, dx);
    if (use_winograd(conv, 1)) return fc_winograd_backward_input(conv, dy, w, dx);
    if (fc_igemm_exchange_pays(conv)) return fc_igemm_backward_input_exchanged(conv, dy, w, dx);
    return fc_igemm_backward_input(conv, dy, w, dx);
}

static fc_status backward_weights_nhwc(const fc_conv2d *given, const void *x, const void *dy, void *dw, void *db) {
    const fc_conv2d merged = merge_windows(given), *const conv = &merged;
    if (use_grouped(conv, fc_grouped_backward_weights_applies(conv))) return fc_grouped_backward_weights(conv, x, dy, dw, db);
    if (fc_folded_pays(conv, FC_BACKWARD_WEIGHTS) && dw) return fc_folded_backward_weights(conv, x, dy, dw, db);
    if (winograd_pays_weights(conv) && dw) return fc_winograd_backward_weights(conv, x, dy, dw, db);
    if (fc_wgrad_share(conv) < 1) return fc_wgrad_matrix(conv, x, dy, dw, db);
    if (fc_wgrad_exchange_pays(conv)) return fc_wgrad_exchanged(conv, x, dy, dw, db);
    return fc_wgrad(conv, x, dy, dw, db);
}

/* The passes with weights, for conv2d_nchw.c. */
typedef struct {
    const void *w, *bias;
} weights;

static fc_status forward_map(const fc_conv2d *conv, const void *context, const void *x, void *y) {
    const weights *const of = context;
    return forward_nhwc(conv, x, of->w, of->bias, y);
}

static fc_status backward_input_map(const fc_conv2d *conv, const void *context, const void *dy, void *dx) {
    return backward_input_nhwc(conv, dy, ((const weights *)context)->w, dx);
}

/* What the passes with packed weights are made of. */
typedef struct {
    ptrdiff_t (*bytes)(const fc_conv2d *conv);
    fc_status (*pack)(const fc_conv2d *conv, const void *w, void *packed);
    fc_status (*forward)(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y);
} packing;

/* Values lie in packed weights. */
enum { BY_WINOGRAD, BY_GEMM, BY_FOLDING, BY_FEW_CHANNELS, PACKINGS, NO_PACKING };
static const packing packings[PACKINGS] = {
    [BY_WINOGRAD] = {fc_winograd_weights_bytes, fc_winograd_transform_weights, fc_winograd_forward_packed},
    [BY_GEMM] = {fc_igemm_weights_bytes, fc_igemm_pack_weights, fc_igemm_forward_packed},
    [BY_FOLDING] = {fc_folded_weights_bytes, fc_folded_pack_weights, fc_folded_forward_packed},
    [BY_FEW_CHANNELS] = {fc_winograd_few_weights_bytes, fc_winograd_few_transform_weights, fc_winograd_few_forward_packed},
};

/* So few that packed weights are laid out for them. */
enum { FEW_IMAGES = 2 };

/* What packed weights begin with: all that was decided for them, which takes as long as a small convolution. */
typedef struct {
    int64_t few, way, pieces;
} header;
static_assert(sizeof(header) <= FC_PACKED_HEADER && FC_PACKED_HEADER % FC_ALIGN == 0, "the weights behind it are aligned");

static fc_conv2d packed_conv(const fc_conv2d *conv, const header *head) {
    fc_conv2d merged = merge_windows(conv);
    merged.few = (int)head->few, merged.pieces = (int)head->pieces;
    return merged;
}

/* Whatever the number of images. */
static header header_of(const fc_conv2d *conv, int few) {
    header head = {.few = few, .way = BY_GEMM};
    fc_conv2d of = packed_conv(conv, &head);
    of.n = fc_packed_images(&of);
    if (use_grouped(&of, fc_grouped_forward_applies(&of))) head.way = NO_PACKING;
    else if (use_few(&of)) head.way = BY_FEW_CHANNELS;
    else if (fc_folded_pays(&of, FC_FORWARD_PACKED)) head.way = BY_FOLDING;
    else if (of.algorithm != FC_DIRECT) head.pieces = fc_winograd_pieces(&of);
    if (head.pieces) head.way = BY_WINOGRAD;
    return head;
}

static header header_in(const void *packed) {
    header head;
    memcpy(&head, packed, sizeof head);
    return head;
}

static ptrdiff_t packed_bytes(const fc_conv2d *conv, const header *head) {
    fc_conv2d many = *conv;
    many.n = FC_MANY_IMAGES;
    check_conv(conv);
    if (fc_images_pay(&many)) return 0;
    const fc_conv2d of = packed_conv(conv, head);
    const ptrdiff_t bytes = head->way < PACKINGS ? packings[head->way].bytes(&of) : 0;
    return bytes > 0 ? FC_PACKED_HEADER + bytes : 0;
}

/* Along the planes weights are as good as they are. What is packed for NHWC would be taken. */
ptrdiff_t fc_conv2d_packed_bytes(const fc_conv2d *conv) {
    fc_conv2d many = *conv;
    many.n = FC_MANY_IMAGES;
    if (conv->layout == FC_NCHW && !folds(&many, FC_FORWARD) && !use_few_planes(&many) && !use_winograd(&many, 0) && fc_planes_forward_pays(&many))
        return 0;
    const header head = header_of(conv, conv->n <= FEW_IMAGES);
    return packed_bytes(conv, &head);
}

ptrdiff_t fc_conv2d_packed_as(const fc_conv2d *conv, const void *packed) {
    const header head = header_in(packed);
    if (head.few != 0 && head.few != 1) return 0;
    const header own = header_of(conv, (int)head.few);
    return head.way == own.way && head.pieces == own.pieces ? packed_bytes(conv, &own) : 0;
}

fc_status fc_conv2d_pack(const fc_conv2d *conv, const void *w, void *packed) {
    assert(fc_conv2d_packed_bytes(conv) > 0);
    const unsigned saved = fc_fp_enter();
    const header head = header_of(conv, conv->n <= FEW_IMAGES);
    memset(packed, 0, FC_PACKED_HEADER);
    memcpy(packed, &head, sizeof head);
    const fc_conv2d of = packed_conv(conv, &head);
    const fc_status status = packings[head.way].pack(&of, w, (char *)packed + FC_PACKED_HEADER);
    fc_fp_leave(saved);
    return status;
}

static fc_status forward_packed_map(const fc_conv2d *conv, const void *context, const void *x, void *y) {
    const weights *const given = context;
    const header head = header_in(given->w);
    const fc_conv2d of = packed_conv(conv, &head);
    return packings[head.way].forward(&of, x, (const char *)given->w + FC_PACKED_HEADER, given->bias, y);
}

/* By rounds of images; weights that more than a few would have to transform are transformed once. */
static fc_status forward_rounds(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    enum { FEW_ROUNDS = 2 };
    const header head = header_of(conv, 0);
    if (fc_nchw_rounds(conv) <= FEW_ROUNDS || head.way != BY_WINOGRAD) return fc_nchw_forward(conv, forward_map, &(weights){w, bias}, 1, x, y);
    const fc_conv2d of = packed_conv(conv, &head);
    char *const packed = fc_scratch(FC_SLOT_ROUND, FC_PACKED_HEADER + (size_t)fc_winograd_weights_bytes(&of));
    if (!packed) return FC_NO_MEMORY;
    *(header *)packed = head;
    const fc_status status = fc_winograd_transform_weights(&of, w, packed + FC_PACKED_HEADER);
    return status == FC_OK ? fc_nchw_forward(conv, forward_packed_map, &(weights){packed, bias}, 0, x, y) : status;
}

static fc_status forward_nchw(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    if (fc_depthwise_planes_apply(conv)) return fc_depthwise_planes_forward(conv, x, w, bias, y);
    if (use_few_planes(conv)) return fc_winograd_few_forward(conv, x, w, bias, y);
    if (folds(conv, FC_FORWARD)) return fc_folded_forward(conv, x, w, bias, y);
    const int winograd = use_winograd(conv, 0);
    if (winograd && winograd_turns(conv, 0)) return fc_winograd_forward(conv, x, w, bias, y);
    if (!winograd && fc_planes_forward_pays(conv)) return fc_planes_forward(conv, x, w, bias, y);
    return forward_rounds(conv, x, w, bias, y);
}

fc_status fc_conv2d_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    check_conv(conv);
    const unsigned saved = fc_fp_enter();
    fc_status status;
    if (fc_images_pay(conv)) status = fc_images_forward(conv, x, w, bias, y);
    else status = (conv->layout == FC_NHWC ? forward_nhwc : forward_nchw)(conv, x, w, bias, y);
    fc_fp_leave(saved);
    return status;
}

fc_status fc_conv2d_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    assert(fc_conv2d_packed_as(conv, packed) > 0);
    const unsigned saved = fc_fp_enter();
    const weights of = {packed, bias};
    const int64_t way = header_in(packed).way;
    const int whole = conv->layout == FC_NHWC || (way == BY_FOLDING && !merges(conv)) || (winograd_turns(conv, 0) && way == BY_WINOGRAD) ||
                      (way == BY_FEW_CHANNELS && use_few_planes(conv));
    /* What is packed is for whole images. */
    const fc_status status = whole ? forward_packed_map(conv, &of, x, y) : fc_nchw_forward(conv, forward_packed_map, &of, 0, x, y);
    fc_fp_leave(saved);
    return status;
}

fc_status fc_conv2d_forward_pooled(const fc_conv2d *conv, const void *x, const void *w, int packed, const void *bias, void *y, uint8_t *indices) {
    check_conv(conv);
    const int plain = conv->dtype == FC_F32 && conv->layout == FC_NHWC && conv->groups == 1 && fc_in_registers(conv->activation);
    if (!plain || conv->oh % 2 || conv->ow % 2 || (!packed && fc_images_pay(conv))) return FC_UNSUPPORTED;
    const header head = packed ? header_in(w) : (header){0};
    fc_conv2d of = packed_conv(conv, &head);
    of.pooled = 1, of.indices = indices;
    const unsigned saved = fc_fp_enter();
    fc_status status = FC_UNSUPPORTED;
    if (packed) {
        const int pools = head.way == BY_WINOGRAD || head.way == BY_GEMM;
        if (pools) status = packings[head.way].forward(&of, x, (const char *)w + FC_PACKED_HEADER, bias, y);
    } else if (!use_few(&of) && !fc_folded_pays(&of, FC_FORWARD)) {
        status = use_winograd(&of, 0) ? fc_winograd_forward(&of, x, w, bias, y) : fc_igemm_forward(&of, x, w, bias, y);
    }
    fc_fp_leave(saved);
    return status;
}

static fc_status backward_input_nchw(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    if (fc_depthwise_planes_apply(conv)) return fc_depthwise_planes_backward_input(conv, dy, w, dx);
    const int winograd = use_winograd(conv, 1);
    if (winograd && winograd_turns(conv, 1)) return fc_winograd_backward_input(conv, dy, w, dx);
    if (fc_planes_scattered_pays(conv)) return fc_planes_scattered_backward_input(conv, dy, w, dx);
    if (folds(conv, FC_BACKWARD_INPUT)) return fc_folded_backward_input(conv, dy, w, dx);
    if (!winograd && fc_planes_backward_input_pays(conv)) return fc_planes_backward_input(conv, dy, w, dx);
    return fc_nchw_backward_input(conv, backward_input_map, &(weights){w, NULL}, dy, dx);
}

fc_status fc_conv2d_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    check_conv(conv);
    const unsigned saved = fc_fp_enter();
    fc_status status;
    if (fc_images_pay_backward_input(conv)) status = fc_images_backward_input(conv, dy, w, dx);
    else status = (conv->layout == FC_NHWC ? backward_input_nhwc : backward_input_nchw)(conv, dy, w, dx);
    fc_fp_leave(saved);
    return status;
}

static fc_status backward_weights_nchw(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    if (fc_depthwise_planes_apply(conv)) return fc_depthwise_planes_backward_weights(conv, x, dy, dw, db);
    const int winograd = winograd_pays_weights(conv);
    /* With strides it would turn pixels anew for each piece of the kernel. */
    if (winograd && winograd_turns(conv, 0) && conv->stride_h * conv->stride_w == 1) return fc_winograd_backward_weights(conv, x, dy, dw, db);
    if (winograd || !fc_planes_backward_weights_pays(conv)) return fc_nchw_backward_weights(conv, backward_weights_nhwc, x, dy, dw, db);
    if (fc_wgrad_share(conv) < 1) return fc_wgrad_matrix(conv, x, dy, dw, db);
    return (fc_wgrad_exchange_pays(conv) ? fc_wgrad_exchanged : fc_wgrad)(conv, x, dy, dw, db);
}

fc_status fc_conv2d_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw_hwio, void *db) {
    check_conv(conv);
    if (!dw_hwio && !db) return FC_OK;
    const unsigned saved = fc_fp_enter();
    fc_status status;
    if (fc_images_pay(conv)) status = fc_images_backward_weights(conv, x, dy, dw_hwio, db);
    else status = (conv->layout == FC_NHWC ? backward_weights_nhwc : backward_weights_nchw)(conv, x, dy, dw_hwio, db);
    fc_fp_leave(saved);
    return status;
}

fc_status fc_conv2d_backward(const fc_conv2d *conv, const void *x, const void *dy, const void *w_hwio, void *dx, void *dw_hwio, void *db) {
    check_conv(conv);
    if (conv->layout == FC_NHWC && conv->groups == conv->c && (dw_hwio || db) && !fc_images_pay(conv) && !fc_images_pay_backward_input(conv) &&
        use_grouped(conv, fc_grouped_backward_weights_applies(conv))) {
        const unsigned saved = fc_fp_enter();
        const fc_status status = fc_grouped_backward(conv, dy, x, w_hwio, dx, dw_hwio, db);
        fc_fp_leave(saved);
        if (status != FC_UNSUPPORTED) return status;
    }
    const fc_status status = fc_conv2d_backward_input(conv, dy, w_hwio, dx);
    return status == FC_OK ? fc_conv2d_backward_weights(conv, x, dy, dw_hwio, db) : status;
}
