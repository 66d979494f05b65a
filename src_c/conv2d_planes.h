/* Convolution of NCHW along its planes: what its parts share. */
#ifndef FC_CONV2D_PLANES_H
#define FC_CONV2D_PLANES_H

#include "conv2d_internal.h"
#include "matrix.h"

typedef struct {
    const fc_ukernels *kernels;
    ptrdiff_t esize, n;
    const void *in;
    ptrdiff_t h, w, c, in_planes; /* of planes that are read: c of an image's in_planes */
    void *out;
    ptrdiff_t oh, ow, k, out_planes; /* of planes that are written */
    ptrdiff_t kh, kw, stride_h, stride_w;
    ptrdiff_t first_y, first_x, step_y, step_x; /* tap (i, j) of output pixel (0, 0) reads (first_y + i * step_y, first_x + j * step_x) */
    ptrdiff_t min_y, min_x, extent_h, extent_w; /* what the taps of a pixel cover */
    fc_activation activation;

    const void **row; /* [tap][k], or [k] where a row has all taps */
    ptrdiff_t taps, depth;
    const void *ones; /* that a panel begins with where rows begin with the bias */

    int copy;
    ptrdiff_t row_ld, plane_ld, phase; /* of what panels are copied from; columns of a remainder of the stride */
    ptrdiff_t step_ld;                 /* from what an output row reads to what the next does */
    ptrdiff_t *offset;                 /* [kh * kw]: from a pixel's place there */
    ptrdiff_t block, blocks, rows;     /* pixels of a task; tasks of an image; output rows that one touches */
    fc_panels panels, last;            /* of a block, and of the last one */

    int matrix; /* on the matrix unit, where the weights are on the left */
    char *left;
    fc_matrix_pieces pieces;
    const float *bias;
} fc_planes;

/* Most panels of a block: runs of planes, long enough for the processor to fetch ahead. */
enum { FC_PLANES_PANELS = 8 };

static inline ptrdiff_t fc_planes_pixels(const fc_planes *p) { return p->oh * p->ow; }
static inline ptrdiff_t fc_planes_terms(const fc_planes *p) { return p->taps * p->depth; }

/* What follows from the sizes, of convolutions that read single pixels as they lie as well; and the tables of a call: of `rows` pointers to weights, and
 * `more` bytes that are returned, NULL if there is no memory. On the matrix unit all weights are made parts of. */
void fc_planes_plan(fc_planes *p);
char *fc_planes_tables(fc_planes *p, ptrdiff_t rows, ptrdiff_t more);
fc_status fc_planes_make_parts(fc_planes *p);
/* Pixels begin .. begin + pixels - 1 of image n, of all output planes: to out[k * out_ld]. */
fc_status fc_planes_block(const fc_planes *p, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t pixels, const fc_panels *panels, void *out, ptrdiff_t out_ld);
/* The time that the matrix unit takes, as a share of that of vectors; 1 where there is none, or it takes no less. */
double fc_planes_matrix_share(const fc_planes *p, ptrdiff_t terms);

#endif
