/* Winograd convolution: forward and input gradient, on tiles of 6 x 6, 1 x 6 or 6 x 1. The input gradient is the forward pass of dy
 * with the kernel rotated and transposed.
 *
 * Ways through it:
 *   - by tiles: all weights are transformed first, then each task takes a block of tiles from x to y, and what it holds
 *     between the transforms stays in its second-level cache;
 *   - the same by chunks of input channels, for many of them and few output channels, whose sums stay there meanwhile;
 *   - by panels: for few tiles or many weights. All tiles are transformed first, then each task takes a panel of output
 *     channels from w to y. Where one task serves all tiles, it transforms the weights of some input channels and multiplies
 *     them before it goes on.
 * V is laid out as [position][tiles / mr][piece][c / lanes][mr][lanes], U as [position][panel][piece][c][nr], M as
 * [position][tiles / mr][panel][mr][nr].
 *
 * A NaN or infinity in x reaches all outputs of the tiles that read it, and no others. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <math.h>

static ptrdiff_t v_position(const fc_winograd_plan *p, ptrdiff_t tiles) { return fc_round_up(tiles, p->kernels->mr) * p->lanes + FC_WINOGRAD_SKEW; }
static ptrdiff_t m_position(const fc_winograd_plan *p, ptrdiff_t tiles, ptrdiff_t width) {
    return fc_round_up(tiles, p->kernels->mr) * width + FC_WINOGRAD_SKEW;
}

/* Of transformed weights. */
static ptrdiff_t weights_bytes(const fc_winograd_plan *p) { return p->positions * p->depth * p->width * (ptrdiff_t)sizeof(float); }

static fc_winograd_groups groups_of(const fc_winograd_plan *p, ptrdiff_t tiles) {
    const ptrdiff_t groups = fc_ceil_div(tiles, p->kernels->mr);
    return (fc_winograd_groups){fc_ceil_div(tiles, groups), fc_ceil_div(p->kernels->panel[0].nr * (ptrdiff_t)sizeof(float), groups)};
}

/* Tiles first .. first + count - 1. */
static fc_status input_tiles(const fc_winograd_call *call, ptrdiff_t first, ptrdiff_t count, const fc_winograd_groups *groups,
                             fc_winograd_order order, ptrdiff_t position, int ahead, float *v) {
    const fc_winograd_kernels *const kernels = call->plan.kernels;
    const fc_winograd_v_layout layout = {.position = position,
                                         .block = (ptrdiff_t)kernels->mr * kernels->lanes,
                                         .group = groups->rows,
                                         .group_stride = kernels->mr * call->plan.lanes,
                                         .tile_stride = kernels->lanes,
                                         .ahead = ahead};
    return fc_winograd_input(&call->plan, (fc_span){0, call->plan.pieces}, (fc_span){0, call->plan.c}, call->x, first, count, order, &layout, v);
}

/* What is fetched while products are made: u_bytes of what begins at u for each step of a sum, or else what lies v_ahead elements
 * after the tiles that are multiplied. */
typedef struct {
    const char *u;
    ptrdiff_t u_bytes, v_ahead;
} fetching;

/* The weights of some panels that the tiles will be multiplied with next: a share with each step of sums that are as long. */
static fetching fetch_weights(const fc_winograd_groups *groups, const float *u, ptrdiff_t panels) {
    return (fetching){.u = (const char *)u, .u_bytes = groups->weight_bytes * panels};
}

/* While the first half of the positions of a block of tiles is multiplied, what the next block will read; then what this one will write. */
static fetching fetch_pixels(const fc_winograd_call *call, int half, ptrdiff_t first, ptrdiff_t count) {
    const fc_winograd_plan *const p = &call->plan;
    const fc_winograd_extent extent =
        half == 0 ? fc_winograd_reads(p, call->x, first + count, count) : fc_winograd_writes(p, call->pooled, call->y, first, count);
    const ptrdiff_t steps = fc_ceil_div(count, p->kernels->mr) * p->depth * p->panels * (p->positions / 2);
    return (fetching){.u = extent.begin, .u_bytes = extent.bytes / steps};
}

/* Places of tiles, which are multiplied in groups of so many, and elements of V from group to group. */
typedef struct {
    fc_span places;
    ptrdiff_t rows, step;
} placed_tiles;
static placed_tiles tiles_of(const fc_winograd_plan *p, const fc_winograd_order *order, const fc_winograd_groups *groups, int position) {
    return (placed_tiles){fc_winograd_present(p, order, position), groups->rows, p->kernels->mr * p->lanes};
}

/* M (+)= V U for one position of some tiles, one panel, and `depth` input channels, where v and u start. */
static void products(const fc_winograd_plan *p, const fc_winograd_columns *panel, placed_tiles at, const float *v, const float *u, ptrdiff_t depth,
                     float *m, ptrdiff_t m_group, int accumulate, fetching *fetch) {
    const ptrdiff_t mr = p->kernels->mr;
    for (ptrdiff_t group = at.places.first ? at.places.first / at.rows : 0; group * at.rows < at.places.end; group++) {
        const float *const tiles = v + group * at.step;
        const void *const next = fetch->u_bytes ? fetch->u : (const void *)(tiles + fetch->v_ahead);
        panel->kernels->gemm[fc_min(at.rows, at.places.end - group * at.rows)](tiles, u, depth, p->chunk, m + group * m_group, accumulate, next,
                                                                               fetch->u_bytes ? fetch->u_bytes : mr * (ptrdiff_t)sizeof(float));
        fetch->u += depth * fetch->u_bytes;
    }
}

/* M = V U for one position and panel, all pieces at once where their channels lie side by side. */
static void all_products(const fc_winograd_plan *p, const fc_winograd_columns *panel, int q, placed_tiles at, const float *v, const float *u,
                         float *m, ptrdiff_t m_group, fetching *fetch) {
    for (ptrdiff_t piece = 0, end; piece < p->pieces; piece = end) {
        end = piece + 1;
        const int vanishes = fc_winograd_vanishes(p, piece, panel->share, q);
        if (vanishes && piece > 0) continue;
        while (!vanishes && p->c == p->lanes_c && end < p->pieces && !fc_winograd_vanishes(p, end, panel->share, q)) end++;
        products(p, panel, at, v + piece * p->lanes_c * p->kernels->mr, u + piece * p->c * panel->nr, vanishes ? 0 : (end - piece) * p->c, m, m_group,
                 piece > 0, fetch);
    }
}

static const float *packed_at(const fc_winograd_call *call, int q, const fc_winograd_columns *panel) {
    return call->packed + q * fc_winograd_u_position(&call->plan) + panel->at * call->plan.depth;
}

/* Most output channels of a group: its sums stay in the second-level cache. */
static ptrdiff_t group_channels(void) { return fc_l2_bytes() < 1 << 20 ? 32 : 64; }

/* The packed weights of a group's first panel. */
static const float *group_weights(const fc_winograd_call *call, int q, const fc_winograd_panels *group) {
    return call->packed + q * fc_winograd_u_position(&call->plan) + group->at * call->plan.depth;
}

static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, p->tiles - first), mr = p->kernels->mr;
    /* Where all products of a position are made at once, they take the place of the tiles of the position before: it is in the first-level
     * cache. */
    const int in_place = fc_winograd_panels_count(call) == 1;
    const ptrdiff_t v_own = v_position(p, count), m_own = m_position(p, count, fc_min(p->width, group_channels()));
    const ptrdiff_t v_step = in_place ? fc_max(v_own, m_own) : v_own, m_step = in_place ? v_step : m_own;
    float *const m = fc_scratch(FC_SLOT_TASK, (size_t)(in_place ? (p->positions + 1) * v_step : p->positions * (v_step + m_step)) * sizeof(float));
    if (!m) return FC_NO_MEMORY;
    float *const v = m + (in_place ? 1 : p->positions) * m_step;
    const fc_winograd_order order = fc_winograd_order_of(p, first, count);
    const fc_winograd_groups groups = groups_of(p, count);
    const int far = weights_bytes(p) > fc_l2_bytes() / 2;
    fc_status status = input_tiles(call, first, count, &groups, order, v_step, far, v);
    fetching pixels = {0};
    for (ptrdiff_t g = 0; g < fc_winograd_panels_count(call) && status == FC_OK; g++) {
        const fc_winograd_panels group = fc_winograd_panels_at(call, g);
        for (int q = 0; q < p->positions; q++) {
            fc_winograd_columns panel = fc_winograd_panel_at(p, group.begin);
            if (q % (p->positions / 2) == 0) pixels = g > 0 ? (fetching){0} : fetch_pixels(call, q > 0, first, count);
            for (ptrdiff_t i = group.begin; i < group.end; i++, fc_winograd_next_panel(p, &panel)) {
                const float *const next = i + 1 < group.end ? packed_at(call, q, &panel) + panel.nr * p->depth : group_weights(call, q + 1, &group);
                fetching weights = fetch_weights(&groups, next, 1);
                all_products(p, &panel, q, tiles_of(p, &order, &groups, q), v + q * v_step, packed_at(call, q, &panel),
                             m + q * m_step + (panel.at - group.at) * mr, group.width * mr, far ? &weights : &pixels);
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
    const ptrdiff_t v_step = fc_round_up(count, mr) * lanes + FC_WINOGRAD_SKEW, m_step = m_position(p, count, p->width);
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(p->positions * (v_step + m_step)) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    float *const m = v + p->positions * v_step;
    const fc_winograd_order order = fc_winograd_order_of(p, first, count);
    const fc_winograd_groups groups = groups_of(p, count);
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
                placed_tiles at = tiles_of(p, &order, &groups, q);
                at.step = mr * lanes;
                fc_winograd_columns panel = fc_winograd_panel_at(p, 0);
                for (ptrdiff_t i = 0; i < p->panels; i++, fc_winograd_next_panel(p, &panel)) {
                    const int vanishes = fc_winograd_vanishes(p, piece, panel.share, q);
                    if (vanishes && accumulate) continue;
                    const float *const u = packed_at(call, q, &panel) + row * panel.nr;
                    const float *const next = i + 1 < p->panels ? u + p->depth * panel.nr
                                                                : packed_at(call, q + 1, &(fc_winograd_columns){0}) + row * p->kernels->panel[0].nr;
                    fetching fetch = fetch_weights(&groups, next, 1);
                    products(p, &panel, at, v + q * v_step, u, vanishes ? 0 : c1 - c0, m + q * m_step + panel.at * mr, p->width * mr, accumulate,
                             &fetch);
                }
            }
        }
    const fc_winograd_panels all = {.end = p->panels, .width = p->width};
    const fc_winograd_m_layout sums = {m_step, groups.rows, p->width * mr, mr, 1};
    return fc_winograd_output(call, &all, first, count, order, &sums, m);
}

static fc_status input_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, call->count - first);
    fc_winograd_order order = call->order;
    fc_winograd_skip(&call->plan, call->first, first, &order);
    return input_tiles(call, call->first + first, count, &call->groups, order, v_position(&call->plan, call->count), 1, call->v);
}

/* Of a task by panels: input channels whose weights are transformed at once. Those of a group take up a third of the cache. */
static ptrdiff_t panel_chunk(const fc_winograd_plan *p) {
    const ptrdiff_t lanes = p->kernels->lanes, channel = p->positions * group_channels() * (ptrdiff_t)sizeof(float);
    return fc_min(p->c, fc_max(1, fc_l2_bytes() / 3 / (channel * lanes)) * lanes);
}

/* Panels of one group, with packed weights. What is more is fetched for the next position: its tiles with the first panel and the
 * weights of the group with the last one, or the weights alone, panel by panel. */
static void multiply_packed(const fc_winograd_call *call, const fc_winograd_panels *group, ptrdiff_t v_step, float *m, ptrdiff_t m_step,
                            ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const int fetch_tiles = call->count > group->width;
    for (int q = 0; q < p->positions; q++) {
        fc_winograd_columns panel = fc_winograd_panel_at(p, group->begin);
        for (ptrdiff_t i = group->begin; i < group->end; i++, fc_winograd_next_panel(p, &panel)) {
            const float *const u = packed_at(call, q, &panel), *const next = group_weights(call, q + 1, group);
            const int last = i + 1 == group->end;
            fetching fetch = !fetch_tiles ? fetch_weights(&call->groups, last ? next : u + panel.nr * p->depth, 1)
                             : last       ? fetch_weights(&call->groups, next, group->end - group->begin)
                                          : (fetching){.v_ahead = i == group->begin ? v_step : 0};
            all_products(p, &panel, q, tiles_of(p, &call->order, &call->groups, q), call->v + q * v_step, u,
                         m + q * m_step + (panel.at - group->at) * p->kernels->mr, m_group, &fetch);
        }
    }
}

/* The same with weights that are transformed on the way: input channels c0 .. c1 - 1 of one piece. */
static void multiply_some(const fc_winograd_call *call, const fc_winograd_panels *group, ptrdiff_t piece, ptrdiff_t c0, ptrdiff_t c1, float *u,
                          ptrdiff_t u_step, float *m, ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t v_step = v_position(p, call->count), mr = p->kernels->mr;
    for (ptrdiff_t i = group->begin; i < group->end; i++) {
        const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
        fc_winograd_transform_some(p, call->w, piece, &panel, c0, c1, u + p->positions * u_step, u + (panel.at - group->at) * (c1 - c0), u_step);
    }
    for (int q = 0; q < p->positions; q++)
        for (ptrdiff_t i = group->begin; i < group->end; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            const int vanishes = fc_winograd_vanishes(p, piece, panel.share, q), accumulate = piece > 0 || c0 > 0;
            if (vanishes && accumulate) continue;
            const ptrdiff_t at = panel.at - group->at;
            const float *const v = call->v + q * v_step + (piece * p->lanes_c + c0) * mr;
            fetching fetch = {.v_ahead = i == group->begin ? v_step : 0};
            products(p, &panel, tiles_of(p, &call->order, &call->groups, q), v, u + q * u_step + at * (c1 - c0), vanishes ? 0 : c1 - c0,
                     m + q * m_step + at * mr, m_group, accumulate, &fetch);
        }
}

static fc_status multiply(const fc_winograd_call *call, const fc_winograd_panels *group, float *m, ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t chunk = panel_chunk(p), u_step = chunk * group->width + FC_WINOGRAD_SKEW;
    const ptrdiff_t taps = p->rows.r * p->cols.r;
    float *const u = fc_scratch(FC_SLOT_TASK2, (size_t)(p->positions * u_step + taps * chunk * group->width) * sizeof(float));
    if (!u) return FC_NO_MEMORY;
    for (ptrdiff_t piece = 0; piece < p->pieces; piece++)
        for (ptrdiff_t c0 = 0; c0 < p->c; c0 += chunk) multiply_some(call, group, piece, c0, fc_min(c0 + chunk, p->c), u, u_step, m, m_step, m_group);
    return FC_OK;
}

/* A group of panels. Without tiles that are transformed already the task transforms all of them for itself; products with packed weights then
 * take the place of the tiles of the position before, as by tiles. */
static fc_status panels_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *call = context;
    const fc_winograd_plan *const p = &call->plan;
    const fc_winograd_panels group = fc_winograd_panels_at(call, task);
    const ptrdiff_t v_own = v_position(p, call->count), m_own = m_position(p, call->count, group.width), m_group = group.width * p->kernels->mr;
    const int in_place = !call->v && call->packed;
    const ptrdiff_t v_step = in_place ? fc_max(v_own, m_own) : v_own, m_step = in_place ? v_step : m_own;
    const ptrdiff_t elements = in_place ? (p->positions + 1) * v_step : p->positions * (m_step + (call->v ? 0 : v_step));
    float *const m = fc_scratch(FC_SLOT_TASK, (size_t)elements * sizeof(float));
    if (!m) return FC_NO_MEMORY;
    fc_winograd_call own;
    if (!call->v) {
        own = *call;
        own.v = m + (in_place ? 1 : p->positions) * m_step;
        const fc_status status = input_tiles(call, call->first, call->count, &call->groups, call->order, v_step, 1, own.v);
        if (status != FC_OK) return status;
        call = &own;
    }
    if (call->packed) {
        multiply_packed(call, &group, v_step, m, m_step, m_group);
    } else {
        const fc_status status = multiply(call, &group, m, m_step, m_group);
        if (status != FC_OK) return status;
    }
    const fc_winograd_m_layout layout = {m_step, call->groups.rows, m_group, p->kernels->mr, 1};
    return fc_winograd_output(call, &group, call->first, call->count, call->order, &layout, m);
}

/* Tiles of a task such that V and M of a block stay in the second-level cache: in a part of it that is faster to go through, or in
 * most of it where weights pass through, of which more tiles need fewer. */
static ptrdiff_t block_tiles(const fc_winograd_plan *p) {
    const ptrdiff_t cache = fc_l2_bytes(), mr = p->kernels->mr, most = cache / 8 * 7, enough = 32;
    const ptrdiff_t bytes = p->positions * (p->lanes + fc_min(p->width, group_channels())) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t tiles = fc_min(most, fc_max(cache / 8 * 3, 448 << 10)) / bytes;
    const ptrdiff_t streaming = weights_bytes(p) > cache / 2 ? fc_min(enough, most / 8 * 7 / bytes) : 0;
    return fc_max(1, fc_min(fc_max(tiles, streaming) / mr, 12)) * mr;
}

/* The same by chunks, or 0 where that does not gain: M stays in the cache with all output channels, V with some input channels. */
static ptrdiff_t chunk_tiles(const fc_winograd_plan *p) {
    const ptrdiff_t cache = fc_l2_bytes(), mr = p->kernels->mr, bytes = p->positions * (chunk_lanes(p) + p->width) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t tiles = fc_min(cache / 8 * 7 / bytes / mr, 12) * mr;
    return weights_bytes(p) > cache / 2 && tiles >= 2 * block_tiles(p) ? tiles : 0;
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

/* Tiles that are transformed before their products are made, and what an element of them takes. */
enum { PANEL_TILES = 128 };
#define TRANSFORM_NS 0.5

/* Panels of a task. With packed weights a thread transforms few tiles for all of its panels at once, whose products take their place. */
static ptrdiff_t panels_of_task(const fc_winograd_call *call, ptrdiff_t threads) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t each = fc_ceil_div(p->panels, threads), width = each * p->kernels->panel[0].nr;
    const ptrdiff_t elements = p->positions * fc_max(v_position(p, p->tiles), m_position(p, p->tiles, width));
    if (call->packed && p->tiles <= PANEL_TILES && elements * (ptrdiff_t)sizeof(float) <= fc_l2_bytes() / 4) return each;
    return fc_ceil_div(p->panels, fc_round_up(fc_winograd_panels_count(call), fc_min(threads, p->panels)));
}

static fc_status by_panels(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t most = fc_winograd_whole_rows(p, PANEL_TILES), threads = fc_get_num_threads();
    call->group = panels_of_task(call, threads);
    call->count = fc_min(most, p->tiles);
    if (p->tiles > most) {
        const fc_status status = fc_winograd_transform_call(call);
        if (status != FC_OK) return status;
    }
    /* Where each thread has one group and tiles are few, it transforms them itself: that takes no longer than to get them from another core. */
    const int apart = p->tiles <= most && fc_winograd_panels_count(call) <= threads;
    call->v = apart ? NULL : fc_scratch(FC_SLOT_CALL2, (size_t)(p->positions * v_position(p, call->count)) * sizeof(float));
    if (!apart && !call->v) return FC_NO_MEMORY;
    for (call->first = 0; call->first < p->tiles; call->first += call->count) {
        call->count = fc_min(most, p->tiles - call->first);
        call->order = fc_winograd_order_of(p, call->first, call->count);
        call->groups = groups_of(p, call->count);
        call->block = fc_ceil_div(call->count, threads * fc_ceil_div(call->count, threads * p->kernels->mr));
        const double per_tile = p->positions * (double)p->depth;
        const double transforms = (double)call->count * per_tile * TRANSFORM_NS;
        fc_status status = apart ? FC_OK : fc_parallel_for(fc_ceil_div(call->count, call->block), transforms, input_task, call);
        if (status != FC_OK) return status;
        const double macs = (double)call->count * per_tile * (double)p->width;
        const double work = fc_macs_ns(macs) + (call->packed ? 0 : 2) * (double)(p->depth * p->width) + (apart ? transforms : 0);
        status = fc_parallel_for(fc_winograd_panels_count(call), work, panels_task, call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* Bytes that go through the outer caches, and what takes as long as the products. Beside those, little more than half of the rate is
 * reached: by tiles, with all weights for each block of tiles; by panels, with the tiles for each group of panels and all weights for PANEL_TILES
 * tiles. Before that, the tiles are written in place of what was there. */
static int panels_take_less(const fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const double weights = (double)weights_bytes(p), tiles = (double)(p->tiles * p->positions * p->lanes) * sizeof(float);
    if (weights < (double)(fc_l2_bytes() / 2)) return 0;
    const double macs = (double)(p->tiles * p->positions) * (double)(p->depth * p->width), products = macs * 4 / (double)p->kernels->lanes;
    const double by_tiles = weights * (double)fc_ceil_div(p->tiles, fc_max(block_tiles(p), chunk_tiles(p)));
    const double by_panels = tiles * (double)fc_winograd_panels_count(call) + weights * (double)fc_ceil_div(p->tiles, PANEL_TILES);
    return fmax(products, 1.75 * by_tiles) > fmax(products, 1.75 * by_panels) + 2 * tiles;
}

static fc_status run(const fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (call->pooled && !fc_winograd_pools(p)) return FC_UNSUPPORTED;
    fc_winograd_call own = *call;
    own.group = group_channels() / p->kernels->panel[0].nr;
    if (p->tiles > 0 && (own.operand || fc_winograd_matrix_pays(p))) return fc_winograd_by_matrix(&own);
    const int few_tiles = p->tiles <= 8 * p->kernels->mr * p->square && p->panels > 1;
    const int panels = few_tiles || panels_take_less(&own);
    return p->tiles == 0 ? FC_OK : panels ? by_panels(&own) : by_tiles(&own);
}

/* Group after group. */
static fc_status run_groups(fc_winograd_call *call, ptrdiff_t groups, ptrdiff_t x_step, ptrdiff_t w_step, ptrdiff_t y_step) {
    const ptrdiff_t packed_step = call->plan.positions * fc_winograd_u_position(&call->plan);
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
static fc_winograd_call forward_of(const fc_conv2d *conv, const void *x, const void *bias, void *y) {
    return (fc_winograd_call){.plan = fc_winograd_plan_forward(conv),
                              .x = x,
                              .bias = bias,
                              .y = y,
                              .activation = conv->activation,
                              .pooled = conv->pooled,
                              .indices = conv->indices};
}

fc_status fc_winograd_forward(const fc_conv2d *conv, const void *x, const void *w, const void *bias, void *y) {
    fc_winograd_call call = forward_of(conv, x, bias, y);
    call.w = w;
    return run_groups(&call, conv->groups, call.plan.c, call.plan.k, call.plan.k);
}

fc_status fc_winograd_backward_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx) {
    fc_winograd_call call = {.plan = fc_winograd_plan_backward_input(conv), .x = dy, .w = w, .y = dx};
    return run_groups(&call, conv->groups, call.plan.c, call.plan.c, call.plan.k);
}

fc_status fc_winograd_forward_packed(const fc_conv2d *conv, const void *x, const void *packed, const void *bias, void *y) {
    fc_winograd_call call = forward_of(conv, x, bias, y);
    if (fc_winograd_packs_parts(conv, &call.plan)) call.operand = packed;
    else call.packed = packed;
    return run_groups(&call, conv->groups, call.plan.c, 0, call.plan.k);
}
