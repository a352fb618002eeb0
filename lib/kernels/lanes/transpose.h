/* A transpose from squares that fit in registers. Written in the vocabulary of an instruction set's
 * lanes.h, which comes first; knows flat arrays only. */
#ifndef S24I_LANES_TRANSPOSE_H
#define S24I_LANES_TRANSPOSE_H
#include "kernels/table.h"

/* Columns of the source done together: more would touch more pages of the destination than the
 * processor keeps translations of. */
enum { STRIPE = 256 };

static inline void transpose_matrix(const float *src, int64_t lds, float *dst, int64_t ldd,
                                    int64_t rows, int64_t cols)
{
    int64_t whole_rows = rows - rows % LANES, whole_cols = cols - cols % LANES;
    for (int64_t stripe = 0; stripe < whole_cols; stripe += STRIPE) {
        int64_t end = whole_cols - stripe < STRIPE ? whole_cols : stripe + STRIPE;
        for (int64_t r = 0; r < whole_rows; r += LANES)
            for (int64_t c = stripe; c < end; c += LANES)
                lanes_transpose(src + r * lds + c, lds, dst + c * ldd + r, ldd);
    }
    s24i_ref_transpose(src + whole_cols, lds, dst + whole_cols * ldd, ldd, rows, cols - whole_cols);
    s24i_ref_transpose(src + whole_rows * lds, lds, dst + whole_rows, ldd, rows - whole_rows,
                       whole_cols);
}

#endif
