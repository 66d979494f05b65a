/* Softmax along rows, alone and with crossentropy. A row is shifted by its maximum, so that nothing overflows. */

/* The lanes of a vector, or the first n with `rest` in the others. */
FC_INLINE vec NAME(load_part)(const real *const p, const ptrdiff_t n, const vec rest) {
    return n >= VL ? v_load(p) : v_select(v_first(n), v_load_n(p, n), rest);
}
FC_INLINE void NAME(store_part)(real *const p, const vec v, const ptrdiff_t n) {
    if (n >= VL) v_store(p, v);
    else v_store_n(p, v, n);
}

/* The largest element; NaN are passed over or returned. */
FC_INLINE real NAME(row_max)(const real *const x, const ptrdiff_t cols) {
    const vec lowest = v_set1(-(real)INFINITY);
    vec m = lowest;
    for (ptrdiff_t j = 0; j < cols; j += VL) m = v_max(m, NAME(load_part)(x + j, cols - j, lowest));
    real lane[VL];
    v_store(lane, m);
    for (int width = VL / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lane[i] = lane[i] > lane[i + width] ? lane[i] : lane[i + width];
    return lane[0];
}

/* Sums are taken over blocks first, which keeps rounding errors of long rows small. */
enum { NAME(SUM_BLOCK) = 64 * VL };

/* e[j] = exp(x[j] - max), the last vector of them in *last, those before it stored unless e is NULL; the sum. e may be x. */
FC_INLINE real NAME(row_exp)(const real *const x, const real max, real *const e, vec *const last, const ptrdiff_t cols) {
    vec total = v_zero();
    const vec shift = v_set1(max);
    *last = total;
    for (ptrdiff_t begin = 0; begin < cols; begin += NAME(SUM_BLOCK)) {
        const ptrdiff_t end = cols - begin < NAME(SUM_BLOCK) ? cols : begin + NAME(SUM_BLOCK);
        vec sum = v_zero();
        for (ptrdiff_t j = begin; j < end; j += VL) {
            const ptrdiff_t n = end - j;
            vec v = NAME(exp)(v_sub(NAME(load_part)(x + j, n, shift), shift));
            if (n < VL) v = v_select(v_first(n), v, v_zero());
            if (j + VL >= cols) *last = v;
            else if (e) v_store(e + j, v);
            sum = v_add(sum, v);
        }
        total = v_add(total, sum);
    }
    return v_sum(total);
}

static void NAME(softmax)(const void *x_, void *y_, ptrdiff_t rows, ptrdiff_t cols) {
    assert(rows >= 0 && cols > 0);
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t i = 0; i < rows; i++, x += cols, y += cols) {
        vec last;
        const real sum = NAME(row_exp)(x, NAME(row_max)(x, cols), y, &last, cols);
        const vec scale = v_set1(1 / sum);
        ptrdiff_t j = 0;
        for (; j + VL < cols; j += VL) v_store(y + j, v_mul(scale, v_load(y + j)));
        NAME(store_part)(y + j, v_mul(scale, last), cols - j);
    }
}

/* dx = y * (dy - sum of y * dy) */
static void NAME(softmax_backward)(const void *dy_, const void *y_, void *dx_, ptrdiff_t rows, ptrdiff_t cols) {
    assert(rows >= 0 && cols > 0);
    const real *dy = dy_, *y = y_;
    real *dx = dx_;
    for (ptrdiff_t i = 0; i < rows; i++, dy += cols, y += cols, dx += cols) {
        vec total = v_zero();
        for (ptrdiff_t begin = 0; begin < cols; begin += NAME(SUM_BLOCK)) {
            const ptrdiff_t end = cols - begin < NAME(SUM_BLOCK) ? cols : begin + NAME(SUM_BLOCK);
            vec sum = v_zero();
            for (ptrdiff_t j = begin; j < end; j += VL)
                sum = v_fma(NAME(load_part)(y + j, end - j, v_zero()), NAME(load_part)(dy + j, end - j, v_zero()), sum);
            total = v_add(total, sum);
        }
        const vec mean = v_set1(v_sum(total));
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const ptrdiff_t n = cols - j;
            const vec d = v_sub(NAME(load_part)(dy + j, n, mean), mean);
            NAME(store_part)(dx + j, v_mul(NAME(load_part)(y + j, n, mean), d), n);
        }
    }
}

/* The sum of t and of t * (x - max), where t = 0 counts nothing even if x is infinite. */
FC_INLINE void NAME(row_targets)(const real *const t, const real *const x, const real max, const ptrdiff_t cols, double *const t_sum,
                                 double *const dot) {
    const vec shift = v_set1(max);
    *t_sum = *dot = 0;
    for (ptrdiff_t begin = 0; begin < cols; begin += NAME(SUM_BLOCK)) {
        const ptrdiff_t end = cols - begin < NAME(SUM_BLOCK) ? cols : begin + NAME(SUM_BLOCK);
        vec sum = v_zero(), product = v_zero();
        for (ptrdiff_t j = begin; j < end; j += VL) {
            const vec p = NAME(load_part)(t + j, end - j, v_zero());
            const vec d = v_sub(NAME(load_part)(x + j, end - j, shift), shift);
            sum = v_add(sum, p);
            product = v_fma(p, v_select(v_eq(p, v_zero()), v_zero(), d), product);
        }
        *t_sum += (double)v_sum(sum);
        *dot += (double)v_sum(product);
    }
}

/* Whether x[label] is max and none before it. */
FC_INLINE int NAME(is_first_max)(const real *const x, const real max, const ptrdiff_t label) {
    if (!(x[label] == max)) return 0;
    for (ptrdiff_t j = 0; j < label; j++)
        if (x[j] == max) return 0;
    return 1;
}

static void NAME(crossentropy)(const fc_crossentropy *a, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t cols = a->cols;
    assert(0 <= begin && end <= a->rows && cols > 0 && !a->labels != !a->targets);
    for (ptrdiff_t i = begin; i < end; i++) {
        const real *const x = (const real *)a->logits + i * cols;
        const real *const t = a->targets ? (const real *)a->targets + i * cols : NULL;
        real *const dx = a->dlogits ? (real *)a->dlogits + i * cols : NULL;
        real *const p = a->probs ? (real *)a->probs + i * cols : NULL;
        ptrdiff_t label = a->labels ? (ptrdiff_t)a->labels[i] : 0;
        const real max = NAME(row_max)(x, cols);
        double t_sum = 1, dot;
        if (t) {
            NAME(row_targets)(t, x, max, cols, &t_sum, &dot);
            if (a->correct)
                for (ptrdiff_t j = 1; j < cols; j++)
                    if (t[j] > t[label]) label = j;
        } else {
            dot = (double)x[label] - (double)max;
        }
        const int hit = a->correct && NAME(is_first_max)(x, max, label);
        real *const e = p ? p : dx;
        vec last;
        const real sum = NAME(row_exp)(x, max, e, &last, cols);
        if (a->correct) a->correct[i] = (uint8_t)(hit && sum == sum);
        const double weight = a->weights ? (double)((const real *)a->weights)[i] : 1;
        ((real *)a->loss)[i] = (real)(weight * (t_sum * log((double)sum) - dot));
        const vec norm = v_set1(1 / sum), step = v_set1((real)(weight / (double)a->rows)), mass = v_set1((real)t_sum);
        for (ptrdiff_t j = 0; j < cols && e; j += VL) {
            const ptrdiff_t n = cols - j;
            const vec prob = v_mul(norm, n > VL ? v_load(e + j) : last);
            if (p) NAME(store_part)(p + j, prob, n);
            if (dx) {
                const vec d = t ? v_sub(v_mul(prob, mass), NAME(load_part)(t + j, n, norm)) : prob;
                NAME(store_part)(dx + j, v_mul(step, d), n);
            }
        }
        if (dx && !t) dx[label] -= (real)(weight / (double)a->rows);
    }
}
