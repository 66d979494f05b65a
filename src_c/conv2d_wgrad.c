/* The weight gradient, directly: dw[tap][c][k] = sum over pixels of x[pixel at tap][c] * dy[pixel][k].
 *
 * A block is a band of output rows (or several images). Its input is copied with padding, so that one list of offsets [taps * c]
 * serves all pixels, and its dy is packed into panels [panel][pixels][nr]; then tiles of mr offsets x nr channels accumulate over
 * the block's pixels. Sums never depend on the number of threads: where dw is small, blocks are dealt to a number of chunks that
 * the shape fixes, each with its own accumulators, which are added in order; where dw is large, blocks follow each other and
 * the threads share the tiles of each. */
#include "conv2d_wgrad.h"

#include <assert.h>
#include <string.h>

enum {
    BLOCK_PIXELS = 112,           /* with their part of dy they stay in the first-level cache */
    MAX_CHUNKS = 16,
    MIN_CHUNKS = 4,
    ACCUMULATORS_BYTES = 4 << 20, /* of all chunks */
    RAW_MAX_ROWS = 256,           /* up to here packing dy costs more than it saves */
    CROWDED_BYTES = 256,
    RAW_CROWDED_ROWS = 32,        /* the same where pixels of dy share few cache sets */
    TILE_ROWS = 96                /* rows of dw in one task where threads share a block */
};

/* Bytes of the list of a block's lines. */
static size_t lines_size(const fc_wgrad_plan *g) { return (size_t)fc_round_up(g->images * g->band * (ptrdiff_t)sizeof(ptrdiff_t), FC_ALIGN); }

static ptrdiff_t bias_columns(const fc_wgrad_plan *g) { return g->bias_of_x ? g->conv->c : g->conv->k; }

static void *bias_sums(const fc_wgrad_plan *g, ptrdiff_t chunk) {
    return fc_at_mut(g->acc, g->chunks * g->groups * g->acc_size + chunk * bias_columns(g), g->esize);
}

/* The sums of one panel's columns: from its packed dy where there is one, which is read from end to end. */
static void sum_panel(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t chunk, const fc_panel *panel, const void *packed) {
    if (!g->db || g->bias_of_x) return;
    const ptrdiff_t nr = panel->kernels->nr, ld = g->conv->k, at = group * g->k + panel->first;
    const ptrdiff_t pixel = (p->n * g->conv->oh + p->row) * g->conv->ow;
    assert(packed || !g->planar);
    g->kernels->frame.column_sums(packed ? packed : fc_at(g->dy, pixel * ld + at, g->esize), packed ? nr : ld, p->pixels, panel->columns,
                                  fc_at_mut(bias_sums(g, chunk), at, g->esize));
}

static void sum_input(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t chunk) {
    if (g->db && g->bias_of_x) g->kernels->frame.column_sums(fc_wgrad_input(g, p, 0), g->conv->c, p->pixels, g->conv->c, bias_sums(g, chunk));
}

/* Those of all panels, with all of the packed dy or none. */
static void sum_bias(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t chunk, const void *packed) {
    sum_input(g, p, chunk);
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels); i++) {
        const fc_panel panel = fc_panels_get(&g->panels, i);
        sum_panel(g, p, group, chunk, &panel, packed ? fc_at(packed, panel.first * p->pixels, g->esize) : NULL);
    }
}

/* Pixels of dy, and rows of dw, a multiple of so many bytes apart share few cache sets. */
static int crowded_outputs(const fc_wgrad_plan *g) { return g->conv->k * g->esize % CROWDED_BYTES == 0; }

/* Without chunks to add, a panel with all its columns leaves its sums in dw itself. */
static int ends_in_dw(const fc_wgrad_plan *g, const fc_panel *panel) { return g->chunks == 1 && panel->columns == panel->kernels->nr; }

/* What the tiles of a block share. */
typedef struct fc_wgrad_work {
    fc_wgrad_part p;
    ptrdiff_t group;
    const void *x, *dy;
    const ptrdiff_t *line;
    void *acc;
    int begins, ends; /* with the first block, with the last */
    fc_wgrad_fetch next;
} block_work;

/* Adds a block to rows first .. last - 1 of one panel. */
static void run_tiles(const fc_wgrad_plan *g, block_work *work, const fc_panel *panel, ptrdiff_t first, ptrdiff_t last) {
    const fc_wgrad_part *const p = &work->p;
    const ptrdiff_t nr = panel->kernels->nr, mr = panel->kernels->mr, k = g->conv->k, pixels = g->flat ? p->pixels : g->conv->ow;
    const int in_dw = ends_in_dw(g, panel) && (work->ends || !crowded_outputs(g)), from_dw = in_dw && !crowded_outputs(g);
    void *const acc = fc_at_mut(work->acc, panel->first * g->rows, g->esize);
    void *const dw = g->dw ? fc_at_mut(g->dw, work->group * g->k + panel->first, g->esize) : NULL;
    fc_wgrad_args args = {
        .x = work->x,
        .line = work->line,
        .lines = p->pixels / pixels,
        .pixels = pixels,
        .step = g->conv->stride_w / g->skip_w * g->ld,
        .dy = work->dy,
        .ld_dy = g->packed ? nr : k,
        .ld_acc = from_dw ? k : nr,
        .ld_out = in_dw ? k : nr,
        .next_bytes = work->next.bytes,
    };
    for (ptrdiff_t l = first, tile; l < last; l += tile) {
        tile = fc_tile_rows(last - l, mr);
        args.offset = g->offset + l;
        args.acc = work->begins ? NULL : fc_at(from_dw ? dw : acc, l * args.ld_acc, g->esize);
        args.out = fc_at_mut(in_dw ? dw : acc, l * args.ld_out, g->esize);
        args.next = fc_wgrad_advance(&work->next, 0);
        panel->kernels->wgrad[tile](&args);
        fc_wgrad_advance(&work->next, p->pixels * work->next.bytes);
    }
}

/* One block of one group. */
static void run_block(const fc_wgrad_plan *g, block_work *work, ptrdiff_t chunk, void *copy, void *packed) {
    const fc_wgrad_part *const p = &work->p;
    const ptrdiff_t group = work->group;
    for (ptrdiff_t i = 0; g->dw && i < p->images; i++)
        for (ptrdiff_t r = 0; r < fc_wgrad_copied_rows(g, p); r++) fc_wgrad_copy_row(g, p, group, i, r, copy);
    work->x = g->copy ? copy : fc_wgrad_input(g, p, group);
    work->acc = fc_at_mut(g->acc, (chunk * g->groups + group) * g->acc_size, g->esize);
    const void *const dy = fc_wgrad_gradient(g, p, group);
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels); i++) {
        const fc_panel panel = fc_panels_get(&g->panels, i);
        work->dy = fc_at(dy, panel.first, g->esize);
        if (g->packed) {
            fc_wgrad_pack_panel(g, p, group, &panel, packed);
            work->dy = packed;
        }
        if (g->dw) run_tiles(g, work, &panel, 0, g->rows);
        sum_panel(g, p, group, chunk, &panel, g->packed ? packed : NULL);
    }
}

/* All blocks of one chunk of some groups, which share what they read: lines of the cache. */
static fc_status chunk_task(const void *context, ptrdiff_t task) {
    const fc_wgrad_plan *const g = context;
    const ptrdiff_t part = task % g->parts, chunk = task / g->parts;
    const ptrdiff_t first = g->groups * part / g->parts, last = g->groups * (part + 1) / g->parts;
    const ptrdiff_t begin = g->blocks * chunk / g->chunks, end = g->blocks * (chunk + 1) / g->chunks;
    char *const space = fc_scratch(FC_SLOT_TASK, lines_size(g) + (size_t)((g->x_size + g->dy_size) * g->esize));
    if (!space) return FC_NO_MEMORY;
    ptrdiff_t *const line = (ptrdiff_t *)space;
    void *const copy = space + lines_size(g), *const packed = fc_at_mut(copy, g->x_size, g->esize);
    /* A thread takes tasks in order: of the same chunk, and then the next one, which begins with the block after this chunk's last. */
    const ptrdiff_t fetched = part < g->parts - 1 ? end : g->blocks;
    for (ptrdiff_t block = begin; block < end; block++) {
        block_work work = {.p = fc_wgrad_part_of(g, block),
                           .line = line,
                           .begins = block == begin,
                           .ends = block == end - 1,
                           .next = fc_wgrad_fetch_next(g, block, fetched, last - first)};
        fc_wgrad_fill_lines(g, &work.p, line);
        for (work.group = first; work.group < last; work.group++) {
            if (g->dw || g->planar) run_block(g, &work, chunk, copy, packed);
            else sum_bias(g, &work.p, work.group, chunk, NULL);
        }
        if (g->dw || g->planar) sum_input(g, &work.p, chunk);
    }
    return FC_OK;
}

/* Copies or packs a share of the block that the threads work on together. */
static fc_status prepare_task(const void *context, ptrdiff_t task) {
    const fc_wgrad_plan *const g = context;
    const fc_wgrad_part p = fc_wgrad_part_of(g, g->block);
    const ptrdiff_t rows = fc_wgrad_copied_rows(g, &p);
    if (task < p.images * rows) fc_wgrad_copy_row(g, &p, g->group, task / rows, task % rows, g->shared_x);
    else if (g->packed) fc_wgrad_pack_line(g, &p, g->group, task - p.images * rows, g->shared_dy);
    return FC_OK;
}

/* All panels of some rows of dw before the next rows: what a thread writes lies side by side. The last task is db. */
static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const fc_wgrad_plan *const g = context;
    block_work work = *g->shared;
    const ptrdiff_t panels = fc_panels_count(&g->panels), first = task / panels * TILE_ROWS;
    if (first >= g->rows) {
        sum_bias(g, &work.p, g->group, 0, g->packed ? work.dy : NULL);
        return FC_OK;
    }
    const fc_panel panel = fc_panels_get(&g->panels, task % panels);
    const ptrdiff_t before = task * fc_ceil_div(TILE_ROWS, panel.kernels->mr) * work.p.pixels * work.next.bytes;
    const ptrdiff_t of_x = fc_min(before, work.next.x_end - work.next.x);
    fc_wgrad_advance(&work.next, of_x);
    fc_wgrad_advance(&work.next, before - of_x);
    work.dy = fc_at(work.dy, panel.first * (g->packed ? work.p.pixels : 1), g->esize);
    run_tiles(g, &work, &panel, first, fc_min(first + TILE_ROWS, g->rows));
    return FC_OK;
}

/* Blocks one after the other, each shared by the threads. */
static fc_status run_shared(fc_wgrad_plan *g, char *space, double work) {
    ptrdiff_t *const line = (ptrdiff_t *)space;
    g->shared_x = space + lines_size(g);
    g->shared_dy = fc_at_mut(g->shared_x, g->x_size, g->esize);
    const double share = work / (double)(g->blocks * g->groups);
    for (g->group = 0; g->group < g->groups; g->group++)
        for (g->block = 0; g->block < g->blocks; g->block++) {
            const fc_wgrad_part p = fc_wgrad_part_of(g, g->block);
            const ptrdiff_t rows = fc_wgrad_copied_rows(g, &p);
            const ptrdiff_t lines = g->packed ? p.images * p.rows : 0;
            fc_wgrad_fill_lines(g, &p, line);
            const block_work shared = {
                .p = p,
                .group = g->group,
                .x = g->copy ? g->shared_x : fc_wgrad_input(g, &p, g->group),
                .dy = g->packed ? g->shared_dy : fc_wgrad_gradient(g, &p, g->group),
                .line = line,
                .acc = fc_at_mut(g->acc, g->group * g->acc_size, g->esize),
                .begins = g->block == 0,
                .ends = g->block == g->blocks - 1,
                .next = g->groups > 1 ? (fc_wgrad_fetch){0} : fc_wgrad_fetch_next(g, g->block, g->blocks, 1),
            };
            g->shared = &shared;
            fc_status status = fc_parallel_for(p.images * rows + lines, (double)(g->x_size + g->dy_size), prepare_task, g);
            if (status != FC_OK) return status;
            const ptrdiff_t tasks = fc_panels_count(&g->panels) * fc_ceil_div(g->rows, TILE_ROWS) + 1;
            status = fc_parallel_for(tasks, share, tiles_task, g);
            if (status != FC_OK) return status;
        }
    return FC_OK;
}

/* Adds the chunks and unpacks the panels: rows of dw, then db. */
static fc_status finish_task(const void *context, ptrdiff_t task) {
    const fc_wgrad_plan *const g = context;
    const ptrdiff_t k = g->conv->k, count = fc_ceil_div(g->rows, TILE_ROWS), group = task / count;
    if (group == g->groups) {
        if (task % count || !g->db) return FC_OK;
        void *const sums = bias_sums(g, 0);
        for (ptrdiff_t chunk = 1; chunk < g->chunks; chunk++) g->kernels->frame.add_into(bias_sums(g, chunk), sums, bias_columns(g));
        memcpy(g->db, sums, (size_t)(bias_columns(g) * g->esize));
        return FC_OK;
    }
    const ptrdiff_t first = task % count * TILE_ROWS, rows = fc_min(TILE_ROWS, g->rows - first);
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels); i++) {
        const fc_panel panel = fc_panels_get(&g->panels, i);
        if (ends_in_dw(g, &panel)) continue;
        const ptrdiff_t nr = panel.kernels->nr, at = group * g->acc_size + panel.first * g->rows + first * nr;
        char *const acc = fc_at_mut(g->acc, at, g->esize);
        for (ptrdiff_t chunk = 1; chunk < g->chunks; chunk++)
            g->kernels->frame.add_into(fc_at(acc, chunk * g->groups * g->acc_size, g->esize), acc, rows * nr);
        for (ptrdiff_t r = 0; r < rows; r++)
            memcpy(fc_at_mut(g->dw, (first + r) * k + group * g->k + panel.first, g->esize), acc + r * nr * g->esize,
                   (size_t)(panel.columns * g->esize));
    }
    return FC_OK;
}

static void plan(fc_wgrad_plan *g) {
    const fc_conv2d *const conv = g->conv;
    const ptrdiff_t extent_h = (conv->kh - 1) * conv->dilation_h + 1, extent_w = (conv->kw - 1) * conv->dilation_w + 1;
    g->bands = fc_ceil_div(conv->oh, fc_max(1, BLOCK_PIXELS / conv->ow));
    g->band = fc_ceil_div(conv->oh, g->bands);
    g->bands = fc_ceil_div(conv->oh, g->band);
    g->images = g->bands == 1 ? fc_min(conv->n, fc_max(1, BLOCK_PIXELS / (conv->oh * conv->ow))) : 1;
    g->blocks = g->bands * fc_ceil_div(conv->n, g->images);

    const int padded = conv->pad_top > 0 || conv->pad_left > 0 || (conv->oh - 1) * conv->stride_h + extent_h - conv->pad_top > conv->h ||
                       (conv->ow - 1) * conv->stride_w + extent_w - conv->pad_left > conv->w;
    /* Pixels a power of two apart would fall into few cache sets: the copy spreads them. */
    const int crowded = !g->planar && conv->c * g->esize % 128 == 0;
    g->copy = padded || crowded;
    g->skip_h = g->skip_w = 1;
    if (g->copy) {
        /* What no tap reads is left out. */
        if (conv->kh == 1) g->skip_h = conv->stride_h;
        if (conv->kw == 1 && conv->pad_left == 0) g->skip_w = conv->stride_w;
        const ptrdiff_t line = FC_ALIGN / g->esize;
        g->slab = g->ld = g->planar ? 1 : fc_min(g->depth, line);
        g->copy_h = (g->band - 1) * conv->stride_h / g->skip_h + extent_h;
        g->copy_w = (conv->ow - 1) * conv->stride_w / g->skip_w + extent_w;
        g->image_step = g->copy_h * g->copy_w * g->ld;
        g->slab_step = fc_round_up(g->images * g->image_step, line) + line;
        g->x_size = fc_ceil_div(g->depth, g->slab) * g->slab_step;
    } else {
        g->slab = g->planar ? 1 : g->depth;
        g->slab_step = conv->h * conv->w;
        g->ld = g->planar ? 1 : conv->c;
        g->copy_w = conv->w;
        g->image_step = conv->h * conv->w * conv->c;
    }
    g->flat = conv->stride_h == g->skip_h && conv->stride_w == g->skip_w && g->copy_w == conv->ow &&
              (g->images == 1 || g->image_step == conv->oh * conv->ow * g->ld);
    const int one_panel = g->groups == 1 && fc_panels_count(&g->panels) == 1;
    const ptrdiff_t raw_rows = crowded_outputs(g) ? RAW_CROWDED_ROWS : RAW_MAX_ROWS;
    g->packed = g->planar || g->panels_width != g->k || (g->rows > raw_rows && !one_panel);
    g->dy_size = g->packed ? g->images * g->band * conv->ow * g->panels_width : 0;
    g->acc_size = fc_round_up(g->panels_width * g->rows, FC_ALIGN / g->esize);
    const ptrdiff_t chunks = ACCUMULATORS_BYTES / (g->acc_size * g->groups * g->esize);
    g->chunks = fc_min(fc_min(chunks, MAX_CHUNKS), g->blocks);
    if (g->chunks * g->groups < MIN_CHUNKS) g->chunks = 1;
    /* The accumulators of a task stay in the second-level cache from block to block. */
    const ptrdiff_t threads = fc_get_num_threads(), tasks = threads > 1 ? fc_ceil_div(4 * threads, g->chunks) : 1;
    g->parts = fc_min(g->groups, fc_max(tasks, fc_ceil_div(4 * g->acc_size * g->groups * g->esize, fc_l2_bytes())));
}

static fc_status run(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db, int bias_of_x) {
    fc_wgrad_plan g = {
        .conv = conv,
        .kernels = fc_kernels(conv->dtype),
        .esize = fc_esize(conv->dtype),
        .planar = conv->layout == FC_NCHW,
        .groups = conv->groups,
        .depth = conv->c / conv->groups,
        .k = conv->k / conv->groups,
        .x = x,
        .dy = dy,
        .dw = dw,
        .db = db,
        .bias_of_x = bias_of_x,
    };
    g.rows = conv->kh * conv->kw * g.depth;
    if (conv->n * conv->oh * conv->ow == 0) {
        if (dw) memset(dw, 0, (size_t)(g.rows * conv->k * g.esize));
        if (db) memset(db, 0, (size_t)(bias_columns(&g) * g.esize));
        return FC_OK;
    }
    g.panels = fc_panels_plan(&g.kernels->gemm, g.k, 1);
    g.panels_width = fc_panels_width(&g.panels);
    plan(&g);

    const size_t offsets = (size_t)fc_round_up(g.rows * (ptrdiff_t)sizeof *g.offset, FC_ALIGN);
    const int shared = dw && g.chunks == 1 && g.groups < MIN_CHUNKS;
    const size_t blocks = shared ? lines_size(&g) + (size_t)((g.x_size + g.dy_size) * g.esize) : 0;
    char *const space = fc_scratch(FC_SLOT_CALL, offsets + blocks);
    const size_t sums = (size_t)(g.chunks * (g.groups * g.acc_size + bias_columns(&g)) * g.esize);
    g.acc = fc_scratch(FC_SLOT_CALL2, sums);
    if (!space || !g.acc) return FC_NO_MEMORY;
    g.offset = (ptrdiff_t *)space;
    for (ptrdiff_t a = 0, l = 0; a < conv->kh; a++)
        for (ptrdiff_t b = 0; b < conv->kw; b++)
            for (ptrdiff_t slab = 0; slab * g.slab < g.depth; slab++)
                for (ptrdiff_t c = 0; c < fc_min(g.slab, g.depth - slab * g.slab); c++)
                    g.offset[l++] = (a * conv->dilation_h * g.copy_w + b * conv->dilation_w) * g.ld + slab * g.slab_step + c;
    memset(bias_sums(&g, 0), 0, (size_t)(g.chunks * bias_columns(&g) * g.esize));

    const double work = fc_macs_ns((double)conv->n * (double)(conv->oh * conv->ow) * (double)conv->k * (double)g.rows);
    fc_status status = shared ? run_shared(&g, space + offsets, work) : fc_parallel_for(g.parts * g.chunks, work, chunk_task, &g);
    if (status != FC_OK) return status;
    const ptrdiff_t rows = fc_ceil_div(g.rows, TILE_ROWS);
    if (!dw) return finish_task(&g, g.groups * rows);
    return fc_parallel_for((g.groups + 1) * rows, 0.3 * (double)g.chunks * (double)(g.rows * conv->k), finish_task, &g);
}

fc_status fc_wgrad(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *db) { return run(conv, x, dy, dw, db, 0); }
fc_status fc_wgrad_sum_input(const fc_conv2d *conv, const void *x, const void *dy, void *dw, void *sums) { return run(conv, x, dy, dw, sums, 1); }
