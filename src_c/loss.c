/* Softmax and crossentropy: rows are shared out among threads. */
#include "chunks.h"

typedef struct {
    fc_dtype dtype;
    const void *dy, *x;
    void *y;
    ptrdiff_t rows, cols, rows_per_task;
} softmax_call;

/* Nanoseconds: about as much per row as per 20 elements. */
static double softmax_cost(ptrdiff_t rows, ptrdiff_t cols) { return (double)rows * ((double)cols + 20); }

/* A task has a quarter of a chunk: exponentials are slow. */
static ptrdiff_t task_rows(ptrdiff_t cols) { return fc_chunk_rows(4 * cols); }

static ptrdiff_t rows_of_task(ptrdiff_t rows, ptrdiff_t rows_per_task, ptrdiff_t task) {
    const ptrdiff_t rest = rows - task * rows_per_task;
    return rest < rows_per_task ? rest : rows_per_task;
}

static fc_status softmax_task(const void *context, ptrdiff_t task) {
    const softmax_call *const c = context;
    const ptrdiff_t rows = rows_of_task(c->rows, c->rows_per_task, task), begin = task * c->rows_per_task * c->cols;
    const fc_elementwise_kernels *const kernels = &fc_kernels(c->dtype)->elementwise;
    const void *const x = fc_at(c->x, begin, fc_esize(c->dtype));
    void *const y = fc_at_mut(c->y, begin, fc_esize(c->dtype));
    if (c->dy) kernels->softmax_backward(fc_at(c->dy, begin, fc_esize(c->dtype)), x, y, rows, c->cols);
    else kernels->softmax(x, y, rows, c->cols);
    return FC_OK;
}

static fc_status run_softmax(softmax_call call) {
    assert(call.rows >= 0 && call.cols > 0);
    call.rows_per_task = task_rows(call.cols);
    const ptrdiff_t tasks = (call.rows + call.rows_per_task - 1) / call.rows_per_task;
    return fc_parallel_for(tasks, softmax_cost(call.rows, call.cols), softmax_task, &call);
}

fc_status fc_softmax(fc_dtype dtype, const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) {
    return run_softmax((softmax_call){.dtype = dtype, .x = x, .y = y, .rows = rows, .cols = cols});
}

fc_status fc_softmax_backward(fc_dtype dtype, const void *dy, const void *y, void *dx, ptrdiff_t rows, ptrdiff_t cols) {
    return run_softmax((softmax_call){.dtype = dtype, .dy = dy, .x = y, .y = dx, .rows = rows, .cols = cols});
}

static fc_status crossentropy_task(const void *context, ptrdiff_t task) {
    const fc_crossentropy *const args = context;
    const ptrdiff_t rows = task_rows(args->cols), begin = task * rows;
    fc_kernels(args->dtype)->elementwise.crossentropy(args, begin, begin + rows_of_task(args->rows, rows, task));
    return FC_OK;
}

fc_status fc_softmax_crossentropy(const fc_crossentropy *args) {
    assert(args->rows >= 0 && args->cols > 0 && args->logits && args->loss && !args->labels != !args->targets);
    const ptrdiff_t rows = task_rows(args->cols), tasks = (args->rows + rows - 1) / rows;
    assert(args->correct || !args->totals);
    const fc_status status = fc_parallel_for(tasks, 1.5 * softmax_cost(args->rows, args->cols), crossentropy_task, args);
    if (args->totals) {
        double loss = 0, correct = 0;
        for (ptrdiff_t i = 0; i < args->rows; i++) {
            loss += args->dtype == FC_F64 ? ((const double *)args->loss)[i] : (double)((const float *)args->loss)[i];
            correct += args->correct[i];
        }
        args->totals[0] = loss;
        args->totals[1] = correct;
    }
    return status;
}
