#include "kernels/kernels.h"
#include "kernels/table.h"
#include <math.h>

static void add_line(float x, const float *b, float *sum)
{
    for (int j = 0; j < S24I_PANEL_COLS; ++j)
        sum[j] = fmaf(x, b[j], sum[j]);
}

void s24i_ref_multiply_panel(const s24i_panel_product *p)
{
    for (int64_t i = 0; i < p->rows; ++i) {
        float sum[S24I_PANEL_COLS] = {0}, *c = p->c + i * p->ldc;
        for (int64_t k = 0; k < p->k; ++k)
            add_line(p->a[k * p->rows + i], p->b + k * S24I_PANEL_COLS, sum);
        for (int64_t j = 0; j < p->cols; ++j)
            c[j] = p->add ? fmaf(p->alpha, sum[j], c[j]) : p->alpha * sum[j];
    }
}
