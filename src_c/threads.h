/* The thread pool. */
#ifndef FC_THREADS_H
#define FC_THREADS_H

#include "fastconv.h"

/* One task of a parallel loop: returns FC_OK or a status, which ends the loop early. Tasks run in any order, on any thread,
 * and must not depend on each other. */
typedef fc_status (*fc_task_fn)(const void *context, ptrdiff_t task);

/* Runs task 0 .. tasks - 1. `work` estimates the whole loop in nanoseconds of one thread: below a cutoff, or with one
 * task, or when another thread is using the pool (so also from within a task), the caller runs everything itself, in order.
 * Returns the first bad status. Tasks must not fork. */
fc_status fc_parallel_for(ptrdiff_t tasks, double work, fc_task_fn fn, const void *context);

/* Kernels run with denormals flushed, rounding to nearest, no traps: fc_fp_enter sets that, fc_fp_leave restores what was.
 * fc_parallel_for does both around its tasks; a call that computes outside of tasks does so itself. They nest. */
unsigned fc_fp_enter(void);
void fc_fp_leave(unsigned saved);

#endif
