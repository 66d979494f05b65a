# Instruction sets and threads.

cdef extern from "fastconv.h":
    int fc_isa_count() nogil
    const char *fc_isa_name(int index) nogil
    int fc_isa_available(int index) nogil
    int fc_isa_current() nogil
    fc_status fc_isa_select(int index) nogil
    int fc_get_num_threads() nogil
    void fc_set_num_threads(int n) nogil

    double fc_multiply_adds(fc_dtype dtype, double count) nogil

cdef extern from *:
    """
    static const char *fc_build_flags(void) { return FC_BUILD_FLAGS; }
    #if defined(__clang__)
    static const char *fc_compiler(void) { return "clang " __clang_version__; }
    #elif defined(__GNUC__)
    static const char *fc_compiler(void) { return "gcc " __VERSION__; }
    #else
    static const char *fc_compiler(void) { return "unknown"; }
    #endif
    """
    const char *fc_build_flags()
    const char *fc_compiler()


def isa_names():
    """All instruction sets this build knows, in order of preference."""
    return [fc_isa_name(i).decode() for i in range(fc_isa_count())]


def isa_available(int index):
    return bool(fc_isa_available(index))


def isa_current():
    return fc_isa_current()


def isa_select(int index):
    check(fc_isa_select(index), "set_isa")


def get_num_threads():
    return fc_get_num_threads()


def set_num_threads(int n):
    fc_set_num_threads(n)


def build_flags():
    return fc_build_flags().decode(), fc_compiler().decode()


def multiply_adds(bint double_precision, double count):
    cdef double done
    with nogil:
        done = fc_multiply_adds(FC_F64 if double_precision else FC_F32, count)
    return done
