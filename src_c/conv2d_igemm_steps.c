/* Weights that few pixels use: they are read from w_hwio once, in steps of the reduction, all panels of a task before the next step. Most are
 * taken where they are, several panels at a time by a pixel or two, for which the processor fetches by itself. The rows of a panel are far apart, in
 * few cache sets: where many pixels would read long ones, the rows of a step are copied into panels. */
#include "conv2d_igemm.h"

#include <assert.h>
#include <string.h>

enum {
    FEW_TILES = 2, /* copies would take longer than to read long rows where they are */
    IN_PLACE_TILES = 8, /* weights that so few use are not worth packing, */
    COPY_TILES = 11, /* nor, from copies of steps, those that so many use */
    LINE_PIXELS = 2, /* so few take long lines of weights */
    LINE_STEP = 64, /* rows of them in a step */
    STEP_BYTES = 32 << 10, /* of weights in a step of the reduction */
    LEAST_ROWS = 16, /* of a step */
    SHORT_BYTES = 1 << 10, /* rows of so many are short */
    REST_ROWS = 32, /* of those that whole vectors would reach behind */
    COPY_BYTES = 256 << 10, /* of weights in a step that is copied */
    COPY_ROWS = 8 /* read from end to end at once */
};

static ptrdiff_t pixels_of(const fc_igemm *g) { return g->n * g->grid_h * g->grid_w; }
static int by_lines(const fc_igemm *g) { return pixels_of(g) <= LINE_PIXELS; }
static int copies(const fc_igemm *g) { return pixels_of(g) > FEW_TILES * g->panels.main->mr && g->groups * g->k * g->esize > SHORT_BYTES; }

int fc_igemm_steps_pay(const fc_igemm *g) {
    const ptrdiff_t pixels = pixels_of(g), mr = g->panels.main->mr, bytes = g->groups * g->k * fc_igemm_reduction(g) * g->esize;
    const int far = 8 * bytes > 7 * fc_l2_bytes();
    if (copies(g)) return far && pixels <= COPY_TILES * mr;
    return pixels <= IN_PLACE_TILES * mr && (g->taps == 1 || (far && pixels <= FEW_TILES * mr));
}

/* Panels whose weights make a long line together. */
static ptrdiff_t line_panels(const fc_igemm *g) { return FC_GEMM_LINE * g->kernels->gemm.lanes / g->panels.main->nr; }

ptrdiff_t fc_igemm_steps_unit(const fc_igemm *g) {
    const int lines = by_lines(g) && fc_panels_count(&g->panels) >= fc_get_num_threads() * line_panels(g);
    return lines ? line_panels(g) : 1;
}

/* Columns of the panels of a task, at most. */
static ptrdiff_t task_width(const fc_igemm *g) {
    const ptrdiff_t units = fc_ceil_div(fc_panels_count(&g->panels), g->unit);
    return fc_ceil_div(units, g->splits) * g->unit * g->kernels->gemm.panel[0].nr;
}

/* Rows that are copied at once. */
static ptrdiff_t copied_rows(const fc_igemm *g) {
    return copies(g) ? fc_min(g->depth, fc_max(LEAST_ROWS, COPY_BYTES / (task_width(g) * g->esize))) : REST_ROWS;
}

/* Rows of a step. */
static ptrdiff_t step_rows(const fc_igemm *g) {
    return copies(g) ? copied_rows(g) : by_lines(g) ? LINE_STEP : fc_max(LEAST_ROWS, STEP_BYTES / (g->groups * g->k * g->esize));
}

/* Sums of a panel that is not full: sums that go on are read in whole vectors. */
static ptrdiff_t sums_bytes(const fc_igemm *g) { return fc_round_up(g->block * g->kernels->gemm.panel[0].nr * g->esize, FC_ALIGN); }

size_t fc_igemm_steps_bytes(const fc_igemm *g) { return (size_t)(sums_bytes(g) + copied_rows(g) * task_width(g) * g->esize); }

/* A task. */
typedef struct {
    const fc_igemm *g;
    fc_gemm_args *args;
    const void *const *rows; /* [tap * args->row_stride + pixel] */
    void *const *out;
    ptrdiff_t pixels, first, last; /* panels */
    const char *weights; /* of the group */
    ptrdiff_t column; /* of its first */
    void *sums[FC_STEPS_PIXELS]; /* of the pixels, for a panel that is not full */
} steps_task;

/* Rows at .. at + depth - 1 of the reduction, all of one tap, for a panel whose weights are at w. Returns where its sums are. */
static void *const *begin_panel(const steps_task *s, const fc_panel *p, ptrdiff_t at, ptrdiff_t depth, const void *w, ptrdiff_t ldw) {
    const fc_igemm *const g = s->g;
    fc_gemm_args *const args = s->args;
    args->taps = 1, args->depth = depth, args->w = w, args->ldw = ldw;
    args->bias = g->bias ? fc_at(g->bias, s->column + p->first, g->esize) : NULL;
    args->column = fc_panel_is_plain(p) ? s->column + p->first : 0;
    args->columns = (int)p->columns;
    args->accumulate = at > 0;
    args->relu = g->activation == FC_RELU && at + depth == fc_igemm_reduction(g);
    args->fetch = g->fetch, args->stream = 0;
    args->next = NULL;
    return fc_panel_is_plain(p) ? s->out : s->sums;
}

/* The rows of a step lie end to end where all panels are this task's: a share of the next is fetched with each step of each tile; else what the panel
 * will read. */
static void fetch_next(const steps_task *s, const fc_panel *p, ptrdiff_t panel, ptrdiff_t at, ptrdiff_t depth) {
    const fc_igemm *const g = s->g;
    const ptrdiff_t ldw = g->groups * g->k, panels = s->last - s->first, tiles = fc_ceil_div(s->pixels, g->panels.main->mr);
    const ptrdiff_t each = fc_ceil_div(ldw * g->esize, panels * tiles), rows = fc_min(depth, fc_igemm_reduction(g) - at - depth);
    const char *const next = fc_at(s->weights, (at + depth) * ldw, g->esize), *const end = next + rows * ldw * g->esize;
    fc_gemm_args *const args = s->args;
    if (g->groups == 1 && panels == fc_panels_count(&g->panels) && each <= FC_ALIGN)
        args->next = next + (panel - s->first) * depth * tiles * each, args->next_bytes = each, args->next_end = end;
    else if (rows == depth && !copies(g)) args->next = fc_at(next, p->first, g->esize), args->next_bytes = ldw * g->esize, args->next_end = end;
}

/* Of panels that are full, where they are. */
static void run_in_place(const steps_task *s, const void *const *from, ptrdiff_t at, ptrdiff_t depth) {
    const fc_igemm *const g = s->g;
    const ptrdiff_t ldw = g->groups * g->k, lines = by_lines(g) ? line_panels(g) : 0;
    for (ptrdiff_t i = s->first, count; i < s->last; i += count) {
        const fc_panel p = fc_panels_get(&g->panels, i);
        count = lines && i + lines <= fc_min(s->last, g->panels.bulk) ? lines : 1;
        if (!fc_panel_is_plain(&p)) continue;
        void *const *const out = begin_panel(s, &p, at, depth, fc_at(s->weights, at * ldw + p.first, g->esize), ldw);
        const fc_gemm_fn line[2] = {NULL, g->kernels->gemm.line};
        s->args->columns = (int)(count * p.columns);
        if (!lines) fetch_next(s, &p, i, at, depth);
        fc_panel_tiles(count > 1 ? line : p.kernels->gemm, count > 1 ? 1 : p.kernels->mr, s->args, from, out, s->pixels);
    }
}

/* `rows` rows of the weights from row `at` of the reduction on, of panel after panel. */
static void copy_rows(const steps_task *s, ptrdiff_t first, ptrdiff_t at, ptrdiff_t rows, char *to) {
    const fc_igemm *const g = s->g;
    const ptrdiff_t ldw = g->groups * g->k, begin = fc_panels_get(&g->panels, first).first;
    for (ptrdiff_t r = 0; r < rows; r += COPY_ROWS)
        for (ptrdiff_t i = first; i < s->last; i++) {
            const fc_panel p = fc_panels_get(&g->panels, i);
            g->kernels->frame.pack(fc_at(s->weights, (at + r) * ldw + p.first, g->esize), ldw, fc_min(COPY_ROWS, rows - r), p.columns,
                                   fc_at_mut(to, (p.first - begin) * rows + r * p.kernels->nr, g->esize), p.kernels->nr);
        }
}

/* Of all panels, from copies. */
static void run_copies(const steps_task *s, const void *const *from, ptrdiff_t at, ptrdiff_t depth, char *copy) {
    const fc_igemm *const g = s->g;
    const ptrdiff_t begin = fc_panels_get(&g->panels, s->first).first;
    copy_rows(s, s->first, at, depth, copy);
    for (ptrdiff_t i = s->first; i < s->last; i++) {
        const fc_panel p = fc_panels_get(&g->panels, i);
        void *const *const out = begin_panel(s, &p, at, depth, fc_at(copy, (p.first - begin) * depth, g->esize), p.kernels->nr);
        fetch_next(s, &p, i, at, depth);
        fc_panel_tiles(p.kernels->gemm, p.kernels->mr, s->args, from, out, s->pixels);
    }
}

/* Of a panel that is not full, where it is: its vectors reach into the rows that follow, for the last rows into a copy. */
static void run_rest(const steps_task *s, const fc_panel *p, ptrdiff_t tap, char *copy) {
    const fc_igemm *const g = s->g;
    const ptrdiff_t ldw = g->groups * g->k, nr = p->kernels->nr, reduction = fc_igemm_reduction(g);
    const ptrdiff_t missing = s->column + p->first + nr - ldw; /* behind the last row */
    const ptrdiff_t safe = fc_max(0, reduction - fc_ceil_div(fc_max(0, missing), ldw)), begin = tap * g->depth;
    const void *from[FC_STEPS_PIXELS];
    for (ptrdiff_t c = 0, depth; c < g->depth; c += depth) {
        const int copied = begin + c >= safe;
        depth = copied ? fc_min(g->depth - c, REST_ROWS) : fc_min(g->depth, safe - begin) - c;
        if (copied) copy_rows(s, s->last - 1, begin + c, depth, copy);
        for (ptrdiff_t m = 0; m < s->pixels; m++) from[m] = fc_at(s->rows[tap * s->args->row_stride + m], c, g->esize);
        const void *const w = copied ? copy : fc_at(s->weights, (begin + c) * ldw + p->first, g->esize);
        void *const *const out = begin_panel(s, p, begin + c, depth, w, copied ? nr : ldw);
        fc_panel_tiles(p->kernels->gemm, p->kernels->mr, s->args, from, out, s->pixels);
    }
}

void fc_igemm_run_steps(const fc_igemm *g, const fc_igemm_rows *r, ptrdiff_t stride, ptrdiff_t first, ptrdiff_t last) {
    fc_gemm_args args = {.row_stride = stride};
    const ptrdiff_t pixels = r->pixels, rows = step_rows(g), column = r->group * g->k;
    while (last > first && fc_panels_get(&g->panels, last - 1).kernels->terms > 1) last--;
    if (first == last) return;
    const fc_panel rest = fc_panels_get(&g->panels, last - 1);
    steps_task s = {g, &args, r->in, r->out, pixels, first, last, fc_at(g->weights, column, g->esize), column, {0}};
    char *const copy = (char *)r->space + sums_bytes(g);
    assert(pixels <= FC_STEPS_PIXELS && first < last);
    for (ptrdiff_t m = 0; m < pixels; m++) s.sums[m] = fc_at_mut(r->space, m * rest.kernels->nr, g->esize);
    for (ptrdiff_t t = 0; t < g->taps; t++) {
        const void *from[FC_STEPS_PIXELS];
        for (ptrdiff_t c = 0, depth; c < g->depth; c += depth) {
            depth = fc_min(rows, g->depth - c);
            for (ptrdiff_t m = 0; m < pixels; m++) from[m] = fc_at(r->in[t * stride + m], c, g->esize);
            if (copies(g)) run_copies(&s, from, t * g->depth + c, depth, copy);
            else run_in_place(&s, from, t * g->depth + c, depth);
        }
        if (!copies(g) && !fc_panel_is_plain(&rest)) run_rest(&s, &rest, t, copy);
    }
    for (ptrdiff_t m = 0; m < pixels && !fc_panel_is_plain(&rest); m++)
        memcpy(fc_at_mut(r->out[m], column + rest.first, g->esize), s.sums[m], (size_t)(rest.columns * g->esize));
}
