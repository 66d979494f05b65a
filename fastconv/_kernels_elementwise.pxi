# Elementwise functions, losses, optimizers: the arrays of a call have the same dtype unless a comment says otherwise.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from "fastconv.h":
    ctypedef enum fc_source:
        FC_SOURCE_F32
        FC_SOURCE_F64
        FC_SOURCE_U8
    ctypedef struct fc_crossentropy:
        ptrdiff_t rows, cols
        fc_dtype dtype
        const void *logits
        const int64_t *labels
        const void *targets
        const void *weights
        void *loss
        void *dlogits
        void *probs
        uint8_t *correct
    ctypedef struct fc_sgd:
        double learning_rate, momentum, decay, scale
        int nesterov
    ctypedef struct fc_rmsprop:
        double learning_rate, rho, momentum, epsilon, decay, scale
    ctypedef struct fc_adam:
        double learning_rate, beta_1, beta_2, epsilon, decay, scale
    fc_status fc_activate(fc_dtype, fc_activation, const void *, void *, ptrdiff_t) nogil
    int fc_activation_needs_input(fc_activation) nogil
    fc_status fc_activate_backward(fc_dtype, fc_activation, const void *, const void *, void *, ptrdiff_t) nogil
    fc_status fc_dropout(fc_dtype, double, uint64_t, uint64_t, const void *, void *, ptrdiff_t) nogil
    fc_status fc_sum_squares(fc_dtype, const void *, ptrdiff_t, double *) nogil
    fc_status fc_gather_rows(fc_source, fc_dtype, const void *, ptrdiff_t, const int64_t *, ptrdiff_t, double, void *) nogil
    ptrdiff_t fc_find_outside(const int64_t *, ptrdiff_t, int64_t) nogil
    fc_status fc_softmax(fc_dtype, const void *, void *, ptrdiff_t, ptrdiff_t) nogil
    fc_status fc_softmax_backward(fc_dtype, const void *, const void *, void *, ptrdiff_t, ptrdiff_t) nogil
    fc_status fc_softmax_crossentropy(const fc_crossentropy *) nogil
    fc_status fc_sgd_update(const fc_sgd *, fc_dtype, void *, const void *, void *, ptrdiff_t) nogil
    fc_status fc_rmsprop_update(const fc_rmsprop *, fc_dtype, void *, const void *, void *, void *, void *, ptrdiff_t) nogil
    fc_status fc_adam_update(const fc_adam *, fc_dtype, void *, const void *, void *, void *, void *, ptrdiff_t) nogil


cdef class Views:
    """The memory of up to 10 arrays, held until the object goes; NULL for None.

    `dtype` and `size` are those of the array taken last.
    """

    cdef Py_buffer view[10]
    cdef int count
    cdef fc_dtype dtype
    cdef ptrdiff_t size

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            PyBuffer_Release(&self.view[i])

    cdef void *take(self, object array, int flags) except? NULL:
        if array is None:
            return NULL
        cdef Py_buffer *view = &self.view[self.count]
        PyObject_GetBuffer(array, view, flags)
        self.count += 1
        self.dtype = FC_F64 if view.itemsize == 8 else FC_F32
        self.size = view.len // view.itemsize
        return view.buf

    cdef void *read(self, object array) except? NULL:
        return self.take(array, PyBUF_SIMPLE)

    cdef void *write(self, object array) except? NULL:
        return self.take(array, PyBUF_SIMPLE | PyBUF_WRITABLE)


def activate(int activation, x, y):
    """y = f(x); y may be x."""
    cdef Views views = Views()
    cdef void *px = views.read(x)
    cdef void *py = views.write(y)
    cdef fc_status status
    with nogil:
        status = fc_activate(views.dtype, <fc_activation>activation, px, py, views.size)
    check(status, "activate")


def activation_needs_input(int activation):
    return bool(fc_activation_needs_input(<fc_activation>activation))


def activate_backward(int activation, dy, s, dx):
    """dx = dy * f' from s, the output of f or its input; dx may be dy or s."""
    cdef Views views = Views()
    cdef void *py = views.read(dy)
    cdef void *ps = views.read(s)
    cdef void *px = views.write(dx)
    cdef fc_status status
    with nogil:
        status = fc_activate_backward(views.dtype, <fc_activation>activation, py, ps, px, views.size)
    check(status, "activate_backward")


def dropout(double rate, uint64_t seed, uint64_t counter, x, y):
    cdef Views views = Views()
    cdef void *px = views.read(x)
    cdef void *py = views.write(y)
    cdef fc_status status
    with nogil:
        status = fc_dropout(views.dtype, rate, seed, counter, px, py, views.size)
    check(status, "dropout")


def sum_squares(x):
    cdef Views views = Views()
    cdef void *px = views.read(x)
    cdef double total
    cdef fc_status status
    with nogil:
        status = fc_sum_squares(views.dtype, px, views.size, &total)
    check(status, "sum_squares")
    return total


def find_outside(indices, int64_t limit):
    """The first i with int64 indices[i] outside 0 .. limit - 1, or -1."""
    cdef Views views = Views()
    cdef int64_t *p = <int64_t *>views.read(indices)
    return fc_find_outside(p, views.size, limit)


def gather_rows(src, ptrdiff_t row, indices, double scale, out):
    """src is uint8, float32 or float64 with `row` elements per row, indices int64 and inside, out float32 or float64."""
    cdef Views views = Views()
    cdef void *ps = views.read(src)
    cdef ptrdiff_t itemsize = views.view[0].itemsize
    cdef fc_source source = FC_SOURCE_U8 if itemsize == 1 else FC_SOURCE_F32 if itemsize == 4 else FC_SOURCE_F64
    cdef int64_t *pi = <int64_t *>views.read(indices)
    cdef ptrdiff_t n = views.size
    cdef void *po = views.write(out)
    cdef fc_status status
    with nogil:
        status = fc_gather_rows(source, views.dtype, ps, row, pi, n, scale, po)
    check(status, "gather_rows")


def softmax(x, y, ptrdiff_t rows, ptrdiff_t cols):
    cdef Views views = Views()
    cdef void *px = views.read(x)
    cdef void *py = views.write(y)
    cdef fc_status status
    with nogil:
        status = fc_softmax(views.dtype, px, py, rows, cols)
    check(status, "softmax")


def softmax_backward(dy, y, dx, ptrdiff_t rows, ptrdiff_t cols):
    cdef Views views = Views()
    cdef void *pd = views.read(dy)
    cdef void *py = views.read(y)
    cdef void *px = views.write(dx)
    cdef fc_status status
    with nogil:
        status = fc_softmax_backward(views.dtype, pd, py, px, rows, cols)
    check(status, "softmax_backward")


def softmax_crossentropy(logits, labels, targets, weights, loss, dlogits, probs, correct, ptrdiff_t rows, ptrdiff_t cols):
    """Either int64 labels or targets; weights and the outputs after loss may be None; correct is of bytes."""
    cdef Views views = Views()
    cdef fc_crossentropy args
    args.rows = rows
    args.cols = cols
    args.logits = views.read(logits)
    args.dtype = views.dtype
    args.labels = <int64_t *>views.read(labels)
    args.targets = views.read(targets)
    args.weights = views.read(weights)
    args.loss = views.write(loss)
    args.dlogits = views.write(dlogits)
    args.probs = views.write(probs)
    args.correct = <uint8_t *>views.write(correct)
    cdef fc_status status
    with nogil:
        status = fc_softmax_crossentropy(&args)
    check(status, "softmax_crossentropy")


def sgd_update(w, g, m, double learning_rate, double momentum, bint nesterov, double decay, double scale):
    """m may be None."""
    cdef Views views = Views()
    cdef fc_sgd p = fc_sgd(learning_rate, momentum, decay, scale, nesterov)
    cdef void *pg = views.read(g)
    cdef void *pm = views.write(m)
    cdef void *pw = views.write(w)
    cdef fc_status status
    with nogil:
        status = fc_sgd_update(&p, views.dtype, pw, pg, pm, views.size)
    check(status, "sgd_update")


def rmsprop_update(w, g, v, m, mg, double learning_rate, double rho, double momentum, double epsilon, double decay, double scale):
    """m and mg may be None."""
    cdef Views views = Views()
    cdef fc_rmsprop p = fc_rmsprop(learning_rate, rho, momentum, epsilon, decay, scale)
    cdef void *pg = views.read(g)
    cdef void *pv = views.write(v)
    cdef void *pm = views.write(m)
    cdef void *pmg = views.write(mg)
    cdef void *pw = views.write(w)
    cdef fc_status status
    with nogil:
        status = fc_rmsprop_update(&p, views.dtype, pw, pg, pv, pm, pmg, views.size)
    check(status, "rmsprop_update")


def adam_update(w, g, m, v, vhat, double learning_rate, double beta_1, double beta_2, double epsilon, double decay, double scale):
    """vhat may be None."""
    cdef Views views = Views()
    cdef fc_adam p = fc_adam(learning_rate, beta_1, beta_2, epsilon, decay, scale)
    cdef void *pg = views.read(g)
    cdef void *pm = views.write(m)
    cdef void *pv = views.write(v)
    cdef void *ph = views.write(vhat)
    cdef void *pw = views.write(w)
    cdef fc_status status
    with nogil:
        status = fc_adam_update(&p, views.dtype, pw, pg, pm, pv, ph, views.size)
    check(status, "adam_update")


cdef extern from "fastconv.h":
    ctypedef struct fc_batchnorm:
        ptrdiff_t outer, channels, inner
        fc_dtype dtype
        double epsilon
    fc_status fc_batchnorm_moments(const fc_batchnorm *, const void *, void *, void *) nogil
    fc_status fc_batchnorm_normalize(const fc_batchnorm *, const void *, const void *, const void *, const void *, const void *,
                                     void *) nogil
    fc_status fc_batchnorm_backward(const fc_batchnorm *, int, const void *, const void *, const void *, const void *,
                                    const void *, void *, void *, void *) nogil


def batchnorm_moments(tuple shape, x, mean, variance):
    """Mean and biased variance of the channels of x, of shape (outer, channels, inner)."""
    cdef Views views = Views()
    cdef fc_batchnorm bn
    bn.outer, bn.channels, bn.inner = shape
    bn.epsilon = 0
    cdef void *px = views.read(x)
    cdef void *pm = views.write(mean)
    cdef void *pv = views.write(variance)
    cdef fc_status status
    bn.dtype = views.dtype
    with nogil:
        status = fc_batchnorm_moments(&bn, px, pm, pv)
    check(status, "batch_norm_forward")


def batchnorm_normalize(tuple shape, double epsilon, x, mean, variance, gamma, beta, y):
    """gamma and beta may be None; y may be x."""
    cdef Views views = Views()
    cdef fc_batchnorm bn
    bn.outer, bn.channels, bn.inner = shape
    bn.epsilon = epsilon
    cdef void *px = views.read(x)
    cdef void *pm = views.read(mean)
    cdef void *pv = views.read(variance)
    cdef void *pg = views.read(gamma)
    cdef void *pb = views.read(beta)
    cdef void *py = views.write(y)
    cdef fc_status status
    bn.dtype = views.dtype
    with nogil:
        status = fc_batchnorm_normalize(&bn, px, pm, pv, pg, pb, py)
    check(status, "batch_norm_forward")


def batchnorm_backward(tuple shape, double epsilon, bint training, dy, x, mean, variance, gamma, dx, dgamma, dbeta):
    """gamma, dx, dgamma and dbeta may be None; dx may be dy."""
    cdef Views views = Views()
    cdef fc_batchnorm bn
    bn.outer, bn.channels, bn.inner = shape
    bn.epsilon = epsilon
    cdef void *pd = views.read(dy)
    cdef void *px = views.read(x)
    cdef void *pm = views.read(mean)
    cdef void *pv = views.read(variance)
    cdef void *pg = views.read(gamma)
    cdef void *pdx = views.write(dx)
    cdef void *pdg = views.write(dgamma)
    cdef void *pdb = views.write(dbeta)
    cdef fc_status status
    bn.dtype = views.dtype
    with nogil:
        status = fc_batchnorm_backward(&bn, training, pd, px, pm, pv, pg, pdx, pdg, pdb)
    check(status, "batch_norm_backward")
