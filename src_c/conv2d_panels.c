/* Cutting output channels into panels. */
#include "conv2d_internal.h"

#include <assert.h>
#include <limits.h>

enum { PACK_ROWS = 8 };

/* The cheapest panels for k channels, at most `room` of them: their cost, and the first of them. */
static int cheapest(const fc_gemm_kernels *gemm, ptrdiff_t k, int room, const fc_panel_kernels **first) {
    int best = INT_MAX;
    for (int i = 0; i < gemm->panels; i++) {
        const fc_panel_kernels *const p = &gemm->panel[i], *rest;
        int cost = p->cost;
        if (p->nr < k) {
            if (room == 1) continue;
            const int more = cheapest(gemm, k - p->nr, room - 1, &rest);
            if (more == INT_MAX) continue;
            cost += more;
        }
        if (cost < best) best = cost, *first = p;
    }
    return best;
}

fc_panels fc_panels_plan(const fc_gemm_kernels *gemm, ptrdiff_t k) {
    assert(k > 0);
    fc_panels panels = {.main = &gemm->panel[gemm->main_panel], .k = k};
    const ptrdiff_t nr = panels.main->nr;
    /* The tail may take up to two main panels' worth of channels, where a wide panel helps. */
    panels.bulk = k % nr == 0 ? k / nr : fc_max(0, k / nr - 1);
    ptrdiff_t rest = k - panels.bulk * nr;
    while (rest > 0) {
        assert(panels.tails < 4);
        const fc_panel_kernels *next = panels.main;
        cheapest(gemm, rest, 4 - panels.tails, &next);
        panels.tail[panels.tails++] = next;
        rest -= next->nr;
    }
    return panels;
}

fc_panel fc_panels_get(const fc_panels *panels, ptrdiff_t index) {
    const ptrdiff_t nr = panels->main->nr;
    fc_panel p = {panels->main, fc_min(index, panels->bulk) * nr, nr};
    for (ptrdiff_t i = panels->bulk; i <= index; i++) {
        if (i > panels->bulk) p.first += p.kernels->nr;
        p.kernels = panels->tail[i - panels->bulk];
    }
    p.columns = fc_min(p.kernels->nr, panels->k - p.first);
    return p;
}

ptrdiff_t fc_panels_width(const fc_panels *panels) {
    ptrdiff_t width = panels->bulk * panels->main->nr;
    for (int i = 0; i < panels->tails; i++) width += panels->tail[i]->nr;
    return width;
}

ptrdiff_t fc_panels_cost(const fc_panels *panels) {
    ptrdiff_t cost = panels->bulk * panels->main->cost;
    for (int i = 0; i < panels->tails; i++) cost += panels->tail[i]->cost;
    return cost;
}

void fc_panels_pack(const fc_panels *panels, ptrdiff_t first, const fc_frame_kernels *frame, const void *in, ptrdiff_t ld, ptrdiff_t rows, void *out,
                    ptrdiff_t row, ptrdiff_t panel_rows, ptrdiff_t esize) {
    /* A few rows at a time are read from end to end: whole columns would touch a page of memory for every row. */
    for (ptrdiff_t r = 0; r < rows; r += PACK_ROWS)
        for (ptrdiff_t i = first; i < fc_panels_count(panels); i++) {
            const fc_panel p = fc_panels_get(panels, i);
            frame->pack(fc_at(in, r * ld + p.first, esize), ld, fc_min(PACK_ROWS, rows - r), p.columns,
                        fc_at_mut(out, p.first * panel_rows + (row + r) * p.kernels->nr, esize), p.kernels->nr);
        }
}

/* Whether the last `left` rows are computed in less time together with some before them, once more, than in as many small tiles as they need: a tile
 * takes its time, however small. */
static int overlaps(const fc_gemm_args *args, ptrdiff_t left, ptrdiff_t mr) {
    enum { NARROW = 16 };
    if (args->accumulate || args->pooled || left >= mr) return 0;
    ptrdiff_t tiles = 0;
    for (ptrdiff_t l = left; l > 0; l -= fc_tile_rows(l, mr)) tiles++;
    return tiles > (args->ldw <= NARROW ? 1 : 2);
}

void fc_panel_tiles(const fc_gemm_fn *kernel, ptrdiff_t mr, fc_gemm_args *args, const void *const *rows, void *const *out, ptrdiff_t pixels) {
    if (args->pooled && mr % 4) mr = 4;
    for (ptrdiff_t m = 0, tile; m < pixels; m += args->tiles * tile) {
        ptrdiff_t left = pixels - m;
        if (pixels >= mr && overlaps(args, left, mr)) m = pixels - mr, left = mr;
        tile = fc_tile_rows(left, mr);
        args->tiles = 0;
        do args->tiles++, left -= tile;
        while (left > 0 && fc_tile_rows(left, mr) == tile);
        args->rows = rows + m;
        args->out = out + (args->pooled ? m / 4 : m);
        kernel[tile](args);
        if (args->next) args->next = (const char *)args->next + args->tiles * args->taps * args->depth * args->next_bytes;
    }
}
