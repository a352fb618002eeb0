#include "packed.h"
#include "fail.h"
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
