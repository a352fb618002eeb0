#include "kernels/avx2/lanes.h"
#include "kernels/avx2/table.h"
#include "kernels/lanes_sweep.h"
#include "kernels/lanes_transpose.h"

void s24i_avx2_transpose(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows,
                         int64_t cols)
{
    transpose_matrix(src, lds, dst, ldd, rows, cols);
}

void s24i_avx2_sweep_block(const s24i_sweep_block *block)
{
    sweep_tiles(block);
}
