# Activations, softmax and crossentropy, dropout, batch normalization: the arrays of a call have the same dtype unless a comment
# says otherwise.

cdef extern from "fastconv.h":
    int fc_activation_needs_input(fc_activation) nogil


cdef fc_op new_op(fc_op_kind kind) noexcept:
    cdef fc_op op
    memset(&op, 0, sizeof(fc_op))
    op.kind = kind
    return op


def activate(int activation, x, y):
    """y = f(x); y may be x."""
    cdef fc_op op = new_op(FC_OP_ACTIVATE)
    op.activation = <fc_activation>activation
    submit(&op, (x,), (y,), "activate")


def activation_needs_input(int activation):
    return bool(fc_activation_needs_input(<fc_activation>activation))


def activate_backward(int activation, dy, s, dx):
    """dx = dy * f' from s, the output of f or its input; dx may be dy or s."""
    cdef fc_op op = new_op(FC_OP_ACTIVATE_BACKWARD)
    op.activation = <fc_activation>activation
    submit(&op, (dy, s), (dx,), "activate_backward")


def dropout(double rate, draw, x, y):
    """draw: seed and counter, two uint64 that are read when the call runs."""
    cdef fc_op op = new_op(FC_OP_DROPOUT)
    op.rate = rate
    submit(&op, (x, draw), (y,), "dropout")


def next_draw(draw):
    """Increase the counter of a draw."""
    cdef fc_op op = new_op(FC_OP_NEXT_DRAW)
    submit(&op, (), (draw,), "next_draw")


def softmax(x, y, ptrdiff_t rows, ptrdiff_t cols):
    cdef fc_op op = new_op(FC_OP_SOFTMAX)
    op.rows = rows
    op.cols = cols
    submit(&op, (x,), (y,), "softmax")


def softmax_backward(dy, y, dx, ptrdiff_t rows, ptrdiff_t cols):
    cdef fc_op op = new_op(FC_OP_SOFTMAX_BACKWARD)
    op.rows = rows
    op.cols = cols
    submit(&op, (dy, y), (dx,), "softmax_backward")


def softmax_crossentropy(logits, labels, targets, weights, loss, dlogits, probs, correct, totals,
                         ptrdiff_t rows, ptrdiff_t cols):
    """Either int64 labels or targets; weights and the outputs after loss may be None; correct is of bytes, totals of float64."""
    cdef fc_op op = new_op(FC_OP_SOFTMAX_CROSSENTROPY)
    op.rows = rows
    op.cols = cols
    submit(&op, (logits, labels, targets, weights), (loss, dlogits, probs, correct, totals), "softmax_crossentropy")


cdef fc_op new_batchnorm(fc_op_kind kind, tuple shape, double epsilon):
    cdef fc_op op = new_op(kind)
    op.of.batchnorm.outer, op.of.batchnorm.channels, op.of.batchnorm.inner = shape
    op.of.batchnorm.epsilon = epsilon
    return op


def batchnorm_moments(tuple shape, x, mean, variance):
    """Mean and biased variance of the channels of x, of shape (outer, channels, inner)."""
    cdef fc_op op = new_batchnorm(FC_OP_BATCHNORM_MOMENTS, shape, 0)
    submit(&op, (x,), (mean, variance), "batch_norm_forward")


def batchnorm_normalize(tuple shape, double epsilon, x, mean, variance, gamma, beta, y):
    """gamma and beta may be None; y may be x."""
    cdef fc_op op = new_batchnorm(FC_OP_BATCHNORM_NORMALIZE, shape, epsilon)
    submit(&op, (x, mean, variance, gamma, beta), (y,), "batch_norm_forward")


def batchnorm_backward(tuple shape, double epsilon, bint training, dy, x, mean, variance, gamma, dx, dgamma, dbeta):
    """gamma, dx, dgamma and dbeta may be None; dx may be dy."""
    cdef fc_op op = new_batchnorm(FC_OP_BATCHNORM_BACKWARD, shape, epsilon)
    op.training = training
    submit(&op, (dy, x, mean, variance, gamma), (dx, dgamma, dbeta), "batch_norm_backward")
