/* Winograd's convolution: from x to tiles. NCHW is turned strip by strip, for the transforms of the tiles that read it, while it is in the inner
 * caches. */
#include "conv2d_winograd.h"

#include <assert.h>

/* Of a strip that is turned: it stays in the cache between a first and a second level. */
enum { STRIP_BYTES = 128 << 10, STRIP_CHANNELS = 32 };

/* Pixels that a tile reads before the place of its first one, and behind it. */
static ptrdiff_t before(const fc_winograd_axis *a) {
    ptrdiff_t offset = 0;
    for (ptrdiff_t i = 0; i < a->pieces; i++) offset = fc_min(offset, a->in_offset[i]);
    return -offset;
}
static ptrdiff_t behind(const fc_winograd_axis *a) {
    ptrdiff_t offset = 0;
    for (ptrdiff_t i = 0; i < a->pieces; i++) offset = fc_max(offset, a->in_offset[i]);
    return offset + (a->tile - 1) * a->in_step + 1;
}

/* Rows or columns first, first + step, ... inside of the image. */
static fc_span inside(ptrdiff_t first, ptrdiff_t end, ptrdiff_t step, ptrdiff_t size) {
    const fc_span s = {first < 0 ? first + fc_round_up(-first, step) : first, fc_min(end, size)};
    return s.first < s.end ? s : (fc_span){0, 0};
}

/* What tiles read or write that begin at first .. last; of `outputs` outputs each, but for their first ones. */
static fc_span pixels_of(const fc_winograd_axis *a, int written, ptrdiff_t step, ptrdiff_t first, ptrdiff_t last, ptrdiff_t outputs) {
    return written ? inside(first, last + (outputs - 1) * a->out_step + 1, step, a->out) : inside(first - before(a), last + behind(a), step, a->in);
}

fc_winograd_strip fc_winograd_strip_at(const fc_winograd_plan *p, int written, ptrdiff_t index, ptrdiff_t most, ptrdiff_t channels) {
    fc_winograd_strip strip = {.tiles = most, .turned = channels};
    if (!p->planar) return strip;
    const fc_winograd_axis *const rows = &p->rows, *const cols = &p->cols;
    const fc_winograd_tile first = fc_winograd_tile_at(p, index);
    const ptrdiff_t line = cols->classes * cols->tiles, left = line - (first.col_class * cols->tiles + first.col); /* tiles of a row of them */
    const ptrdiff_t width = written ? cols->out : cols->in, channel = fc_min(channels, STRIP_CHANNELS) * (ptrdiff_t)sizeof(float);
    const ptrdiff_t row_step = rows->m * (written ? rows->out_step : rows->in_step), col_step = cols->m * (written ? cols->out_step : cols->in_step);
    const ptrdiff_t height = written ? row_step : before(rows) + behind(rows), across = written ? col_step : before(cols) + behind(cols);
    strip.tiles = fc_min(most, left);
    strip.step = rows->classes; /* rows of other classes lie between those that are turned */
    if (strip.tiles == line) {
        /* Whole rows of tiles, as many as fit. */
        const ptrdiff_t fit = (STRIP_BYTES / (width * channel) * strip.step - height) / row_step + 1;
        strip.tiles *= fc_max(1, fc_min(fc_min(most / line, rows->tiles - first.row), fit));
    }
    const int all = cols->classes > 1; /* columns of several classes lie between each other: what is turned back is whole rows of tiles */
    if (strip.tiles <= line && !all)
        strip.tiles = fc_min(strip.tiles, fc_max(1, (STRIP_BYTES / (fc_ceil_div(height, strip.step) * channel) - across) / col_step + 1));
    const fc_winograd_tile last = fc_winograd_tile_at(p, index + strip.tiles - 1);
    strip.image = first.image;
    strip.rows = pixels_of(rows, written, strip.step, written ? first.out_y : first.in_y, written ? last.out_y : last.in_y, last.rows);
    strip.cols =
        all ? (fc_span){0, width} : pixels_of(cols, written, 1, written ? first.out_x : first.in_x, written ? last.out_x : last.in_x, last.columns);
    const ptrdiff_t pixels = fc_ceil_div(strip.rows.end - strip.rows.first, strip.step) * (strip.cols.end - strip.cols.first);
    if (pixels > 0) strip.turned = fc_max(1, STRIP_BYTES / (pixels * (ptrdiff_t)sizeof(float)) / STRIP_CHANNELS) * STRIP_CHANNELS;
    strip.turned = fc_min(channels, strip.turned);
    return strip;
}

fc_winograd_view fc_winograd_view_of(const fc_winograd_plan *p, int written, const fc_winograd_strip *strip, const float *array, ptrdiff_t first,
                                     ptrdiff_t count) {
    const ptrdiff_t ld = written ? p->ldy : p->ldx, rows = written ? p->rows.out : p->rows.in, cols = written ? p->cols.out : p->cols.in;
    if (!p->planar) return (fc_winograd_view){(float *)array + first, rows * cols * ld, cols * ld, ld, 0, 0, 0};
    const ptrdiff_t line = fc_ceil_div((strip->cols.end - strip->cols.first) * count, strip->step);
    float *const place = fc_scratch(FC_SLOT_STRIP, (size_t)((strip->rows.end - strip->rows.first + strip->step) * line) * sizeof(float));
    return (fc_winograd_view){place, 0, line, count, strip->image, strip->rows.first, strip->cols.first};
}

void fc_winograd_turn(const fc_winograd_plan *p, int written, const fc_winograd_strip *strip, const fc_winograd_view *view, const float *array,
                      ptrdiff_t first, ptrdiff_t count, int back) {
    if (!p->planar) return;
    assert(!back || p->cols.classes == 1 || strip->tiles % (p->cols.classes * p->cols.tiles) == 0);
    const fc_frame_kernels *const frame = &fc_kernels(FC_F32)->frame;
    const ptrdiff_t channels = written ? p->ldy : p->ldx, all_cols = written ? p->cols.out : p->cols.in, step = strip->step;
    const ptrdiff_t plane = all_cols * (written ? p->rows.out : p->rows.in), width = strip->cols.end - strip->cols.first;
    ptrdiff_t rows = fc_ceil_div(strip->rows.end - strip->rows.first, step), run = width;
    if (width == all_cols && step == 1) run *= rows, rows = fc_min(rows, 1); /* they follow each other */
    const float *outer = array + (strip->image * channels + first) * plane + strip->rows.first * all_cols + strip->cols.first;
    float *inner = view->base;
    for (ptrdiff_t i = 0; i < rows; i++, outer += step * all_cols, inner += step * view->line) {
        if (back) frame->transpose(inner, count, (float *)outer, plane, run, count);
        else frame->transpose(outer, plane, inner, count, count, run);
    }
}

/* Tiles from `tile` on, of pixels that `view` has. */
static void transform(const fc_winograd_plan *p, fc_span pieces, const fc_winograd_view *view, fc_winograd_tile tile, ptrdiff_t count,
                      fc_winograd_order *order, const fc_winograd_v_layout *layout, ptrdiff_t piece_step, fc_winograd_input_args args, float *v) {
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) {
        const ptrdiff_t place = fc_winograd_place(p, &tile, order);
        float *const to = v + place / layout->group * layout->group_stride + place % layout->group * layout->tile_stride;
        args.ahead = layout->ahead && tile.col + 1 < p->cols.tiles;
        for (ptrdiff_t piece = pieces.first; piece < pieces.end; piece++) {
            const ptrdiff_t y = tile.in_y + p->rows.in_offset[piece / p->cols.pieces], x = tile.in_x + p->cols.in_offset[piece % p->cols.pieces];
            const fc_span rows = fc_clip(y, p->rows.in_step, p->rows.tile, p->rows.in);
            const fc_span cols = fc_clip(x, p->cols.in_step, p->cols.tile, p->cols.in);
            const int seen = rows.first < rows.end && cols.first < cols.end;
            args.row0 = args.row1 = args.col0 = args.col1 = 0;
            args.x = view->base;
            if (seen) {
                args.row0 = (int)rows.first, args.row1 = (int)rows.end, args.col0 = (int)cols.first, args.col1 = (int)cols.end;
                args.x = fc_winograd_pixel(view, tile.image, y + rows.first * p->rows.in_step, x + cols.first * p->cols.in_step);
            }
            args.v = to + (piece - pieces.first) * piece_step;
            p->transforms->input(&args);
        }
    }
}

fc_status fc_winograd_input(const fc_winograd_plan *p, fc_span pieces, fc_span channels, const float *x, ptrdiff_t first, ptrdiff_t count,
                            fc_winograd_order order, const fc_winograd_v_layout *layout, float *v) {
    const ptrdiff_t lanes = p->kernels->lanes, piece_step = fc_ceil_div(channels.end - channels.first, lanes) * layout->block;
    for (ptrdiff_t end = first + count, tiles; first < end; first += tiles) {
        const fc_winograd_strip strip = fc_winograd_strip_at(p, FC_WINOGRAD_READ, first, end - first, channels.end - channels.first);
        const fc_winograd_tile tile = fc_winograd_tile_at(p, first);
        const fc_winograd_order before = order;
        tiles = strip.tiles;
        for (ptrdiff_t c = channels.first; c < channels.end; c += strip.turned) {
            const ptrdiff_t some = fc_min(strip.turned, channels.end - c);
            const fc_winograd_view view = fc_winograd_view_of(p, FC_WINOGRAD_READ, &strip, x, c, some);
            if (!view.base) return FC_NO_MEMORY;
            fc_winograd_turn(p, FC_WINOGRAD_READ, &strip, &view, x, c, some, 0);
            const fc_winograd_input_args args = {.row = p->rows.in_step * view.line,
                                                 .pixel = p->cols.in_step * view.pixel,
                                                 .channels = some,
                                                 .position = layout->position,
                                                 .block = layout->block,
                                                 .m = (int)p->cols.m};
            order = before;
            transform(p, pieces, &view, tile, tiles, &order, layout, piece_step, args, v + (c - channels.first) / lanes * layout->block);
        }
    }
    return FC_OK;
}
