/* Where the pixels of a task of the implicit GEMM are read and written. */
#include "conv2d_igemm.h"

enum {
    EDGE_DEPTH = 8, /* with fewer channels a band that reaches over the image is copied in less time than cut apart */
    CROWDED_BYTES = 256,   /* pixels a multiple of that apart share few cache sets */
    BAND_PIXELS = 384,     /* of one by offsets, with few channels: bands copy the rows that they share, each for itself */
    SHARED_PART = 8,       /* of the second-level cache */
    APART_BYTES = 1024,
    CLIPPED_PRODUCTS = 6000, /* to begin with other taps takes as long */
};

/* Products of all taps, to those of taps inside with what tiles of their own lose. */
#define CLIP_GAIN 1.1

/* Where the windows of rows i and i + 1 of the grid are written. */
static void output_windows(const fc_igemm *g, ptrdiff_t n, ptrdiff_t i, void **out) {
    char *to = fc_at_mut(g->y, (n * g->oh + i) / 2 * (g->ow / 2) * g->ldy, g->esize);
    for (ptrdiff_t m = 0; m < g->ow / 2; m++, to += g->ldy * g->esize) out[m] = to;
}

/* Where pixels j .. j + pixels - 1 of row i of the grid are written, to every step-th of `out`. */
static void output_row(const fc_igemm *g, ptrdiff_t n, ptrdiff_t i, ptrdiff_t j, ptrdiff_t pixels, void **out, ptrdiff_t step) {
    const ptrdiff_t first = (n * g->oh + g->y0 + i * g->step_h) * g->ow + g->x0 + j * g->step_w;
    char *to = fc_at_mut(g->y, first * g->ldy, g->esize);
    if (step == 1) g->kernels->frame.point(to, g->step_w * g->ldy * g->esize, (const void **)out, pixels);
    else
        for (ptrdiff_t m = 0; m < pixels; m++, to += g->step_w * g->ldy * g->esize) out[m * step] = to;
}

/* Where the last tap of a pixel reads, or would without the border. */
static const char *last_tap(const fc_igemm *g, ptrdiff_t pixel) {
    const ptrdiff_t image = g->grid_h * g->grid_w, n = pixel / image, i = pixel % image / g->grid_w, j = pixel % g->grid_w;
    return fc_at(g->x, ((n * g->h + i * g->stride_h + g->max_y) * g->w + j * g->stride_w + g->max_x) * g->ldx, g->esize);
}

/* Where the taps of pixels j .. end - 1 of row i of the grid read, to rows[0 .. taps - 1][m ..]; `stride` pointers a tap. */
static void point_row(const fc_igemm *g, ptrdiff_t n, ptrdiff_t group, ptrdiff_t i, ptrdiff_t j, ptrdiff_t end, const void **rows, ptrdiff_t stride,
                      ptrdiff_t m) {
    const ptrdiff_t y = i * g->stride_h, step = g->stride_w * g->ldx * g->esize;
    const int whole = y + g->min_y >= 0 && y + g->max_y < g->h;
    const char *corner = fc_at(g->x, ((n * g->h + y) * g->w + j * g->stride_w) * g->ldx + group * g->depth, g->esize);
    while (j < end) {
        const ptrdiff_t x = j * g->stride_w;
        ptrdiff_t inner = 0; /* pixels from here on that do not touch the border */
        if (whole && x + g->min_x >= 0 && x + g->max_x < g->w) inner = fc_min(end - j, (g->w - 1 - g->max_x - x) / g->stride_w + 1);
        for (ptrdiff_t t = 0; t < g->taps; t++) {
            const void **const to = rows + t * stride + m;
            const char *from = corner + g->tap[t].bytes;
            if (inner) g->kernels->frame.point(from, step, to, inner);
            const ptrdiff_t ty = y + g->tap[t].y, tx = x + g->tap[t].x;
            if (!inner) *to = ty >= 0 && ty < g->h && tx >= 0 && tx < g->w ? from : g->zero;
        }
        const ptrdiff_t done = fc_max(1, inner);
        j += done, m += done, corner += done * step;
    }
}

fc_status fc_igemm_point_block(const fc_igemm *g, ptrdiff_t task, size_t more, fc_igemm_rows *r) {
    const ptrdiff_t image = g->grid_h * g->grid_w, stride = g->block;
    r->group = task / g->splits % g->groups;
    r->begin = task / (g->splits * g->groups) * g->block;
    r->pixels = fc_min(g->block, g->n * image - r->begin);
    const size_t bytes = (size_t)fc_round_up((g->taps + 1) * stride * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    r->in = fc_scratch(FC_SLOT_TASK, bytes + more);
    if (!r->in) return FC_NO_MEMORY;
    r->out = (void **)(r->in + g->taps * stride);
    r->space = (char *)r->in + bytes;
    ptrdiff_t n = r->begin / image, i = r->begin % image / g->grid_w, j = r->begin % g->grid_w;
    for (ptrdiff_t m = 0, run; m < r->pixels; m += run, j = 0) {
        run = fc_min(g->grid_w - j, r->pixels - m);
        point_row(g, n, r->group, i, j, j + run, r->in, stride, m);
        output_row(g, n, i, j, run, r->out + m, 1);
        if (++i == g->grid_h) i = 0, n++;
    }
    /* Whole tiles. */
    for (ptrdiff_t m = r->pixels; g->panels.tile_rows && m % g->panels.tile_rows; m++) {
        for (ptrdiff_t t = 0; t < g->taps; t++) r->in[t * stride + m] = r->in[t * stride + m - 1];
        r->out[m] = r->out[m - 1];
    }
    return FC_OK;
}

ptrdiff_t fc_igemm_next_input(const fc_igemm *g, const fc_igemm_rows *r, const char **first) {
    const ptrdiff_t all = g->n * g->grid_h * g->grid_w, next = r->begin + g->block;
    if (g->by_offset || g->taps == 0 || next >= all) return 0;
    const char *const from = last_tap(g, next), *const to = last_tap(g, fc_min(next + g->block, all));
    const ptrdiff_t share = (to - from) / g->groups;
    *first = from + r->group * share;
    return share;
}

/* Copies the input rows of a band with their padding: row r of `to` is input row top + r. */
static void copy_band(const fc_igemm *g, ptrdiff_t n, ptrdiff_t group, ptrdiff_t groups, ptrdiff_t top, ptrdiff_t rows, char *to) {
    for (ptrdiff_t r = 0; r < rows; r++, to += g->copy_w * g->copy_ld * g->esize) {
        const ptrdiff_t y = top + r;
        const void *const row = y < 0 || y >= g->h ? NULL : fc_at(g->x, (n * g->h + y) * g->w * g->ldx + group * g->depth, g->esize);
        fc_copy_padded_row(&g->kernels->frame, row, g->w, g->ldx, g->min_x, groups * g->depth, to, g->copy_w, g->copy_ld, g->esize);
    }
}

/* Copies `pixels` columns from x on of `rows` rows from `top` on, with their padding; row after row lies as far apart as in the image. */
static void copy_columns(const fc_igemm *g, ptrdiff_t n, ptrdiff_t group, ptrdiff_t top, ptrdiff_t rows, ptrdiff_t x, ptrdiff_t pixels, char *to) {
    const ptrdiff_t row = g->w * g->ldx;
    for (ptrdiff_t y = top; y < top + rows; y++, to += row * g->esize) {
        const void *const from = y < 0 || y >= g->h ? NULL : fc_at(g->x, (n * g->h + y) * row + group * g->depth, g->esize);
        fc_copy_padded_row(&g->kernels->frame, from, g->w, g->ldx, x, g->depth, to, pixels, g->ldx, g->esize);
    }
}

/* The place of pixel j of row i of a band of so many rows: row by row, column by column, or window by window. */
static ptrdiff_t place_of(const fc_igemm *g, ptrdiff_t band, ptrdiff_t i, ptrdiff_t j) {
    if (g->clip == FC_CLIP_COLUMNS) return j * band + i;
    return g->pooled ? (i / 2 * g->grid_w + j / 2 * 2 + i % 2) * 2 + j % 2 : i * g->grid_w + j;
}

/* Pixels `first` .. end - 1 of some rows of a band: where they read, in rows of `row` elements from `base` on, `ld` from pixel to pixel. */
static void point_pixels(const fc_igemm *g, ptrdiff_t band, const char *base, ptrdiff_t row, ptrdiff_t ld, fc_span rows, ptrdiff_t first,
                         ptrdiff_t end, const void **in) {
    for (ptrdiff_t i = rows.first; i < rows.end; i++) {
        const char *from = base + (i - rows.first) * g->stride_h * row * g->esize;
        if (g->clip != FC_CLIP_COLUMNS && !g->pooled)
            g->kernels->frame.point(from, g->stride_w * ld * g->esize, in + place_of(g, band, i, first), end - first);
        else
            for (ptrdiff_t j = first; j < end; j++, from += g->stride_w * ld * g->esize) in[place_of(g, band, i, j)] = from;
    }
}

/* Rows of the image that so many rows of a band read. */
static ptrdiff_t rows_read(const fc_igemm *g, ptrdiff_t rows) { return rows > 0 ? (rows - 1) * g->stride_h + g->max_y - g->min_y + 1 : 0; }

/* Pixels first .. end - 1 of some rows of a band, whose first row reads from `top` on, in a copy. */
static char *point_copied(const fc_igemm *g, ptrdiff_t band, ptrdiff_t n, ptrdiff_t group, ptrdiff_t top, fc_span rows, ptrdiff_t first,
                          ptrdiff_t end, char *copy, const void **in) {
    const ptrdiff_t count = rows.end - rows.first, y = top + rows.first * g->stride_h, x = first * g->stride_w + g->min_x, row = g->w * g->ldx;
    if (first == end || count == 0) return copy;
    const ptrdiff_t pixels = (end - 1 - first) * g->stride_w + g->max_x - g->min_x + 1;
    copy_columns(g, n, group, y, rows_read(g, count), x, pixels, copy);
    point_pixels(g, band, copy, row, g->ldx, rows, first, end, in);
    return fc_at_mut(copy, pixels * g->ldx, g->esize);
}

/* A band that is read where it is, but for pixels that reach over the image: those at the ends of its rows, in copies beside each other, and
 * its rows above and below. The first row reads from `top` on. */
static fc_status point_in_place(const fc_igemm *g, ptrdiff_t n, ptrdiff_t group, ptrdiff_t top, ptrdiff_t rows, const void **in) {
    const ptrdiff_t row = g->w * g->ldx, left = g->left, right = g->grid_w - g->right, room = g->h - rows_read(g, 1) - top;
    const ptrdiff_t first = fc_min(rows, fc_ceil_div(fc_max(0, -top), g->stride_h));
    const ptrdiff_t end = room < 0 ? first : fc_max(first, fc_min(rows, room / g->stride_h + 1));
    const fc_span all = {0, rows}, above = {0, first}, inside = {first, end}, below = {end, rows};
    const ptrdiff_t ends = rows_read(g, rows) * row, edge = rows_read(g, first) * row;
    char *const copy = fc_scratch(FC_SLOT_TASK2, (size_t)((ends + edge + rows_read(g, rows - end) * row) * g->esize));
    if (!copy) return FC_NO_MEMORY;
    point_copied(g, rows, n, group, top, all, right, g->grid_w, point_copied(g, rows, n, group, top, all, 0, left, copy, in), in);
    point_copied(g, rows, n, group, top, above, left, right, copy + ends * g->esize, in);
    point_copied(g, rows, n, group, top, below, left, right, copy + (ends + edge) * g->esize, in);
    if (first == end) return FC_OK;
    const ptrdiff_t at = (n * g->h + top + first * g->stride_h) * row + (left * g->stride_w + g->min_x) * g->ldx + group * g->depth;
    point_pixels(g, rows, fc_at(g->x, at, g->esize), row, g->ldx, inside, left, right, in);
    return FC_OK;
}

ptrdiff_t fc_igemm_next_band(const fc_igemm *g, ptrdiff_t band, ptrdiff_t group, const char **first) {
    const ptrdiff_t n = band / g->blocks, row = g->w * g->ldx * g->esize;
    const ptrdiff_t last = (fc_min(g->grid_h, (band % g->blocks + 1) * g->band) - 1) * g->stride_h + g->max_y; /* row that this band reads */
    const ptrdiff_t begin = n * g->h + fc_min(g->h, fc_max(0, last + 1));
    if (g->n * g->h * row < fc_l2_bytes() / 2) return 0; /* it is there */
    const ptrdiff_t share = fc_min(g->band * g->stride_h, g->n * g->h - begin) * row / g->groups;
    *first = fc_at(g->x, 0, g->esize) + begin * row + group * share;
    return share;
}

fc_status fc_igemm_point_band(const fc_igemm *g, ptrdiff_t task, size_t more, fc_igemm_rows *r) {
    /* Groups of the same pixels follow each other: they share lines of the cache. */
    const ptrdiff_t bands = g->blocks, band = task / g->shares % bands, n = task / g->shares / bands, share = task % g->shares;
    const ptrdiff_t i0 = band * g->band, rows = fc_min(g->band, g->grid_h - i0), pixels = rows * g->grid_w;
    const ptrdiff_t top = i0 * g->stride_h + g->min_y;
    const ptrdiff_t group = g->groups * share / g->shares, end = g->groups * (share + 1) / g->shares;
    const ptrdiff_t places = fc_igemm_places(g, pixels);
    const size_t bytes = (size_t)fc_round_up(2 * places * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const void **const in = fc_scratch(FC_SLOT_TASK, bytes + more);
    if (!in) return FC_NO_MEMORY;
    *r = (fc_igemm_rows){.group = group, .end = end, .pixels = pixels, .in = in, .out = (void **)(in + places), .space = (char *)in + bytes};
    const ptrdiff_t copied = rows_read(g, rows), row = g->w * g->ldx;
    const fc_span all = {0, rows};
    const int in_place = g->in_place && (g->depth >= EDGE_DEPTH || (top >= 0 && top + copied <= g->h));
    r->offset = in_place ? g->offset_in_place : g->offset;
    if (in_place) {
        const fc_status status = point_in_place(g, n, group, top, rows, in);
        if (status != FC_OK) return status;
    } else if (g->copy) {
        char *const to = fc_scratch(FC_SLOT_TASK2, (size_t)(copied * g->copy_w * g->copy_ld * g->esize));
        if (!to) return FC_NO_MEMORY;
        copy_band(g, n, group, end - group, top, copied, to);
        point_pixels(g, rows, to, g->copy_w * g->copy_ld, g->copy_ld, all, 0, g->grid_w, in);
    } else {
        const ptrdiff_t first = (n * g->h + top) * row + g->min_x * g->ldx + group * g->depth;
        point_pixels(g, rows, fc_at(g->x, first, g->esize), row, g->ldx, all, 0, g->grid_w, in);
    }
    for (ptrdiff_t i = 0; i < rows && g->pooled; i += 2) output_windows(g, n, i0 + i, r->out + i / 2 * (g->ow / 2));
    const int by_columns = g->clip == FC_CLIP_COLUMNS;
    for (ptrdiff_t i = 0; i < rows && !g->pooled; i++)
        output_row(g, n, i0 + i, 0, g->grid_w, r->out + (by_columns ? i : i * g->grid_w), by_columns ? rows : 1);
    for (ptrdiff_t m = pixels; m < places; m++) in[m] = in[m - 1], r->out[m] = r->out[m - 1];
    return FC_OK;
}

/* Of the terms from a pixel's first, or of the first of every product's, in rows of so many pixels, ld elements apart. */
static void fill_offsets(const fc_igemm *g, ptrdiff_t width, ptrdiff_t ld, ptrdiff_t *offset) {
    const ptrdiff_t taps = g->terms ? g->beside : 1, terms = fc_max(1, g->terms), last = taps * g->depth - terms;
    for (ptrdiff_t t = 0; t < g->taps; t += taps)
        for (ptrdiff_t c = 0; c < last + terms; c += terms)
            *offset++ = ((g->tap[t].y - g->min_y) * width + g->tap[t].x - g->min_x) * ld + fc_min(c, last);
}

/* Pixels at the ends of a row are few, and what they read fits into a row beside each other. */
static void plan_in_place(fc_igemm *g) {
    g->left = fc_min(g->grid_w, fc_ceil_div(fc_max(0, -g->min_x), g->stride_w));
    g->right = g->grid_w - fc_max(g->left, fc_min(g->grid_w, fc_ceil_div(fc_max(0, g->w - g->max_x), g->stride_w)));
    const ptrdiff_t read = (g->left + g->right) * g->stride_w + 2 * (g->max_x - g->min_x + 1);
    g->in_place = g->copy && !g->matrix && !g->terms && (g->groups == 1 || g->ldx * g->esize % CROWDED_BYTES) &&
                  4 * (g->left + g->right) <= g->grid_w && read <= g->w;
    if (g->in_place) fill_offsets(g, g->w, g->ldx, g->offset_in_place);
}

/* Rows of whole pixels are copied in a fraction of the time that a few channels of each take. Where those are many, groups would read lines of the
 * cache that hold little for them. */
static int copies_together(const fc_igemm *g) {
    enum { LEAST_GROUPS = 4, MOST_DEPTH = 9 };
    const int in_place = g->in_place && g->depth >= EDGE_DEPTH;
    const int thin = g->groups >= LEAST_GROUPS && g->depth <= MOST_DEPTH && g->ldx * g->esize < CROWDED_BYTES;
    return g->copy && !g->matrix && !in_place && thin;
}

/* The taps inside of the image for a row or column of the grid, as `clip` says. */
static fc_span taps_inside(const fc_igemm *g, ptrdiff_t line) {
    const int rows = g->clip == FC_CLIP_ROWS;
    const ptrdiff_t from = line * (rows ? g->stride_h : g->stride_w), size = rows ? g->h : g->w;
    fc_span s = {0, g->taps};
    while (s.first < s.end && from + (rows ? g->tap[s.first].y : g->tap[s.first].x) < 0) s.first++;
    while (s.end > s.first && from + (rows ? g->tap[s.end - 1].y : g->tap[s.end - 1].x) >= size) s.end--;
    return s;
}

ptrdiff_t fc_igemm_taps_inside(const fc_igemm *g, ptrdiff_t line, ptrdiff_t end, fc_span *taps) {
    *taps = taps_inside(g, line);
    for (line++; line < end; line++) {
        const fc_span other = taps_inside(g, line);
        if (other.first != taps->first || other.end != taps->end) break;
    }
    return line;
}

/* Whether taps outside of the image are so many that lines of the grid are worth tiles of their own: columns, of taps that are a row, or rows. */
static void plan_clip(fc_igemm *g) {
    g->clip = 0;
    if (!g->copy || g->pooled || g->matrix || g->dot || g->terms || g->panels.tile_rows) return;
    g->clip = g->min_y == g->max_y ? FC_CLIP_COLUMNS : FC_CLIP_ROWS;
    const int by_rows = g->clip == FC_CLIP_ROWS;
    const ptrdiff_t lines = by_rows ? g->grid_h : g->grid_w, mr = g->panels.main->mr;
    const ptrdiff_t rows = fc_max(1, fc_min(g->grid_h, BAND_PIXELS / g->grid_w)); /* whatever the number of threads */
    const ptrdiff_t each = CLIPPED_PRODUCTS / (g->depth * fc_panels_width(&g->panels));
    ptrdiff_t all = 0, inside = 0;
    for (ptrdiff_t i = 0, next; i < lines; i = next) {
        fc_span taps;
        next = fc_igemm_taps_inside(g, i, lines, &taps);
        const ptrdiff_t pixels = (next - i) * (by_rows ? g->grid_w : rows);
        all += pixels * g->taps, inside += fc_round_up(pixels, mr) * (taps.end - taps.first) + each;
    }
    if (CLIP_GAIN * (double)inside > (double)all) g->clip = 0;
}

void fc_igemm_plan_offsets(fc_igemm *g) {
    g->copy = g->min_y < 0 || g->min_x < 0 || (g->grid_h - 1) * g->stride_h + g->max_y >= g->h || (g->grid_w - 1) * g->stride_w + g->max_x >= g->w;
    g->copy_w = (g->grid_w - 1) * g->stride_w + g->max_x - g->min_x + 1;
    plan_in_place(g);
    const int together = copies_together(g);
    if (together) g->in_place = 0;
    g->copy_ld = together ? g->ldx : g->depth;
    fill_offsets(g, g->copy ? g->copy_w : g->w, g->copy ? g->copy_ld : g->ldx, g->offset);
    const ptrdiff_t each = fc_ceil_div(g->groups * g->n * g->grid_h, fc_get_num_threads()); /* rows of a thread */
    /* Groups read their channels of the same rows and write the same pixels, one after the other: what a band reads or writes stays in a part of
     * the second-level cache, where pixels are far apart, unless bands would read much of each other's rows. */
    const int apart = g->min_y == g->max_y && fc_max(g->ldx, g->ldy) * g->esize >= APART_BYTES;
    const int shared = g->groups > 1 && ((g->copy && g->stride_h > 1) || apart);
    const ptrdiff_t row = fc_max(g->stride_h * g->w * g->ldx, apart ? g->ow * g->ldy : 0) * g->esize;
    const ptrdiff_t stay = shared ? fc_max(1, fc_l2_bytes() / SHARED_PART / row) : g->grid_h;
    const ptrdiff_t least = g->pooled ? 2 : 1, rows = fc_max(1, fc_min(fc_min(BAND_PIXELS / g->grid_w, stay), each));
    g->blocks = fc_ceil_div(g->grid_h, rows);
    g->band = fc_round_up(fc_ceil_div(g->grid_h, g->blocks), least);
    g->blocks = fc_ceil_div(g->grid_h, g->band);
    g->splits = 1;
    const ptrdiff_t tasks = fc_max(1, g->n * g->blocks), threads = fc_get_num_threads();
    g->shares = !together ? g->groups : threads > 1 ? fc_min(g->groups, fc_ceil_div(4 * threads, tasks)) : 1;
    plan_clip(g);
}
