# Pooling.

from libc.stdint cimport uint8_t

cdef extern from "fastconv.h":
    ctypedef struct fc_pool2d:
        ptrdiff_t n, h, w, c
        ptrdiff_t pool_h, pool_w
        ptrdiff_t oh, ow
        ptrdiff_t stride_h, stride_w, pad_top, pad_left
        fc_dtype dtype
        fc_layout layout
    fc_status fc_max_pool2d(const fc_pool2d *, const void *, void *, uint8_t *) nogil
    fc_status fc_max_pool2d_backward(const fc_pool2d *, const void *, const uint8_t *, void *) nogil
    fc_status fc_avg_pool2d(const fc_pool2d *, const void *, void *) nogil
    fc_status fc_avg_pool2d_backward(const fc_pool2d *, const void *, void *) nogil


cdef class Pool2D:
    """A pooling's description (fc_pool2d), made once for a combination of shapes and arguments.

    `x_shape` and `y_shape` are the shapes of the arrays the calls expect; indices are uint8 of `y_shape`.
    """

    cdef fc_pool2d pool
    cdef readonly tuple x_shape
    cdef readonly tuple y_shape
    cdef readonly object dtype

    def __init__(self, tuple x_shape, tuple y_shape, object dtype, *,
                 tuple pool_size, tuple strides, tuple before, bint channels_first):
        cdef fc_pool2d *pool = &self.pool
        if channels_first:
            pool.n, pool.c, pool.h, pool.w = x_shape
            pool.oh, pool.ow = y_shape[2:]
        else:
            pool.n, pool.h, pool.w, pool.c = x_shape
            pool.oh, pool.ow = y_shape[1:3]
        pool.pool_h, pool.pool_w = pool_size
        pool.stride_h, pool.stride_w = strides
        pool.pad_top, pool.pad_left = before
        pool.dtype = FC_F64 if dtype.itemsize == 8 else FC_F32
        pool.layout = FC_NCHW if channels_first else FC_NHWC
        self.x_shape = x_shape
        self.y_shape = y_shape
        self.dtype = dtype

    def max_forward(self, x, y, indices):
        """indices may be None."""
        cdef Py_buffer vx, vy, vi
        cdef void *px
        cdef void *py
        cdef void *pi = NULL
        cdef fc_status status
        px = readable(x, &vx)
        try:
            py = writable(y, &vy)
            try:
                if indices is not None:
                    pi = writable(indices, &vi)
                with nogil:
                    status = fc_max_pool2d(&self.pool, px, py, <uint8_t *>pi)
                if pi is not NULL:
                    PyBuffer_Release(&vi)
            finally:
                PyBuffer_Release(&vy)
        finally:
            PyBuffer_Release(&vx)
        check(status, "max_pool2d")

    def max_backward(self, dy, indices, dx):
        cdef Py_buffer vy, vi, vx
        cdef void *py
        cdef void *pi
        cdef void *px
        cdef fc_status status
        py = readable(dy, &vy)
        try:
            pi = readable(indices, &vi)
            try:
                px = writable(dx, &vx)
                with nogil:
                    status = fc_max_pool2d_backward(&self.pool, py, <const uint8_t *>pi, px)
                PyBuffer_Release(&vx)
            finally:
                PyBuffer_Release(&vi)
        finally:
            PyBuffer_Release(&vy)
        check(status, "max_pool2d_backward")

    def avg_forward(self, x, y):
        cdef Py_buffer vx, vy
        cdef void *px
        cdef void *py
        cdef fc_status status
        px = readable(x, &vx)
        try:
            py = writable(y, &vy)
            with nogil:
                status = fc_avg_pool2d(&self.pool, px, py)
            PyBuffer_Release(&vy)
        finally:
            PyBuffer_Release(&vx)
        check(status, "avg_pool2d")

    def avg_backward(self, dy, dx):
        cdef Py_buffer vy, vx
        cdef void *py
        cdef void *px
        cdef fc_status status
        py = readable(dy, &vy)
        try:
            px = writable(dx, &vx)
            with nogil:
                status = fc_avg_pool2d_backward(&self.pool, py, px)
            PyBuffer_Release(&vx)
        finally:
            PyBuffer_Release(&vy)
        check(status, "avg_pool2d_backward")
