/* Winograd's convolution: its pieces, panels and tiles. */
#include "conv2d_winograd_choice.h"

#include <assert.h>

static fc_winograd_axis axis_forward(ptrdiff_t in, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad, ptrdiff_t r) {
    const fc_winograd_tile_counts tiles = fc_winograd_axis_tiles(out, dilation, r);
    fc_winograd_axis a = {.taps = taps,
                          .stride = stride,
                          .r = r,
                          .tile = fc_winograd_tile_positions(r),
                          .m = fc_winograd_tile_outputs(r),
                          .pieces = fc_winograd_pieces_of_parts(taps, stride, r, fc_winograd_axis_parts(taps, stride, r)),
                          .shares = 1,
                          .in = in,
                          .out = out,
                          .in_step = stride * dilation,
                          .out_step = dilation,
                          .in_first = -pad,
                          .classes = dilation,
                          .tiles = tiles.count,
                          .full = tiles.full};
    for (ptrdiff_t i = 0; i < a.pieces; i++) a.in_offset[i] = i % stride + i / stride * r * a.in_step;
    return a;
}

/* Reads dy and writes dx: a pixel q of dy is added to pixels stride * q + tap * dilation - pad. */
static fc_winograd_axis axis_backward(ptrdiff_t in, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad, ptrdiff_t r) {
    const ptrdiff_t first = pad / stride, out_first = stride * first - pad; /* of dy that some phase keeps inside */
    const fc_winograd_tile_counts tiles = fc_winograd_axis_tiles(fc_ceil_div(out - out_first, stride), dilation, r);
    fc_winograd_axis a = {.taps = taps,
                          .stride = stride,
                          .r = r,
                          .tile = fc_winograd_tile_positions(r),
                          .m = fc_winograd_tile_outputs(r),
                          .pieces = fc_winograd_axis_parts(taps, stride, r),
                          .shares = stride,
                          .in = in,
                          .out = out,
                          .in_step = dilation,
                          .out_step = stride * dilation,
                          .in_first = first - dilation * (r - 1),
                          .out_first = out_first,
                          .classes = dilation,
                          .tiles = tiles.count,
                          .full = tiles.full};
    for (ptrdiff_t i = 0; i < a.pieces; i++) a.in_offset[i] = -i * r * a.in_step;
    for (ptrdiff_t i = 0; i < a.shares; i++) a.out_offset[i] = i;
    return a;
}

static fc_winograd_taps axis_taps(const fc_winograd_axis *a, ptrdiff_t piece, ptrdiff_t share) {
    const ptrdiff_t first = a->shares > 1 ? share + piece * a->r * a->stride : piece % a->stride + piece / a->stride * a->r * a->stride;
    return (fc_winograd_taps){first, fc_max(0, fc_min(fc_ceil_div(a->taps - first, a->stride), a->r))};
}

fc_winograd_taps fc_winograd_piece_rows(const fc_winograd_plan *p, ptrdiff_t piece, ptrdiff_t share) {
    return axis_taps(&p->rows, piece / p->cols.pieces, share / p->cols.shares);
}

fc_winograd_taps fc_winograd_piece_cols(const fc_winograd_plan *p, ptrdiff_t piece, ptrdiff_t share) {
    return axis_taps(&p->cols, piece % p->cols.pieces, share % p->cols.shares);
}

/* The value at infinity is the last tap, at zero the first; rotated, what is missing comes first. */
int fc_winograd_vanishes(const fc_winograd_plan *p, ptrdiff_t piece, ptrdiff_t share, int position) {
    if (p->whole) return 0;
    const ptrdiff_t row = p->transposed ? 0 : p->rows.tile - 1, col = p->transposed ? 0 : p->cols.tile - 1;
    return (position / p->cols.tile == row && fc_winograd_piece_rows(p, piece, share).count < p->rows.r) ||
           (position % p->cols.tile == col && fc_winograd_piece_cols(p, piece, share).count < p->cols.r);
}

static void finish_plan(fc_winograd_plan *p) {
    p->kernels = &fc_kernels(FC_F32)->winograd;
    const int shape = p->rows.r == 1 ? FC_WINOGRAD_ROW : p->cols.r == 1 ? FC_WINOGRAD_COLUMN : FC_WINOGRAD_SQUARE;
    p->transforms = &p->kernels->transforms[shape][fc_max(p->rows.r, p->cols.r) - FC_WINOGRAD_R_MIN];
    p->positions = p->rows.tile * p->cols.tile;
    p->square = FC_WINOGRAD_POSITIONS / p->positions;
    p->tiles = p->n * p->rows.classes * p->rows.tiles * p->cols.classes * p->cols.tiles;
    p->pieces = p->rows.pieces * p->cols.pieces;
    p->shares = p->rows.shares * p->cols.shares;
    p->whole = p->rows.taps % (p->rows.stride * p->rows.r) == 0 && p->cols.taps % (p->cols.stride * p->cols.r) == 0;
    p->lanes_c = fc_round_up(p->c, p->kernels->lanes);
    p->depth = p->pieces * p->c;
    p->lanes = p->pieces * p->lanes_c;
    p->chunk = (p->depth < 96 ? 16 : p->depth < 256 ? 32 : 64) * (p->pieces == 1 ? 2 : 1);
    p->panels = p->shares * fc_ceil_div(p->k, p->kernels->panel[0].nr);
    p->share_width = fc_winograd_share_width(p->kernels, p->k);
    p->width = p->shares * p->share_width;
}

/* In one number. */
enum { PIECES_BASE = FC_WINOGRAD_R_MAX + 1, IN_REGISTERS = PIECES_BASE * PIECES_BASE };

int fc_winograd_pieces(const fc_conv2d *conv) {
    const fc_winograd_choice choice = fc_winograd_choose_way(conv);
    if (!choice.found) return 0;
    return (int)(choice.r.rows * PIECES_BASE + choice.r.cols) + (choice.registers ? IN_REGISTERS : 0);
}

static fc_winograd_plan forward_with(const fc_conv2d *conv, fc_winograd_piece_taps r, int registers) {
    fc_winograd_plan p = {.n = conv->n,
                          .c = conv->c / conv->groups,
                          .k = conv->k / conv->groups,
                          .ldx = conv->c,
                          .ldy = conv->k,
                          .ldw = conv->k,
                          .planar = conv->layout == FC_NCHW,
                          .registers = registers,
                          .rows = axis_forward(conv->h, conv->oh, conv->kh, conv->stride_h, conv->dilation_h, conv->pad_top, r.rows),
                          .cols = axis_forward(conv->w, conv->ow, conv->kw, conv->stride_w, conv->dilation_w, conv->pad_left, r.cols)};
    finish_plan(&p);
    return p;
}

static fc_winograd_plan forward_for(const fc_conv2d *conv, fc_winograd_use use) {
    const fc_winograd_choice choice = fc_winograd_choose(conv, 0, use);
    assert(choice.found);
    return forward_with(conv, choice.r, choice.registers);
}

fc_winograd_plan fc_winograd_plan_forward(const fc_conv2d *conv) { return forward_for(conv, FC_WINOGRAD_ONCE); }

fc_winograd_plan fc_winograd_plan_packed(const fc_conv2d *conv) {
    if (!conv->pieces) return forward_for(conv, FC_WINOGRAD_PACKED);
    const int pieces = conv->pieces % IN_REGISTERS;
    return forward_with(conv, (fc_winograd_piece_taps){pieces / PIECES_BASE, pieces % PIECES_BASE}, conv->pieces >= IN_REGISTERS);
}

fc_winograd_plan fc_winograd_plan_weights(const fc_conv2d *conv) { return forward_for(conv, FC_WINOGRAD_WEIGHTS); }

fc_winograd_plan fc_winograd_plan_backward_input(const fc_conv2d *conv) {
    const fc_winograd_choice choice = fc_winograd_choose(conv, 1, FC_WINOGRAD_ONCE);
    assert(choice.found);
    fc_winograd_plan p = {.n = conv->n,
                          .c = conv->k / conv->groups,
                          .k = conv->c / conv->groups,
                          .ldx = conv->k,
                          .ldy = conv->c,
                          .ldw = conv->k,
                          .transposed = 1,
                          .registers = choice.registers,
                          .planar = conv->layout == FC_NCHW,
                          .rows = axis_backward(conv->oh, conv->h, conv->kh, conv->stride_h, conv->dilation_h, conv->pad_top, choice.r.rows),
                          .cols = axis_backward(conv->ow, conv->w, conv->kw, conv->stride_w, conv->dilation_w, conv->pad_left, choice.r.cols)};
    finish_plan(&p);
    return p;
}

fc_winograd_columns fc_winograd_panel_at(const fc_winograd_plan *p, ptrdiff_t index) {
    const ptrdiff_t each = p->panels / p->shares;
    return fc_winograd_panel_from(p, index / each, index % each * p->kernels->panel[0].nr);
}

static void place_tile(const fc_winograd_plan *p, fc_winograd_tile *t) {
    const ptrdiff_t y = t->row * p->rows.m - fc_max(0, t->row - p->rows.full), x = t->col * p->cols.m - fc_max(0, t->col - p->cols.full);
    t->in_y = p->rows.in_first + t->row_class + y * p->rows.in_step;
    t->in_x = p->cols.in_first + t->col_class + x * p->cols.in_step;
    t->out_y = p->rows.out_first + t->row_class + y * p->rows.out_step;
    t->out_x = p->cols.out_first + t->col_class + x * p->cols.out_step;
    t->rows = p->rows.m - (t->row >= p->rows.full);
    t->columns = p->cols.m - (t->col >= p->cols.full);
}

fc_winograd_tile fc_winograd_tile_at(const fc_winograd_plan *p, ptrdiff_t index) {
    fc_winograd_tile t = {0};
    t.col = index % p->cols.tiles, index /= p->cols.tiles;
    t.col_class = index % p->cols.classes, index /= p->cols.classes;
    t.row = index % p->rows.tiles, index /= p->rows.tiles;
    t.row_class = index % p->rows.classes, t.image = index / p->rows.classes;
    place_tile(p, &t);
    return t;
}

void fc_winograd_next_tile(const fc_winograd_plan *p, fc_winograd_tile *t) {
    if (++t->col == p->cols.tiles) {
        t->col = 0;
        if (++t->col_class == p->cols.classes) {
            t->col_class = 0;
            if (++t->row == p->rows.tiles) {
                t->row = 0;
                if (++t->row_class == p->rows.classes) t->row_class = 0, t->image++;
            }
        }
    }
    place_tile(p, t);
}

static void count_kinds(const fc_winograd_plan *p, ptrdiff_t first, ptrdiff_t count, ptrdiff_t kinds[FC_WINOGRAD_KINDS]) {
    if (p->rows.full == p->rows.tiles && p->cols.full == p->cols.tiles) {
        kinds[1] += count;
        return;
    }
    fc_winograd_tile tile = fc_winograd_tile_at(p, first);
    for (ptrdiff_t t = 0; t < count; t++, fc_winograd_next_tile(p, &tile)) kinds[fc_winograd_kind(p, &tile)]++;
}

fc_winograd_order fc_winograd_order_of(const fc_winograd_plan *p, ptrdiff_t first, ptrdiff_t count) {
    fc_winograd_order order = {0};
    count_kinds(p, first, count, order.count);
    for (int i = 1; i < FC_WINOGRAD_KINDS; i++) order.next[i] = order.next[i - 1] + order.count[i - 1];
    return order;
}

void fc_winograd_skip(const fc_winograd_plan *p, ptrdiff_t first, ptrdiff_t count, fc_winograd_order *order) {
    count_kinds(p, first, count, order->next);
}

static fc_winograd_extent extent_of(const fc_winograd_plan *p, const float *array, ptrdiff_t pixels, ptrdiff_t channels, ptrdiff_t ld,
                                    ptrdiff_t first, ptrdiff_t count) {
    const double each = (double)(p->n * pixels * ld * (ptrdiff_t)sizeof(float)) / (double)p->tiles;
    const ptrdiff_t some = fc_min(count, p->tiles - first);
    if (p->rows.classes > 1 || channels != ld || some <= 0) return (fc_winograd_extent){0};
    if (p->planar) {
        /* Images that begin in the block, if it has as many tiles as one. */
        const ptrdiff_t tiles = p->rows.tiles * p->cols.tiles, bytes = pixels * ld * (ptrdiff_t)sizeof(float);
        const ptrdiff_t image = fc_ceil_div(first, tiles), images = fc_ceil_div(first + some, tiles) - image;
        return count < tiles ? (fc_winograd_extent){0} : (fc_winograd_extent){(const char *)array + image * bytes, images * bytes};
    }
    return (fc_winograd_extent){(const char *)array + (ptrdiff_t)(each * (double)first), (ptrdiff_t)(each * (double)some)};
}

fc_winograd_extent fc_winograd_reads(const fc_winograd_plan *p, const float *x, ptrdiff_t first, ptrdiff_t count) {
    return extent_of(p, x, p->rows.in * p->cols.in, p->c, p->ldx, first, count);
}

fc_winograd_extent fc_winograd_writes(const fc_winograd_plan *p, int pooled, const float *y, ptrdiff_t first, ptrdiff_t count) {
    return extent_of(p, y, p->rows.out * p->cols.out / (pooled ? 4 : 1), p->k, p->ldy, first, count);
}
