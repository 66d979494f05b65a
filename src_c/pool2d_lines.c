/* Tables for pooling along lines: which elements of a line the taps of a vector of windows read. A tap outside of the image stands for the
 * nearest element inside, which lies in the window as well: the maximum is the same, and its position that of the element. */
#include "pool2d_internal.h"

#include <assert.h>
#include <string.h>

enum { MOST_ENTRIES = 1024, MOST_LANES = 32 };

/* Windows side by side: the row of each, and the column that it begins with, which may lie outside. */
typedef struct {
    ptrdiff_t row[MOST_LANES], left[MOST_LANES];
} line_windows;

static void place_windows(const fc_pool2d *p, ptrdiff_t first, ptrdiff_t lanes, line_windows *windows) {
    ptrdiff_t i = first / p->ow, j = first % p->ow;
    for (ptrdiff_t l = 0; l < lanes; l++) {
        windows->row[l] = i;
        windows->left[l] = j * p->stride_w - p->pad_left;
        /* Beyond the last window it stands for the others. */
        if (++j < p->ow) continue;
        if (i + 1 < p->oh) j = 0, i++;
        else j--;
    }
}

/* The number of a vector: that of the same vector of the block before, `known`, or it becomes the next one. */
static int32_t add(void *all, ptrdiff_t *count, const void *one, size_t bytes, int32_t known) {
    if (known >= 0 && memcmp((char *)all + (size_t)known * bytes, one, bytes) == 0) return known;
    memcpy((char *)all + (size_t)*count * bytes, one, bytes);
    return (int32_t)(*count)++;
}

/* What tap kj of windows reads: from where the tap before it does, if there is one. 0 if that is further apart than two vectors. `like` is
 * the tap of the windows before, or NULL. */
static int fill_entry(const fc_pool2d *p, pool_kind kind, int index, const line_windows *windows, ptrdiff_t kj, fc_lines *lines,
                      const fc_line_entry *before, const fc_line_entry *like, fc_line_entry *entry) {
    const ptrdiff_t lanes = lines->lanes, esize = fc_esize(p->dtype);
    int32_t at[MOST_LANES];
    float place32[MOST_LANES];
    double place64[MOST_LANES];
    ptrdiff_t from = lines->in_elements, end = 0;
    for (ptrdiff_t l = 0; l < lanes; l++) {
        const ptrdiff_t column = windows->left[l] + kj, nearest = fc_max(0, fc_min(p->w - 1, column));
        at[l] = (int32_t)(windows->row[l] * p->w + nearest);
        place32[l] = (float)(place64[l] = kind == MEAN ? column == nearest : (double)(nearest - windows->left[l]));
        from = fc_min(from, at[l]), end = fc_max(end, at[l] + 1);
    }
    from = fc_min(from, fc_max(0, lines->in_elements - 2 * lanes));
    if (before && before->from > from) return 0;
    if (before) from = before->from;
    if (end - from > 2 * lanes) return 0;
    *entry = (fc_line_entry){.from = from};
    for (ptrdiff_t l = 0; l < lanes; l++) at[l] -= (int32_t)from;
    entry->pattern = add(lines->lane, &lines->patterns, at, (size_t)lanes * sizeof *at, like ? like->pattern : -1);
    if (kind == MAXIMUM && !index) return 1;
    const void *const place = p->dtype == FC_F64 ? (const void *)place64 : place32;
    entry->place = add(lines->position, &lines->places, place, (size_t)(lanes * esize), like ? like->place : -1);
    return 1;
}

static int fill(const fc_pool2d *p, pool_kind kind, int index, fc_lines *lines) {
    const ptrdiff_t lanes = lines->lanes;
    lines->patterns = lines->places = 0;
    for (ptrdiff_t b = 0; b < lines->blocks; b++) {
        const ptrdiff_t first = (b + 1) * lanes <= lines->out_elements ? b * lanes : fc_max(0, lines->out_elements - lanes);
        line_windows windows;
        place_windows(p, first, lanes, &windows);
        for (ptrdiff_t t = 0; t < lines->taps; t++) {
            fc_line_entry *const entry = &lines->entry[b * lines->taps + t];
            if (!fill_entry(p, kind, index, &windows, t, lines, t % lines->group ? entry - 1 : NULL, b ? entry - lines->taps : NULL, entry)) return 0;
        }
    }
    return 1;
}

fc_status fc_pool_lines(const fc_pool2d *p, pool_kind kind, int index, ptrdiff_t out_elements, fc_lines *lines) {
    const ptrdiff_t lanes = fc_kernels(p->dtype)->pool.lanes, esize = fc_esize(p->dtype);
    *lines = (fc_lines){.taps = p->pool_w, .in_elements = p->h * p->w, .out_elements = out_elements, .lanes = lanes};
    lines->blocks = fc_ceil_div(out_elements, lanes);
    assert(p->pool_h == 1 && p->stride_h == 1 && !p->pad_top && p->oh == p->h && out_elements > 0);
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
        if ((lines->group == 1 || lines->taps == 3 || (lines->taps == 2 && lines->group == 2)) && fill(p, kind, index, lines)) return FC_OK;
    return FC_UNSUPPORTED;
}
