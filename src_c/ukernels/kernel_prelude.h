/* What every ISA stub includes first. A stub then, for each element type: defines FC_F32 or FC_F64 and FC_ISA (the name in
 * isa_list.inc), includes a vec header and the bodies, and vec_undef.h.
 *
 * A vec header defines, for elements of type `real`:
 *   VL                      lanes of a `vec`
 *   v_zero() v_set1(s)      all lanes zero, all lanes s
 *   v_load(p) v_store(p, v) unaligned
 *   v_load_n(p, n) v_store_n(p, v, n)   the first n lanes, 0 <= n <= VL; the others are zero and not touched in memory
 *   v_add v_sub v_mul v_div v_sqrt      as in IEEE 754
 *   v_fma(a, b, c)          a * b + c      v_fnma(a, b, c)  c - a * b
 *   v_accumulate(acc, a, b) statement: acc = v_fma(a, b, acc), acc staying in its register: compilers that see many of these in a row
 *                           move sums about and run out of registers
 *   v_max(a, b) v_min(a, b) b if either is NaN
 *   vmask, v_gt(a, b), v_eq(a, b)       false if either is NaN
 *   v_beats(a, b)           a > b, or a is NaN and b is not: the order of max-pooling
 *   v_select(m, a, b)       a where m, else b
 *   v_first(n)              a vmask of the first n lanes, 0 <= n <= VL
 *   v_abs(a) v_copysign(a, b)           |a|, and |a| with the sign of b
 *   v_scale2(a, n)          a * 2^n for integers n, |n| <= twice the largest exponent; overflows and underflows as it should
 *   v_sum(v)                the sum of the lanes, in a fixed order
 *   v_store_4(p, v)         the first 4 lanes, of float32
 *   v_repeat_2(p) v_repeat_4(p)         2 or 4 float32 over and over, where a vec has 16
 *   v_load_u8(p) v_store_u8(p, v)       VL bytes to and from reals (integers 0 .. 255, exact)
 *   v_match_u8(p, byte)     the mask of those of VL bytes that equal `byte`
 *   v_stream(p, v)          store past the caches, p aligned to the vector; v_stream_end() before others may read
 *   vindex, v_index(lane)   the numbers of lanes, from VL int32_t
 *   v_permute(a, i) v_permute2(a, b, i) lane i[l] of a for every l; of a and b, whose lanes count on from a's
 *   v_keep(v)               statement: variable v stays in a register; compilers would load it again at each use
 *   FC_PANELS(X)            the GEMM tiles as X(rows, vectors, cost), widest first; FC_MAIN_PANEL the index of the main one
 *   FC_WINOGRAD_MR          rows of the tile of Winograd's matrix products; the widest of its panels is 2 vectors
 *   FC_TRANSPOSE_SQUARES    defined where v_permute2 is one instruction: matrices are transposed VL x VL at a time
 *   FC_REGISTERS            how many vectors stay in registers
 *   FC_SMALL                defined where few run what all install: see FC_RARE in bodies.h
 *   FC_LANES_FREE           defined where loads of some lanes take little longer than those of whole vectors; only there:
 *   v_lanes(i, end)         a vmask of lanes i .. end - 1, 0 <= i <= end <= VL
 *   v_load_lanes(p, m)      the lanes of m; the others are zero and not touched in memory
 *   v_load_more(v, p, m)    the same, the others are those of v
 *   v_even(a, b, i) v_odd(a, b, i)      the even and odd lanes of a and b, i being their numbers as for v_permute2
 *   FC_PARTIAL_FREE         whether v_load_n and v_store_n take no longer than whole vectors, and the element type is worth the code
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../ukernels.h"

#define FC_PASTE(type, op, isa) FC_PASTE_(type, op, isa)
#define FC_PASTE_(type, op, isa) fc_##type##_##op##__##isa

/* An integer whose value compilers must not reason about: they would keep a number of sums of it, in more registers than there are. */
#define FC_OPAQUE(i) __asm__("" : "+r"(i))

#define FC_INLINE static inline __attribute__((always_inline))
/* FC_ROLLED: a loop that must stay one. */
#if defined(__clang__)
#define FC_UNROLL(n) _Pragma("unroll")
#define FC_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define FC_ROLLED _Pragma("GCC unroll 1")
#define FC_UNROLL_(text) _Pragma(#text)
#define FC_UNROLL(n) FC_UNROLL_(GCC unroll n)
#endif
