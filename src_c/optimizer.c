/* Optimizer updates: chunks of the flat buffers are shared out among threads. */
#include "chunks.h"

typedef enum { SGD, RMSPROP, ADAM } rule;

typedef struct {
    rule rule;
    const void *p; /* fc_sgd, fc_rmsprop or fc_adam */
    fc_dtype dtype;
    void *w;
    const void *g;
    void *slots[3]; /* in the order of the kernel's arguments */
    ptrdiff_t n;
} update_call;

static fc_status update_task(const void *context, ptrdiff_t task) {
    const update_call *const c = context;
    const fc_elementwise_kernels *const kernels = &fc_kernels(c->dtype)->elementwise;
    const ptrdiff_t begin = task * FC_CHUNK, n = fc_chunk_length(c->n, task);
    void *const w = fc_at_mut(c->w, begin, fc_esize(c->dtype));
    const void *const g = fc_at(c->g, begin, fc_esize(c->dtype));
    void *s[3];
    for (int i = 0; i < 3; i++) s[i] = c->slots[i] ? fc_at_mut(c->slots[i], begin, fc_esize(c->dtype)) : NULL;
    switch (c->rule) {
    case SGD:
        kernels->sgd(c->p, w, g, s[0], n);
        break;
    case RMSPROP:
        kernels->rmsprop(c->p, w, g, s[0], s[1], s[2], n);
        break;
    case ADAM:
        kernels->adam(c->p, w, g, s[0], s[1], s[2], n);
        break;
    }
    return FC_OK;
}

static fc_status run(const update_call *call) {
    assert(call->n >= 0);
    return fc_parallel_for(fc_chunks(call->n), 0.6 * (double)call->n, update_task, call);
}

fc_status fc_sgd_update(const fc_sgd *p, fc_dtype dtype, void *w, const void *g, void *m, ptrdiff_t n) {
    return run(&(update_call){SGD, p, dtype, w, g, {m, NULL, NULL}, n});
}

fc_status fc_rmsprop_update(const fc_rmsprop *p, fc_dtype dtype, void *w, const void *g, void *v, void *m, void *mg, ptrdiff_t n) {
    return run(&(update_call){RMSPROP, p, dtype, w, g, {v, m, mg}, n});
}

fc_status fc_adam_update(const fc_adam *p, fc_dtype dtype, void *w, const void *g, void *m, void *v, void *vhat, ptrdiff_t n) {
    return run(&(update_call){ADAM, p, dtype, w, g, {m, v, vhat}, n});
}
