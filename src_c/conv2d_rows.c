/* Copies of image rows with their padding. */
#include "conv2d_internal.h"

#include <string.h>

void fc_copy_padded_row(const fc_frame_kernels *frame, const void *row, ptrdiff_t width, ptrdiff_t ldx, ptrdiff_t first, ptrdiff_t depth, void *to_,
                        ptrdiff_t pixels, ptrdiff_t ld, ptrdiff_t esize) {
    char *to = to_;
    const ptrdiff_t pixel = ld * esize, before = fc_min(fc_max(0, -first), pixels);
    const ptrdiff_t inside = row ? fc_max(0, fc_min(width - first - before, pixels - before)) : 0;
    if (inside == 0) {
        memset(to, 0, (size_t)(pixels * pixel));
        return;
    }
    const char *const from = fc_at(row, (first + before) * ldx, esize);
    memset(to, 0, (size_t)(before * pixel));
    to += before * pixel;
    if (ldx == depth && ld == depth) memcpy(to, from, (size_t)(inside * pixel));
    else if (depth == 1 && ld == 1) frame->take_every(from, ldx, to, inside);
    else frame->pack(from, ldx, inside, depth, to, ld);
    memset(to + inside * pixel, 0, (size_t)((pixels - before - inside) * pixel));
}

void fc_copy_strided_row(const fc_frame_kernels *frame, const void *row, ptrdiff_t width, ptrdiff_t stride, ptrdiff_t first, void *to,
                         ptrdiff_t pixels, ptrdiff_t esize) {
    const ptrdiff_t skipped = first < 0 ? -fc_ceil_div(-first, stride) : first / stride, column = first - skipped * stride;
    const void *const from = row && column < width ? fc_at(row, column, esize) : NULL;
    fc_copy_padded_row(frame, from, fc_ceil_div(width - column, stride), stride, skipped, 1, to, pixels, 1, esize);
}

void fc_spread_padded_row(const fc_depthwise_kernels *kernels, const fc_spread_args *spread, const void *row, ptrdiff_t width, ptrdiff_t first,
                          void *to, ptrdiff_t pixels, ptrdiff_t esize) {
    const ptrdiff_t pixel = spread->to_step, before = fc_min(fc_max(0, -first), pixels);
    const ptrdiff_t inside = row ? fc_max(0, fc_min(width - first - before, pixels - before)) : 0, after = pixels - before - inside;
    for (ptrdiff_t j = 0; j < spread->planes; j++) {
        void *const plane = fc_at_mut(to, j * spread->plane, esize);
        memset(plane, 0, (size_t)(before * pixel * esize));
        memset(fc_at_mut(plane, (before + inside) * pixel, esize), 0, (size_t)(after * pixel * esize));
    }
    if (inside) kernels->spread(spread, fc_at(row, (first + before) * spread->from_step, esize), fc_at_mut(to, before * pixel, esize), inside);
}
