# Rows of the data, and updates of the weights.

cdef extern from "fastconv.h":
    fc_status fc_sum_squares(fc_dtype, const void *, ptrdiff_t, double *) nogil
    ptrdiff_t fc_find_outside(const int64_t *, ptrdiff_t, int64_t) nogil


def sum_squares(x):
    cdef Py_buffer view
    cdef double total
    cdef fc_status status
    PyObject_GetBuffer(x, &view, PyBUF_SIMPLE)
    with nogil:
        status = fc_sum_squares(FC_F64 if view.itemsize == 8 else FC_F32, view.buf, view.len // view.itemsize, &total)
    PyBuffer_Release(&view)
    check(status, "sum_squares")
    return total


def find_outside(indices, int64_t limit):
    """The first i with int64 indices[i] outside 0 .. limit - 1, or -1."""
    cdef Py_buffer view
    PyObject_GetBuffer(indices, &view, PyBUF_SIMPLE)
    cdef ptrdiff_t found = fc_find_outside(<int64_t *>view.buf, view.len // 8, limit)
    PyBuffer_Release(&view)
    return found


def gather_rows(src, ptrdiff_t itemsize, ptrdiff_t row, indices, ptrdiff_t n, double scale, out):
    """src is uint8, float32 or float64 with `row` elements per row, n indices int64 and inside, out float32 or float64."""
    cdef fc_op op = new_op(FC_OP_GATHER_ROWS)
    op.source = FC_SOURCE_U8 if itemsize == 1 else FC_SOURCE_F32 if itemsize == 4 else FC_SOURCE_F64
    op.rows = n
    op.cols = row
    op.rate = scale
    submit(&op, (src, indices), (out,), "gather_rows")


# `settings` are the members of fc_sgd, fc_rmsprop or fc_adam in their order, as float64.

def sgd_update(g, settings, w, m):
    """m may be None."""
    cdef fc_op op = new_op(FC_OP_SGD)
    submit(&op, (g, settings), (w, m), "sgd_update")


def rmsprop_update(g, settings, w, v, m, mg):
    """m and mg may be None."""
    cdef fc_op op = new_op(FC_OP_RMSPROP)
    submit(&op, (g, settings), (w, v, m, mg), "rmsprop_update")


def adam_update(g, settings, w, m, v, vhat):
    """vhat may be None."""
    cdef fc_op op = new_op(FC_OP_ADAM)
    submit(&op, (g, settings), (w, m, v, vhat), "adam_update")
