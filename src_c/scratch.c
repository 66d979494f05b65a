#include "scratch.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
/* Slots start in different cache sets, so that buffers walked in step do not evict each other. */
#define STAGGER (PAGE / 8)

static _Thread_local struct {
    void *pages;
    size_t size; /* of the pages */
} slots[FC_SLOTS];

static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void release(fc_slot slot) {
    if (slots[slot].pages) munmap(slots[slot].pages, slots[slot].size);
    slots[slot].pages = NULL;
    slots[slot].size = 0;
}

static void release_all(void *unused) {
    (void)unused;
    for (int slot = 0; slot < FC_SLOTS; slot++) release((fc_slot)slot);
}

static void make_key(void) { pthread_key_create(&at_thread_end, release_all); }

static void *grow(fc_slot slot, size_t bytes) {
    release(slot);
    if (bytes > PTRDIFF_MAX / 2) return NULL;
    pthread_once(&once, make_key);
    if (pthread_setspecific(at_thread_end, slots)) return NULL;
    const size_t size = (bytes + bytes / 4 + PAGE + PAGE - 1) / PAGE * PAGE;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return NULL;
    slots[slot].pages = pages;
    slots[slot].size = size;
    return pages;
}

void *fc_scratch(fc_slot slot, size_t bytes) {
    assert(slot >= 0 && slot < FC_SLOTS);
    char *pages = slots[slot].pages;
    if (!pages || bytes > slots[slot].size - PAGE) pages = grow(slot, bytes);
    return pages ? pages + slot * STAGGER : NULL;
}
