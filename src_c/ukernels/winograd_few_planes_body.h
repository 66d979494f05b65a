/* Winograd for NCHW images of few channels, F(4x4, 3x3), with a tile in each lane: see ukernels_winograd.h. The output transform follows the products in
 * registers, as in winograd_few_body.h; what columns of four neighbouring pixels it yields is woven into runs of a plane.
 * Vectors of fewer tiles do not pay. */
#if VL >= 8
#define FC_FEW_PLANES .few_planes_input = NAME(winograd_few_planes_input), .few_planes = NAME(winograd_few_planes)
/* The outputs of a tile stay in registers if there are enough. */
#if FC_REGISTERS > 16
#define FC_FEW_PLANES_ROWS FC_UNROLL(4)
#else
#define FC_FEW_PLANES_ROWS FC_ROLLED
#endif

static void NAME(winograd_few_planes_input)(const fc_winograd_few_planes_input_args *const a) {
    int32_t lane[2][VL];
    for (int l = 0; l < VL; l++) lane[0][l] = 2 * l, lane[1][l] = 2 * l + 1;
    const vindex even = v_index(lane[0]), odd = v_index(lane[1]);
    /* Columns 4 t + j of a row, t = 0, 1, ..., side by side in phase j. */
    for (ptrdiff_t row = 0; row < 4 * a->rows + 2; row++) {
        const real *x = (const real *)a->x + row * a->x_row;
        real *to = (real *)a->lines + row * 4 * a->phase;
        for (ptrdiff_t t = 0; t < a->tiles + 1; t += VL, x += 4 * VL, to += VL) {
            const vec x0 = v_load(x), x1 = v_load(x + VL), x2 = v_load(x + 2 * VL), x3 = v_load(x + 3 * VL);
            const vec even01 = v_permute2(x0, x1, even), even23 = v_permute2(x2, x3, even);
            const vec odd01 = v_permute2(x0, x1, odd), odd23 = v_permute2(x2, x3, odd);
            v_store(to, v_permute2(even01, even23, even));
            v_store(to + a->phase, v_permute2(odd01, odd23, even));
            v_store(to + 2 * a->phase, v_permute2(even01, even23, odd));
            v_store(to + 3 * a->phase, v_permute2(odd01, odd23, odd));
        }
    }
    const ptrdiff_t line = 4 * a->phase;
    for (ptrdiff_t r = 0; r < a->rows; r++)
        for (ptrdiff_t tile = 0; tile < a->tiles; tile += VL) {
            vec buffer[6][6];
            FC_ROLLED
            for (int j = 0; j < 6; j++) {
                const real *const from = (const real *)a->lines + r * 4 * line + j % 4 * a->phase + tile + j / 4;
                vec d[6], t[6];
                FC_UNROLL(6)
                for (int i = 0; i < 6; i++) d[i] = v_load(from + i * line);
                NAME(winograd_bt)(d, t);
                FC_UNROLL(6)
                for (int i = 0; i < 6; i++) buffer[i][j] = t[i];
            }
            NAME(winograd_input_rows)((const vec(*)[6])buffer, (real *)a->v + r * a->tiles + tile, a->position);
        }
}

/* One row of pixels of all tiles, column by column in y, to the runs it belongs to. */
FC_INLINE void NAME(winograd_few_planes_row)(const fc_winograd_few_planes_args *const a, const fc_winograd_few_run *run, const vec y[4],
                                             const vindex weave[4], real *const plane, const int row) {
    const vec low01 = v_permute2(y[0], y[1], weave[0]), high01 = v_permute2(y[0], y[1], weave[1]);
    const vec low23 = v_permute2(y[2], y[3], weave[0]), high23 = v_permute2(y[2], y[3], weave[1]);
    const vec out[4] = {v_permute2(low01, low23, weave[2]), v_permute2(low01, low23, weave[3]), v_permute2(high01, high23, weave[2]),
                        v_permute2(high01, high23, weave[3])};
    FC_UNROLL(4)
    for (int q = 0; q < 4; q++, run++) {
        if (row >= run->rows) continue;
        real *const to = plane + run->at + row * a->row;
        if (run->width >= VL) v_store(to, out[q]);
        else v_store_n(to, out[q], run->width);
    }
}

/* A vector of tiles and two output channels, whose weights begin with u and lie side by side; `count` of them are stored. */
FC_INLINE void NAME(winograd_few_planes_filters)(const fc_winograd_few_planes_args *const a, const ptrdiff_t vector, const real *u,
                                                 const real *const bias, real *const planes, const int count, const vindex weave[4]) {
    const ptrdiff_t position = a->position, channel = FC_WINOGRAD_POSITIONS * position, channels = a->channels, weight = channels * VL;
    const real *v = (const real *)a->v + vector * VL;
    vec buffer[2][6][4];
    FC_ROLLED
    for (int i = 0; i < 6; i++, v += 6 * position, u += 6 * weight) {
        vec m[2][6];
        FC_UNROLL(6)
        for (int j = 0; j < 6; j++) m[0][j] = m[1][j] = v_zero();
        FC_ROLLED
        for (ptrdiff_t ch = 0; ch < channels; ch++) {
            const real *const x = v + ch * channel, *const w = u + ch * VL;
            FC_UNROLL(6)
            for (int j = 0; j < 6; j++) {
                vec tiles = v_load(x + j * position);
                v_keep(tiles);
                FC_UNROLL(2)
                for (int f = 0; f < 2; f++) m[f][j] = v_fma(tiles, v_set1(w[j * weight + f]), m[f][j]);
            }
        }
        FC_UNROLL(2)
        for (int f = 0; f < 2; f++) {
            vec out[5];
            NAME(winograd_at)(4, m[f], out);
            FC_UNROLL(4)
            for (int j = 0; j < 4; j++) buffer[f][i][j] = out[j];
        }
    }
    FC_ROLLED
    for (int f = 0; f < count; f++) {
        const vec add = v_set1(bias ? bias[f] : 0);
        vec y[4][4];
        FC_UNROLL(4)
        for (int j = 0; j < 4; j++) {
            vec in[6], out[5];
            FC_UNROLL(6)
            for (int i = 0; i < 6; i++) in[i] = buffer[f][i][j];
            NAME(winograd_at)(4, in, out);
            FC_UNROLL(4)
            for (int i = 0; i < 4; i++) {
                y[i][j] = v_add(out[i], add);
                if (a->relu) y[i][j] = v_max(v_zero(), y[i][j]);
            }
        }
        FC_FEW_PLANES_ROWS
        for (int i = 0; i < 4; i++) NAME(winograd_few_planes_row)(a, a->run + 4 * vector, y[i], weave, planes + f * a->plane, i);
    }
}

static void NAME(winograd_few_planes)(const fc_winograd_few_planes_args *const a) {
    int32_t lane[4][VL];
    for (int l = 0; l < VL; l++) {
        const int half = l / 2, pair = l / 4 * 2 + l % 2;
        lane[0][l] = half + l % 2 * VL, lane[1][l] = VL / 2 + half + l % 2 * VL;
        lane[2][l] = pair + l % 4 / 2 * VL, lane[3][l] = VL / 2 + pair + l % 4 / 2 * VL;
    }
    const vindex weave[4] = {v_index(lane[0]), v_index(lane[1]), v_index(lane[2]), v_index(lane[3])};
    const ptrdiff_t panel = FC_WINOGRAD_POSITIONS * a->channels * VL;
    for (ptrdiff_t k = 0; k < a->columns; k += 2) {
        const real *const u = (const real *)a->u + k / VL * panel + k % VL, *const bias = a->bias ? (const real *)a->bias + k : NULL;
        for (ptrdiff_t vector = 0; vector < a->vectors; vector++)
            NAME(winograd_few_planes_filters)(a, vector, u, bias, (real *)a->y + k * a->plane, a->columns - k > 1 ? 2 : 1, weave);
    }
}
#undef FC_FEW_PLANES_ROWS
#else
#define FC_FEW_PLANES .few_planes = NULL
#endif
