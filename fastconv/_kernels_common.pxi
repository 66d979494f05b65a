# Statuses, records and buffers, for the other parts of _kernels.pyx.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from "fastconv.h":
    ctypedef enum fc_status:
        FC_OK
        FC_NO_MEMORY
        FC_UNSUPPORTED
    ctypedef enum fc_dtype:
        FC_F32
        FC_F64
    ctypedef enum fc_layout:
        FC_NHWC
        FC_NCHW
    ctypedef enum fc_algorithm:
        FC_AUTO
        FC_DIRECT
        FC_WINOGRAD
    ctypedef enum fc_activation:
        FC_LINEAR
        FC_ACTIVATIONS
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
    ctypedef struct fc_pool2d:
        ptrdiff_t n, h, w, c
        ptrdiff_t pool_h, pool_w
        ptrdiff_t oh, ow
        ptrdiff_t stride_h, stride_w, pad_top, pad_left
        fc_dtype dtype
        fc_layout layout
    ctypedef struct fc_batchnorm:
        ptrdiff_t outer, channels, inner
        double epsilon
    ctypedef enum fc_op_kind:
        FC_OP_CONV2D
        FC_OP_CONV2D_PACK
        FC_OP_CONV2D_PACKED
        FC_OP_CONV2D_BACKWARD_INPUT
        FC_OP_CONV2D_BACKWARD_WEIGHTS
        FC_OP_CONV2D_BACKWARD
        FC_OP_MAX_POOL2D
        FC_OP_MAX_POOL2D_BACKWARD
        FC_OP_AVG_POOL2D
        FC_OP_AVG_POOL2D_BACKWARD
        FC_OP_ACTIVATE
        FC_OP_ACTIVATE_BACKWARD
        FC_OP_DROPOUT
        FC_OP_NEXT_DRAW
        FC_OP_SOFTMAX
        FC_OP_SOFTMAX_BACKWARD
        FC_OP_SOFTMAX_CROSSENTROPY
        FC_OP_BATCHNORM_MOMENTS
        FC_OP_BATCHNORM_NORMALIZE
        FC_OP_BATCHNORM_BACKWARD
        FC_OP_GATHER_ROWS
        FC_OP_SGD
        FC_OP_RMSPROP
        FC_OP_ADAM
    ctypedef enum fc_source:
        FC_SOURCE_F32
        FC_SOURCE_F64
        FC_SOURCE_U8
    enum:
        FC_OP_ARRAYS
    ctypedef union fc_op_of:
        fc_conv2d conv
        fc_pool2d pool
        fc_batchnorm batchnorm
    ctypedef struct fc_op:
        fc_op_kind kind
        fc_dtype dtype
        void *arrays[9]
        ptrdiff_t n, rows, cols
        fc_activation activation
        double rate
        int training
        fc_source source
        ptrdiff_t sliced
        int pooled
        fc_op_of of
    fc_status fc_run(const fc_op *ops, ptrdiff_t count) nogil
    ctypedef struct fc_moving:
        ptrdiff_t op
        int place
        int array
        ptrdiff_t offset
    ctypedef struct fc_program:
        fc_op *ops
        ptrdiff_t count
        const fc_moving *moving
        ptrdiff_t movings
    void fc_look_ahead(fc_op *ops, ptrdiff_t count) nogil
    fc_status fc_run_turns(const fc_program *programs, int count, ptrdiff_t turns, char **arrays, const ptrdiff_t *bytes) nogil


cdef int check(fc_status status, str call) except -1:
    if status == FC_NO_MEMORY:
        raise MemoryError(f"{call}: no memory for the workspace")
    if status != FC_OK:
        raise RuntimeError(f"{call}: not supported on this processor")
    return 0


# The memory of an array. BufferError or ValueError if it is not C-contiguous, aligned and, for outputs, writable.
cdef inline void *take(object array, int flags, Py_buffer *view) except? NULL:
    PyObject_GetBuffer(array, view, flags)
    if <size_t>view.buf & <size_t>(view.itemsize - 1):
        PyBuffer_Release(view)
        raise BufferError("The array is not aligned.")
    return view.buf


# Runs a record on arrays, each of which may be None, or has the program that this thread records take note of it.
# `n` of the record is that of the first input, `dtype` that of the first output, if there is any.
cdef int submit(fc_op *op, tuple inputs, tuple outputs, str call) except -1:
    cdef Py_buffer views[FC_OP_ARRAYS]
    cdef int count = 0, place = 0, first_output, i
    cdef fc_status status = FC_OK
    try:
        for array in inputs:
            op.arrays[place] = NULL
            if array is not None:
                op.arrays[place] = take(array, PyBUF_SIMPLE, &views[count])
                count += 1
            place += 1
        first_output = count
        for array in outputs:
            op.arrays[place] = NULL
            if array is not None:
                op.arrays[place] = take(array, PyBUF_SIMPLE | PyBUF_WRITABLE, &views[count])
                count += 1
            place += 1
        op.dtype = FC_F64 if views[first_output if first_output < count else 0].itemsize == 8 else FC_F32
        op.n = views[0].len // views[0].itemsize
        if get_recorder() is not NULL:
            (<Program>get_recorder()).append(op, inputs + outputs)
        else:
            with nogil:
                status = fc_run(op, 1)
    finally:
        for i in range(count):
            PyBuffer_Release(&views[i])
    if status != FC_OK:
        check(status, call)
    return 0


def overlap(a, b):
    """0 if the memory of two arrays is apart, 1 if they share some, 2 if it is the same."""
    cdef Py_buffer one, other
    cdef char *start
    cdef char *begin
    PyObject_GetBuffer(a, &one, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(b, &other, PyBUF_SIMPLE)
    except:
        PyBuffer_Release(&one)
        raise
    start, begin = <char *>one.buf, <char *>other.buf
    cdef int shared = start < begin + other.len and begin < start + one.len
    if one.len == 0 or other.len == 0:
        shared = 0
    elif start == begin and one.len == other.len:
        shared = 2
    PyBuffer_Release(&one)
    PyBuffer_Release(&other)
    return shared
