#include <lanes.h>
#include "kernels/table.h"
#include "kernels/lanes/sweep.h"
#include "kernels/lanes/transpose.h"

void S24I_IN_SET(transpose)(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows,
                            int64_t cols)
{
    transpose_matrix(src, lds, dst, ldd, rows, cols);
}

void S24I_IN_SET(sweep_block)(const s24i_sweep_block *block)
{
    sweep_tiles(block);
}
