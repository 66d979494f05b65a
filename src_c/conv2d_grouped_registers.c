/* Groups of few channels whose planes kernels make in registers: which these are, and how channels lie in vectors. */
#include "conv2d_grouped.h"

/* Pixels of copies a multiple of so many bytes apart would share few cache sets. */
enum { SETS_STEP = 256 };

/* A group of fewer inputs whose outputs fill a vector is as well off with a GEMM. */
int fc_grouped_in_registers(const fc_ukernels *kernels, ptrdiff_t planes, ptrdiff_t times) {
    const ptrdiff_t lanes = kernels->gemm.lanes;
    const int fits = planes > 1 && lanes % times == 0 && (planes == times || (planes < times && times < lanes));
    return fits && kernels->depthwise.groups && planes * lanes <= FC_GROUPED_LANES_MAX;
}

ptrdiff_t fc_grouped_step(const fc_ukernels *kernels, ptrdiff_t channels, ptrdiff_t esize) {
    const ptrdiff_t lanes = kernels->gemm.lanes, step = fc_round_up(channels, lanes);
    return step * esize % SETS_STEP == 0 ? step + lanes : step;
}

fc_spread_args fc_grouped_spread(ptrdiff_t groups, ptrdiff_t planes, ptrdiff_t times, int whole, ptrdiff_t from_step, ptrdiff_t to_step,
                                 ptrdiff_t plane) {
    const fc_spread_args spread = {groups, planes, times, from_step, to_step, plane}, copy = {groups * planes, 1, 1, from_step, to_step, plane};
    return whole ? copy : spread;
}

void fc_grouped_lanes(const fc_ukernels *kernels, ptrdiff_t planes, ptrdiff_t times, int32_t *lanes) {
    const ptrdiff_t vector = kernels->gemm.lanes;
    for (ptrdiff_t i = 0; i < planes * vector; i++) lanes[i] = (int32_t)(i % vector / times * planes + i / vector);
}
