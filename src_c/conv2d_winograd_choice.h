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

/* The taps of a piece. */
typedef struct {
    ptrdiff_t rows, cols;
} fc_winograd_piece_taps;

/* The time of Winograd's way with pieces of some taps, in multiply-adds of the direct way: of an image, and of the weights, once.
 * As measured with AVX2 and AVX-512: transforms by channel and tile, and by weight, and what it takes to begin and end a sum. */
typedef struct {
    double image, weights;
} fc_winograd_cost;

/* The pieces with which an image takes the least time; there may be none. Transformed weights do not depend on the number of
 * images, so this does not. */
typedef struct {
    int found, registers;
    fc_winograd_piece_taps r;
    fc_winograd_cost cost;
} fc_winograd_choice;

/* For any number of images; and the same where weights are packed for few, or used once. */
fc_winograd_choice fc_winograd_choose(const fc_conv2d *conv, int transposed);
fc_winograd_choice fc_winograd_choose_for_few(const fc_conv2d *conv, int transposed, int packed);

#endif
