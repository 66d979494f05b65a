/* Records of calls: each is handed to its function. */
#include "fastconv.h"
#include "threads.h"

#include <assert.h>
#include <stdatomic.h>

static fc_status crossentropy(const fc_op *op) {
    void *const *const a = op->arrays;
    return fc_softmax_crossentropy(&(fc_crossentropy){.rows = op->rows,
                                                      .cols = op->cols,
                                                      .dtype = op->dtype,
                                                      .logits = a[0],
                                                      .labels = a[1],
                                                      .targets = a[2],
                                                      .weights = a[3],
                                                      .loss = a[4],
                                                      .dlogits = a[5],
                                                      .probs = a[6],
                                                      .correct = a[7],
                                                      .totals = a[8]});
}

static fc_status batchnorm(const fc_op *op) {
    void *const *const a = op->arrays;
    fc_batchnorm bn = op->of.batchnorm;
    bn.dtype = op->dtype;
    if (op->kind == FC_OP_BATCHNORM_MOMENTS) return fc_batchnorm_moments(&bn, a[0], a[1], a[2]);
    if (op->kind == FC_OP_BATCHNORM_NORMALIZE) return fc_batchnorm_normalize(&bn, a[0], a[1], a[2], a[3], a[4], a[5]);
    return fc_batchnorm_backward(&bn, op->training, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
}

static fc_status run_one(const fc_op *op) {
    void *const *const a = op->arrays;
    switch (op->kind) {
    case FC_OP_CONV2D:
        return fc_conv2d_forward(&op->of.conv, a[0], a[1], a[2], a[3]);
    case FC_OP_CONV2D_PACK:
        return fc_conv2d_pack(&op->of.conv, a[0], a[1]);
    case FC_OP_CONV2D_PACKED:
        return fc_conv2d_forward_packed(&op->of.conv, a[0], a[1], a[2], a[3]);
    case FC_OP_CONV2D_BACKWARD_INPUT:
        return fc_conv2d_backward_input(&op->of.conv, a[0], a[1], a[2]);
    case FC_OP_CONV2D_BACKWARD_WEIGHTS:
        return fc_conv2d_backward_weights(&op->of.conv, a[0], a[1], a[2], a[3]);
    case FC_OP_MAX_POOL2D:
        return fc_max_pool2d(&op->of.pool, a[0], a[1], a[2]);
    case FC_OP_MAX_POOL2D_BACKWARD:
        return fc_max_pool2d_backward(&op->of.pool, a[0], a[1], a[2]);
    case FC_OP_AVG_POOL2D:
        return fc_avg_pool2d(&op->of.pool, a[0], a[1]);
    case FC_OP_AVG_POOL2D_BACKWARD:
        return fc_avg_pool2d_backward(&op->of.pool, a[0], a[1]);
    case FC_OP_ACTIVATE:
        return fc_activate(op->dtype, op->activation, a[0], a[1], op->n);
    case FC_OP_ACTIVATE_BACKWARD:
        return fc_activate_backward(op->dtype, op->activation, a[0], a[1], a[2], op->n);
    case FC_OP_DROPOUT: {
        const uint64_t *const draw = a[1];
        return fc_dropout(op->dtype, op->rate, draw[0], draw[1], a[0], a[2], op->n);
    }
    case FC_OP_NEXT_DRAW:
        ((uint64_t *)a[0])[1]++;
        return FC_OK;
    case FC_OP_SOFTMAX:
        return fc_softmax(op->dtype, a[0], a[1], op->rows, op->cols);
    case FC_OP_SOFTMAX_BACKWARD:
        return fc_softmax_backward(op->dtype, a[0], a[1], a[2], op->rows, op->cols);
    case FC_OP_SOFTMAX_CROSSENTROPY:
        return crossentropy(op);
    case FC_OP_BATCHNORM_MOMENTS:
    case FC_OP_BATCHNORM_NORMALIZE:
    case FC_OP_BATCHNORM_BACKWARD:
        return batchnorm(op);
    case FC_OP_GATHER_ROWS:
        return fc_gather_rows(op->source, op->dtype, a[0], op->cols, a[1], op->rows, op->rate, a[2]);
    case FC_OP_SGD:
        return fc_sgd_update(a[1], op->dtype, a[2], a[0], a[3], op->n);
    case FC_OP_RMSPROP:
        return fc_rmsprop_update(a[1], op->dtype, a[2], a[0], a[3], a[4], a[5], op->n);
    case FC_OP_ADAM:
        return fc_adam_update(a[1], op->dtype, a[2], a[0], a[3], a[4], a[5], op->n);
    case FC_OPS:
        break;
    }
    assert(0);
    return FC_UNSUPPORTED;
}

fc_status fc_run(const fc_op *ops, ptrdiff_t count) {
    assert(count >= 0);
    for (ptrdiff_t i = 0; i < count; i++) {
        const fc_status status = run_one(&ops[i]);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

typedef struct {
    const fc_program *programs;
    ptrdiff_t turns;
    char *const *arrays;
    const ptrdiff_t *bytes;
    atomic_ptrdiff_t *next;
} turns_call;

static fc_status turns_task(const void *context, ptrdiff_t task) {
    const turns_call *const call = context;
    const fc_program *const program = &call->programs[task];
    ptrdiff_t turn;
    while ((turn = atomic_fetch_add_explicit(call->next, 1, memory_order_relaxed)) < call->turns) {
        for (ptrdiff_t i = 0; i < program->movings; i++) {
            const fc_moving *const m = &program->moving[i];
            program->ops[m->op].arrays[m->place] = call->arrays[m->array] + turn * call->bytes[m->array] + m->offset;
        }
        const fc_status status = fc_run(program->ops, program->count);
        if (status != FC_OK) {
            atomic_store_explicit(call->next, call->turns, memory_order_relaxed);
            return status;
        }
    }
    return FC_OK;
}

/* About what a turn takes that is given to one thread. */
#define TURN_NS 50e3

fc_status fc_run_turns(const fc_program *programs, int count, ptrdiff_t turns, char *const *arrays, const ptrdiff_t *bytes) {
    assert(count > 0 && turns >= 0);
    atomic_ptrdiff_t next = 0;
    const turns_call call = {programs, turns, arrays, bytes, &next};
    if (count == 1) return turns_task(&call, 0); /* whose calls have all threads */
    return fc_parallel_for(count, TURN_NS * (double)turns, turns_task, &call);
}
