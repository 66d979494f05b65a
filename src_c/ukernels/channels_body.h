/* Vectors of n channels, 0 < n <= VL: whole where n is VL, which is known at compile time in all loops but the last step. */

FC_INLINE vec NAME(load_channels)(const real *const p, const ptrdiff_t n) { return n == VL ? v_load(p) : v_load_n(p, n); }

/* For loops that are one whatever n: where it costs nothing all lanes are asked for. */
FC_INLINE vec NAME(load_free)(const real *const p, const ptrdiff_t n) { return FC_PARTIAL_FREE ? v_load_n(p, n) : v_load(p); }

FC_INLINE void NAME(store_free)(real *const p, const vec v, const ptrdiff_t n) {
    if (FC_PARTIAL_FREE) v_store_n(p, v, n);
    else v_store(p, v);
}

FC_INLINE void NAME(store_channels)(real *const p, const vec v, const ptrdiff_t n) {
    if (n == VL) v_store(p, v);
    else v_store_n(p, v, n);
}

/* Past the caches if `stream`: p is then aligned, and n is VL. */
FC_INLINE void NAME(put_channels)(real *const p, const vec v, const ptrdiff_t n, const int stream) {
    if (stream) v_stream(p, v);
    else NAME(store_channels)(p, v, n);
}

/* Asks for n elements that will be read soon. */
FC_INLINE void NAME(fetch)(const real *const p, const ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += 64 / (ptrdiff_t)sizeof(real)) __builtin_prefetch(p + i, 0, 2);
}
