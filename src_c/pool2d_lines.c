/* Tables for pooling along lines: which elements of a line the taps of a vector of windows read. A tap outside of the image stands for the
 * nearest element inside, which lies in the window as well: the maximum is the same, and its position that of the element. */
#include "pool2d_internal.h"

#include <string.h>

enum { MOST_ENTRIES = 1024, MOST_LANES = 32 };

/* Tap (ki, kj) of window e. */
typedef struct {
    ptrdiff_t at; /* in its line */
    int inside, position;
} line_tap;

static line_tap locate(const fc_pool2d *p, ptrdiff_t e, ptrdiff_t ki, ptrdiff_t kj) {
    const ptrdiff_t top = e / p->ow * p->stride_h - p->pad_top, left = e % p->ow * p->stride_w - p->pad_left;
    const ptrdiff_t r = fc_max(0, fc_min(p->h - 1, top + ki)), c = fc_max(0, fc_min(p->w - 1, left + kj));
    return (line_tap){r * p->w + c, r == top + ki && c == left + kj, (int)((r - top) * p->pool_w + c - left)};
}

/* The number of a vector among all that there are; it becomes one of them. */
static int32_t add(void *all, ptrdiff_t *count, const void *one, size_t bytes) {
    ptrdiff_t i = 0;
    while (i < *count && memcmp((char *)all + (size_t)i * bytes, one, bytes) != 0) i++;
    if (i == *count) memcpy((char *)all + (size_t)(*count)++ * bytes, one, bytes);
    return (int32_t)i;
}

/* What tap t of a block of `lanes` windows from `first` on reads: from where the tap before it does, if there is one. 0 if that is further
 * apart than two vectors. */
static int fill_entry(const fc_pool2d *p, pool_kind kind, int index, ptrdiff_t first, ptrdiff_t t, fc_lines *lines, const fc_line_entry *before,
                      fc_line_entry *entry) {
    const ptrdiff_t lanes = lines->lanes, windows = p->oh * p->ow, esize = fc_esize(p->dtype);
    line_tap tap[MOST_LANES];
    int32_t lane[MOST_LANES];
    float place32[MOST_LANES];
    double place64[MOST_LANES];
    ptrdiff_t from = lines->in_elements, end = 0;
    for (ptrdiff_t l = 0; l < lanes; l++) {
        tap[l] = locate(p, fc_min(first + l, windows - 1), t / p->pool_w, t % p->pool_w);
        from = fc_min(from, tap[l].at), end = fc_max(end, tap[l].at + 1);
    }
    from = fc_min(from, fc_max(0, lines->in_elements - 2 * lanes));
    if (before && before->from > from) return 0;
    if (before) from = before->from;
    if (end - from > 2 * lanes) return 0;
    *entry = (fc_line_entry){.from = from};
    for (ptrdiff_t l = 0; l < lanes; l++) {
        lane[l] = (int32_t)(tap[l].at - from);
        place32[l] = (float)(place64[l] = kind == MEAN ? tap[l].inside : tap[l].position);
    }
    entry->pattern = add(lines->lane, &lines->patterns, lane, (size_t)lanes * sizeof *lane);
    if (kind == MEAN || index)
        entry->place = add(lines->position, &lines->places, p->dtype == FC_F64 ? (const void *)place64 : place32, (size_t)(lanes * esize));
    return 1;
}

static int fill(const fc_pool2d *p, pool_kind kind, int index, fc_lines *lines) {
    const ptrdiff_t lanes = lines->lanes;
    lines->patterns = lines->places = 0;
    for (ptrdiff_t b = 0; b < lines->blocks; b++) {
        const ptrdiff_t first = (b + 1) * lanes <= lines->out_elements ? b * lanes : fc_max(0, lines->out_elements - lanes);
        for (ptrdiff_t t = 0; t < lines->taps; t++) {
            fc_line_entry *const entry = &lines->entry[b * lines->taps + t];
            if (!fill_entry(p, kind, index, first, t, lines, t % lines->group ? entry - 1 : NULL, entry)) return 0;
        }
    }
    return 1;
}

fc_status fc_pool_lines(const fc_pool2d *p, pool_kind kind, int index, ptrdiff_t out_elements, fc_lines *lines) {
    const ptrdiff_t lanes = fc_kernels(p->dtype)->pool.lanes, esize = fc_esize(p->dtype);
    *lines = (fc_lines){.taps = p->pool_h * p->pool_w, .in_elements = p->h * p->w, .out_elements = out_elements, .lanes = lanes};
    lines->blocks = fc_ceil_div(out_elements, lanes);
    const ptrdiff_t entries = lines->blocks * lines->taps;
    if (entries > MOST_ENTRIES || lanes > MOST_LANES) return FC_UNSUPPORTED;
    const ptrdiff_t list = fc_round_up(entries * (ptrdiff_t)sizeof(fc_line_entry), FC_ALIGN);
    const ptrdiff_t patterns = fc_round_up(entries * lanes * (ptrdiff_t)sizeof(int32_t), FC_ALIGN);
    char *const memory = fc_scratch(FC_SLOT_CALL, (size_t)(list + patterns + entries * lanes * esize));
    if (!memory) return FC_NO_MEMORY;
    lines->entry = (fc_line_entry *)(void *)memory;
    lines->lane = (int32_t *)(void *)(memory + list);
    lines->position = memory + list + patterns;
    /* As many taps as possible pick from the same vectors, of what there are kernels for. */
    for (lines->group = 3; lines->group > 0; lines->group--)
        if ((lines->group == 1 || lines->taps == 3) && fill(p, kind, index, lines)) return FC_OK;
    return FC_UNSUPPORTED;
}
