/* Winograd convolution: forward and input gradient, F(4x4, 3x3) and F(2x2, 5x5) on tiles of 6 x 6. The input gradient is the
 * forward pass of dy with the kernel rotated and transposed.
 *
 * Two ways through it:
 *   - by tiles: all weights are transformed first, then each task takes a block of tiles from x to y, and what it holds
 *     between the transforms stays in its second-level cache;
 *   - by panels: for few tiles or many weights. All tiles are transformed first, then each task takes a panel of output
 *     channels from w to y: it transforms the weights of some input channels and multiplies them before it goes on.
 * V is laid out as [36][tiles / mr][c / lanes][mr][lanes], U as [36][panel][c][nr], M as [36][tiles / mr][panel][mr][nr].
 *
 * A NaN or infinity in x reaches all outputs of the tiles that read it, and no others. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <string.h>

typedef struct {
    fc_winograd_plan plan;
    const float *x, *w, *bias;
    float *y;
    int transposed; /* w_hwio is read rotated, input channels for output channels */
    fc_activation activation;
    float *u;                /* where all weights are transformed to */
    const float *packed;     /* the transformed weights, or NULL: transform them on the way */
    float *v;                /* tiles first .. first + count - 1, by panels only */
    ptrdiff_t first, count;
    ptrdiff_t block, blocks; /* tiles of a task */
} winograd_call;

int fc_winograd_applies(const fc_conv2d *conv) {
    return conv->dtype == FC_F32 && fc_kernels(FC_F32)->winograd.mr > 0 && conv->kh == conv->kw && (conv->kh == 3 || conv->kh == 5) &&
           conv->stride_h == 1 && conv->stride_w == 1 && conv->dilation_h == 1 && conv->dilation_w == 1 && conv->groups == 1;
}

/* Measured with AVX2 and AVX-512 on one thread, for all three passes: with 4 full tiles Winograd takes 0.7 of the time of the
 * direct kernels and with hundreds of them 0.35 (3x3) or 0.5 (5x5), if there are 16 channels or more; 8 channels 0.7. With few outputs the
 * transforms of the weights do not pay, with few outputs in a tile its products do not. */
int fc_winograd_pays(const fc_conv2d *conv) {
    const ptrdiff_t m = FC_WINOGRAD_TILE + 1 - conv->kh, outputs = conv->n * conv->oh * conv->ow;
    const ptrdiff_t computed = conv->n * fc_round_up(conv->oh, m) * fc_round_up(conv->ow, m);
    return conv->c >= 6 && conv->k >= 6 && conv->c * conv->k >= 64 && outputs >= 48 && outputs * (conv->kh == 3 ? 5 : 4) >= computed * 2;
}

static void finish_plan(fc_winograd_plan *p) {
    p->kernels = &fc_kernels(FC_F32)->winograd;
    p->transforms = p->r == 3 ? &p->kernels->r3 : &p->kernels->r5;
    p->m = FC_WINOGRAD_TILE + 1 - p->r;
    p->tiles_h = fc_ceil_div(p->oh, p->m);
    p->tiles_w = fc_ceil_div(p->ow, p->m);
    p->tiles = p->n * p->tiles_h * p->tiles_w;
    const ptrdiff_t wide = p->kernels->panel[0].nr, narrow = p->kernels->panel[1].nr, rest = p->k % wide;
    p->chunk = p->c < 96 ? 16 : p->c < 256 ? 32 : 64;
    p->lanes_c = fc_round_up(p->c, p->kernels->lanes);
    p->panels = fc_ceil_div(p->k, wide);
    p->width = p->k - rest + (rest == 0 ? 0 : rest <= narrow ? narrow : wide);
}

fc_winograd_plan fc_winograd_plan_forward(const fc_conv2d *conv) {
    assert(fc_winograd_applies(conv));
    fc_winograd_plan p = {.r = conv->kh, .n = conv->n, .h = conv->h, .w = conv->w, .c = conv->c, .oh = conv->oh, .ow = conv->ow,
                          .k = conv->k, .pad_top = conv->pad_top, .pad_left = conv->pad_left};
    finish_plan(&p);
    return p;
}

static fc_winograd_plan plan_backward_input(const fc_conv2d *conv) {
    assert(fc_winograd_applies(conv));
    fc_winograd_plan p = {.r = conv->kh, .n = conv->n, .h = conv->oh, .w = conv->ow, .c = conv->k, .oh = conv->h, .ow = conv->w,
                          .k = conv->c, .pad_top = conv->kh - 1 - conv->pad_top, .pad_left = conv->kw - 1 - conv->pad_left};
    finish_plan(&p);
    return p;
}

fc_winograd_columns fc_winograd_panel_at(const fc_winograd_plan *p, ptrdiff_t index) {
    const ptrdiff_t wide = p->kernels->panel[0].nr, first = index * wide;
    const fc_winograd_panel *const kernels = &p->kernels->panel[p->width - first < wide];
    return (fc_winograd_columns){kernels, first, fc_min(kernels->nr, p->k - first), kernels->nr};
}

fc_winograd_tile fc_winograd_tile_at(const fc_winograd_plan *p, ptrdiff_t index) {
    const ptrdiff_t row = index / p->tiles_w;
    return (fc_winograd_tile){row / p->tiles_h, row % p->tiles_h * p->m, index % p->tiles_w * p->m};
}

void fc_winograd_next_tile(const fc_winograd_plan *p, fc_winograd_tile *t) {
    t->x += p->m;
    if (t->x < p->ow) return;
    t->x = 0;
    t->y += p->m;
    if (t->y < p->oh) return;
    t->y = 0;
    t->image++;
}

void fc_winograd_input(const fc_winograd_plan *p, const float *x, ptrdiff_t first, ptrdiff_t count,
                       const fc_winograd_v_layout *layout, float *v) {
    fc_winograd_tile tile = fc_winograd_tile_at(p, first);
    fc_winograd_input_args args = {.row = p->w * p->c, .pixel = p->c, .channels = p->c, .position = layout->position,
                                   .block = layout->block, .m = (int)p->m};
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t y = tile.y - p->pad_top, x0 = tile.x - p->pad_left;
        args.row0 = (int)fc_min(fc_max(-y, 0), FC_WINOGRAD_TILE), args.row1 = (int)fc_min(p->h - y, FC_WINOGRAD_TILE);
        args.col0 = (int)fc_min(fc_max(-x0, 0), FC_WINOGRAD_TILE), args.col1 = (int)fc_min(p->w - x0, FC_WINOGRAD_TILE);
        const int inside = args.row0 < args.row1 && args.col0 < args.col1;
        args.x = inside ? x + ((tile.image * p->h + y + args.row0) * p->w + x0 + args.col0) * p->c : x;
        if (!inside) args.row0 = args.row1 = args.col0 = args.col1 = 0;
        args.ahead = tile.x + p->m < p->ow;
        args.v = v + t / layout->group * layout->group_stride + t % layout->group * layout->tile_stride;
        p->kernels->input(&args);
    }
}

static ptrdiff_t u_position(const fc_winograd_plan *p) { return p->width * p->c + FC_WINOGRAD_SKEW; }
static ptrdiff_t v_position(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return fc_round_up(tiles, p->kernels->mr) * p->lanes_c + FC_WINOGRAD_SKEW;
}
static ptrdiff_t m_position(const fc_winograd_plan *p, ptrdiff_t tiles, ptrdiff_t width) {
    return fc_round_up(tiles, p->kernels->mr) * width + FC_WINOGRAD_SKEW;
}

static void input_tiles(const winograd_call *call, ptrdiff_t first, ptrdiff_t count, ptrdiff_t position, float *v) {
    const fc_winograd_kernels *const kernels = call->plan.kernels;
    const fc_winograd_v_layout layout = {.position = position, .block = (ptrdiff_t)kernels->mr * kernels->lanes, .group = kernels->mr,
                                         .group_stride = kernels->mr * call->plan.lanes_c, .tile_stride = kernels->lanes};
    fc_winograd_input(&call->plan, call->x, first, count, &layout, v);
}

/* Fetches n elements that lie `elements` from p; they need not exist. */
static void fetch(const float *p, ptrdiff_t elements, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += FC_ALIGN / (ptrdiff_t)sizeof(float))
        __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)(elements + i) * sizeof(float)));
}

/* Rows of weights that are fetched ahead. */
enum { FETCH_AHEAD = 12 };

/* Copies the weights of a panel, for input channels c0 .. c1 - 1, to copy[tap][c][nr], as the forward pass of the plan sees
 * them. What is read lies in pieces of a panel's width, often a power of two apart: read more than once where it is, it would
 * evict itself. */
static void copy_weights(const winograd_call *call, const fc_winograd_columns *panel, ptrdiff_t c0, ptrdiff_t c1, float *copy) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t taps = p->r * p->r, tap_size = (c1 - c0) * panel->nr;
    if (call->transposed) {
        const float *from = call->w + panel->first * p->c + c0;
        float *to = copy + taps * tap_size;
        for (ptrdiff_t t = 0; t < taps; t++, from += p->k * p->c) {
            for (ptrdiff_t k = 0; k < panel->columns && t + 1 < taps; k++) fetch(from, (p->k + k) * p->c, c1 - c0);
            fc_kernels(FC_F32)->frame.transpose(from, p->c, to -= tap_size, panel->nr, panel->columns, c1 - c0);
        }
        return;
    }
    for (ptrdiff_t t = 0; t < taps; t++)
        for (ptrdiff_t c = c0; c < c1; c++, copy += panel->nr) {
            const float *const from = call->w + (t * p->c + c) * p->k + panel->first;
            fetch(from, FETCH_AHEAD * p->k, panel->nr);
            if (panel->columns == 32) memcpy(copy, from, 32 * sizeof(float));
            else memcpy(copy, from, (size_t)panel->columns * sizeof(float));
        }
}

static fc_winograd_weights_args copied_weights(const fc_winograd_columns *panel, ptrdiff_t rows, const float *copy) {
    return (fc_winograd_weights_args){.w = copy, .tap = rows * panel->nr, .ld = panel->nr, .rows = rows, .columns = panel->columns, .nr = panel->nr};
}

/* Input channels of one task of the weights transform. */
enum { WEIGHTS_CHUNK = 16 };

static fc_status transform_weights_task(const void *context, ptrdiff_t task) {
    const winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t chunks = fc_ceil_div(p->c, WEIGHTS_CHUNK);
    const fc_winograd_columns panel = fc_winograd_panel_at(p, task / chunks);
    const ptrdiff_t c0 = task % chunks * WEIGHTS_CHUNK, c1 = fc_min(c0 + WEIGHTS_CHUNK, p->c);
    float *const copy = fc_scratch(FC_SLOT_TASK, (size_t)(p->r * p->r * WEIGHTS_CHUNK * panel.nr) * sizeof(float));
    if (!copy) return FC_NO_MEMORY;
    copy_weights(call, &panel, c0, c1, copy);
    fc_winograd_weights_args args = copied_weights(&panel, c1 - c0, copy);
    args.position = u_position(p);
    args.u = call->u + panel.first * p->c + c0 * panel.nr;
    p->transforms->weights(&args);
    return FC_OK;
}

static fc_status transform_weights(const winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    return fc_parallel_for(p->panels * fc_ceil_div(p->c, WEIGHTS_CHUNK), (double)(p->c * p->width) * 2, transform_weights_task, call);
}

/* M (+)= V U for one position of `count` tiles, one panel, and input channels c0 .. c1 - 1, which u starts with. */
static void products(const fc_winograd_plan *p, const fc_winograd_columns *panel, ptrdiff_t count, const float *v, ptrdiff_t c0, ptrdiff_t c1,
                     const float *u, float *m, ptrdiff_t m_group) {
    const ptrdiff_t mr = p->kernels->mr, v_group = mr * p->lanes_c;
    v += c0 * mr;
    for (ptrdiff_t t = 0; t < count; t += mr, v += v_group, m += m_group)
        panel->kernels->gemm[fc_min(mr, count - t)](v, u, c1 - c0, p->chunk, m, c0 > 0);
}

/* Activations that the output transform does not know. */
static void activate(const winograd_call *call, const fc_winograd_output_args *args) {
    if (call->activation == FC_LINEAR || call->activation == FC_RELU) return;
    for (ptrdiff_t i = 0; i < args->rows; i++)
        for (ptrdiff_t j = 0; j < args->cols; j++) {
            float *const y = (float *)args->y + i * args->row + j * args->pixel;
            fc_kernels(FC_F32)->elementwise.activation[call->activation](y, y, args->columns);
        }
}

/* y of panels begin .. end - 1. */
static void output_tiles(const winograd_call *call, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t first, ptrdiff_t count, const float *m,
                         ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t mr = p->kernels->mr;
    fc_winograd_tile tile = fc_winograd_tile_at(p, first);
    fc_winograd_output_args args = {.position = m_step, .row = p->ow * p->k, .pixel = p->k, .relu = call->activation == FC_RELU};
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        args.rows = (int)fc_min(p->m, p->oh - tile.y);
        args.cols = (int)fc_min(p->m, p->ow - tile.x);
        const float *group = m + t / mr * m_group;
        for (ptrdiff_t i = begin; i < end; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            args.m = group + t % mr * panel.nr;
            group += mr * panel.nr;
            args.columns = panel.columns;
            args.bias = call->bias ? call->bias + panel.first : NULL;
            args.y = call->y + ((tile.image * p->oh + tile.y) * p->ow + tile.x) * p->k + panel.first;
            args.ahead = tile.x + p->m < p->ow ? p->m * p->k + (p->m - 1) * panel.first : 0;
            p->transforms->output(&args);
            activate(call, &args);
        }
    }
}

static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, p->tiles - first);
    const ptrdiff_t v_step = v_position(p, count), m_step = m_position(p, count, p->width), mr = p->kernels->mr;
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(FC_WINOGRAD_POSITIONS * (v_step + m_step)) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    float *const m = v + FC_WINOGRAD_POSITIONS * v_step;
    input_tiles(call, first, count, v_step, v);
    for (int q = 0; q < FC_WINOGRAD_POSITIONS; q++)
        for (ptrdiff_t i = 0; i < p->panels; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            products(p, &panel, count, v + q * v_step, 0, p->c, call->packed + q * u_position(p) + panel.first * p->c,
                     m + q * m_step + panel.first * mr, p->width * mr);
        }
    output_tiles(call, 0, p->panels, first, count, m, m_step, p->width * mr);
    return FC_OK;
}

static fc_status input_task(const void *context, ptrdiff_t task) {
    const winograd_call *const call = context;
    const ptrdiff_t mr = call->plan.kernels->mr, first = task * mr, count = fc_min(mr, call->count - first);
    input_tiles(call, call->first + first, count, v_position(&call->plan, call->count), call->v + first * call->plan.lanes_c);
    return FC_OK;
}

/* Of a task by panels: input channels whose weights are transformed at once, a multiple of the lanes, and panels. */
enum { PANEL_CHUNK = 32, PANEL_GROUP = 32 };

static ptrdiff_t group_panels(const fc_winograd_plan *p) { return PANEL_GROUP / p->kernels->panel[0].nr; }

/* Panels of one group, with packed weights. */
static void multiply_packed(const winograd_call *call, ptrdiff_t begin, ptrdiff_t end, float *m, ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = fc_winograd_panel_at(p, begin).first, v_step = v_position(p, call->count);
    for (int q = 0; q < FC_WINOGRAD_POSITIONS; q++)
        for (ptrdiff_t i = begin; i < end; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            products(p, &panel, call->count, call->v + q * v_step, 0, p->c, call->packed + q * u_position(p) + panel.first * p->c,
                     m + q * m_step + (panel.first - first) * p->kernels->mr, m_group);
        }
}

/* The same with weights that are transformed on the way. */
static fc_status multiply(const winograd_call *call, ptrdiff_t begin, ptrdiff_t end, float *m, ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = fc_winograd_panel_at(p, begin).first, chunk = fc_min(PANEL_CHUNK, p->c);
    const ptrdiff_t v_step = v_position(p, call->count), u_step = chunk * PANEL_GROUP + FC_WINOGRAD_SKEW, u_size = FC_WINOGRAD_POSITIONS * u_step;
    float *const u = fc_scratch(FC_SLOT_TASK2, (size_t)(u_size + p->r * p->r * chunk * PANEL_GROUP) * sizeof(float));
    if (!u) return FC_NO_MEMORY;
    for (ptrdiff_t c0 = 0; c0 < p->c; c0 += chunk) {
        const ptrdiff_t c1 = fc_min(c0 + chunk, p->c);
        for (ptrdiff_t i = begin; i < end; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            copy_weights(call, &panel, c0, c1, u + u_size);
            fc_winograd_weights_args args = copied_weights(&panel, c1 - c0, u + u_size);
            args.u = u + (panel.first - first) * chunk;
            args.position = u_step;
            p->transforms->weights(&args);
        }
        for (int q = 0; q < FC_WINOGRAD_POSITIONS; q++)
            for (ptrdiff_t i = begin; i < end; i++) {
                const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
                const ptrdiff_t at = panel.first - first;
                products(p, &panel, call->count, call->v + q * v_step, c0, c1, u + q * u_step + at * chunk,
                         m + q * m_step + at * p->kernels->mr, m_group);
            }
    }
    return FC_OK;
}

static fc_status panels_task(const void *context, ptrdiff_t task) {
    const winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t begin = task * group_panels(p), end = fc_min(begin + group_panels(p), p->panels);
    const fc_winograd_columns last = fc_winograd_panel_at(p, end - 1);
    const ptrdiff_t width = last.first + last.nr - fc_winograd_panel_at(p, begin).first;
    const ptrdiff_t m_step = m_position(p, call->count, width), m_group = width * p->kernels->mr;
    float *const m = fc_scratch(FC_SLOT_TASK, (size_t)(FC_WINOGRAD_POSITIONS * m_step) * sizeof(float));
    if (!m) return FC_NO_MEMORY;
    if (call->packed) {
        multiply_packed(call, begin, end, m, m_step, m_group);
    } else {
        const fc_status status = multiply(call, begin, end, m, m_step, m_group);
        if (status != FC_OK) return status;
    }
    output_tiles(call, begin, end, call->first, call->count, m, m_step, m_group);
    return FC_OK;
}

/* Tiles of a task such that V and M of a block take up half of a second-level cache of 1 MB. */
static ptrdiff_t block_tiles(const fc_winograd_plan *p) {
    const ptrdiff_t mr = p->kernels->mr, bytes = FC_WINOGRAD_POSITIONS * (p->lanes_c + p->width) * (ptrdiff_t)sizeof(float);
    ptrdiff_t block = fc_max(fc_min(512 * 1024 / (bytes * mr), 12), 1) * mr;
    return block;
}

static fc_status by_tiles(winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (!call->packed) {
        call->u = fc_scratch(FC_SLOT_CALL, (size_t)(FC_WINOGRAD_POSITIONS * u_position(p)) * sizeof(float));
        if (!call->u) return FC_NO_MEMORY;
        const fc_status status = transform_weights(call);
        if (status != FC_OK) return status;
        call->packed = call->u;
    }
    call->block = block_tiles(p);
    call->blocks = fc_ceil_div(p->tiles, call->block);
    const double macs = (double)p->tiles * FC_WINOGRAD_POSITIONS * (double)p->c * (double)p->width;
    return fc_parallel_for(call->blocks, fc_macs_ns(macs), tiles_task, call);
}

static fc_status by_panels(winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    ptrdiff_t most = 128;
    call->count = fc_min(most, p->tiles);
    call->v = fc_scratch(FC_SLOT_CALL, (size_t)(FC_WINOGRAD_POSITIONS * v_position(p, call->count)) * sizeof(float));
    if (!call->v) return FC_NO_MEMORY;
    for (call->first = 0; call->first < p->tiles; call->first += call->count) {
        call->count = fc_min(most, p->tiles - call->first);
        const double per_tile = FC_WINOGRAD_POSITIONS * (double)p->c;
        fc_status status = fc_parallel_for(fc_ceil_div(call->count, p->kernels->mr), (double)call->count * per_tile, input_task, call);
        if (status != FC_OK) return status;
        const double macs = (double)call->count * per_tile * (double)p->width;
        status = fc_parallel_for(fc_ceil_div(p->panels, group_panels(p)), fc_macs_ns(macs) + (double)(p->c * p->width) * 2, panels_task, call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

static fc_status run(winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (p->tiles == 0) return FC_OK;
    int panels = (p->tiles <= 8 * p->kernels->mr && p->panels > 1) || p->c * p->k > 256 * 256;
    return panels ? by_panels(call) : by_tiles(call);
}

fc_status fc_winograd_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    winograd_call call = {.plan = fc_winograd_plan_forward(conv), .x = x, .w = w, .bias = bias, .y = y, .activation = conv->activation};
    return run(&call);
}

fc_status fc_winograd_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    winograd_call call = {.plan = plan_backward_input(conv), .x = dy, .w = w, .y = dx, .transposed = 1};
    return run(&call);
}

size_t fc_winograd_weights_bytes(const fc_conv2d *conv) {
    const fc_winograd_plan plan = fc_winograd_plan_forward(conv);
    return (size_t)(FC_WINOGRAD_POSITIONS * u_position(&plan)) * sizeof(float);
}

fc_status fc_winograd_transform_weights(const fc_conv2d *conv, const void *w, void *packed) {
    const winograd_call call = {.plan = fc_winograd_plan_forward(conv), .w = w, .u = packed};
    return transform_weights(&call);
}

fc_status fc_winograd_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    winograd_call call = {.plan = fc_winograd_plan_forward(conv), .x = x, .packed = packed, .bias = bias, .y = y, .activation = conv->activation};
    return run(&call);
}
