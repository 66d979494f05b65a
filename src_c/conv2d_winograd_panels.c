/* Winograd by panels, for few tiles or many weights: all tiles are transformed first, then each task takes a panel of output channels, or some,
 * from w to y. Where one task serves all tiles, it transforms the weights of some input channels and multiplies them before it goes on. */
#include "conv2d_winograd_products.h"

static fc_status input_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, call->count - first);
    fc_winograd_order order = call->order;
    fc_winograd_skip(&call->plan, call->first, first, &order);
    return fc_winograd_input_tiles(call, call->first + first, count, &call->groups, order, fc_winograd_v_position(&call->plan, call->count), 1,
                                   call->v);
}

/* Of a task by panels: input channels whose weights are transformed at once. Those of a group take up a third of the cache. */
static ptrdiff_t panel_chunk(const fc_winograd_plan *p) {
    const ptrdiff_t lanes = p->kernels->lanes, channel = p->positions * fc_winograd_group_channels() * (ptrdiff_t)sizeof(float);
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
            const float *const u = fc_winograd_packed_at(call, q, panel.at), *const next = fc_winograd_packed_at(call, q + 1, group->at);
            const int last = i + 1 == group->end;
            fc_winograd_fetching fetch = !fetch_tiles ? fc_winograd_fetch_weights(&call->groups, last ? next : u + panel.nr * p->depth, 1)
                                         : last       ? fc_winograd_fetch_weights(&call->groups, next, group->end - group->begin)
                                                      : (fc_winograd_fetching){.v_ahead = i == group->begin ? v_step : 0};
            fc_winograd_multiply_pieces(p, &panel, q, fc_winograd_tiles_of(p, &call->order, &call->groups, q), call->v + q * v_step, u,
                                        m + q * m_step + (panel.at - group->at) * p->kernels->mr, m_group, &fetch);
        }
    }
}

/* The same with weights that are transformed on the way: input channels c0 .. c1 - 1 of one piece. */
static void multiply_some(const fc_winograd_call *call, const fc_winograd_panels *group, ptrdiff_t piece, ptrdiff_t c0, ptrdiff_t c1, float *u,
                          ptrdiff_t u_step, float *m, ptrdiff_t m_step, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t v_step = fc_winograd_v_position(p, call->count), mr = p->kernels->mr;
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
            fc_winograd_fetching fetch = {.v_ahead = i == group->begin ? v_step : 0};
            fc_winograd_multiply(p, &panel, fc_winograd_tiles_of(p, &call->order, &call->groups, q), v, u + q * u_step + at * (c1 - c0),
                                 vanishes ? 0 : c1 - c0, m + q * m_step + at * mr, m_group, accumulate, &fetch);
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
    const ptrdiff_t v_own = fc_winograd_v_position(p, call->count), m_own = fc_winograd_m_position(p, call->count, group.width),
                    m_group = group.width * p->kernels->mr;
    const int in_place = !call->v && call->packed;
    const ptrdiff_t v_step = in_place ? fc_max(v_own, m_own) : v_own, m_step = in_place ? v_step : m_own;
    const ptrdiff_t elements = in_place ? (p->positions + 1) * v_step : p->positions * (m_step + (call->v ? 0 : v_step));
    float *const m = fc_scratch(FC_SLOT_TASK, (size_t)elements * sizeof(float));
    if (!m) return FC_NO_MEMORY;
    fc_winograd_call own;
    if (!call->v) {
        own = *call;
        own.v = m + (in_place ? 1 : p->positions) * m_step;
        const fc_status status = fc_winograd_input_tiles(call, call->first, call->count, &call->groups, call->order, v_step, 1, own.v);
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

/* What an element of tiles takes. */
#define TRANSFORM_NS 0.5

/* Panels of a task. With packed weights a thread transforms few tiles for all of its panels at once, whose products take their place. */
static ptrdiff_t panels_of_task(const fc_winograd_call *call, ptrdiff_t threads) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t each = fc_ceil_div(p->panels, threads), width = each * p->kernels->panel[0].nr;
    const ptrdiff_t elements = p->positions * fc_max(fc_winograd_v_position(p, p->tiles), fc_winograd_m_position(p, p->tiles, width));
    if (call->packed && p->tiles <= FC_WINOGRAD_PANEL_TILES && elements * (ptrdiff_t)sizeof(float) <= fc_l2_bytes() / 4) return each;
    return fc_ceil_div(p->panels, fc_round_up(fc_winograd_panels_count(call), fc_min(threads, p->panels)));
}

fc_status fc_winograd_by_panels(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t most = fc_winograd_whole_rows(p, FC_WINOGRAD_PANEL_TILES), threads = fc_get_num_threads();
    call->group = panels_of_task(call, threads);
    call->count = fc_min(most, p->tiles);
    if (p->tiles > most) {
        const fc_status status = fc_winograd_transform_call(call);
        if (status != FC_OK) return status;
    }
    /* Where each thread has one group and tiles are few, it transforms them itself: that takes no longer than to get them from another core. */
    const int apart = p->tiles <= most && fc_winograd_panels_count(call) <= threads;
    call->v = apart ? NULL : fc_scratch(FC_SLOT_CALL2, (size_t)(p->positions * fc_winograd_v_position(p, call->count)) * sizeof(float));
    if (!apart && !call->v) return FC_NO_MEMORY;
    for (call->first = 0; call->first < p->tiles; call->first += call->count) {
        call->count = fc_min(most, p->tiles - call->first);
        call->order = fc_winograd_order_of(p, call->first, call->count);
        call->groups = fc_winograd_groups_of(p, call->count);
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
