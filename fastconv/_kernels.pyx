# cython: freethreading_compatible = True
"""The thin layer between Python and the C kernels.

Every function takes arrays that fastconv.functional has validated (C-contiguous, native byte order, right shapes and types),
reaches their memory through the buffer protocol, releases the GIL, makes one C call and turns a bad status into an exception.
While a thread records a program, its calls are noted there instead.
No NumPy C API: nothing here depends on NumPy's ABI.
"""

# Small code: it calls what takes the time.
cdef extern from *:
    """
    #if defined(__GNUC__) && !defined(__clang__)
    #pragma GCC optimize("Os")
    #endif
    """

from cpython.buffer cimport (PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release,
                             PyObject_GetBuffer)

include "_kernels_common.pxi"
include "_kernels_program.pxi"
include "_kernels_runtime.pxi"
include "_kernels_conv.pxi"
include "_kernels_repeated.pxi"
include "_kernels_pool.pxi"
include "_kernels_elementwise.pxi"
include "_kernels_updates.pxi"
