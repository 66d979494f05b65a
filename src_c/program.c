/* Records of calls: each is handed to its function. */
#include "conv2d_internal.h"
#include "dispatch.h"
#include "scratch.h"
#include "sizes.h"
#include "threads.h"

#include <assert.h>
#include <stdatomic.h>

/* About what a slice takes. */
#define SLICE_NS 50e3

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
    case FC_OP_CONV2D_BACKWARD:
        return fc_conv2d_backward(&op->of.conv, a[0], a[1], a[2], a[3], a[4], a[5]);
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

/* Bytes of an image in an array of a sliced record; 0 for arrays that all images share. */
static ptrdiff_t image_bytes(const fc_op *op, int place) {
    const fc_conv2d *const conv = &op->of.conv;
    const fc_pool2d *const pool = &op->of.pool;
    const ptrdiff_t esize = fc_esize(op->dtype);
    switch (op->kind) {
    case FC_OP_CONV2D:
    case FC_OP_CONV2D_BACKWARD_INPUT:
    case FC_OP_CONV2D_BACKWARD_WEIGHTS: {
        const int weights = op->kind == FC_OP_CONV2D_BACKWARD_WEIGHTS;
        const int x = op->kind == FC_OP_CONV2D_BACKWARD_INPUT ? 2 : 0, y = op->kind == FC_OP_CONV2D ? 3 : weights ? 1 : 0;
        return place == x ? conv->h * conv->w * conv->c * esize : place == y ? conv->oh * conv->ow * conv->k * esize : 0;
    }
    case FC_OP_CONV2D_BACKWARD:
        if (place == 0 || place == 3) return conv->h * conv->w * conv->c * esize;
        return place == 1 ? conv->oh * conv->ow * conv->k * esize : 0;
    case FC_OP_MAX_POOL2D:
    case FC_OP_MAX_POOL2D_BACKWARD: {
        const int backward = op->kind == FC_OP_MAX_POOL2D_BACKWARD;
        const int x = backward ? 2 : 0, y = backward ? 0 : 1, indices = backward ? 1 : 2;
        if (place == x) return pool->h * pool->w * pool->c * esize;
        return place == y || place == indices ? pool->oh * pool->ow * pool->c * (place == y ? esize : fc_pool_index_bytes(pool)) : 0;
    }
    default:
        assert(0);
        return 0;
    }
}

static ptrdiff_t *images_of(fc_op *op) {
    return op->kind == FC_OP_MAX_POOL2D || op->kind == FC_OP_MAX_POOL2D_BACKWARD ? &op->of.pool.n : &op->of.conv.n;
}

/* Sliced records. */
typedef struct {
    const fc_op *ops;
    ptrdiff_t count, n;
    const char *passed; /* what the first of them hands on: its output */
    ptrdiff_t passed_bytes, images;
    char *parts;        /* [slice - 1][dw, then db] of the record that sums over images */
    ptrdiff_t part_bytes, dw_bytes;
} slices_call;

/* Where the last array of a record that slices begin with is: its output. */
static int output_place(const fc_op *op) { return op->kind == FC_OP_CONV2D ? 3 : 2; }

/* Where a record has dw, which db follows, or 0. */
static int dw_place(const fc_op *op) { return op->kind == FC_OP_CONV2D_BACKWARD ? 4 : op->kind == FC_OP_CONV2D_BACKWARD_WEIGHTS ? 2 : 0; }

static fc_status slice_task(const void *context, ptrdiff_t task) {
    const slices_call *const call = context;
    const ptrdiff_t first = task * call->images, images = fc_min(call->images, call->n - first);
    char *const slice = fc_scratch(FC_SLOT_SLICE, (size_t)(call->images * call->passed_bytes));
    if (!slice) return FC_NO_MEMORY;
    char *const part = task > 0 ? call->parts + (task - 1) * call->part_bytes : NULL;
    for (ptrdiff_t i = 0; i < call->count; i++) {
        fc_op op = call->ops[i];
        *images_of(&op) = images;
        for (int place = 0; place < FC_OP_ARRAYS; place++) {
            if (!op.arrays[place]) continue;
            if (op.arrays[place] == call->passed) op.arrays[place] = slice;
            else op.arrays[place] = (char *)op.arrays[place] + first * image_bytes(&op, place);
        }
        const int dw = dw_place(&op);
        if (dw && part) {
            if (op.arrays[dw]) op.arrays[dw] = part;
            if (op.arrays[dw + 1]) op.arrays[dw + 1] = part + call->dw_bytes;
        }
        const fc_status status = run_one(&op);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

/* Adds the parts of a gradient to that of the first slice. */
static void add_parts(const slices_call *call, const fc_op *op, ptrdiff_t slices) {
    const fc_frame_kernels *const frame = &fc_kernels(op->dtype)->frame;
    const int dw = dw_place(op);
    for (ptrdiff_t s = 0; s < slices - 1; s++) {
        const char *const part = call->parts + s * call->part_bytes;
        if (op->arrays[dw]) frame->add_into(part, op->arrays[dw], fc_kernel_elements(&op->of.conv));
        if (op->arrays[dw + 1]) frame->add_into(part + call->dw_bytes, op->arrays[dw + 1], op->of.conv.k);
    }
}

/* What is handed on takes up a third of a second-level cache, or what a small one and the next level hold without loss. Slices are
 * the same for any number of threads: they decide how gradients are summed. With fewer slices than threads each has all of them. */
static fc_status run_slices(const fc_op *ops) {
    slices_call call = {.ops = ops, .count = ops->sliced, .passed = ops->arrays[output_place(ops)]};
    fc_op first = *ops;
    call.n = *images_of(&first);
    call.passed_bytes = image_bytes(ops, output_place(ops));
    const ptrdiff_t most = fc_max(1, fc_max(fc_l2_bytes() / 3, 512 << 10) / call.passed_bytes), slices = fc_ceil_div(call.n, most);
    call.images = fc_ceil_div(call.n, fc_max(slices, 1));
    const fc_op *summed = NULL;
    for (ptrdiff_t i = 0; i < call.count; i++)
        if (dw_place(&ops[i])) summed = &ops[i];
    if (summed && slices > 1) {
        const ptrdiff_t esize = fc_esize(summed->dtype);
        call.dw_bytes = fc_round_up(fc_kernel_elements(&summed->of.conv) * esize, FC_ALIGN);
        call.part_bytes = call.dw_bytes + fc_round_up(summed->of.conv.k * esize, FC_ALIGN);
        call.parts = fc_scratch(FC_SLOT_PARTS, (size_t)((slices - 1) * call.part_bytes));
        if (!call.parts) return FC_NO_MEMORY;
    }
    fc_status status = FC_OK;
    if (slices >= fc_get_num_threads()) status = fc_parallel_for(slices, SLICE_NS * (double)slices, slice_task, &call);
    else
        for (ptrdiff_t s = 0; s < slices && status == FC_OK; s++) status = slice_task(&call, s);
    if (status == FC_OK && summed && slices > 1) add_parts(&call, summed, slices);
    return status;
}

/* A convolution and the max-pooling after it, in one pass. */
static fc_status run_pooled(const fc_op *ops) {
    const fc_pool2d *const pool = &ops[1].of.pool;
    void *const *const a = ops[0].arrays, *const *const b = ops[1].arrays;
    const int halves = pool->pool_h == 2 && pool->pool_w == 2 && pool->stride_h == 2 && pool->stride_w == 2 && !pool->pad_top && !pool->pad_left;
    if (!halves || pool->layout != FC_NHWC || pool->h % 2 || pool->w % 2) return FC_UNSUPPORTED;
    assert(ops[1].kind == FC_OP_MAX_POOL2D && b[0] == a[3]);
    return fc_conv2d_forward_pooled(&ops[0].of.conv, a[0], a[1], ops[0].kind == FC_OP_CONV2D_PACKED, a[2], b[1], b[2]);
}

fc_status fc_run(const fc_op *ops, ptrdiff_t count) {
    assert(count >= 0);
    for (ptrdiff_t i = 0; i < count; i += fc_max(ops[i].sliced, 1)) {
        if (ops[i].pooled) {
            const fc_status status = run_pooled(&ops[i]);
            if (status != FC_OK && status != FC_UNSUPPORTED) return status;
            if (status == FC_OK) {
                i += 2 - fc_max(ops[i].sliced, 1);
                continue;
            }
        }
        const fc_status status = ops[i].sliced > 1 ? run_slices(&ops[i]) : run_one(&ops[i]);
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

void fc_look_ahead(fc_op *ops, ptrdiff_t count) {
    enum { CONVOLUTIONS = 2, SHARES = 4, PIXELS = 2 }; /* half of the weights, that is: what is fetched has to stay in the cache */
    assert(count > 0);
    const fc_op *const last = &ops[count - 1];
    const fc_conv2d *const conv = &last->of.conv;
    if (last->kind != FC_OP_CONV2D || conv->n * conv->h * conv->w > PIXELS) return;
    const ptrdiff_t bytes = fc_kernel_elements(conv) * fc_esize(last->dtype), share = fc_round_up(bytes / SHARES, FC_ALIGN);
    if (bytes < fc_l2_bytes() / 2) return;
    const ptrdiff_t half = fc_igemm_second_half(conv) * conv->k * fc_esize(last->dtype);
    for (ptrdiff_t i = count - 2, found = 0; i >= 0 && found < CONVOLUTIONS && ops[i].kind != FC_OP_CONV2D; i--) {
        if (ops[i].kind != FC_OP_CONV2D_PACKED) continue;
        ops[i].of.conv.ahead = (const char *)last->arrays[1] + found++ * share;
        ops[i].of.conv.ahead_end = ops[i].of.conv.ahead + share;
        ops[i].of.conv.ahead_half = half;
    }
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
