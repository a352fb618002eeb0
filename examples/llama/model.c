#include "model.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char error_text[600];

const char *llama_error(void)
{
    return error_text;
}

s24_status llama_fail(s24_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(error_text, sizeof error_text, format, list);
    va_end(list);
    return status;
}

s24_status llama_library(s24_status status, const char *what)
{
    return status ? llama_fail(status, "%s: %s", what, s24_last_error()) : S24_OK;
}

float *llama_floats(int64_t count)
{
    float *block = malloc((size_t)count * sizeof *block + 1);
    if (!block)
        llama_fail(S24_E_MEMORY, "no memory for %lld floats", (long long)count);
    return block;
}

s24_mat llama_mat(const float *data, int64_t rows, int64_t cols)
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

s24_status llama_open(s24_ctx *ctx, const char *path, llama_model **out)
{
    llama_model *model = calloc(1, sizeof *model);
    if (!model)
        return llama_fail(S24_E_MEMORY, "out of memory");
    model->ctx = ctx;
    s24_status status = s24_file_open(ctx, path, &model->file);
    if (status)
        llama_fail(status, "%s", s24_last_error());
    else
        status = llama_read_config(model);
    if (!status)
        status = llama_check_tensors(model);
    if (status)
        llama_close(model);
    else
        *out = model;
    return status;
}

void llama_close(llama_model *model)
{
    if (!model)
        return;
    s24_file_destroy(model->file);
    free(model->windowed);
    for (int i = 0; i < 2; i++)
        free(model->config.rope.divisor[i]);
    free(model->cosine);
    free(model->sine);
    free(model);
}
