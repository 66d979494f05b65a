/* Winograd's convolution: with which pieces, and when it pays. */
#include "conv2d_winograd_choice.h"

#include <math.h>

/* Multiply-adds of the direct way in a cycle, about. */
#define MULTIPLIED 24.0

/* What the cost of pieces of r taps is made of, along one axis. */
typedef struct {
    int applies;                           /* there are few enough of them */
    double parts, pieces;
    double positions;                      /* of a tile, summed over the pieces: those that lack taps have one fewer */
    double missing;                        /* pieces that lack taps */
    double tile, outputs, tiles;           /* positions and outputs of a tile, and tiles */
    double shares;                         /* the share of its positions that a tile has in the mean, times their number */
} axis_cost;

static axis_cost axis_cost_of(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t outputs, ptrdiff_t r) {
    const ptrdiff_t parts = fc_winograd_axis_parts(taps, stride, r), tile = fc_winograd_tile_positions(r);
    const fc_winograd_tile_counts tiles = fc_winograd_axis_tiles(outputs, dilation, r);
    const int applies = stride <= FC_WINOGRAD_PIECES && parts * stride <= FC_WINOGRAD_PIECES;
    ptrdiff_t positions = 0, missing = 0;
    for (ptrdiff_t first = 0; applies && first < stride; first++)
        for (ptrdiff_t part = 0; part < parts; part++) {
            const int lacks = first + (part * r + r - 1) * stride >= taps;
            positions += tile - lacks, missing += lacks && first + part * r * stride < taps;
        }
    return (axis_cost){.applies = applies,
                       .parts = (double)parts,
                       .pieces = (double)fc_winograd_pieces_of_parts(taps, stride, r, parts),
                       .positions = (double)positions,
                       .missing = (double)missing,
                       .tile = (double)tile,
                       .outputs = (double)fc_winograd_tile_outputs(r),
                       .tiles = (double)(tiles.count * dilation),
                       .shares = (double)(dilation * (tiles.count * tile - (tiles.count - tiles.full))) / (double)tile};
}

static int strides(const fc_conv2d *conv) { return conv->stride_h > 1 || conv->stride_w > 1; }

/* r along both axes, but 1 where no phase has more taps than one. */
static fc_winograd_piece_taps pieces_of(const fc_conv2d *conv, ptrdiff_t r) {
    return (fc_winograd_piece_taps){conv->kh <= conv->stride_h ? 1 : r, conv->kw <= conv->stride_w ? 1 : r};
}

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

static fc_winograd_cost cost_of(const fc_conv2d *conv, const pass_sizes *s, const axis_cost *rows, const axis_cost *cols, int transposed) {
    const int line = rows->tile == 1 || cols->tile == 1;
    const ptrdiff_t lanes = fc_kernels(FC_F32)->winograd.lanes;
    const double wide = lanes > 8 ? 2.3 : 1; /* stores of whole lines, which transforms are made of, take longer than their halves */
    const double input = (line ? 30 : 180) * wide, output = (line ? 27 : 160) * wide, weight = (line ? 25 : 150) * wide, sum = 4;
    const double c = (double)fc_round_up(s->c, lanes), k = (double)fc_round_up(s->k, lanes), depth = (double)s->c;
    const double pieces = transposed ? rows->parts * cols->parts : rows->pieces * cols->pieces;
    const double shares = transposed ? (double)(conv->stride_h * conv->stride_w) : 1;
    const double tile = rows->tile * cols->tile, tiles = rows->tiles * cols->tiles, work = rows->shares * cols->shares;
    const double sums = tile * shares * (s->c % lanes ? pieces : 1);
    const double elements = tile * pieces * shares * depth * k;
    const double products = work * (rows->positions * cols->positions * depth + sums * sum) * k;
    const double taps =
        (rows->tile + 1 - rows->outputs) * (cols->tile + 1 - cols->outputs) / (line ? 3 : 9); /* of a piece, to those it was measured with */
    const double weights = pieces * shares * depth * k * weight * taps;
    const double transforms = tiles * (pieces * c * input + shares * k * output), image = products + transforms;
    return (fc_winograd_cost){conv->few ? fmax(image, reading(elements)) : image, weights, products};
}

/* The cost on a matrix unit, 0 where vectors are faster: for as many images as decide that. */
static fc_winograd_cost on_unit(const fc_conv2d *conv, const pass_sizes *s, const axis_cost *rows, const axis_cost *cols, int transposed,
                                fc_winograd_use use, const fc_winograd_cost *vectors) {
    const fc_winograd_kernels *const kernels = &fc_kernels(FC_F32)->winograd;
    const ptrdiff_t images = use == FC_WINOGRAD_PACKED ? fc_packed_images(conv) : conv->n;
    const ptrdiff_t shares = transposed ? conv->stride_h * conv->stride_w : 1, wide = kernels->panel[0].nr;
    const int lacks = rows->missing > 0 || cols->missing > 0;
    const fc_winograd_cost none = {0};
    if (!fc_kernels(FC_F32)->matrix || (shares > 1 && lacks) || shares * s->k < wide || images == 0) return none;
    const ptrdiff_t along[2] = {(ptrdiff_t)(transposed ? rows->parts : rows->pieces), (ptrdiff_t)(transposed ? cols->parts : cols->pieces)};
    const ptrdiff_t missing[2] = {(ptrdiff_t)rows->missing, (ptrdiff_t)cols->missing}, tile[2] = {(ptrdiff_t)rows->tile, (ptrdiff_t)cols->tile};
    fc_winograd_products p = {.pieces = along[0] * along[1], .c = s->c, .panels = shares * fc_ceil_div(s->k, wide)};
    for (int kind = 0; kind < FC_WINOGRAD_POSITION_KINDS; kind++) {
        const int row = kind / 2, col = kind % 2;
        p.of.positions[kind] = (row ? 1 : tile[0] - 1) * (col ? 1 : tile[1] - 1);
        p.of.terms[kind] = (along[0] - (row ? missing[0] : 0)) * (along[1] - (col ? missing[1] : 0)) * s->c;
    }
    p.width = shares * fc_winograd_share_width(kernels, s->k);
    p.tiles = images * (ptrdiff_t)(rows->tiles * cols->tiles);
    p.tile_elements = tile[0] * tile[1] * fc_max(p.pieces * fc_round_up(s->c, kernels->lanes), p.width);
    const fc_winograd_unit_cycles cycles = fc_winograd_matrix_cycles(&p);
    if (!cycles.pays) return none;
    const double products = cycles.products / (double)images * MULTIPLIED;
    return (fc_winograd_cost){vectors->image - vectors->products + products, vectors->weights + cycles.weights * MULTIPLIED, products};
}

/* What it takes to write so many transformed weights that are used once, beyond their transform: they go to the outer caches and come back. */
static double written(double elements) { return elements * sizeof(float) > (double)fc_l2_bytes() ? 12 * elements : 0; }

/* The same with what decides among pieces only, for whether Winograd's way pays was measured without: on vectors, weights of several pieces pass
 * through the cache, and strided ones make short sums; weights that are used once are written there. `unit` is the cost on a matrix unit. */
static double cost_among(const fc_conv2d *conv, const pass_sizes *s, const axis_cost *rows, const axis_cost *cols, int transposed,
                         fc_winograd_use use, const fc_winograd_cost *vectors, const fc_winograd_cost *unit) {
    const double pieces = transposed ? rows->parts * cols->parts : rows->pieces * cols->pieces;
    const double elements = rows->tile * cols->tile * pieces * (double)(s->c * s->k);
    const double far = pieces > 1 && elements * sizeof(float) > (double)fc_l2_bytes() / 2 ? 0.1 : 0;
    const double once = use == FC_WINOGRAD_ONCE ? 1 / (double)fc_max(1, conv->n) : 0, slower = far + (strides(conv) ? 0.2 : 0);
    if (use == FC_WINOGRAD_WEIGHTS) return vectors->image;
    const fc_winograd_cost *const cost = unit->image > 0 ? unit : vectors;
    return cost->image + (cost == vectors ? cost->products * slower : 0) + once * (cost->weights + written(elements));
}

static fc_winograd_choice choose_pieces(const fc_conv2d *conv, int transposed, fc_winograd_use use) {
    const pass_sizes s = sizes_of(conv, transposed);
    fc_winograd_choice best = {0};
    double least = 0;
    const int square = conv->kh == conv->kw && conv->stride_h == conv->stride_w && conv->dilation_h == conv->dilation_w && s.h == s.w;
    const int lines = conv->few || conv->kh <= conv->stride_h || conv->kw <= conv->stride_w;
    axis_cost rows[FC_WINOGRAD_R_MAX + 1], others[FC_WINOGRAD_R_MAX + 1];
    const axis_cost *const cols = square ? rows : others;
    for (ptrdiff_t r = lines ? 1 : FC_WINOGRAD_R_MIN; r <= FC_WINOGRAD_R_MAX; r++) {
        rows[r] = axis_cost_of(conv->kh, conv->stride_h, conv->dilation_h, s.h, r);
        if (!square) others[r] = axis_cost_of(conv->kw, conv->stride_w, conv->dilation_w, s.w, r);
    }
    for (ptrdiff_t taps = FC_WINOGRAD_R_MIN; taps <= FC_WINOGRAD_R_MAX; taps++) {
        const fc_winograd_piece_taps all = pieces_of(conv, taps);
        /* Pieces of one row or column have half the weights, and more multiplications. */
        const fc_winograd_piece_taps ways[] = {all, {1, all.cols}, {all.rows, 1}};
        const int count = conv->few && all.rows > 1 && all.cols > 1 ? 3 : 1;
        for (int i = 0; i < count; i++) {
            const axis_cost *const a = &rows[ways[i].rows], *const b = &cols[ways[i].cols];
            if (!a->applies || !b->applies || a->positions * b->positions >= (double)(conv->kh * conv->kw) * a->outputs * b->outputs) continue;
            const fc_winograd_cost vectors = cost_of(conv, &s, a, b, transposed);
            const fc_winograd_cost unit = use == FC_WINOGRAD_WEIGHTS ? (fc_winograd_cost){0} : on_unit(conv, &s, a, b, transposed, use, &vectors);
            const double among = cost_among(conv, &s, a, b, transposed, use, &vectors, &unit);
            const fc_winograd_cost *const cost = unit.image > 0 && !strides(conv) ? &unit : &vectors; /* strided ones pay less often on the unit */
            if (!best.found || cost->image < best.cost.image) best.cost = *cost;
            if (!best.found || among < least) best.r = ways[i], least = among;
            best.found = 1;
        }
    }
    return best;
}

/* Whether so many weights that are used once come from behind the second-level cache. */
static int far_weights(double weights) { return weights * sizeof(float) > (double)fc_l2_bytes() / 2; }

/* Tiles of a pass by registers: for the sum of its images, or for one of them where weights are packed. */
static ptrdiff_t registers_tiles(const fc_conv2d *conv, const pass_sizes *s, int packed) {
    const ptrdiff_t rows = fc_winograd_axis_tiles(s->h, conv->dilation_h, 3).count * conv->dilation_h;
    return (packed ? 1 : conv->n) * rows * fc_winograd_axis_tiles(s->w, conv->dilation_w, 3).count * conv->dilation_w;
}

/* The time of those tiles with weights that are transformed in registers, for every few of them: sums take longer, and the fewest weights are read.
 * Those that are not packed are copied. */
static double registers_cost(const fc_conv2d *conv, const pass_sizes *s, ptrdiff_t tiles, int transposed, int packed) {
    const ptrdiff_t lanes = fc_kernels(FC_F32)->winograd.lanes;
    const int full = fc_winograd_axis_tiles(s->h, conv->dilation_h, 3).full > 0;
    const double c = (double)fc_round_up(s->c, lanes), k = (double)fc_round_up(s->k, lanes), depth = (double)s->c, weights = 9 * depth * k;
    const double group = full ? 70 : 60, tile = full ? 40 : 34, transforms = 390;
    const double copy = packed ? 0 : weights * (!far_weights(weights) ? 13 : transposed ? 90 : 42);
    const double products = ((double)fc_ceil_div(tiles, FC_WINOGRAD_REGISTERS_TILES) * group + (double)tiles * tile) * depth * k;
    return fmax(products + (double)tiles * (c + k) * transforms + copy, reading(weights));
}

fc_winograd_choice fc_winograd_choose(const fc_conv2d *conv, int transposed, fc_winograd_use use) {
    enum { MOST_TILES = 64 }; /* for more of them weights are worth a transform */
    const int packed = use == FC_WINOGRAD_PACKED, plain = conv->kh == 3 && conv->kw == 3 && conv->stride_h == 1 && conv->stride_w == 1;
    const fc_winograd_choice best = choose_pieces(conv, transposed, use);
    if (!best.found || !plain || !fc_kernels(FC_F32)->winograd.registers || use == FC_WINOGRAD_WEIGHTS || (packed && !conv->few)) return best;
    const pass_sizes s = sizes_of(conv, transposed);
    const ptrdiff_t tiles = registers_tiles(conv, &s, packed);
    if (tiles == 0 || tiles > MOST_TILES) return best;
    const double images = packed ? 1 : (double)conv->n, cost = registers_cost(conv, &s, tiles, transposed, packed);
    if (cost >= images * best.cost.image + (packed ? 0 : best.cost.weights + written(FC_WINOGRAD_POSITIONS * (double)(s.c * s.k)))) return best;
    return (fc_winograd_choice){.found = 1, .registers = 1, .r = {3, 3}, .cost = {.image = cost / images}};
}

/* Whether anything but the kernel rules Winograd out. */
static int may_apply(const fc_conv2d *conv) {
    if (conv->dtype != FC_F32 || fc_kernels(FC_F32)->winograd.mr == 0) return 0;
    return (conv->stride_h == 1 || conv->dilation_h == 1) && (conv->stride_w == 1 || conv->dilation_w == 1);
}

int fc_winograd_applies(const fc_conv2d *conv) { return may_apply(conv) && fc_winograd_choose(conv, 0, FC_WINOGRAD_PACKED).found; }

/* Multiply-adds of the direct way. */
static double direct_products(const fc_conv2d *conv, const pass_sizes *s, ptrdiff_t rows, double columns) {
    return (double)conv->n * (double)(s->h * s->w * conv->kh * conv->kw) * (double)rows * columns;
}

double fc_winograd_direct_cost(const fc_conv2d *conv, int transposed) {
    const pass_sizes s = sizes_of(conv, transposed);
    /* Panels of several terms save little beside squares, whose tiles have more outputs than lines, but for half a vector of channels. */
    const ptrdiff_t lanes = fc_kernels(FC_F32)->winograd.lanes;
    const int narrow = conv->kh == 1 || conv->kw == 1 || 2 * s.k <= lanes;
    const fc_gemm_kernels *const gemm = &fc_kernels(conv->dtype)->gemm;
    const fc_panel_kernels *const wide = &gemm->panel[gemm->main_panel];
    const double cost = fc_igemm_cost(conv, transposed) * (double)wide->nr / wide->cost,
                 columns = narrow ? cost : fmax(cost, (double)fc_round_up(s.k, lanes));
    return direct_products(conv, &s, s.c, columns) *
           fc_igemm_matrix_share(conv->dtype, conv->n * s.h * s.w, conv->kh * conv->kw, s.c, s.k, conv->groups, 0);
}

static int may_pay(const fc_conv2d *conv, int transposed) {
    const pass_sizes s = sizes_of(conv, transposed);
    return s.c >= 6 && s.k >= 6 && s.c * s.k >= 64 && conv->kh * conv->kw > 1 && may_apply(conv);
}

/* Whether a choice takes less time than as many multiply-adds. The direct way runs nearer to the peak, where transforms are not what counts and
 * where the pieces of strided kernels make short sums. */
static int takes_less(const fc_conv2d *conv, int transposed, int packed, const fc_winograd_choice *choice, double direct) {
    const int strided = strides(conv), wide = fc_kernels(FC_F32)->winograd.lanes > 8;
    const double margin = strided ? (wide ? 1.45 : transposed ? 1.4 : 1.5) : wide ? 1.05 : 1.3;
    const pass_sizes s = sizes_of(conv, transposed);
    const double weights = (double)(conv->kh * conv->kw) * (double)(s.c * s.k);
    if (conv->few) direct += reading(weights) / 2;
    else if (choice->registers && !transposed && far_weights(weights)) direct += 50 * weights; /* which it would lay out anew */
    const double call = 50e3; /* to choose and to plan */
    return choice->found && direct > ((double)conv->n * choice->cost.image + (packed ? 0 : choice->cost.weights)) * margin + call;
}

int fc_winograd_pays_for(const fc_conv2d *conv, int transposed, int packed, double direct) {
    if (!may_pay(conv, transposed)) return 0;
    const fc_winograd_choice choice = fc_winograd_choose(conv, transposed, packed ? FC_WINOGRAD_PACKED : FC_WINOGRAD_ONCE);
    return takes_less(conv, transposed, packed, &choice, direct);
}

int fc_winograd_pays(const fc_conv2d *conv, int transposed) {
    return fc_winograd_pays_for(conv, transposed, 0, fc_winograd_direct_cost(conv, transposed));
}

fc_winograd_choice fc_winograd_choose_way(const fc_conv2d *conv) {
    const fc_winograd_choice none = {0};
    if (!may_apply(conv) || (conv->algorithm == FC_AUTO && !may_pay(conv, 0))) return none;
    const fc_winograd_choice choice = fc_winograd_choose(conv, 0, FC_WINOGRAD_PACKED);
    return conv->algorithm != FC_AUTO || takes_less(conv, 0, 1, &choice, fc_winograd_direct_cost(conv, 0)) ? choice : none;
}

/* The direct weight gradient is further from the peak with wide vectors, if no matrix unit makes it, most of all of few output channels; small sums
 * of transformed tiles are more work than it seems with narrow ones. What becomes of the sums, which are written and read, takes longer than to
 * transform weights. */
int fc_winograd_pays_weights(const fc_conv2d *conv) {
    const ptrdiff_t lanes = fc_kernels(FC_F32)->winograd.lanes;
    const int line = conv->kh == 1 || conv->kw == 1, wide = lanes > 8;
    const double share = fc_wgrad_share(conv), vectors = line ? 1.05 : 2 * conv->k <= 3 * lanes && conv->c >= 2 * lanes ? 0.65 : 0.9;
    const double margin = !wide ? (line ? 1.3 : 1.6) : share == 1 ? vectors : strides(conv) ? 1.2 : 1.05;
    if (!may_pay(conv, 0)) return 0;
    const fc_winograd_choice choice = fc_winograd_choose(conv, 0, FC_WINOGRAD_WEIGHTS);
    const pass_sizes s = sizes_of(conv, 0);
    const int exchanged = share == 1 && fc_wgrad_exchange_pays(conv);
    const double direct = share * direct_products(conv, &s, exchanged ? s.k : s.c, (double)fc_round_up(exchanged ? s.c : s.k, lanes));
    return choice.found && direct > ((double)conv->n * choice.cost.image + 1.5 * choice.cost.weights) * margin;
}
