#include "scratch.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Under AddressSanitizer the bytes beyond what was asked for are forbidden. */
#if defined(__SANITIZE_ADDRESS__)
#define FC_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FC_POISON 1
#endif
#endif
#if defined(FC_POISON)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

#define PAGE ((size_t)4096)
/* Buffers from half of this on are made of huge pages: the first touch is 5 to 14 times cheaper, and walking tens of streams
 * through it up to 4 times, than with small pages. */
#define HUGE_PAGE ((size_t)2 << 20)
/* Slots start in different cache sets, so that buffers walked in step do not evict each other. */
#define STAGGER (PAGE / 16)
static_assert((FC_SLOTS - 1) * STAGGER <= PAGE, "the last one starts within the page that is added for this");

typedef struct {
    char *pages;
    size_t size; /* of the pages */
} buffer;

/* Each thread's buffers are kept under a key. A thread-local variable would not do: that of a library loaded at run time is
 * allocated at a thread's first use of it, and glibc aborts the process when there is no memory. */
static pthread_key_t of_thread;
static int key_status;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void release(buffer *b) {
    if (!b->pages) return;
    ASAN_UNPOISON_MEMORY_REGION(b->pages, b->size);
    munmap(b->pages, b->size);
    b->pages = NULL;
    b->size = 0;
}

static void release_all(void *buffers) {
    for (int slot = 0; slot < FC_SLOTS; slot++) release((buffer *)buffers + slot);
    free(buffers);
}

static void make_key(void) { key_status = pthread_key_create(&of_thread, release_all); }

/* Before the library is unloaded: threads that end later must not call into it. */
__attribute__((destructor)) static void forget_key(void) {
    pthread_once(&once, make_key);
    if (!key_status) pthread_key_delete(of_thread);
}

/* NULL: no memory. */
static buffer *my_buffers(void) {
    pthread_once(&once, make_key);
    if (key_status) return NULL;
    buffer *buffers = pthread_getspecific(of_thread);
    if (buffers) return buffers;
    buffers = calloc(FC_SLOTS, sizeof *buffers);
    if (!buffers || !pthread_setspecific(of_thread, buffers)) return buffers;
    free(buffers);
    return NULL;
}

static void *map(size_t size) {
    void *const pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

/* `size` is a multiple of HUGE_PAGE, and so is the address. */
static void *map_huge(size_t size) {
    char *const pages = map(size + HUGE_PAGE);
    if (!pages) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)pages % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(pages, before);
    munmap(pages + before + size, HUGE_PAGE - before);
#if defined(MADV_HUGEPAGE)
    madvise(pages + before, size, MADV_HUGEPAGE);
#endif
    return pages + before;
}

static void grow(buffer *b, size_t bytes) {
    release(b);
    if (bytes > PTRDIFF_MAX / 2) return;
    /* A quarter more than asked for, so that sizes that creep up do not map again each time; a page for the stagger. */
    const size_t least = bytes + bytes / 4 + PAGE;
    const size_t unit = least < HUGE_PAGE / 2 ? PAGE : HUGE_PAGE;
    const size_t size = (least + unit - 1) / unit * unit;
    b->pages = unit == PAGE ? map(size) : map_huge(size);
    b->size = b->pages ? size : 0;
}

void *fc_scratch(fc_slot slot, size_t bytes) {
    assert(slot >= 0 && slot < FC_SLOTS);
    buffer *const buffers = my_buffers();
    if (!buffers) return NULL;
    buffer *const b = &buffers[slot];
    if (!b->pages || bytes > b->size - PAGE) grow(b, bytes);
    if (!b->pages) return NULL;
    char *const start = b->pages + slot * STAGGER;
    ASAN_POISON_MEMORY_REGION(b->pages, b->size);
    ASAN_UNPOISON_MEMORY_REGION(start, bytes);
    return start;
}
