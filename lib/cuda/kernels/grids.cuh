/* Where a weight lies on its grid. */
#ifndef S24C_GRIDS_CUH
#define S24C_GRIDS_CUH
#include "common.cuh"

enum { ASYM, SYM, REAL_ZERO }; /* as S24I_GRID_... */

__device__ static inline int64_t group_of(const s24c_grid &grid, int64_t row, int64_t col)
{
    return row * grid.groups + col / grid.group;
}

/* In codes, so that a value is scale (code - zero') whatever the scheme. */
__device__ static inline float zero_of(const s24c_grid &grid, int64_t at)
{
    return grid.scheme == REAL_ZERO ? -grid.zero[at] / grid.scale[at] : grid.zero[at];
}

#endif
