/* Products of matrices on the matrix unit, of any size: see ukernels_matrix.h. */
#ifndef FC_MATRIX_H
#define FC_MATRIX_H

#include "sizes.h"
#include "ukernels.h"

static inline ptrdiff_t fc_matrix_steps(ptrdiff_t terms) { return fc_ceil_div(terms, FC_MATRIX_DEPTH); }
static inline ptrdiff_t fc_matrix_groups(ptrdiff_t rows) { return fc_ceil_div(rows, FC_MATRIX_GROUP); }
/* Of the parts of so many rows or columns. */
static inline ptrdiff_t fc_matrix_bytes(ptrdiff_t rows, ptrdiff_t terms) { return fc_matrix_groups(rows) * fc_matrix_steps(terms) * FC_MATRIX_STEP; }
/* Where the parts of column j begin, a multiple of FC_MATRIX_SIDE, from a step on. */
static inline void *fc_matrix_half(void *operand, ptrdiff_t steps, ptrdiff_t j, ptrdiff_t step) {
    return (char *)operand + (j / FC_MATRIX_GROUP * steps + step) * FC_MATRIX_STEP + j % FC_MATRIX_GROUP / FC_MATRIX_SIDE * (FC_MATRIX_STEP / 2);
}

/* Steps of the sums that are made for all rows before the next: what a group of columns needs for them stays in the first-level cache. */
enum { FC_MATRIX_ROUND = 6 };

/* In cycles, as measured: a product, the parts of a line of an operand on the right, and of a row's sums of half a group. */
#define FC_MATRIX_PRODUCT_CYCLES 133
#define FC_MATRIX_RIGHT_CYCLES 25
#define FC_MATRIX_SUMS_CYCLES(steps) ((steps) > 1 ? 3 : 10)

/* How the terms of a row are read: what fc_matrix_left has of it. */
typedef struct {
    fc_matrix_piece *piece;
    ptrdiff_t *first, *whole;
} fc_matrix_pieces;

/* Terms in `runs` runs of `length` that lie side by side: run t of row i begins at rows[t * source + i][offset ? offset[t * step] : t * step]. */
typedef struct {
    ptrdiff_t runs, length, source, step;
    const ptrdiff_t *offset;
} fc_matrix_terms;
size_t fc_matrix_pieces_bytes(const fc_matrix_terms *terms);
fc_matrix_pieces fc_matrix_cut(const fc_matrix_terms *terms, void *space);

/* sums = left right, of at most 64 groups of rows. Those of groups of rows and of columns lie so many elements apart, with column_group 0 each
 * takes the place of the one before. Rows of a group lie FC_MATRIX_GROUP elements apart; `tight`: half of that where the last group has half
 * of the columns. Where `finish` is given, for row 0 and column 0, the sums of a group are done with when its turn comes. While products are
 * made, work goes on beside them, left_each steps with each of the FC_MATRIX_PRODUCTS of a step, and next_bytes of what begins at `next` are
 * fetched; or with `far` what follows on the right. */
typedef struct {
    const char *left, *right;
    ptrdiff_t rows, columns, steps;
    ptrdiff_t right_skip; /* bytes between a group of columns and the next */
    float *sums;
    ptrdiff_t row_group, column_group;
    int tight;
    int accumulate; /* to what the sums are */
    const fc_matrix_finish_args *finish; /* or NULL */
    ptrdiff_t left_each;
    const char *next;
    ptrdiff_t next_bytes;
    int far;
} fc_matrix_job;
void fc_matrix_multiply(const fc_matrix_kernels *kernels, const fc_matrix_job *job, fc_matrix_left *beside);

/* The same block by block, for streams of several jobs: where a job has got to. */
typedef struct {
    const fc_matrix_job *job;
    ptrdiff_t rounds, each; /* each: bytes to fetch with a step */
    uint64_t direct;        /* groups of rows that are stored where they belong */
    const char *right, *next;
    ptrdiff_t j, round, i;
} fc_matrix_walk;
void fc_matrix_begin(fc_matrix_walk *walk, const fc_matrix_job *job);
/* Its next block, or 0. */
int fc_matrix_next(void *walk, fc_matrix_block *block);
static inline int fc_matrix_ends(const fc_matrix_walk *walk) { return walk->j >= walk->job->columns; }

#endif
