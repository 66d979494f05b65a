#include "matrix.h"

#include <assert.h>

static ptrdiff_t pieces_at_most(const fc_matrix_terms *terms) { return 2 * fc_matrix_steps(terms->runs * terms->length) + terms->runs; }

size_t fc_matrix_pieces_bytes(const fc_matrix_terms *terms) {
    const ptrdiff_t steps = fc_matrix_steps(terms->runs * terms->length);
    return (size_t)fc_round_up(pieces_at_most(terms) * (ptrdiff_t)sizeof(fc_matrix_piece), FC_ALIGN) +
           (size_t)fc_round_up((3 * steps + 1) * (ptrdiff_t)sizeof(ptrdiff_t), FC_ALIGN);
}

/* Whether two vectors of terms lie side by side. */
static int follows(const fc_matrix_piece *a, const fc_matrix_piece *b, ptrdiff_t elements) {
    return a->source == b->source && b->offset == a->offset + elements;
}

fc_matrix_pieces fc_matrix_cut(const fc_matrix_terms *terms, void *space) {
    const ptrdiff_t steps = fc_matrix_steps(terms->runs * terms->length);
    fc_matrix_piece *const piece = space;
    ptrdiff_t *const first = (ptrdiff_t *)((char *)space + fc_round_up(pieces_at_most(terms) * (ptrdiff_t)sizeof *piece, FC_ALIGN));
    ptrdiff_t *const whole = first + 2 * steps + 1;
    ptrdiff_t count = 0, v = 0, lane = 0;
    first[0] = 0;
    for (ptrdiff_t t = 0; t < terms->runs; t++) {
        ptrdiff_t at = terms->offset ? terms->offset[t * terms->step] : t * terms->step;
        for (ptrdiff_t left = terms->length, n; left > 0; left -= n, at += n) {
            n = fc_min(left, FC_MATRIX_SIDE - lane);
            const fc_matrix_piece next = {t * terms->source, at - lane, (uint16_t)(((1u << n) - 1) << lane)};
            if (count > first[v] && follows(&piece[count - 1], &next, 0)) piece[count - 1].lanes |= next.lanes;
            else piece[count++] = next;
            lane = (lane + n) % FC_MATRIX_SIDE;
            if (lane == 0) first[++v] = count;
        }
    }
    while (v < 2 * steps) first[++v] = count;
    for (ptrdiff_t s = steps - 1; s >= 0; s--) {
        const fc_matrix_piece *const p = &piece[first[2 * s]];
        const int plain = first[2 * s + 1] - first[2 * s] == 1 && first[2 * s + 2] - first[2 * s + 1] == 1 && p[0].lanes == UINT16_MAX &&
                          p[1].lanes == UINT16_MAX && follows(&p[0], &p[1], FC_MATRIX_SIDE);
        whole[s] = !plain ? 0 : s + 1 < steps && whole[s + 1] && follows(&p[0], &p[2], FC_MATRIX_DEPTH) ? whole[s + 1] + 1 : 1;
    }
    return (fc_matrix_pieces){piece, first, whole};
}

/* Rows that lie as far from each other everywhere: not where an image ends, or a row of one. */
static int lie_evenly(void *const *out, ptrdiff_t rows) {
    const ptrdiff_t step = rows > 1 ? (const char *)out[1] - (const char *)out[0] : 0;
    for (ptrdiff_t i = 2; i < rows; i++)
        if ((const char *)out[i] - (const char *)out[i - 1] != step) return 0;
    return step > 0;
}

/* Groups whose sums can be stored where they belong as they are: whole halves of rows that lie evenly, which begin with this job. Bit i is that
 * of group i. */
static uint64_t stored_directly(const fc_matrix_job *job) {
    uint64_t groups = 0;
    if (!job->finish || job->finish->relu || job->finish->row_bias || job->accumulate) return groups;
    for (ptrdiff_t i = 0; i < fc_matrix_groups(job->rows); i++) {
        const ptrdiff_t rows = fc_min(FC_MATRIX_GROUP, job->rows - i * FC_MATRIX_GROUP);
        if (rows % FC_MATRIX_SIDE == 0 && lie_evenly(job->finish->out + i * FC_MATRIX_GROUP, rows)) groups |= (uint64_t)1 << i;
    }
    return groups;
}

/* Descriptions are written field by field, here and below: a copy of what was just written would wait until all stores before it, those of
 * products among them, are in memory. */
void fc_matrix_begin(fc_matrix_walk *walk, const fc_matrix_job *job) {
    const ptrdiff_t row_groups = fc_matrix_groups(job->rows);
    assert(job->steps > 0 && job->rows > 0 && row_groups <= 64);
    walk->job = job;
    walk->rounds = fc_ceil_div(job->steps, FC_MATRIX_ROUND);
    walk->each = 0; /* divisions take as long as products */
    if (job->far) walk->each = FC_MATRIX_STEP / row_groups;
    else if (job->next_bytes > 0) walk->each = job->next_bytes / (row_groups * fc_matrix_groups(job->columns) * job->steps);
    walk->direct = stored_directly(job);
    walk->right = job->right, walk->next = job->next;
    walk->j = walk->round = walk->i = 0;
}

int fc_matrix_next(void *context, fc_matrix_block *block) {
    fc_matrix_walk *const at = context;
    const fc_matrix_job *const job = at->job;
    if (at->j >= job->columns) return 0;
    const ptrdiff_t steps = job->steps, first = at->round == 0 ? 0 : steps * at->round / at->rounds;
    const ptrdiff_t some = (at->round + 1 == at->rounds ? steps : steps * (at->round + 1) / at->rounds) - first;
    const ptrdiff_t i = at->i, group = i / FC_MATRIX_GROUP, rows = fc_min(FC_MATRIX_GROUP, job->rows - i);
    const ptrdiff_t j = at->j, columns = fc_min(FC_MATRIX_GROUP, job->columns - j),
                    ld = job->tight && columns <= FC_MATRIX_SIDE ? FC_MATRIX_SIDE : FC_MATRIX_GROUP;
    const int last = at->round + 1 == at->rounds, finishes = last && job->finish, directly = at->direct >> group & 1 && columns % FC_MATRIX_SIDE == 0;
    float *const sums = job->sums + group * job->row_group + j / FC_MATRIX_GROUP * job->column_group;
    block->left = job->left + (group * steps + first) * FC_MATRIX_STEP, block->right = at->right;
    block->steps = some, block->rows = rows > FC_MATRIX_SIDE ? 2 : 1, block->columns = columns > FC_MATRIX_SIDE ? 2 : 1;
    block->out = sums, block->ld = ld;
    block->from = at->round > 0 || job->accumulate ? sums : NULL, block->from_ld = ld;
    block->left_each = job->left_each;
    const char *const follows = at->right + some * FC_MATRIX_STEP + (last ? job->right_skip : 0);
    block->next = job->far ? follows + group * at->each * some : at->next, block->next_bytes = at->each;
    block->line_count = finishes ? rows : 0, block->finish.rows = 0;
    if (finishes) {
        const fc_matrix_finish_args *const finish = job->finish;
        block->lines = finish->out + i, block->column = finish->column + j;
        if (!directly) {
            block->finish.sums = sums, block->finish.ld = ld, block->finish.rows = rows;
            block->finish.bias = finish->bias ? finish->bias + j : NULL;
            block->finish.row_bias = finish->row_bias ? finish->row_bias + i : NULL;
            block->finish.out = finish->out + i, block->finish.column = finish->column + j, block->finish.columns = columns;
            block->finish.relu = finish->relu;
        }
    }
    if (directly && at->round == 0 && job->finish->bias) block->from = job->finish->bias + j, block->from_ld = 0;
    if (directly && last) {
        float *const *const out = (float *const *)job->finish->out + i;
        block->out = out[0] + job->finish->column + j, block->ld = out[1] - out[0];
    }
    at->next += at->each * some;
    if ((at->i += FC_MATRIX_GROUP) < job->rows) return 1;
    at->i = 0, at->right = follows;
    if (++at->round == at->rounds) at->round = 0, at->j += FC_MATRIX_GROUP;
    return 1;
}

void fc_matrix_multiply(const fc_matrix_kernels *kernels, const fc_matrix_job *job, fc_matrix_left *beside) {
    fc_matrix_walk walk;
    fc_matrix_begin(&walk, job);
    kernels->products(&(fc_matrix_stream){.beside = beside, .next = fc_matrix_next, .context = &walk});
}
