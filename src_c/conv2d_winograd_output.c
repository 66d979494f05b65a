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
    if (call->activation == FC_LINEAR || call->activation == FC_RELU) return;
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
    return p->transforms->output_pooled && full && p->shares == 1 && p->rows.classes == 1 && p->cols.classes == 1;
}

/* The pixels of a tile that a share stores, and where the first of them is; NULL if there are none. */
static float *place_output(const fc_winograd_call *call, const fc_winograd_tile *tile, ptrdiff_t share, fc_winograd_output_args *args) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t i = share > 0 ? share / p->cols.shares : 0;
    const ptrdiff_t y = tile->out_y + p->rows.out_offset[i], x = tile->out_x + p->cols.out_offset[share - i * p->cols.shares];
    const fc_span rows = fc_clip(y, p->rows.out_step, tile->rows, p->rows.out), cols = fc_clip(x, p->cols.out_step, tile->columns, p->cols.out);
    if (rows.first == rows.end || cols.first == cols.end) return NULL;
    args->row0 = (int)rows.first, args->row1 = (int)rows.end, args->col0 = (int)cols.first, args->col1 = (int)cols.end;
    return call->y + ((tile->image * p->rows.out + y + rows.first * p->rows.out_step) * p->cols.out + x + cols.first * p->cols.out_step) * p->ldy;
}

void fc_winograd_output(const fc_winograd_call *call, const fc_winograd_panels *panels, ptrdiff_t first, ptrdiff_t count, fc_winograd_order order,
                        const fc_winograd_m_layout *layout, const float *m) {
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t line = p->cols.out * p->ldy;
    const fc_winograd_columns start = fc_winograd_panel_at(p, panels->begin);
    fc_winograd_tile tile = fc_winograd_tile_at(p, first);
    fc_winograd_output_args args = {
        .position = layout->position, .row = p->rows.out_step * line, .pixel = p->cols.out_step * p->ldy, .relu = call->activation == FC_RELU};
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t place = fc_winograd_place(p, &tile, &order), row = place % layout->group;
        const float *group = m + place / layout->group * layout->group_stride;
        float *corner = NULL;
        fc_winograd_columns panel = start;
        args.ahead = layout->ahead && tile.col + 1 < p->cols.tiles;
        for (ptrdiff_t i = panels->begin; i < panels->end; i++, fc_winograd_next_panel(p, &panel)) {
            if (i == panels->begin || panel.first == 0)
                corner = call->pooled ? place_windows(call, &tile, &args) : place_output(call, &tile, panel.share, &args);
            args.m = group + row * panel.nr;
            group += layout->rows * panel.nr;
            if (!corner) continue;
            args.columns = panel.columns;
            args.bias = call->bias ? call->bias + panel.first : NULL;
            args.y = corner + panel.first;
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
