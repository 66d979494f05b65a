#include "matrix.h"

#include <assert.h>

/* Of the sums, for all rows: what a group of columns needs for them stays in the first-level cache. */
enum { STEPS = 6 };

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
        ptrdiff_t at = terms->offset ? terms->offset[t * terms->length] : t * terms->step;
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

/* Sums of one group of rows and columns are complete. */
static void finish_group(const fc_matrix_job *job, const float *sums, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j, ptrdiff_t columns) {
    fc_matrix_finish_args args = *job->finish;
    args.sums = sums, args.ld = job->ld, args.rows = rows, args.columns = columns;
    args.out += i, args.column += j;
    if (args.bias) args.bias += j;
    job->kernels->finish(&args);
}

/* Rows that lie as far from each other everywhere: not where an image ends, or a row of one. */
static int lie_evenly(void *const *out, ptrdiff_t rows) {
    const ptrdiff_t step = rows > 1 ? (const char *)out[1] - (const char *)out[0] : 0;
    for (ptrdiff_t i = 2; i < rows; i++)
        if ((const char *)out[i] - (const char *)out[i - 1] != step) return 0;
    return step > 0;
}

/* Groups whose sums can be stored where they belong as they are: whole halves of rows that lie evenly. Bit i is that of group i. */
static uint64_t stored_directly(const fc_matrix_job *job) {
    uint64_t groups = 0;
    if (!job->finish || job->finish->relu) return groups;
    for (ptrdiff_t i = 0; i < fc_matrix_groups(job->rows); i++) {
        const ptrdiff_t rows = fc_min(FC_MATRIX_GROUP, job->rows - i * FC_MATRIX_GROUP);
        if (rows % FC_MATRIX_SIDE == 0 && lie_evenly(job->finish->out + i * FC_MATRIX_GROUP, rows)) groups |= (uint64_t)1 << i;
    }
    return groups;
}

void fc_matrix_multiply(const fc_matrix_job *job) {
    const ptrdiff_t steps = job->steps, rounds = fc_ceil_div(steps, STEPS), row_groups = fc_matrix_groups(job->rows);
    const ptrdiff_t each = job->far ? FC_MATRIX_STEP / row_groups : job->next_bytes / (row_groups * fc_matrix_groups(job->columns) * steps);
    const char *right = job->right, *next = job->next;
    const uint64_t direct = stored_directly(job);
    assert(steps > 0 && job->rows > 0 && row_groups <= 64);
    for (ptrdiff_t j = 0; j < job->columns; j += FC_MATRIX_GROUP) {
        const ptrdiff_t columns = fc_min(FC_MATRIX_GROUP, job->columns - j);
        for (ptrdiff_t round = 0, first = 0, end; round < rounds; round++, right += (end - first) * FC_MATRIX_STEP, first = end) {
            end = steps * (round + 1) / rounds;
            const ptrdiff_t some = end - first;
            const int last = round + 1 == rounds;
            if (job->far) next = right + some * FC_MATRIX_STEP;
            for (ptrdiff_t i = 0; i < job->rows; i += FC_MATRIX_GROUP, next += each * some) {
                const ptrdiff_t rows = fc_min(FC_MATRIX_GROUP, job->rows - i), group = i / FC_MATRIX_GROUP;
                const int directly = direct >> group & 1 && columns % FC_MATRIX_SIDE == 0, finishes = last && job->finish;
                const ptrdiff_t column = job->finish ? job->finish->column + j : 0;
                float *const sums = job->sums + group * job->row_group;
                fc_matrix_products_args args = {.left = job->left + (group * steps + first) * FC_MATRIX_STEP,
                                                .right = right,
                                                .steps = some,
                                                .rows = rows > FC_MATRIX_SIDE ? 2 : 1,
                                                .columns = columns > FC_MATRIX_SIDE ? 2 : 1,
                                                .out = sums,
                                                .ld = job->ld,
                                                .from = round > 0 ? sums : NULL,
                                                .from_ld = job->ld,
                                                .beside = job->beside,
                                                .left_each = job->left_each,
                                                .next = next,
                                                .next_bytes = each,
                                                .fetch_out = finishes ? job->finish->out + i : NULL,
                                                .fetch_column = column,
                                                .fetch_rows = finishes ? rows : 0};
                if (directly && round == 0 && job->finish->bias) args.from = job->finish->bias + j, args.from_ld = 0;
                if (directly && last) {
                    float *const *const out = (float *const *)job->finish->out + i;
                    args.out = out[0] + column, args.ld = out[1] - out[0];
                }
                job->kernels->products(&args);
                if (finishes && !directly) finish_group(job, sums, i, rows, j, columns);
            }
        }
    }
}
