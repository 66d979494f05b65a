# Programs: calls that are recorded once and then run together.

from libc.stdlib cimport free, realloc
from libc.string cimport memset

cdef extern from *:
    """
    static _Thread_local void *fc_recorder;
    static void *get_recorder(void) { return fc_recorder; }
    static void set_recorder(void *program) { fc_recorder = program; }
    """
    void *get_recorder() nogil
    void set_recorder(void *program) nogil


# Arrays that `run` takes at most, and programs that `repeat` runs beside each other.
cdef enum:
    MOVING = 4
    BESIDE = 256


cdef class Program:
    """A sequence of kernel calls on fixed arrays that runs in one call.

    ``with program:`` records the calls that this thread makes instead of running them. `moving` are contiguous arrays that stand
    for what `run` will be given in their place; every other array is kept and used where it is. One thread at a time may run it.
    """

    cdef fc_op *ops
    cdef ptrdiff_t count
    cdef fc_moving *movings
    cdef ptrdiff_t moving_count
    cdef readonly tuple moving
    cdef ptrdiff_t bytes[MOVING]
    cdef list arrays

    def __init__(self, tuple moving=()):
        cdef Py_buffer view
        cdef int i
        if len(moving) > MOVING:
            raise ValueError(f"A program takes {MOVING} arrays at most. Received: {len(moving)}")
        self.moving = moving
        self.arrays = []
        for i in range(len(moving)):
            PyObject_GetBuffer(moving[i], &view, PyBUF_SIMPLE)
            self.bytes[i] = view.len
            PyBuffer_Release(&view)

    def __dealloc__(self):
        free(self.ops)
        free(self.movings)

    def __len__(self):
        return self.count

    def __enter__(self):
        if get_recorder() is not NULL:
            raise RuntimeError("This thread is recording another program already.")
        set_recorder(<void *>self)
        return self

    def __exit__(self, *error):
        set_recorder(NULL)

    def extend(self, Program other):
        """Append the calls of another program. What moves there stays where it is unless it moves here too."""
        cdef Py_buffer view
        cdef fc_moving *moving
        cdef ptrdiff_t i, first = self.count
        cdef int place
        for i in range(other.count):
            self.add(&other.ops[i], other.arrays[i])
        for i in range(other.moving_count):
            moving = &other.movings[i]
            place = self.place_of(other.moving[moving.array])
            if place >= 0:
                self.add_moving(first + moving.op, moving.place, place, moving.offset)
            else:
                PyObject_GetBuffer(other.moving[moving.array], &view, PyBUF_SIMPLE)
                self.ops[first + moving.op].arrays[moving.place] = <char *>view.buf + moving.offset
                PyBuffer_Release(&view)

    def slice(self, ptrdiff_t first):
        """Let the calls from `first` on run on a few images after the other: see fc_run."""
        if not 0 <= first < self.count:
            raise ValueError(f"Expected the number of a call below {self.count}. Received: {first}")
        self.ops[first].sliced = self.count - first

    def pool(self, ptrdiff_t first):
        """Let the convolution recorded as `first` and the max-pooling after it be one pass, where that is faster: see fc_run."""
        if not 0 <= first < self.count - 1:
            raise ValueError(f"Expected the number of a call before the last of {self.count}. Received: {first}")
        cdef fc_op *op = &self.ops[first]
        op.pooled = op[1].kind == FC_OP_MAX_POOL2D and (op.kind == FC_OP_CONV2D or op.kind == FC_OP_CONV2D_PACKED)

    cdef int place_of(self, array) except -2:
        """Where `array` is among those that move, or -1."""
        cdef int i
        for i in range(len(self.moving)):
            if self.moving[i] is array:
                return i
        return -1

    cdef int append(self, const fc_op *op, tuple arrays) except -1:
        cdef int i, j
        for i in range(len(self.moving)):
            for j in range(FC_OP_ARRAYS):
                self.note_moving(op.arrays[j], j, i)
        return self.add(op, arrays)

    cdef int note_moving(self, void *p, int place, int array) except -1:
        """Remember `place` of the record at `count` if `p` lies in an array that moves."""
        cdef Py_buffer view
        PyObject_GetBuffer(self.moving[array], &view, PyBUF_SIMPLE)
        cdef ptrdiff_t offset = <char *>p - <char *>view.buf
        cdef bint inside = p is not NULL and 0 <= offset < view.len
        PyBuffer_Release(&view)
        return self.add_moving(self.count, place, array, offset) if inside else 0

    cdef int add(self, const fc_op *op, tuple arrays) except -1:
        cdef fc_op *ops = <fc_op *>realloc(self.ops, (self.count + 1) * sizeof(fc_op))
        if ops is NULL:
            raise MemoryError("no memory for a program")
        self.ops = ops
        ops[self.count] = op[0]
        self.arrays.append(arrays)
        self.count += 1
        fc_look_ahead(ops, self.count)
        return 0

    cdef int add_moving(self, ptrdiff_t op, int place, int array, ptrdiff_t offset) except -1:
        cdef fc_moving *movings = <fc_moving *>realloc(self.movings, (self.moving_count + 1) * sizeof(fc_moving))
        if movings is NULL:
            raise MemoryError("no memory for a program")
        self.movings = movings
        movings[self.moving_count] = fc_moving(op, place, array, offset)
        self.moving_count += 1
        return 0

    def run(self, *arrays):
        """Run all calls, on `arrays` in place of `moving`: contiguous, of the same sizes in bytes."""
        self.repeat_on(1, arrays, ())

    def repeat(self, ptrdiff_t count, *arrays, tuple beside=()):
        """Run all calls `count` times on arrays that hold, one after the other, what each time needs.

        Programs `beside` this one, which do the same in memory of their own, each take some of the times on a thread.
        """
        self.repeat_on(count, arrays, beside)

    cdef int repeat_on(self, ptrdiff_t count, tuple arrays, tuple beside) except -1:
        cdef Py_buffer views[MOVING]
        cdef char *starts[MOVING]
        cdef fc_program programs[BESIDE]
        cdef int held = 0, i, running = max(1, min(<ptrdiff_t>len(beside) + 1, min(count, BESIDE)))
        cdef Program other
        cdef fc_status status
        if len(arrays) != len(self.moving):
            raise ValueError(f"Expected {len(self.moving)} arrays. Received: {len(arrays)}")
        for i in range(running):
            other = self if i == 0 else beside[i - 1]
            if len(other.moving) != len(self.moving):
                raise ValueError(f"Expected programs with {len(self.moving)} moving arrays. Received: {len(other.moving)}")
            programs[i] = fc_program(other.ops, other.count, other.movings, other.moving_count)
        try:
            for array in arrays:
                PyObject_GetBuffer(array, &views[held], PyBUF_SIMPLE)
                starts[held] = <char *>views[held].buf
                held += 1
                if views[held - 1].len != count * self.bytes[held - 1]:
                    raise ValueError(f"Expected {count * self.bytes[held - 1]} bytes. Received: {views[held - 1].len}")
            with nogil:
                status = fc_run_turns(programs, running, count, starts, self.bytes)
        finally:
            for i in range(held):
                PyBuffer_Release(&views[i])
        return check(status, "run")
