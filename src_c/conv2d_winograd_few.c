/* Winograd's convolution of images with few channels, stride 1: the first layers of networks. Kernels larger than 3x3 are cut into pieces,
 * whose results are added up between the transforms. A task takes rows of tiles from x to y; nothing but the transformed input of one row of
 * tiles is written on the way. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <string.h>

typedef struct {
    const fc_conv2d *conv;
    const fc_winograd_kernels *kernels;
    const float *x, *u, *bias;
    float *y;
    ptrdiff_t panels, rows, tiles; /* panels of one vector, rows of tiles of an image, tiles that are computed of a row */
} few_call;

/* Pieces of TAPS x TAPS taps that larger kernels are cut into: the last rows of them come first. */
enum { TAPS = 3 };
static ptrdiff_t piece_columns(const fc_conv2d *conv) { return fc_ceil_div(conv->kw, TAPS); }
static ptrdiff_t pieces_of(const fc_conv2d *conv) { return fc_ceil_div(conv->kh, TAPS) * piece_columns(conv); }

/* The first tap of a piece. */
typedef struct {
    ptrdiff_t y, x;
} corner;

static corner corner_of(const fc_conv2d *conv, ptrdiff_t piece) {
    const ptrdiff_t columns = piece_columns(conv);
    return (corner){(fc_ceil_div(conv->kh, TAPS) - 1 - piece / columns) * TAPS, piece % columns * TAPS};
}

/* Whether so many pieces save multiply-adds of vectors, of 16 outputs: the transforms of the pieces' inputs are shared by all panels, that of
 * the outputs is one of each. Two channels save too little for what follows a direct sum in registers, which is pooling. */
static int pieces_pay(const fc_conv2d *conv) {
    enum { INPUT = 260, OUTPUT = 130 };
    const ptrdiff_t panels = fc_ceil_div(conv->k, fc_kernels(FC_F32)->winograd.lanes), pieces = pieces_of(conv);
    return conv->c > 2 && (16 * conv->kh * conv->kw * conv->c - OUTPUT - FC_WINOGRAD_POSITIONS * pieces * conv->c) * panels > INPUT * pieces;
}

int fc_winograd_few_applies(const fc_conv2d *conv) {
    enum { MOST_TAPS = 2 * TAPS };
    const fc_winograd_kernels *const kernels = &fc_kernels(FC_F32)->winograd;
    const int plain = conv->stride_h == 1 && conv->stride_w == 1 && conv->dilation_h == 1 && conv->dilation_w == 1 && conv->groups == 1;
    if (!plain || conv->dtype != FC_F32 || kernels->few_tiles == 0 || conv->c < 2 || conv->c > 4) return 0;
    if (conv->kh == TAPS && conv->kw == TAPS) return 1;
    return fc_min(conv->kh, conv->kw) >= TAPS && fc_max(conv->kh, conv->kw) <= MOST_TAPS && pieces_pay(conv);
}

/* Elements of U of a piece and a panel. */
static ptrdiff_t u_size(const fc_conv2d *conv) { return FC_WINOGRAD_POSITIONS * conv->c * fc_kernels(FC_F32)->winograd.lanes; }

/* U as [panel][piece][36][c][lanes]. Taps that a piece lacks are zero. */
static void transform_weights(const fc_conv2d *conv, const float *w, float *u) {
    enum { MOST_CHANNELS = 4, MOST_LANES = 16 };
    const fc_winograd_kernels *const kernels = &fc_kernels(FC_F32)->winograd;
    const ptrdiff_t lanes = kernels->lanes, c = conv->c, pieces = pieces_of(conv);
    float taps[TAPS * TAPS][MOST_CHANNELS * MOST_LANES];
    assert(c <= MOST_CHANNELS && lanes <= MOST_LANES);
    fc_winograd_weights_args args = {.w = taps, .tap = MOST_CHANNELS * MOST_LANES, .ld = lanes, .rows = c, .nr = lanes, .position = c * lanes};
    for (ptrdiff_t k = 0; k < conv->k; k += lanes) {
        args.columns = fc_min(lanes, conv->k - k);
        for (ptrdiff_t piece = 0; piece < pieces; piece++, u += u_size(conv)) {
            const corner first = corner_of(conv, piece);
            if (pieces > 1) memset(taps, 0, sizeof taps);
            for (ptrdiff_t i = 0; i < fc_min(TAPS, conv->kh - first.y); i++)
                for (ptrdiff_t j = 0; j < fc_min(TAPS, conv->kw - first.x); j++) {
                    const float *const tap = w + ((first.y + i) * conv->kw + first.x + j) * c * conv->k + k;
                    for (ptrdiff_t ch = 0; ch < c; ch++)
                        memcpy(taps[i * TAPS + j] + ch * lanes, tap + ch * conv->k, (size_t)args.columns * sizeof(float));
                }
            args.u = u;
            kernels->transforms[FC_WINOGRAD_SQUARE][TAPS - FC_WINOGRAD_R_MIN].weights(&args);
        }
    }
}

/* Rows of tiles of one task, and tiles whose outputs are completed before the next. */
enum { ROWS = 2, BLOCK = 8 };

/* A block of outputs on its way past the caches: `rows` rows of `elements`, BLOCK * 4 pixels apart in `from`. */
typedef struct {
    const float *from;
    float *to;
    ptrdiff_t rows, elements;
} pending;

/* Part `part` of `parts` of a block. Memory takes it while the next block is computed, as long as it comes in small portions. */
static void send(const few_call *call, const pending *p, ptrdiff_t part, ptrdiff_t parts) {
    const ptrdiff_t line = FC_ALIGN / (ptrdiff_t)sizeof(float), k = call->conv->k;
    const ptrdiff_t lines = p->elements / line, first = lines * part / parts * line, last = lines * (part + 1) / parts * line;
    for (ptrdiff_t i = 0; i < p->rows && last > first; i++)
        fc_kernels(FC_F32)->pool.stream(p->from + i * BLOCK * 4 * k + first, p->to + i * call->conv->ow * k + first, last - first);
}

/* An activation that the kernels do not know, of `rows` rows of `width` pixels. */
static void activate(const fc_conv2d *conv, float *y, ptrdiff_t rows, ptrdiff_t row, ptrdiff_t width) {
    if (fc_in_registers(conv->activation)) return;
    for (ptrdiff_t i = 0; i < rows; i++, y += row) fc_kernels(FC_F32)->elementwise.activation[conv->activation](y, y, width * conv->k);
}

/* Elements of a tile's position in V. */
static ptrdiff_t v_depth(const few_call *call) { return call->kernels->few_depth ? call->kernels->few_depth : call->conv->c; }

/* Up to 4 rows of y. With `blocks`, which hold BLOCK tiles of all channels each, they go past the caches. */
static void output_rows(const few_call *call, const float *v, ptrdiff_t v_piece, ptrdiff_t rows, float *const blocks[2], float *y) {
    const fc_conv2d *const conv = call->conv;
    const ptrdiff_t k = conv->k, lanes = call->kernels->lanes, size = FC_WINOGRAD_POSITIONS * v_depth(call), line = conv->ow * k;
    fc_winograd_few_args out = {.pieces = pieces_of(conv),
                                .short_pieces = conv->kh % TAPS ? piece_columns(conv) : 0,
                                .v_piece = v_piece,
                                .row = blocks ? BLOCK * 4 * k : line,
                                .pixel = k,
                                .channels = conv->c,
                                .rows = (int)rows,
                                .relu = conv->activation == FC_RELU,
                                .fetch = fc_stores_through()};
    if (!blocks) {
        out.v = v, out.u = call->u, out.bias = call->bias, out.y = y, out.width = conv->ow, out.columns = k;
        call->kernels->few(&out);
        activate(conv, y, rows, line, conv->ow);
        return;
    }
    pending before = {0};
    for (ptrdiff_t tile = 0; tile * 4 < conv->ow; tile += BLOCK) {
        float *const here = y + tile * 4 * k, *const to = blocks[tile / BLOCK % 2];
        out.v = v + tile * size;
        out.width = fc_min(BLOCK * 4, conv->ow - tile * 4);
        for (ptrdiff_t panel = 0; panel < call->panels; panel++) {
            out.u = call->u + panel * out.pieces * u_size(conv);
            out.bias = call->bias ? call->bias + panel * lanes : NULL;
            out.y = to + panel * lanes;
            out.columns = fc_min(lanes, k - panel * lanes);
            call->kernels->few(&out);
            send(call, &before, panel, call->panels);
        }
        activate(conv, to, rows, out.row, out.width);
        before = (pending){to, here, rows, out.width * k};
    }
    send(call, &before, 0, 1);
}

/* V of row r of tiles for one piece. Pieces of the same columns write the same elements of their lines. */
static void transform_row(const few_call *call, ptrdiff_t image, ptrdiff_t r, ptrdiff_t piece, ptrdiff_t line, ptrdiff_t lines_size, float *lines,
                          float *v) {
    const fc_conv2d *const conv = call->conv;
    const corner at = corner_of(conv, piece);
    const ptrdiff_t left = at.x - conv->pad_left;
    const fc_span seen = fc_clip(left, 1, call->tiles * 4 + 2, conv->w); /* columns of the lines that are in the image */
    const ptrdiff_t pixels = fc_max(0, seen.end - seen.first), before = pixels > 0 ? seen.first : 0;
    fc_winograd_few_input_args in = {.elements = pixels * conv->c,
                                     .before = before * conv->c,
                                     .line = line,
                                     .channels = conv->c,
                                     .tiles = call->tiles,
                                     .lines = lines + at.x / TAPS * lines_size,
                                     .v = v};
    for (ptrdiff_t i = 0; i < FC_WINOGRAD_TILE; i++) {
        const ptrdiff_t row = r * 4 + i + at.y - conv->pad_top;
        const int inside = row >= 0 && row < conv->h && pixels > 0;
        in.x[i] = inside ? call->x + ((image * conv->h + row) * conv->w + left + before) * conv->c : NULL;
    }
    call->kernels->few_input(&in);
}

static fc_status few_task(const void *context, ptrdiff_t task) {
    const few_call *const call = context;
    const fc_conv2d *const conv = call->conv;
    const ptrdiff_t pieces = pieces_of(conv), columns = piece_columns(conv), lanes = call->kernels->lanes, bands = fc_ceil_div(call->rows, ROWS),
                    depth = v_depth(call), line = fc_round_up((call->tiles * 4 + 2) * depth + lanes, lanes);
    const ptrdiff_t image = task / bands, first = task % bands * ROWS, last = fc_min(first + ROWS, call->rows);
    const ptrdiff_t v_size = fc_round_up(FC_WINOGRAD_POSITIONS * call->tiles * depth + lanes, FC_ALIGN);
    const ptrdiff_t lines_size = fc_round_up(FC_WINOGRAD_TILE * line, FC_ALIGN);
    const ptrdiff_t pixel = conv->k * (ptrdiff_t)sizeof(float);
    const int stream = !fc_stores_through() && fc_streams(call->y, pixel, conv->n * conv->oh * conv->ow * pixel);
    const ptrdiff_t block_size = stream ? 4 * BLOCK * 4 * conv->k : 0;
    float *const lines = fc_scratch(FC_SLOT_TASK, (size_t)(columns * lines_size + pieces * v_size + 2 * block_size) * sizeof(float));
    if (!lines) return FC_NO_MEMORY;
    float *const v = lines + columns * lines_size, *const blocks[2] = {v + pieces * v_size, v + pieces * v_size + block_size};
    memset(lines, 0, (size_t)(columns * lines_size) * sizeof(float));
    for (ptrdiff_t r = first; r < last; r++) {
        for (ptrdiff_t piece = 0; piece < pieces; piece++) transform_row(call, image, r, piece, line, lines_size, lines, v + piece * v_size);
        output_rows(call, v, v_size, fc_min(4, conv->oh - r * 4), stream ? blocks : NULL, call->y + (image * conv->oh + r * 4) * conv->ow * conv->k);
    }
    if (stream) fc_kernels(FC_F32)->frame.stream_end();
    return FC_OK;
}

ptrdiff_t fc_winograd_few_weights_bytes(const fc_conv2d *conv) {
    return fc_ceil_div(conv->k, fc_kernels(FC_F32)->winograd.lanes) * pieces_of(conv) * u_size(conv) * (ptrdiff_t)sizeof(float);
}

fc_status fc_winograd_few_transform_weights(const fc_conv2d *conv, const void *w, void *packed) {
    transform_weights(conv, w, packed);
    return FC_OK;
}

fc_status fc_winograd_few_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    assert(fc_winograd_few_applies(conv));
    if (conv->layout == FC_NCHW) return fc_winograd_few_planes_forward(conv, x, packed, bias, y);
    const fc_winograd_kernels *const kernels = &fc_kernels(FC_F32)->winograd;
    const few_call call = {.conv = conv,
                           .kernels = kernels,
                           .x = x,
                           .u = packed,
                           .bias = bias,
                           .y = y,
                           .panels = fc_ceil_div(conv->k, kernels->lanes),
                           .rows = fc_ceil_div(conv->oh, 4),
                           .tiles = fc_round_up(fc_ceil_div(conv->ow, 4), kernels->few_tiles)};
    const double outputs = (double)(conv->n * conv->oh * conv->ow) * (double)conv->k,
                 work = fc_macs_ns(outputs * (double)(3 * pieces_of(conv) * conv->c + 8));
    return fc_parallel_for(conv->n * fc_ceil_div(call.rows, ROWS), fc_pixels_work(conv->few, work), few_task, &call);
}

fc_status fc_winograd_few_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    float *const u = fc_scratch(FC_SLOT_CALL, (size_t)fc_winograd_few_weights_bytes(conv));
    if (!u) return FC_NO_MEMORY;
    transform_weights(conv, w, u);
    return fc_winograd_few_forward_packed(conv, x, u, bias, y);
}
