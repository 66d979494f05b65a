# Convolution.

cdef extern from "fastconv.h":
    ctypedef struct fc_conv2d:
        ptrdiff_t n, h, w, c
        ptrdiff_t kh, kw, k
        ptrdiff_t oh, ow
        ptrdiff_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left
        ptrdiff_t groups
        fc_dtype dtype
        fc_layout layout
        fc_activation activation
        fc_algorithm algorithm
    fc_status fc_conv2d_forward(const fc_conv2d *, const void *, const void *, const void *, void *) nogil
    fc_status fc_conv2d_backward_input(const fc_conv2d *, const void *, const void *, void *) nogil
    fc_status fc_conv2d_backward_weights(const fc_conv2d *, const void *, const void *, void *, void *) nogil
    int fc_conv2d_winograd_applies(const fc_conv2d *) nogil


cdef class Conv2D:
    """A convolution's description (fc_conv2d), made once for a combination of shapes and arguments.

    `x_shape`, `kernel_shape`, `y_shape` are the shapes of the arrays the calls expect.
    """

    cdef fc_conv2d conv
    cdef readonly tuple x_shape
    cdef readonly tuple kernel_shape
    cdef readonly tuple y_shape
    cdef readonly object dtype

    def __init__(self, tuple x_shape, tuple kernel_shape, tuple y_shape, object dtype, *,
                 tuple strides, tuple dilation, tuple before, ptrdiff_t groups, bint channels_first,
                 int activation, int algorithm):
        cdef fc_conv2d *conv = &self.conv
        if channels_first:
            conv.n, conv.c, conv.h, conv.w = x_shape
            _, conv.k, conv.oh, conv.ow = y_shape
        else:
            conv.n, conv.h, conv.w, conv.c = x_shape
            _, conv.oh, conv.ow, conv.k = y_shape
        conv.kh, conv.kw = kernel_shape[:2]
        conv.stride_h, conv.stride_w = strides
        conv.dilation_h, conv.dilation_w = dilation
        conv.pad_top, conv.pad_left = before
        conv.groups = groups
        conv.dtype = FC_F64 if dtype.itemsize == 8 else FC_F32
        conv.layout = FC_NCHW if channels_first else FC_NHWC
        conv.activation = <fc_activation>activation
        conv.algorithm = <fc_algorithm>algorithm
        self.x_shape = x_shape
        self.kernel_shape = kernel_shape
        self.y_shape = y_shape
        self.dtype = dtype

    def winograd_applies(self):
        return bool(fc_conv2d_winograd_applies(&self.conv))

    def forward(self, x, kernel, bias, y):
        """y = activation(x * kernel + bias); bias may be None."""
        cdef Py_buffer vx, vw, vb, vy
        cdef void *px
        cdef void *pw
        cdef void *pb = NULL
        cdef void *py
        cdef fc_status status
        px = readable(x, &vx)
        try:
            pw = readable(kernel, &vw)
            try:
                if bias is not None:
                    pb = readable(bias, &vb)
                try:
                    py = writable(y, &vy)
                    with nogil:
                        status = fc_conv2d_forward(&self.conv, px, pw, pb, py)
                    PyBuffer_Release(&vy)
                finally:
                    if pb is not NULL:
                        PyBuffer_Release(&vb)
            finally:
                PyBuffer_Release(&vw)
        finally:
            PyBuffer_Release(&vx)
        check(status, "conv2d")

    def backward_input(self, dy, kernel, dx):
        cdef Py_buffer vy, vw, vx
        cdef void *py
        cdef void *pw
        cdef void *px
        cdef fc_status status
        py = readable(dy, &vy)
        try:
            pw = readable(kernel, &vw)
            try:
                px = writable(dx, &vx)
                with nogil:
                    status = fc_conv2d_backward_input(&self.conv, py, pw, px)
                PyBuffer_Release(&vx)
            finally:
                PyBuffer_Release(&vw)
        finally:
            PyBuffer_Release(&vy)
        check(status, "conv2d_backward")

    def backward_weights(self, x, dy, dw, db):
        """dw and db may be None."""
        cdef Py_buffer vx, vy, vw, vb
        cdef void *px
        cdef void *py
        cdef void *pw = NULL
        cdef void *pb = NULL
        cdef fc_status status
        px = readable(x, &vx)
        try:
            py = readable(dy, &vy)
            try:
                if dw is not None:
                    pw = writable(dw, &vw)
                try:
                    if db is not None:
                        pb = writable(db, &vb)
                    with nogil:
                        status = fc_conv2d_backward_weights(&self.conv, px, py, pw, pb)
                    if pb is not NULL:
                        PyBuffer_Release(&vb)
                finally:
                    if pw is not NULL:
                        PyBuffer_Release(&vw)
            finally:
                PyBuffer_Release(&vy)
        finally:
            PyBuffer_Release(&vx)
        check(status, "conv2d_backward")
