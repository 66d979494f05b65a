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

/* A line of each part, from terms 0 .. 15 and 16 .. 31. The first part is rounded, halves away from zero, so that what is left has no sign
 * of its own; the others are cut off. The third has no more bits than fit. */
static inline void split(__m512 low, __m512 high, line *const out) {
    const __m512i half = _mm512_set1_epi32(0x8000), upper = _mm512_set1_epi32((int)0xffff0000u);
    for (int p = 0; p < FC_MATRIX_PARTS; p++) {
        __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high);
        if (p == 0) a = _mm512_add_epi32(a, half), b = _mm512_add_epi32(b, half);
        _mm512_storeu_si512(out + p * FC_MATRIX_SIDE, _mm512_ternarylogic_epi32(_mm512_srli_epi32(a, 16), b, upper, 0xf8)); /* a | (b & upper) */
        if (p == FC_MATRIX_PARTS - 1) break;
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(a, upper)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(b, upper)));
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

/* The next n steps of it, at most. */
static inline void split_some(fc_matrix_left *left, ptrdiff_t n) {
    while (n > 0 && left->row < left->count) {
        step *out = (step *)left->out + left->row / FC_MATRIX_GROUP * left->steps + left->step;
        const ptrdiff_t which = left->row / FC_MATRIX_SIDE % 2, line = left->row % FC_MATRIX_SIDE, whole = left->whole[left->step],
                        some = whole < n ? whole : n;
        if (some > 0) {
            const fc_matrix_piece *const piece = &left->piece[left->first[2 * left->step]];
            const float *x = left->rows[piece->source + left->row] + piece->offset;
            for (ptrdiff_t i = 0; i < some; i++, x += FC_MATRIX_DEPTH, out++)
                split(_mm512_loadu_ps(x), _mm512_loadu_ps(x + FC_MATRIX_SIDE), &(*out)[which][0][line]);
            left->step += some, n -= some;
        } else {
            split(gather(left, 2 * left->step), gather(left, 2 * left->step + 1), &(*out)[which][0][line]);
            left->step++, n--;
        }
        if (left->step == left->steps) left->step = 0, left->row++;
    }
}

static void amx_left(fc_matrix_left *left) { split_some(left, (left->count - left->row) * left->steps - left->step); }

static void amx_right(const float *w, ptrdiff_t ld, ptrdiff_t terms, ptrdiff_t columns, ptrdiff_t steps, void *to) {
    const __mmask16 lanes = (__mmask16)((1u << columns) - 1);
    step *out = to;
    for (ptrdiff_t s = 0; s < steps; s++, out++)
        for (ptrdiff_t t = 0; t < FC_MATRIX_SIDE; t++) {
            const ptrdiff_t low = s * FC_MATRIX_DEPTH + t, high = low + FC_MATRIX_SIDE;
            split(_mm512_maskz_loadu_ps(low < terms ? lanes : 0, w + low * ld), _mm512_maskz_loadu_ps(high < terms ? lanes : 0, w + high * ld),
                  &(*out)[0][0][t]);
        }
}

/* Tiles 0 .. 3 are sums, 4 and 5 from the left, 6 and 7 from the right. */
#define LOAD(tile, p) _tile_loadd(tile, p, FC_MATRIX_LINE)
#define LOAD_LEFT(p)                 \
    LOAD(4, left[p]);                \
    if (rows == 2) LOAD(5, below[p])
#define LOAD_RIGHT(p)                    \
    LOAD(6, right[p]);                   \
    if (columns == 2) LOAD(7, beside[p])
#define MULTIPLY                                           \
    split_some(work, left_each);                           \
    fetch(&f);                                             \
    _tile_dpbf16ps(0, 4, 6);                               \
    if (columns == 2) _tile_dpbf16ps(1, 4, 7);             \
    if (rows == 2) _tile_dpbf16ps(2, 5, 6);                \
    if (rows == 2 && columns == 2) _tile_dpbf16ps(3, 5, 7)

/* What is fetched with one of the six products of a step. */
typedef struct {
    const char *next;
    ptrdiff_t owed, each; /* bytes */
    void *const *out;
    ptrdiff_t column, rows, rows_each;
} fetching;

static inline void fetch(fetching *f) {
    for (f->owed += f->each; f->owed >= FC_MATRIX_LINE; f->owed -= FC_MATRIX_LINE, f->next += FC_MATRIX_LINE) _mm_prefetch(f->next, _MM_HINT_T1);
    for (ptrdiff_t i = 0; i < f->rows_each && f->rows > 0; i++, f->rows--, f->out++) {
        const float *const line = (const float *)*f->out + f->column;
        __builtin_prefetch(line, 1);
        __builtin_prefetch(line + FC_MATRIX_SIDE, 1);
    }
}

/* Small products first. */
static inline __attribute__((always_inline)) void multiply(const fc_matrix_products_args *args, const int rows, const int columns) {
    const ptrdiff_t steps = args->steps, ld = args->ld, line_bytes = ld * (ptrdiff_t)sizeof(float), products = FC_MATRIX_PRODUCTS * steps;
    const step *left_step = args->left, *right_step = args->right;
    float *const out = args->out, *const lower = out + FC_MATRIX_SIDE * ld;
    fc_matrix_left none = {0}, *const work = args->beside ? args->beside : &none;
    const ptrdiff_t left_each = args->left_each;
    fetching f = {.next = args->next,
                  .each = args->next_bytes / FC_MATRIX_PRODUCTS,
                  .out = args->fetch_out,
                  .column = args->fetch_column,
                  .rows = args->fetch_rows,
                  .rows_each = (args->fetch_rows + products - 1) / products};
    if (args->from) {
        const float *const from = args->from, *const below = from + FC_MATRIX_SIDE * args->from_ld;
        const ptrdiff_t from_bytes = args->from_ld * (ptrdiff_t)sizeof(float);
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
    for (ptrdiff_t s = 0; s < steps; s++, left_step++, right_step++) {
        const part *const left = (*left_step)[0], *const right = (*right_step)[0], *const below = (*left_step)[1], *const beside = (*right_step)[1];
        LOAD_LEFT(0);
        LOAD_RIGHT(2);
        MULTIPLY;
        LOAD_RIGHT(1);
        MULTIPLY;
        LOAD_LEFT(1);
        MULTIPLY;
        LOAD_RIGHT(0);
        MULTIPLY;
        LOAD_LEFT(2);
        MULTIPLY;
        LOAD_LEFT(0);
        MULTIPLY;
    }
    _tile_stored(0, out, line_bytes);
    if (columns == 2) _tile_stored(1, out + FC_MATRIX_SIDE, line_bytes);
    if (rows == 2) _tile_stored(2, lower, line_bytes);
    if (rows == 2 && columns == 2) _tile_stored(3, lower + FC_MATRIX_SIDE, line_bytes);
}

static void amx_products(const fc_matrix_products_args *args) {
    if (args->rows == 2 && args->columns == 2) multiply(args, 2, 2);
    else if (args->rows == 2) multiply(args, 2, 1);
    else if (args->columns == 2) multiply(args, 1, 2);
    else multiply(args, 1, 1);
}

static void amx_finish(const fc_matrix_finish_args *args) {
    const __mmask32 all = (__mmask32)(((uint64_t)1 << args->columns) - 1);
    const __mmask16 lanes[2] = {(__mmask16)all, (__mmask16)(all >> FC_MATRIX_SIDE)};
    const __m512 zero = _mm512_setzero_ps();
    const ptrdiff_t vectors = args->columns > FC_MATRIX_SIDE ? 2 : 1;
    for (ptrdiff_t v = 0; v < vectors; v++) {
        const __m512 bias = args->bias ? _mm512_maskz_loadu_ps(lanes[v], args->bias + v * FC_MATRIX_SIDE) : zero;
        const float *sums = args->sums + v * FC_MATRIX_SIDE;
        for (ptrdiff_t i = 0; i < args->rows; i++, sums += args->ld) {
            __m512 y = _mm512_add_ps(_mm512_loadu_ps(sums), bias);
            if (args->relu) y = _mm512_max_ps(zero, y); /* y where it is NaN */
            _mm512_mask_storeu_ps((float *)args->out[i] + args->column + v * FC_MATRIX_SIDE, lanes[v], y);
        }
    }
}

#include "target_end.h"

const fc_matrix_kernels fc_matrix_amx = {
    .begin = amx_begin,
    .end = amx_end,
    .left = amx_left,
    .right = amx_right,
    .products = amx_products,
    .finish = amx_finish,
};
#else
typedef int fc_no_amx_here;
#endif
