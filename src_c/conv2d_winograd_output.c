/* Winograd's convolution: from the products to y. */
#include "conv2d_winograd.h"

fc_winograd_panels fc_winograd_panels_at(const fc_winograd_call *call, ptrdiff_t index) {
    const fc_winograd_plan *const p = &call->plan;
    fc_winograd_panels group = {.begin = index * call->group};
    group.end = fc_min(group.begin + call->group, p->panels);
    const fc_winograd_columns last = fc_winograd_panel_at(p, group.end - 1);
    group.at = fc_winograd_panel_at(p, group.begin).at;
    group.width = last.at + last.nr - group.at;
    return group;
}

/* Activations that the output transform does not know. */
static void activate(const fc_winograd_call *call, const fc_winograd_output_args *args) {
    if (fc_in_registers(call->activation)) return;
    for (ptrdiff_t i = 0; i < args->row1 - args->row0; i++)
        for (ptrdiff_t j = 0; j < args->col1 - args->col0; j++) {
            float *const y = (float *)args->y + i * args->row + j * args->pixel;
            fc_kernels(FC_F32)->elementwise.activation[call->activation](y, y, args->columns);
        }
}

/* The windows of a tile, all of whose outputs are stored: where the first of them is. */
static float *place_windows(const fc_winograd_call *call, const fc_winograd_tile *tile, fc_winograd_output_args *args) {
    const fc_winograd_plan *const p = &call->plan;
    args->row = p->cols.out / 2 * p->ldy;
    return call->y + ((tile->image * p->rows.out + tile->out_y) / 2 * (p->cols.out / 2) + tile->out_x / 2) * p->ldy;
}

int fc_winograd_pools(const fc_winograd_plan *p) {
    const int full = p->rows.full == p->rows.tiles && p->cols.full == p->cols.tiles;
    return p->transforms->output_pooled && full && p->shares == 1 && p->rows.classes == 1 && p->cols.classes == 1 && !p->planar;
}

/* The pixels of a tile that a share stores, and where the first of them is; NULL if there are none. */
static float *place_output(const fc_winograd_plan *p, const fc_winograd_view *view, const fc_winograd_tile *tile, ptrdiff_t share,
                           fc_winograd_output_args *args) {
    const ptrdiff_t i = share > 0 ? share / p->cols.shares : 0;
    const ptrdiff_t y = tile->out_y + p->rows.out_offset[i], x = tile->out_x + p->cols.out_offset[share - i * p->cols.shares];
    const fc_span rows = fc_clip(y, p->rows.out_step, tile->rows, p->rows.out), cols = fc_clip(x, p->cols.out_step, tile->columns, p->cols.out);
    if (rows.first == rows.end || cols.first == cols.end) return NULL;
    args->row0 = (int)rows.first, args->row1 = (int)rows.end, args->col0 = (int)cols.first, args->col1 = (int)cols.end;
    return fc_winograd_pixel(view, tile->image, y + rows.first * p->rows.out_step, x + cols.first * p->cols.out_step);
}

/* Tiles from `tile` on, for panels `start` and those after it up to `end`, whose channels `view` has. */
static void transform(const fc_winograd_call *call, const fc_winograd_columns *start, ptrdiff_t begin, ptrdiff_t end, const fc_winograd_view *view,
                      fc_winograd_tile tile, ptrdiff_t count, fc_winograd_order *order, const fc_winograd_m_layout *layout, const float *m) {
    const fc_winograd_plan *const p = &call->plan;
    fc_winograd_output_args args = {.position = layout->position,
                                    .row = p->rows.out_step * view->line,
                                    .pixel = p->cols.out_step * view->pixel,
                                    .relu = call->activation == FC_RELU};
    const ptrdiff_t zero = p->planar ? start->first : 0; /* the first channel of the view */
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t place = fc_winograd_place(p, &tile, order), row = place % layout->group;
        const float *group = m + place / layout->group * layout->group_stride;
        float *corner = NULL;
        fc_winograd_columns panel = *start;
        args.ahead = layout->ahead && tile.col + 1 < p->cols.tiles;
        for (ptrdiff_t i = begin; i < end; i++, fc_winograd_next_panel(p, &panel)) {
            if (i == begin || panel.first == 0)
                corner = call->pooled ? place_windows(call, &tile, &args) : place_output(p, view, &tile, panel.share, &args);
            args.m = group + row * panel.nr;
            group += layout->rows * panel.nr;
            if (!corner) continue;
            args.columns = panel.columns;
            args.bias = call->bias ? call->bias + panel.first : NULL;
            args.y = corner + panel.first - zero;
            if (call->pooled) {
                args.index = call->indices ? call->indices + (corner + panel.first - call->y) : NULL;
                p->transforms->output_pooled(&args);
            } else {
                p->transforms->output(&args);
                activate(call, &args);
            }
        }
    }
}

fc_status fc_winograd_output(const fc_winograd_call *call, const fc_winograd_panels *panels, ptrdiff_t first, ptrdiff_t count,
                             fc_winograd_order order, const fc_winograd_m_layout *layout, const float *m) {
    const fc_winograd_plan *const p = &call->plan;
    for (ptrdiff_t end = first + count, tiles; first < end; first += tiles) {
        const fc_winograd_strip strip = fc_winograd_strip_at(p, FC_WINOGRAD_WRITTEN, first, end - first, p->kernels->panel[0].nr);
        const fc_winograd_tile tile = fc_winograd_tile_at(p, first);
        const fc_winograd_order before = order;
        tiles = strip.tiles;
        /* NCHW panel by panel. */
        fc_winograd_columns panel = fc_winograd_panel_at(p, panels->begin);
        const ptrdiff_t all = panels->end - panels->begin, each = p->planar ? 1 : all;
        for (ptrdiff_t i = 0; i < all; i += each, fc_winograd_next_panel(p, &panel)) {
            const fc_winograd_view view = fc_winograd_view_of(p, FC_WINOGRAD_WRITTEN, &strip, call->y, p->planar ? panel.first : 0, panel.columns);
            if (!view.base) return FC_NO_MEMORY;
            order = before;
            transform(call, &panel, panels->begin + i, panels->begin + i + each, &view, tile, tiles, &order, layout,
                      m + (panel.at - panels->at) * layout->rows);
            fc_winograd_turn(p, FC_WINOGRAD_WRITTEN, &strip, &view, call->y, panel.first, panel.columns, 1);
        }
    }
    return FC_OK;
}
