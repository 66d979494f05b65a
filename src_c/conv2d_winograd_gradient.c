/* Winograd's weight gradient: from dy to tiles, and the sums of dy. */
#include "conv2d_winograd.h"

#include <string.h>

/* Tiles from `tile` on, of panels index .. index + each - 1 of D, the first of which is `start`; `view` has their channels. */
static void gradients(const fc_winograd_plan *p, ptrdiff_t index, ptrdiff_t each, const fc_winograd_columns *start, const fc_winograd_view *view,
                      fc_winograd_tile tile, ptrdiff_t count, fc_winograd_order *order, const fc_winograd_d_layout *layout, float *d, float *sums) {
    fc_winograd_gradient_args args = {.row = p->rows.out_step * view->line, .pixel = p->cols.out_step * view->pixel, .position = layout->position};
    const ptrdiff_t zero = p->planar ? start->first : 0; /* the first channel of the view */
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t place = fc_winograd_place(p, &tile, order);
        const fc_span rows = fc_clip(tile.out_y, p->rows.out_step, tile.rows, p->rows.out);
        const fc_span cols = fc_clip(tile.out_x, p->cols.out_step, tile.columns, p->cols.out);
        const int inside = rows.end > 0 && cols.end > 0;
        const float *const dy = inside ? fc_winograd_pixel(view, tile.image, tile.out_y, tile.out_x) : view->base;
        args.rows = inside ? (int)rows.end : 0, args.cols = (int)cols.end;
        args.ahead = layout->ahead && tile.col + 1 < p->cols.tiles;
        fc_winograd_columns panel = *start;
        for (ptrdiff_t i = index; i < index + each; i++, fc_winograd_next_panel(p, &panel)) {
            args.columns = panel.columns, args.nr = panel.nr;
            args.dy = dy + panel.first - zero;
            args.d = d + i * layout->panel + place * panel.nr;
            args.sum = sums + panel.first;
            p->transforms->gradient(&args);
        }
    }
}

fc_status fc_winograd_gradient(const fc_winograd_plan *p, fc_span panels, const float *dy, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order,
                               const fc_winograd_d_layout *layout, float *d, float *sums) {
    const ptrdiff_t all = panels.end - panels.first, each = p->planar ? 1 : all;
    for (ptrdiff_t end = first + count, tiles; first < end; first += tiles) {
        const fc_winograd_strip strip = fc_winograd_strip_at(p, FC_WINOGRAD_WRITTEN, first, end - first, p->kernels->panel[0].nr);
        const fc_winograd_tile tile = fc_winograd_tile_at(p, first);
        const fc_winograd_order before = order;
        fc_winograd_columns panel = fc_winograd_panel_at(p, panels.first);
        tiles = strip.tiles;
        for (ptrdiff_t i = 0; i < all; i += each, fc_winograd_next_panel(p, &panel)) {
            const ptrdiff_t channel = p->planar ? panel.first : 0;
            const fc_winograd_view view = fc_winograd_view_of(p, FC_WINOGRAD_WRITTEN, &strip, dy, channel, panel.columns);
            if (!view.base) return FC_NO_MEMORY;
            fc_winograd_turn(p, FC_WINOGRAD_WRITTEN, &strip, &view, dy, channel, panel.columns, 0);
            order = before;
            gradients(p, i, each, &panel, &view, tile, tiles, &order, layout, d, sums);
        }
    }
    return FC_OK;
}

fc_status fc_winograd_sum_gradient(const fc_winograd_plan *p, const float *dy, ptrdiff_t begin, ptrdiff_t end, float *sums) {
    const fc_winograd_d_layout layout = {.position = p->kernels->panel[0].nr, .panel = p->positions * p->kernels->panel[0].nr};
    float *const d = fc_scratch(FC_SLOT_TASK, (size_t)(p->panels * layout.panel) * sizeof(float));
    if (!d) return FC_NO_MEMORY;
    memset(sums, 0, (size_t)p->width * sizeof(float));
    fc_status status = FC_OK;
    for (ptrdiff_t t = begin; t < end && status == FC_OK; t++)
        status = fc_winograd_gradient(p, (fc_span){0, p->panels}, dy, t, 1, fc_winograd_order_of(p, t, 1), &layout, d, sums);
    return status;
}

void fc_winograd_sum_ranges(const fc_winograd_plan *p, ptrdiff_t ranges, float *sums, float *db) {
    for (ptrdiff_t i = 1; i < ranges; i++) fc_kernels(FC_F32)->frame.add_into(sums + i * p->width, sums, p->k);
    memcpy(db, sums, (size_t)p->k * sizeof(float));
}
