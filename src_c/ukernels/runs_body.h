/* The implicit GEMM of a vector of output channels or less, for runs of pixels side by side: see fc_runs_args in ukernels.h. More sums than fc_gemm_fn
 * has, which would need a pointer for each of its pixels. */

#if defined(FC_F32) && VL == 16
FC_INLINE void NAME(runs_tile)(const int TERMS, const fc_runs_args *const a) {
    enum { RUNS = FC_RUNS, PIXELS = FC_RUN_PIXELS };
    const real *w = a->w;
    const ptrdiff_t *offset = a->offset, *const end = offset + a->steps;
    const char *x[RUNS], *next = a->next, *const next_end = a->next_end;
    ptrdiff_t one = a->x_step * (ptrdiff_t)sizeof(real), three = 3 * one, five = 5 * one;
    vec acc[RUNS][PIXELS];
    FC_UNROLL(4)
    for (int q = 0; q < RUNS; q++) {
        x[q] = a->rows[q];
        FC_UNROLL(7)
        for (int i = 0; i < PIXELS; i++) acc[q][i] = v_zero();
    }
    FC_ROLLED
    for (; offset < end; offset++, w += VL) {
        const vec b = v_load(w);
        const ptrdiff_t at = *offset * (ptrdiff_t)sizeof(real);
        /* Multiples of them are made by addressing. */
        FC_OPAQUE(one);
        FC_OPAQUE(three);
        FC_OPAQUE(five);
        FC_UNROLL(4)
        for (int q = 0; q < RUNS; q++) {
            const char *const p = x[q] + at;
            acc[q][0] = v_fma(NAME(repeat_terms)(TERMS, p), b, acc[q][0]);
            acc[q][1] = v_fma(NAME(repeat_terms)(TERMS, p + one), b, acc[q][1]);
            acc[q][2] = v_fma(NAME(repeat_terms)(TERMS, p + 2 * one), b, acc[q][2]);
            acc[q][3] = v_fma(NAME(repeat_terms)(TERMS, p + three), b, acc[q][3]);
            acc[q][4] = v_fma(NAME(repeat_terms)(TERMS, p + 4 * one), b, acc[q][4]);
            acc[q][5] = v_fma(NAME(repeat_terms)(TERMS, p + five), b, acc[q][5]);
            acc[q][6] = v_fma(NAME(repeat_terms)(TERMS, p + 2 * three), b, acc[q][6]);
        }
        if (next < next_end) __builtin_prefetch(next, 0, 2), next += 64;
    }
    vindex index[3];
    NAME(terms_indices)(TERMS, index);
    const ptrdiff_t columns = a->columns;
    const vec bias = a->bias ? v_load_n((const real *)a->bias, columns) : v_zero(), least = v_set1(a->relu ? 0 : -(real)INFINITY);
    FC_UNROLL(4)
    for (int q = 0; q < RUNS; q++) {
        real *y = a->out[q];
        FC_UNROLL(7)
        for (int i = 0; i < PIXELS; i++, y += a->y_step)
            v_store_n(y, v_max(least, v_add(bias, NAME(sum_terms)(TERMS, acc[q][i], index[0], index[1], index[2]))), columns);
    }
}

static void NAME(runs_2)(const fc_runs_args *const args) { NAME(runs_tile)(2, args); }
static void NAME(runs_4)(const fc_runs_args *const args) { NAME(runs_tile)(4, args); }
#define FC_RUNS_KERNELS {NULL, NULL, NAME(runs_2), NULL, NAME(runs_4)}
#else
#define FC_RUNS_KERNELS {NULL}
#endif
