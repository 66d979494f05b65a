/* Winograd's products on vectors, as the ways through it by tiles and by panels share them. V is laid out as [position][tiles / mr][piece]
 * [c / lanes][mr][lanes], U as [position][panel][piece][c][nr], M as [position][tiles / mr][panel][mr][nr]. */
#ifndef FC_CONV2D_WINOGRAD_PRODUCTS_H
#define FC_CONV2D_WINOGRAD_PRODUCTS_H

#include "conv2d_winograd.h"

/* From position to position of V and M. */
static inline ptrdiff_t fc_winograd_v_position(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return fc_round_up(tiles, p->kernels->mr) * p->lanes + FC_WINOGRAD_SKEW;
}
static inline ptrdiff_t fc_winograd_m_position(const fc_winograd_plan *p, ptrdiff_t tiles, ptrdiff_t width) {
    return fc_round_up(tiles, p->kernels->mr) * width + FC_WINOGRAD_SKEW;
}

/* Of transformed weights. */
static inline ptrdiff_t fc_winograd_u_bytes(const fc_winograd_plan *p) { return p->positions * p->depth * p->width * (ptrdiff_t)sizeof(float); }

/* Most output channels of a group: its sums stay in the second-level cache. */
static inline ptrdiff_t fc_winograd_group_channels(void) { return fc_l2_bytes() < 1 << 20 ? 32 : 64; }

static inline fc_winograd_groups fc_winograd_groups_of(const fc_winograd_plan *p, ptrdiff_t tiles) {
    const ptrdiff_t groups = fc_ceil_div(tiles, p->kernels->mr);
    return (fc_winograd_groups){fc_ceil_div(tiles, groups), fc_ceil_div(p->kernels->panel[0].nr * (ptrdiff_t)sizeof(float), groups)};
}

/* V of tiles first .. first + count - 1. */
fc_status fc_winograd_input_tiles(const fc_winograd_call *call, ptrdiff_t first, ptrdiff_t count, const fc_winograd_groups *groups,
                                  fc_winograd_order order, ptrdiff_t position, int ahead, float *v);

/* What is fetched while products are made: u_bytes of what begins at u for each step of a sum, or else what lies v_ahead elements
 * after the tiles that are multiplied. */
typedef struct {
    const char *u;
    ptrdiff_t u_bytes, v_ahead;
} fc_winograd_fetching;

/* The weights of some panels that the tiles will be multiplied with next: a share with each step of sums that are as long. */
static inline fc_winograd_fetching fc_winograd_fetch_weights(const fc_winograd_groups *groups, const float *u, ptrdiff_t panels) {
    return (fc_winograd_fetching){.u = (const char *)u, .u_bytes = groups->weight_bytes * panels};
}

/* Places of tiles, which are multiplied in groups of so many, and elements of V from group to group. */
typedef struct {
    fc_span places;
    ptrdiff_t rows, step;
} fc_winograd_placed;
static inline fc_winograd_placed fc_winograd_tiles_of(const fc_winograd_plan *p, const fc_winograd_order *order, const fc_winograd_groups *groups,
                                                      int position) {
    return (fc_winograd_placed){fc_winograd_present(p, order, position), groups->rows, p->kernels->mr * p->lanes};
}

/* M (+)= V U for one position of some tiles, one panel, and `depth` input channels, where v and u start. */
void fc_winograd_multiply(const fc_winograd_plan *p, const fc_winograd_columns *panel, fc_winograd_placed at, const float *v, const float *u,
                          ptrdiff_t depth, float *m, ptrdiff_t m_group, int accumulate, fc_winograd_fetching *fetch);

/* M = V U for one position and panel, all pieces at once where their channels lie side by side. */
void fc_winograd_multiply_pieces(const fc_winograd_plan *p, const fc_winograd_columns *panel, int q, fc_winograd_placed at, const float *v,
                                 const float *u, float *m, ptrdiff_t m_group, fc_winograd_fetching *fetch);

/* The packed weights of a position, from the panel on before which panels are `at` wide. */
static inline const float *fc_winograd_packed_at(const fc_winograd_call *call, int q, ptrdiff_t at) {
    return call->packed + q * fc_winograd_u_position(&call->plan) + at * call->plan.depth;
}

/* By panels, see conv2d_winograd_panels.c: tiles that are transformed before their products are made; the way. */
enum { FC_WINOGRAD_PANEL_TILES = 128 };
fc_status fc_winograd_by_panels(fc_winograd_call *call);

#endif
