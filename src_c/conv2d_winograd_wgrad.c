/* Winograd's weight gradient, the adjoint of the forward pass: a matrix product for each position of a tile, which reduce over the tiles.
 * The weights are cut into blocks of some chunks of input channels and some panels of output channels.
 *
 * Two ways through it, chosen by shape and cache, as results must not depend on the number of threads:
 *   - by blocks: a task transforms what its block takes of some tiles, adds their products to sums that stay in its second-level
 *     cache, and goes on. With few blocks and many tiles these are split into ranges with sums of their own, which are added up in
 *     the end. Tiles are transformed again for each block;
 *   - by stages: the tiles of a stage are transformed once for all, then each task takes a block of weights.
 * V is laid out as [chunk][position][c / lanes][tiles][lanes], or as [chunk][position][tiles][c] where rows of the product cross the
 * lanes; D as [panel][position][tiles][nr], sums as [panel][chunk][position][c][nr]. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <string.h>

typedef struct {
    fc_winograd_plan plan;
    const float *x, *dy;
    float *dw, *db;
    ptrdiff_t chunk, chunks;        /* input channels of a chunk; chunks of a panel, piece by piece */
    ptrdiff_t block_chunks, block_panels; /* of a block of weights, at the most */
    ptrdiff_t tiles;                /* that are transformed at once */
    ptrdiff_t splits;               /* ranges of tiles with sums of their own */
    float *sums;                    /* [split][panel][chunk], or NULL: each task has its own */
    float *db_sums;                 /* [split, or tiles that are transformed at once][width] */
    int stream;                     /* whether dw is stored past the caches, which the sums fill */
    float *v, *d;                   /* of the stage */
    ptrdiff_t first, count;         /* tiles of the stage */
    fc_winograd_order order;
} wgrad_call;

/* Whether the rows of a product lie in one vector of channels. */
static int in_lanes(const fc_winograd_plan *p) { return p->kernels->lanes % p->kernels->mr == 0; }
static ptrdiff_t chunk_lanes(const wgrad_call *call) { return fc_round_up(call->chunk, call->plan.kernels->lanes); }
static ptrdiff_t channels_step(const wgrad_call *call) {
    return in_lanes(&call->plan) ? call->plan.kernels->lanes : chunk_lanes(call) + FC_WINOGRAD_SKEW;
}
static ptrdiff_t v_block(const wgrad_call *call, ptrdiff_t tiles) {
    return in_lanes(&call->plan) ? tiles * call->plan.kernels->lanes : call->plan.kernels->lanes;
}
static ptrdiff_t v_position(const wgrad_call *call, ptrdiff_t tiles) {
    return tiles * (in_lanes(&call->plan) ? chunk_lanes(call) : channels_step(call)) + FC_WINOGRAD_SKEW;
}
static ptrdiff_t v_chunk(const wgrad_call *call, ptrdiff_t tiles) { return call->plan.positions * v_position(call, tiles); }
static ptrdiff_t d_position(const fc_winograd_plan *p, ptrdiff_t tiles) { return tiles * p->kernels->panel[0].nr + FC_WINOGRAD_SKEW; }
/* Where D of a panel starts, behind others. */
static ptrdiff_t d_panel(const fc_winograd_plan *p, ptrdiff_t tiles, ptrdiff_t panels) { return panels * p->positions * d_position(p, tiles); }
static ptrdiff_t sums_position(const wgrad_call *call, ptrdiff_t nr) { return call->chunk * nr + FC_WINOGRAD_SKEW; }
/* Where the sums of a chunk start, of `chunks`, behind those of panels that are all wide. */
static ptrdiff_t sums_at(const wgrad_call *call, ptrdiff_t panels, ptrdiff_t nr, ptrdiff_t chunks, ptrdiff_t chunk) {
    return call->plan.positions * (panels * chunks * sums_position(call, call->plan.kernels->panel[0].nr) + chunk * sums_position(call, nr));
}
static ptrdiff_t sums_size(const wgrad_call *call) { return sums_at(call, call->plan.panels, 0, call->chunks, 0); }

/* Input channels c0 .. c1 - 1 of a piece. */
typedef struct {
    ptrdiff_t piece, c0, c1;
} chunk_channels;
static chunk_channels chunk_at(const wgrad_call *call, ptrdiff_t chunk) {
    const ptrdiff_t each = call->chunks / call->plan.pieces, c0 = chunk % each * call->chunk;
    return (chunk_channels){chunk / each, c0, fc_min(c0 + call->chunk, call->plan.c)};
}

/* A block of weights. */
typedef struct {
    fc_span chunks, panels;
} weights_block;
static ptrdiff_t block_count(const wgrad_call *call) {
    return fc_ceil_div(call->chunks, call->block_chunks) * fc_ceil_div(call->plan.panels, call->block_panels);
}
static weights_block block_at(const wgrad_call *call, ptrdiff_t index) {
    const ptrdiff_t rows = fc_ceil_div(call->chunks, call->block_chunks), chunk = index % rows * call->block_chunks;
    const ptrdiff_t panel = index / rows * call->block_panels;
    return (weights_block){{chunk, fc_min(chunk + call->block_chunks, call->chunks)}, {panel, fc_min(panel + call->block_panels, call->plan.panels)}};
}
static weights_block whole_block(const wgrad_call *call) { return (weights_block){{0, call->chunks}, {0, call->plan.panels}}; }

/* V of `count` tiles, among `total` that `order` places, for some chunks. */
static fc_status transform_x(const wgrad_call *call, fc_span chunks, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order, ptrdiff_t total,
                             float *v) {
    for (ptrdiff_t i = chunks.first; i < chunks.end; i++, v += v_chunk(call, total)) {
        const chunk_channels at = chunk_at(call, i);
        const fc_winograd_v_layout layout = {.position = v_position(call, total),
                                             .block = v_block(call, total),
                                             .group = total,
                                             .group_stride = 0,
                                             .tile_stride = channels_step(call),
                                             .ahead = !call->splits && !call->plan.planar};
        const fc_status status =
            fc_winograd_input(&call->plan, (fc_span){at.piece, at.piece + 1}, (fc_span){at.c0, at.c1}, call->x, first, count, order, &layout, v);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* D of the same tiles for some panels; adds their sums to db_sums. */
static fc_status transform_dy(const wgrad_call *call, fc_span panels, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order, ptrdiff_t total,
                              float *d, float *db_sums) {
    const fc_winograd_d_layout layout = {
        .position = d_position(&call->plan, total), .panel = d_panel(&call->plan, total, 1), .ahead = !call->splits && !call->plan.planar};
    return fc_winograd_gradient(&call->plan, panels, call->dy, first, count, order, &layout, d, db_sums);
}

/* Products of a stage fetch what those of the next position will read: the first rows of a vector its part of V, the others some of D. */
typedef struct {
    const void *next;
    ptrdiff_t bytes;
} fetching;

/* Those of a block fetch what the next tiles will read instead, while others are made: `each` bytes of what begins at `next` are due with each
 * sum, a line is fetched with each of its steps. */
typedef struct {
    const char *next;
    ptrdiff_t each, due;
} pixels_ahead;

/* Adds the products of position q of `tiles` tiles to the sums of a chunk, or writes them. v and d are those of the chunk and panel. */
static void products(const wgrad_call *call, const fc_winograd_columns *panel, ptrdiff_t chunk, int q, const fc_winograd_order *order,
                     ptrdiff_t tiles, const float *v, const float *d, float *sums, int accumulate, pixels_ahead *pixels) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t mr = p->kernels->mr, lanes = p->kernels->lanes, step = channels_step(call), block = v_block(call, tiles);
    const chunk_channels at = chunk_at(call, chunk);
    if (fc_winograd_vanishes(p, at.piece, 0, q)) return; /* belongs to a tap that is not there */
    const fc_span places = fc_winograd_present(p, order, q);
    const float *const a = v + q * v_position(call, tiles) + places.first * step;
    const float *const b = d + q * d_position(p, tiles) + places.first * panel->nr;
    float *const out = sums + q * sums_position(call, panel->nr);
    const char *next_d = (const char *)(b + d_position(p, tiles));
    for (ptrdiff_t c = 0; c < at.c1 - at.c0; c += mr) {
        const float *const rows = a + c / lanes * block + c % lanes;
        fetching ahead = {rows, step * (ptrdiff_t)sizeof(float)};
        if (pixels) {
            pixels->due += pixels->each;
            if (pixels->due >= tiles * FC_ALIGN) ahead.next = pixels->next, pixels->next += tiles * FC_ALIGN, pixels->due -= tiles * FC_ALIGN;
        } else if (c % lanes < mr) ahead = (fetching){rows + v_position(call, tiles), step * (ptrdiff_t)sizeof(float)};
        else ahead = (fetching){next_d, FC_ALIGN}, next_d += tiles * FC_ALIGN;
        panel->kernels->wgrad[fc_min(mr, at.c1 - at.c0 - c)](rows, step, b, places.end - places.first, out + c * panel->nr, accumulate, ahead.next,
                                                             ahead.bytes);
    }
}

static void finish(const wgrad_call *call, const fc_winograd_columns *panel, ptrdiff_t chunk, const float *sums) {
    const fc_winograd_plan *const p = &call->plan;
    const chunk_channels at = chunk_at(call, chunk);
    const fc_winograd_taps rows = fc_winograd_piece_rows(p, at.piece, 0), cols = fc_winograd_piece_cols(p, at.piece, 0);
    const ptrdiff_t tap = p->c * p->ldw;
    const fc_winograd_dw_args args = {.u = sums,
                                      .position = sums_position(call, panel->nr),
                                      .nr = panel->nr,
                                      .w = call->dw + (rows.first * p->cols.taps + cols.first) * tap + at.c0 * p->ldw + panel->first,
                                      .row_tap = p->rows.stride * p->cols.taps * tap,
                                      .tap = p->cols.stride * tap,
                                      .row_taps = (int)rows.count,
                                      .taps = (int)cols.count,
                                      .ld = p->ldw,
                                      .rows = at.c1 - at.c0,
                                      .columns = panel->columns,
                                      .stream = call->stream};
    if (rows.count > 0 && cols.count > 0) p->transforms->dw(&args);
}

/* The sums of a block: its own, or its place among those of all weights. */
typedef struct {
    float *sums;
    ptrdiff_t panel, chunk, chunks; /* the first of the block among those that they are of */
} block_sums;
static block_sums own_sums(float *sums, const weights_block *block) {
    return (block_sums){.sums = sums, .chunks = block->chunks.end - block->chunks.first};
}
static block_sums shared_sums(const wgrad_call *call, ptrdiff_t split, const weights_block *block) {
    return (block_sums){call->sums + split * sums_size(call), block->panels.first, block->chunks.first, call->chunks};
}
/* Those of panel i and chunk j of the block. */
static float *sums_of(const wgrad_call *call, const block_sums *of, ptrdiff_t i, ptrdiff_t nr, ptrdiff_t j) {
    return of->sums + sums_at(call, of->panel + i, nr, of->chunks, of->chunk + j);
}

/* All products of a block of weights with `tiles` tiles. V and D are those of the block. */
static void block_products(const wgrad_call *call, const weights_block *block, const fc_winograd_order *order, ptrdiff_t tiles, const float *v,
                           const float *d, const block_sums *sums, int accumulate, const fc_winograd_extent *next) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t rows =
        fc_ceil_div(call->chunk, p->kernels->mr) * (block->chunks.end - block->chunks.first) * (block->panels.end - block->panels.first);
    pixels_ahead pixels = {0};
    for (int q = 0; q < p->positions; q++) {
        if (next && q % (p->positions / 2) == 0) {
            const fc_winograd_extent *const extent = &next[q > 0];
            pixels = (pixels_ahead){extent->begin, extent->bytes / (rows * (p->positions / 2)), 0};
        }
        fc_winograd_columns panel = fc_winograd_panel_at(p, block->panels.first);
        for (ptrdiff_t i = 0; i < block->panels.end - block->panels.first; i++, fc_winograd_next_panel(p, &panel))
            for (ptrdiff_t j = 0; j < block->chunks.end - block->chunks.first; j++)
                products(call, &panel, block->chunks.first + j, q, order, tiles, v + j * v_chunk(call, tiles), d + d_panel(p, tiles, i),
                         sums_of(call, sums, i, panel.nr, j), accumulate, next ? &pixels : NULL);
    }
}

static void finish_block(const wgrad_call *call, const weights_block *block, const block_sums *sums) {
    fc_winograd_columns panel = fc_winograd_panel_at(&call->plan, block->panels.first);
    for (ptrdiff_t i = 0; i < block->panels.end - block->panels.first; i++, fc_winograd_next_panel(&call->plan, &panel))
        for (ptrdiff_t j = 0; j < block->chunks.end - block->chunks.first; j++)
            finish(call, &panel, block->chunks.first + j, sums_of(call, sums, i, panel.nr, j));
}

static fc_status block_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t split = task / block_count(call), begin = p->tiles * split / call->splits, end = p->tiles * (split + 1) / call->splits;
    const weights_block block = block_at(call, task % block_count(call));
    const ptrdiff_t panels = block.panels.end - block.panels.first, chunks = block.chunks.end - block.chunks.first;
    const ptrdiff_t v_size = chunks * v_chunk(call, call->tiles), d_size = d_panel(p, call->tiles, panels);
    const ptrdiff_t own = call->sums ? 0 : sums_at(call, panels, 0, chunks, 0);
    float *const v = fc_scratch(FC_SLOT_TASK, (size_t)(v_size + d_size + own + p->width) * sizeof(float));
    if (!v) return FC_NO_MEMORY;
    float *const d = v + v_size;
    const block_sums sums = call->sums ? shared_sums(call, split, &block) : own_sums(d + d_size, &block);
    /* The first rows of blocks yield the sums of dy. */
    float *const db_sums = block.chunks.first == 0 ? call->db_sums + split * p->width : d + d_size + own;
    const fc_winograd_columns first_panel = fc_winograd_panel_at(p, block.panels.first), last_panel = fc_winograd_panel_at(p, block.panels.end - 1);
    memset(db_sums + first_panel.first, 0, (size_t)(last_panel.first + last_panel.nr - first_panel.first) * sizeof(float));
    const ptrdiff_t tiles = fc_ceil_div(end - begin, fc_ceil_div(end - begin, call->tiles)); /* at once, about equally many */
    for (ptrdiff_t first = begin; first < end; first += tiles) {
        const ptrdiff_t count = fc_min(tiles, end - first);
        const fc_winograd_order order = fc_winograd_order_of(p, first, count);
        fc_status status = transform_x(call, block.chunks, first, count, order, count, v);
        if (status == FC_OK) status = transform_dy(call, block.panels, first, count, order, count, d, db_sums);
        if (status != FC_OK) return status;
        const ptrdiff_t after = fc_min(tiles, end - first - count);
        const fc_winograd_extent next[2] = {fc_winograd_reads(p, call->x, first + count, after),
                                            fc_winograd_writes(p, 0, call->dy, first + count, after)};
        block_products(call, &block, &order, count, v, d, &sums, first > begin, next);
    }
    if (!call->sums) finish_block(call, &block, &sums);
    return FC_OK;
}

static fc_status add_splits_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const ptrdiff_t chunk = task % call->chunks, panel = task / call->chunks, size = sums_size(call);
    const fc_winograd_columns columns = fc_winograd_panel_at(&call->plan, panel);
    float *const sums = call->sums + sums_at(call, panel, columns.nr, call->chunks, chunk);
    for (ptrdiff_t s = 1; s < call->splits; s++)
        fc_kernels(FC_F32)->frame.add_into(sums + s * size, sums, call->plan.positions * sums_position(call, columns.nr));
    finish(call, &columns, chunk, sums);
    return FC_OK;
}

static fc_status transform_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const ptrdiff_t offset = task * call->tiles, index = call->first / call->tiles + task, count = fc_min(call->tiles, call->count - offset);
    float *const db_sums = call->db_sums + index * call->plan.width;
    memset(db_sums, 0, (size_t)call->plan.width * sizeof(float));
    fc_winograd_order order = call->order;
    fc_winograd_skip(&call->plan, call->first, offset, &order);
    const weights_block all = whole_block(call);
    const fc_status status = transform_x(call, all.chunks, call->first + offset, count, order, call->count, call->v);
    return status == FC_OK ? transform_dy(call, all.panels, call->first + offset, count, order, call->count, call->d, db_sums) : status;
}

static fc_status stage_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const weights_block block = block_at(call, task);
    const ptrdiff_t panels = block.panels.end - block.panels.first, chunks = block.chunks.end - block.chunks.first;
    float *const own = call->sums ? NULL : fc_scratch(FC_SLOT_TASK, (size_t)sums_at(call, panels, 0, chunks, 0) * sizeof(float));
    if (!call->sums && !own) return FC_NO_MEMORY;
    const block_sums sums = own ? own_sums(own, &block) : shared_sums(call, 0, &block);
    block_products(call, &block, &call->order, call->count, call->v + block.chunks.first * v_chunk(call, call->count),
                   call->d + d_panel(p, call->count, block.panels.first), &sums, call->first > 0, NULL);
    if (call->first + call->count == p->tiles) finish_block(call, &block, &sums);
    return FC_OK;
}

/* The sums of dy alone, as they would be beside dw. */
static fc_status db_task(const void *context, ptrdiff_t task) {
    const wgrad_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t begin = call->splits ? p->tiles * task / call->splits : task * call->tiles;
    const ptrdiff_t end = call->splits ? p->tiles * (task + 1) / call->splits : fc_min(begin + call->tiles, p->tiles);
    return fc_winograd_sum_gradient(p, call->dy, begin, end, call->db_sums + task * p->width);
}

static double products_ns(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return fc_macs_ns(p->positions * (double)tiles * (double)p->depth * (double)p->width);
}

static fc_status by_blocks(wgrad_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    fc_status status = fc_parallel_for(call->splits * block_count(call), products_ns(p, p->tiles), block_task, call);
    if (status != FC_OK || !call->sums) return status;
    return fc_parallel_for(p->panels * call->chunks, (double)(sums_size(call) * call->splits), add_splits_task, call);
}

static fc_status by_stages(wgrad_call *call, ptrdiff_t stage) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t v_size = call->chunks * v_chunk(call, stage);
    call->v = fc_scratch(FC_SLOT_CALL2, (size_t)(v_size + d_panel(p, stage, p->panels)) * sizeof(float));
    if (!call->v) return FC_NO_MEMORY;
    call->d = call->v + v_size;
    for (call->first = 0; call->first < p->tiles; call->first += call->count) {
        call->count = fc_min(stage, p->tiles - call->first);
        call->order = fc_winograd_order_of(p, call->first, call->count);
        const double per_tile = p->positions * (double)(p->depth + p->width) / 2;
        fc_status status = fc_parallel_for(fc_ceil_div(call->count, call->tiles), (double)call->count * per_tile, transform_task, call);
        if (status != FC_OK) return status;
        status = fc_parallel_for(block_count(call), products_ns(p, call->count) + (double)(p->depth * p->width) * 2, stage_task, call);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* Tiles of a stage, and those that a task transforms at once: by blocks, where they stay in the cache, and by stages. */
enum { STAGE = 128, BLOCK_TILES = 32, STAGE_TILES = 16 };

/* Ranges of tiles are a power of two, so that threads get as many, with at least so many tiles, for so many tasks. */
enum { SPLIT_TASKS = 8, SPLIT_TILES = 96 };

/* By blocks, tiles are transformed again for each block of weights; by stages, they go through the outer caches, unless they fit into
 * the second level. Small caches hold no blocks that would be worth the former. */
static int blocks_pay(const wgrad_call *call, int large) {
    const fc_winograd_plan *const p = &call->plan;
    const double rows = (double)fc_ceil_div(call->chunks, call->block_chunks), columns = (double)fc_ceil_div(p->panels, call->block_panels);
    const double depth = (double)p->lanes, width = (double)p->width;
    if ((double)(p->tiles * p->positions) * (depth + width) * sizeof(float) < (double)fc_l2_bytes() / 2) return 0;
    return large ? (columns - 1) * depth + (rows - 1) * width < 2 * (depth + width) : rows * columns == 1 && p->tiles >= 256;
}

/* Blocks of weights, whose sums stay in a large second-level cache, and tiles. Splits follow from the shape; blocks, which change no
 * result, are made smaller where there would be too few for the threads. */
static int plan(wgrad_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const int large = fc_l2_bytes() >= 1 << 20;
    const ptrdiff_t channels = large ? 64 : 128;
    call->chunk = fc_min(fc_round_up(p->c, p->kernels->mr), large ? 64 : 48);
    call->chunks = p->pieces * fc_ceil_div(p->c, call->chunk);
    call->block_chunks = fc_max(1, channels / call->chunk);
    call->block_panels = channels / p->kernels->panel[0].nr;
    const int blocks = blocks_pay(call, large);
    if (!blocks) call->block_panels = 64 / p->kernels->panel[0].nr;
    if (!blocks && !large) call->block_chunks = 1;
    call->splits = blocks;
    while (blocks && 2 * call->splits * block_count(call) <= SPLIT_TASKS && p->tiles / (2 * call->splits) >= SPLIT_TILES) call->splits *= 2;
    call->tiles = blocks ? BLOCK_TILES : STAGE_TILES;
    while (fc_max(call->splits, 1) * block_count(call) < fc_get_num_threads() && call->block_panels > 1) call->block_panels /= 2;
    return blocks;
}

/* dw, and db_sums. */
static fc_status run(wgrad_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    const int blocks = plan(call);
    call->stream =
        p->k % (2 * p->kernels->lanes) == 0 && fc_streams(call->dw, p->k * (ptrdiff_t)sizeof(float), sums_size(call) * (ptrdiff_t)sizeof(float));
    const ptrdiff_t sums = call->dw && (blocks ? call->splits > 1 : p->tiles > STAGE) ? fc_max(call->splits, 1) * sums_size(call) : 0;
    const ptrdiff_t parts = blocks ? call->splits : fc_ceil_div(p->tiles, call->tiles);
    float *const memory = fc_scratch(FC_SLOT_CALL, (size_t)(sums + parts * p->width) * sizeof(float));
    if (!memory) return FC_NO_MEMORY;
    call->sums = sums ? memory : NULL;
    call->db_sums = memory + sums;
    const fc_status status = !call->dw ? fc_parallel_for(parts, (double)(p->tiles * p->width) * 8, db_task, call)
                             : blocks  ? by_blocks(call)
                                       : by_stages(call, fc_min(STAGE, p->tiles));
    if (status != FC_OK || !call->db) return status;
    fc_winograd_sum_ranges(p, parts, call->db_sums, call->db);
    return FC_OK;
}

/* Group after group. */
fc_status fc_winograd_backward_weights(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) {
    wgrad_call call = {.plan = fc_winograd_plan_weights(conv), .x = x, .dy = dy, .dw = dw, .db = db};
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
