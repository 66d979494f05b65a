/* Winograd's products with weights that are transformed in registers: see fc_winograd_registers_args. Nothing of the transform is
 * written: for every row of positions it begins with the taps. */
#if FC_REGISTERS >= 32 && VL >= 8
#define FC_WINOGRAD_REGISTERS NAME(winograd_registers)

/* acc (+)= u times T tiles at a position. */
FC_INLINE void NAME(winograd_registers_step)(const int T, const real *const v, const vec u, vec acc[FC_WINOGRAD_REGISTERS_TILES]) {
    FC_UNROLL(4)
    for (int t = 0; t < T; t++) acc[t] = v_fma(v_set1(v[t * VL]), u, acc[t]);
}

/* Positions 6 i .. 6 i + 5 of T tiles. EDGE: i is 0 or 5, where the transform of a column is one of its taps. */
FC_INLINE void NAME(winograd_registers_row)(const int T, const int EDGE, const int i, const fc_winograd_registers_args *const a, const char *next,
                                            const char *ahead) {
    enum { POSITION = FC_WINOGRAD_REGISTERS_TILES * VL, TAPS = 3 };
    static const real points[FC_WINOGRAD_TILE] = {0, (real)FC_WINOGRAD_A, -(real)FC_WINOGRAD_A, (real)FC_WINOGRAD_B, -(real)FC_WINOGRAD_B, 0};
    const real *w = (const real *)a->w + (i == FC_WINOGRAD_TILE - 1 ? 2 * TAPS * VL : 0), *v = (const real *)a->v + i * FC_WINOGRAD_TILE * POSITION;
    const vec point = v_set1(points[i]), square = v_mul(point, point);
    const vec a2 = v_set1((real)FC_WINOGRAD_A2), b2 = v_set1((real)FC_WINOGRAD_B2), pa = v_set1((real)FC_WINOGRAD_A),
              pb = v_set1((real)FC_WINOGRAD_B);
    vec acc[FC_WINOGRAD_TILE][FC_WINOGRAD_REGISTERS_TILES];
    FC_UNROLL(6)
    for (int j = 0; j < FC_WINOGRAD_TILE; j++) {
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) acc[j][t] = v_zero();
    }
    for (ptrdiff_t c = 0; c < a->depth; c += VL, v += FC_WINOGRAD_POSITIONS * POSITION - VL) {
        const real *const end = v + (a->depth - c < VL ? a->depth - c : VL);
        FC_ROLLED
        for (; v < end; v++, w += TAPS * TAPS * VL, next += a->next_step, ahead += a->ahead_step) {
            vec taps[TAPS];
            __builtin_prefetch(next);
            __builtin_prefetch(ahead, 0, 2);
            FC_UNROLL(3)
            for (int j = 0; j < TAPS; j++) {
                taps[j] = v_load(w + j * VL);
                if (EDGE) continue;
                taps[j] = v_fma(square, v_load(w + (2 * TAPS + j) * VL), v_fma(point, v_load(w + (TAPS + j) * VL), taps[j]));
            }
            NAME(winograd_registers_step)(T, v, taps[0], acc[0]);
            NAME(winograd_registers_step)(T, v + 5 * POSITION, taps[2], acc[5]);
            const vec even_a = v_fma(a2, taps[2], taps[0]), even_b = v_fma(b2, taps[2], taps[0]);
            NAME(winograd_registers_step)(T, v + POSITION, v_fma(pa, taps[1], even_a), acc[1]);
            NAME(winograd_registers_step)(T, v + 2 * POSITION, v_fnma(pa, taps[1], even_a), acc[2]);
            NAME(winograd_registers_step)(T, v + 3 * POSITION, v_fma(pb, taps[1], even_b), acc[3]);
            NAME(winograd_registers_step)(T, v + 4 * POSITION, v_fnma(pb, taps[1], even_b), acc[4]);
        }
    }
    real *const m = (real *)a->m + i * FC_WINOGRAD_TILE * a->m_position;
    FC_UNROLL(6)
    for (int j = 0; j < FC_WINOGRAD_TILE; j++) {
        FC_UNROLL(4)
        for (int t = 0; t < T; t++) {
            real *const to = m + j * a->m_position + t * a->m_tile;
            v_store(to, a->accumulate ? v_add(v_load(to), acc[j][t]) : acc[j][t]);
        }
    }
}

FC_INLINE void NAME(winograd_registers_rows)(const int T, const fc_winograd_registers_args *const a) {
    const char *next = a->next, *ahead = a->ahead;
    FC_ROLLED
    for (int i = 0; i < a->rows; i++, next += a->next_pass, ahead += a->depth * a->ahead_step) {
        if (i == 0 || i == FC_WINOGRAD_TILE - 1) NAME(winograd_registers_row)(T, 1, i, a, next, ahead);
        else NAME(winograd_registers_row)(T, 0, i, a, next, ahead);
    }
}

static void NAME(winograd_registers)(const fc_winograd_registers_args *const a) {
    switch (a->tiles) {
    case 1:
        NAME(winograd_registers_rows)(1, a);
        break;
    case 2:
        NAME(winograd_registers_rows)(2, a);
        break;
    case 3:
        NAME(winograd_registers_rows)(3, a);
        break;
    default:
        NAME(winograd_registers_rows)(4, a);
    }
}
#else
#define FC_WINOGRAD_REGISTERS NULL
#endif
