# Pooling.

cdef class Pool2D:
    """A pooling's description (fc_pool2d), made once for a combination of shapes and arguments.

    `x_shape` and `y_shape` are the shapes of the arrays the calls expect; indices are of `y_shape` and
    `index_dtype`: uint8, or int64 if a window has more than 256 positions.
    """

    cdef fc_op op
    cdef readonly tuple x_shape
    cdef readonly tuple y_shape
    cdef readonly object dtype
    cdef readonly object index_dtype

    def __init__(self, tuple x_shape, tuple y_shape, object dtype, *,
                 tuple pool_size, tuple strides, tuple before, bint channels_first,
                 object index_dtype):
        memset(&self.op, 0, sizeof(fc_op))
        cdef fc_pool2d *pool = &self.op.of.pool
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
        self.index_dtype = index_dtype

    def max_forward(self, x, y, indices):
        """indices may be None."""
        cdef fc_op op = self.op
        op.kind = FC_OP_MAX_POOL2D
        submit(&op, (x,), (y, indices), "max_pool2d")

    def max_backward(self, dy, indices, dx):
        cdef fc_op op = self.op
        op.kind = FC_OP_MAX_POOL2D_BACKWARD
        submit(&op, (dy, indices), (dx,), "max_pool2d_backward")

    def avg_forward(self, x, y):
        cdef fc_op op = self.op
        op.kind = FC_OP_AVG_POOL2D
        submit(&op, (x,), (y,), "avg_pool2d")

    def avg_backward(self, dy, dx):
        cdef fc_op op = self.op
        op.kind = FC_OP_AVG_POOL2D_BACKWARD
        submit(&op, (dy,), (dx,), "avg_pool2d_backward")
