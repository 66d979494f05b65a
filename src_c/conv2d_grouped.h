/* What the files of grouped convolution share. */
#ifndef FC_CONV2D_GROUPED_H
#define FC_CONV2D_GROUPED_H

#include "conv2d_internal.h"

/* From rows to rows: forward, or to the gradient of the input. */
typedef struct {
    fc_conv2d conv;
    int gradient, stream;
    const fc_ukernels *kernels;
    ptrdiff_t esize;
    const void *in, *weights, *bias; /* weights: [taps][planes][out_c] */
    void *out;
    ptrdiff_t h, w, oh, ow; /* of `in` and `out` */
    ptrdiff_t in_c, out_c, planes, times; /* channels of `in` and `out`, and those of one group */
    ptrdiff_t copied;       /* planes of the copies: `planes`, or one of which kernels make them with `lanes` */
    int32_t lanes[FC_GROUPED_LANES_MAX];
    ptrdiff_t held;         /* rows of the input that a task keeps copies of, 0: they are read where they are */
    int flat, reaches;      /* kernels take several pixels of few channels as a vector, or read whole vectors of which they are a part */
    const void *tail;       /* a copy of the last row of the input, behind which a vector may be read, or NULL */
    ptrdiff_t left, copy_w; /* columns of the input that are copied: the first, and how many */
    ptrdiff_t chunk, chunks; /* output channels of a task */
    ptrdiff_t lines;         /* rows of the output that a kernel computes at once */
    int walks_lines;         /* whether there are kernels that walk along a single one as well */
    const void *zeros;       /* a row of the input, or of its copies, in the place of those outside; NULL: they are left out */
    ptrdiff_t parts, images; /* tasks of an image, or images of a task */
} fc_grouped_map;

/* The gradient of the input by rows: unless rows are copied (`held`) any rows of any image can be computed, each time with FC_SLOT_TASK;
 * FC_SLOT_CALL stays in use. Rows begin at an even one, and are two at least where the image has two. */
fc_status fc_grouped_plan_input(const fc_conv2d *conv, const void *dy, const void *w, void *dx, fc_grouped_map *job);
fc_status fc_grouped_input_rows(const fc_grouped_map *job, ptrdiff_t image, ptrdiff_t begin, ptrdiff_t end);

/* Whether there are kernels that make the planes of groups of `planes` channels of their input and `times` of their output, and the lanes of
 * each plane for them. */
int fc_grouped_in_registers(const fc_ukernels *kernels, ptrdiff_t planes, ptrdiff_t times);
void fc_grouped_lanes(const fc_ukernels *kernels, ptrdiff_t planes, ptrdiff_t times, int32_t *lanes);
/* Whether these kernels serve one pass. */
int fc_grouped_makes_planes(const fc_conv2d *conv, int gradient);
/* Elements from pixel to pixel of the copies that they read. */
ptrdiff_t fc_grouped_step(const fc_ukernels *kernels, ptrdiff_t channels, ptrdiff_t esize);
/* How groups become planes, or are copied `whole`. */
fc_spread_args fc_grouped_spread(ptrdiff_t groups, ptrdiff_t planes, ptrdiff_t times, int whole, ptrdiff_t from_step, ptrdiff_t to_step,
                                 ptrdiff_t plane);

#endif
