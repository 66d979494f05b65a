/* The weight gradient, directly: what planning and moving data share. */
#ifndef FC_CONV2D_WGRAD_H
#define FC_CONV2D_WGRAD_H

#include "conv2d_internal.h"

typedef struct {
    const fc_conv2d *conv;
    const fc_ukernels *kernels;
    ptrdiff_t esize, groups, depth, k; /* of one group */
    const void *x, *dy;
    void *dw, *db;
    int bias_of_x; /* db has the sums of x's channels, which are those of single pixels in one group */

    ptrdiff_t rows; /* of dw in one group: taps * depth */
    fc_panels panels;
    ptrdiff_t panels_width;

    int planar;                               /* x and dy are NCHW: x is read along its planes, dy is turned */
    int copy;                                 /* the input of a block is copied; otherwise read where it is */
    ptrdiff_t skip_h, skip_w;                 /* the copy has every skip_h-th row and skip_w-th column */
    ptrdiff_t slab, slab_step;                /* channels that lie together in the copy, elements to the next such */
    ptrdiff_t ld, copy_h, copy_w, image_step; /* elements of a pixel, rows, pixels of a row, elements of an image */
    ptrdiff_t band, bands, images;            /* output rows of a block, bands of an image, images of a block */
    ptrdiff_t blocks, chunks;
    ptrdiff_t parts;                          /* tasks of a chunk, each of as many groups */
    int packed;                               /* dy is packed; otherwise read where it is */
    int flat;                                 /* all pixels of a block are equally far apart: they make one line */
    ptrdiff_t x_size, dy_size, acc_size;      /* elements of the three buffers of a block or chunk */
    ptrdiff_t *offset;
    void *acc; /* [chunk][group][panel][rows][nr], and behind it [chunk][columns of db] */

    ptrdiff_t group, block; /* where threads share a block: which */
    void *shared_x, *shared_dy;
    const struct fc_wgrad_work *shared;
} fc_wgrad_plan;

/* The part of the output that a block covers. */
typedef struct {
    ptrdiff_t n, images, row, rows, pixels;
} fc_wgrad_part;
fc_wgrad_part fc_wgrad_part_of(const fc_wgrad_plan *g, ptrdiff_t block);
/* Its input and dy, where they are. */
const void *fc_wgrad_input(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group);
const void *fc_wgrad_gradient(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group);
/* Where its rows begin, for the kernels. */
void fc_wgrad_fill_lines(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t *line);

/* Rows of the input that one image of a block copies; copies row r of them, of image i, with its padding. */
ptrdiff_t fc_wgrad_copied_rows(const fc_wgrad_plan *g, const fc_wgrad_part *p);
void fc_wgrad_copy_row(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t i, ptrdiff_t r, void *to);
/* Packs dy of a block for one panel; or output row `line` of its images for all panels. */
void fc_wgrad_pack_panel(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, const fc_panel *panel, void *to);
void fc_wgrad_pack_line(const fc_wgrad_plan *g, const fc_wgrad_part *p, ptrdiff_t group, ptrdiff_t line, void *to);

/* What is fetched while so many groups work on a block: the input and dy of the next one if it is before `end`, so many bytes with each pixel of a
 * tile. */
typedef struct {
    const char *x, *x_end, *dy, *dy_end;
    ptrdiff_t bytes;
} fc_wgrad_fetch;
fc_wgrad_fetch fc_wgrad_fetch_next(const fc_wgrad_plan *g, ptrdiff_t block, ptrdiff_t end, ptrdiff_t groups);
/* Moves on by what was fetched: what comes then, or NULL. */
const char *fc_wgrad_advance(fc_wgrad_fetch *f, ptrdiff_t bytes);

#endif
