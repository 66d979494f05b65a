# Convolution.

cdef extern from "fastconv.h":
    int fc_conv2d_winograd_applies(const fc_conv2d *) nogil
    ptrdiff_t fc_conv2d_packed_bytes(const fc_conv2d *) nogil
    ptrdiff_t fc_conv2d_packed_as(const fc_conv2d *, const void *) nogil
    ptrdiff_t FC_PACKED_HEADER


cdef class Conv2D:
    """A convolution's description (fc_conv2d), made once for a combination of shapes and arguments.

    `x_shape`, `kernel_shape`, `y_shape`, `bias_shape` are the shapes of the arrays the calls expect.
    """

    cdef fc_op op
    cdef readonly tuple x_shape
    cdef readonly tuple kernel_shape
    cdef readonly tuple y_shape
    cdef readonly tuple bias_shape
    cdef readonly object dtype

    def __init__(self, tuple x_shape, tuple kernel_shape, tuple y_shape, object dtype, *,
                 tuple strides, tuple dilation, tuple before, ptrdiff_t groups, bint channels_first,
                 int activation, int algorithm):
        memset(&self.op, 0, sizeof(fc_op))
        cdef fc_conv2d *conv = &self.op.of.conv
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
        self.bias_shape = (conv.k,)
        self.dtype = dtype

    def winograd_applies(self):
        return bool(fc_conv2d_winograd_applies(&self.op.of.conv))

    def forward(self, x, kernel, bias, y):
        """y = activation(x * kernel + bias); bias may be None."""
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D
        submit(&op, (x, kernel, bias), (y,), "conv2d")

    def packed_bytes(self):
        """Bytes of packed weights, 0 if packing has no use."""
        return fc_conv2d_packed_bytes(&self.op.of.conv)

    def takes(self, packed):
        """Whether the memory of an array is packed weights for it."""
        cdef Py_buffer view
        PyObject_GetBuffer(packed, &view, PyBUF_SIMPLE)
        try:
            return view.len >= FC_PACKED_HEADER and view.len == fc_conv2d_packed_as(&self.op.of.conv, view.buf)
        finally:
            PyBuffer_Release(&view)

    def pack(self, kernel, packed):
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D_PACK
        submit(&op, (kernel,), (packed,), "pack_conv2d")

    def forward_packed(self, x, packed, bias, y):
        """The forward pass with what `pack` made of the kernel."""
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D_PACKED
        submit(&op, (x, packed, bias), (y,), "conv2d")

    def backward_input(self, dy, kernel, dx):
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D_BACKWARD_INPUT
        submit(&op, (dy, kernel), (dx,), "conv2d_backward")

    def backward_weights(self, x, dy, dw, db):
        """dw and db may be None."""
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D_BACKWARD_WEIGHTS
        submit(&op, (x, dy), (dw, db), "conv2d_backward")

    def backward(self, x, dy, kernel, dx, dw, db):
        """All gradients; dw or db may be None."""
        cdef fc_op op = self.op
        op.kind = FC_OP_CONV2D_BACKWARD
        submit(&op, (x, dy, kernel), (dx, dw, db), "conv2d_backward")
