#include "kernels/table.h"
#include <math.h>
#include <stddef.h>

void s24i_ref_transpose(const float *src, int64_t lds, float *dst, int64_t ldd, int64_t rows,
                        int64_t cols)
{
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c)
            dst[c * ldd + r] = src[r * lds + c];
}

/* The weights of the group as they would be if none of it were dropped, in units of the loss. */
static void group_scores(const s24i_sweep_block *block, int64_t first, int64_t lane, float *score)
{
    float e[S24I_MAX_GROUP];
    for (int32_t t = 0; t < block->m; ++t) {
        int64_t column = first + t;
        float w = block->w[column * block->lanes + lane];
        float b = block->a[column * block->lanes + lane];
        for (int32_t u = 0; u < t; ++u)
            b = fmaf(e[u], block->r[(first + u) * block->ldr + column], b);
        float c = fmaf(b, block->inv_diag[column], w);
        e[t] = w - c;
        score[t] = c * block->r[column * block->ldr + column];
    }
}

static void select_group(const s24i_sweep_block *block, int64_t first, int64_t lane)
{
    float score[S24I_MAX_GROUP];
    uint8_t mask[S24I_MAX_GROUP];
    group_scores(block, first, lane, score);
    s24i_ref_select_nm(score, NULL, mask, block->m, block->n, block->m);
    for (int32_t t = 0; t < block->m; ++t)
        block->mask[(first + t) * block->lanes + lane] = mask[t];
}

/* The level nearest to c. */
static float on_grid(const s24i_sweep_block *block, int64_t at, float c)
{
    float zero = block->zero[at];
    float code = s24i_nearest_code(fmaf(c, block->inverse[at], zero), block->top);
    block->codes[at] = (uint8_t)code;
    return block->step[at] == 0 ? c : block->step[at] * (code - zero);
}

static void finish_column(const s24i_sweep_block *block, int64_t column, int64_t lane)
{
    int64_t at = column * block->lanes + lane;
    const float *r = block->r + column * block->ldr;
    float c = fmaf(block->a[at], block->inv_diag[column], block->w[at]);
    if (block->step)
        c = on_grid(block, at, c);
    float d = block->mask[at] ? block->w[at] - c : block->w[at];
    block->d[at] = d;
    for (int64_t k = column + 1; k < block->cols; ++k) {
        float *a = &block->a[k * block->lanes + lane];
        *a = fmaf(d, r[k], *a);
    }
}

void s24i_ref_sweep_block(const s24i_sweep_block *block)
{
    for (int64_t lane = 0; lane < block->lanes; ++lane)
        for (int64_t column = 0; column < block->cols; ++column) {
            if (block->n > 0 && column % block->m == 0)
                select_group(block, column, lane);
            finish_column(block, column, lane);
        }
}
