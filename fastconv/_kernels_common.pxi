# Statuses and buffers, for the other parts of _kernels.pyx.

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


cdef int check(fc_status status, str call) except -1:
    if status == FC_NO_MEMORY:
        raise MemoryError(f"{call}: no memory for the workspace")
    if status != FC_OK:
        raise RuntimeError(f"{call}: not supported on this processor")
    return 0


# The memory of an array; the caller releases the view.
cdef void *readable(object array, Py_buffer *view) except? NULL:
    PyObject_GetBuffer(array, view, PyBUF_SIMPLE)
    return view.buf


cdef void *writable(object array, Py_buffer *view) except? NULL:
    PyObject_GetBuffer(array, view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    return view.buf
