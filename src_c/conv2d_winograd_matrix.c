/* Winograd's convolution with its products on a matrix unit: see matrix.h. The parts of all weights are made first. A task takes a block
 * of tiles from x to y: those of V are made position by position, while the products of the position before are made, and M takes V's place.
 * V is laid out as [position][tile][piece][c], M as [position][tiles / FC_MATRIX_GROUP][panel][FC_MATRIX_GROUP][nr]. */
#include "conv2d_winograd_choice.h"
#include "matrix.h"

#include <string.h>

/* The pieces that have taps at a position: all, but in the row or the column of positions where those that lack taps vanish. So positions are
 * of four kinds: in neither, in that column, in that row, in both. */
enum { KINDS = FC_WINOGRAD_POSITION_KINDS, PIECES = FC_WINOGRAD_PIECES * FC_WINOGRAD_PIECES };

static int kind_of(const fc_winograd_plan *p, int q) {
    const ptrdiff_t row = p->transposed ? 0 : p->rows.tile - 1, column = p->transposed ? 0 : p->cols.tile - 1;
    return p->whole ? 0 : 2 * (q / p->cols.tile == row) + (q % p->cols.tile == column);
}

static ptrdiff_t pieces_at(const fc_winograd_plan *p, int q, ptrdiff_t piece[PIECES]) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < p->pieces; i++)
        if (!fc_winograd_vanishes(p, i, 0, q)) piece[count++] = i;
    return count;
}

typedef fc_winograd_terms kinds;

static kinds kinds_of(const fc_winograd_plan *p) {
    kinds k = {0};
    for (int q = 0; q < p->positions; q++) {
        const int kind = kind_of(p, q);
        ptrdiff_t piece[PIECES];
        if (k.positions[kind]++ == 0) k.terms[kind] = pieces_at(p, q, piece) * p->c;
    }
    return k;
}

static ptrdiff_t panel_bytes(const kinds *k, int kind) { return fc_matrix_bytes(1, k->terms[kind]); }

static ptrdiff_t operand_bytes(ptrdiff_t panels, const kinds *k) {
    ptrdiff_t bytes = 0;
    for (int kind = 0; kind < KINDS; kind++) bytes += k->positions[kind] * panels * panel_bytes(k, kind);
    return bytes;
}

ptrdiff_t fc_winograd_parts_bytes(const fc_winograd_plan *p) {
    const kinds k = kinds_of(p);
    return operand_bytes(p->panels, &k);
}

/* Where the parts of each position begin. */
static void place_operand(const fc_winograd_plan *p, const kinds *k, ptrdiff_t at[FC_WINOGRAD_POSITIONS]) {
    ptrdiff_t bytes = 0;
    for (int q = 0; q < p->positions; q++) at[q] = bytes, bytes += p->panels * panel_bytes(k, kind_of(p, q));
}

/* Elements of V and M of a tile, and from position to position. */
static ptrdiff_t tile_elements(const fc_winograd_plan *p) { return fc_max(p->lanes, p->width); }
static ptrdiff_t position_step(const fc_winograd_plan *p, ptrdiff_t tiles) {
    return fc_round_up(tiles, FC_MATRIX_GROUP) * tile_elements(p) + FC_WINOGRAD_SKEW;
}

/* Whether the parts of all weights, so many bytes, pass through the second-level cache with every block. */
static int too_many(ptrdiff_t bytes) { return bytes > fc_l2_bytes() / 2; }

/* Tiles of a task, of so many elements: V stays in the second-level cache, beside the parts of all weights if those do, and what streams through. */
static ptrdiff_t block_of(ptrdiff_t elements, ptrdiff_t parts) {
    enum { MOST = 96 };
    const ptrdiff_t cache = fc_l2_bytes(), room = too_many(parts) ? cache / 8 * 7 : cache / 8 * 5 - parts;
    return fc_max(1, fc_min(MOST, room / (elements * (ptrdiff_t)sizeof(float))) / FC_MATRIX_GROUP) * FC_MATRIX_GROUP;
}

static ptrdiff_t block_tiles(const fc_winograd_plan *p) { return block_of(p->positions * tile_elements(p), fc_winograd_parts_bytes(p)); }

/* In cycles, as measured, for a tile and a position: of a step its parts and the products of a panel, and what it takes longer to put
 * together terms that do not fill their last step; and the parts of a line of weights. Many weights arrive slowly,
 * with every block of tiles, for vectors too; beyond
 * some number the unit, which reads three parts of each, is worth it for very many tiles only. */
fc_winograd_unit_cycles fc_winograd_matrix_cycles(const fc_winograd_products *s) {
    enum { MANY_TILES = 1024 };
    const fc_winograd_unit_cycles none = {0};
    if (!fc_kernels(FC_F32)->matrix || fc_kernels(FC_F32)->winograd.panel[0].nr != FC_MATRIX_GROUP) return none;
    if (s->pieces * s->c < FC_MATRIX_DEPTH || s->width < FC_MATRIX_GROUP) return none;
    const ptrdiff_t bytes = operand_bytes(s->panels, &s->of);
    if (bytes > (s->tiles < MANY_TILES ? 2 : 4) * fc_l2_bytes()) return none;
    const int far = too_many(bytes);
    const double block = far ? (double)block_of(s->tile_elements, bytes) : 1;
    const double product = far ? 15 + 288.0 / block : 14, parts = 30, rest = s->c % FC_MATRIX_DEPTH ? 35 : 0, line = far ? 60 : 25,
                 multiplied = far ? 23 : 28;
    const double tiles = (double)s->tiles, panels = (double)s->panels;
    double weights = 0, products = 0, vectors = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const double positions = (double)s->of.positions[kind], steps = (double)fc_matrix_steps(s->of.terms[kind]);
        if (positions > 0 && steps == 0) return none; /* sums of nothing */
        products += positions * tiles * (steps * (parts + panels * product) + rest);
        weights += positions * steps * panels * FC_MATRIX_GROUP * line;
        vectors += positions * tiles * (double)(s->of.terms[kind] * s->width) / multiplied;
    }
    return products + weights < 0.95 * vectors ? (fc_winograd_unit_cycles){1, products, weights} : none;
}

int fc_winograd_matrix_pays(const fc_winograd_plan *p) {
    if (!p->whole && p->shares > 1) return 0;
    const fc_winograd_products s = {.of = kinds_of(p),
                                    .pieces = p->pieces,
                                    .c = p->c,
                                    .panels = p->panels,
                                    .width = p->width,
                                    .tiles = p->tiles,
                                    .tile_elements = p->positions * tile_elements(p)};
    return fc_winograd_matrix_cycles(&s).pays;
}

/* What the parts of weights are made of, and where they go. A task takes a panel and FC_MATRIX_DEPTH input channels of a piece, which are a step of
 * their own, or all of its terms where steps do not end with pieces. */
typedef struct {
    const fc_winograd_plan *plan;
    const float *w, *u; /* one of them: the weights, or U */
    kinds kinds;
    ptrdiff_t at[FC_WINOGRAD_POSITIONS];
    char *operand;
    ptrdiff_t chunks; /* of a piece */
    ptrdiff_t depth;  /* input channels of a chunk */
    int apart;        /* whether a task takes one piece */
} parts_call;

/* U of the pieces and channels of a task, of one panel: where it is, or made in `space`. */
static const float *task_weights(const parts_call *call, const fc_winograd_columns *panel, fc_span pieces, fc_span channels, float *space,
                                 ptrdiff_t *position) {
    const fc_winograd_plan *const p = call->plan;
    const ptrdiff_t size = (channels.end - channels.first) * panel->nr;
    if (call->u) {
        *position = fc_winograd_u_position(p);
        return call->u + panel->at * p->depth + (pieces.first * p->c + channels.first) * panel->nr;
    }
    *position = (pieces.end - pieces.first) * size + FC_WINOGRAD_SKEW;
    float *const u = space + p->rows.r * p->cols.r * size;
    for (ptrdiff_t i = pieces.first; i < pieces.end; i++)
        fc_winograd_transform_some(p, call->w, i, panel, channels.first, channels.end, space, u + (i - pieces.first) * size, *position);
    return u;
}

static fc_status parts_task(const void *context, ptrdiff_t task) {
    const parts_call *const call = context;
    const fc_winograd_plan *const p = call->plan;
    const fc_matrix_kernels *const kernels = fc_kernels(FC_F32)->matrix;
    const ptrdiff_t each = call->apart ? p->pieces * call->chunks : 1, index = task / each, chunk = task % call->chunks;
    const ptrdiff_t piece = task % each / call->chunks;
    const fc_span pieces = {piece, call->apart ? piece + 1 : p->pieces};
    const fc_span channels = {chunk * call->depth, fc_min((chunk + 1) * call->depth, p->c)};
    const fc_winograd_columns panel = fc_winograd_panel_at(p, index);
    const ptrdiff_t size = (channels.end - channels.first) * panel.nr, all = (pieces.end - pieces.first) * size;
    const ptrdiff_t own = call->u ? 0 : p->rows.r * p->cols.r * size + p->positions * (all + FC_WINOGRAD_SKEW);
    float *const some = fc_scratch(FC_SLOT_TASK, (size_t)(all + own) * sizeof(float));
    if (!some) return FC_NO_MEMORY;
    ptrdiff_t position;
    const float *u = task_weights(call, &panel, pieces, channels, some + all, &position);
    for (int q = 0; q < p->positions; q++, u += position) {
        const int kind = kind_of(p, q);
        const ptrdiff_t steps = fc_matrix_steps(call->kinds.terms[kind]);
        char *const operand = call->operand + call->at[q] + index * panel_bytes(&call->kinds, kind);
        ptrdiff_t present[PIECES], before = 0, terms = 0;
        const ptrdiff_t count = pieces_at(p, q, present);
        for (ptrdiff_t i = 0; i < count; i++) {
            if (present[i] < pieces.first) before++;
            else if (present[i] < pieces.end) {
                if (count < p->pieces) memcpy(some + terms * size, u + (present[i] - pieces.first) * size, (size_t)size * sizeof(float));
                terms++;
            }
        }
        terms *= channels.end - channels.first;
        for (ptrdiff_t j = 0; j < panel.nr && terms > 0; j += FC_MATRIX_SIDE)
            kernels->right((count < p->pieces ? some : u) + j, panel.nr, terms, FC_MATRIX_SIDE, fc_matrix_steps(terms),
                           fc_matrix_half(operand, steps, j, before * call->chunks + chunk));
    }
    return FC_OK;
}

fc_status fc_winograd_make_parts(const fc_winograd_plan *p, const float *w, const float *u, void *operand) {
    parts_call call = {.plan = p, .w = w, .u = u, .kinds = kinds_of(p), .operand = operand, .chunks = 1, .depth = p->c};
    call.apart = p->pieces == 1 || p->c % FC_MATRIX_DEPTH == 0;
    if (call.apart) call.chunks = fc_matrix_steps(p->c), call.depth = FC_MATRIX_DEPTH;
    place_operand(p, &call.kinds, call.at);
    const double elements = (double)(p->depth * p->width);
    const ptrdiff_t tasks = p->panels * (call.apart ? p->pieces * call.chunks : 1);
    return fc_parallel_for(tasks, elements * (0.2 * p->positions + (u ? 0 : 4)), parts_task, &call);
}

/* A position that some tiles have, and their places: from a group's first on. None: no places. */
typedef struct {
    int q;
    fc_span places;
} position;

/* A block of tiles on its way. */
typedef struct {
    const fc_winograd_call *call;
    const fc_matrix_kernels *kernels;
    ptrdiff_t step; /* elements from position to position */
    float *v;
    kinds kinds;
    fc_matrix_pieces cut[KINDS];
    ptrdiff_t operand[FC_WINOGRAD_POSITIONS]; /* where the parts of weights begin */
    fc_winograd_order order;
    fc_winograd_extent reads, writes; /* of the next block, of this one */
    char *left[2];         /* the parts of one position and of the next, in turn */
    const float **rows[2];
    int turn;              /* where the parts of `now` are */
    position now, then;    /* that whose products are made, of a share; and the next */
    ptrdiff_t share;
    fc_matrix_left work;   /* the parts of the next, as far as they are made */
    fc_matrix_job job;
    fc_matrix_walk walk;
} block_state;

static ptrdiff_t places_of(const position *at) { return at->places.end - at->places.first; }

/* The first position from q on that some tiles have. */
static position find_position(const block_state *b, int q) {
    for (; q < b->call->plan.positions; q++) {
        const fc_span present = fc_winograd_present(&b->call->plan, &b->order, q);
        const ptrdiff_t first = present.first / FC_MATRIX_GROUP * FC_MATRIX_GROUP;
        if (present.end > first) return (position){q, {first, present.end}};
    }
    return (position){0};
}

/* The parts of the next position, from q on, none of them made. */
static void begin_parts(block_state *b, int q) {
    const fc_winograd_plan *const p = &b->call->plan;
    b->then = find_position(b, q);
    const float **const rows = b->rows[!b->turn];
    const float *from = b->v + b->then.q * b->step + b->then.places.first * p->lanes;
    for (ptrdiff_t i = 0; i < places_of(&b->then); i++, from += p->lanes) rows[i] = from;
    const int kind = kind_of(p, b->then.q);
    b->work.steps = fc_matrix_steps(b->kinds.terms[kind]);
    b->work.piece = b->cut[kind].piece, b->work.first = b->cut[kind].first, b->work.whole = b->cut[kind].whole;
    b->work.rows = rows, b->work.count = places_of(&b->then), b->work.row = b->work.step = 0, b->work.out = b->left[!b->turn];
}

static void begin_share(block_state *b, ptrdiff_t share) {
    const fc_winograd_plan *const p = &b->call->plan;
    b->share = share;
    b->job.right = b->call->operand + b->operand[b->now.q] + share * (p->panels / p->shares) * panel_bytes(&b->kinds, kind_of(p, b->now.q));
    b->job.sums = b->v + b->now.q * b->step + b->now.places.first * p->width + share * FC_MATRIX_GROUP * p->share_width;
    const ptrdiff_t half = p->positions / 2;
    const fc_winograd_extent *const extent = b->now.q < half ? &b->reads : &b->writes;
    b->job.next_bytes = extent->bytes / (half * p->shares), b->job.next = extent->begin + (b->now.q % half * p->shares + share) * b->job.next_bytes;
    fc_matrix_begin(&b->walk, &b->job);
}

/* The products of the next position. Its parts are made as far as they are not; those of the one after it are made beside the products,
 * but not beside the last: they take the place of the parts of the position before, whose last products may still be under way. */
static void begin_position(block_state *b) {
    b->kernels->left(&b->work);
    b->now = b->then, b->turn = !b->turn, b->job.steps = b->work.steps;
    begin_parts(b, b->now.q + 1);
    b->job.left = b->left[b->turn], b->job.rows = places_of(&b->now);
    const ptrdiff_t blocks = fc_matrix_groups(b->job.rows) * b->call->plan.panels;
    b->job.left_each = fc_ceil_div(b->work.count, fc_max(1, blocks - 1) * FC_MATRIX_PRODUCTS);
    begin_share(b, 0);
}

static int next_block(void *context, fc_matrix_block *block) {
    block_state *const b = context;
    const fc_winograd_plan *const p = &b->call->plan;
    while (!fc_matrix_next(&b->walk, block)) {
        if (b->share + 1 < p->shares) begin_share(b, b->share + 1);
        else if (places_of(&b->then) == 0) return 0;
        else begin_position(b);
    }
    if (b->share + 1 == p->shares && fc_matrix_ends(&b->walk)) block->left_each = 0;
    return 1;
}

/* How the terms of each kind of position are read, `bytes` each. */
static void cut_terms(block_state *b, char *space, size_t bytes) {
    const fc_winograd_plan *const p = &b->call->plan;
    int known[KINDS] = {0};
    for (int q = 0; q < p->positions; q++) {
        const int kind = kind_of(p, q);
        ptrdiff_t offset[PIECES];
        if (known[kind]) continue;
        known[kind] = 1;
        const ptrdiff_t count = pieces_at(p, q, offset);
        for (ptrdiff_t i = 0; i < count; i++) offset[i] *= p->lanes_c;
        const fc_matrix_terms terms = {.runs = count, .length = p->c, .step = 1, .offset = offset};
        b->cut[kind] = fc_matrix_cut(&terms, space);
        space += bytes;
    }
}

static fc_status tiles_task(const void *context, ptrdiff_t task) {
    const fc_winograd_call *const call = context;
    const fc_winograd_plan *const p = &call->plan;
    const ptrdiff_t first = task * call->block, count = fc_min(call->block, p->tiles - first), parts = fc_matrix_bytes(count, p->depth);
    block_state b = {.call = call,
                     .kernels = fc_kernels(FC_F32)->matrix,
                     .kinds = kinds_of(p),
                     .step = position_step(p, count),
                     .order = fc_winograd_order_of(p, first, count),
                     .reads = fc_winograd_reads(p, call->x, first + count, count),
                     .writes = fc_winograd_writes(p, call->pooled, call->y, first, count)};
    place_operand(p, &b.kinds, b.operand);
    const fc_matrix_terms all = {.runs = p->pieces, .length = p->c};
    const size_t tiles = (size_t)fc_round_up(p->positions * b.step * (ptrdiff_t)sizeof(float), FC_ALIGN), cut = fc_matrix_pieces_bytes(&all);
    const size_t pieces = (p->whole ? 1 : KINDS) * cut;
    char *const space = fc_scratch(FC_SLOT_TASK, tiles + pieces + (size_t)(2 * (parts + count * (ptrdiff_t)sizeof(void *))));
    if (!space) return FC_NO_MEMORY;
    b.v = (float *)space;
    cut_terms(&b, space + tiles, cut);
    for (int i = 0; i < 2; i++) {
        b.left[i] = space + tiles + pieces + i * parts;
        b.rows[i] = (const float **)(space + tiles + pieces + 2 * parts) + i * count;
    }
    b.job = (fc_matrix_job){.columns = p->share_width,
                            .row_group = FC_MATRIX_GROUP * p->width,
                            .column_group = FC_MATRIX_GROUP * FC_MATRIX_GROUP,
                            .tight = 1,
                            .far = too_many(operand_bytes(p->panels, &b.kinds))};

    const fc_winograd_v_layout layout = {.position = b.step, .block = p->kernels->lanes, .group = count, .tile_stride = p->lanes};
    const fc_status status = fc_winograd_input(p, (fc_span){0, p->pieces}, (fc_span){0, p->c}, call->x, first, count, b.order, &layout, b.v);
    if (status != FC_OK) return status;
    b.kernels->begin();
    begin_parts(&b, 0);
    b.share = p->shares - 1, b.walk = (fc_matrix_walk){.job = &b.job, .j = p->share_width};
    b.kernels->products(&(fc_matrix_stream){.beside = &b.work, .next = next_block, .context = &b});
    b.kernels->end();
    const fc_winograd_panels panels = fc_winograd_panels_at(call, 0);
    const fc_winograd_m_layout sums = {b.step, FC_MATRIX_GROUP, FC_MATRIX_GROUP * p->width, FC_MATRIX_GROUP, 0};
    return fc_winograd_output(call, &panels, first, count, b.order, &sums, b.v);
}

fc_status fc_winograd_by_matrix(fc_winograd_call *call) {
    const fc_winograd_plan *const p = &call->plan;
    if (!call->operand) {
        char *const operand = fc_scratch(FC_SLOT_CALL2, (size_t)fc_winograd_parts_bytes(p));
        if (!operand) return FC_NO_MEMORY;
        const fc_status status = fc_winograd_make_parts(p, call->w, call->packed, operand);
        if (status != FC_OK) return status;
        call->operand = operand;
    }
    call->group = p->panels;
    call->block = fc_winograd_whole_rows(p, fc_winograd_share(p->tiles, block_tiles(p), FC_MATRIX_GROUP));
    const double macs = (double)p->tiles * p->positions * (double)p->depth * (double)p->width;
    return fc_parallel_for(fc_ceil_div(p->tiles, call->block), fc_macs_ns(macs), tiles_task, call);
}
