#include "scratch.h"

#include <stdlib.h>

static _Thread_local struct {
    void *data;
    size_t size;
} slots[FC_SLOTS];

void *fc_scratch(fc_slot slot, size_t bytes) {
    if (bytes > slots[slot].size) {
        free(slots[slot].data);
        const size_t size = (bytes + bytes / 4 + 4095) / 4096 * 4096;
        slots[slot].data = aligned_alloc(4096, size);
        slots[slot].size = slots[slot].data ? size : 0;
    }
    return slots[slot].data;
}
