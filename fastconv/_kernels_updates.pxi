# Calls that no program holds: what they need changes from step to step.

cdef extern from "fastconv.h":
    ctypedef enum fc_source:
        FC_SOURCE_F32
        FC_SOURCE_F64
        FC_SOURCE_U8
    ctypedef struct fc_sgd:
        double learning_rate, momentum, decay, scale
        int nesterov
    ctypedef struct fc_rmsprop:
        double learning_rate, rho, momentum, epsilon, decay, scale
    ctypedef struct fc_adam:
        double learning_rate, beta_1, beta_2, epsilon, decay, scale
    fc_status fc_sum_squares(fc_dtype, const void *, ptrdiff_t, double *) nogil
    fc_status fc_gather_rows(fc_source, fc_dtype, const void *, ptrdiff_t, const int64_t *, ptrdiff_t, double, void *) nogil
    ptrdiff_t fc_find_outside(const int64_t *, ptrdiff_t, int64_t) nogil
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
