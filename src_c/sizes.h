/* Arithmetic of sizes, and of addresses in arrays whose element type is known by its size. */
#ifndef FC_SIZES_H
#define FC_SIZES_H

#include "fastconv.h"

static inline ptrdiff_t fc_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t fc_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
static inline ptrdiff_t fc_ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
static inline ptrdiff_t fc_round_up(ptrdiff_t a, ptrdiff_t b) { return fc_ceil_div(a, b) * b; }
static inline ptrdiff_t fc_esize(fc_dtype dtype) { return dtype == FC_F64 ? 8 : 4; }
/* From `first` to before `end`. */
typedef struct {
    ptrdiff_t first, end;
} fc_span;
/* The t of 0 .. count - 1 for which start + t * spread lies in 0 .. size - 1. */
static inline fc_span fc_clip(ptrdiff_t start, ptrdiff_t spread, ptrdiff_t count, ptrdiff_t size) {
    fc_span s = {start < 0 ? fc_ceil_div(-start, spread) : 0, count};
    if (start + (count - 1) * spread >= size) s.end = start < size ? (size - 1 - start) / spread + 1 : 0;
    if (s.end < s.first) s.first = s.end = 0;
    return s;
}
/* Steps of `stride` elements, counted from the first window's, that have all `size` elements along one axis. */
static inline ptrdiff_t fc_stride_steps(ptrdiff_t size, ptrdiff_t pad, ptrdiff_t stride) { return (size + pad % stride - 1) / stride + 1; }
static inline ptrdiff_t fc_kernel_elements(const fc_conv2d *conv) { return conv->kh * conv->kw * (conv->c / conv->groups) * conv->k; }
static inline ptrdiff_t fc_whole_pixels(const fc_conv2d *conv) { return conv->whole ? conv->whole : conv->n * conv->oh * conv->ow; }
/* Byte arithmetic on untyped arrays. */
static inline const void *fc_at(const void *p, ptrdiff_t elements, ptrdiff_t esize) { return (const char *)p + elements * esize; }
static inline void *fc_at_mut(void *p, ptrdiff_t elements, ptrdiff_t esize) { return (char *)p + elements * esize; }

#endif
