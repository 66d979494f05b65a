/* Long arrays are worked on in chunks of a fixed length, whatever the number of threads. */
#ifndef FC_CHUNKS_H
#define FC_CHUNKS_H

#include <assert.h>

#include "dispatch.h"
#include "sizes.h"
#include "threads.h"

#define FC_CHUNK 16384

static inline ptrdiff_t fc_chunks(ptrdiff_t n) { return fc_ceil_div(n, FC_CHUNK); }
static inline ptrdiff_t fc_chunk_length(ptrdiff_t n, ptrdiff_t chunk) { return fc_min(n - chunk * FC_CHUNK, FC_CHUNK); }

/* Rows of cols elements that make a chunk: at least one. */
static inline ptrdiff_t fc_chunk_rows(ptrdiff_t cols) { return cols < FC_CHUNK ? FC_CHUNK / cols : 1; }

#endif
