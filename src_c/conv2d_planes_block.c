/* Convolution of NCHW along its planes: a block of pixels. */
#include "conv2d_planes.h"

#include <assert.h>
#include <string.h>

/* Of panels that are filled at once, from far away or from copies that are close. */
enum { GROUP_BYTES = 256 << 10, CLOSE_BYTES = 16 << 10 };

/* Whether a row of a band is read: row i of the kernel reads every stride_h-th. */
static int is_read(const fc_planes *p, ptrdiff_t row) {
    const ptrdiff_t step = fc_max(p->step_y, -p->step_y);
    for (ptrdiff_t i = 0; i < p->kh; i++)
        if (row >= i * step && (row - i * step) % p->stride_h == 0) return 1;
    return 0;
}

/* Rows of all planes that output rows first .. first + rows - 1 read, with their padding. With a stride those of a row that are read by taps
 * of the same remainder lie together. */
static void copy_band(const fc_planes *p, const void *in, ptrdiff_t first, ptrdiff_t rows, void *band) {
    const ptrdiff_t begin = first * p->stride_h + p->min_y, count = (rows - 1) * p->stride_h + p->extent_h;
    const ptrdiff_t remainders = p->kw == 1 ? 1 : p->stride_w;
    for (ptrdiff_t r = 0; r < count; r++) {
        const ptrdiff_t y = begin + r;
        if (p->stride_h > 1 && !is_read(p, r)) continue;
        for (ptrdiff_t c = 0; c < p->c; c++) {
            const void *const from = y >= 0 && y < p->h ? fc_at(in, (c * p->h + y) * p->w, p->esize) : NULL;
            const ptrdiff_t to = c * p->plane_ld + r / p->stride_h * p->step_ld + r % p->stride_h * p->row_ld;
            for (ptrdiff_t m = 0; m < remainders; m++)
                fc_copy_strided_row(&p->kernels->frame, from, p->w, p->stride_w, p->min_x + m, fc_at_mut(band, to + m * p->phase, p->esize), p->phase,
                                    p->esize);
        }
    }
}

/* Whether rows that are read, and those that are written, follow each other. */
static int together(const fc_planes *p) { return p->step_ld == p->ow; }

/* Some panels of the same width, side by side, from pixel `first` on, `step` elements apart: plane by plane, so that long runs are read. Of what they
 * read, `in` has the first row of the band that begins with output row `top`. */
static void fill_panels(const fc_planes *p, const void *in, ptrdiff_t top, ptrdiff_t first, ptrdiff_t columns, ptrdiff_t nr, ptrdiff_t step,
                        void *panels) {
    const ptrdiff_t lanes = p->kernels->gemm.lanes;
    ptrdiff_t from[FC_PIECES_MAX], to[FC_PIECES_MAX], count[FC_PIECES_MAX];
    fc_gather_args args = {.in = in,
                           .plane_ld = p->plane_ld,
                           .planes = p->c,
                           .offset = p->offset,
                           .taps = p->kh * p->kw,
                           .from = from,
                           .to = to,
                           .count = count,
                           .out = panels,
                           .nr = nr};
    /* Counted on, not divided: divisions take as long as a row of a panel. */
    const int runs_on = together(p);
    ptrdiff_t at = 0, panel = 0, j = first % p->ow, row = (first / p->ow - top) * p->step_ld;
    for (ptrdiff_t left = columns, run; left > 0; left -= run) {
        run = fc_min(nr - at, left);
        if (!runs_on) run = fc_min(run, p->ow - j);
        for (ptrdiff_t e = 0; e < run; e += lanes, args.pieces++) {
            assert(args.pieces < FC_PIECES_MAX);
            from[args.pieces] = row + j + e, to[args.pieces] = panel + at + e;
            count[args.pieces] = fc_min(lanes, run - e); /* what follows the last plane is not ours to read */
        }
        at += run, j += run;
        if (at == nr) at = 0, panel += step;
        if (!runs_on && j == p->ow) j = 0, row += p->step_ld;
    }
    p->kernels->frame.gather(&args);
}

/* The scratch memory of a task: where output channels begin, panels, what is copied, and for the matrix unit parts and sums. */
typedef struct {
    void **out;
    char *panel, *band, *parts;
    float *sums;
} space;

/* Elements from a panel to the next: a vector more than it has. */
static ptrdiff_t panel_step(const fc_planes *p, ptrdiff_t nr) {
    return fc_round_up(nr * fc_planes_terms(p), FC_ALIGN / p->esize) + FC_ALIGN / p->esize;
}

/* Panels that are filled at once, as many as stay in the second-level cache, or in the first where no long runs would be read; one on the matrix unit. */
static ptrdiff_t panels_at_once(const fc_planes *p, ptrdiff_t nr) {
    const ptrdiff_t bytes = together(p) ? GROUP_BYTES : CLOSE_BYTES,
                    pieces = FC_PIECES_MAX / (2 * nr / p->kernels->gemm.lanes + (together(p) ? 0 : nr / p->ow + 1));
    return p->matrix ? 1 : fc_max(1, fc_min(fc_min(FC_PLANES_PANELS, pieces), bytes / (panel_step(p, nr) * p->esize)));
}

static int make_space(const fc_planes *p, space *s) {
    const ptrdiff_t width = p->kernels->gemm.panel[0].nr, step = panel_step(p, width), out = fc_round_up(p->k * (ptrdiff_t)sizeof(void *), FC_ALIGN);
    const ptrdiff_t panel = fc_max(step * p->esize, p->matrix ? 0 : fc_min(FC_PLANES_PANELS * step * p->esize, GROUP_BYTES));
    const ptrdiff_t band = p->copy ? fc_round_up(p->c * p->plane_ld * p->esize, FC_ALIGN) : 0;
    const ptrdiff_t parts = p->matrix ? fc_matrix_bytes(width, fc_planes_terms(p)) : 0;
    const ptrdiff_t sums = p->matrix ? fc_matrix_groups(p->k) * FC_MATRIX_GROUP * FC_MATRIX_GROUP * (ptrdiff_t)sizeof(float) : 0;
    char *const at = fc_scratch(FC_SLOT_TASK, (size_t)(out + panel + band + parts + sums));
    if (!at) return 0;
    s->out = (void **)at, s->panel = at + out, s->band = s->panel + panel;
    s->parts = s->band + band, s->sums = (float *)(s->parts + parts);
    return 1;
}

/* On vectors: the pixels that a panel has, all output channels. Meanwhile `next_bytes` of every plane are fetched from `next` on: down the planes, two
 * lines of each with FC_STEPS steps, strip after strip. */
static void run_panel(const fc_planes *p, const space *s, const fc_panel *panel, const void *w, const char *next, ptrdiff_t next_bytes) {
    const ptrdiff_t plane = p->plane_ld * p->esize, strip = 2 * FC_ALIGN, steps = fc_planes_terms(p) / FC_STEPS;
    const ptrdiff_t each = next_bytes > 0 && steps > 0 ? fc_ceil_div(p->c, steps) * panel->kernels->mr : p->k; /* output channels beside a strip */
    fc_gemm_args args = {.row_stride = p->k,
                         .taps = p->taps,
                         .depth = p->depth,
                         .w = w,
                         .ldw = panel->kernels->nr,
                         .next_bytes = plane / FC_STEPS,
                         .column = panel->first,
                         .columns = (int)panel->columns,
                         .relu = p->activation == FC_RELU,
                         .fetch = 1};
    for (ptrdiff_t k = 0, count; k < p->k; k += count, next_bytes -= strip) {
        args.next = next_bytes > 0 ? next : NULL, args.next_end = next_bytes > 0 ? next + p->c * plane : NULL;
        count = next_bytes > 0 ? fc_min(each, p->k - k) : p->k - k;
        fc_panel_tiles(panel->kernels->gemm, panel->kernels->mr, &args, p->row + k, s->out + k, count);
        next += strip;
    }
}

/* On the matrix unit: `count` pixels whose terms are ld elements apart. */
static void run_matrix(const fc_planes *p, const space *s, const float *from, ptrdiff_t ld, ptrdiff_t first, ptrdiff_t count) {
    const fc_matrix_kernels *const kernels = p->kernels->matrix;
    const ptrdiff_t steps = fc_matrix_steps(fc_planes_terms(p));
    kernels->right(from, ld, fc_planes_terms(p), count, steps, s->parts);
    const fc_matrix_finish_args finish = {.row_bias = p->bias, .out = s->out, .column = first, .relu = p->activation == FC_RELU};
    const fc_matrix_job job = {.left = p->left,
                               .right = s->parts,
                               .rows = p->k,
                               .columns = count,
                               .steps = steps,
                               .sums = s->sums,
                               .row_group = FC_MATRIX_GROUP * FC_MATRIX_GROUP,
                               .finish = &finish};
    fc_matrix_multiply(kernels, &job, NULL);
}

/* Panels index, index + 1, ... of the same width: how many are filled at once. */
static ptrdiff_t alike(const fc_planes *p, const fc_panels *panels, ptrdiff_t index) {
    const ptrdiff_t nr = fc_panels_get(panels, index).kernels->nr, end = fc_min(fc_panels_count(panels), index + panels_at_once(p, nr));
    ptrdiff_t i = index + 1;
    while (i < end && fc_panels_get(panels, i).kernels->nr == nr) i++;
    return i - index;
}

fc_status fc_planes_block(const fc_planes *p, ptrdiff_t n, ptrdiff_t begin, ptrdiff_t pixels, const fc_panels *panels, void *out, ptrdiff_t out_ld) {
    const ptrdiff_t top = begin / p->ow, rows = (begin + pixels - 1) / p->ow - top + 1, esize = p->esize;
    const ptrdiff_t lead = fc_planes_terms(p) - p->kh * p->kw * p->c; /* rows of ones for the bias */
    const int dense = p->kh * p->kw == 1 && together(p), in_place = !p->copy && dense, as_it_lies = p->matrix && dense;
    const void *const image = fc_at(p->in, n * p->in_planes * p->h * p->w, esize), *source = fc_at(image, top * p->stride_h * p->w, esize);
    space s;
    if (!make_space(p, &s)) return FC_NO_MEMORY;
    for (ptrdiff_t k = 0; k < p->k; k++) s.out[k] = fc_at_mut(out, k * out_ld, esize);
    if (p->copy) {
        copy_band(p, image, top, rows, s.band);
        source = s.band;
    }
    if (p->matrix) p->kernels->matrix->begin();
    for (ptrdiff_t i = 0, count; i < fc_panels_count(panels); i += count) {
        const fc_panel first = fc_panels_get(panels, i);
        const ptrdiff_t nr = first.kernels->nr, step = panel_step(p, nr), bytes = nr * esize;
        count = alike(p, panels, i);
        const ptrdiff_t columns = fc_min(count * nr, pixels - first.first);
        for (ptrdiff_t j = 0; j < count && lead; j++) memcpy(fc_at_mut(s.panel, j * step, esize), p->ones, (size_t)bytes);
        if (!as_it_lies) fill_panels(p, source, top, begin + first.first, columns, nr, step, fc_at_mut(s.panel, lead * nr, esize));
        for (ptrdiff_t j = 0; j < count; j++) {
            const fc_panel panel = fc_panels_get(panels, i + j);
            if (as_it_lies)
                run_matrix(p, &s, fc_at(source, p->offset[0] + begin - top * p->ow + panel.first, esize), p->plane_ld, panel.first, panel.columns);
            else if (p->matrix) run_matrix(p, &s, (const float *)s.panel, nr, panel.first, panel.columns);
            else {
                /* What will be in this panel's place, in whole strips: of panels half as wide every other one fetches. */
                const ptrdiff_t ahead = p->offset[0] + begin + panel.first + count * nr, odd = bytes < 2 * FC_ALIGN && j % 2;
                const int more = in_place && ahead < p->offset[0] + fc_planes_pixels(p);
                run_panel(p, &s, &panel, fc_at(s.panel, j * step, esize), fc_at(image, ahead, esize), more && !odd ? fc_max(bytes, 2 * FC_ALIGN) : 0);
            }
        }
    }
    if (p->matrix) p->kernels->matrix->end();
    if (fc_in_registers(p->activation)) return FC_OK;
    for (ptrdiff_t k = 0; k < p->k; k++) p->kernels->elementwise.activation[p->activation](s.out[k], s.out[k], pixels);
    return FC_OK;
}
