/* Products of float32 matrices on a matrix unit that multiplies bfloat16: part of the table in ukernels.h.
 *
 * A float is the sum of three bfloat16 numbers, its parts: x = x1 + x2 + x3. Of a product six parts are made, x1 y1 + x1 y2 + x2 y1 +
 * x1 y3 + x2 y2 + x3 y1, each exact, and added up in float32; what is left out is about half of the rounding of a product on average, and
 * at most four times that.
 * Compare G. Henry, P. T. P. Tang, A. Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
 * computations", ARITH 2019. A NaN or an infinity, or a magnitude that rounds to one in bfloat16 (from 3.39e38 on), makes every sum NaN that it is
 * part of. Parts below the least normal number are zero.
 *
 * An operand is cut into groups of FC_MATRIX_GROUP rows (on the left) or columns (on the right), a group into steps of
 * FC_MATRIX_DEPTH terms of the sums, a step into halves of FC_MATRIX_SIDE rows or columns, a half into the three parts:
 * [group][step][half][part][line][32], FC_MATRIX_STEP bytes a step. On the left a line is a row, on the right terms t and t + 16 of each
 * column; in a line, terms t and t + 16 lie side by side. */
#ifndef FC_UKERNELS_MATRIX_H
#define FC_UKERNELS_MATRIX_H

#include <stdint.h>

enum { FC_MATRIX_SIDE = 16, FC_MATRIX_GROUP = 2 * FC_MATRIX_SIDE, FC_MATRIX_DEPTH = 32, FC_MATRIX_PARTS = 3, FC_MATRIX_LINE = 64 };
#define FC_MATRIX_STEP (2 * FC_MATRIX_PARTS * FC_MATRIX_SIDE * FC_MATRIX_LINE)

/* Some of 16 terms side by side: those in `lanes` come from row i at rows[source + i][offset + lane]. */
typedef struct {
    ptrdiff_t source, offset;
    uint16_t lanes;
} fc_matrix_piece;

/* An operand on the left: `count` rows, lines that are left over keep what they hold. Terms 16 v .. 16 v + 15 of a row are pieces first[v] ..
 * first[v + 1] - 1, v < 2 * steps. Where whole[s] is not 0, it is the number of steps from s on whose terms lie side by side from
 * piece first[2 * s] on. It is a work that can be done in parts: the next of it is step `step` of row `row`. */
typedef struct {
    const float *const *rows;
    ptrdiff_t count, steps;
    const fc_matrix_piece *piece;
    const ptrdiff_t *first, *whole;
    void *out;
    ptrdiff_t row, step;
} fc_matrix_left;

/* Sums to where they belong: out[i][column + j] = act(bias[j] + row_bias[i] + sums[i * ld + j]), i < rows, j < columns <= FC_MATRIX_GROUP. */
typedef struct {
    const float *sums;
    ptrdiff_t ld, rows;
    const float *bias, *row_bias; /* or NULL */
    void *const *out;
    ptrdiff_t column, columns;
    int relu;
} fc_matrix_finish_args;

/* out[i * ld + j] = sum over the terms of `steps` steps, for 1 or 2 halves of a group of rows and of columns, and what it goes on from: from[i *
 * from_ld + j], with from_ld 0 the same for all rows; nothing if that is NULL. Halves that are not asked for are read nevertheless.
 * Meanwhile, FC_MATRIX_PRODUCTS times a step, left_each steps of what the stream has beside are done. And memory is fetched that need not
 * exist: with every step next_bytes of what begins at `next`, and spread over all steps the lines of
 * lines[i][column .. column + 31], i < line_count, to be written. Afterwards `finish` is done, if it has rows, while the block that follows
 * is on. */
enum { FC_MATRIX_PRODUCTS = 6 };
typedef struct {
    const void *left, *right;
    int rows, columns;
    ptrdiff_t steps;
    float *out;
    ptrdiff_t ld;
    const float *from;
    ptrdiff_t from_ld;
    ptrdiff_t left_each;
    const char *next;
    ptrdiff_t next_bytes;
    void *const *lines;
    ptrdiff_t column, line_count;
    fc_matrix_finish_args finish;
} fc_matrix_block;

/* Blocks, one after the other: `next` says which is next, or returns 0. It is asked before the products of the block before are made. */
typedef struct {
    fc_matrix_left *beside; /* or NULL */
    int (*next)(void *context, fc_matrix_block *block);
    void *context;
} fc_matrix_stream;

typedef struct {
    /* A thread calls the first before products, the second after them: until then the unit holds a state of its own. */
    void (*begin)(void);
    void (*end)(void);
    /* All of a work that is left. */
    void (*left)(fc_matrix_left *work);
    /* Halves of groups on the right, of `steps` steps, as many as hold `columns` columns: term t of column j is w[t * ld + j], t < terms;
     * others are zero. */
    void (*right)(const float *w, ptrdiff_t ld, ptrdiff_t terms, ptrdiff_t columns, ptrdiff_t steps, void *out);
    /* One half of a group on the left, of `steps` steps: term t of row i is rows[t][first + i], t < terms; others are zero. */
    void (*left_columns)(const float *const *rows, ptrdiff_t first, ptrdiff_t terms, ptrdiff_t steps, void *out);
    void (*products)(const fc_matrix_stream *stream);
} fc_matrix_kernels;

#endif
