/* Winograd's convolution: which it can compute and when it pays, its pieces, panels and tiles, and the transform of the input. */
#include "conv2d_winograd.h"

#include <assert.h>
#include <math.h>

/* Positions and outputs of a tile along one axis for pieces of r taps. */
static ptrdiff_t tile_positions(ptrdiff_t r) { return r == 1 ? 1 : FC_WINOGRAD_TILE; }
static ptrdiff_t tile_outputs(ptrdiff_t r) { return tile_positions(r) + 1 - r; }

static ptrdiff_t axis_parts(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t r) { return fc_ceil_div(fc_ceil_div(taps, stride), r); }

/* Those of all phases that have taps: they come first. */
static ptrdiff_t pieces_of_parts(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t r, ptrdiff_t parts) {
    const ptrdiff_t before = (parts - 1) * stride;
    return before + fc_min(stride, taps - before * r);
}
static ptrdiff_t axis_pieces(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t r) { return pieces_of_parts(taps, stride, r, axis_parts(taps, stride, r)); }

/* Tiles of one class, and how many of them are full: each of the others has one output fewer. */
typedef struct {
    ptrdiff_t count, full;
} tile_counts;

static tile_counts axis_tiles(ptrdiff_t outputs, ptrdiff_t classes, ptrdiff_t r) {
    const ptrdiff_t each = fc_ceil_div(outputs, classes), m = tile_outputs(r), count = fc_ceil_div(each, m);
    return (tile_counts){count, fc_max(0, each - count * (m - 1))};
}

/* What the cost of pieces of r taps is made of, along one axis. */
typedef struct {
    int applies;                           /* there are few enough of them */
    double parts, pieces;
    double positions;                      /* of a tile, summed over the pieces: those that lack taps have one fewer */
    double tile, outputs, tiles;           /* positions and outputs of a tile, and tiles */
    double shares;                         /* the share of its positions that a tile has in the mean, times their number */
} axis_cost;

static axis_cost axis_cost_of(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t outputs, ptrdiff_t r) {
    const ptrdiff_t parts = axis_parts(taps, stride, r), tile = tile_positions(r);
    const tile_counts tiles = axis_tiles(outputs, dilation, r);
    const int applies = stride <= FC_WINOGRAD_PIECES && parts * stride <= FC_WINOGRAD_PIECES;
    ptrdiff_t positions = 0;
    for (ptrdiff_t first = 0; applies && first < stride; first++)
        for (ptrdiff_t part = 0; part < parts; part++) positions += tile - (first + (part * r + r - 1) * stride >= taps);
    return (axis_cost){.applies = applies,
                       .parts = (double)parts,
                       .pieces = (double)pieces_of_parts(taps, stride, r, parts),
                       .positions = (double)positions,
                       .tile = (double)tile,
                       .outputs = (double)tile_outputs(r),
                       .tiles = (double)(tiles.count * dilation),
                       .shares = (double)(dilation * (tiles.count * tile - (tiles.count - tiles.full))) / (double)tile};
}

/* The taps of a piece. */
typedef struct {
    ptrdiff_t rows, cols;
} piece_taps;

/* r along both axes, but 1 where no phase has more taps than one. */
static piece_taps pieces_of(const fc_conv2d *conv, ptrdiff_t r) {
    return (piece_taps){conv->kh <= conv->stride_h ? 1 : r, conv->kw <= conv->stride_w ? 1 : r};
}

/* The time of Winograd's way with pieces of some taps, in multiply-adds of the direct way: of an image, and of the weights, once.
 * As measured with AVX2 and AVX-512: transforms by channel and tile, and by weight, and what it takes to begin and end a sum. */
typedef struct {
    double image, weights;
} winograd_cost;

/* Channels that are read and written, and pixels of each phase of what is written, of the forward pass or the gradient of the input. */
typedef struct {
    ptrdiff_t c, k, h, w;
} pass_sizes;

static pass_sizes sizes_of(const fc_conv2d *conv, int transposed) {
    const ptrdiff_t c = conv->c / conv->groups, k = conv->k / conv->groups;
    return transposed ? (pass_sizes){k, c, fc_ceil_div(conv->h, conv->stride_h), fc_ceil_div(conv->w, conv->stride_w)}
                      : (pass_sizes){c, k, conv->oh, conv->ow};
}

/* The time in which so many weights of an image or two arrive, from behind the second-level cache or from it, in multiply-adds. Winograd's
 * products fetch them ahead: they take as long as the longer of both. The direct way waits for about half of its weights. */
static double reading(double elements) {
    const int far = elements * sizeof(float) > (double)fc_l2_bytes() / 4, wide = fc_kernels(FC_F32)->winograd.lanes > 8;
    return elements * (!far ? 4 : wide ? 15 : 8);
}

static winograd_cost cost_of(const fc_conv2d *conv, const pass_sizes *s, const axis_cost *rows, const axis_cost *cols, int transposed) {
    const int line = rows->tile == 1 || cols->tile == 1;
    const ptrdiff_t lanes = fc_kernels(FC_F32)->winograd.lanes;
    const double wide = lanes > 8 ? 2.3 : 1; /* stores of whole lines, which transforms are made of, take longer than their halves */
    const double input = (line ? 30 : 180) * wide, output = (line ? 27 : 160) * wide, weight = (line ? 25 : 150) * wide, sum = 4;
    const double c = (double)fc_round_up(s->c, lanes), k = (double)fc_round_up(s->k, lanes), depth = (double)s->c;
    const double pieces = transposed ? rows->parts * cols->parts : rows->pieces * cols->pieces;
    const double shares = transposed ? (double)(conv->stride_h * conv->stride_w) : 1;
    const double tile = rows->tile * cols->tile, tiles = rows->tiles * cols->tiles, work = rows->shares * cols->shares;
    const double sums = tile * shares * (s->c % lanes ? pieces : 1);
    const double products = (rows->positions * cols->positions * depth + sums * sum) * k;
    const double elements = tile * pieces * shares * depth * k;
    const double image = work * products + tiles * (pieces * c * input + shares * k * output);
    return (winograd_cost){conv->few ? fmax(image, reading(elements)) : image, pieces * shares * depth * k * weight};
}

/* The pieces with which an image takes the least time; there may be none. Transformed weights do not depend on the number of
 * images, so this does not. */
typedef struct {
    int found;
    piece_taps r;
    winograd_cost cost;
} piece_choice;

static piece_choice choose_pieces(const fc_conv2d *conv, int transposed) {
    const pass_sizes s = sizes_of(conv, transposed);
    piece_choice best = {0};
    const int square = conv->kh == conv->kw && conv->stride_h == conv->stride_w && conv->dilation_h == conv->dilation_w && s.h == s.w;
    const int lines = conv->few || conv->kh <= conv->stride_h || conv->kw <= conv->stride_w;
    axis_cost rows[FC_WINOGRAD_R_MAX + 1], others[FC_WINOGRAD_R_MAX + 1];
    const axis_cost *const cols = square ? rows : others;
    for (ptrdiff_t r = lines ? 1 : FC_WINOGRAD_R_MIN; r <= FC_WINOGRAD_R_MAX; r++) {
        rows[r] = axis_cost_of(conv->kh, conv->stride_h, conv->dilation_h, s.h, r);
        if (!square) others[r] = axis_cost_of(conv->kw, conv->stride_w, conv->dilation_w, s.w, r);
    }
    for (ptrdiff_t taps = FC_WINOGRAD_R_MIN; taps <= FC_WINOGRAD_R_MAX; taps++) {
        const piece_taps all = pieces_of(conv, taps);
        /* Pieces of one row or column have half the weights, and more multiplications. */
        const piece_taps ways[] = {all, {1, all.cols}, {all.rows, 1}};
        const int count = conv->few && all.rows > 1 && all.cols > 1 ? 3 : 1;
        for (int i = 0; i < count; i++) {
            const axis_cost *const a = &rows[ways[i].rows], *const b = &cols[ways[i].cols];
            if (!a->applies || !b->applies || a->positions * b->positions >= (double)(conv->kh * conv->kw) * a->outputs * b->outputs) continue;
            const winograd_cost cost = cost_of(conv, &s, a, b, transposed);
            if (!best.found || cost.image < best.cost.image) best = (piece_choice){1, ways[i], cost};
        }
    }
    return best;
}

/* Whether anything but the kernel rules Winograd out. */
static int may_apply(const fc_conv2d *conv) {
    if (conv->dtype != FC_F32 || fc_kernels(FC_F32)->winograd.mr == 0) return 0;
    return (conv->stride_h == 1 || conv->dilation_h == 1) && (conv->stride_w == 1 || conv->dilation_w == 1);
}

int fc_winograd_applies(const fc_conv2d *conv) { return may_apply(conv) && choose_pieces(conv, 0).found; }

/* Multiply-adds of the direct way. */
static double direct_products(const fc_conv2d *conv, int transposed) {
    const pass_sizes s = sizes_of(conv, transposed);
    const ptrdiff_t columns = fc_round_up(s.k, fc_kernels(FC_F32)->winograd.lanes);
    return (double)conv->n * (double)(s.h * s.w * conv->kh * conv->kw) * (double)(s.c * columns);
}

double fc_winograd_direct_cost(const fc_conv2d *conv, int transposed) {
    const pass_sizes s = sizes_of(conv, transposed);
    return direct_products(conv, transposed) *
           fc_igemm_matrix_share(conv->dtype, conv->n * s.h * s.w, conv->kh * conv->kw, s.c, s.k, conv->groups, 0);
}

/* Whether the time of Winograd's way, times `margin`, is below that of as many multiply-adds as the direct way takes. `weights`: how often
 * weights are transformed. */
static int pays(const fc_conv2d *conv, int transposed, double weights, double direct, double margin) {
    const pass_sizes s = sizes_of(conv, transposed);
    if (s.c < 6 || s.k < 6 || s.c * s.k < 64 || conv->kh * conv->kw == 1 || !may_apply(conv)) return 0;
    const piece_choice choice = choose_pieces(conv, transposed);
    if (conv->few) direct += reading((double)(conv->kh * conv->kw) * (double)(s.c * s.k)) / 2;
    return choice.found && direct > ((double)conv->n * choice.cost.image + weights * choice.cost.weights) * margin;
}

/* The direct way runs nearer to the peak, where transforms are not what counts and where the pieces of strided kernels make short sums. */
int fc_winograd_pays_for(const fc_conv2d *conv, int transposed, int packed, double direct) {
    const int strided = conv->stride_h > 1 || conv->stride_w > 1, wide = fc_kernels(FC_F32)->winograd.lanes > 8;
    return pays(conv, transposed, packed ? 0 : 1, direct, strided ? (wide ? 1.45 : transposed ? 1.4 : 1.5) : wide ? 1.05 : 1.3);
}

int fc_winograd_pays(const fc_conv2d *conv, int transposed, int packed) {
    return fc_winograd_pays_for(conv, transposed, packed, fc_winograd_direct_cost(conv, transposed));
}

/* The direct weight gradient is further from the peak with wide vectors, if no matrix unit makes it; strided pieces are more work there than it
 * seems, and so are small sums of transformed tiles with narrow ones. What becomes of the sums, which are written and read, takes longer than to
 * transform weights. */
int fc_winograd_pays_weights(const fc_conv2d *conv) {
    const int strided = conv->stride_h > 1 || conv->stride_w > 1, wide = fc_kernels(FC_F32)->winograd.lanes > 8;
    const double share = fc_wgrad_share(conv), narrow = conv->kh == 1 || conv->kw == 1 ? 1.3 : 1.6;
    return pays(conv, 0, 1.5, direct_products(conv, 0) * share, !wide ? narrow : share == 1 ? 0.9 : strided ? 1.4 : 1.05);
}

static fc_winograd_axis axis_forward(ptrdiff_t in, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad, ptrdiff_t r) {
    const tile_counts tiles = axis_tiles(out, dilation, r);
    fc_winograd_axis a = {.taps = taps,
                          .stride = stride,
                          .r = r,
                          .tile = tile_positions(r),
                          .m = tile_outputs(r),
                          .pieces = axis_pieces(taps, stride, r),
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
    const tile_counts tiles = axis_tiles(fc_ceil_div(out - out_first, stride), dilation, r);
    fc_winograd_axis a = {.taps = taps,
                          .stride = stride,
                          .r = r,
                          .tile = tile_positions(r),
                          .m = tile_outputs(r),
                          .pieces = axis_parts(taps, stride, r),
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
    const ptrdiff_t wide = p->kernels->panel[0].nr, narrow = p->kernels->panel[1].nr, rest = p->k % wide;
    p->panels = p->shares * fc_ceil_div(p->k, wide);
    p->share_width = p->k - rest + (rest == 0 ? 0 : rest <= narrow ? narrow : wide);
    p->width = p->shares * p->share_width;
}

/* In one number. */
enum { PIECES_BASE = FC_WINOGRAD_R_MAX + 1 };

int fc_winograd_pieces(const fc_conv2d *conv) {
    const piece_choice choice = choose_pieces(conv, 0);
    assert(choice.found);
    return (int)(choice.r.rows * PIECES_BASE + choice.r.cols);
}

fc_winograd_plan fc_winograd_plan_forward(const fc_conv2d *conv) {
    const int pieces = conv->pieces ? conv->pieces : fc_winograd_pieces(conv);
    const piece_taps r = {pieces / PIECES_BASE, pieces % PIECES_BASE};
    fc_winograd_plan p = {.n = conv->n,
                          .c = conv->c / conv->groups,
                          .k = conv->k / conv->groups,
                          .ldx = conv->c,
                          .ldy = conv->k,
                          .ldw = conv->k,
                          .planar = conv->layout == FC_NCHW,
                          .rows = axis_forward(conv->h, conv->oh, conv->kh, conv->stride_h, conv->dilation_h, conv->pad_top, r.rows),
                          .cols = axis_forward(conv->w, conv->ow, conv->kw, conv->stride_w, conv->dilation_w, conv->pad_left, r.cols)};
    finish_plan(&p);
    return p;
}

fc_winograd_plan fc_winograd_plan_backward_input(const fc_conv2d *conv) {
    const piece_choice choice = choose_pieces(conv, 1);
    assert(choice.found);
    fc_winograd_plan p = {.n = conv->n,
                          .c = conv->k / conv->groups,
                          .k = conv->c / conv->groups,
                          .ldx = conv->k,
                          .ldy = conv->c,
                          .ldw = conv->k,
                          .transposed = 1,
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
