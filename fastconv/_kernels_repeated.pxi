# The short way of a convolution like an earlier one: what fastconv.functional checks step by step, with errors that say what is wrong,
# is looked at here all at once. None is the answer to anything that is not as plain as the calls of a loop.

from numpy import dtype as _dtype, ndarray as _ndarray

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


# The memory of arrays, held until `release`: a place for each, NULL for None.
cdef struct held:
    Py_buffer views[FC_OP_ARRAYS]
    bint is_held[FC_OP_ARRAYS]
    void *at[FC_OP_ARRAYS]
    int count


cdef inline void hold(held *memory, array, bint writable) except *:
    cdef int i = memory.count
    memory.at[i] = NULL
    if array is not None:
        memory.at[i] = take(array, PyBUF_SIMPLE | (PyBUF_WRITABLE if writable else 0), &memory.views[i])
    memory.is_held[i] = array is not None
    memory.count = i + 1


cdef inline void release(held *memory):
    for i in range(memory.count):
        if memory.is_held[i]:
            PyBuffer_Release(&memory.views[i])


# Whether the last array shares memory with one before it.
cdef inline bint last_shares(held *memory):
    cdef int last = memory.count - 1
    cdef char *begin = <char *>memory.at[last]
    cdef char *other
    for i in range(last):
        other = <char *>memory.at[i]
        if memory.is_held[i] and begin < other + memory.views[i].len and other < begin + memory.views[last].len:
            return True
    return False


def repeat_conv2d(dict plans, empty, x, kernel, bias, packed, out, tuple options):
    """`conv2d` with `options` as they are in the keys of `plans`, or None. `empty` makes new arrays."""
    cdef Conv2D plan = known_plan(plans, x, kernel, options)
    cdef held memory
    cdef fc_op op
    cdef fc_status status
    if plan is None or bias is not None and not is_array(bias, plan.dtype, plan.bias_shape):
        return None
    if packed is not None and not (type(packed) is _ndarray and packed.dtype is _uint8 and packed.ndim == 1):
        return None
    if out is None:
        y = empty(plan.y_shape, plan.dtype)
    elif is_array(out, plan.dtype, plan.y_shape):
        y = out
    else:
        return None
    memory.count = 0
    try:
        hold(&memory, x, False)
        hold(&memory, kernel, False)
        hold(&memory, bias, False)
        hold(&memory, packed, False)
        if packed is not None and not plan.takes(<const char *>memory.at[3], memory.views[3].len):
            return None
        hold(&memory, y, True)
        if out is not None and last_shares(&memory):
            return None
        op = plan.op
        op.kind = FC_OP_CONV2D if packed is None else FC_OP_CONV2D_PACKED
        op.arrays[0], op.arrays[1], op.arrays[2], op.arrays[3] = memory.at[0], memory.at[1] if packed is None else memory.at[3], memory.at[2], memory.at[4]
        with nogil:
            status = fc_run(&op, 1)
        check(status, "conv2d")
    except (BufferError, ValueError):  # not contiguous, not aligned, not writable
        return None
    finally:
        release(&memory)
    return y


def repeat_conv2d_backward(dict plans, empty, dy, x, kernel, tuple options):
    """All gradients of `conv2d_backward`, or None."""
    cdef Conv2D plan = known_plan(plans, x, kernel, options)
    cdef held memory
    cdef fc_op ops[2]
    cdef fc_status status
    if plan is None or not is_array(dy, plan.dtype, plan.y_shape):
        return None
    dx, dw, db = empty(plan.x_shape, plan.dtype), empty(plan.kernel_shape, plan.dtype), empty(plan.bias_shape, plan.dtype)
    memory.count = 0
    try:
        hold(&memory, dy, False)
        hold(&memory, x, False)
        hold(&memory, kernel, False)
        hold(&memory, dx, True)
        hold(&memory, dw, True)
        hold(&memory, db, True)
        ops[0] = plan.op
        ops[1] = plan.op
        ops[0].kind = FC_OP_CONV2D_BACKWARD_INPUT
        ops[0].arrays[0], ops[0].arrays[1], ops[0].arrays[2] = memory.at[0], memory.at[2], memory.at[3]
        ops[1].kind = FC_OP_CONV2D_BACKWARD_WEIGHTS
        ops[1].arrays[0], ops[1].arrays[1], ops[1].arrays[2], ops[1].arrays[3] = memory.at[1], memory.at[0], memory.at[4], memory.at[5]
        with nogil:
            status = fc_run(ops, 2)
        check(status, "conv2d_backward")
    except (BufferError, ValueError):
        return None
    finally:
        release(&memory)
    return dx, dw, db
