/* Long arrays are worked on in chunks of a fixed length, whatever the number of threads. */
#ifndef FC_CHUNKS_H
#define FC_CHUNKS_H

#include <assert.h>

#include "dispatch.h"
#include "threads.h"

#define FC_CHUNK 16384

static inline ptrdiff_t fc_chunks(ptrdiff_t n) { return n / FC_CHUNK + (n % FC_CHUNK != 0); }
static inline ptrdiff_t fc_chunk_length(ptrdiff_t n, ptrdiff_t chunk) {
    const ptrdiff_t rest = n - chunk * FC_CHUNK;
    return rest < FC_CHUNK ? rest : FC_CHUNK;
}

/* Rows of cols elements that make a chunk: at least one. */
static inline ptrdiff_t fc_chunk_rows(ptrdiff_t cols) { return cols < FC_CHUNK ? FC_CHUNK / cols : 1; }

static inline ptrdiff_t fc_element_size(fc_dtype dtype) { return dtype == FC_F64 ? 8 : 4; }
/* The element that many elements after p. */
static inline const void *fc_skip(const void *p, ptrdiff_t elements, fc_dtype dtype) {
    return (const char *)p + elements * fc_element_size(dtype);
}
static inline void *fc_skip_mut(void *p, ptrdiff_t elements, fc_dtype dtype) {
    return (char *)p + elements * fc_element_size(dtype);
}

#endif
