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
        plan.backward_input(dy, kernel, dx)
        plan.backward_weights(x, dy, dw, db)
    except (BufferError, ValueError):
        return None
    return dx, dw, db
