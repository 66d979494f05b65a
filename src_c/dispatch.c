#include "dispatch.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
static int fc_cpu_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int fc_cpu_has_avx512(void) {
    return fc_cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

#if defined(FC_AMX)
#include <cpuid.h>
#include <sys/syscall.h>

/* The processor has tiles of bfloat16, and the system saves them: it does for processes that asked. */
static int fc_cpu_has_amx(void) {
    enum { LEAF_FEATURES = 7, BF16 = 1 << 22, TILE = 1 << 24 };
    enum { ASK_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA of asm/prctl.h */
    unsigned a, b, c, d;
    if (!fc_cpu_has_avx512() || !__get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d)) return 0;
    return (d & BF16) && (d & TILE) && syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA) == 0;
}
#endif

typedef struct {
    const char *name;
    const fc_ukernels *table[FC_DTYPES];
} isa_entry;

#define FC_ISA_ENTRY(name, condition) {#name, {&fc_f32_ukernels__##name, &fc_f64_ukernels__##name}},
static const isa_entry ISA[] = {
#include "isa_list.inc"
};
#undef FC_ISA_ENTRY

#define ISA_COUNT ((int)(sizeof ISA / sizeof ISA[0]))

/* Index into ISA, or -1 before the first call. */
static atomic_int current = -1;

int fc_isa_count(void) { return ISA_COUNT; }

const char *fc_isa_name(int index) {
    assert(index >= 0 && index < ISA_COUNT);
    return ISA[index].name;
}

int fc_isa_available(int index) {
    assert(index >= 0 && index < ISA_COUNT);
    int i = 0;
#define FC_ISA_ENTRY(name, condition)          \
    if (i++ == index) return (condition) != 0;
#include "isa_list.inc"
#undef FC_ISA_ENTRY
    return 0;
}

/* An unknown or unavailable name in FASTCONV_ISA is left to the Python layer to report; here the best set is used. */
static int choose(void) {
    const char *wanted = getenv("FASTCONV_ISA");
    if (wanted)
        for (int i = 0; i < ISA_COUNT; i++)
            if (!strcmp(wanted, ISA[i].name) && fc_isa_available(i)) return i;
    for (int i = 0; i < ISA_COUNT - 1; i++)
        if (fc_isa_available(i)) return i;
    return ISA_COUNT - 1;
}

int fc_isa_current(void) {
    int index = atomic_load_explicit(&current, memory_order_relaxed);
    if (index < 0) {
        index = choose();
        atomic_store_explicit(&current, index, memory_order_relaxed);
    }
    return index;
}

fc_status fc_isa_select(int index) {
    if (!fc_isa_available(index)) return FC_UNSUPPORTED;
    atomic_store_explicit(&current, index, memory_order_relaxed);
    return FC_OK;
}

const fc_ukernels *fc_kernels(fc_dtype dtype) {
    assert(dtype == FC_F32 || dtype == FC_F64);
    return ISA[fc_isa_current()].table[dtype];
}

/* Bytes, or 0 before the first call: asking takes tens of microseconds on virtual machines. */
static atomic_long l2_bytes;

ptrdiff_t fc_l2_bytes(void) {
    long bytes = atomic_load_explicit(&l2_bytes, memory_order_relaxed);
    if (bytes) return bytes;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    bytes = bytes <= 0 ? 1L << 20 : bytes < 256L << 10 ? 256L << 10 : bytes > 4L << 20 ? 4L << 20 : bytes;
    atomic_store_explicit(&l2_bytes, bytes, memory_order_relaxed);
    return bytes;
}

double fc_multiply_adds(fc_dtype dtype, double count) { return fc_kernels(dtype)->frame.multiply_adds(count); }
