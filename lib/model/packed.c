#include "packed.h"
#include "extents.h"
#include "fail.h"
#include "tensors.h"
#include <stdio.h>
#include <string.h>

#define KEY "sparse24.packed."

/* "LAYOUT ROWS COLS TYPE PARTS" */
bool s24m_packed(const s24m_model *model, const char *name, int64_t *rows, int64_t *cols)
{
    char key[600];
    long long r, c;
    snprintf(key, sizeof key, KEY "%s", name);
    const char *line = s24_file_meta(model->file, key);
    if (!line || sscanf(line, "%*s %lld %lld", &r, &c) != 2)
        return false;
    *rows = r;
    *cols = c;
    return true;
}

bool s24m_packed_part(const s24m_model *model, const char *name)
{
    char whole[512];
    int64_t rows, cols;
    const char *dot = strrchr(name, '.');
    snprintf(whole, sizeof whole, "%.*s", dot ? (int)(dot - name) : 0, name);
    return dot && s24m_packed(model, whole, &rows, &cols);
}

bool s24m_packed_any(const s24m_model *model)
{
    const char *key;
    for (int64_t i = 0; (key = s24_file_meta_key(model->file, i)); i++)
        if (!strncmp(key, KEY, sizeof KEY - 1))
            return true;
    return false;
}

s24_status s24m_packed_read(const s24m_model *model, const char *name, const s24_mat *values)
{
    s24_packed *packed = NULL;
    s24_status status = s24_file_packed(model->file, name, &packed);
    if (!status)
        status = s24_unpack(packed, values);
    s24_packed_destroy(packed);
    return s24m_library(status, name);
}

s24_status s24m_packed_block(const s24m_model *model, const s24_packed *packed, int64_t index,
                             float *values)
{
    int64_t rows, cols, first = index * S24M_PACKED_ROWS;
    int32_t dtype;
    size_t size;
    const char *layout, *name;
    const void *data;
    s24_packed *block = NULL;
    s24_packed_info(packed, &layout, &rows, &cols, &dtype);
    s24_packed_part(packed, 0, &name, &data, &size);
    size /= (size_t)((rows + S24M_PACKED_ROWS - 1) / S24M_PACKED_ROWS);
    data = (const char *)data + (size_t)index * size;
    rows = s24m_least(rows - first, S24M_PACKED_ROWS);
    s24_mat to = s24m_mat(values, rows, cols);
    s24_status status =
        s24_packed_wrap(model->ctx, layout, rows, cols, dtype, &data, &size, 1, &block);
    if (!status)
        status = s24_unpack(block, &to);
    s24_packed_destroy(block);
    return s24m_library(status, layout);
}

uint64_t s24m_packed_bytes(const s24_packed *packed)
{
    uint64_t sum = 0;
    const char *name;
    size_t size = 0;
    for (int32_t i = 0; !s24_packed_part(packed, i, &name, NULL, &size) && name; i++)
        sum += size;
    return sum;
}
