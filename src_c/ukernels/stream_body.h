/* Dropout, sums of squares and conversions: plain loops that the compiler vectorises, since they mix element types. */

/* The words of Threefry4x32 with 12 rounds for 16 consecutive counters: out[16 * w + j] is word w of counter block + j (64 bits),
 * mask->counter under the key mask->seed. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as
 * 1, 2, 3, SC 2011: the fewest rounds that passed all statistical tests there. */
static void NAME(threefry)(const fc_dropout_mask *const mask, const uint64_t block, uint32_t out[FC_DROPOUT_GROUP]) {
    enum { COUNTERS = FC_DROPOUT_GROUP / 4, ROUNDS = 12 };
    static const uint8_t rotation[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
    const uint32_t key0 = (uint32_t)mask->seed, key1 = (uint32_t)(mask->seed >> 32);
    const uint32_t key[5] = {key0, key1, 0, 0, 0x1BD11BDAu ^ key0 ^ key1};
    const uint32_t base = (uint32_t)block, high = (uint32_t)(block >> 32);
    const uint32_t counter0 = (uint32_t)mask->counter, counter1 = (uint32_t)(mask->counter >> 32);
    for (uint32_t j = 0; j < COUNTERS; j++) {
        uint32_t x0 = base + j + key[0], x1 = high + key[1], x2 = counter0 + key[2], x3 = counter1 + key[3];
        FC_UNROLL(12)
        for (unsigned round = 0; round < ROUNDS; round++) {
            const unsigned r0 = rotation[round % 8][0], r1 = rotation[round % 8][1];
            x0 += x1;
            x1 = ((x1 << r0) | (x1 >> (32 - r0))) ^ x0;
            x2 += x3;
            x3 = ((x3 << r1) | (x3 >> (32 - r1))) ^ x2;
            const uint32_t swapped = x1;
            x1 = x3;
            x3 = swapped;
            if (round % 4 == 3) {
                const unsigned s = round / 4 + 1;
                x0 += key[s % 5];
                x1 += key[(s + 1) % 5];
                x2 += key[(s + 2) % 5];
                x3 += key[(s + 3) % 5] + s;
            }
        }
        out[j] = x0;
        out[COUNTERS + j] = x1;
        out[2 * COUNTERS + j] = x2;
        out[3 * COUNTERS + j] = x3;
    }
}

/* An element is dropped if its word is at most mask->last_dropped. */
static void NAME(dropout)(const fc_dropout_mask *mask, const void *x_, void *y_, ptrdiff_t first, ptrdiff_t n) {
    assert(first % FC_DROPOUT_GROUP == 0 && n >= 0);
    const real *const x = x_;
    real *const y = y_;
    const real scale = (real)mask->scale;
    const uint32_t last_dropped = mask->last_dropped;
    for (ptrdiff_t i = 0; i < n; i += FC_DROPOUT_GROUP) {
        const size_t count = (size_t)(n - i < FC_DROPOUT_GROUP ? n - i : FC_DROPOUT_GROUP);
        uint32_t word[FC_DROPOUT_GROUP];
        real group[FC_DROPOUT_GROUP] = {0};
        NAME(threefry)(mask, (uint64_t)(first + i) / 4, word);
        memcpy(group, x + i, count * sizeof(real));
        for (int j = 0; j < FC_DROPOUT_GROUP; j += VL) v_store(group + j, v_mul(v_load(group + j), v_set1(scale)));
        for (int j = 0; j < FC_DROPOUT_GROUP; j++) group[j] = word[j] > last_dropped ? group[j] : 0;
        memcpy(y + i, group, count * sizeof(real));
    }
}

static double NAME(sum_squares)(const void *x_, ptrdiff_t n) {
    enum { LANES = 16 };
    const real *const x = x_;
    double sum[LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++) sum[j] += (double)x[i + j] * (double)x[i + j];
    for (int j = 0; i + j < n; j++) sum[j] += (double)x[i + j] * (double)x[i + j];
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) sum[j] += sum[j + width];
    return sum[0];
}

static void NAME(scaled_u8)(const void *x_, void *y_, ptrdiff_t n, double scale) {
    const uint8_t *const x = x_;
    real *const y = y_;
    const real factor = (real)scale;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (real)x[i] * factor;
}
static void NAME(scaled_f32)(const void *x_, void *y_, ptrdiff_t n, double scale) {
    const float *const x = x_;
    real *const y = y_;
    const real factor = (real)scale;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (real)x[i] * factor;
}
static void NAME(scaled_f64)(const void *x_, void *y_, ptrdiff_t n, double scale) {
    const double *const x = x_;
    real *const y = y_;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (real)(x[i] * scale);
}
