/* What the choice of Winograd's pieces, conv2d_winograd_choice.c, and the plan with them share. */
#ifndef FC_CONV2D_WINOGRAD_CHOICE_H
#define FC_CONV2D_WINOGRAD_CHOICE_H

#include "conv2d_winograd.h"

/* Positions and outputs of a tile along one axis for pieces of r taps. */
static inline ptrdiff_t fc_winograd_tile_positions(ptrdiff_t r) { return r == 1 ? 1 : FC_WINOGRAD_TILE; }
static inline ptrdiff_t fc_winograd_tile_outputs(ptrdiff_t r) { return fc_winograd_tile_positions(r) + 1 - r; }

static inline ptrdiff_t fc_winograd_axis_parts(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t r) { return fc_ceil_div(fc_ceil_div(taps, stride), r); }

/* Those of all phases that have taps: they come first. */
static inline ptrdiff_t fc_winograd_pieces_of_parts(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t r, ptrdiff_t parts) {
    const ptrdiff_t before = (parts - 1) * stride;
    return before + fc_min(stride, taps - before * r);
}

/* Tiles of one class, and how many of them are full: each of the others has one output fewer. */
typedef struct {
    ptrdiff_t count, full;
} fc_winograd_tile_counts;

static inline fc_winograd_tile_counts fc_winograd_axis_tiles(ptrdiff_t outputs, ptrdiff_t classes, ptrdiff_t r) {
    const ptrdiff_t each = fc_ceil_div(outputs, classes), m = fc_winograd_tile_outputs(r), count = fc_ceil_div(each, m);
    return (fc_winograd_tile_counts){count, fc_max(0, each - count * (m - 1))};
}

/* The sum of the widths of the panels of k output channels: the last may be narrow. */
static inline ptrdiff_t fc_winograd_share_width(const fc_winograd_kernels *kernels, ptrdiff_t k) {
    const ptrdiff_t wide = kernels->panel[0].nr, narrow = kernels->panel[1].nr, rest = k % wide;
    return k - rest + (rest == 0 ? 0 : rest <= narrow ? narrow : wide);
}

/* The taps of a piece. */
typedef struct {
    ptrdiff_t rows, cols;
} fc_winograd_piece_taps;

/* The time of Winograd's way with pieces of some taps, in multiply-adds of the direct way: of an image, and of the weights, once.
 * As measured with AVX2 and AVX-512: transforms by channel and tile, and by weight, and what it takes to begin and end a sum. */
typedef struct {
    double image, weights;
    double products; /* of an image */
} fc_winograd_cost;

/* The pieces that have taps at a position make up the terms of its sums: of positions in neither of a row and a column of positions, in that column, in
 * that row, in both. */
enum { FC_WINOGRAD_POSITION_KINDS = 4 };
typedef struct {
    ptrdiff_t terms[FC_WINOGRAD_POSITION_KINDS], positions[FC_WINOGRAD_POSITION_KINDS];
} fc_winograd_terms;

/* The products of some tiles; the elements of V or M of a tile. */
typedef struct {
    fc_winograd_terms of;
    ptrdiff_t pieces, c, panels, width, tiles, tile_elements;
} fc_winograd_products;

/* On a matrix unit, if that makes them faster than vectors; and what it takes once to lay out weights for it. */
typedef struct {
    int pays;
    double products, weights;
} fc_winograd_unit_cycles;
fc_winograd_unit_cycles fc_winograd_matrix_cycles(const fc_winograd_products *products);

/* What pieces are chosen for: weights that are packed, for any number of images; those that are transformed for one pass; the gradient of the weights. */
typedef enum { FC_WINOGRAD_PACKED, FC_WINOGRAD_ONCE, FC_WINOGRAD_WEIGHTS } fc_winograd_use;

/* The pieces with which a pass takes the least time; there may be none. */
typedef struct {
    int found, registers;
    fc_winograd_piece_taps r;
    fc_winograd_cost cost;
} fc_winograd_choice;
fc_winograd_choice fc_winograd_choose(const fc_conv2d *conv, int transposed, fc_winograd_use use);
/* The same for packed weights: none if Winograd is not the way. */
fc_winograd_choice fc_winograd_choose_way(const fc_conv2d *conv);

#endif
