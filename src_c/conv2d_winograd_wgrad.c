/* Winograd's weight gradient, the adjoint of the forward pass: a matrix product for each position of a tile, which reduce over the tiles.
 *
 * Two ways through it, chosen by shape alone, as results must not depend on the number of threads:
 *   - by splits: many tiles, few weights. The tiles are split into ranges, each task goes through one of them in blocks
 *     and adds to sums of its own, which are added up in the end;
 *   - by chunks: the tiles of a stage are transformed once for all, then each task takes some weights, all positions of them.
 * V is laid out as [position][piece][c / lanes][tiles][lanes], or as [position][tiles][piece][c] where rows of the product cross the lanes; D as
 * [position][panel][tiles][nr], sums as [position][c][nr] for each chunk of weights. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <string.h>

typedef struct {
    fc_winograd_plan plan;
    const float *x, *dy;
    float *dw, *db;
    ptrdiff_t chunk, chunks;        /* input channels of a chunk; chunks of a panel, piece by piece */
    ptrdiff_t block;                /* tiles that are transformed at once */
    ptrdiff_t splits;               /* ranges of tiles with sums of their own */
    float *sums;                    /* [split][panel][chunk], or NULL if there is one stage only */
    float *db_sums;                 /* [split or block][width] */
    int stream;                     /* whether dw is stored past the caches, which the sums fill */
    float *v, *d;                   /* of the stage */
    ptrdiff_t first, count;         /* tiles of the stage */
    fc_winograd_order order;
} wgrad_call;

static ptrdiff_t channels_step(const fc_winograd_plan *p) {
    return p->kernels->lanes % p->kernels->mr ? p->lanes + FC_WINOGRAD_SKEW : p->kernels->lanes;
}
static ptrdiff_t v_block(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return p->kernels->lanes % p->kernels->mr ? p->kernels->lanes : tiles * p->kernels->lanes;
}
static ptrdiff_t v_position(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return tiles * (p->lanes + FC_WINOGRAD_SKEW) + FC_WINOGRAD_SKEW;
}
static ptrdiff_t d_position(const fc_winograd_plan *p, ptrdiff_t tiles) { return tiles * p->width + FC_WINOGRAD_SKEW; }
static ptrdiff_t sums_position(const wgrad_call *call, ptrdiff_t nr) { return call->chunk * nr + FC_WINOGRAD_SKEW; }
/* Where the sums of a chunk start, and the size of all. */
static ptrdiff_t sums_at(const wgrad_call *call, const fc_winograd_columns *panel, ptrdiff_t chunk) {
    const ptrdiff_t skews = panel->first / call->plan.kernels->panel[0].nr * FC_WINOGRAD_SKEW;
    return call->plan.positions * (call->chunks * (panel->first * call->chunk + skews) + chunk * sums_position(call, panel->nr));
}
static ptrdiff_t sums_size(const wgrad_call *call) {
    return call->plan.positions * call->chunks * (call->plan.width * call->chunk + call->plan.panels * FC_WINOGRAD_SKEW);
}

/* Input channels c0 .. c1 - 1 of a piece. */
typedef struct {
    ptrdiff_t piece, c0, c1;
} chunk_channels;
static chunk_channels chunk_at(const wgrad_call *call, ptrdiff_t chunk) {
    const ptrdiff_t each = call->chunks / call->plan.pieces, c0 = chunk % each * call->chunk;
    return (chunk_channels){chunk / each, c0, fc_min(c0 + call->chunk, call->plan.c)};
}

/* D of `count` tiles, among `total` that `order` places; adds their sums to db_sums, tile by tile. */
static void transform_dy(const wgrad_call *call, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order, ptrdiff_t total, float *d,
                         float *db_sums) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t line = p->cols.out * p->ldy;
    fc_winograd_gradient_args args = {.row = p->rows.out_step * line, .pixel = p->cols.out_step * p->ldy, .position = d_position(p, total)};
    fc_winograd_tile tile = fc_winograd_tile_at(p, first);
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t place = fc_winograd_place(p, &tile, &order);
        const fc_span rows = fc_clip(tile.out_y, p->rows.out_step, tile.rows, p->rows.out);
        const fc_span cols = fc_clip(tile.out_x, p->cols.out_step, tile.columns, p->cols.out);
        const int inside = rows.end > 0 && cols.end > 0;
        const float *const dy = inside ? call->dy + (tile.image * p->rows.out + tile.out_y) * line + tile.out_x * p->ldy : call->dy;
        args.rows = inside ? (int)rows.end : 0, args.cols = (int)cols.end;
        args.ahead = tile.col + 1 < p->cols.tiles;
        fc_winograd_columns panel = fc_winograd_panel_from(p, 0, 0);
        for (ptrdiff_t i = 0; i < p->panels; i++, fc_winograd_next_panel(p, &panel)) {
            args.columns = panel.columns, args.nr = panel.nr;
            args.dy = dy + panel.first;
            args.d = d + panel.first * total + place * panel.nr;
            args.sum = db_sums + panel.first;
            p->transforms->gradient(&args);
        }
    }
}

/* V and D of the same tiles. */
static void transform(const wgrad_call *call, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order, ptrdiff_t total, float *v,
                      float *d, float *db_sums) {
    const fc_winograd_plan *const p = &call->plan;
    const fc_winograd_v_layout layout = {.position = v_position(p, total), .block = v_block(p, total), .group = total,
                                         .group_stride = 0, .tile_stride = channels_step(p)};
    fc_winograd_input(p, call->x, first, count, order, &layout, v);
    transform_dy(call, first, count, order, total, d, db_sums);
}

/* Adds the products of position q of `tiles` tiles to the sums of a chunk, or writes them. */
static void products(const wgrad_call *call, const fc_winograd_columns *panel, ptrdiff_t chunk, int q, const fc_winograd_order *order,
                     ptrdiff_t tiles, const float *v, const float *d, float *sums, int accumulate) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t mr = p->kernels->mr, lanes = p->kernels->lanes, step = channels_step(p), block = v_block(p, tiles);
    const chunk_channels at = chunk_at(call, chunk);
    if (fc_winograd_vanishes(p, at.piece, 0, q)) return; /* belongs to a tap that is not there */
    const fc_span places = fc_winograd_present(p, order, q);
    const float *const a = v + q * v_position(p, tiles) + at.piece * (p->lanes_c / lanes) * block + places.first * step;
    const float *const b = d + q * d_position(p, tiles) + panel->first * tiles + places.first * panel->nr;
    float *const out = sums + q * sums_position(call, panel->nr);
    for (ptrdiff_t c = at.c0; c < at.c1; c += mr)
        panel->kernels->wgrad[fc_min(mr, at.c1 - c)](a + c / lanes * block + c % lanes, step, b, places.end - places.first,
                                                    out + (c - at.c0) * panel->nr, accumulate);
}

static void finish(const wgrad_call *call, const fc_winograd_columns *panel, ptrdiff_t chunk, const float *sums) {
    const fc_winograd_plan *const p = &call->plan;
    const chunk_channels at = chunk_at(call, chunk);
    const fc_winograd_taps rows = fc_winograd_piece_rows(p, at.piece, 0), cols = fc_winograd_piece_cols(p, at.piece, 0);
    const ptrdiff_t tap = p->c * p->ldw;
    const fc_winograd_dw_args args = {.u = sums, .position = sums_position(call, panel->nr), .nr = panel->nr,
                                      .w = call->dw + (rows.first * p->cols.taps + cols.first) * tap + at.c0 * p->ldw + panel->first,
                                      .row_tap = p->rows.stride * p->cols.taps * tap, .tap = p->cols.stride * tap,
                                      .row_taps = (int)rows.count, .taps = (int)cols.count, .ld = p->ldw,
                                      .rows = at.c1 - at.c0, .columns = panel->columns, .stream = call->stream};
    if (rows.count > 0 && cols.count > 0) p->transforms->dw(&args);
}

static fc_status split_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t begin = p->tiles * task / call->splits, end = p->tiles * (task + 1) / call->splits;
    const ptrdiff_t v_size = p->positions * v_position(p, call->block);
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(v_size + p->positions * d_position(p, call->block)) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    float *const d = v + v_size, *const sums = call->sums + task * sums_size(call), *const db_sums = call->db_sums + task * p->width;
    memset(db_sums, 0, (size_t)p->width * sizeof(float));
    for (ptrdiff_t first = begin; first < end; first += call->block) {
        const ptrdiff_t count = fc_min(call->block, end - first);
        const fc_winograd_order order = fc_winograd_order_of(p, first, count);
        transform(call, first, count, order, count, v, d, db_sums);
        for (int q = 0; q < p->positions; q++) {
            fc_winograd_columns panel = fc_winograd_panel_from(p, 0, 0);
            for (ptrdiff_t i = 0; i < p->panels; i++, fc_winograd_next_panel(p, &panel))
                for (ptrdiff_t chunk = 0; chunk < call->chunks; chunk++)
                    products(call, &panel, chunk, q, &order, count, v, d, sums + sums_at(call, &panel, chunk), first > begin);
        }
    }
    return FC_OK;
}

static fc_status add_splits_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_columns panel = fc_winograd_panel_at(&call->plan, task / call->chunks);
    const ptrdiff_t chunk = task % call->chunks, size = sums_size(call);
    float *const sums = call->sums + sums_at(call, &panel, chunk);
    for (ptrdiff_t s = 1; s < call->splits; s++)
        fc_kernels(FC_F32)->frame.add_into(sums + s * size, sums, call->plan.positions * sums_position(call, panel.nr));
    finish(call, &panel, chunk, sums);
    return FC_OK;
}

static fc_status transform_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const ptrdiff_t offset = task * call->block, index = call->first / call->block + task;
    float *const db_sums = call->db_sums + index * call->plan.width;
    memset(db_sums, 0, (size_t)call->plan.width * sizeof(float));
    fc_winograd_order order = call->order;
    fc_winograd_skip(&call->plan, call->first, offset, &order);
    transform(call, call->first + offset, fc_min(call->block, call->count - offset), order, call->count, call->v, call->d, db_sums);
    return FC_OK;
}

/* Output channels of a task by chunks. */
enum { CHUNK_COLUMNS = 64 };

static ptrdiff_t group_panels(const fc_winograd_plan *p) { return fc_max(1, CHUNK_COLUMNS / p->kernels->panel[0].nr); }

static fc_status chunk_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t chunk = task % call->chunks, begin = task / call->chunks * group_panels(p), end = fc_min(begin + group_panels(p), p->panels);
    const ptrdiff_t size = p->positions * sums_position(call, p->kernels->panel[0].nr);
    float *const own = call->sums ? NULL : fc_scratch(FC_SLOT_TASK, (size_t)((end - begin) * size) * sizeof(float));
    if (!call->sums && !own) return FC_NO_MEMORY;
    for (int q = 0; q < p->positions; q++)
        for (ptrdiff_t i = begin; i < end; i++) {
            const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
            float *const sums = own ? own + (i - begin) * size : call->sums + sums_at(call, &panel, chunk);
            products(call, &panel, chunk, q, &call->order, call->count, call->v, call->d, sums, call->first > 0);
        }
    if (call->first + call->count < p->tiles) return FC_OK;
    for (ptrdiff_t i = begin; i < end; i++) {
        const fc_winograd_columns panel = fc_winograd_panel_at(p, i);
        finish(call, &panel, chunk, own ? own + (i - begin) * size : call->sums + sums_at(call, &panel, chunk));
    }
    return FC_OK;
}

/* The sums of dy of one split or block alone, as they would be beside dw. */
static fc_status db_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t begin = call->splits > 1 ? p->tiles * task / call->splits : task * call->block;
    const ptrdiff_t end = call->splits > 1 ? p->tiles * (task + 1) / call->splits : fc_min(begin + call->block, p->tiles);
    float *const d = fc_scratch(FC_SLOT_TASK, (size_t)(p->positions * d_position(p, 1)) * sizeof(float));
    if (!d) return FC_NO_MEMORY;
    memset(call->db_sums + task * p->width, 0, (size_t)p->width * sizeof(float));
    for (ptrdiff_t t = begin; t < end; t++) transform_dy(call, t, 1, fc_winograd_order_of(p, t, 1), 1, d, call->db_sums + task * p->width);
    return FC_OK;
}

static double products_ns(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return fc_macs_ns(p->positions * (double)tiles * (double)p->depth * (double)p->width);
}

static fc_status by_splits(wgrad_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    fc_status status = fc_parallel_for(call->splits, products_ns(p, p->tiles), split_task, call);
    if (status != FC_OK) return status;
    return fc_parallel_for(p->panels * call->chunks, (double)(sums_size(call) * call->splits), add_splits_task, call);
}

static fc_status by_chunks(wgrad_call *call, ptrdiff_t stage) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t v_size = p->positions * v_position(p, stage);
    call->v = fc_scratch(FC_SLOT_CALL2, (size_t)(v_size + p->positions * d_position(p, stage)) * sizeof(float));
    if (!call->v) return FC_NO_MEMORY;
    call->d = call->v + v_size;
    for (call->first = 0; call->first < p->tiles; call->first += call->count) {
        call->count = fc_min(stage, p->tiles - call->first);
        call->order = fc_winograd_order_of(p, call->first, call->count);
        const double per_tile = p->positions * (double)(p->depth + p->width) / 2;
        fc_status status = fc_parallel_for(fc_ceil_div(call->count, call->block), (double)call->count * per_tile, transform_task, call);
        if (status != FC_OK) return status;
        status = fc_parallel_for(fc_ceil_div(p->panels, group_panels(p)) * call->chunks,
                                 products_ns(p, call->count) + (double)(p->depth * p->width) * 2, chunk_task, call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* dw, and db_sums. */
static fc_status run(wgrad_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    enum { STAGE = 128, SPLIT_TILES = 256, SPLIT_WEIGHTS = 128 * 128 };
    int split = p->tiles >= SPLIT_TILES && p->depth * p->width <= SPLIT_WEIGHTS;
    call->chunk = fc_min(fc_round_up(p->c, p->kernels->mr), 48);
    call->chunks = p->pieces * fc_ceil_div(p->c, call->chunk);
    call->splits = !split ? 1 : p->tiles < 512 ? 2 : p->tiles < 2048 ? 4 : p->tiles < 8192 ? 8 : 16;
    call->block = split ? 32 : 16;
    call->stream = p->k % (2 * p->kernels->lanes) == 0 &&
                   fc_streams(call->dw, p->k * (ptrdiff_t)sizeof(float), sums_size(call) * (ptrdiff_t)sizeof(float));
    const ptrdiff_t sums = call->dw && (split || p->tiles > STAGE) ? call->splits * sums_size(call) : 0;
    const ptrdiff_t parts = split ? call->splits : fc_ceil_div(p->tiles, call->block);
    float *const memory = fc_scratch(FC_SLOT_CALL, (size_t)(sums + parts * p->width) * sizeof(float));
    if (!memory) return FC_NO_MEMORY;
    call->sums = sums ? memory : NULL;
    call->db_sums = memory + sums;
    const fc_status status = !call->dw ? fc_parallel_for(parts, (double)(p->tiles * p->width) * 8, db_task, call)
                             : split   ? by_splits(call)
                                       : by_chunks(call, fc_min(STAGE, p->tiles));
    if (status != FC_OK || !call->db) return status;
    for (ptrdiff_t i = 1; i < parts; i++) fc_kernels(FC_F32)->frame.add_into(call->db_sums + i * p->width, call->db_sums, p->k);
    memcpy(call->db, call->db_sums, (size_t)p->k * sizeof(float));
    return FC_OK;
}

/* Group after group. */
fc_status fc_winograd_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    wgrad_call call = {.plan = fc_winograd_plan_forward(conv), .x = x, .dy = dy, .dw = dw, .db = db};
    const fc_winograd_plan *const p = &call.plan;
    if (p->tiles == 0) {
        if (dw) memset(dw, 0, (size_t)(conv->kh * conv->kw * p->c * conv->k) * sizeof(float));
        if (db) memset(db, 0, (size_t)conv->k * sizeof(float));
        return FC_OK;
    }
    fc_status status = FC_OK;
    for (ptrdiff_t g = 0; g < conv->groups && status == FC_OK; g++) {
        status = run(&call);
        call.x += p->c, call.dy += p->k;
        if (call.dw) call.dw += p->k;
        if (call.db) call.db += p->k;
    }
    return status;
}
