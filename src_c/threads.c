#include "threads.h"

fc_status fc_parallel_for(ptrdiff_t tasks, double work, fc_task_fn fn, const void *context) {
    (void)work;
    for (ptrdiff_t i = 0; i < tasks; i++) {
        const fc_status status = fn(context, i);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

unsigned fc_fp_enter(void) { return 0; }
void fc_fp_leave(unsigned saved) { (void)saved; }

int fc_get_num_threads(void) { return 1; }
void fc_set_num_threads(int n) { (void)n; }
