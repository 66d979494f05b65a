/* The weight gradient, directly: blocks of it, and moving their data. */
#include "conv2d_wgrad.h"

#include <string.h>

enum { FEW_COLUMNS = 8 /* rows so short are copied faster without calls for each slab */ };

fc_wgrad_part fc_wgrad_part_of(const fc_wgrad_plan *g, ptrdiff_t block) {
    fc_wgrad_part p;
    p.n = block / g->bands * g->images;
    p.images = fc_min(g->images, g->conv->n - p.n);
    p.row = block % g->bands * g->band;
    p.rows = fc_min(g->band, g->conv->oh - p.row);
    p.pixels = p.images * p.rows * g->conv->ow;
    return p;
}

/* Where a channel of a pixel is, in an image of so many pixels and channels. */
static ptrdiff_t place(const fc_wgrad_plan *g, ptrdiff_t n, ptrdiff_t pixels, ptrdiff_t channels, ptrdiff_t pixel, ptrdiff_t channel) {
    return g->planar ? (n * channels + channel) * pixels + pixel : (n * pixels + pixel) * channels + channel;
}

static const void *input_at(const fc_wgrad_plan *g, ptrdiff_t n, ptrdiff_t row, ptrdiff_t channel) {
    const fc_conv2d *const conv = g->conv;
    return fc_at(g->x, place(g, n, conv->h * conv->w, conv->c, row * conv->w, channel), g->esize);
}

static const void *gradient_at(const fc_wgrad_plan *g, ptrdiff_t n, ptrdiff_t row, ptrdiff_t channel) {
    const fc_conv2d *const conv = g->conv;
    return fc_at(g->dy, place(g, n, conv->oh * conv->ow, conv->k, row * conv->ow, channel), g->esize);
}

const void *fc_wgrad_input(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group) {
    return input_at(g, p->n, p->row * g->conv->stride_h, group * g->depth);
}

const void *fc_wgrad_gradient(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group) { return gradient_at(g, p->n, p->row, group * g->k); }

void fc_wgrad_fill_lines(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t *line) {
    for (ptrdiff_t i = 0; i < p->images; i++)
        for (ptrdiff_t r = 0; r < p->rows; r++) *line++ = i * g->image_step + r * (g->conv->stride_h / g->skip_h) * g->copy_w * g->ld;
}

ptrdiff_t fc_wgrad_copied_rows(const fc_wgrad_plan *g, const fc_wgrad_part *p) {
    return g->copy ? g->copy_h - (g->band - p->rows) * g->conv->stride_h / g->skip_h : 0;
}

/* Copies a row of `pixels` pixels, `step` elements apart, all of it: slabs are whole lines. */
static void spread_row(const fc_wgrad_plan *g, const char *row, ptrdiff_t pixels, ptrdiff_t step, char *to) {
    for (ptrdiff_t j = 0; j < pixels; j++, row += step * g->esize, to += g->ld * g->esize) {
        char *line = to;
        for (ptrdiff_t byte = 0; byte < g->depth * g->esize; byte += FC_ALIGN, line += g->slab_step * g->esize) memcpy(line, row + byte, FC_ALIGN);
    }
}

void fc_wgrad_copy_row(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t i, ptrdiff_t r, void *to) {
    const fc_conv2d *const conv = g->conv;
    const ptrdiff_t y = p->row * conv->stride_h - conv->pad_top + r * g->skip_h, at = i * g->image_step + r * g->copy_w * g->ld;
    const ptrdiff_t pixel = g->planar ? 1 : conv->c, channel = g->planar ? conv->h * conv->w : 1;
    const void *const row = y < 0 || y >= conv->h ? NULL : input_at(g, p->n + i, y, group * g->depth);
    if (row && !g->planar && g->copy_w <= FEW_COLUMNS && conv->pad_left == 0 && g->copy_w <= fc_ceil_div(conv->w, g->skip_w) &&
        g->depth * g->esize % FC_ALIGN == 0) {
        spread_row(g, row, g->copy_w, conv->c * g->skip_w, fc_at_mut(to, at, g->esize));
        return;
    }
    for (ptrdiff_t c = 0; c < g->depth; c += g->slab, to = fc_at_mut(to, g->slab_step, g->esize))
        fc_copy_padded_row(&g->kernels->frame, row ? fc_at(row, c * channel, g->esize) : NULL, fc_ceil_div(conv->w, g->skip_w), pixel * g->skip_w,
                           -conv->pad_left, fc_min(g->slab, g->depth - c), fc_at_mut(to, at, g->esize), g->copy_w, g->ld, g->esize);
}

/* Rows first .. first + rows - 1 of image i of a block, behind those before them. */
static void pack_rows(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, const fc_panel *panel, ptrdiff_t i, ptrdiff_t first,
                      ptrdiff_t rows, void *to) {
    const fc_frame_kernels *const frame = &g->kernels->frame;
    const ptrdiff_t nr = panel->kernels->nr, ow = g->conv->ow, pixels = rows * ow;
    const void *const from = gradient_at(g, p->n + i, p->row + first, group * g->k + panel->first);
    char *const out = fc_at_mut(to, (i * p->rows + first) * ow * nr, g->esize);
    if (!g->planar) {
        frame->pack(from, g->conv->k, pixels, panel->columns, out, nr);
        return;
    }
    if (panel->columns < nr) memset(out, 0, (size_t)(pixels * nr * g->esize));
    frame->transpose(from, g->conv->oh * ow, out, nr, panel->columns, pixels);
}

void fc_wgrad_pack_panel(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, const fc_panel *panel, void *to) {
    for (ptrdiff_t i = 0; i < p->images; i++) pack_rows(g, p, group, panel, i, 0, p->rows, to);
}

void fc_wgrad_pack_line(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t line, void *to) {
    for (ptrdiff_t j = 0; j < fc_panels_count(&g->panels); j++) {
        const fc_panel panel = fc_panels_get(&g->panels, j);
        pack_rows(g, p, group, &panel, line / p->rows, line % p->rows, 1, fc_at_mut(to, panel.first * p->pixels, g->esize));
    }
}

fc_wgrad_fetch fc_wgrad_fetch_next(const fc_wgrad_plan *g, ptrdiff_t block, ptrdiff_t end, ptrdiff_t groups) {
    fc_wgrad_fetch f = {0};
    if (block + 1 >= end || g->planar) return f;
    const fc_conv2d *const conv = g->conv;
    const fc_wgrad_part p = fc_wgrad_part_of(g, block + 1);
    const ptrdiff_t rows = (p.images - 1) * conv->h + p.rows * conv->stride_h, dy = p.pixels * conv->k * g->esize;
    f.x = fc_wgrad_input(g, &p, 0);
    f.x_end = f.x + (g->skip_h * g->skip_w == 1 ? rows * conv->w * conv->c * g->esize : 0);
    f.dy = fc_wgrad_gradient(g, &p, 0);
    f.dy_end = f.dy + dy;
    ptrdiff_t tiles = 0;
    for (ptrdiff_t i = 0; i < fc_panels_count(&g->panels); i++) tiles += fc_ceil_div(g->rows, fc_panels_get(&g->panels, i).kernels->mr);
    f.bytes = fc_ceil_div(f.x_end - f.x + dy, tiles * groups * p.pixels);
    return f;
}

const char *fc_wgrad_advance(fc_wgrad_fetch *f, ptrdiff_t bytes) {
    if (f->x < f->x_end) {
        f->x += bytes;
        return f->x < f->x_end ? f->x : f->dy;
    }
    f->dy += bytes;
    return f->dy < f->dy_end ? f->dy : NULL;
}
