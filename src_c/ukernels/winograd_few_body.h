/* Winograd for images of few channels, F(4x4, 3x3): the products are so few that they are computed where the output transform wants
 * them, in registers. See ukernels_winograd.h. */

/* Tiles that share each vector of weights: their products of one row of positions fill the registers. */
#define FC_FEW_TILES (FC_WINOGRAD_MR > 6 ? 4 : 2)

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
            for (int j = 0; j < 6; j++) d[j] = v_load(from + j * c);
            NAME(winograd_bt)(d, t);
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) v_store(v + j * c, t[j]);
        }
}

/* Tiles `tile` .. tile + FC_FEW_TILES - 1; FULL: all of their outputs are stored, in whole vectors. The number of channels C is a
 * constant, so that all addresses are constants apart. */
FC_INLINE void NAME(winograd_few_tiles)(const ptrdiff_t C, const int FULL, const fc_winograd_few_args *const a, const real *p, ptrdiff_t tile) {
    enum { T = FC_FEW_TILES };
    const real *u = a->u;
    vec buffer[6][4][T]; /* row of positions, column of outputs, tile */
    FC_ROLLED
    for (int i = 0; i < 6; i++, u += 6 * C * VL, p += 6 * C) {
        vec acc[T][6];
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) {
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) acc[t][j] = v_zero();
        }
        FC_ROLLED
        for (ptrdiff_t ch = 0; ch < C; ch++) {
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) {
                vec weight = v_load(u + (j * C + ch) * VL);
                v_keep(weight);
                FC_UNROLL(4)
                for (int t = 0; t < T; t++) acc[t][j] = v_fma(v_set1(p[(t * 36 + j) * C + ch]), weight, acc[t][j]);
            }
        }
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) {
            vec out[5];
            NAME(winograd_at)(4, acc[t], out);
            FC_UNROLL(4)
            for (int j = 0; j < 4; j++) buffer[i][j][t] = out[j];
        }
    }
    const vec bias = !a->bias ? v_zero() : v_load_n(a->bias, FULL ? VL : a->columns);
    const ptrdiff_t pixel = a->pixel, row = a->row;
    const int relu = a->relu;
    FC_ROLLED
    for (int t = 0; t < T; t++) {
        const ptrdiff_t left = FULL ? 4 : a->width - (tile + t) * 4;
        real *y = (real *)a->y + (tile + t) * 4 * pixel;
        for (int j = 0; j < 4 && j < left; j++, y += pixel) {
            vec m[6], out[5];
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) m[i] = buffer[i][j][t];
            NAME(winograd_at)(4, m, out);
            FC_UNROLL(4)
            for (int i = 0; i < 4; i++) {
                out[i] = v_add(out[i], bias);
                if (relu) out[i] = v_max(v_zero(), out[i]);
                if (FULL) v_store(y + i * row, out[i]);
                else if (i < a->rows) v_store_n(y + i * row, out[i], a->columns);
            }
        }
    }
}

FC_INLINE void NAME(winograd_few_row)(const ptrdiff_t C, const fc_winograd_few_args *const a) {
    const real *v = a->v;
    ptrdiff_t tile = 0;
    if (a->rows == 4 && a->columns == VL)
        for (; (tile + FC_FEW_TILES) * 4 <= a->width; tile += FC_FEW_TILES, v += FC_FEW_TILES * 36 * C) NAME(winograd_few_tiles)(C, 1, a, v, tile);
    for (; tile * 4 < a->width; tile += FC_FEW_TILES, v += FC_FEW_TILES * 36 * C) NAME(winograd_few_tiles)(C, 0, a, v, tile);
}

static void NAME(winograd_few)(const fc_winograd_few_args *const a) {
    if (a->channels == 2) NAME(winograd_few_row)(2, a);
    else if (a->channels == 3) NAME(winograd_few_row)(3, a);
    else NAME(winograd_few_row)(4, a);
}
