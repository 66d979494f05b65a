/* Cutting output channels into panels. */
#include "conv2d_internal.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum {
    PACK_ROWS = 8,
    MORE_COST = 3 /* of a panel more, which reads its rows again, in the unit of panels */
};

/* Compilers would write recursions out. */
#if defined(__GNUC__)
#define FC_NOINLINE __attribute__((noinline))
#else
#define FC_NOINLINE
#endif

/* The cheapest panels for k channels, at most `room` of them, none wider than the one before: their cost, and the first of them. */
FC_NOINLINE static int cheapest(const fc_gemm_kernels *gemm, ptrdiff_t k, ptrdiff_t depth, int before, int room, const fc_panel_kernels **first) {
    int best = INT_MAX;
    for (int i = before; i < gemm->panels; i++) {
        const fc_panel_kernels *const p = &gemm->panel[i], *rest;
        int cost = p->cost;
        if (depth % p->terms || depth < p->least) continue;
        if (p->nr < k) {
            if (room == 1) continue;
            const int more = cheapest(gemm, k - p->nr, depth, i, room - 1, &rest);
            if (more == INT_MAX) continue;
            cost += more + MORE_COST;
        }
        if (cost < best) best = cost, *first = p;
    }
    return best;
}

fc_panels fc_panels_plan(const fc_gemm_kernels *gemm, ptrdiff_t k, ptrdiff_t depth) {
    assert(k > 0);
    fc_panels panels = {.main = &gemm->panel[gemm->main_panel], .k = k};
    const ptrdiff_t nr = panels.main->nr;
    /* The tail may take up to two main panels' worth of channels, where a wide panel helps. */
    panels.bulk = k % nr == 0 ? k / nr : fc_max(0, k / nr - 1);
    ptrdiff_t rest = k - panels.bulk * nr;
    while (rest > 0) {
        assert(panels.tails < 4);
        const fc_panel_kernels *next = panels.main;
        cheapest(gemm, rest, depth, 0, 4 - panels.tails, &next);
        panels.tail[panels.tails++] = next;
        if (next->terms > 1) panels.tile_rows = FC_TERMS_PIXELS;
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

/* Rows of a panel of 2 or 4 terms, of float32. */
static void pack_terms(const fc_panel *p, const float *restrict in, ptrdiff_t ld, ptrdiff_t rows, float *restrict out) {
    const ptrdiff_t terms = p->kernels->terms, nr = p->kernels->nr;
    if (p->columns < nr) memset(out, 0, (size_t)(rows * nr) * sizeof *out);
    for (ptrdiff_t r = 0; r < rows; r += terms, in += terms * ld, out += terms * nr)
        for (ptrdiff_t j = 0; j < p->columns; j++) {
            if (terms == 2) out[2 * j] = in[j], out[2 * j + 1] = in[ld + j];
            else
                for (ptrdiff_t t = 0; t < 4; t++) out[4 * j + t] = in[t * ld + j];
        }
}

void fc_panels_pack(const fc_panels *panels, ptrdiff_t first, const fc_frame_kernels *frame, const void *in, ptrdiff_t ld, ptrdiff_t rows, void *out,
                    ptrdiff_t row, ptrdiff_t panel_rows, ptrdiff_t esize) {
    /* A few rows at a time are read from end to end: whole columns would touch a page of memory for every row. */
    for (ptrdiff_t r = 0; r < rows; r += PACK_ROWS)
        for (ptrdiff_t i = first; i < fc_panels_count(panels); i++) {
            const fc_panel p = fc_panels_get(panels, i);
            const void *const from = fc_at(in, r * ld + p.first, esize);
            char *const to = fc_at_mut(out, p.first * panel_rows + (row + r) * p.kernels->nr, esize);
            const ptrdiff_t count = fc_min(PACK_ROWS, rows - r), terms = p.kernels->terms;
            if (terms == 1) frame->pack(from, ld, count, p.columns, to, p.kernels->nr);
            else pack_terms(&p, from, ld, count, (float *)(void *)to);
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
    const int whole = !kernel[1];
    if (whole) pixels = fc_round_up(pixels, mr);
    for (ptrdiff_t m = 0, tile; m < pixels; m += args->tiles * tile) {
        ptrdiff_t left = pixels - m;
        if (!whole && pixels >= mr && overlaps(args, left, mr)) m = pixels - mr, left = mr;
        tile = whole ? mr : fc_tile_rows(left, mr);
        args->tiles = 0;
        do args->tiles++, left -= tile;
        while (left > 0 && (whole || fc_tile_rows(left, mr) == tile));
        args->rows = rows + m;
        args->out = out + (args->pooled ? m / 4 : m);
        kernel[tile](args);
        if (args->next) args->next = (const char *)args->next + args->tiles * args->taps * args->depth * args->next_bytes;
    }
}
