/* Convolution of many groups of few channels: which way it goes. */
#include "conv2d_grouped.h"

enum {
    MAX_PLANES = 6,       /* up to here planes beat a GEMM for each group, */
    MAX_TIMES = 8,        /* if the groups of the output are small as well; see planes_pay */
    MAX_TAPS = 3,         /* more of them in a row share too little in registers, */
    MAX_STRIDED_TAPS = 5, /* but less would be shared of planes whose pixels are not all used, */
    FEW_PLANES = 4,       /* if that are so many */
    MANY_PAIRS = 25       /* of channels in a group */
};

/* Whether several terms of as many output channels fit into a product of the implicit GEMM. */
static int fits_products(const fc_gemm_kernels *gemm, ptrdiff_t times) { return gemm->runs[2] && 2 * times <= gemm->lanes; }

/* Whether the implicit GEMM is better than kernels that make as many planes: several terms fill a vector there. Here vectors of the output would be
 * half empty, or permuted pixels of the input would serve few taps. */
static int runs_pay(const fc_conv2d *conv, int gradient, ptrdiff_t planes, ptrdiff_t times) {
    const fc_gemm_kernels *const gemm = &fc_kernels(conv->dtype)->gemm;
    const ptrdiff_t out = times * conv->groups;
    const int leaves = !gradient && conv->stride_w > 1;
    return fits_products(gemm, times) && planes > (leaves ? FEW_PLANES : MAX_PLANES) && (leaves || 4 * fc_round_up(out, gemm->lanes) >= 5 * out);
}

/* Whether products of several terms beat planes that share nothing in registers. */
static int many_pairs(const fc_conv2d *conv, ptrdiff_t planes, ptrdiff_t times) {
    return fits_products(&fc_kernels(conv->dtype)->gemm, times) && planes * times >= MANY_PAIRS;
}

/* Whether kernels make the planes of one pass: the rows of its phases are tiles of pixels that do not overlap by far. What dilated pixels do not share
 * takes more time than vectors half empty. */
int fc_grouped_makes_planes(const fc_conv2d *conv, int gradient) {
    const ptrdiff_t c = conv->c / conv->groups, k = conv->k / conv->groups, planes = gradient ? k : c, times = gradient ? c : k;
    const ptrdiff_t pixels = gradient ? conv->w / conv->stride_w : conv->ow / conv->dilation_w, tiles = fc_ceil_div(pixels, FC_GROUPED_PIXELS);
    if (runs_pay(conv, gradient, planes, times)) return 0;
    const ptrdiff_t taps = !gradient && conv->stride_w > 1 && planes <= FEW_PLANES ? MAX_STRIDED_TAPS : MAX_TAPS;
    return pixels >= FC_GROUPED_PIXELS && 2 * tiles * FC_GROUPED_PIXELS <= 3 * pixels && conv->kw <= taps &&
           (conv->dilation_w == 1 || (planes <= MAX_PLANES && !many_pairs(conv, planes, times))) &&
           fc_grouped_in_registers(fc_kernels(conv->dtype), planes, times);
}

/* Whether planes beat a GEMM for each group. Pixels that strides leave out are spread in vain; the gradient of the input has none such, and the
 * GEMM a call for each phase. */
static int planes_pay(const fc_conv2d *conv, int gradient, ptrdiff_t planes, ptrdiff_t times) {
    const int strided = conv->stride_h * conv->stride_w > 1, leaves = strided && !gradient, single = conv->kh * conv->kw == 1;
    const ptrdiff_t lanes = fc_kernels(conv->dtype)->gemm.lanes;
    if (planes == 1 && times == 1) return 1;
    if (planes == 1) return times <= (leaves ? 8 : strided ? 32 : 12);
    if (times == 1) return planes <= (leaves ? 96 / lanes : strided ? 16 : 192 / lanes);
    if (planes > 2 * lanes) return 0;
    if (times == 2) return planes <= MAX_TIMES;
    if (leaves) return planes < FEW_PLANES && times <= MAX_TIMES;
    if (planes == MAX_PLANES && times >= (single ? 3 : 5) && !strided) return 0;
    if (!strided && many_pairs(conv, planes, times)) return 0;
    return planes <= MAX_PLANES && times <= MAX_TIMES;
}

static int applies(const fc_conv2d *conv, int gradient) {
    const ptrdiff_t c = conv->c / conv->groups, k = conv->k / conv->groups, planes = gradient ? k : c, times = gradient ? c : k;
    return conv->groups > 1 && (fc_grouped_makes_planes(conv, gradient) || planes_pay(conv, gradient, planes, times));
}

int fc_grouped_forward_applies(const fc_conv2d *conv) { return applies(conv, 0); }

int fc_grouped_backward_input_applies(const fc_conv2d *conv) { return applies(conv, 1); }
