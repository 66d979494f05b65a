/* Winograd convolution: forward and input gradient, on tiles of 6 x 6, 1 x 6 or 6 x 1. The input gradient is the forward pass of dy
 * with the kernel rotated and transposed.
 *
 * Ways through it:
 *   - by tiles: all weights are transformed first, then each task takes a block of tiles from x to y, and what it holds
 *     between the transforms stays in its second-level cache;
 *   - the same by chunks of input channels, for many of them and few output channels, whose sums stay there meanwhile;
 *   - by panels, for few tiles or many weights: conv2d_winograd_panels.c;
 *   - the same in registers, for fewer: conv2d_winograd_registers.c;
 *   - on a matrix unit: conv2d_winograd_matrix.c.
 *
 * A NaN or infinity in x reaches all outputs of the tiles that read it, and no others. */
#include "conv2d_winograd_products.h"

#include <math.h>

/* While the first half of the positions of a block of tiles is multiplied, what the next block will read; then what this one will write. */
static fc_winograd_fetching fetch_pixels(const fc_winograd_call *call, int half, ptrdiff_t first, ptrdiff_t count) {
    const fc_winograd_plan *const p = &call->plan;
    const fc_winograd_extent extent =
        half == 0 ? fc_winograd_reads(p, call->x, first + count, count) : fc_winograd_writes(p, call->pooled, call->y, first, count);
    const ptrdiff_t steps = fc_ceil_div(count, p->kernels->mr) * p->depth * p->panels * (p->positions / 2);
    return (fc_winograd_fetching){.u = extent.begin, .u_bytes = extent.bytes / steps};
}

static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, p->tiles - first), mr = p->kernels->mr;
    /* Where all products of a position are made at once, they take the place of the tiles of the position before: it is in the first-level
     * cache. */
    const int in_place = fc_winograd_panels_count(call) == 1;
    const ptrdiff_t v_own = fc_winograd_v_position(p, count),
                    m_own = fc_winograd_m_position(p, count, fc_min(p->width, fc_winograd_group_channels()));
    const ptrdiff_t v_step = in_place ? fc_max(v_own, m_own) : v_own, m_step = in_place ? v_step : m_own;
    float *const m = fc_scratch(FC_SLOT_TASK, (size_t)(in_place ? (p->positions + 1) * v_step : p->positions * (v_step + m_step)) * sizeof(float));
    if (!m) return FC_NO_MEMORY;
    float *const v = m + (in_place ? 1 : p->positions) * m_step;
    const fc_winograd_order order = fc_winograd_order_of(p, first, count);
    const fc_winograd_groups groups = fc_winograd_groups_of(p, count);
    const int far = fc_winograd_u_bytes(p) > fc_l2_bytes() / 2;
    fc_status status = fc_winograd_input_tiles(call, first, count, &groups, order, v_step, far, v);
    fc_winograd_fetching pixels = {0};
    for (ptrdiff_t g = 0; g < fc_winograd_panels_count(call) && status == FC_OK; g++) {
        const fc_winograd_panels group = fc_winograd_panels_at(call, g);
        for (int q = 0; q < p->positions; q++) {
            fc_winograd_columns panel = fc_winograd_panel_at(p, group.begin);
            if (q % (p->positions / 2) == 0) pixels = g > 0 ? (fc_winograd_fetching){0} : fetch_pixels(call, q > 0, first, count);
            for (ptrdiff_t i = group.begin; i < group.end; i++, fc_winograd_next_panel(p, &panel)) {
                const float *const next =
                    i + 1 < group.end ? fc_winograd_packed_at(call, q, panel.at) + panel.nr * p->depth : fc_winograd_packed_at(call, q + 1, group.at);
                fc_winograd_fetching weights = fc_winograd_fetch_weights(&groups, next, 1);
                fc_winograd_multiply_pieces(p, &panel, q, fc_winograd_tiles_of(p, &order, &groups, q), v + q * v_step,
                                            fc_winograd_packed_at(call, q, panel.at), m + q * m_step + (panel.at - group.at) * mr, group.width * mr,
                                            far ? &weights : &pixels);
            }
        }
        const fc_winograd_m_layout layout = {m_step, groups.rows, group.width * mr, mr, far};
        status = fc_winograd_output(call, &group, first, count, order, &layout, m);
    }
    return status;
}

/* Input channels that are transformed at once by chunks: of one piece. */
enum { CHUNK = 64 };
static ptrdiff_t chunk_lanes(const fc_winograd_plan *p) { return fc_min(p->lanes_c, CHUNK); }

static fc_status chunks_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, p->tiles - first), mr = p->kernels->mr, lanes = chunk_lanes(p);
    const ptrdiff_t v_step = fc_round_up(count, mr) * lanes + FC_WINOGRAD_SKEW, m_step = fc_winograd_m_position(p, count, p->width);
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(p->positions * (v_step + m_step)) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    float *const m = v + p->positions * v_step;
    const fc_winograd_order order = fc_winograd_order_of(p, first, count);
    const fc_winograd_groups groups = fc_winograd_groups_of(p, count);
    const fc_winograd_v_layout layout = {.position = v_step,
                                         .block = mr * p->kernels->lanes,
                                         .group = groups.rows,
                                         .group_stride = mr * lanes,
                                         .tile_stride = p->kernels->lanes,
                                         .ahead = 1};
    for (ptrdiff_t piece = 0; piece < p->pieces; piece++)
        for (ptrdiff_t c0 = 0; c0 < p->c; c0 += CHUNK) {
            const ptrdiff_t c1 = fc_min(c0 + CHUNK, p->c), row = piece * p->c + c0;
            const int accumulate = row > 0;
            const fc_status status = fc_winograd_input(p, (fc_span){piece, piece + 1}, (fc_span){c0, c1}, call->x, first, count, order, &layout, v);
            if (status != FC_OK) return status;
            for (int q = 0; q < p->positions; q++) {
                fc_winograd_placed at = fc_winograd_tiles_of(p, &order, &groups, q);
                at.step = mr * lanes;
                fc_winograd_columns panel = fc_winograd_panel_at(p, 0);
                for (ptrdiff_t i = 0; i < p->panels; i++, fc_winograd_next_panel(p, &panel)) {
                    const int vanishes = fc_winograd_vanishes(p, piece, panel.share, q);
                    if (vanishes && accumulate) continue;
                    const float *const u = fc_winograd_packed_at(call, q, panel.at) + row * panel.nr;
                    const float *const next =
                        i + 1 < p->panels ? u + p->depth * panel.nr : fc_winograd_packed_at(call, q + 1, 0) + row * p->kernels->panel[0].nr;
                    fc_winograd_fetching fetch = fc_winograd_fetch_weights(&groups, next, 1);
                    fc_winograd_multiply(p, &panel, at, v + q * v_step, u, vanishes ? 0 : c1 - c0, m + q * m_step + panel.at * mr, p->width * mr,
                                         accumulate, &fetch);
                }
            }
        }
    const fc_winograd_panels all = {.end = p->panels, .width = p->width};
    const fc_winograd_m_layout sums = {m_step, groups.rows, p->width * mr, mr, 1};
    return fc_winograd_output(call, &all, first, count, order, &sums, m);
}

/* Tiles of a task such that V and M of a block stay in the second-level cache: in a part of it that is faster to go through, or in
 * most of it where weights pass through, of which more tiles need fewer. */
static ptrdiff_t block_tiles(const fc_winograd_plan *p) {
    const ptrdiff_t cache = fc_l2_bytes(), mr = p->kernels->mr, most = cache / 8 * 7, enough = 32;
    const ptrdiff_t bytes = p->positions * (p->lanes + fc_min(p->width, fc_winograd_group_channels())) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t tiles = fc_min(most, fc_max(cache / 8 * 3, 448 << 10)) / bytes;
    const ptrdiff_t streaming = fc_winograd_u_bytes(p) > cache / 2 ? fc_min(enough, most / 8 * 7 / bytes) : 0;
    return fc_max(1, fc_min(fc_max(tiles, streaming) / mr, 12)) * mr;
}

/* The same by chunks, or 0 where that does not gain: M stays in the cache with all output channels, V with some input channels. */
static ptrdiff_t chunk_tiles(const fc_winograd_plan *p) {
    const ptrdiff_t cache = fc_l2_bytes(), mr = p->kernels->mr, bytes = p->positions * (chunk_lanes(p) + p->width) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t tiles = fc_min(cache / 8 * 7 / bytes / mr, 12) * mr;
    return fc_winograd_u_bytes(p) > cache / 2 && tiles >= 2 * block_tiles(p) ? tiles : 0;
}

static fc_status by_tiles(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const fc_status status = fc_winograd_transform_call(call);
    if (status != FC_OK) return status;
    const ptrdiff_t chunked = chunk_tiles(p);
    call->block = fc_winograd_whole_rows(p, fc_winograd_share(p->tiles, chunked ? chunked : block_tiles(p), p->kernels->mr));
    const double macs = (double)p->tiles * p->positions * (double)p->depth * (double)p->width;
    return fc_parallel_for(fc_ceil_div(p->tiles, call->block), fc_macs_ns(macs), chunked ? chunks_task : tiles_task, call);
}

/* Bytes that go through the outer caches, and what takes as long as the products. Beside those, little more than half of the rate is
 * reached: by tiles, with all weights for each block of tiles; by panels, with the tiles for each group of panels and all weights for FC_WINOGRAD_PANEL_TILES
 * tiles. Before that, the tiles are written in place of what was there. */
static int panels_take_less(const fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const double weights = (double)fc_winograd_u_bytes(p), tiles = (double)(p->tiles * p->positions * p->lanes) * sizeof(float);
    if (weights < (double)(fc_l2_bytes() / 2)) return 0;
    const double macs = (double)(p->tiles * p->positions) * (double)(p->depth * p->width), products = macs * 4 / (double)p->kernels->lanes;
    const double by_tiles = weights * (double)fc_ceil_div(p->tiles, fc_max(block_tiles(p), chunk_tiles(p)));
    const double by_panels = tiles * (double)fc_winograd_panels_count(call) + weights * (double)fc_ceil_div(p->tiles, FC_WINOGRAD_PANEL_TILES);
    return fmax(products, 1.75 * by_tiles) > fmax(products, 1.75 * by_panels) + 2 * tiles;
}

/* Whether tiles are so few that threads share the panels. Each thread then transforms all tiles; where it has whole groups of them and packed weights
 * stay in its second-level cache, it takes tiles of its own instead: no sum changes. */
static int few_tiles(const fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t threads = fc_get_num_threads(), group = p->kernels->mr * p->square;
    if (p->tiles > 8 * group || p->panels == 1) return 0;
    return threads == 1 || !call->packed || p->tiles < threads * group || fc_winograd_u_bytes(p) > fc_l2_bytes() / 2;
}

static fc_status run(const fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (call->pooled && !fc_winograd_pools(p)) return FC_UNSUPPORTED;
    fc_winograd_call own = *call;
    if (p->tiles > 0 && p->registers) return fc_winograd_by_registers(&own);
    own.group = fc_winograd_group_channels() / p->kernels->panel[0].nr;
    if (p->tiles > 0 && (own.operand || fc_winograd_matrix_pays(p))) return fc_winograd_by_matrix(&own);
    const int panels = few_tiles(&own) || panels_take_less(&own);
    return p->tiles == 0 ? FC_OK : panels ? fc_winograd_by_panels(&own) : by_tiles(&own);
}

/* Group after group. */
static fc_status run_groups(fc_winograd_call *call, ptrdiff_t groups, ptrdiff_t x_step, ptrdiff_t w_step, ptrdiff_t y_step) {
    const ptrdiff_t u_step = call->plan.positions * fc_winograd_u_position(&call->plan);
    const ptrdiff_t packed_step = call->plan.registers ? fc_winograd_taps_bytes(&call->plan) / (ptrdiff_t)sizeof(float) : u_step;
    fc_status status = FC_OK;
    for (ptrdiff_t g = 0; g < groups && status == FC_OK; g++) {
        status = run(call);
        call->x += x_step, call->y += y_step;
        if (call->w) call->w += w_step;
        if (call->packed) call->packed += packed_step;
        if (call->operand) call->operand += fc_winograd_parts_bytes(&call->plan);
        if (call->bias) call->bias += y_step;
    }
    return status;
}

/* A forward pass but for its weights. */
static fc_winograd_call forward_of(const fc_conv2d *conv, const fc_winograd_plan *plan, const void *x, const void *bias, void *y) {
    return (fc_winograd_call){.plan = *plan,
                              .x = x,
                              .bias = bias,
                              .y = y,
                              .activation = conv->activation,
                              .pooled = conv->pooled,
                              .indices = conv->indices,
                              .ahead = conv->ahead,
                              .ahead_end = conv->ahead_end,
                              .ahead_half = conv->ahead_half};
}

fc_status fc_winograd_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    const fc_winograd_plan plan = fc_winograd_plan_forward(conv);
    fc_winograd_call call = forward_of(conv, &plan, x, bias, y);
    call.w = w;
    return run_groups(&call, conv->groups, call.plan.c, call.plan.k, call.plan.k);
}

fc_status fc_winograd_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    fc_winograd_call call = {.plan = fc_winograd_plan_backward_input(conv), .x = dy, .w = w, .y = dx};
    return run_groups(&call, conv->groups, call.plan.c, call.plan.c, call.plan.k);
}

fc_status fc_winograd_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    const fc_winograd_plan plan = fc_winograd_plan_packed(conv);
    fc_winograd_call call = forward_of(conv, &plan, x, bias, y);
    if (fc_winograd_packs_parts(conv, &call.plan)) call.operand = packed;
    else call.packed = packed;
    return run_groups(&call, conv->groups, call.plan.c, 0, call.plan.k);
}
