# The short ways of calls like earlier ones: what fastconv.functional and fastconv.models check step by step, with errors that say what is
# wrong, is looked at here all at once. None is the answer to anything that is not as plain as the calls of a loop. Kernels leave nothing of
# Python's in the caches: each line that takes part in a call comes from memory, which is why there should be few.

from cpython.object cimport PyObject
from numpy import dtype as _dtype, ndarray as _ndarray

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *o) nogil

cdef object _uint8 = _dtype("uint8")


# Whether a value is its own normal form: True and 1.0 are equal to 1, and find what it left in a dictionary.
cdef inline bint plain(value):
    if type(value) is tuple:
        for item in <tuple>value:
            if not plain(item):
                return False
        return True
    return value is None or type(value) is int or type(value) is str


cdef inline bint is_array(array, dtype, tuple shape):
    return type(array) is _ndarray and array.dtype is dtype and array.shape == shape


# The plan of an earlier call with such arguments.
cdef Conv2D known_plan(dict plans, x, kernel, tuple options):
    if type(x) is not _ndarray or type(kernel) is not _ndarray or get_recorder() is not NULL or not plain(options):
        return None
    dtype = x.dtype
    if kernel.dtype is not dtype:
        return None
    return <Conv2D>plans.get((x.shape, kernel.shape, dtype) + options)


def repeat_conv2d(dict plans, empty, x, kernel, bias, packed, out, tuple options):
    """`conv2d` with `options` as they are in the keys of `plans`, or None. `empty` makes new arrays."""
    cdef Conv2D plan = known_plan(plans, x, kernel, options)
    if plan is None or bias is not None and not is_array(bias, plan.dtype, plan.bias_shape):
        return None
    if packed is not None and not (type(packed) is _ndarray and packed.dtype is _uint8 and packed.ndim == 1):
        return None
    if out is not None and not is_array(out, plan.dtype, plan.y_shape):
        return None
    try:
        if out is not None and (overlap(x, out) or overlap(kernel, out) or bias is not None and overlap(bias, out)):
            return None
        y = empty(plan.y_shape, plan.dtype) if out is None else out
        if packed is None:
            plan.forward(x, kernel, bias, y)
        elif plan.takes(packed):
            plan.forward_packed(x, packed, bias, y)
        else:
            return None
    except (BufferError, ValueError):  # not contiguous, not aligned, not writable
        return None
    return y


def repeat_conv2d_backward(dict plans, empty, dy, x, kernel, tuple options):
    """All gradients of `conv2d_backward`, or None."""
    cdef Conv2D plan = known_plan(plans, x, kernel, options)
    if plan is None or not is_array(dy, plan.dtype, plan.y_shape):
        return None
    dx, dw, db = empty(plan.x_shape, plan.dtype), empty(plan.kernel_shape, plan.dtype), empty(plan.bias_shape, plan.dtype)
    try:
        plan.backward(x, dy, kernel, dx, dw, db)
    except (BufferError, ValueError):
        return None
    return dx, dw, db


cdef class DirectRun:
    """What `Plan.forward_new` does, for arrays like the one that it did it for last.

    `program` takes an input of `shape` and an output of `y_shape`. It may run while `plan` is the last of the `idle` plans and `counts`, in
    a list that others change, are what they were. `empty` makes new arrays; but the result before the last is used again if nothing else
    refers to it.
    """

    cdef Program program
    cdef list counts, idle
    cdef object moves, changes, plan, empty, dtype, before, last
    cdef tuple shape, y_shape

    def __init__(self, Program program not None, list counts not None, list idle not None, plan, empty, dtype, tuple shape, tuple y_shape):
        if len(program.moving) != 2:
            raise ValueError(f"Expected a program with 2 moving arrays. Received: {len(program.moving)}")
        self.program, self.counts, self.idle, self.plan = program, counts, idle, plan
        self.moves, self.changes = counts
        self.empty, self.dtype, self.shape, self.y_shape = empty, dtype, shape, y_shape

    def __call__(self, x):
        cdef Py_buffer views[2]
        cdef char *starts[2]
        cdef int held = 0, i
        cdef fc_program program
        cdef fc_status status
        cdef Py_ssize_t last
        if not is_array(x, self.dtype, self.shape) or self.counts[0] is not self.moves or self.counts[1] is not self.changes:
            return None
        # Nothing is allocated in between, for other threads may run then: who takes the plan has all of this object.
        last = len(self.idle) - 1
        if last < 0 or self.idle[last] is not self.plan:
            return None
        del self.idle[last]
        try:
            if Py_REFCNT(<PyObject *>self.before) == 1 and is_array(self.before, self.dtype, self.y_shape):
                y = self.before
            else:
                y = self.empty(self.y_shape, self.dtype)
            self.before, self.last = self.last, y
            starts[0] = <char *>take(x, PyBUF_SIMPLE, &views[0])
            held = 1
            starts[1] = <char *>take(y, PyBUF_SIMPLE | PyBUF_WRITABLE, &views[1])
            held = 2
            if views[0].len != self.program.bytes[0] or views[1].len != self.program.bytes[1]:
                return None
            program = fc_program(self.program.ops, self.program.count, self.program.movings, self.program.moving_count)
            with nogil:
                status = fc_run_turns(&program, 1, 1, starts, self.program.bytes)
        except (BufferError, ValueError):
            return None
        finally:
            for i in range(held):
                PyBuffer_Release(&views[i])
            self.idle.append(self.plan)
        check(status, "run")
        return y
