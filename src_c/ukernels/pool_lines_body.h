/* Pooling along lines: see fc_pool_lines_args in ukernels_pool.h. Neighbouring windows of a line lie side by side in vectors; what a tap
 * reads for a vector of them is picked from two vectors of the line. A block of windows is computed for all lines before the next: what
 * its taps pick stays in registers. */

#define FC_LINE_TAPS 3

/* The maximum, with its place in the line, or in a window of which the line holds the maxima of columns; or the sum. */
enum { NAME(line_maximum), NAME(line_index), NAME(line_winner), NAME(line_sum) };

/* A block of windows, of all lines. TAPS and taps are as in pool_body.h; GROUP of them pick from the same vectors. */
FC_INLINE void NAME(line_block)(const int TAPS, const int GROUP, const int KIND, const fc_pool_lines_args *const a, const fc_line_entry *const entry,
                                const ptrdiff_t out) {
    const ptrdiff_t taps = TAPS ? TAPS : a->taps, in_elements = a->in_elements, out_elements = a->out_elements, lines = a->lines;
    const ptrdiff_t low = in_elements < VL ? in_elements : VL, high = in_elements < 2 * VL ? in_elements - low : VL;
    const real *const position = a->position;
    vindex lane[FC_LINE_TAPS];
    vec place[FC_LINE_TAPS];
    ptrdiff_t from[FC_LINE_TAPS];
    FC_UNROLL(3)
    for (int t = 0; t < TAPS; t++) {
        lane[t] = v_index(a->lane + entry[t].pattern * VL);
        place[t] = KIND != NAME(line_maximum) ? v_load(position + entry[t].place * VL) : v_zero();
        from[t] = entry[t].from;
    }
    const vec elements = KIND == NAME(line_sum) && a->elements ? v_load((const real *)a->elements + out) : v_zero();
    for (ptrdiff_t l = 0; l < lines; l++) {
        const ptrdiff_t line = l * in_elements, to = l * out_elements + out;
        vec best = v_zero(), where = v_zero(), from_low = v_zero(), from_high = v_zero(), place_low = v_zero(), place_high = v_zero();
        FC_UNROLL(3)
        for (ptrdiff_t t = 0; t < taps; t++) {
            const ptrdiff_t at = line + (TAPS ? from[t] : entry[t].from);
            const vindex picked = TAPS ? lane[t] : v_index(a->lane + entry[t].pattern * VL);
            if (t % GROUP == 0) {
                const real *const x = (const real *)a->x + at, *const within = (const real *)a->within + at;
                from_low = v_load_n(x, low), from_high = v_load_n(x + VL, high);
                if (KIND == NAME(line_winner)) place_low = v_load_n(within, low), place_high = v_load_n(within + VL, high);
            }
            const vec value = v_permute2(from_low, from_high, picked);
            vec here = v_zero();
            if (KIND != NAME(line_maximum)) here = TAPS ? place[t] : v_load(position + entry[t].place * VL);
            if (KIND == NAME(line_winner)) here = v_add(here, v_permute2(place_low, place_high, picked));
            if (KIND == NAME(line_sum)) {
                best = v_select(v_eq(here, v_zero()), best, v_add(best, value));
            } else if (t == 0) {
                best = value, where = here;
            } else if (KIND == NAME(line_maximum)) {
                best = v_select(v_eq(value, value), v_max(value, best), value);
            } else if (KIND == NAME(line_index)) {
                const vmask wins = v_beats(value, best);
                best = v_select(wins, value, best);
                where = v_select(wins, here, where);
            } else {
                /* The second in the window has to beat the first. */
                const vmask before = v_gt(where, here);
                const vec first = v_select(before, value, best), second = v_select(before, best, value);
                const vmask wins = v_beats(second, first);
                best = v_select(wins, second, first);
                where = v_select(wins, v_max(here, where), v_min(here, where));
            }
        }
        if (KIND == NAME(line_sum) && a->elements) best = v_div(best, elements);
        v_store((real *)a->y + to, best);
        if (KIND == NAME(line_index)) v_store((real *)a->where + to, where);
        if (KIND == NAME(line_winner)) v_store_u8(a->index + to, where);
    }
}

FC_INLINE void NAME(line_blocks)(const int TAPS, const int GROUP, const int KIND, const fc_pool_lines_args *const args) {
    const fc_pool_lines_args copy = *args, *const a = &copy; /* known not to change when results are written */
    for (ptrdiff_t b = 0; b < a->blocks; b++) {
        const fc_line_entry *const entry = a->entry + b * a->taps;
        NAME(line_block)(TAPS, GROUP, KIND, a, entry, (b + 1) * VL <= a->out_elements ? b * VL : a->out_elements - VL);
    }
}

/* Two taps and three have kernels of their own: side by side with stride 1 they pick from the same vectors, with stride 2 the first two do. */
#define FC_POOL_LINES(name, KIND)                                                      \
    static void NAME(name)(const fc_pool_lines_args *const a) {                        \
        assert(a->taps > 0 && a->blocks > 0 && a->group > 0 && a->out_elements >= VL); \
        if (a->taps == 3 && a->group == 3) NAME(line_blocks)(3, 3, KIND, a);           \
        else if (a->taps == 3 && a->group == 2) NAME(line_blocks)(3, 2, KIND, a);      \
        else if (a->taps == 2 && a->group == 2) NAME(line_blocks)(2, 2, KIND, a);      \
        else NAME(line_blocks)(0, 1, KIND, a);                                         \
    }
FC_POOL_LINES(pool_lines_maximum, NAME(line_maximum))
FC_POOL_LINES(pool_lines_index, NAME(line_index))
FC_POOL_LINES(pool_lines_winner, NAME(line_winner))
FC_POOL_LINES(pool_lines_sum, NAME(line_sum))
#undef FC_POOL_LINES
#undef FC_LINE_TAPS
