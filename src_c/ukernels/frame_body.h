/* Services of the frame: transposition and sums. See fc_frame_kernels in ukernels.h. */

FC_INLINE void NAME(pack_vectors)(const int NV, const real *in, const ptrdiff_t ld_in, const ptrdiff_t rows, real *out, const ptrdiff_t width) {
    for (ptrdiff_t i = 0; i < rows; i++, in += ld_in, out += width) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) v_store(out + v * VL, v_load(in + v * VL));
    }
}

static void NAME(pack)(const void *in_, ptrdiff_t ld_in, ptrdiff_t rows, ptrdiff_t cols, void *out_, ptrdiff_t width) {
    const real *in = in_;
    real *out = out_;
    ptrdiff_t j = 0;
    for (; j + 4 * VL <= cols; j += 4 * VL) NAME(pack_vectors)(4, in + j, ld_in, rows, out + j, width);
    if (j + 2 * VL <= cols) {
        NAME(pack_vectors)(2, in + j, ld_in, rows, out + j, width);
        j += 2 * VL;
    }
    if (j + VL <= cols) {
        NAME(pack_vectors)(1, in + j, ld_in, rows, out + j, width);
        j += VL;
    }
    const ptrdiff_t rest = cols - j, room = width - j;
    for (ptrdiff_t i = 0; i < rows && room > 0; i++) {
        const vec tail = v_load_n(in + i * ld_in + j, rest);
        real *const to = out + i * width + j;
        if (room >= VL) v_store(to, tail);
        else v_store_n(to, tail, room);
        for (ptrdiff_t l = VL; l < room; l++) to[l] = 0;
    }
}

/* Blocks of SIDE columns, which 16-byte vectors hold, and SIDE or 2 * SIDE rows: in the latter, rows SIDE apart lie in the halves of
 * a vector, where the same exchange transposes both. */
#if defined(FC_F32)
enum { NAME(side) = 4 };
#else
enum { NAME(side) = 2 };
#endif
typedef real NAME(half_t) __attribute__((vector_size(16)));
typedef real NAME(both_t) __attribute__((vector_size(32)));

FC_INLINE void NAME(transpose_block)(const int rows, const real *const in, const ptrdiff_t ld_in, real *const out, const ptrdiff_t ld_out) {
    enum { SIDE = NAME(side) };
    NAME(both_t) a[SIDE], b[SIDE];
    FC_UNROLL(4)
    for (int i = 0; i < SIDE; i++) {
        NAME(half_t) low, high;
        memcpy(&low, in + i * ld_in, sizeof low);
        memcpy(&high, in + (rows > SIDE ? i + SIDE : i) * ld_in, sizeof high);
#if defined(FC_F32)
        a[i] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#else
        a[i] = __builtin_shufflevector(low, high, 0, 1, 2, 3);
#endif
    }
#if defined(FC_F32)
    const NAME(both_t) ab_low = __builtin_shufflevector(a[0], a[1], 0, 8, 1, 9, 4, 12, 5, 13);
    const NAME(both_t) ab_high = __builtin_shufflevector(a[0], a[1], 2, 10, 3, 11, 6, 14, 7, 15);
    const NAME(both_t) cd_low = __builtin_shufflevector(a[2], a[3], 0, 8, 1, 9, 4, 12, 5, 13);
    const NAME(both_t) cd_high = __builtin_shufflevector(a[2], a[3], 2, 10, 3, 11, 6, 14, 7, 15);
    b[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 8, 9, 4, 5, 12, 13);
    b[1] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 10, 11, 6, 7, 14, 15);
    b[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 8, 9, 4, 5, 12, 13);
    b[3] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 10, 11, 6, 7, 14, 15);
#else
    b[0] = __builtin_shufflevector(a[0], a[1], 0, 4, 2, 6);
    b[1] = __builtin_shufflevector(a[0], a[1], 1, 5, 3, 7);
#endif
    FC_UNROLL(4)
    for (int i = 0; i < SIDE; i++) memcpy(out + i * ld_out, &b[i], (size_t)rows * sizeof(real));
}

/* Rows i .. i + height - 1 of columns j0 .. j1 - 1. */
FC_INLINE void NAME(transpose_rows)(const int height, const real *const in, const ptrdiff_t ld_in, real *const out, const ptrdiff_t ld_out,
                                    const ptrdiff_t i, const ptrdiff_t j0, const ptrdiff_t j1) {
    enum { SIDE = NAME(side) };
    ptrdiff_t j = j0;
    if (height >= SIDE)
        for (; j + SIDE <= j1; j += SIDE) NAME(transpose_block)(height, in + i * ld_in + j, ld_in, out + j * ld_out + i, ld_out);
    for (; j < j1; j++)
        for (ptrdiff_t k = i; k < i + height; k++) out[j * ld_out + k] = in[k * ld_in + j];
}

#if defined(FC_TRANSPOSE_SQUARES)
/* VL rows of VL columns, in registers: stage by stage, lanes s apart are exchanged between vectors s apart. */
FC_INLINE void NAME(transpose_square)(const real *const in, const ptrdiff_t ld_in, real *const out, const ptrdiff_t ld_out) {
    vec v[VL];
    FC_UNROLL(16)
    for (int i = 0; i < VL; i++) v[i] = v_load(in + i * ld_in);
    FC_UNROLL(4)
    for (int s = 1; s < VL; s *= 2) {
        int32_t low[VL], high[VL];
        FC_UNROLL(16)
        for (int l = 0; l < VL; l++) low[l] = l & s ? VL + l - s : l, high[l] = l & s ? VL + l : l + s;
        const vindex from_low = v_index(low), from_high = v_index(high);
        FC_UNROLL(16)
        for (int i = 0; i < VL; i++) {
            if (i & s) continue;
            const vec a = v[i], b = v[i + s];
            v[i] = v_permute2(a, b, from_low);
            v[i + s] = v_permute2(a, b, from_high);
        }
    }
    FC_UNROLL(16)
    for (int i = 0; i < VL; i++) v_store(out + i * ld_out, v[i]);
}

/* The place of the square after the one at `at`: side by side, but the last, which ends where its side does, and may overlap. */
FC_INLINE ptrdiff_t NAME(next_square)(const ptrdiff_t at, const ptrdiff_t size) { return at + VL < size && at + 2 * VL > size ? size - VL : at + VL; }

/* Of the side whose lines are further apart VL lines at a time are walked from end to end. */
FC_INLINE void NAME(transpose_squares)(const real *const in, const ptrdiff_t ld_in, real *const out, const ptrdiff_t ld_out, const ptrdiff_t rows,
                                       const ptrdiff_t cols) {
    if (ld_in > ld_out) {
        for (ptrdiff_t i = 0; i < rows; i = NAME(next_square)(i, rows))
            for (ptrdiff_t j = 0; j < cols; j = NAME(next_square)(j, cols))
                NAME(transpose_square)(in + i * ld_in + j, ld_in, out + j * ld_out + i, ld_out);
    } else {
        for (ptrdiff_t j = 0; j < cols; j = NAME(next_square)(j, cols))
            for (ptrdiff_t i = 0; i < rows; i = NAME(next_square)(i, rows))
                NAME(transpose_square)(in + i * ld_in + j, ld_in, out + j * ld_out + i, ld_out);
    }
}
#endif

FC_INLINE void NAME(transpose_part)(const real *const in, const ptrdiff_t ld_in, real *const out, const ptrdiff_t ld_out, const ptrdiff_t rows,
                                    const ptrdiff_t cols) {
    enum { SIDE = NAME(side), BLOCK = 16 };
    for (ptrdiff_t j0 = 0; j0 < cols; j0 += BLOCK) {
        const ptrdiff_t j1 = j0 + BLOCK < cols ? j0 + BLOCK : cols;
        ptrdiff_t i = 0;
        for (; i + 2 * SIDE <= rows; i += 2 * SIDE) NAME(transpose_rows)(2 * SIDE, in, ld_in, out, ld_out, i, j0, j1);
        for (; i + SIDE <= rows; i += SIDE) NAME(transpose_rows)(SIDE, in, ld_in, out, ld_out, i, j0, j1);
        for (; i < rows; i++) NAME(transpose_rows)(1, in, ld_in, out, ld_out, i, j0, j1);
    }
}

static void NAME(transpose)(const void *in, ptrdiff_t ld_in, void *out, ptrdiff_t ld_out, ptrdiff_t rows, ptrdiff_t cols) {
#if defined(FC_TRANSPOSE_SQUARES)
    if (rows >= VL && cols >= VL) {
        NAME(transpose_squares)(in, ld_in, out, ld_out, rows, cols);
        return;
    }
#endif
    NAME(transpose_part)(in, ld_in, out, ld_out, rows, cols);
}

static void NAME(take_every)(const void *in_, ptrdiff_t step, void *out_, ptrdiff_t n) {
    const real *const in = in_;
    real *const out = out_;
    ptrdiff_t i = 0;
    if (step == 2) {
        int32_t lane[VL];
        for (int l = 0; l < VL; l++) lane[l] = 2 * l;
        const vindex even = v_index(lane);
        for (; i + VL < n; i += VL) v_store(out + i, v_permute2(v_load(in + 2 * i), v_load(in + 2 * i + VL), even));
        if (i == n) return;
        const ptrdiff_t rest = 2 * (n - i) - 1; /* that are read */
        const vec low = v_load_n(in + 2 * i, rest < VL ? rest : VL);
        const vec high = rest > VL ? v_load_n(in + 2 * i + VL, rest - VL) : low;
        v_store_n(out + i, v_permute2(low, high, even), n - i);
        return;
    }
    for (; i < n; i++) out[i] = in[i * step];
}

/* Pointers fill vectors as numbers do. */
static void NAME(point)(const void *const from_, const ptrdiff_t step, const void **const to, const ptrdiff_t n) {
    const char *const from = from_;
    for (ptrdiff_t i = 0; i < n; i++) to[i] = from + i * step;
}

static void NAME(put_every)(const void *in_, ptrdiff_t step, void *out_, ptrdiff_t n) {
    const real *const in = in_;
    real *const out = out_;
    if (step == 2) {
        int32_t lane[VL];
        for (int l = 0; l < VL; l++) lane[l] = l % 2 ? VL : l / 2;
        const vindex apart = v_index(lane);
        ptrdiff_t i = 0;
        for (; i + 2 * VL <= n; i += VL) v_store(out + i, v_permute2(v_load(in + i / 2), v_zero(), apart));
        for (; i < n; i += VL) {
            const ptrdiff_t some = n - i < VL ? n - i : VL;
            v_store_n(out + i, v_permute2(v_load_n(in + i / 2, (some + 1) / 2), v_zero(), apart), some);
        }
        return;
    }
    memset(out, 0, (size_t)n * sizeof(real));
    for (ptrdiff_t i = 0; i * step < n; i++) out[i * step] = in[i];
}

static void NAME(gather)(const fc_gather_args *const a) {
    real *out = a->out;
    for (ptrdiff_t t = 0; t < a->taps; t++) {
        const real *in = (const real *)a->in + a->offset[t];
        for (ptrdiff_t c = 0; c < a->planes; c++, in += a->plane_ld, out += a->nr) {
            for (ptrdiff_t p = 0; p < a->pieces; p++)
                v_store(out + a->to[p], a->count[p] == VL ? v_load(in + a->from[p]) : v_load_n(in + a->from[p], a->count[p]));
        }
    }
}

FC_INLINE void NAME(column_sums_vectors)(const int NV, const real *x, const ptrdiff_t ld, const ptrdiff_t rows, real *const acc) {
    vec s[4];
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) s[v] = v_load(acc + v * VL);
    for (ptrdiff_t i = 0; i < rows; i++, x += ld) {
        FC_UNROLL(4)
        for (int v = 0; v < NV; v++) s[v] = v_add(s[v], v_load(x + v * VL));
    }
    FC_UNROLL(4)
    for (int v = 0; v < NV; v++) v_store(acc + v * VL, s[v]);
}

static void NAME(column_sums)(const void *x_, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, void *acc_) {
    const real *x = x_;
    real *const acc = acc_;
    ptrdiff_t j = 0;
    for (; j + 4 * VL <= cols; j += 4 * VL) NAME(column_sums_vectors)(4, x + j, ld, rows, acc + j);
    if (j + 2 * VL <= cols) {
        NAME(column_sums_vectors)(2, x + j, ld, rows, acc + j);
        j += 2 * VL;
    }
    if (j + VL <= cols) {
        NAME(column_sums_vectors)(1, x + j, ld, rows, acc + j);
        j += VL;
    }
    if (j == cols) return;
    if (ld == cols && VL % cols == 0) {
        /* The rows follow each other: a vector holds several, and its lanes belong to the columns in turn. */
        const ptrdiff_t together = 4 * VL / cols;
        real several[4 * VL] = {0};
        NAME(column_sums_vectors)(4, x, 4 * VL, rows / together, several);
        for (int l = 0; l < 4 * VL; l++) acc[l % cols] += several[l];
        x += rows / together * (4 * VL), rows %= together;
    }
    vec s = v_load_n(acc + j, cols - j);
    for (ptrdiff_t i = 0; i < rows; i++) s = v_add(s, v_load_n(x + i * ld + j, cols - j));
    v_store_n(acc + j, s, cols - j);
}

static void NAME(add_sum)(const void *x_, ptrdiff_t n, void *acc) {
    const real *const x = x_;
    vec s[2] = {v_zero(), v_zero()};
    ptrdiff_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) s[0] = v_add(s[0], v_load(x + i)), s[1] = v_add(s[1], v_load(x + i + VL));
    for (; i < n; i += VL) s[0] = v_add(s[0], n - i < VL ? v_load_n(x + i, n - i) : v_load(x + i));
    *(real *)acc += v_sum(v_add(s[0], s[1]));
}

static void NAME(add_into)(const void *x_, void *acc_, ptrdiff_t n) {
    const real *const x = x_;
    real *const acc = acc_;
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) v_store(acc + i, v_add(v_load(acc + i), v_load(x + i)));
    if (i < n) v_store_n(acc + i, v_add(v_load_n(acc + i, n - i), v_load_n(x + i, n - i)), n - i);
}

static double NAME(multiply_adds)(double count) {
    enum { CHAINS = 12, ROUNDS = 1024 };
    vec acc[CHAINS];
    const vec a = v_set1((real)0.5), b = v_set1((real)0.25);
    FC_UNROLL(12)
    for (int i = 0; i < CHAINS; i++) acc[i] = v_set1((real)i);
    double done = 0;
    for (; done < count; done += (double)CHAINS * ROUNDS * VL)
        for (int r = 0; r < ROUNDS; r++) {
            FC_UNROLL(12)
            for (int i = 0; i < CHAINS; i++) acc[i] = v_fma(acc[i], a, b);
        }
    for (int i = 1; i < CHAINS; i++) acc[0] = v_add(acc[0], acc[i]);
    /* The chains converge to 1/2: their sum is finite, which the compiler cannot know. */
    return v_sum(acc[0]) < (real)1e30 ? done : 0;
}

static void NAME(stream_end)(void) { v_stream_end(); }

#define FC_FRAME_KERNELS                                                                                          \
    {NAME(pack),      NAME(transpose), NAME(column_sums), NAME(add_sum),    NAME(slide),        NAME(take_every), \
     NAME(put_every), NAME(point),     NAME(gather),      NAME(add_into),   NAME(stream_end),   NAME(multiply_adds)}
