/* Positions along one axis that see the same taps, forward and in the gradient of the input, for conv2d_grouped.c. */
#ifndef FC_CONV2D_PHASES_H
#define FC_CONV2D_PHASES_H

#include "sizes.h"

/* The taps, along one axis, of the output positions first + m * step, m >= 0: tap t is at input position
 * base + m * advance + t * spread and has the weight source + t * source_step. */
typedef struct {
    ptrdiff_t first, step;
    ptrdiff_t base, advance, spread, taps;
    ptrdiff_t source, source_step;
} phase;

static inline ptrdiff_t gcd(ptrdiff_t a, ptrdiff_t b) {
    while (b > 1) {
        const ptrdiff_t r = a % b;
        a = b;
        b = r;
    }
    return b ? 1 : a;
}

/* With dilation the positions whose taps are those of their neighbours are that far apart. */
static inline phase forward_phase(ptrdiff_t first, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad) {
    const ptrdiff_t step = dilation / gcd(stride, dilation);
    const phase p = {first, step, first * stride - pad, step * stride, dilation, taps, 0, 1};
    return p;
}

/* Position s of dx receives from position (s + pad - tap * dilation) / stride of dy by the taps for which that is an integer:
 * from some tap on, every (stride / gcd(stride, dilation))th. They are taken last tap first. */
static inline phase gradient_phase(ptrdiff_t first, ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation, ptrdiff_t pad) {
    const ptrdiff_t g = gcd(stride, dilation), every = stride / g;
    phase p = {.first = first, .step = stride, .advance = 1, .spread = dilation / g, .source_step = -every};
    ptrdiff_t tap = 0;
    while (tap < fc_min(taps, every) && (first + pad - tap * dilation) % stride) tap++;
    if (tap == fc_min(taps, every)) return p;
    p.taps = (taps - 1 - tap) / every + 1;
    p.source = tap + (p.taps - 1) * every;
    p.base = (first + pad - p.source * dilation) / stride;
    return p;
}

#endif
