/* Pooling of planes: worth the code where vectors along a row hold many elements, of the element type that is used most. */
#if defined(FC_F32) && VL >= 8
#include "pool_border_body.h"
#include "pool_columns_body.h"
#include "pool_gather_body.h"
#include "pool_lines_body.h"

#define FC_PLANE_KERNELS                            \
    {.lines_maximum = NAME(pool_lines_maximum),     \
     .lines_index = NAME(pool_lines_index),         \
     .lines_winner = NAME(pool_lines_winner),       \
     .lines_sum = NAME(pool_lines_sum),             \
     .maximum_columns = NAME(pool_maximum_columns), \
     .place_columns = NAME(pool_place_columns),     \
     .index_columns = NAME(pool_index_columns),     \
     .mean_columns = NAME(pool_mean_columns),       \
     .move_rows = NAME(pool_move_rows),             \
     .maximum_gather = NAME(pool_maximum_gather),   \
     .mean_gather = NAME(pool_mean_gather)}
#else
#define FC_PLANE_KERNELS {0}
#endif
