/* Workspace: aligned memory that each thread keeps between calls and frees when it ends. */
#ifndef FC_SCRATCH_H
#define FC_SCRATCH_H

#include <stddef.h>

/* What a buffer is for: buffers of different slots can be held at the same time by one thread. */
typedef enum {
    FC_SLOT_CALL = 0,  /* shared by the tasks of one call: packed weights, transposed input */
    FC_SLOT_CALL2,     /* a second one: accumulators */
    FC_SLOT_CALL3,     /* a third: whole-array transposes around a call that itself uses the first two */
    FC_SLOT_ROUND,     /* gradients of a round, or weights packed for all rounds: around calls as well */
    FC_SLOT_FOLDED,    /* folded images and weights, or weights of exchanged channels, between those */
    FC_SLOT_WINDOWS,   /* products of windows, around calls too */
    FC_SLOT_PARTS,     /* around calls: gradients of slices */
    FC_SLOT_SLICE,     /* what a slice hands on from call to call */
    FC_SLOT_TASK,      /* of one task: pointer tables, padded copies */
    FC_SLOT_TASK2,
    FC_SLOT_STRIP,     /* pixels of a task that are turned */
    FC_SLOTS
} fc_slot;

/* At least `bytes` bytes, aligned to 64, contents undefined; NULL if there is no memory. Valid until the same thread asks
 * for the same slot again. */
void *fc_scratch(fc_slot slot, size_t bytes);

#endif
