/* Winograd in registers, for so few tiles that the transform of the weights, or to read them transformed, takes longer than the products: kernels
 * of 3 x 3 taps, of which a vector of output channels and some input channels stay in the first-level cache and are transformed on the way to
 * every product. V is laid out as [tiles / REGISTERS_TILES][c / lanes][position][REGISTERS_TILES][lanes], taps as [k / lanes][c][9][lanes]. */
#include "conv2d_winograd.h"

enum {
    GROUP = FC_WINOGRAD_REGISTERS_TILES,
    TAPS = 9,
    CHANNELS = 32,  /* input channels that are summed apart, about */
    MOST_TILES = 32 /* of a task */
};

/* Elements of the taps of a vector of output channels. */
static ptrdiff_t vector_taps(const fc_winograd_plan *p) { return p->c * TAPS * p->kernels->lanes; }

ptrdiff_t fc_winograd_taps_bytes(const fc_winograd_plan *p) { return p->width / p->kernels->lanes * vector_taps(p) * (ptrdiff_t)sizeof(float); }

typedef struct {
    const fc_winograd_plan *plan;
    const float *w;
    float *taps;
} pack_call;

static fc_status pack_task(const void *context, ptrdiff_t task) {
    const pack_call *const call = context;
    const fc_winograd_plan *const p = call->plan;
    fc_winograd_copy_taps(p, call->w, task * p->kernels->lanes, 0, p->c, call->taps + task * vector_taps(p));
    return FC_OK;
}

fc_status fc_winograd_pack_taps(const fc_winograd_plan *p, const float *w, float *taps) {
    const pack_call call = {p, w, taps};
    return fc_parallel_for(p->width / p->kernels->lanes, (double)fc_winograd_taps_bytes(p) / 8, pack_task, &call);
}

/* Some tiles, and the panels of output channels of a task. */
typedef struct {
    const fc_winograd_call *call;
    ptrdiff_t first, count, groups, group_elements;
    const float *v;
    float *copy; /* of taps that are not packed */
    const char *ahead, *ahead_end;
} tiles;

/* Packed taps of a vector of a panel, from input channel c on. */
static const float *packed_taps(const tiles *t, const fc_winograd_columns *panel, ptrdiff_t vector, ptrdiff_t c) {
    const fc_winograd_plan *const p = &t->call->plan;
    return t->call->packed + (panel->at / p->kernels->lanes + vector) * vector_taps(p) + c * TAPS * p->kernels->lanes;
}

/* Packed taps are fetched one line of two: the processor brings its neighbour. */
static void fetch_packed(const float *taps, fc_winograd_registers_args *args) {
    args->next = (const char *)taps;
    args->next_step = TAPS * FC_ALIGN / FC_WINOGRAD_TILE;
    args->next_pass = args->depth * args->next_step;
}

/* Of taps that are not packed, from input channel c on, a row of a tap for the whole panel with each step, and a tap with every pass: its first
 * vector fetches as many as there are passes, its second the others. */
static void fetch_raw(const tiles *t, const fc_winograd_columns *panel, ptrdiff_t vector, ptrdiff_t c, fc_winograd_registers_args *args) {
    const fc_winograd_plan *const p = &t->call->plan;
    const ptrdiff_t tap = (p->transposed ? p->k : p->c) * p->ldw, row = p->transposed ? panel->first * p->ldw + c : c * p->ldw + panel->first;
    args->next = (const char *)(t->call->w + vector * FC_WINOGRAD_TILE * tap + row);
    args->next_step = p->ldw * (ptrdiff_t)sizeof(float);
    args->next_pass = tap * (ptrdiff_t)sizeof(float);
}

/* Some of what a program reads afterwards, if anything is left of it. */
static void fetch_ahead(tiles *t, fc_winograd_registers_args *args) {
    const int some = t->ahead < t->ahead_end;
    args->ahead = some ? t->ahead : args->w, args->ahead_step = some ? FC_ALIGN : 0;
    if (some) t->ahead += args->rows * args->depth * FC_ALIGN;
}

/* M of a panel: CHANNELS input channels of all tiles after the other. */
static void multiply(tiles *t, const fc_winograd_columns *panel, float *m, ptrdiff_t m_position, ptrdiff_t m_group) {
    const fc_winograd_plan *const p = &t->call->plan;
    const ptrdiff_t lanes = p->kernels->lanes, vectors = panel->nr / lanes;
    for (ptrdiff_t c = 0; c < p->c; c += CHANNELS) {
        const ptrdiff_t end = fc_min(c + CHANNELS, p->c);
        for (ptrdiff_t v = 0; v < vectors; v++) {
            fc_winograd_registers_args args = {.depth = end - c,
                                               .m_position = m_position,
                                               .m_tile = panel->nr,
                                               .rows = FC_WINOGRAD_TILE - (p->rows.full == 0), /* the last is for full tiles only */
                                               .accumulate = c > 0};
            if (t->call->packed) {
                args.w = packed_taps(t, panel, v, c);
                fetch_packed(v + 1 < vectors ? packed_taps(t, panel, v + 1, c) : packed_taps(t, panel, 0, end), &args);
            } else {
                fc_winograd_copy_taps(p, t->call->w, panel->first + v * lanes, c, end, t->copy);
                args.w = t->copy;
                fetch_raw(t, panel, v, end, &args);
            }
            for (ptrdiff_t g = 0; g < t->groups; g++) {
                args.v = t->v + g * t->group_elements + c * FC_WINOGRAD_POSITIONS * GROUP;
                args.m = m + v * lanes + g * m_group;
                args.tiles = (int)fc_min(GROUP, t->count - g * GROUP);
                fetch_ahead(t, &args);
                p->kernels->registers(&args);
            }
        }
    }
}

/* From V to y: panel by panel. */
static fc_status panels(tiles *t, const fc_winograd_order *order, fc_span range, float *m) {
    const fc_winograd_plan *const p = &t->call->plan;
    fc_winograd_columns panel = fc_winograd_panel_at(p, range.first);
    for (ptrdiff_t i = range.first; i < range.end; i++, fc_winograd_next_panel(p, &panel)) {
        const ptrdiff_t group = panel.nr * GROUP, position = t->groups * group + FC_WINOGRAD_SKEW;
        multiply(t, &panel, m, position, group);
        const fc_winograd_panels one = {i, i + 1, panel.at, panel.nr};
        const fc_winograd_m_layout layout = {position, GROUP, group, GROUP, 1};
        const fc_status status = fc_winograd_output(t->call, &one, t->first, t->count, *order, &layout, m);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* Each task transforms its tiles for itself, even if others need them as well: that takes no longer than to get them from another core. */
static fc_status registers_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t splits = call->group, split = task % splits, lanes = p->kernels->lanes;
    tiles t = {.call = call, .first = task / splits * call->block, .group_elements = FC_WINOGRAD_POSITIONS * GROUP * p->lanes_c};
    t.count = fc_min(call->block, p->tiles - t.first), t.groups = fc_ceil_div(t.count, GROUP);
    const ptrdiff_t v_elements = t.groups * t.group_elements, copied = call->packed ? 0 : CHANNELS * TAPS * lanes;
    const ptrdiff_t m_elements = FC_WINOGRAD_POSITIONS * (t.groups * GROUP * p->kernels->panel[0].nr + FC_WINOGRAD_SKEW);
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(v_elements + copied + m_elements) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    t.v = v, t.copy = v + v_elements;
    const fc_winograd_order order = fc_winograd_order_of(p, t.first, t.count);
    const fc_winograd_v_layout layout = {.position = GROUP * lanes,
                                         .block = FC_WINOGRAD_POSITIONS * GROUP * lanes,
                                         .group = GROUP,
                                         .group_stride = t.group_elements,
                                         .tile_stride = lanes,
                                         .ahead = 1};
    const fc_status status = fc_winograd_input(p, (fc_span){0, 1}, (fc_span){0, p->c}, call->x, t.first, t.count, order, &layout, v);
    const fc_span range = {p->panels * split / splits, p->panels * (split + 1) / splits};
    if (call->ahead && t.count == p->tiles && (splits == 1 || (splits == 2 && call->ahead_half > 0)))
        t.ahead = call->ahead + split * call->ahead_half, t.ahead_end = call->ahead_end + split * call->ahead_half;
    return status == FC_OK ? panels(&t, &order, range, t.copy + copied) : status;
}

fc_status fc_winograd_by_registers(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    call->block = fc_winograd_whole_rows(p, fc_min(MOST_TILES, fc_round_up(p->tiles, GROUP)));
    const ptrdiff_t blocks = fc_ceil_div(p->tiles, call->block);
    call->group = fc_min(p->panels, fc_ceil_div(fc_get_num_threads(), blocks));
    const double macs = (double)p->tiles * p->positions * (double)p->c * (double)p->width;
    return fc_parallel_for(blocks * call->group, 2 * fc_macs_ns(macs), registers_task, call);
}
