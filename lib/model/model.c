#include "program.h"
#include "tensors.h"
#include <stdlib.h>
#include <string.h>

float *s24m_floats(int64_t count)
{
    float *block = malloc((size_t)count * sizeof *block + 1);
    if (!block)
        s24m_fail(S24_E_MEMORY, "no memory for %lld floats", (long long)count);
    return block;
}

s24_mat s24m_mat(const float *data, int64_t rows, int64_t cols)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = S24_F32,
                     .device = S24_CPU};
}

/* ---- Opening ---- */

s24_status s24m_open(s24_ctx *ctx, const char *path, s24m_model **out)
{
    s24m_model *model = calloc(1, sizeof *model);
    if (!model)
        return s24m_fail(S24_E_MEMORY, "out of memory");
    model->ctx = ctx;
    s24_status status = s24_file_open(ctx, path, &model->file);
    if (status)
        s24m_fail(status, "%s", s24_last_error());
    else
        status = s24m_read_config(model);
    if (!status)
        status = s24m_make_programs(model);
    if (!status)
        status = s24m_check_tensors(model);
    if (status)
        s24m_close(model);
    else
        *out = model;
    return status;
}

void s24m_close(s24m_model *model)
{
    if (!model)
        return;
    s24_file_destroy(model->file);
    s24m_free_programs(model);
    free(model->layer);
    for (int i = 0; i < S24M_ROPES; i++) {
        free(model->config.rope[i].divisor[0]);
        free(model->config.rope[i].divisor[1]);
        free(model->angles[i].cosine);
        free(model->angles[i].sine);
    }
    free(model);
}
