/* The matrix unit of x86-64: AMX with bfloat16. Everything else is as for avx512, see isa_avx512.c. */
#include "../ukernels.h"

#if defined(FC_AMX)
#include <immintrin.h>

#define FC_ISA_AMX
#include "target_begin.h"

typedef char line[FC_MATRIX_LINE];
typedef line part[FC_MATRIX_SIDE];
typedef part half[FC_MATRIX_PARTS];
typedef half step[2];

/* LDTILECFG's layout: palette 1, eight tiles of 16 lines of 64 bytes. */
static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t line_bytes[16];
    uint8_t lines[16];
} configuration = {.palette = 1, .line_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .lines = {16, 16, 16, 16, 16, 16, 16, 16}};

static void amx_begin(void) { _tile_loadconfig(&configuration); }

static void amx_end(void) { _tile_release(); }

static inline __m512i upper_halves(__m512i x) { return _mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000u)); }

/* Part p, in the upper halves, of what is left of numbers after the parts before. The first is rounded, halves away from zero, so that what is
 * left has no sign of its own; the others are cut off. The third has no more bits than fit. */
static inline __m512i take_part(__m512 *x, int p) {
    __m512i part = _mm512_castps_si512(*x);
    if (p == 0) part = _mm512_add_epi32(part, _mm512_set1_epi32(0x8000));
    if (p + 1 < FC_MATRIX_PARTS) *x = _mm512_sub_ps(*x, _mm512_castsi512_ps(upper_halves(part)));
    return part;
}

/* A line of each part, from terms 0 .. 15 and 16 .. 31. */
static inline void split(__m512 low, __m512 high, line *const out) {
    for (int p = 0; p < FC_MATRIX_PARTS; p++) {
        const __m512i a = take_part(&low, p), b = take_part(&high, p);
        _mm512_storeu_si512(out + p * FC_MATRIX_SIDE, _mm512_or_si512(_mm512_srli_epi32(a, 16), upper_halves(b)));
    }
}

static inline __m512 gather(const fc_matrix_left *left, ptrdiff_t vector) {
    __m512 x = _mm512_setzero_ps();
    for (ptrdiff_t i = left->first[vector]; i < left->first[vector + 1]; i++) {
        const fc_matrix_piece *const piece = &left->piece[i];
        x = _mm512_mask_loadu_ps(x, piece->lanes, left->rows[piece->source + left->row] + piece->offset);
    }
    return x;
}

static inline line *line_of(const fc_matrix_left *left, ptrdiff_t row, ptrdiff_t s) {
    step *const out = (step *)left->out + row / FC_MATRIX_GROUP * left->steps + s;
    return &(*out)[row / FC_MATRIX_SIDE % 2][0][row % FC_MATRIX_SIDE];
}

/* The next n steps of a work, at most, where the terms of a row lie side by side: without branches that are hard to predict. */
static inline __attribute__((always_inline)) void split_whole_rows(fc_matrix_left *left, ptrdiff_t n) {
    const fc_matrix_piece *const piece = &left->piece[left->first[0]];
    const ptrdiff_t steps = left->steps, offset = piece->offset;
    const float *const *const rows = left->rows + piece->source;
    ptrdiff_t row = left->row, s = left->step;
    for (; n > 0 && row < left->count; n--) {
        const float *const x = rows[row] + offset + s * FC_MATRIX_DEPTH;
        split(_mm512_loadu_ps(x), _mm512_loadu_ps(x + FC_MATRIX_SIDE), line_of(left, row, s));
        const ptrdiff_t ends = ++s == steps;
        row += ends, s &= ends - 1;
    }
    left->row = row, left->step = s;
}

/* The same for any rows. */
static __attribute__((noinline)) void split_any_rows(fc_matrix_left *left, ptrdiff_t n) {
    while (n > 0 && left->row < left->count) {
        const ptrdiff_t whole = left->whole[left->step], some = whole < n ? whole : n;
        line *out = line_of(left, left->row, left->step);
        if (some > 0) {
            const fc_matrix_piece *const piece = &left->piece[left->first[2 * left->step]];
            const float *x = left->rows[piece->source + left->row] + piece->offset;
            for (ptrdiff_t i = 0; i < some; i++, x += FC_MATRIX_DEPTH, out += FC_MATRIX_STEP / FC_MATRIX_LINE)
                split(_mm512_loadu_ps(x), _mm512_loadu_ps(x + FC_MATRIX_SIDE), out);
            left->step += some, n -= some;
        } else {
            split(gather(left, 2 * left->step), gather(left, 2 * left->step + 1), out);
            left->step++, n--;
        }
        if (left->step == left->steps) left->step = 0, left->row++;
    }
}

static inline __attribute__((always_inline)) void split_some(fc_matrix_left *left, ptrdiff_t n) {
    if (left->whole[0] == left->steps) split_whole_rows(left, n);
    else split_any_rows(left, n);
}

static void amx_left(fc_matrix_left *left) { split_some(left, (left->count - left->row) * left->steps - left->step); }

static void amx_right(const float *w, ptrdiff_t ld, ptrdiff_t terms, ptrdiff_t columns, ptrdiff_t steps, void *to) {
    const __mmask16 rest = (__mmask16)((1u << (columns % FC_MATRIX_SIDE)) - 1);
    for (ptrdiff_t s = 0; s < steps; s++)
        for (ptrdiff_t t = 0; t < FC_MATRIX_SIDE; t++) {
            const ptrdiff_t low = s * FC_MATRIX_DEPTH + t, high = low + FC_MATRIX_SIDE;
            for (ptrdiff_t j = 0; j < columns; j += FC_MATRIX_SIDE) {
                const __mmask16 lanes = columns - j < FC_MATRIX_SIDE ? rest : (__mmask16)UINT16_MAX;
                step *const out = (step *)to + j / FC_MATRIX_GROUP * steps + s;
                _mm_prefetch((const char *)(w + (low + FC_MATRIX_DEPTH) * ld + j), _MM_HINT_T0); /* which need not exist */
                _mm_prefetch((const char *)(w + (high + FC_MATRIX_DEPTH) * ld + j), _MM_HINT_T0);
                split(_mm512_maskz_loadu_ps(low < terms ? lanes : 0, w + low * ld + j),
                      _mm512_maskz_loadu_ps(high < terms ? lanes : 0, w + high * ld + j), &(*out)[j / FC_MATRIX_SIDE % 2][0][t]);
            }
        }
}

/* x[i] is column i of 16 rows, from `first` on; rows from `count` on are zero. */
static inline __attribute__((always_inline)) void load_columns(const float *const *rows, ptrdiff_t first, ptrdiff_t count, __m512 *const x) {
    __m512 a[FC_MATRIX_SIDE], b[FC_MATRIX_SIDE];
    for (int i = 0; i < FC_MATRIX_SIDE; i++) a[i] = i < count ? _mm512_loadu_ps(rows[i] + first) : _mm512_setzero_ps();
    for (int i = 0; i < FC_MATRIX_SIDE; i += 2) b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    for (int i = 0; i < FC_MATRIX_SIDE; i += 4)
        for (int j = 0; j < 2; j++) {
            const __m512d low = _mm512_castps_pd(b[i + j]), high = _mm512_castps_pd(b[i + j + 2]);
            a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    /* a[4 g + c]: of rows 4 g .. 4 g + 3 columns c, c + 4, c + 8, c + 12 */
    for (int c = 0; c < 4; c++) {
        const __m512 even0 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88), odd0 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
        const __m512 even1 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88), odd1 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        x[c] = _mm512_shuffle_f32x4(even0, even1, 0x88);
        x[c + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
        x[c + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        x[c + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
}

static void amx_left_columns(const float *const *rows, ptrdiff_t first, ptrdiff_t terms, ptrdiff_t steps, void *to) {
    step *out = to;
    for (ptrdiff_t s = 0; s < steps; s++, out++, rows += FC_MATRIX_DEPTH, terms -= FC_MATRIX_DEPTH) {
        __m512 low[FC_MATRIX_SIDE], high[FC_MATRIX_SIDE];
        load_columns(rows, first, terms, low);
        load_columns(rows + FC_MATRIX_SIDE, first, terms - FC_MATRIX_SIDE, high);
        for (int i = 0; i < FC_MATRIX_SIDE; i++) split(low[i], high[i], &(*out)[0][0][i]);
    }
}

/* What is done beside the products: a part of it with each. */
typedef struct {
    fc_matrix_left *left;
    ptrdiff_t left_each;
    const char *next;
    ptrdiff_t owed, next_each; /* bytes */
    void *const *lines;
    ptrdiff_t column, line_count, lines_each;
    const fc_matrix_finish_args *finish;
    ptrdiff_t finished, finish_each;
} tasks;

/* Rows `finished` .. `end` - 1. */
static inline void finish_some(const fc_matrix_finish_args *args, ptrdiff_t finished, ptrdiff_t end) {
    const __mmask32 all = (__mmask32)(((uint64_t)1 << args->columns) - 1);
    const __mmask16 low = (__mmask16)all, high = (__mmask16)(all >> FC_MATRIX_SIDE);
    const __m512 bias_low = args->bias ? _mm512_maskz_loadu_ps(low, args->bias) : _mm512_setzero_ps();
    const __m512 bias_high = args->bias ? _mm512_maskz_loadu_ps(high, args->bias + FC_MATRIX_SIDE) : _mm512_setzero_ps();
    const __m512 least = _mm512_set1_ps(args->relu ? 0.0f : -__builtin_inff()); /* max(least, y) is y where that is NaN */
    const float *sums = args->sums + finished * args->ld;
    for (ptrdiff_t i = finished; i < end; i++, sums += args->ld) {
        float *const out = (float *)args->out[i] + args->column;
        const __m512 of_row = _mm512_set1_ps(args->row_bias ? args->row_bias[i] : -0.0f); /* x + -0 is x */
        _mm512_mask_storeu_ps(out, low, _mm512_max_ps(least, _mm512_add_ps(of_row, _mm512_add_ps(_mm512_loadu_ps(sums), bias_low))));
        if (high)
            _mm512_mask_storeu_ps(out + FC_MATRIX_SIDE, high,
                                  _mm512_max_ps(least, _mm512_add_ps(of_row, _mm512_add_ps(_mm512_loadu_ps(sums + FC_MATRIX_SIDE), bias_high))));
    }
}

static inline __attribute__((always_inline)) void do_some(tasks *t) {
    if (t->left_each > 0) split_some(t->left, t->left_each);
    for (t->owed += t->next_each; t->owed >= FC_MATRIX_LINE; t->owed -= FC_MATRIX_LINE, t->next += FC_MATRIX_LINE) _mm_prefetch(t->next, _MM_HINT_T1);
    for (ptrdiff_t i = 0; i < t->lines_each && t->line_count > 0; i++, t->line_count--, t->lines++) {
        const float *const line = (const float *)*t->lines + t->column;
        __builtin_prefetch(line, 1);
        __builtin_prefetch(line + FC_MATRIX_SIDE, 1);
    }
    if (t->finished < t->finish->rows) {
        const ptrdiff_t end = t->finished + t->finish_each < t->finish->rows ? t->finished + t->finish_each : t->finish->rows;
        finish_some(t->finish, t->finished, end);
        t->finished = end;
    }
}

/* Tiles 0 .. 3 are sums, 4 and 5 from the left, 6 and 7 from the right. */
#define LOAD(tile, p) _tile_loadd(tile, p, FC_MATRIX_LINE)
#define LOAD_LEFT(p)        \
    LOAD(4, (*left)[0][p]); \
    LOAD(5, (*left)[1][p])
#define LOAD_RIGHT(p)        \
    LOAD(6, (*right)[0][p]); \
    LOAD(7, (*right)[1][p])
#define MULTIPLY                                           \
    do_some(t);                                            \
    _tile_dpbf16ps(0, 4, 6);                               \
    if (columns == 2) _tile_dpbf16ps(1, 4, 7);             \
    if (rows == 2) _tile_dpbf16ps(2, 5, 6);                \
    if (rows == 2 && columns == 2) _tile_dpbf16ps(3, 5, 7)
#define LOAD_FIRST \
    LOAD_LEFT(2);  \
    LOAD_RIGHT(0)

/* The products of a block whose first tiles are loaded, small ones first. The first tiles of the block that follows are loaded before its
 * sums are stored: loads would wait for stores to memory that has the same place in a page. */
static inline __attribute__((always_inline)) void multiply(const fc_matrix_block *block, const fc_matrix_block *following, tasks *t, const int rows,
                                                           const int columns) {
    const step *left = block->left, *right = block->right;
    const float *const from = block->from;
    if (from) {
        const float *const below = from + FC_MATRIX_SIDE * block->from_ld;
        const ptrdiff_t from_bytes = block->from_ld * (ptrdiff_t)sizeof(float);
        _tile_loadd(0, from, from_bytes);
        if (columns == 2) _tile_loadd(1, from + FC_MATRIX_SIDE, from_bytes);
        if (rows == 2) _tile_loadd(2, below, from_bytes);
        if (rows == 2 && columns == 2) _tile_loadd(3, below + FC_MATRIX_SIDE, from_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (ptrdiff_t s = block->steps;;) {
        MULTIPLY;
        LOAD_LEFT(1);
        MULTIPLY;
        LOAD_RIGHT(1);
        MULTIPLY;
        LOAD_LEFT(0);
        MULTIPLY;
        LOAD_RIGHT(2);
        MULTIPLY;
        LOAD_RIGHT(0);
        MULTIPLY;
        if (--s == 0) break;
        left++, right++;
        LOAD_FIRST;
    }
    left = following->left, right = following->right;
    LOAD_FIRST;
    float *const out = block->out, *const lower = out + FC_MATRIX_SIDE * block->ld;
    const ptrdiff_t line_bytes = block->ld * (ptrdiff_t)sizeof(float);
    _tile_stored(0, out, line_bytes);
    if (columns == 2) _tile_stored(1, out + FC_MATRIX_SIDE, line_bytes);
    if (rows == 2) _tile_stored(2, lower, line_bytes);
    if (rows == 2 && columns == 2) _tile_stored(3, lower + FC_MATRIX_SIDE, line_bytes);
}

/* Of a count, rounded up. Divisions take as long as a product. */
static inline ptrdiff_t share(ptrdiff_t count, ptrdiff_t parts) {
    return count > 0 ? (ptrdiff_t)(((uint32_t)count + (uint32_t)parts - 1) / (uint32_t)parts) : 0;
}

/* Descriptions are not copied: wide loads of what was just stored would wait until all that was stored before is in memory. */
static void amx_products(const fc_matrix_stream *stream) {
    fc_matrix_block blocks[3], *before = &blocks[0], *block = &blocks[1], *following = &blocks[2];
    before->finish.rows = 0;
    if (!stream->next(stream->context, block)) return;
    const step *left = block->left, *right = block->right;
    LOAD_FIRST;
    for (int more = 1; more;) {
        more = stream->next(stream->context, following);
        const fc_matrix_block *const loaded = more ? following : block; /* there is something to load */
        const ptrdiff_t products = FC_MATRIX_PRODUCTS * block->steps;
        tasks t = {.left = stream->beside,
                   .left_each = block->left_each,
                   .next = block->next,
                   .next_each = block->next_bytes / FC_MATRIX_PRODUCTS,
                   .lines = block->lines,
                   .column = block->column,
                   .line_count = block->line_count,
                   .lines_each = share(block->line_count, products),
                   .finish = &before->finish,
                   .finish_each = share(before->finish.rows, products)};
        if (block->rows == 2 && block->columns == 2) multiply(block, loaded, &t, 2, 2);
        else if (block->rows == 2) multiply(block, loaded, &t, 2, 1);
        else if (block->columns == 2) multiply(block, loaded, &t, 1, 2);
        else multiply(block, loaded, &t, 1, 1);
        fc_matrix_block *const free = before;
        before = block, block = following, following = free;
    }
    if (before->finish.rows > 0) finish_some(&before->finish, 0, before->finish.rows);
}

#include "target_end.h"

const fc_matrix_kernels fc_matrix_amx = {
    .begin = amx_begin,
    .end = amx_end,
    .left = amx_left,
    .right = amx_right,
    .left_columns = amx_left_columns,
    .products = amx_products,
};
#else
typedef int fc_no_amx_here;
#endif
