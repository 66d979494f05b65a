/* Winograd for images of few channels, F(4x4, 3x3): the products are so few that they are computed where the output transform wants
 * them, in registers. See ukernels_winograd.h. */

/* Tiles that share each vector of weights, as many as registers hold sums of a row of positions. Rows wait in memory for the second half of the
 * output transform; but with many registers a kernel of one piece is computed tile by tile, the 16 outputs staying in registers. */
#if FC_REGISTERS > 16
#define FC_FEW_TILES 4
#define FC_FEW_CHANNELS_LOOP FC_UNROLL(4)
#else
#define FC_FEW_TILES 2
#define FC_FEW_CHANNELS_LOOP FC_ROLLED
#endif

/* V is [tiles / FC_FEW_TILES][36][FC_FEW_TILES][FC_FEW_DEPTH], or with depth 0 [tile][36][channels]. */
#if FC_FEW_TILES == 4 && VL == 16
#define FC_FEW_DEPTH 4
#define FC_FEW_POSITION(C) VL

/* Pixels take up 4 lanes each, whatever the channels; a position of 4 tiles is a vector. */
static void NAME(winograd_few_input)(const fc_winograd_few_input_args *const a) {
    static const int32_t spread[3][VL] = {{0, 1, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6, 7, 0, 0},
                                          {0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 0, 9, 10, 11, 0},
                                          {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    static const int32_t blocks[6][VL] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},   {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31},
        {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27}, {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31},
        {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}, {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23}};
    const ptrdiff_t c = a->channels, line = a->line;
    const vindex pixels = v_index(spread[c - 2]);
    /* Vectors of lines are stored aligned: the first pixels of the first one lie before the image. */
    const ptrdiff_t outside = a->before % (4 * c);
    real *to = (real *)a->lines + a->before / (4 * c) * VL;
    for (ptrdiff_t e = -outside; e < a->elements; e += 4 * c, to += VL) {
        const vmask there = v_lanes(e < 0 ? outside : 0, a->elements - e < 4 * c ? a->elements - e : 4 * c);
        vec d[6], t[6];
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) {
            const real *const x = a->x[i];
            d[i] = x ? v_permute(v_load_lanes(x + e, there), pixels) : v_zero();
        }
        NAME(winograd_bt)(d, t);
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) v_store(to + i * line, t[i]);
    }
    const vindex lower = v_index(blocks[0]), upper = v_index(blocks[1]), even = v_index(blocks[2]), odd = v_index(blocks[3]),
                 next_first = v_index(blocks[4]), next_second = v_index(blocks[5]);
    for (int i = 0; i < 6; i++) {
        const real *from = (const real *)a->lines + i * line;
        real *v = (real *)a->v + i * 6 * VL;
        for (ptrdiff_t tile = 0; tile < a->tiles; tile += FC_FEW_TILES, from += FC_FEW_TILES * VL, v += 36 * VL) {
            const vec t0 = v_load(from), t1 = v_load(from + VL), t2 = v_load(from + 2 * VL), t3 = v_load(from + 3 * VL), t4 = v_load(from + 4 * VL);
            const vec first01 = v_permute2(t0, t1, lower), first23 = v_permute2(t2, t3, lower);
            const vec last01 = v_permute2(t0, t1, upper), last23 = v_permute2(t2, t3, upper);
            vec d[6], t[6];
            d[0] = v_permute2(first01, first23, even), d[1] = v_permute2(first01, first23, odd);
            d[2] = v_permute2(last01, last23, even), d[3] = v_permute2(last01, last23, odd);
            d[4] = v_permute2(d[0], t4, next_first), d[5] = v_permute2(d[1], t4, next_second);
            NAME(winograd_bt)(d, t);
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) v_store(v + j * VL, t[j]);
        }
    }
}
#else
#define FC_FEW_DEPTH 0
#define FC_FEW_POSITION(C) (C)

static void NAME(winograd_few_input)(const fc_winograd_few_input_args *const a) {
    const ptrdiff_t c = a->channels, line = a->line;
    real *const lines = a->lines;
    for (ptrdiff_t e = 0; e < a->elements; e += VL) {
        vec d[6], t[6];
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) {
            const real *const x = a->x[i];
            d[i] = !x ? v_zero() : e + VL <= a->elements ? v_load(x + e) : v_load_n(x + e, a->elements - e);
        }
        NAME(winograd_bt)(d, t);
        FC_UNROLL(6)
        for (int i = 0; i < 6; i++) v_store(lines + i * line + a->before + e, t[i]);
    }
    real *v = a->v;
    for (ptrdiff_t tile = 0; tile < a->tiles; tile++)
        for (int i = 0; i < 6; i++, v += 6 * c) {
            const real *const from = lines + i * line + tile * 4 * c;
            vec d[6], t[6];
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) {
                d[j] = v_load(from + j * c);
                if (FC_REGISTERS > 16) v_keep(d[j]);
            }
            NAME(winograd_bt)(d, t);
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) v_store_4(v + j * c, t[j]);
        }
}

#endif

/* winograd_at(4, ...) plus `base`, which m[0] and m[5] have already. */
FC_INLINE void NAME(winograd_few_at)(const vec m[6], const vec base, vec out[4]) {
    const double a = FC_WINOGRAD_A, b = FC_WINOGRAD_B, a2 = FC_WINOGRAD_A2, b2 = FC_WINOGRAD_B2, ga = FC_WINOGRAD_GA, gb = FC_WINOGRAD_GB;
    const vec even_a = v_add(m[1], m[2]), odd_a = v_sub(m[1], m[2]), even_b = v_add(m[3], m[4]), odd_b = v_sub(m[3], m[4]);
    out[0] = v_fma(v_set1((real)gb), even_b, v_fma(v_set1((real)ga), even_a, m[0]));
    out[1] = v_fma(v_set1((real)(gb * b)), odd_b, v_fma(v_set1((real)(ga * a)), odd_a, base));
    out[2] = v_fma(v_set1((real)(gb * b2)), even_b, v_fma(v_set1((real)(ga * a2)), even_a, base));
    out[3] = v_fma(v_set1((real)(gb * b2 * b)), odd_b, v_fma(v_set1((real)(ga * a2 * a)), odd_a, m[5]));
}

/* The outputs of `tiles` tiles, from m[tile][row of positions][column of outputs], to which the bias has been added where winograd_few_at
 * wants it. */
static void NAME(winograd_few_outputs)(const fc_winograd_few_args *const a, const vec bias, const vec (*m)[6][4], const ptrdiff_t tile,
                                       const ptrdiff_t tiles, const ptrdiff_t channel) {
    const ptrdiff_t pixel = a->pixel, row = a->row, columns = a->columns - channel > VL ? VL : a->columns - channel;
    real *y = (real *)a->y + channel + tile * 4 * pixel;
    for (ptrdiff_t t = 0; t < tiles; t++, m++) {
        const ptrdiff_t left = a->width - (tile + t) * 4;
        const int whole = a->rows == 4 && columns == VL && left >= 4;
        FC_ROLLED
        for (int j = 0; j < 4; j++, y += pixel) {
            vec in[6], out[4];
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) in[i] = (*m)[i][j];
            NAME(winograd_few_at)(in, bias, out);
            FC_UNROLL(4)
            for (int i = 0; i < 4; i++) {
                if (a->relu) out[i] = v_max(v_zero(), out[i]);
                if (whole) v_store(y + i * row, out[i]);
                else if (i < a->rows && j < left) v_store_n(y + i * row, out[i], columns);
            }
        }
    }
}

/* FC_FEW_TILES tiles, of which `tiles` are stored; ONE: for a kernel of one piece. The number of channels C is a constant, so that all
 * addresses are constants apart. Lines of y are fetched from `ahead` on, unless it is NULL. */
FC_INLINE void NAME(winograd_few_tiles)(const ptrdiff_t C, const int ONE, const fc_winograd_few_args *const a, const real *const v,
                                        const ptrdiff_t tile, const ptrdiff_t tiles, const ptrdiff_t channel, const real *const ahead) {
    enum { T = FC_FEW_TILES };
    const ptrdiff_t P = FC_FEW_POSITION(C), step = FC_FEW_DEPTH ? FC_FEW_DEPTH : 36 * C, pieces = ONE ? 1 : a->pieces;
    const ptrdiff_t columns = a->columns - channel > VL ? VL : a->columns - channel;
    const real *const weights = (const real *)a->u + pieces * 36 * C * channel;
    const vec bias = !a->bias ? v_zero() : v_load_n((const real *)a->bias + channel, columns);
    vec buffer[T][6][4];
    FC_ROLLED
    for (int i = 0; i < 6; i++) {
        const vec base = i == 0 || i == 5 ? bias : v_zero();
        vec m[T][6];
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) {
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) m[t][j] = j == 0 || j == 5 ? base : v_zero();
        }
        FC_ROLLED
        for (ptrdiff_t piece = ONE || i < 5 ? 0 : a->short_pieces; piece < pieces; piece++) {
            const real *const u = weights + (piece * 36 + i * 6) * C * VL, *const x = v + piece * a->v_piece + i * 6 * P;
            FC_FEW_CHANNELS_LOOP
            for (ptrdiff_t ch = 0; ch < C; ch++) {
                FC_UNROLL(6)
                for (int j = 0; j < 6; j++) {
                    vec weight = v_load(u + (j * C + ch) * VL);
                    v_keep(weight);
                    FC_UNROLL(4)
                    for (int t = 0; t < T; t++) m[t][j] = v_fma(v_set1(x[t * step + j * P + ch]), weight, m[t][j]);
                }
            }
        }
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) {
            NAME(winograd_few_at)(m[t], base, buffer[t][i]);
            if (!ahead || i >= 4) continue;
            FC_UNROLL(4)
            for (int byte = 0; byte < 4 * VL * (int)sizeof(real); byte += 64)
                __builtin_prefetch((const char *)(ahead + i * a->row + t * 4 * VL) + byte, 1);
        }
    }
    NAME(winograd_few_outputs)(a, bias, (const vec(*)[6][4])buffer, tile, tiles, channel);
}

/* One tile of a kernel of one piece, all of whose sums stay in registers: the order of the sums differs. Lines of y are fetched from
 * `ahead` on, unless it is NULL. */
FC_INLINE void NAME(winograd_few_tile)(const ptrdiff_t C, const fc_winograd_few_args *const a, const real *const p, const ptrdiff_t tile,
                                       const ptrdiff_t channel, const real *const ahead) {
    const double A = FC_WINOGRAD_A, B = FC_WINOGRAD_B, GA = FC_WINOGRAD_GA, GB = FC_WINOGRAD_GB;
    const double of_at[2][4] = {{GA, GA * A, GA * A * A, GA * A * A * A}, {GB, GB * B, GB * B * B, GB * B * B * B}};
    const ptrdiff_t P = FC_FEW_POSITION(C), pixel = a->pixel, row = a->row;
    const ptrdiff_t columns = a->columns - channel > VL ? VL : a->columns - channel;
    const int whole = a->rows == 4 && columns == VL && (tile + 1) * 4 <= a->width;
    const real *const weights = (const real *)a->u + 36 * C * channel;
    real *const to = (real *)a->y + channel + tile * 4 * pixel;
    vec y[4][4]; /* column, row */
    FC_UNROLL(6)
    for (int i = 0; i < 6; i++) {
        const real *const x = p + i * 6 * P, *const u = weights + i * 6 * C * VL;
        vec acc[6], out[5];
        FC_UNROLL(6)
        for (int j = 0; j < 6; j++) acc[j] = v_mul(v_set1(x[j * P]), v_load(u + j * C * VL));
        FC_UNROLL(4)
        for (int ch = 1; ch < C; ch++) {
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) v_accumulate(acc[j], v_set1(x[j * P + ch]), v_load(u + (j * C + ch) * VL));
        }
        if (i < 4 && ahead) {
            FC_UNROLL(4)
            for (int j = 0; j < 4; j++) __builtin_prefetch(ahead + i * row + j * pixel, 1);
        }
        NAME(winograd_at)(4, acc, out);
        FC_UNROLL(4)
        for (int j = 0; j < 4; j++) {
            if (i == 0) y[j][0] = out[j];
            if (i == 5) y[j][3] = v_add(y[j][3], out[j]);
            FC_UNROLL(4)
            for (int r = 0; r < 4; r++) {
                const vec factor = v_set1((real)of_at[i > 2][r]);
                if (i == 0 || i == 5) continue;
                if (i == 1 && r > 0) y[j][r] = v_mul(factor, out[j]);
                else if (i % 2 == 1 || r % 2 == 0) y[j][r] = v_fma(factor, out[j], y[j][r]);
                else y[j][r] = v_fnma(factor, out[j], y[j][r]);
            }
        }
    }
    const vec bias = !a->bias ? v_zero() : v_load_n((const real *)a->bias + channel, columns);
    FC_UNROLL(4)
    for (int j = 0; j < 4; j++) {
        FC_UNROLL(4)
        for (int r = 0; r < 4; r++) {
            y[j][r] = v_add(y[j][r], bias);
            if (a->relu) y[j][r] = v_max(v_zero(), y[j][r]);
        }
    }
    FC_UNROLL(4)
    for (int j = 0; j < 4; j++) {
        FC_UNROLL(4)
        for (int r = 0; r < 4; r++) {
            if (whole) v_store(to + j * pixel + r * row, y[j][r]);
            else if (r < a->rows && tile * 4 + j < a->width) v_store_n(to + j * pixel + r * row, y[j][r], columns);
        }
    }
}

FC_INLINE void NAME(winograd_few_row)(const ptrdiff_t C, const int ONE, const fc_winograd_few_args *const a) {
    enum { T = FC_FEW_TILES };
    const ptrdiff_t group = T * 36 * (FC_FEW_DEPTH ? FC_FEW_DEPTH : C), all = (a->width + 3) / 4, pixel = a->pixel;
    for (ptrdiff_t tile = 0; tile < all; tile += T) {
        const real *const v = (const real *)a->v + tile / T * group, *const y = a->y;
        const ptrdiff_t tiles = all - tile < T ? all - tile : T;
        if (T == 4 && a->pieces == 1) {
            for (ptrdiff_t t = 0; t < tiles; t++) {
                const ptrdiff_t next = (tile + t + 1) * 4; /* of this row of tiles, or the first of the next */
                const real *const ahead = a->fetch ? y + (next < a->width ? next * pixel : 4 * a->row) : NULL;
                for (ptrdiff_t channel = 0; channel < a->columns; channel += VL)
                    NAME(winograd_few_tile)(C, a, v + t * (FC_FEW_DEPTH ? FC_FEW_DEPTH : 36 * C), tile + t, channel, ahead ? ahead + channel : NULL);
            }
            continue;
        }
        const real *const ahead = a->fetch ? y + (tile + T < all ? (tile + T) * 4 * pixel : 4 * a->row) : NULL;
        for (ptrdiff_t channel = 0; channel < a->columns; channel += VL)
            NAME(winograd_few_tiles)(C, ONE, a, v, tile, tiles, channel, ahead ? ahead + channel * T * 4 : NULL);
    }
}

FC_INLINE void NAME(winograd_few_any)(const int ONE, const fc_winograd_few_args *const a) {
    if (a->channels == 2) NAME(winograd_few_row)(2, ONE, a);
    else if (a->channels == 3) NAME(winograd_few_row)(3, ONE, a);
    else NAME(winograd_few_row)(4, ONE, a);
}

static void NAME(winograd_few)(const fc_winograd_few_args *const a) {
    if (FC_FEW_TILES == 2 && a->pieces == 1) NAME(winograd_few_any)(1, a);
    else NAME(winograd_few_any)(0, a);
}
